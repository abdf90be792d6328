"""Looks every few minutes at what is wrong with sources and with us, and remembers what is worth telling. The effects
around `health`; `publish/health` prints it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from aggregator import health
from aggregator.claims import Database
from aggregator.daemon import Log
from aggregator.errors import StoreError
from aggregator.health import Trouble
from aggregator.store import Store
from aggregator.types import Episode

_LETTERS = timedelta(days=14)  # how far back letters are looked at


class Watch:
    """Remembers episodes of trouble. One process does, the one that edits."""

    def __init__(self, store: Store, database: Database, log: Log, now: Callable[[], datetime]) -> None:
        self._store, self._database, self._log, self._now = store, database, log, now
        self._budget: tuple[int, int | None] | None = None  # (bytes in use, allowed) after the last pruning

    async def look(self) -> int:
        """Compare what is wrong with what is known to be; how many episodes began or ended."""
        now = self._now()
        known, found = await asyncio.to_thread(self._seen, now)
        changes = health.changes(known, found, now)
        if changes.begun or changes.changed:
            await self._database(self._store.save_episodes, changes.begun, changes.changed)
        ended = [each for each in changes.changed if each.ended_at is not None]
        for each in changes.begun:
            self._log.warning("trouble", kind=each.kind, what=each.url or each.title, reason=each.reason)
        for each in ended:
            self._log.info("trouble_over", kind=each.kind, what=each.url or each.title)
        return len(changes.begun) + len(ended)

    def _seen(self, now: datetime) -> tuple[list[Episode], list[Trouble]]:
        store = self._store
        known = store.open_episodes()
        found = [
            replace(trouble, title=source.title)
            for state in store.each_feed()
            if (troubles := health.of_feed(state, "", now)) and (source := store.source(state.feed_id))
            for trouble in troubles
        ]
        stuck = store.stuck_letters(now - _LETTERS)
        found += health.of_letters((each.day, each.recipient, each.state, each.tries) for each in stuck)
        if store.path is not None:
            disk = shutil.disk_usage(store.path.parent)
            is_open = any(each.group == "disk" for each in known)
            found += health.of_disk(disk.free, disk.total, is_open=is_open)
        if self._budget is not None:
            found += health.of_budget(*self._budget)
        else:  # not known before the first pruning after a start: what was said stays said
            known = [each for each in known if each.group != "budget"]
        return known, found

    def pruned(self, used: int, allowed: int | None) -> None:
        """How large the database is, after all that may go went."""
        self._budget = (used, allowed)

    async def lost_editing(self) -> None:
        """Another process took the editing from this one."""
        try:
            await self._database(self._store.save_episodes, [health.lost_editing(self._now())])
        except StoreError as error:  # the connection that lost it may still be down
            self._log.warning("trouble_unsaved", kind="editor", error=str(error))
