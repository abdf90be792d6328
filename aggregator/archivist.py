"""The months of merged feeds that are over, printed for good (RFC 5005 §4). The effects around `publish.archive`.

Reads the store and blocks, for minutes where a month was large: the pipeline calls it on a thread of its own, beside
editing and publishing.
"""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from aggregator.daemon import Log
from aggregator.publish import archive
from aggregator.publish.edition import Press
from aggregator.publish.settings import FeedSettings
from aggregator.store import Archive, Store
from aggregator.types import Story

AT_ONCE = 200  # stories read and printed before the processor is left to others


class _Ended(Exception):
    """The process is to stop: the month is printed after the next start."""


class Archivist:
    """Prints one month of one feed after the other, until it is to stop."""

    def __init__(self, store: Store, press: Callable[[], Press], log: Log, now: Callable[[], datetime]) -> None:
        self._store, self._press, self._log, self._now = store, press, log, now
        self.in_part = archive.IN_PART  # stories in a document
        self._ending = threading.Event()

    def stop(self) -> None:
        """Have a month that is being printed be left for the next start."""
        self._ending.set()

    def next_month(self) -> tuple[Archive, ...]:
        """The documents of the first month of a merged feed that is over and not archived yet, the oldest first; none
        when all are. They are to be kept together: a month of which a part is there counts as archived."""
        archived, first, now = self._store.archive_months(), self._store.first_shown(), self._now()
        for feed in self._press().feeds:
            names = archived.get(feed.slug, ())
            month = next(archive.months_due(first, names, now), None)
            if month is not None and not self._ending.is_set():
                try:
                    return self._printed(feed, month, names[-1] if names else None, now)
                except _Ended:
                    return ()
        return ()

    def _printed(self, feed: FeedSettings, month: str, before: str | None, now: datetime) -> tuple[Archive, ...]:
        press = self._press()
        begin, end = archive.bounds(month)
        shown = self._store.shown_between(feed.sections, begin, end, feed.min_sources, feed.only_top)
        made = []
        for number, ids in enumerate(archive.parts(shown, self.in_part), 1):
            name = archive.name_of(month, number)
            printed = press.archive(feed, self._read(ids), name, before)
            document = gzip.compress(printed.body, 6, mtime=0)
            self._log.info("archive", feed=feed.slug, month=name, stories=printed.stories, bytes=len(document))
            made.append(Archive(feed.slug, name, now, printed.updated, printed.stories, document))
            before = name
        return tuple(made)

    def _read(self, story_ids: Sequence[UUID]) -> Iterator[Story]:
        """The stories, some at a time, each time from a snapshot of its own: one for a whole month would keep SQLite's
        log from being written back. Between them others get the processor for as long as we had it."""
        for start in range(0, len(story_ids), AT_ONCE):
            began = time.monotonic()
            yield from self._store.stories_by_id(story_ids[start : start + AT_ONCE])
            is_last = start + AT_ONCE >= len(story_ids)
            if self._ending.wait(0 if is_last else time.monotonic() - began):
                raise _Ended
