"""Push end to end: the daemon, an origin and a hub on loopback."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import ExitStack

from hub import Hub, running_hub
from origin import Answer, Origin, served
from service import BMN, Service, an_rss, free_port, get
from service import wait_for as wait_so_long

ONE, TWO, THREE = ("p1", "Quillon opens a plant in Brno"), ("p2", "Fernbank buys Otterly"), ("p3", "Tarn cuts 300 jobs")
SLOW = {"every": "1h", "fastest": "1h", "slowest": "24h", "per_host": 8}  # only a push can be quick


def wait_for(condition, about=""):
    return wait_so_long(condition, 40, about)


def with_hub(hub: Hub, topic: str, *items: tuple[str, str], etag: str = '"1"') -> Answer:
    links = f'<{hub.url}>; rel="hub", <{topic}>; rel="self"'
    return Answer(headers=(("ETag", etag), ("Link", links)), body=an_rss(*items))


def titles(service: Service) -> set[str]:
    status, _, body = get(f"{service.url}/news.json")
    return {item["title"] for item in json.loads(body)["items"]} if status == 200 else set()


def subscribing(folder, origin, **extra) -> Service:
    return Service(folder, [origin.url("/feed")], websub={"subscribe": True}, polling=SLOW, **extra)


def metric(service: Service, line: str) -> bool:
    return line in get(f"{service.admin_url}/metrics")[2].decode()


def test_a_push_stands_in_the_feed_without_a_poll(tmp_path):
    with served(Origin()) as origin, running_hub() as hub:
        topic = origin.url("/feed")
        origin.script("/feed", with_hub(hub, topic, ONE))
        service = subscribing(tmp_path, origin)
        with service.running() as process:
            hub.wait_for_subscriber(topic)
            assert hub.push(topic, an_rss(TWO)) == 202
            wait_for(lambda: titles(service) == {ONE[1], TWO[1]}, about="the pushed entry in /news.json")
            assert TWO[1].encode() in get(f"{service.url}/news.atom")[2]
            assert len(origin.asked_for("/feed")) == 1
            (source,) = json.loads(service.bmn("sources", "list", "--json").stdout)
            listed, explained = service.bmn("sources", "list").stdout, service.bmn("explain", topic).stdout
            # A forged one changes nothing, and the hub is told nothing.
            assert hub.push(topic, an_rss(THREE), secret="guessed") == 202
            assert hub.push(topic, an_rss(THREE), algorithm=None) == 202
            wait_for(lambda: metric(service, 'bmn_pushes_total{result="forged"} 2.0'))
            assert hub.push(topic, an_rss(TWO)) == 202
            wait_for(lambda: metric(service, 'bmn_pushes_total{result="repeat"} 1.0'))
            assert hub.push(topic, an_rss(THREE), "sha512") == 202
            wait_for(lambda: THREE[1] in titles(service))
            assert len(origin.asked_for("/feed")) == 1
            service.write_sources([])
            process.send_signal(signal.SIGHUP)
            hub.wait_until(lambda: ("unsubscribe", topic) in hub.confirmed, "the goodbye")
            assert hub.push(topic, an_rss(ONE, TWO)) == 410
    assert source["push"]["state"] == "active"
    assert source["push"]["hub"] == hub.url
    assert source["push"]["lease_until"] is not None
    assert "; pushed until " in listed
    assert "pushed by " in explained
    assert hub.asked[0]["hub.secret"] not in service.log() + explained
    assert "Traceback" not in service.log()


def test_the_lease_is_kept_over_a_restart_and_ended_when_push_is_turned_off(tmp_path):
    with served(Origin()) as origin, running_hub() as hub:
        topic = origin.url("/feed")
        origin.script("/feed", with_hub(hub, topic, ONE), Answer(304))
        service = subscribing(tmp_path, origin)
        with service.running():
            hub.wait_for_subscriber(topic)
        with service.running():
            assert hub.push(topic, an_rss(TWO)) == 202
            wait_for(lambda: TWO[1] in titles(service))
        assert len(hub.questions("subscribe")) == 1
        settings = json.loads(service.config.read_text())
        service.config.write_text(json.dumps({**settings, "websub": {"subscribe": False}}))
        with service.running():
            hub.wait_until(lambda: ("unsubscribe", topic) in hub.confirmed, "the goodbye")


def test_without_a_public_address_nothing_is_subscribed_and_check_says_so(tmp_path):
    with served(Origin()) as origin, running_hub() as hub:
        topic = origin.url("/feed")
        origin.script("/feed", with_hub(hub, topic, ONE), with_hub(hub, topic, ONE, TWO, etag='"2"'))
        service = Service(tmp_path, [topic], websub={"subscribe": True}, site={"public_url": "http://192.168.7.7/news"})
        said = service.bmn("check")
        with service.running():
            wait_for(lambda: TWO[1] in titles(service))
    assert said.returncode == 0
    assert "websub.subscribe: hubs cannot reach site.public_url (http://192.168.7.7/news is private)" in said.stderr
    assert "push_off" in service.log()
    assert hub.asked == []


def test_what_a_web_server_takes_a_poller_reads(tmp_path, postgres_url):
    """Three processes on one database: the callback is answered by one that polls nothing."""
    with served(Origin()) as origin, running_hub() as hub, ExitStack() as stack:
        topic = origin.url("/feed")
        origin.script("/feed", with_hub(hub, topic, ONE))
        service = Service(tmp_path, [topic], postgres_url, websub={"subscribe": True}, polling=SLOW)
        for role, admin in (("web", service.admin_port), ("poll", free_port()), ("edit", free_port())):
            command = [*BMN, "run", "--role", role, "--config", str(service.config)]
            log = stack.enter_context((tmp_path / f"{role}.log").open("w"))
            process = subprocess.Popen([*command, "--admin-listen", f"127.0.0.1:{admin}"], stdout=log, stderr=log)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        hub.wait_for_subscriber(topic)
        assert hub.push(topic, an_rss(TWO)) == 202
        wait_for(lambda: titles(service) == {ONE[1], TWO[1]}, about="the pushed entry, served by the web server")
        assert len(origin.asked_for("/feed")) == 1
    assert " push feed=" in (tmp_path / "poll.log").read_text()
    assert "Traceback" not in "".join((tmp_path / f"{role}.log").read_text() for role in ("web", "poll", "edit"))
