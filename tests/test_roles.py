"""Several processes on one PostgreSQL: pollers that share feeds and hosts, editors of whom one edits, web servers."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from origin import Answer, Asked, Origin, conditional, served
from service import BMN, Service, _environment, an_rss, free_port, get, wait_for

ONE, TWO = ("k1", "Kestrel opens a harbour in Gdansk"), ("k2", "Quillon buys the brewery Otterly")


class Fleet:
    """Processes of one installation; each writes a log of its own."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, role: str, *options: str, **environment: str) -> None:
        """Begin `bmn run --role ROLE`; `ready` waits for it."""
        command = [*BMN, "run", "--role", role, *options, "--config", str(self.service.config)]
        with self._log(name).open("w") as log:
            self.processes[name] = subprocess.Popen(
                command, stderr=log, stdout=log, text=True, cwd=self.service.folder, env=_environment(environment)
            )

    def ready(self, seconds: float = 60) -> None:
        for name in self.processes:
            wait_for(lambda name=name: "ready" in self.log(name), seconds, f"{name} ready")

    def _log(self, name: str) -> Path:
        return self.service.folder / f"{name}.log"

    def log(self, name: str) -> str:
        return self._log(name).read_text()

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> dict[str, int]:
        """SIGTERM to everybody; their exit codes."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        codes = {}
        for name, process in self.processes.items():
            try:
                codes[name] = process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[name] = process.wait()
        self.processes = {}
        return codes


@pytest.fixture
def fleets() -> Iterator[list[Fleet]]:
    started: list[Fleet] = []
    yield started
    for fleet in started:
        fleet.stop()


def a_fleet(fleets: list[Fleet], folder: Path, url: str, sources: list[object], **extra: object) -> Fleet:
    # A lease that outlasts what a busy machine may hold a process up for.
    polling = {"every": "2s", "fastest": "2s", "slowest": "4s", "lease": "10s"}
    fleet = Fleet(Service(folder, sources, url, polling=polling, **extra))  # type: ignore[arg-type]
    fleets.append(fleet)
    return fleet


def admin_url(fleet: Fleet, name: str) -> str:
    line = next(line for line in fleet.log(name).splitlines() if " ready " in f" {line} ")
    return next(part.removeprefix("admin=") for part in line.split() if part.startswith("admin="))


def polls_of(fleet: Fleet, name: str) -> float:
    """How many polls the process counts."""
    lines = get(f"{admin_url(fleet, name)}/metrics")[2].decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("bmn_polls_total"))


class Witness:
    """An origin for every host, as the proxy that all are asked through; it notes who was asked when."""

    def __init__(self, origin: Origin, hosts: int, feeds: int) -> None:
        self.asked: dict[str, list[float]] = defaultdict(list)
        self.urls = [f"http://h{host}.example/{feed}" for host in range(hosts) for feed in range(feeds)]
        for url in self.urls:
            origin.script(url, self._noting(url, conditional(an_rss((url, f"A story of {url}")))))

    def _noting(self, url: str, answer: object) -> object:
        def note(asked: Asked) -> Answer:
            self.asked[url].append(time.monotonic())
            return answer(asked)  # type: ignore[operator,no-any-return]

        return note

    def of_host(self, number: int) -> list[float]:
        own = (at for url, times in self.asked.items() if url.startswith(f"http://h{number}.") for at in times)
        return sorted(own)


def test_four_pollers_share_feeds_and_keep_to_each_hosts_rhythm(tmp_path, postgres_url, fleets):
    """Nothing is asked twice within its interval, no host faster than one process would, and a kill loses nothing."""
    with served(Origin()) as origin:
        witness = Witness(origin, hosts=6, feeds=3)
        proxy = f"http://127.0.0.1:{origin.port}"
        fetch = {"proxy": proxy, "timeout": "5s", "allow_networks": []}
        sources = [{"url": url, "every": "2s"} for url in witness.urls]
        fleet = a_fleet(fleets, tmp_path, postgres_url, sources, fetch=fetch)
        fleet.start("editor", "edit")
        for number in range(4):
            fleet.start(f"poller{number}", "poll")
        fleet.ready()
        wait_for(lambda: all(len(witness.asked[url]) >= 2 for url in witness.urls), 60, "each feed asked twice")
        busiest = max((f"poller{number}" for number in range(4)), key=lambda name: polls_of(fleet, name))
        assert polls_of(fleet, busiest) > 0
        pid = fleet.processes[busiest].pid
        fleet.kill(busiest)  # its hosts are leased to it at this moment
        died = time.monotonic()
        wait_for(lambda: all(witness.asked[url][-1] > died + 10.5 for url in witness.urls), 60, "nothing forgotten")
        codes = fleet.stop()
    assert set(codes.values()) == {0}
    for url, times in witness.asked.items():
        assert min(later - sooner for sooner, later in pairwise(times)) >= 1.8, url
    for host in range(6):
        times = witness.of_host(host)
        assert len(times) <= (times[-1] - times[0]) / 1.0 + 2, "spaced by a second, whoever asks"
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as database:
        held = database.execute("SELECT count(*) FROM feeds WHERE lease_owner LIKE %s", [f"%:{pid}:%"]).fetchone()
    assert held == (0,), "nothing is left in the name of the dead"


def items_of(url: str) -> list[str]:
    status, _, body = get(f"{url}/companies.json")
    return [item["title"] for item in json.loads(body)["items"]] if status == 200 else []


def test_editors_fail_over_and_web_servers_show_the_same(tmp_path, postgres_url, fleets):
    with served(Origin()) as origin:
        origin.script("/feed", Answer(headers=(("ETag", '"1"'),), body=an_rss(ONE)))
        source = {"url": origin.url("/feed"), "every": "2s", "section": "companies", "section_is": "final"}
        fleet = a_fleet(fleets, tmp_path, postgres_url, [source])
        ports = [free_port(), free_port()]
        fleet.start("first", "edit")
        wait_for(lambda: "editor_begins" in fleet.log("first"), 60, "the first edits")
        fleet.start("second", "edit")
        fleet.start("poller", "poll")
        for number, port in enumerate(ports):
            fleet.start(f"web{number}", "web", "--listen", f"127.0.0.1:{port}")
        fleet.ready()
        webs = [f"http://127.0.0.1:{port}" for port in ports]
        wait_for(lambda: all(items_of(url) == [ONE[1]] for url in webs), 60, "the first story on both")
        assert "editor_begins" not in fleet.log("second")

        fleet.kill("first")
        died = time.monotonic()
        wait_for(lambda: "editor_begins" in fleet.log("second"), 30, "the second takes over")
        assert time.monotonic() - died < 30
        origin.script("/feed", Answer(headers=(("ETag", '"2"'),), body=an_rss(TWO, ONE)))
        wait_for(lambda: all(sorted(items_of(url)) == sorted([ONE[1], TWO[1]]) for url in webs), 60, "the next story")

        _cut_the_lock(postgres_url)
        wait_for(lambda: fleet.log("second").count("editor_begins") == 2, 30, "noticed and taken up again")

        for path in ("/companies.atom", "/companies.rss", "/companies.json", "/", "/companies", "/feeds.opml"):
            (_, one, first), (_, two, second) = (get(f"{url}{path}") for url in webs)
            assert (first, one["etag"]) == (second, two["etag"]), path
        assert set(fleet.stop().values()) == {0}
    for name in ("second", "poller", "web0", "web1"):
        assert "Traceback" not in fleet.log(name)


def _cut_the_lock(url: str) -> None:
    """End the connection that the editor's lock hangs on, as a dying network would."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as database:
        ended = database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchall()
    assert len(ended) == 1


@pytest.mark.parametrize("role", ["poll", "edit", "web"])
def test_each_role_tells_the_service_manager_reloads_and_ends(tmp_path, postgres_url, fleets, role):
    fleet = a_fleet(fleets, tmp_path, postgres_url, [])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        fleet.start("one", role, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="1500000")
        heard = b""
        for sign, signum in ((b"WATCHDOG=1", signal.SIGHUP), (b"RELOADING=1", None), (b"READY=1", signal.SIGTERM)):
            while sign not in heard:
                heard += manager.recv(4096) + b"\n"
            if signum is not None:
                fleet.processes["one"].send_signal(signum)
                heard = b""
        while b"STOPPING=1" not in heard:
            heard += manager.recv(4096) + b"\n"
    assert fleet.stop() == {"one": 0}
    assert "reloaded sources=0" in fleet.log("one")
