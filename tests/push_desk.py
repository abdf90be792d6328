"""A pipeline that listens for hubs, with one feed and one hub, on our clock: what tests of push are made of."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import Clock
from hub import Hub, running_hub
from origin import Answer, Origin
from service import Service, an_rss

from aggregator import config as configuration
from aggregator.callbacks import Callbacks
from aggregator.daemon import log
from aggregator.ingest.websub import PushState, Subscription
from aggregator.pipeline import Pipeline
from aggregator.publish.serve import listen
from aggregator.publish.site import PublicSite

ONE, TWO, THREE = ("p1", "Quillon opens a plant in Brno"), ("p2", "Fernbank buys Otterly"), ("p3", "Tarn cuts 300 jobs")
POLLING = {"every": "30m", "fastest": "5m", "slowest": "24h", "per_host": 8}


@dataclass(slots=True)
class Desk:
    """A pipeline that listens for hubs, one feed, one hub."""

    folder: Path
    service: Service
    pipeline: Pipeline
    origin: Origin
    hub: Hub
    clock: Clock

    @property
    def topic(self) -> str:
        return self.origin.url("/feed")

    def document(self, *items: tuple[str, str], etag: str = '"1"', hub: str | None = None) -> Answer:
        links = f'<{hub or self.hub.url}>; rel="hub", <{self.topic}>; rel="self"'
        return Answer(headers=(("ETag", etag), ("Link", links)), body=an_rss(*items))

    async def poll(self, *items: tuple[str, str], **how: Any) -> None:
        """The feed answers with these items and is polled; the subscriber hears of it."""
        self.origin.script("/feed", self.document(*items, **how))
        await self.pipeline.poll(await self.pipeline.feeds_to_poll((), everything=True))
        await self.pipeline.push_due()

    async def until(self, condition: Callable[[], object], about: str = "") -> None:
        """Beat until it holds."""
        deadline = asyncio.get_running_loop().time() + 40
        while not condition():
            assert asyncio.get_running_loop().time() < deadline, about or str(self.subscription())
            await self.pipeline.push_due()
            await self.pipeline.poller.wait()
            await asyncio.sleep(0.01)

    async def subscribed(self, *items: tuple[str, str]) -> None:
        await self.poll(*items or (ONE,))
        await self.until(lambda: self.topic in self.hub.callbacks, "the subscription is active")

    async def push(self, *items: tuple[str, str], **how: Any) -> int:
        return await asyncio.to_thread(self.hub.push, self.topic, an_rss(*items), **how)

    def subscription(self) -> Subscription | None:
        """The one in use, else the last one."""
        found = [
            one for feed in self.pipeline.store.feeds() for one in self.pipeline.store.subscriptions_of(feed.feed_id)
        ]
        in_use = [one for one in found if one.state not in (PushState.LEAVING, PushState.LEFT)]
        return (in_use or found or [None])[-1]

    def state(self) -> PushState | None:
        found = self.subscription()
        return found.state if found else None

    def feed(self) -> Any:
        return self.pipeline.store.feeds()[0]

    def titles(self) -> set[str]:
        with sqlite3.connect(self.folder / "news.db") as connection:
            return {row[0] for row in connection.execute("SELECT title FROM entries")}

    def metric(self, result: str) -> float:
        value: float = self.pipeline.metrics.pushes.labels(result)._value.get()
        return value

    async def reconfigure(self, sources: list[Any] | None = None, **settings: Any) -> None:
        if sources is not None:
            self.service.write_sources(sources)
        old = json.loads(self.service.config.read_text())
        self.service.config.write_text(json.dumps(old | settings))
        await self.pipeline.configure(configuration.load(self.service.config, {}))


@asynccontextmanager
async def a_desk(folder: Path, hub: Hub, **extra: Any) -> AsyncIterator[Desk]:
    clock = Clock()
    async with Origin() as origin:
        settings = {"websub": {"subscribe": True}, "polling": POLLING} | extra
        service = Service(folder, [origin.url("/feed")], **settings)
        config = configuration.load(service.config, {})
        async with Pipeline.opened(config, log(), parsers=1, now=clock) as pipeline:
            callbacks = Callbacks(pipeline.store, pipeline.database, pipeline.metrics, log(), clock)
            site = PublicSite(pipeline.publisher.shelf, hooks=callbacks)
            listener = await listen(site, str(config.site.listen), taker=site)
            try:
                yield Desk(folder, service, pipeline, origin, hub, clock)
            finally:
                await pipeline.stop()
                await listener.stop()


def at_a_desk(folder: Path, test: Callable[[Desk], Awaitable[Any]], **extra: Any) -> Any:
    async def run() -> Any:
        with running_hub() as hub:
            async with a_desk(folder, hub, **extra) as desk:
                return await test(desk)

    return asyncio.run(run())
