"""Dead feeds: their site is asked once a week where its feed is now, and the finding is kept for the operator to see.

Nothing is adopted: a site that lost its feed may offer somebody else's. Which feeds are dead and what is kept is
`polling`'s to say, what a page offers `discover`'s; the questions go out in the poller's turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from aggregator import urls
from aggregator.claims import Database
from aggregator.daemon import Log
from aggregator.ingest import polling
from aggregator.ingest.discover import feed_links, guesses
from aggregator.ingest.fetch import Fetcher
from aggregator.poller import Poller
from aggregator.store import Store
from aggregator.types import FeedState, Fetched, FetchOutcome, FetchRequest, ParsedFeed
from aggregator.workers import Workers

_AT_A_TIME = 10  # sites a beat, one after the other
_CANDIDATES = 4  # addresses tried of what a page offers


class Rediscovery:
    """Asks the sites of dead feeds."""

    def __init__(
        self,
        store: Store,
        database: Database,
        poller: Poller,
        fetcher: Fetcher,
        workers: Workers,
        log: Log,
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._database = store, database
        self._poller, self._fetcher, self._workers = poller, fetcher, workers
        self._log, self._now = log, now

    async def tick(self) -> int:
        """Ask the sites whose week is over, some of them; how many."""
        failing = await self._database(self._store.failing_feeds)
        dead = [feed for feed in failing if polling.wants_discovery(feed, self._now())]
        for feed in dead[:_AT_A_TIME]:
            await self._ask(feed)
        return min(len(dead), _AT_A_TIME)

    async def _ask(self, feed: FeedState) -> None:
        def claim(state: FeedState) -> Mapping[str, object] | None:
            # Noted before we ask: another process leaves it to us, and a page that kills us is not asked again at once.
            wants = polling.wants_discovery(state, self._now())
            return polling.with_discovery(state, (), self._now()).memory if wants else None

        if feed.site_url is None or await self._database(self._store.remember, feed.feed_id, claim) is None:
            return
        page = await self._fetch(feed.site_url, feed)
        if page is None:  # its host wants patience, or is another process's: next time
            await self._database(self._store.remember, feed.feed_id, lambda state: _unasked(state, feed))
            return
        found = await self._feeds_of(page, feed) if isinstance(page, Fetched) else ()
        if not found:
            return
        now = self._now()
        await self._database(
            self._store.remember, feed.feed_id, lambda state: polling.with_discovery(state, found, now).memory
        )
        self._log.warning(
            "feed_offered",
            feed=urls.for_log(feed.url),
            site=urls.for_log(feed.site_url),
            offers=urls.for_log(found[0]),
            remedy="put it into sources.yaml if it is the same feed",
        )

    async def _feeds_of(self, page: Fetched, feed: FeedState) -> tuple[str, ...]:
        """What the page offers that is a feed, those with the title we know first."""
        # Off the loop: a page of a megabyte takes a tenth of a second.
        offered = await asyncio.get_running_loop().run_in_executor(None, feed_links, page.body, page.final_url)
        candidates = tuple(link.url for link in offered) or guesses(page.final_url)
        fresh = [url for url in dict.fromkeys(candidates) if url not in (feed.url, feed.current_url)]
        found: list[tuple[bool, str]] = []
        for url in fresh[:_CANDIDATES]:
            document = await self._fetch(url, feed)
            if isinstance(document, Fetched) and (parsed := await self._parsed(document)) is not None:
                found.append((parsed.title != feed.title, document.final_url))
        return tuple(url for _, url in sorted(found, key=lambda pair: pair[0]))

    async def _fetch(self, url: str, feed: FeedState) -> FetchOutcome | None:
        request = FetchRequest(url, proxy=self._poller.proxy, configured_url=feed.url)
        return await self._poller.turns.ask(url, lambda: self._fetcher.fetch(request))

    async def _parsed(self, document: Fetched) -> ParsedFeed | None:
        kind = document.headers.get("content-type")
        parsed = await self._workers.parse(document.body, document.final_url, kind, frozenset(), self._now())
        return parsed if isinstance(parsed, ParsedFeed) else None


def _unasked(state: FeedState, before: FeedState) -> Mapping[str, object]:
    """The memory of `state` with the finding that it had before."""
    kept = {name: value for name, value in state.memory.items() if name != "discovery"}
    return kept | ({"discovery": before.memory["discovery"]} if "discovery" in before.memory else {})
