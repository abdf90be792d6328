"""What hubs brought, read as polls are: pushes that wait in the store in, committed results out.

`callbacks` put them there. A push is read by one process at a time, and never beside a poll of its feed: both would
find the same entries new. What stops us in between costs nothing but time: it is read again after its lease.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from aggregator import urls
from aggregator.claims import Database
from aggregator.daemon import Log
from aggregator.errors import AggregatorError
from aggregator.ingest import polling
from aggregator.metrics import Metrics
from aggregator.poller import Poller
from aggregator.store import Store
from aggregator.types import FailureReason, FeedState, Fetched, ParseFailed, PollResult, Pushed, Validators

_PUSHES = 50  # read at a time
_LEASE = timedelta(minutes=5)  # after which a push whose reader died is read by another


class Pushes:
    """Reads pushes among the poller's polls."""

    def __init__(
        self,
        store: Store,
        database: Database,
        poller: Poller,
        metrics: Metrics,
        log: Log,
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._database, self._poller = store, database, poller
        self._metrics, self._log, self._now = metrics, log, now

    async def read(self) -> int:
        """Begin to read what waits; how many pushes. They are committed as polls are."""
        poller = self._poller
        waiting = await self._database(self._store.waiting_pushes, self._now(), _PUSHES)
        chosen = {push_id: feed_id for push_id, feed_id in waiting if feed_id not in poller.commits.in_flight}
        if not chosen or poller.is_stopping:
            return 0
        # Ours before anything else is awaited: no poll of these feeds begins meanwhile.
        poller.commits.in_flight.update(chosen.values())
        claimed: list[tuple[Pushed, FeedState]] = []
        try:
            claimed = await self._database(
                self._store.claim_pushes, list(chosen), self._now(), _LEASE, poller.claims.worker
            )
        finally:
            poller.commits.in_flight.difference_update(set(chosen.values()) - {feed.feed_id for _, feed in claimed})
        for pushed, feed in claimed:
            poller.begin(self._read(pushed, feed), f"push {feed.feed_id}")
        return len(claimed)

    async def _read(self, pushed: Pushed, feed: FeedState) -> None:
        in_flight = self._poller.commits.in_flight
        try:
            result = await self._understood(pushed, feed)
            if result is not None:
                await self._poller.commits.hand_over(result)
                return  # in flight until it is committed
        except AggregatorError as error:  # not the push's fault: it is read again after its lease
            self._log.warning("push_waits", feed=urls.for_log(feed.url), error=str(error))
        except BaseException:
            in_flight.discard(feed.feed_id)
            raise
        in_flight.discard(feed.feed_id)

    async def _understood(self, pushed: Pushed, feed: FeedState) -> PollResult | None:
        """The push as a result to commit; None where it is none, or not now."""
        headers = {"content-type": pushed.content_type} if pushed.content_type else {}
        document = Fetched(pushed.url, pushed.url, 200, headers, pushed.body, b"", Validators())
        now = self._now()
        try:
            parsed, changes = await self._poller.understand(feed, document, now)
        except AggregatorError:
            raise
        except Exception as error:
            self._log.error("push_crashed", feed=urls.for_log(feed.url), error=repr(error), exc_info=True)
            await self._give_up(pushed, feed, "internal error")
            return None
        if isinstance(parsed, ParseFailed) and parsed.reason is FailureReason.INTERNAL:
            self._log.warning("push_waits", feed=urls.for_log(feed.url), error=parsed.detail)
            return None
        if isinstance(parsed, ParseFailed):
            await self._give_up(pushed, feed, f"{parsed.reason}: {parsed.detail}")
            return None
        state = polling.after_push(feed, polling.arrivals(changes, now), now)
        size, pushed = len(pushed.body), replace(pushed, body=b"")
        return PollResult(state, pushed, changes, now, feed.last_success_at, size=size)

    async def _give_up(self, pushed: Pushed, feed: FeedState, detail: str) -> None:
        """What a hub brought and nobody can read says at least that there is news: the feed is asked for it."""
        self._metrics.pushes.labels("unreadable").inc()
        self._log.warning("push_unreadable", feed=urls.for_log(feed.url), detail=detail)
        await self._database(self._store.give_up_push, pushed.push_id, feed.feed_id)
        soonest = (feed.last_poll_at or self._now()) + self._poller.policy.fastest
        due = max(self._now(), soonest)
        if feed.next_poll_at is not None and feed.next_poll_at > due:
            await self._database(self._store.poll_at, [feed.feed_id], due, "a push that cannot be read")
