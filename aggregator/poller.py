"""Polls: due feeds in, committed results out. The effects around the pure stages fetch → parse → changes → polling.

Many polls run at once, each to its end; their results are committed in batches by one flusher, so that a batch is one
transaction and a poll is still one unit (its entries and the validators that vouch for them).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from aggregator import urls
from aggregator.claims import LENGTH, Claims
from aggregator.claims import Database as Database
from aggregator.config import Config, Source
from aggregator.daemon import Log
from aggregator.errors import AggregatorError
from aggregator.ingest import addresses, polling
from aggregator.ingest.changes import feed_changes
from aggregator.ingest.fetch import Fetcher
from aggregator.ingest.hosts import HORIZON, HostState, Lane, host_after, spread, turn
from aggregator.ingest.polling import PollPolicy
from aggregator.metrics import Metrics
from aggregator.store import LastDocument, LeasedHost, Store
from aggregator.together import Together
from aggregator.types import (
    Answered,
    FailureReason,
    FeedChanges,
    FeedState,
    Fetched,
    FetchFailed,
    FetchOutcome,
    FetchRequest,
    KnownEntry,
    NotModified,
    ParsedFeed,
    ParseFailed,
    PollResult,
    Pushed,
    Validators,
)
from aggregator.workers import Workers

Reply = TypeVar("Reply", bound=FetchOutcome | Answered)

_BATCH = 200  # results a transaction; more only delays the first reader
_BATCH_ENTRIES = 1000  # new entries, or about so many: 3 MB of text, and half a tenth of a second of the writer's time
_ENTRIES_WAITING = 3000  # new entries in those results: some 20 MB
_PATIENCE = 0.25  # seconds that a result waits for company while other polls are under way: a transaction costs 1.5 ms
_COMPANY = 0.03  # seconds that a question to the store waits for more of its kind
_LOOK = 0.02  # seconds between two looks at how much company there is
_ROOM = 2000  # polls begun or waiting for their host's turn; more are left to the next look
_PUSHES = 50  # pushes read at a time
_PUSH_LEASE = timedelta(minutes=5)  # after which a push whose reader died is read by another
_HOSTS = 10_000  # kept in mind though there is nothing to remember; then those not asked of late are let go
_AT_ONCE = 500  # feeds laid out in one go: some 10 ms in which nothing else moves
_QUEUE = 400  # results waiting for the writer before polls wait too: bounds memory


@dataclass(slots=True)
class PollTotals:
    """What a pass did; `polled` is the sum of the three after it."""

    polled: int = 0
    not_modified: int = 0
    changed: int = 0
    failed: int = 0
    new_entries: int = 0


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
        self._claims = Claims(store, database, log, now, lambda host: not self._is_exempt(host), lease)
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
        self._in_flight: set[int] = set()
        self._lanes: dict[asyncio.Task[None], str] = {}  # with the host that is being asked
        self._asleep = 0  # lanes that wait for their host's turn
        self._finished = 0  # polls since the last look at what is due
        self._lane_ended = asyncio.Event()
        self._results: asyncio.Queue[PollResult] = asyncio.Queue(_QUEUE)
        self._entries_waiting = 0  # new ones in those results
        self._has_room = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        self._hosts: dict[str, HostState] = {}
        self._host_slots: dict[str, asyncio.Semaphore] = {}
        self._exempt_hosts: dict[str, bool] = {}
        self._lessons: dict[str, HostState] = {}
        self._slots = asyncio.Semaphore(1)
        self._is_stopping = False
        self.totals = PollTotals()
        self.after_commit: Callable[[PollResult], None] = lambda _: None  # hears of every poll once it is stored

    async def remember(self) -> None:
        """Take up what was learned of hosts before the last stop. Where hosts are leased, it comes with the lease."""
        if self._claims.is_shared:
            return
        memory = await self._database(self._store.host_memory)
        self._hosts = {host: HostState.from_json(host, value) for host, value in memory.items()}

    def configure(self, config: Config) -> None:
        """Use these sources and this policy from the next poll on; polls in flight end under the old ones."""
        self._sources = {source.url: source for source in config.sources}
        self._policy = policy_of(config)
        self._proxy = config.fetch.proxy
        self._exempt = addresses.networks(tuple(str(network) for network in config.fetch.allow_networks))
        self._host_slots.clear()
        self._exempt_hosts.clear()
        self._concurrency = config.polling.concurrency
        self._slots = asyncio.Semaphore(self._concurrency)
        self._claims.reconsider()

    @property
    def proxy(self) -> str | None:
        """What questions of no single source go through."""
        return self._proxy.get_secret_value() if self._proxy is not None else None

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    async def claim(self, feeds: Sequence[FeedState]) -> list[FeedState]:
        """Those of `feeds` that no other process is about to poll."""
        claimed = await self._claims.these(feeds)
        self._recall(claimed.hosts)
        return list(claimed.feeds)

    async def start(self, feeds: Sequence[FeedState], horizon: float = HORIZON) -> int:
        """Begin to poll those of `feeds` that are not being polled already; how many that were.

        Feeds of one host follow each other in its rhythm; those whose turn is more than `horizon` seconds away are put
        off in the store instead, so that they do not crowd out the feeds of other hosts.
        """
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_for_ever(), name="flush")
        if self._renewer is None and self._claims.is_shared:
            self._renewer = asyncio.create_task(self._renew_for_ever(), name="renew")
        begun = 0
        for first in range(0, len(feeds), _AT_ONCE):
            begun += await self._start_some(feeds[first : first + _AT_ONCE], horizon)
            await asyncio.sleep(0)
        return begun

    async def _start_some(self, feeds: Sequence[FeedState], horizon: float) -> int:
        fresh = [feed for feed in feeds if feed.feed_id not in self._in_flight]
        layout = spread(fresh, self._hosts, self._policy, self._now(), self._exempt, horizon)
        self._note_hosts({host.host: host for host in layout.hosts})
        if layout.deferred:
            self._claims.done(feed.feed_id for feed in layout.deferred)
            await self._database(self._store.defer, layout.deferred)
        for lane in layout.lanes:
            self._in_flight.update(feed.feed_id for feed in lane.feeds)
            task = asyncio.create_task(self._walk(lane), name=f"lane {lane.host}")
            self._lanes[task] = lane.host
            task.add_done_callback(self._lane_over)
        return len(fresh) - len(layout.deferred)

    async def start_due(self) -> int:
        """Begin the polls that are due, as many as there is room for; how many that were."""
        room = self._room()
        if room <= 0:
            return 0
        claimed = await self._claims.due(room, self._in_flight)
        self._recall(claimed.hosts)
        strange = [feed for feed in claimed.feeds if feed.url not in self._sources]
        if strange and self._claims.is_shared:
            await self._claims.leave_to_others(strange)
            return await self.start([feed for feed in claimed.feeds if feed.url in self._sources])
        return await self.start(claimed.feeds)

    def _room(self) -> int:
        room = _ROOM - len(self._in_flight)
        if not self._claims.is_shared:
            return room
        # Not more than we can begin before the next look: what one process hoards, the others cannot help with.
        soon = self._concurrency + 2 * self._finished
        self._finished = 0
        return min(room, soon - (len(self._lanes) - self._asleep))

    def _recall(self, hosts: Mapping[str, LeasedHost]) -> None:
        """Take up what other processes learned of the hosts that are ours now."""
        for host, leased in hosts.items():
            if leased.left_at is not None or host not in self._hosts:
                self._hosts[host] = replace(HostState.from_json(host, leased.memory), last_at=leased.left_at)

    def _note_hosts(self, hosts: Mapping[str, HostState]) -> None:
        self._hosts.update(hosts)
        if len(self._hosts) > _HOSTS:
            then = self._now() - timedelta(minutes=1)
            self._hosts = {
                name: host
                for name, host in self._hosts.items()
                if not host.is_ordinary or (host.last_at is not None and host.last_at > then)
            }

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._claims.renew_every)
            try:
                await self._claims.renew(set(self._lanes.values()))
            except AggregatorError as error:
                self._log.warning("renewal_failed", error=str(error))

    async def wait(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Until no poll is in flight and every result is committed. `on_progress` hears how many are left."""
        # Not asyncio.wait: it puts a callback on every lane for each that ends, which is their number squared.
        while self._lanes:
            self._lane_ended.clear()
            await self._lane_ended.wait()
            if on_progress:
                on_progress(len(self._in_flight))
        await self._results.join()
        if on_progress:
            on_progress(len(self._in_flight))

    async def stop(self, patience: timedelta) -> None:
        """Let polls in flight end for as long as `patience`, give up the rest, commit what there is.

        A poll given up, or one whose turn had not come, leaves its feed as due as it was.
        """
        self._is_stopping = True
        if self._lanes:
            _, late = await asyncio.wait(set(self._lanes), timeout=patience.total_seconds())
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1)
        if self._flusher is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._results.join(), 2)
            self._flusher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flusher
            self._flusher = None
        if self._renewer is not None:
            self._renewer.cancel()
            self._renewer = None
        await self._claims.give_all_back()

    # ------------------------------------------------------------ one poll

    def _lane_over(self, lane: asyncio.Task[None]) -> None:
        del self._lanes[lane]
        self._lane_ended.set()

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
                if self._is_stopping or self._is_resting(lane.host):
                    break
                if not self._claims.holds(left[-1].feed_id, lane.host):
                    break
                goes_on = await self._poll_in_turn(lane.host, left[-1])
                left.pop()
                if not goes_on:
                    break
            await self._claims.give_back(feed.feed_id for feed in left)  # they stay due and are laid out anew
        finally:
            self._in_flight.difference_update(feed.feed_id for feed in left)

    async def _sleep(self, seconds: float) -> None:
        self._asleep += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._asleep -= 1

    async def _poll_in_turn(self, host: str, feed: FeedState) -> bool:
        """Poll one feed; whether its host bears another request."""
        # The host's turn is waited for outside the slots: one slow host must not use them up.
        async with self._turn(host), self._slots:
            try:
                result = await self._poll(feed)
            except Exception as error:
                self._log.error("poll_crashed", feed=urls.for_log(feed.url), error=repr(error), exc_info=True)
                result = self._crashed(feed, error)
            self._finished += 1
            # Within the slots: a writer that falls behind slows the polls down instead of filling the memory.
            await self._hand_over(result)
        if isinstance(result.outcome, ParseFailed | Pushed) or self._is_exempt(host):
            return True
        return self._learn(host, result.outcome)

    def _learn(self, host: str, outcome: FetchOutcome | Answered) -> bool:
        """Note how a host took a request; whether it bears another."""
        before = self._hosts.get(host) or HostState(host)
        after = host_after(before, outcome, self._now())
        if after != before:
            self._hosts[host] = after
            self._lessons[host] = after
        return after.until is None or after.until <= self._now()

    def _is_resting(self, host: str) -> bool:
        known = self._hosts.get(host)
        return known is not None and known.until is not None and known.until > self._now()

    def _turn(self, host: str) -> contextlib.AbstractAsyncContextManager[object]:
        if self._is_exempt(host):
            return contextlib.nullcontext()
        return self._host_slots.setdefault(host, asyncio.Semaphore(self._policy.per_host))

    def _is_exempt(self, host: str) -> bool:
        known = self._exempt_hosts.get(host)
        if known is None:
            known = addresses.is_local_host(host.rpartition(":")[0] or host, self._exempt)
            self._exempt_hosts[host] = known
        return known

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
            parsed, changes = await self._understand(feed, source, outcome, now)
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
        return PollResult(state, made, changes, now, feed.last_success_at, marks, size)

    def _request(self, feed: FeedState, source: Source | None) -> FetchRequest:
        proxy = (source.proxy if source else None) or self._proxy
        headers = source.request_headers() if source else ()
        return polling.fetch_request(feed, headers, proxy.get_secret_value() if proxy is not None else None)

    async def _understand(
        self, feed: FeedState, source: Source | None, document: Fetched, now: datetime
    ) -> tuple[ParsedFeed | ParseFailed, FeedChanges]:
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
        return self._policy.of_source(source.every if source else None)

    def _crashed(self, feed: FeedState, error: Exception) -> PollResult:
        """Our own fault counts as a failure of the poll: the feed backs off and the other feeds go on."""
        now = self._now()
        outcome = FetchFailed(feed.current_url, FailureReason.INTERNAL, f"internal error: {error!r}")
        return PollResult(polling.after_poll(feed, outcome, None, self._policy, now), outcome, FeedChanges(), now)

    # ------------------------------------------------------------ beside the polls

    async def in_turn(self, url: str, question: Callable[[], Awaitable[Reply]]) -> Reply | None:
        """The answer to another question to the host of `url`, asked in its rhythm; None where it wants patience."""
        host = urls.host_key(url)
        if self._is_exempt(host):
            return await question()
        async with self._turn(host):
            leased = await self._claims.host(host)
            if leased is None:
                return None  # it is another process's for now
            self._recall({host: leased})
            wait, after = turn(self._hosts.get(host) or HostState(host), self._now())
            if wait > HORIZON:
                return None
            self._hosts[host] = after
            await asyncio.sleep(wait)
            if not self._claims.holds_host(host):
                return None
            answer = await question()
            self._learn(host, answer)
            return answer

    async def read_pushes(self) -> int:
        """Begin to read what hubs brought; how many pushes that were. They are committed as polls are."""
        waiting = await self._database(self._store.waiting_pushes, self._now(), _PUSHES)
        chosen = [push_id for push_id, feed_id in waiting if feed_id not in self._in_flight]
        if not chosen or self._is_stopping:
            return 0
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_for_ever(), name="flush")
        claimed = await self._database(self._store.claim_pushes, chosen, self._now(), _PUSH_LEASE, self._claims.worker)
        for pushed, feed in claimed:
            self._in_flight.add(feed.feed_id)
            task = asyncio.create_task(self._read_push(pushed, feed), name=f"push {feed.feed_id}")
            self._lanes[task] = ""  # no host is asked
            task.add_done_callback(self._lane_over)
        return len(claimed)

    async def _read_push(self, pushed: Pushed, feed: FeedState) -> None:
        headers = {"content-type": pushed.content_type} if pushed.content_type else {}
        document = Fetched(pushed.url, pushed.url, 200, headers, pushed.body, b"", Validators())
        try:
            now = self._now()
            parsed, changes = await self._understand(feed, self._sources.get(feed.url), document, now)
            if isinstance(parsed, ParseFailed):
                await self._give_up_push(pushed, feed, f"{parsed.reason}: {parsed.detail}")
                return
            state = polling.after_push(feed, polling.arrivals(changes, now), now)
            await self._hand_over(PollResult(state, pushed, changes, now, feed.last_success_at))
        except Exception as error:
            self._log.error("push_crashed", feed=urls.for_log(feed.url), error=repr(error), exc_info=True)
            await self._give_up_push(pushed, feed, "internal error")
        finally:
            self._in_flight.discard(feed.feed_id)

    async def _give_up_push(self, pushed: Pushed, feed: FeedState, detail: str) -> None:
        """What a hub brought and nobody can read says at least that there is news: the feed is asked for it."""
        self._metrics.pushes.labels("unreadable").inc()
        self._log.warning("push_unreadable", feed=urls.for_log(feed.url), detail=detail)
        await self._database(self._store.give_up_push, pushed.push_id, feed.feed_id)
        soonest = (feed.last_poll_at or self._now()) + self._policy.fastest
        due = max(self._now(), soonest)
        if feed.next_poll_at is not None and feed.next_poll_at > due:
            await self._database(self._store.poll_at, [feed.feed_id], due, "a push that cannot be read")

    # ------------------------------------------------------------ committing

    async def _flush_for_ever(self) -> None:
        while True:
            batch = await self._batch()
            try:
                try:
                    applied = await self._database(self._store.apply, batch, self._now(), self._claims.worker)
                finally:
                    self._settle(batch)  # before anything else is awaited: its feeds may be claimed again at once
                await self._keep_lessons()
            except Exception as error:
                # Nothing of the batch is kept: its feeds are still due (once their lease is over) and are asked again.
                self._log.error("commit_failed", polls=len(batch), error=str(error))
                await asyncio.sleep(1)
            else:
                self.totals.new_entries += applied.new_entries
                for result in batch:
                    self._account(result)
                self._metrics.last_progress.labels("poll").set_to_current_time()
            finally:
                for _ in batch:
                    self._results.task_done()

    def _settle(self, batch: Sequence[PollResult]) -> None:
        settled = [result.state.feed_id for result in batch]
        self._in_flight.difference_update(settled)
        self._claims.done(settled)

    async def _hand_over(self, result: PollResult) -> None:
        while self._entries_waiting >= _ENTRIES_WAITING:
            self._has_room.clear()
            await self._has_room.wait()
        self._entries_waiting += len(result.changes.new)
        await self._results.put(result)

    async def _batch(self) -> list[PollResult]:
        """The next results to commit together, once there are enough or none more is coming soon."""
        batch = [await self._results.get()]
        clock = asyncio.get_running_loop().time
        until = clock() + _PATIENCE
        while self._lanes and clock() < until:
            if self._results.qsize() >= _BATCH or self._entries_waiting >= _BATCH_ENTRIES:
                break
            await asyncio.sleep(_LOOK)
        entries = len(batch[0].changes.new)
        while len(batch) < _BATCH and entries < _BATCH_ENTRIES and not self._results.empty():
            batch.append(self._results.get_nowait())
            entries += len(batch[-1].changes.new)
        self._entries_waiting -= entries
        self._has_room.set()
        return batch

    async def _keep_lessons(self) -> None:
        """Store what was learned of hosts, so that a restart does not repeat what angered them."""
        lessons, self._lessons = self._lessons, {}
        if lessons:
            memory = {host: {} if state.is_ordinary else state.to_json() for host, state in lessons.items()}
            await self._database(self._store.save_host_memory, memory)

    def _account(self, result: PollResult) -> None:
        totals, outcome, state = self.totals, result.outcome, result.state
        self.after_commit(result)
        for change, number in (
            ("new", len(result.changes.new)),
            ("updated", len(result.changes.updated)),
            ("repeat", result.changes.repeats),
            ("buried", result.changes.buried),
        ):
            if number:
                self._metrics.entries.labels(change).inc(number)
        if isinstance(outcome, Pushed):
            self._metrics.pushes.labels("read").inc()
            added, changed = len(result.changes.new), len(result.changes.updated)
            self._log.info("push", feed=urls.for_log(state.url), added=added, changed=changed, bytes=len(outcome.body))
            return
        totals.polled += 1
        if isinstance(outcome, FetchFailed | ParseFailed):
            totals.failed += 1
            self._metrics.polls.labels("failed").inc()
            self._metrics.failures.labels(outcome.reason).inc()
            self._log_failure(state, outcome)
        elif isinstance(outcome, NotModified):
            totals.not_modified += 1
            self._metrics.polls.labels("not_modified").inc()
            if self._log.is_enabled_for(logging.DEBUG):  # made ready to be shown it costs more than it is worth unseen
                self._log.debug("poll", feed=urls.for_log(state.url), status=outcome.status, next=state.next_poll_at)
        else:
            totals.changed += 1
            self._metrics.polls.labels("changed").inc()
            self._log_change(result, outcome)

    def _log_failure(self, state: FeedState, outcome: FetchFailed | ParseFailed) -> None:
        self._log.warning(
            "poll_failed",
            feed=urls.for_log(state.url),
            reason=str(outcome.reason),
            detail=outcome.detail,
            failures=state.failures,
            next=state.next_poll_at,
        )

    def _log_change(self, result: PollResult, outcome: FetchOutcome) -> None:
        changes, state = result.changes, result.state
        self._log.info(
            "poll",
            feed=urls.for_log(state.url),
            status=outcome.status,
            added=len(changes.new),
            changed=len(changes.updated),
            bytes=result.size or None,
            took_ms=round(outcome.took * 1000),
            next=state.next_poll_at,
        )
