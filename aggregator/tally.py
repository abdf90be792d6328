"""What polls did, for people: totals, metrics and a line of the log for each, once its result is committed."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from aggregator import urls
from aggregator.daemon import Log
from aggregator.metrics import Metrics
from aggregator.types import FeedState, FetchFailed, FetchOutcome, NotModified, ParseFailed, PollResult, Pushed


@dataclass(slots=True)
class PollTotals:
    """What a pass did; `polled` is the sum of the three after it."""

    polled: int = 0
    not_modified: int = 0
    changed: int = 0
    failed: int = 0
    new_entries: int = 0


class Tally:
    """Counts committed polls into `totals`, which the caller may exchange, and into the metrics."""

    def __init__(self, metrics: Metrics, log: Log) -> None:
        self._metrics, self._log = metrics, log
        self.totals = PollTotals()

    def progressed(self) -> None:
        """Polls were committed just now."""
        self._metrics.last_progress.labels("poll").set_to_current_time()

    def count(self, result: PollResult) -> None:
        changes = result.changes
        for change, number in (
            ("new", len(changes.new)),
            ("updated", len(changes.updated)),
            ("repeat", changes.repeats),
            ("buried", changes.buried),
        ):
            if number:
                self._metrics.entries.labels(change).inc(number)
        match result.outcome:
            case Pushed():
                self._push(result)
            case FetchFailed() | ParseFailed() as outcome:
                self._failure(result.state, outcome)
            case NotModified() as outcome:
                self._same(result.state, outcome)
            case outcome:
                self._change(result, outcome)

    def _push(self, result: PollResult) -> None:
        self._metrics.pushes.labels("read").inc()
        added, changed = len(result.changes.new), len(result.changes.updated)
        self._log.info("push", feed=urls.for_log(result.state.url), added=added, changed=changed, bytes=result.size)

    def _failure(self, state: FeedState, outcome: FetchFailed | ParseFailed) -> None:
        self.totals.polled += 1
        self.totals.failed += 1
        self._metrics.polls.labels("failed").inc()
        self._metrics.failures.labels(outcome.reason).inc()
        self._log.warning(
            "poll_failed",
            feed=urls.for_log(state.url),
            reason=str(outcome.reason),
            detail=outcome.detail,
            failures=state.failures,
            next=state.next_poll_at,
        )

    def _same(self, state: FeedState, outcome: NotModified) -> None:
        self.totals.polled += 1
        self.totals.not_modified += 1
        self._metrics.polls.labels("not_modified").inc()
        if self._log.is_enabled_for(logging.DEBUG):  # made ready to be shown it costs more than it is worth unseen
            self._log.debug("poll", feed=urls.for_log(state.url), status=outcome.status, next=state.next_poll_at)

    def _change(self, result: PollResult, outcome: FetchOutcome) -> None:
        self.totals.polled += 1
        self.totals.changed += 1
        self._metrics.polls.labels("changed").inc()
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
