"""Polls: due feeds in, results for `commits` out. The effects around the pure stages fetch → parse → changes → polling.

Many polls run at once, each to its end, at each server in its turn (`turns`). What hubs bring goes the same way
(`pushes`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from aggregator import urls
from aggregator.claims import LENGTH, Claims, Database
from aggregator.commits import Commits, crashed
from aggregator.config import Config, Source
from aggregator.config_secrets import revealed
from aggregator.daemon import Log
from aggregator.ingest import addresses, polling
from aggregator.ingest.changes import feed_changes
from aggregator.ingest.fetch import Fetcher
from aggregator.ingest.hosts import HORIZON, Lane
from aggregator.ingest.polling import PollPolicy
from aggregator.metrics import Metrics
from aggregator.store import LastDocument, Store
from aggregator.tally import Tally
from aggregator.together import Together
from aggregator.turns import Turns
from aggregator.types import (
    FeedChanges,
    FeedState,
    Fetched,
    FetchRequest,
    KnownEntry,
    ParsedFeed,
    ParseFailed,
    PollResult,
    Pushed,
)
from aggregator.workers import Workers

_COMPANY = 0.03  # seconds that a question to the store waits for more of its kind
_ROOM = 2000  # polls begun or waiting for their host's turn; more are left to the next look
_AHEAD = 0.5  # seconds of polls claimed beyond those that can begin at once, where others poll too
_SHORTEST = 0.1  # seconds from which a pace is reckoned
_AT_ONCE = 500  # feeds laid out in one go: some 10 ms in which nothing else moves


def policy_of(config: Config) -> PollPolicy:
    """The polling policy that a configuration asks for."""
    rules = config.polling
    return PollPolicy(rules.every, rules.fastest, rules.slowest, rules.per_host)


class Poller:
    """Owns the polls in flight."""

    def __init__(
        self,
        store: Store,
        database: Database,
        fetcher: Fetcher,
        workers: Workers,
        metrics: Metrics,
        log: Log,
        now: Callable[[], datetime],
        lease: timedelta = LENGTH,
    ) -> None:
        self._store, self._database = store, database
        self.claims = Claims(store, database, log, now, lambda host: not self.turns.is_exempt(host), lease)
        self.turns = Turns(self.claims, now)
        self.tally = Tally(metrics, log)
        self.commits = Commits(
            store,
            database,
            self.claims,
            self.turns,
            self.tally,
            log,
            now,
            lambda: self.policy,
            lambda: bool(self._lanes),
        )
        self._renewer: asyncio.Task[None] | None = None
        self._last_documents = Together[None, LastDocument](
            lambda feeds: database(store.last_documents, feeds), _COMPANY
        )
        self._known = Together[ParsedFeed, tuple[KnownEntry, ...]](
            lambda parsed: database(store.known_for, parsed), _COMPANY
        )
        self._fetcher, self._workers = fetcher, workers
        self._metrics, self._log, self._now = metrics, log, now
        self._sources: dict[str, Source] = {}
        self._lanes: dict[asyncio.Task[None], str] = {}  # with the host that is being asked
        self._asleep = 0  # lanes that wait for their host's turn
        self._finished = 0  # polls since the last look at what is due, …
        self._looked_at = 0.0  # … which was then, by the loop's clock, …
        self._is_more_due = False  # … and found more than there was room for
        self._lane_ended = asyncio.Event()
        self._slots = asyncio.Semaphore(1)
        self.is_stopping = False

    async def remember(self) -> None:
        """Take up what was learned of hosts before the last stop. Where hosts are leased, it comes with the lease."""
        if not self.claims.is_shared:
            self.turns.remember(await self._database(self._store.host_memory))

    def configure(self, config: Config) -> None:
        """Use these sources and this policy from the next poll on; polls in flight end under the old ones."""
        self._sources = {source.url: source for source in config.sources}
        self.policy = policy_of(config)
        self._proxy = config.fetch.proxy
        exempt = addresses.networks(tuple(str(network) for network in config.fetch.allow_networks))
        self.turns.configure(self.policy, exempt)
        self._concurrency = config.polling.concurrency
        self._slots = asyncio.Semaphore(self._concurrency)
        self.claims.reconsider()

    @property
    def proxy(self) -> str | None:
        """What questions of no single source go through."""
        return revealed(self._proxy)

    @property
    def in_flight(self) -> int:
        return len(self.commits.in_flight)

    async def claim(self, feeds: Sequence[FeedState]) -> list[FeedState]:
        """Those of `feeds` that no other process is about to poll."""
        claimed = await self.claims.these(feeds)
        self.turns.recall(claimed.hosts)
        return list(claimed.feeds)

    async def start(self, feeds: Sequence[FeedState], horizon: float = HORIZON) -> int:
        """Begin to poll those of `feeds` that are not being polled already; how many that were.

        Feeds of one host follow each other in its rhythm; those whose turn is more than `horizon` seconds away are put
        off in the store instead, so that they do not crowd out the feeds of other hosts.
        """
        if self.is_stopping:
            await self.claims.give_back(feed.feed_id for feed in feeds)
            return 0
        self.commits.start()
        if self._renewer is None and self.claims.is_shared:
            self._renewer = asyncio.create_task(self._renew_for_ever(), name="renew")
        begun = 0
        try:
            for first in range(0, len(feeds), _AT_ONCE):
                begun += await self._start_some(feeds[first : first + _AT_ONCE], horizon)
                await asyncio.sleep(0)
        except Exception:
            self._let_go(feeds)
            raise
        return begun

    def _let_go(self, feeds: Sequence[FeedState]) -> None:
        """Forget our leases of those not being polled: renewed for ever, they would keep everybody from polling."""
        self.claims.done(feed.feed_id for feed in feeds if feed.feed_id not in self.commits.in_flight)

    async def _start_some(self, feeds: Sequence[FeedState], horizon: float) -> int:
        fresh = [feed for feed in feeds if feed.feed_id not in self.commits.in_flight]
        layout = self.turns.lay_out(fresh, horizon)
        # Before anything is awaited: no push of these feeds is read meanwhile.
        for lane in layout.lanes:
            self.commits.in_flight.update(feed.feed_id for feed in lane.feeds)
            self.begin(self._walk(lane), f"lane {lane.host}", lane.host)
        if layout.deferred:
            self.claims.done(feed.feed_id for feed in layout.deferred)
            await self._database(self._store.defer, layout.deferred)
        return len(fresh) - len(layout.deferred)

    def begin(self, work: Coroutine[Any, Any, None], name: str, host: str = "") -> None:
        """Do this work among the polls: `wait` and `stop` wait for it. `host` is the server it asks, if any."""
        task = asyncio.create_task(work, name=name)
        self._lanes[task] = host
        task.add_done_callback(self._lane_over)

    async def start_due(self) -> int:
        """Begin the polls that are due, as many as there is room for; how many that were."""
        room = self._room()
        if room <= 0:
            return 0
        claimed = await self.claims.due(room, self.commits.in_flight)
        self._is_more_due = len(claimed.feeds) >= room
        self.turns.recall(claimed.hosts)
        strange = [feed for feed in claimed.feeds if feed.url not in self._sources]
        if not strange or not self.claims.is_shared:
            return await self.start(claimed.feeds)
        try:
            await self.claims.leave_to_others(strange)
        except Exception:
            self._let_go(claimed.feeds)
            raise
        return await self.start([feed for feed in claimed.feeds if feed.url in self._sources])

    def _room(self) -> int:
        room = _ROOM - len(self.commits.in_flight)
        if not self.claims.is_shared:
            return room
        # Not more than we can begin soon, at the pace of late: what one process hoards, the others cannot help with.
        now = asyncio.get_running_loop().time()
        pace = self._finished / max(now - self._looked_at, _SHORTEST)
        self._finished, self._looked_at = 0, now
        return min(room, self._concurrency + round(pace * _AHEAD) - self._busy)

    @property
    def _busy(self) -> int:
        """Lanes that are under way or wait for a place among those that are."""
        return len(self._lanes) - self._asleep

    async def runs_dry(self, until: float) -> bool:
        """Wait until less is under way than may be; whether that came before `until`, by the loop's clock, and more was
        due than we took: then it is worth looking again at once."""
        if not self.claims.is_shared or not self._is_more_due:
            return False
        try:
            async with asyncio.timeout_at(until):
                while self._busy >= self._concurrency:
                    self._lane_ended.clear()
                    await self._lane_ended.wait()
        except TimeoutError:
            return False
        return not self.is_stopping and asyncio.get_running_loop().time() < until

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.claims.renew_every)
            try:
                await self.claims.renew({*self._lanes.values(), *self.turns.asking})
            except Exception as error:  # whatever it is: without this loop every lease would end
                self._log.warning("renewal_failed", error=str(error) or repr(error))

    async def wait(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Until no poll is in flight and every result is committed. `on_progress` hears how many are left."""
        self.commits.gives_up = True  # somebody waits for this pass, and is told rather than kept
        # Not asyncio.wait: it puts a callback on every lane for each that ends, which is their number squared.
        while self._lanes:
            self._lane_ended.clear()
            await self._lane_ended.wait()
            if on_progress:
                on_progress(len(self.commits.in_flight))
        await self.commits.join()
        if on_progress:
            on_progress(len(self.commits.in_flight))

    async def stop(self, patience: timedelta) -> None:
        """Let polls in flight end for as long as `patience`, give up the rest, commit what there is.

        A poll given up, or one whose turn had not come, leaves its feed as due as it was.
        """
        self.is_stopping = True
        if self._lanes:
            _, late = await asyncio.wait(set(self._lanes), timeout=patience.total_seconds())
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1)
        await self.commits.stop(2)
        if self._renewer is not None:
            self._renewer.cancel()
            self._renewer = None
        await self.claims.give_all_back()

    # ------------------------------------------------------------ one poll

    def _lane_over(self, lane: asyncio.Task[None]) -> None:
        del self._lanes[lane]
        self._lane_ended.set()
        if not lane.cancelled() and (error := lane.exception()) is not None:
            self._log.error("lane_crashed", lane=lane.get_name(), error=repr(error), exc_info=error)

    async def _walk(self, lane: Lane) -> None:
        """Poll a lane's feeds one after the other, no faster than its host bears."""
        clock = asyncio.get_running_loop().time
        next_start = clock() + lane.delay
        left = list(reversed(lane.feeds))
        try:
            while left:
                if (wait := next_start - clock()) > 0:
                    await self._sleep(wait)
                next_start = clock() + lane.gap
                # Another lane may have heard meanwhile that the host wants to be left alone.
                if self.is_stopping or self.turns.is_resting(lane.host):
                    break
                if not self.claims.holds(left[-1].feed_id, lane.host):
                    break
                goes_on = await self._poll_in_turn(lane.host, left[-1])
                left.pop()
                if not goes_on:
                    break
            await self.claims.give_back(feed.feed_id for feed in left)  # they stay due and are laid out anew
        except Exception:
            self.claims.done(feed.feed_id for feed in left)
            raise
        finally:
            self.commits.in_flight.difference_update(feed.feed_id for feed in left)

    async def _sleep(self, seconds: float) -> None:
        self._asleep += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._asleep -= 1

    async def _poll_in_turn(self, host: str, feed: FeedState) -> bool:
        """Poll one feed; whether its host bears another request."""
        # The host's turn is waited for outside the slots: one slow host must not use them up.
        async with self.turns.slot(host), self._slots:
            try:
                result = await self._poll(feed)
            except Exception as error:
                self._log.error("poll_crashed", feed=urls.for_log(feed.url), error=repr(error), exc_info=True)
                result = crashed(feed, error, self.policy, self._now())
            self._finished += 1
            # Within the slots: a writer that falls behind slows the polls down instead of filling the memory.
            await self.commits.hand_over(result)
        return isinstance(result.outcome, ParseFailed | Pushed) or self.turns.learn(host, result.outcome)

    async def _poll(self, feed: FeedState) -> PollResult:
        begun_at = self._now()
        if feed.next_poll_at is not None:
            self._metrics.lateness.observe(max(0.0, (begun_at - feed.next_poll_at).total_seconds()))
        source = self._sources.get(feed.url)
        outcome = await self._fetcher.fetch(self._request(feed, source), feed.body_hash)
        parsed: ParsedFeed | ParseFailed | None = None
        changes = FeedChanges()
        now = self._now()
        if isinstance(outcome, Fetched):
            parsed, changes = await self.understand(feed, outcome, now)
            if feed.last_success_at is not None:  # a first poll brings a backlog: its age says nothing about us
                for new in changes.new:
                    if new.entry.published:
                        age = (now - new.entry.published).total_seconds()
                        self._metrics.freshness.labels("seen").observe(max(0.0, age))
        state = polling.after_poll(feed, outcome, parsed, self._policy_for(source), now, polling.arrivals(changes, now))
        if state.current_url != feed.current_url:
            moved = urls.for_log(state.current_url)
            self._log.warning("feed_moved", feed=urls.for_log(feed.url), to=moved, remedy="put it into sources.yaml")
        self._metrics.poll_seconds.observe((now - begun_at).total_seconds())
        made = parsed if isinstance(parsed, ParseFailed) else outcome
        marks = parsed.marks if isinstance(parsed, ParsedFeed) else b""
        size = 0
        if isinstance(made, Fetched):
            size, made = len(made.body), replace(made, body=b"")
        is_quiet = polling.is_quiet(feed, state, outcome)
        return PollResult(state, made, changes, now, feed.last_success_at, marks, size, is_quiet)

    def _request(self, feed: FeedState, source: Source | None) -> FetchRequest:
        proxy = (source.proxy if source else None) or self._proxy
        headers = source.request_headers() if source else ()
        return polling.fetch_request(feed, headers, revealed(proxy))

    async def understand(
        self, feed: FeedState, document: Fetched, now: datetime
    ) -> tuple[ParsedFeed | ParseFailed, FeedChanges]:
        """The document read, and what it changes in the feed."""
        source = self._sources.get(feed.url)
        # Nothing of such a feed is stored, and there is nothing to ask for.
        is_first = feed.last_success_at is None and feed.last_change_at is None
        last = LastDocument() if is_first else await self._last_documents.ask(feed.feed_id, None)
        self._metrics.bytes_in.inc(len(document.body))
        content_type = document.headers.get("content-type")
        parsed = await self._workers.parse(
            document.body, document.final_url, content_type, last.fingerprints, now, last.marks
        )
        if isinstance(parsed, ParseFailed):
            return parsed, FeedChanges()
        self._metrics.parses.labels(parsed.lane).inc()
        if source and (source.include or source.exclude):
            parsed = replace(parsed, entries=tuple(e for e in parsed.entries if source.accepts(e.title)))
        known = () if is_first else await self._known.ask(feed.feed_id, parsed)
        return parsed, feed_changes(known, parsed, now, last.standing)

    def _policy_for(self, source: Source | None) -> PollPolicy:
        return self.policy.of_source(source.every if source else None)
