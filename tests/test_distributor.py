"""The hub that we are: subscribers ask, confirm and are brought what changed. Real sockets, our clock."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from builders import Clock
from origin import Answer, Asked, Origin, served
from postgres import postgres_server, postgres_url, sqlite_template, store_url  # noqa: F401
from service import Service, an_rss, get
from service import wait_for as wait_so_long

from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.ingest import names
from aggregator.pipeline import Pipeline
from aggregator.publish.serve import listen
from aggregator.publish.site import PublicSite
from aggregator.store import Room

ONE, TWO, THREE = ("p1", "Quillon opens a plant in Brno"), ("p2", "Fernbank buys Otterly"), ("p3", "Tarn cuts 300 jobs")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(slots=True)
class Subscriber(Origin):
    """Callbacks at any path. `echo` makes of a challenge what is answered to a question, with status `confirms`; pushes
    get `takes`."""

    confirms: int = 200
    takes: Answer = field(default_factory=lambda: Answer(204))
    echo: Callable[[str], str] = lambda challenge: challenge
    asked_back: list[dict[str, str]] = field(default_factory=list)
    brought: list[Asked] = field(default_factory=list)

    def _next_answer(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            self.brought.append(asked)
            return self.takes
        query = {name: values[0] for name, values in parse_qs(urlsplit(asked.target).query).items()}
        self.asked_back.append(query)
        return Answer(self.confirms, body=self.echo(query.get("hub.challenge", "")).encode())


@dataclass(slots=True)
class Desk:
    """A pipeline that is a hub, one source, one merged feed; a subscriber."""

    service: Service
    pipeline: Pipeline
    origin: Origin
    subscriber: Subscriber
    clock: Clock

    @property
    def topic(self) -> str:
        return f"{self.service.url}/news.atom"

    async def publish(self, *items: tuple[str, str]) -> None:
        self.origin.script("/feed", Answer(body=an_rss(*items)))
        await self.pipeline.poll(await self.pipeline.feeds_to_poll((), everything=True))

    async def ask(self, mode: str = "subscribe", callback: str = "/cb", **fields: str) -> tuple[int, str]:
        """What our hub says to a request; a callback that is a path is the subscriber's."""
        url = self.subscriber.url(callback) if callback.startswith("/") else callback
        form = {"hub.mode": mode, "hub.callback": url, "hub.topic": self.topic}
        form |= {f"hub.{name}": value for name, value in fields.items()}
        return await asyncio.to_thread(posted, f"{self.service.url}/hub", form)

    async def beat(self, later: timedelta = timedelta(0)) -> None:
        self.clock.at += later
        await self.pipeline.announce()
        await self.pipeline.parts.distributor.wait()

    async def subscribed(self, **fields: str) -> None:
        await self.publish(ONE)
        assert (await self.ask(**fields))[0] == 202
        await self.beat()
        assert self.counts() == (1, 0)

    def counts(self) -> tuple[int, int]:
        """Subscriptions in force, requests that wait."""
        return self.pipeline.store.hub_counts()

    def metric(self, name: str, outcome: str) -> float:
        value: float = getattr(self.pipeline.metrics, name).labels(outcome)._value.get()
        return value

    async def reconfigure(self, **settings: Any) -> None:
        old = json.loads(self.service.config.read_text())
        self.service.config.write_text(json.dumps(old | settings))
        await self.pipeline.configure(configuration.load(self.service.config, {}))
        await self.pipeline.publish()


