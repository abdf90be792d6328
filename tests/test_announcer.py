"""Hubs are told of feeds that changed: a pipeline, a real hub behind a socket, our clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from builders import Clock
from origin import Answer, Origin
from postgres import postgres_server, postgres_url, sqlite_template, store_url  # noqa: F401
from service import Service, an_rss

from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.pipeline import Pipeline
from aggregator.roles import Role

ONE, TWO, THREE = ("p1", "Quillon opens a plant in Brno"), ("p2", "Fernbank buys Otterly"), ("p3", "Tarn cuts 300 jobs")
FEEDS = [{"slug": "news", "sections": ["companies"]}]
MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class Desk:
    """A pipeline with one source and one merged feed, and the hub that it tells."""

    service: Service
    pipeline: Pipeline
    origin: Origin
    clock: Clock

    async def publish(self, *items: tuple[str, str]) -> None:
        """The source brings these items, and they are published."""
        self.origin.script("/feed", Answer(body=an_rss(*items)))
        await self.pipeline.poll(await self.pipeline.feeds_to_poll((), everything=True))

    async def beat(self, later: timedelta = timedelta(0)) -> list[str]:
        """The kinds of the feed that the hub was told of in this beat."""
        self.clock.at += later
        before = len(self.told())
        await self.pipeline.announce()
        await self.pipeline.announcer.wait()
        return sorted(url.rpartition(".")[2] for url in self.told()[before:])

    def told(self, target: str = "/hub") -> list[str]:
        forms = [parse_qs(asked.body.decode()) for asked in self.origin.asked_for(target)]
        assert all(form["hub.mode"] == ["publish"] for form in forms)
        return [form["hub.url"][0] for form in forms]

    def metric(self, outcome: str) -> float:
        value: float = self.pipeline.metrics.hub_pings.labels(outcome)._value.get()
        return value

    async def reconfigure(self, **settings: Any) -> None:
        old = json.loads(self.service.config.read_text())
        self.service.config.write_text(json.dumps(old | settings))
        await self.pipeline.configure(configuration.load(self.service.config, {}))


def a_service(folder: Path, origin: Origin, **settings: Any) -> Service:
    told = {"feeds": FEEDS, "websub": {"hubs": [origin.url("/hub")]}}
    return Service(folder, [origin.url("/feed")], **(told | settings))


@asynccontextmanager
async def a_desk(service: Service, origin: Origin, clock: Clock, role: Role | None = None) -> AsyncIterator[Desk]:
    config = configuration.load(service.config, {})
    async with Pipeline.opened(config, log(), parsers=1, now=clock, role=role) as pipeline:
        yield Desk(service, pipeline, origin, clock)
        await pipeline.stop()


def at_a_desk(folder: Path, test: Callable[[Desk], Awaitable[Any]], **settings: Any) -> Any:
    async def run() -> Any:
        async with Origin() as origin:
            origin.script("/hub", Answer(204))
            async with a_desk(a_service(folder, origin, **settings), origin, Clock()) as desk:
                return await test(desk)

    return asyncio.run(run())


def test_a_hub_hears_of_every_format_once(tmp_path, store_url):  # noqa: F811
    async def test(desk: Desk) -> list[list[str]]:
        await desk.publish(ONE)
        told = [await desk.beat(), await desk.beat(MINUTE)]
        assert desk.told()[0].startswith(f"{desk.service.url}/")
        await desk.publish(TWO, ONE)
        return [*told, await desk.beat()]

    top = ["atom", "atom", "json", "json", "rss", "rss"]  # the merged feed and the top stories
    first, none, second = at_a_desk(tmp_path, test, database=store_url)
    assert first == top
    assert none == []
    assert second in (top, ["atom", "json", "rss"])  # a story that one source tells is no top story


def test_a_feed_that_changes_often_is_told_of_every_half_minute(tmp_path):
    async def test(desk: Desk) -> list[int]:
        told = []
        for number in range(4):
            await desk.publish(*[(f"n{each}", f"Number {each} of a flood of news") for each in range(number + 1)])
            await desk.beat(timedelta(seconds=10))
            told.append(sum(url.endswith("/news.atom") for url in desk.told()))
        await desk.beat(timedelta(seconds=30))
        return [*told, sum(url.endswith("/news.atom") for url in desk.told())]

    assert at_a_desk(tmp_path, test) == [1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("answer", "outcome", "again_in"),
    [
        (Answer(500), "refused", MINUTE),
        (Answer(404), "refused", MINUTE),
        (Answer(raw=b"no HTTP\r\n\r\n"), "failed", MINUTE),
        (Answer(503, headers=(("Retry-After", "600"),)), "refused", 10 * MINUTE),
    ],
    ids=["fails", "knows nothing", "is broken", "asks for patience"],
)
def test_a_hub_that_fails_is_asked_once_and_again_later(tmp_path, answer, outcome, again_in):
    async def test(desk: Desk) -> list[int]:
        desk.origin.script("/hub", answer)
        await desk.publish(ONE)
        asked = [len(await desk.beat()), len(await desk.beat()), len(await desk.beat(again_in - timedelta(seconds=1)))]
        assert desk.metric(outcome) == 1
        desk.origin.script("/hub", Answer(202))
        return [*asked, len(set(await desk.beat(timedelta(seconds=1)))), len(await desk.beat(timedelta(days=1)))]

    assert at_a_desk(tmp_path, test) == [1, 0, 0, 3, 0]


def test_a_private_hub_is_not_asked_unless_it_is_allowed(tmp_path):
    async def test(desk: Desk) -> tuple[list[str], float]:
        await desk.publish(ONE)
        return await desk.beat(), desk.metric("failed")

    settings = {"websub": {"hubs": ["http://10.1.2.3/hub"]}}
    assert at_a_desk(tmp_path, test, **settings) == ([], 1)


def test_what_was_published_before_a_restart_is_told_after_it_and_once(tmp_path):
    async def run() -> list[list[str]]:
        async with Origin() as origin:
            origin.script("/hub", Answer(204))
            service, clock, told = a_service(tmp_path, origin), Clock(), []
            async with a_desk(service, origin, clock) as desk:
                await desk.publish(ONE)
            for _ in range(2):
                async with a_desk(service, origin, clock) as desk:
                    told.append(await desk.beat())
                    await desk.pipeline.publish()
                    told.append(await desk.beat(MINUTE))
            return told

    first, *later = asyncio.run(run())
    assert {"atom", "rss", "json"} <= set(first)
    assert later == [[], [], []]


def test_a_hub_that_is_taken_out_hears_nothing_more_and_a_new_one_everything(tmp_path):
    async def test(desk: Desk) -> tuple[int, int]:
        desk.origin.script("/other", Answer(204))
        await desk.publish(ONE)
        await desk.reconfigure(websub={"hubs": [desk.origin.url("/other")]})
        await desk.pipeline.publish()
        await desk.beat()
        return len(desk.told("/hub")), len(desk.told("/other"))

    old, new = at_a_desk(tmp_path, test)
    assert (old, new > 2) == (0, True)


def test_a_process_that_only_edits_tells_too(tmp_path, postgres_url):  # noqa: F811
    async def run() -> list[str]:
        async with Origin() as origin:
            origin.script("/hub", Answer(204))
            service, clock = a_service(tmp_path, origin, database=postgres_url), Clock()
            async with a_desk(service, origin, clock) as desk:
                desk.origin.script("/feed", Answer(body=an_rss(ONE)))
                feeds = await desk.pipeline.poller.claim(await desk.pipeline.feeds_to_poll((), everything=True))
                await desk.pipeline.poller.start(feeds)
                await desk.pipeline.poller.wait()
            async with a_desk(service, origin, clock, Role.EDIT) as desk:
                await desk.pipeline.edit()
                await desk.pipeline.publish()
                return await desk.beat()

    assert {"atom", "rss", "json"} <= set(asyncio.run(run()))
