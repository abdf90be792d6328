"""The daemon as an operator meets it: started, asked, reloaded, stopped, killed."""

from __future__ import annotations

import json
import random
import signal
import socket
import time
from datetime import UTC, datetime

import pytest
from origin import Answer, Origin, served
from service import Service, an_rss, get, wait_for

ITEMS = [(f"k{number}", f"Kestrel story number {number} about harbours") for number in range(30)]


def items_of(service: Service, slug: str = "companies") -> list[dict[str, object]]:
    status, _, body = get(f"{service.url}/{slug}.json")
    return json.loads(body)["items"] if status == 200 else []


def test_it_polls_groups_publishes_and_stops_in_time(tmp_path):
    with served(Origin()) as origin:
        origin.script("/feed", Answer(headers=(("ETag", '"1"'),), body=an_rss(*ITEMS[:3])))
        service = Service(tmp_path, [origin.url("/feed")])
        with service.running() as process:
            wait_for(lambda: len(items_of(service)) == 3, about="three items published")
            origin.script("/feed", Answer(headers=(("ETag", '"2"'),), body=an_rss(*ITEMS[:4])))
            wait_for(lambda: len(items_of(service)) == 4, about="the fourth item published")
            ready, _, why = get(f"{service.admin_url}/readyz")
            metrics = get(f"{service.admin_url}/metrics")[2].decode()
            status = json.loads(get(f"{service.admin_url}/status.json")[2])
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(12) == 0
            assert time.monotonic() - began < 10
    assert ready == 200, why
    assert 'bmn_polls_total{outcome="changed"}' in metrics
    assert status["sources"][0]["health"] == "ok"
    assert status["sources"][0]["entries"] == 4
    assert "Traceback" not in service.log()


def test_a_stage_that_hangs_does_not_keep_it_from_stopping(tmp_path):
    """A mail server that takes the connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        at = datetime.now(UTC).strftime("%H:00")
        smtp = f"smtp://127.0.0.1:{mute.getsockname()[1]}"
        service = Service(tmp_path, [], digest={"at": at, "to": ["a@b.example"], "smtp": smtp})
        with service.running() as process:
            mute.settimeout(60)
            connection, _ = mute.accept()
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(25) == 0
            assert time.monotonic() - began < 20, "the server's silence lasts half a minute"
            connection.close()
        assert "stage_cut_short stage=brief" in service.log()
        assert "Traceback" not in service.log()


def test_a_second_daemon_is_refused_and_says_who_is_there(tmp_path):
    service = Service(tmp_path, [])
    with service.running() as process:
        second = service.bmn("run")
    assert second.returncode == 1
    assert str(process.pid) in second.stderr


def test_sighup_applies_a_good_file_and_refuses_a_bad_one(tmp_path):
    with served(Origin()) as origin:
        origin.script("/one", Answer(body=an_rss(ITEMS[0])))
        origin.script("/two", Answer(body=an_rss(ITEMS[1])))
        service = Service(tmp_path, [origin.url("/one")])
        with service.running() as process:
            wait_for(lambda: len(items_of(service)) == 1)
            (tmp_path / "sources.yaml").write_text("sources:\n  - url: http://example.org/\n    evry: 5m\n")
            process.send_signal(signal.SIGHUP)
            wait_for(lambda: "reload_refused" in service.log())
            assert "sources.yaml:3" in service.log()
            assert "did you mean 'every'" in service.log()
            assert len(items_of(service)) == 1
            service.write_sources([origin.url("/one"), origin.url("/two")])
            process.send_signal(signal.SIGHUP)
            wait_for(lambda: len(items_of(service)) == 2)
    assert "reloaded sources=2" in service.log()


def test_an_address_in_use_is_said_clearly(tmp_path):
    service = Service(tmp_path, [])
    with socket.create_server(("127.0.0.1", service.port)):
        failed = service.bmn("run")
    assert failed.returncode == 1
    assert "in use" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_bad_configuration_ends_with_78_and_starts_nothing(tmp_path):
    service = Service(tmp_path, [])
    service.config.write_text("polling: {every: soon}\n")
    failed = service.bmn("run")
    assert failed.returncode == 78
    assert "aggregator.yaml:1: polling.every" in failed.stderr
    assert not (tmp_path / "news.db").exists()


def test_it_tells_the_service_manager(tmp_path):
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(20)
        service = Service(tmp_path, [])
        with service.running(NOTIFY_SOCKET=address, WATCHDOG_USEC="1500000") as process:
            assert b"READY=1" in manager.recv(4096)
            assert b"WATCHDOG=1" in manager.recv(4096)
            process.send_signal(signal.SIGHUP)
            seen = b""
            while b"READY=1" not in seen:
                seen += manager.recv(4096) + b"\n"
            assert b"RELOADING=1" in seen
            process.send_signal(signal.SIGTERM)
            while b"STOPPING=1" not in seen:
                seen += manager.recv(4096)


@pytest.mark.parametrize("seed", range(2))  # test_kills.py goes on with this
def test_killed_at_any_moment_nothing_is_lost_or_published_twice(tmp_path, seed):
    """The origin grows by one entry per answer; the daemon is killed at random moments and started again.

    In the end every entry is there once, under the id that was first seen for it.
    """
    dice = random.Random(seed)
    shown = 0

    def grow(_: object) -> Answer:
        nonlocal shown
        shown = min(len(ITEMS), shown + 1)
        return Answer(headers=(("ETag", f'"{shown}"'),), body=an_rss(*reversed(ITEMS[:shown])))

    with served(Origin()) as origin:
        origin.script("/feed", grow)
        service = Service(tmp_path, [origin.url("/feed")])
        ids: dict[str, str] = {}
        for _ in range(3):
            process = service.start()
            time.sleep(dice.uniform(0.0, 2.5))
            for item in items_of(service):
                assert ids.setdefault(str(item["title"]), str(item["id"])) == item["id"]
            process.kill()
            process.wait()
        shown = len(ITEMS)
        with service.running():
            wait_for(lambda: len(items_of(service)) == len(ITEMS), 25, "every entry published")
            items = items_of(service)
    assert sorted(str(item["title"]) for item in items) == sorted(title for _, title in ITEMS)
    assert len({item["id"] for item in items}) == len(ITEMS)
    for item in items:
        assert ids.get(str(item["title"]), item["id"]) == item["id"]
