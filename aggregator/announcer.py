"""Tells hubs that our feeds changed: a publishing pass comes in, one question a topic and hub goes out. The effects
around `publish.hub`.

The process that edits runs it, no other. What is to be told is a query (`store.hub`), so a process may die between
publishing and telling, and a hub that is away hears later, once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from aggregator import urls
from aggregator.claims import Database
from aggregator.config import Config
from aggregator.config_secrets import revealed
from aggregator.daemon import Log
from aggregator.ingest import politeness
from aggregator.ingest.fetch import Fetcher
from aggregator.metrics import Metrics
from aggregator.publish import hub
from aggregator.store import Ping, Store
from aggregator.types import Answered, FetchFailed, Rendered

_AT_A_TIME = 200  # pings looked at a beat; of one hub they go out one after the other


class Announcer:
    """Knows which documents are topics, and tells the hubs of the configuration when they change."""

    def __init__(
        self,
        store: Store,
        database: Database,
        fetcher: Fetcher,
        metrics: Metrics,
        log: Log,
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._database, self._fetcher = store, database, fetcher
        self._metrics, self._log, self._now = metrics, log, now
        self._noted: object = None
        self._telling: dict[str, asyncio.Task[None]] = {}

    def configure(self, config: Config) -> None:
        """Tell the hubs of this configuration; with none, and no hub of our own, there are no topics."""
        own = hub.own_address(config.site.public_url)
        self._hubs = tuple(each for each in dict.fromkeys(config.websub.hubs) if each != own)
        self._proxy = revealed(config.fetch.proxy)
        self.is_on = bool(config.websub.hubs) or config.websub.builtin_hub
        self._noted = None

    def forget(self) -> None:
        """Look at every topic anew at the next pass: another process may have noted changes since."""
        self._noted = None

    async def note(self, documents: Mapping[str, Rendered]) -> list[str]:
        """Remember which topics changed since they were noted last, by any process; their URLs."""
        if not self.is_on:
            return []
        etags = {url: document.etag for url, document in hub.topics(documents).items()}
        if (etags, self._hubs) == self._noted:
            return []
        changed = await self._database(self._store.note_topics, etags, self._hubs, self._now())
        self._noted = (etags, self._hubs)
        return changed

    async def tick(self) -> int:
        """Begin to tell the hubs that wait; how many pings."""
        if not self._hubs:
            return 0
        by_hub: dict[str, list[Ping]] = defaultdict(list)
        for ping in await self._database(self._store.due_pings, self._now(), _AT_A_TIME):
            if ping.hub_url not in self._telling:
                by_hub[ping.hub_url].append(ping)
        for hub_url, pings in by_hub.items():
            self._telling[hub_url] = asyncio.create_task(self._tell(pings), name="ping")
            self._telling[hub_url].add_done_callback(lambda _, told=hub_url: self._telling.pop(told, None))  # type: ignore[misc]
        return sum(map(len, by_hub.values()))

    async def wait(self) -> None:
        """Until those begun are over."""
        await asyncio.gather(*self._telling.values(), return_exceptions=True)

    async def stop(self) -> None:
        """Give up the pings under way; they are sent again."""
        for task in self._telling.values():
            task.cancel()
        await self.wait()

    async def _tell(self, pings: Iterable[Ping]) -> None:
        for ping in pings:
            form = (("hub.mode", "publish"), ("hub.url", ping.topic_url))
            answer = await self._fetcher.post(ping.hub_url, form, self._proxy)
            if isinstance(answer, Answered) and 200 <= answer.status < 300:
                self._metrics.hub_pings.labels("told").inc()
                await self._database(self._store.told, replace(ping, next_at=self._now() + hub.TOLD_FOR))
            else:
                await self._put_off(ping, answer)
                return

    async def _put_off(self, ping: Ping, answer: Answered | FetchFailed) -> None:
        """A hub that is down is asked once, not once for every feed."""
        is_heard, now = isinstance(answer, Answered), self._now()
        self._metrics.hub_pings.labels("refused" if is_heard else "failed").inc()
        demand, wait = politeness.retry_after(answer.headers, now), hub.retry_after(ping.tries + 1)
        wait = min(max(wait, demand.wait if demand else wait), hub.MAX_RETRY)
        later = replace(ping, tries=ping.tries + 1, next_at=now + wait)
        await self._database(self._store.not_told, later)
        self._log.warning(
            "hub_ping_failed",
            hub=urls.for_log(ping.hub_url),
            topic=urls.for_log(ping.topic_url),
            reason=f"the hub answers {answer.status}" if isinstance(answer, Answered) else answer.detail,
            tries=later.tries,
            next=later.next_at,
        )