def posted(url: str, form: dict[str, str], **headers: str) -> tuple[int, str]:
    try:
        with urlopen(Request(url, urlencode(form).encode(), headers), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def a_service(folder: Path, origin: Origin, **settings: Any) -> Service:
    told = {"feeds": [{"slug": "news", "sections": ["companies"]}], "websub": {"builtin_hub": True}}
    return Service(folder, [origin.url("/feed")], **(told | settings))


@asynccontextmanager
async def a_desk(service: Service, origin: Origin, subscriber: Subscriber, clock: Clock) -> AsyncIterator[Desk]:
    config = configuration.load(service.config, {})
    async with Pipeline.opened(config, log(), parsers=1, now=clock) as pipeline:
        site = PublicSite(pipeline.publisher.shelf, hub=pipeline.parts.reception)
        listener = await listen(site, str(config.site.listen), taker=site)
        try:
            yield Desk(service, pipeline, origin, subscriber, clock)
        finally:
            await pipeline.stop()
            await listener.stop()


def at_a_desk(folder: Path, test: Callable[[Desk], Awaitable[Any]], **settings: Any) -> Any:
    async def run() -> Any:
        async with (
            Origin() as origin,
            Subscriber() as subscriber,
            a_desk(a_service(folder, origin, **settings), origin, subscriber, Clock()) as desk,
        ):
            return await test(desk)

    return asyncio.run(run())


# ---------------------------------------------------------------- from a request to a delivery


def test_a_subscriber_confirms_and_is_brought_the_feed_signed(tmp_path, store_url):  # noqa: F811
    async def test(desk: Desk) -> None:
        await desk.subscribed(secret="a secret, ünlike others", lease_seconds="3600")
        (question,) = desk.subscriber.asked_back
        assert len(question.pop("hub.challenge")) >= 32
        assert question == {"hub.mode": "subscribe", "hub.topic": desk.topic, "hub.lease_seconds": "3600"}
        await desk.beat(MINUTE)
        assert desk.subscriber.brought == [], "what it could read when it subscribed is not brought"
        await desk.publish(TWO, ONE)
        await desk.beat()
        (brought,) = desk.subscriber.brought
        document = desk.pipeline.publisher.shelf.documents["/news.atom"]
        assert TWO[1].encode() in document.body
        assert brought.body == document.body
        assert brought.header("content-type") == "application/atom+xml; charset=utf-8"
        assert brought.header("link") == f'<{desk.service.url}/hub>; rel="hub", <{desk.topic}>; rel="self"'
        signature = hmac.new("a secret, ünlike others".encode(), brought.body, "sha256").hexdigest()
        assert brought.header("x-hub-signature") == f"sha256={signature}"
        await desk.beat(MINUTE)
        assert len(desk.subscriber.brought) == 1
        assert desk.metric("hub_deliveries", "delivered") == 1

    at_a_desk(tmp_path, test, database=store_url)


def test_without_a_secret_nothing_is_signed_and_the_callbacks_query_stays(tmp_path):
    async def test(desk: Desk) -> None:
        await desk.publish(ONE)
        await desk.ask(callback="/cb?who=me")
        await desk.beat()
        await desk.publish(TWO, ONE)
        await desk.beat()
        assert desk.subscriber.asked_back[0]["who"] == "me"
        assert desk.subscriber.asked_back[0]["hub.lease_seconds"] == str(10 * 86400)
        (brought,) = desk.subscriber.brought
        assert brought.target == "/cb?who=me"
        assert brought.header("x-hub-signature") is None

    at_a_desk(tmp_path, test)


def test_changes_in_quick_succession_are_brought_together(tmp_path):
    async def test(desk: Desk) -> list[int]:
        await desk.subscribed()
        counts = []
        for number in range(1, 4):
            await desk.publish(*[(f"n{each}", f"Number {each} of a flood of news") for each in range(number)])
            await desk.beat(timedelta(seconds=10))
            counts.append(len(desk.subscriber.brought))
        await desk.beat(timedelta(seconds=20))
        assert b"Number 2" in desk.subscriber.brought[-1].body
        return [*counts, len(desk.subscriber.brought)]

    assert at_a_desk(tmp_path, test) == [1, 1, 1, 2]


def test_a_change_between_request_and_confirmation_is_brought(tmp_path):
    async def test(desk: Desk) -> int:
        await desk.publish(ONE)
        await desk.ask()
        await desk.publish(TWO, ONE)
        await desk.beat()
        await desk.beat()
        return len(desk.subscriber.brought)

    assert at_a_desk(tmp_path, test) == 1


def test_what_was_published_before_a_restart_is_brought_after_it(tmp_path):
    async def run() -> list[Asked]:
        async with Origin() as origin, Subscriber() as subscriber:
            service, clock = a_service(tmp_path, origin), Clock()
            async with a_desk(service, origin, subscriber, clock) as desk:
                await desk.subscribed()
                await desk.publish(TWO, ONE)
            async with a_desk(service, origin, subscriber, clock) as desk:
                await desk.pipeline.publish()
                await desk.beat()
                await desk.beat(MINUTE)
            return subscriber.brought

    (brought,) = asyncio.run(run())
    assert TWO[1].encode() in brought.body


def test_who_unsubscribes_is_brought_nothing_more(tmp_path):
    async def test(desk: Desk) -> None:
        await desk.subscribed()
        assert (await desk.ask("unsubscribe"))[0] == 202
        await desk.beat()
        assert desk.subscriber.asked_back[-1]["hub.mode"] == "unsubscribe"
        assert "hub.lease_seconds" not in desk.subscriber.asked_back[-1]
        assert desk.counts() == (0, 0)
        await desk.publish(TWO, ONE)
        await desk.beat()
        assert desk.subscriber.brought == []

    at_a_desk(tmp_path, test)


def test_nobody_ends_a_subscription_that_its_callback_wants_to_keep(tmp_path):
    async def test(desk: Desk) -> tuple[int, int]:
        await desk.subscribed()
        desk.subscriber.confirms = 404
        await desk.ask("unsubscribe")
        await desk.beat()
        return desk.counts()

    assert at_a_desk(tmp_path, test) == (1, 0)


def test_a_lease_ends_unless_it_is_renewed(tmp_path):
    async def test(desk: Desk) -> list[tuple[int, int]]:
        await desk.subscribed(lease_seconds="3600", secret="old")
        desk.clock.at += 50 * MINUTE
        await desk.ask(lease_seconds="3600", secret="new")
        await desk.beat()
        counts = [desk.counts()]
        await desk.beat(30 * MINUTE)  # beyond the first lease
        await desk.publish(TWO, ONE)
        await desk.beat()
        (brought,) = desk.subscriber.brought
        signature = hmac.new(b"new", brought.body, "sha256").hexdigest()
        assert brought.header("x-hub-signature") == f"sha256={signature}"
        await desk.beat(31 * MINUTE)
        counts.append(desk.counts())
        await desk.publish(THREE, TWO, ONE)
        await desk.beat()
        assert len(desk.subscriber.brought) == 1
        return counts

    assert at_a_desk(tmp_path, test) == [(1, 0), (0, 0)]


# ---------------------------------------------------------------- callbacks that do not want it, or are none


@pytest.mark.parametrize(
    ("setting", "tries"),
    [
        ({"echo": lambda challenge: challenge[:-1]}, 1),
        ({"echo": lambda challenge: challenge + "\n"}, 1),
        ({"echo": lambda challenge: ""}, 1),
        ({"confirms": 404}, 1),
        ({"confirms": 302}, 1),
        ({"confirms": 500}, 3),
    ],
    ids=["a part of the challenge", "more than the challenge", "nothing", "404", "a redirect", "500"],
)
def test_what_is_not_confirmed_does_not_count(tmp_path, setting, tries):
    async def test(desk: Desk) -> tuple[int, tuple[int, int]]:
        for name, value in setting.items():
            setattr(desk.subscriber, name, value)
        await desk.publish(ONE)
        assert (await desk.ask())[0] == 202
        for _ in range(6):
            await desk.beat(5 * MINUTE)
        return len(desk.subscriber.asked_back), desk.counts()

    assert at_a_desk(tmp_path, test) == (tries, (0, 0))


def test_a_private_callback_is_refused_however_it_is_spelt(tmp_path):
    async def test(desk: Desk) -> list[tuple[int, str]]:
        await desk.publish(ONE)
        return [
            await desk.ask(callback=callback)
            for callback in (
                "http://10.1.2.3/cb",
                "http://0x7f.1/cb",
                "http://[::ffff:192.168.0.1]/",
                "http://localhost/",
            )
        ]

    said = at_a_desk(tmp_path, test, fetch={"allow_networks": []})
    assert [status for status, _ in said] == [403] * 4
    assert "private" in said[0][1]


def test_a_name_that_leads_inside_is_not_asked(tmp_path, monkeypatch):
    real = names._look_up

    def look_up(host: str) -> Any:
        return real("127.0.0.1" if host == "harmless.example" else host)

    monkeypatch.setattr(names, "_look_up", look_up)

    async def test(desk: Desk) -> tuple[tuple[int, int], int, float]:
        await desk.publish(ONE)
        assert (await desk.ask(callback=f"http://harmless.example:{desk.subscriber.port}/cb"))[0] == 202
        await desk.beat()
        return desk.counts(), desk.subscriber.connections, desk.metric("hub_verifications", "refused")

    assert at_a_desk(tmp_path, test, fetch={"allow_networks": []}) == ((0, 0), 0, 1)


def test_a_host_whose_callbacks_say_no_is_asked_ever_more_rarely(tmp_path):
    async def test(desk: Desk) -> int:
        desk.subscriber.confirms = 404
        await desk.publish(ONE)
        for number in range(40):
            await desk.ask(callback=f"/cb{number}")
        for _ in range(60):
            await desk.beat(timedelta(seconds=1))
        return len(desk.subscriber.asked_back)

    assert at_a_desk(tmp_path, test) == 6  # after 0, 1, 3, 7, 15 and 31 seconds


# ---------------------------------------------------------------- deliveries that fail


def test_410_ends_a_subscription(tmp_path):
    async def test(desk: Desk) -> tuple[tuple[int, int], float]:
        await desk.subscribed()
        desk.subscriber.takes = Answer(410)
        await desk.publish(TWO, ONE)
        await desk.beat()
        return desk.counts(), desk.metric("hub_deliveries", "gone")

    assert at_a_desk(tmp_path, test) == ((0, 0), 1)


def test_a_delivery_that_fails_is_tried_again_with_what_is_new_by_then(tmp_path):
    async def test(desk: Desk) -> None:
        await desk.subscribed()
        desk.subscriber.takes = Answer(500)
        await desk.publish(TWO, ONE)
        await desk.beat()
        await desk.beat(timedelta(seconds=59))
        assert len(desk.subscriber.brought) == 1
        await desk.publish(THREE, TWO, ONE)
        desk.subscriber.takes = Answer(200)
        await desk.beat(timedelta(seconds=1))
        await desk.beat(DAY)
        assert len(desk.subscriber.brought) == 2
        assert THREE[1].encode() in desk.subscriber.brought[1].body

    at_a_desk(tmp_path, test)


def test_who_asks_for_patience_gets_it(tmp_path):
    async def test(desk: Desk) -> list[int]:
        await desk.subscribed()
        desk.subscriber.takes = Answer(429, headers=(("Retry-After", "1800"),))
        await desk.publish(TWO, ONE)
        counts = []
        for later in (timedelta(0), 29 * MINUTE, MINUTE):
            await desk.beat(later)
            counts.append(len(desk.subscriber.brought))
        return counts

    assert at_a_desk(tmp_path, test) == [1, 1, 2]


def test_who_never_takes_it_is_dropped_in_the_end(tmp_path):
    async def test(desk: Desk) -> tuple[int, tuple[int, int]]:
        await desk.subscribed()
        desk.subscriber.takes = Answer(302, headers=(("Location", desk.subscriber.url("/else")),))
        await desk.publish(TWO, ONE)
        for _ in range(20):
            await desk.beat(6 * HOUR)
        return len(desk.subscriber.brought), desk.counts()

    assert at_a_desk(tmp_path, test) == (11, (0, 0))


def test_a_host_that_is_down_is_asked_once_for_all_of_its_callbacks(tmp_path):
    async def test(desk: Desk) -> tuple[float, float]:
        await desk.publish(ONE)
        for number in range(5):
            await desk.ask(callback=f"/cb{number}")
            await desk.beat()
        assert desk.counts() == (5, 0)
        await desk.publish(TWO, ONE)
        port = desk.subscriber.port
        await desk.subscriber.stop()
        await desk.beat()
        await desk.beat()
        down = desk.metric("hub_deliveries", "failed")
        desk.subscriber.port = port
        await desk.subscriber.start()
        await desk.beat(MINUTE)
        return down, desk.metric("hub_deliveries", "delivered")

    assert at_a_desk(tmp_path, test) == (1, 5)


# ---------------------------------------------------------------- what is too much


def test_so_many_subscriptions_and_no_more(tmp_path):
    async def test(desk: Desk) -> list[int]:
        desk.pipeline.parts.reception._room = Room(waiting=3, waiting_of_host=2, subscribers=2, subscribers_of_host=2)
        await desk.publish(ONE)
        statuses = [(await desk.ask(callback=f"/cb{number}"))[0] for number in range(3)]
        statuses.append((await desk.ask(callback="https://one.example/cb"))[0])
        statuses.append((await desk.ask(callback="https://two.example/cb"))[0])
        await desk.beat()
        await desk.beat()
        statuses.append((await desk.ask(callback="/cb3"))[0])  # two of this host are in force
        statuses.append((await desk.ask(callback="/cb1", secret="renewed"))[0])
        statuses.append((await desk.ask("unsubscribe", callback="/cb0"))[0])
        return statuses

    assert at_a_desk(tmp_path, test) == [202, 202, 429, 202, 503, 429, 202, 202]


def test_a_flood_is_answered_with_503_and_leaves_the_rest_alone(tmp_path):
    async def test(desk: Desk) -> None:
        await desk.publish(ONE)
        statuses = [(await desk.ask(topic="https://else.example/feed"))[0] for _ in range(70)]
        assert statuses == [404] * 60 + [503] * 10
        assert (await asyncio.to_thread(get, desk.topic))[0] == 200
        desk.clock.at += timedelta(seconds=1)
        statuses = [(await desk.ask(topic="https://else.example/feed"))[0] for _ in range(7)]
        assert statuses == [404] * 5 + [503] * 2
        assert desk.counts() == (0, 0)
        assert desk.metric("hub_requests", "busy") == 12

    at_a_desk(tmp_path, test)


def test_a_repeated_request_is_one_question(tmp_path):
    async def test(desk: Desk) -> tuple[tuple[int, int], int]:
        await desk.publish(ONE)
        for _ in range(5):
            await desk.ask()
        counts = desk.counts()
        await desk.beat()
        await desk.beat(MINUTE)
        return counts, len(desk.subscriber.asked_back)

    assert at_a_desk(tmp_path, test) == ((0, 1), 1)


# ---------------------------------------------------------------- being a hub, or not


def test_the_hub_is_named_by_the_feeds_and_answers_only_where_it_is_on(tmp_path):
    async def test(desk: Desk) -> None:
        await desk.subscribed()
        feed = await asyncio.to_thread(get, desk.topic)
        assert f"{desk.service.url}/hub".encode() in feed[2]
        assert (await asyncio.to_thread(get, f"{desk.service.url}/hub"))[0] == 405
        await desk.reconfigure(websub={"builtin_hub": False})
        assert (await desk.ask())[0] == 405
        assert (await asyncio.to_thread(get, f"{desk.service.url}/hub"))[0] == 404
        await desk.publish(TWO, ONE)
        await desk.beat()
        assert desk.subscriber.brought == []
        await desk.reconfigure(websub={"builtin_hub": True})
        await desk.beat()
        assert len(desk.subscriber.brought) == 1

    at_a_desk(tmp_path, test)


def test_subscriptions_of_a_feed_that_is_no_more_end(tmp_path):
    async def test(desk: Desk) -> tuple[int, int]:
        await desk.subscribed()
        await desk.reconfigure(feeds=[{"slug": "other", "sections": ["companies"]}])
        return desk.counts()

    assert at_a_desk(tmp_path, test) == (0, 0)


def test_one_daemon_pushes_to_another(tmp_path):
    """Our own subscriber at our own hub: two daemons, two stores; the second polls once an hour."""

    def titles(service: Service) -> set[str]:
        status, _, body = get(f"{service.url}/news.json")
        return {item["title"] for item in json.loads(body)["items"]} if status == 200 else set()

    slow = {"every": "1h", "fastest": "1h", "slowest": "24h", "per_host": 8}
    with served(Origin()) as origin:
        origin.script("/feed", Answer(body=an_rss(ONE)))
        for name in ("giver", "taker"):
            (tmp_path / name).mkdir()
        giver = a_service(tmp_path / "giver", origin)
        taker = Service(tmp_path / "taker", [f"{giver.url}/news.atom"], websub={"subscribe": True}, polling=slow)
        with giver.running():
            wait_so_long(lambda: titles(giver) == {ONE[1]}, 40, "the first story")
            with taker.running():
                wait_so_long(
                    lambda: (
                        b'bmn_hub_verifications_total{outcome="confirmed"} 1.0' in get(f"{giver.admin_url}/metrics")[2]
                    ),
                    40,
                    "the subscription",
                )
                origin.script("/feed", Answer(body=an_rss(TWO, ONE)))
                wait_so_long(lambda: titles(taker) == {ONE[1], TWO[1]}, 40, "the pushed story")
                pushes = get(f"{taker.admin_url}/metrics")[2]
    assert b'bmn_pushes_total{result="kept"} ' in pushes
    assert "Traceback" not in giver.log() + taker.log()
