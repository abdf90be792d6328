"""What the machine does to us: its clock jumps, DNS is gone, it forks no more. Nothing is lost, told twice or stuck."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from builders import NOW
from origin import Answer, Origin
from service import Service, an_rss
from test_workers import SMALL

from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.ingest import names
from aggregator.ingest.hosts import HostState, turn
from aggregator.pipeline import Pipeline
from aggregator.types import FailureReason, ParsedFeed, ParseFailed
from aggregator.workers import Workers

ITEMS = [
    (f"k{number}", f"{name} opens a harbour") for number, name in enumerate(("Tarn", "Quillon", "Otterly", "Fern"))
]
DAY = timedelta(days=1)


@dataclass
class AClock:
    """A wall clock that somebody sets."""

    now: object = NOW

    def __call__(self) -> object:
        return self.now


async def due(pipeline: Pipeline) -> int:
    """What the metronome does: polls what is due, groups and publishes; how many were polled."""
    begun = await pipeline.poll_due()
    await pipeline.poller.wait()
    await pipeline.group_new()
    await pipeline.publish()
    return begun


def published(pipeline: Pipeline) -> dict[str, str]:
    """Titles and ids in the main feed."""
    items = json.loads(pipeline.publisher.shelf.get("/news.json").body)["items"]
    assert len({item["id"] for item in items}) == len(items)
    return {item["title"]: item["id"] for item in items}


def with_pipeline(
    folder: Path, use: Callable[[Pipeline, Origin, AClock], Awaitable[None]], database: str = "sqlite:///news.db"
) -> None:
    async def run() -> None:
        clock = AClock()
        async with Origin() as origin:
            service = Service(folder, [origin.url("/feed")], database, polling={"every": "30m", "slowest": "24h"})
            config = configuration.load(service.config, {})
            async with Pipeline.opened(config, log(), parsers=1, now=clock) as pipeline:  # type: ignore[arg-type]
                await use(pipeline, origin, clock)
                await pipeline.stop()

    asyncio.run(run())


def test_a_clock_set_forward_and_back_by_a_day_loses_nothing_and_stops_nothing(tmp_path, store_url):
    async def use(pipeline: Pipeline, origin: Origin, clock: AClock) -> None:
        origin.script("/feed", *(Answer(body=an_rss(*reversed(ITEMS[:count]))) for count in (1, 2, 3, 4)))
        ids: dict[str, str] = {}
        for count, jump in ((1, timedelta(0)), (2, DAY), (3, -DAY), (4, -DAY)):
            clock.now += jump
            assert await due(pipeline) == 1, f"after a jump of {jump} the feed is polled"
            now = published(pipeline)
            assert set(now) == {title for _, title in ITEMS[:count]}
            assert ids.items() <= now.items(), "an id changed"
            ids = now
        assert await due(pipeline) == 0, "once, not for ever"
        assert pipeline.store.counts(clock.now).entries == 4

    with_pipeline(tmp_path, use, store_url)


def test_a_host_is_not_left_alone_for_the_day_that_its_clock_lost():
    asked = HostState("example.org", last_at=NOW + DAY)
    assert turn(asked, NOW)[0] == 0
    queued = HostState("example.org", last_at=NOW + timedelta(minutes=5))
    assert turn(queued, NOW)[0] > 300


def test_while_dns_is_gone_what_was_published_stays_and_it_goes_on_afterwards(tmp_path, monkeypatch):
    is_gone = False

    def look_up(host: str) -> list[object]:
        if is_gone:
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(names, "_look_up", look_up)

    async def use(pipeline: Pipeline, origin: Origin, clock: AClock) -> None:
        nonlocal is_gone
        service = Service(tmp_path, [origin.url("/feed", host="news.example")])
        await pipeline.configure(configuration.load(service.config, {}))
        origin.script("/feed", *(Answer(body=an_rss(*ITEMS[:count]), close=True) for count in (1, 2)))
        assert await due(pipeline) == 1
        before = published(pipeline)
        is_gone = True
        pipeline.poller._fetcher._names.forget()
        clock.now += DAY
        assert await due(pipeline) == 1
        (feed,) = pipeline.store.feeds()
        assert (feed.failure_reason, published(pipeline)) == (FailureReason.DNS, before)
        is_gone = False
        clock.now += DAY
        assert await due(pipeline) == 1
        assert before.items() < published(pipeline).items()

    with_pipeline(tmp_path, use)


def test_where_no_child_can_be_forked_a_document_waits_for_the_next_poll(monkeypatch):
    """The machine is out of processes (EAGAIN) when a child must be replaced."""
    real = subprocess.Popen
    refusals = iter([True, True])

    def popen(*arguments: object, **options: object) -> object:
        if next(refusals, False):
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return real(*arguments, **options)  # type: ignore[call-overload]

    async def run() -> list[ParsedFeed | ParseFailed]:
        async with Workers(1) as workers:
            (child,) = workers._children
            child._process.kill()
            child._process.wait()
            monkeypatch.setattr(subprocess, "Popen", popen)
            return [await workers.parse(SMALL, "https://example.org/", None, frozenset(), NOW) for _ in range(3)]

    first, second, third = asyncio.run(run())
    for failed in (first, second):
        assert isinstance(failed, ParseFailed)
        assert failed.reason is FailureReason.INTERNAL
        assert "cannot start a parse child" in failed.detail
    assert isinstance(third, ParsedFeed)
