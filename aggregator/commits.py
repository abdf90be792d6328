"""Results of polls wait here for the writer, and are committed in batches: a batch is one transaction, a poll one unit.

    await commits.hand_over(result)

What the store cannot take now (a full disk, a server that restarts) waits, and with it the polls: asking the origins
again would help nobody. A single result that it will never take becomes a failure of its feed, and the others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime

from aggregator import urls
from aggregator.claims import Claims, Database
from aggregator.daemon import Log
from aggregator.errors import AggregatorError, BadValue
from aggregator.ingest import polling
from aggregator.store import Applied, Store
from aggregator.tally import Tally
from aggregator.turns import Turns
from aggregator.types import FailureReason, FeedState, FetchFailed, PollResult, Pushed

_BATCH = 200  # results a transaction; more only delays the first reader
_BATCH_ENTRIES = 1000  # new entries, or about so many: 3 MB of text, and half a tenth of a second of the writer's time
_ENTRIES_WAITING = 3000  # new entries in those results: some 20 MB
_PATIENCE = 0.25  # seconds that a result waits for company while other polls are under way: a transaction costs 1.5 ms
_LOOK = 0.02  # seconds between two looks at how much company there is
_QUEUE = 400  # results waiting for the writer before polls wait too: bounds memory
_AGAIN = 1.0  # seconds before a batch that the store did not take is tried again; doubled each time
_AGAIN_AT_MOST = 60.0


class Commits:
    """Owns the results that wait. `after_commit` hears of every poll once it is stored."""

    def __init__(
        self,
        store: Store,
        database: Database,
        claims: Claims,
        turns: Turns,
        tally: Tally,
        log: Log,
        now: Callable[[], datetime],
        policy: Callable[[], polling.PollPolicy],
        is_more_coming: Callable[[], bool],
    ) -> None:
        self._store, self._database = store, database
        self._claims, self._turns, self._tally = claims, turns, tally
        self._log, self._now, self._policy = log, now, policy
        self._is_more_coming = is_more_coming
        self.in_flight: set[int] = set()  # feeds being polled, until their result is committed
        self.after_commit: Callable[[PollResult], None] = lambda _: None
        self.gives_up = False  # a pass by command ends with what the store does not take
        self._results: asyncio.Queue[PollResult] = asyncio.Queue(_QUEUE)
        self._entries_waiting = 0  # new ones in those results
        self._has_room = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_for_ever(), name="flush")

    async def join(self) -> None:
        """Until every result is committed."""
        await self._results.join()

    async def stop(self, patience: float) -> None:
        """Commit what there is, for as long as `patience` seconds; what is left is asked for again."""
        if self._flusher is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._results.join(), patience)
        self._flusher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._flusher
        self._flusher = None

    async def hand_over(self, result: PollResult) -> None:
        """Wait until there is room for this result."""
        while self._entries_waiting >= _ENTRIES_WAITING:
            self._has_room.clear()
            await self._has_room.wait()
        self._entries_waiting += len(result.changes.new)
        await self._results.put(result)

    # ------------------------------------------------------------ the flusher

    async def _flush_for_ever(self) -> None:
        while True:
            batch = await self._batch()
            try:
                await self._flush(batch)
            except Exception as error:  # whatever it is: without this loop nothing would ever be stored again
                self._log.error("flush_crashed", polls=len(batch), error=repr(error), exc_info=True)
                await asyncio.sleep(_AGAIN)
            finally:
                for _ in batch:
                    self._results.task_done()

    async def _batch(self) -> list[PollResult]:
        """The next results to commit together, once there are enough or none more is coming soon."""
        batch = [await self._results.get()]
        clock = asyncio.get_running_loop().time
        until = clock() + _PATIENCE
        while self._is_more_coming() and clock() < until:
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

    async def _flush(self, batch: Sequence[PollResult]) -> None:
        try:
            try:
                await self._apply_patiently(batch)
            except AggregatorError as error:
                if not isinstance(error, BadValue):
                    raise
                await self._apply_singly(batch)
            except Exception as error:
                self._log.error("commit_crashed", polls=len(batch), error=repr(error), exc_info=True)
                await self._apply_singly(batch)
        except AggregatorError as error:
            self._log.error("commit_failed", polls=len(batch), error=str(error))
            self._settle(batch)
            await asyncio.sleep(_AGAIN)
        await self._keep_lessons()

    async def _apply_patiently(self, batch: Sequence[PollResult]) -> None:
        """Commit them, however long the store needs to be there again."""
        wait = _AGAIN
        while True:
            try:
                return await self._apply(batch)
            except BadValue:
                raise
            except AggregatorError as error:
                if self.gives_up:
                    raise
                self._log.error("commit_waits", polls=len(batch), error=str(error), again_in=f"{wait:g} s")
            await asyncio.sleep(wait)
            wait = min(wait * 2, _AGAIN_AT_MOST)

    async def _apply_singly(self, batch: Sequence[PollResult]) -> None:
        """Commit each by itself: what the store will not take is one result's fault, and its feed's loss alone."""
        for result in batch:
            try:
                await self._apply_patiently([result])
            except Exception as error:
                feed = urls.for_log(result.state.url)
                self._log.error("result_refused", feed=feed, error=repr(error))
                await self._refuse(result, error)

    async def _refuse(self, result: PollResult, error: Exception) -> None:
        try:
            if isinstance(result.outcome, Pushed):
                await self._database(self._store.give_up_push, result.outcome.push_id, result.state.feed_id)
            elif (before := await self._database(self._store.feed, result.state.url)) is not None:
                await self._apply_patiently([crashed(before, error, self._policy(), self._now())])
        except Exception as worse:
            self._log.error("commit_failed", feed=urls.for_log(result.state.url), error=repr(worse), exc_info=True)
            await asyncio.sleep(_AGAIN)  # its feed stays due: asked again, but not in a hurry
        self._settle([result])

    async def _apply(self, batch: Sequence[PollResult]) -> None:
        applied: Applied = await self._database(self._store.apply, batch, self._now(), self._claims.worker)
        self._settle(batch)  # before anything else is awaited: its feeds may be claimed again at once
        self._tally.totals.new_entries += applied.new_entries
        self._tally.progressed()
        for result in batch:
            self._tell(result)

    def _settle(self, batch: Sequence[PollResult]) -> None:
        settled = [result.state.feed_id for result in batch]
        self.in_flight.difference_update(settled)
        self._claims.done(settled)

    def _tell(self, result: PollResult) -> None:
        try:
            self.after_commit(result)
            self._tally.count(result)
        except Exception as error:
            feed = urls.for_log(result.state.url)
            self._log.error("tally_crashed", feed=feed, error=repr(error), exc_info=True)

    async def _keep_lessons(self) -> None:
        """Store what was learned of hosts, so that a restart does not repeat what angered them."""
        lessons = self._turns.take_lessons()
        if not lessons:
            return
        memory = {host: {} if state.is_ordinary else state.to_json() for host, state in lessons.items()}
        try:
            await self._database(self._store.save_host_memory, memory)
        except AggregatorError as error:
            self._turns.give_lessons_back(lessons)
            self._log.warning("lessons_wait", hosts=len(lessons), error=str(error))


def crashed(feed: FeedState, error: Exception, policy: polling.PollPolicy, now: datetime) -> PollResult:
    """Our own fault counts as a failure of the poll: the feed backs off and the other feeds go on."""
    outcome = FetchFailed(feed.current_url, FailureReason.INTERNAL, f"internal error: {error!r}"[:500])
    return PollResult(polling.after_poll(feed, outcome, None, policy, now), outcome, polled_at=now)
