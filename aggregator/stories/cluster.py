"""Which story an entry belongs to.

In: entries in the order in which they were stored, with the twins that the store knows at any age. Out: one
Placement each. The index remembers the entries of the window and is rebuilt from the store at start (`load`).
An entry is placed by what came before it alone, so it does not matter how arrivals are cut into passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from aggregator.stories.dedupe import exact_duplicate, title_day_key
from aggregator.types import Placement, StoredEntry

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class StoryPolicy:
    """`window`: how far back an entry finds its story by likeness; exact duplicates are found at any age."""

    window: timedelta = timedelta(hours=72)


class StoryIndex:
    """The window of entries that stories can still grow from; one per process that groups."""

    def __init__(self, policy: StoryPolicy, new_id: Callable[[StoredEntry], UUID]) -> None:
        self._policy = policy
        self._new_id = new_id
        self._entries: dict[int, StoredEntry] = {}  # grouped, in the order placed
        self._placements: dict[int, Placement] = {}
        self._by_url: dict[str, list[int]] = {}
        self._by_title: dict[tuple[str, str, date], list[int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def load(self, entries: Iterable[StoredEntry]) -> None:
        """Remember entries that the store has already grouped, in the order in which they were stored."""
        for entry in entries:
            if entry.story_id is not None:
                placement = Placement(entry.entry_id, entry.story_id, duplicate_of=entry.duplicate_of)
                self._remember(entry, placement)

    def place(self, entry: StoredEntry, twins: Sequence[StoredEntry] = ()) -> Placement:
        """Where the entry belongs. One placed before (in a pass that could not be saved) is placed alike."""
        known = self._placements.get(entry.entry_id)
        if known is not None:
            return known
        placement = self._as_duplicate(entry, twins) or Placement(
            entry.entry_id, self._new_id(entry), begins=True, reasons=("nothing like it in the window",)
        )
        self._remember(entry, placement)
        return placement

    def expire(self, now: datetime) -> None:
        """Forget entries first seen before the window."""
        horizon = now - self._policy.window
        for entry_id in [key for key, entry in self._entries.items() if entry.first_seen < horizon]:
            self._forget(entry_id)

    def _as_duplicate(self, entry: StoredEntry, twins: Sequence[StoredEntry]) -> Placement | None:
        candidates = {twin.entry_id: twin for twin in twins if twin.story_id is not None}
        candidates |= {key: self._entries[key] for key in self._keyed_alike(entry)}
        found = exact_duplicate(entry, tuple(candidates.values()))
        if found is None or found.of.story_id is None:
            return None
        original = found.of.duplicate_of or found.of.entry_id
        reason = f"{found.reason} as entry {original}"
        return Placement(entry.entry_id, found.of.story_id, duplicate_of=original, reasons=(reason,))

    def _keyed_alike(self, entry: StoredEntry) -> list[int]:
        alike = list(self._by_url.get(entry.canonical_url or "", ()))
        key = title_day_key(entry)
        return alike + (self._by_title.get(key, []) if key is not None else [])

    def _remember(self, entry: StoredEntry, placement: Placement) -> None:
        grouped = replace(entry, story_id=placement.story_id, duplicate_of=placement.duplicate_of)
        self._entries[entry.entry_id] = grouped
        self._placements[entry.entry_id] = placement
        if entry.canonical_url:
            self._by_url.setdefault(entry.canonical_url, []).append(entry.entry_id)
        key = title_day_key(entry)
        if key is not None:
            self._by_title.setdefault(key, []).append(entry.entry_id)

    def _forget(self, entry_id: int) -> None:
        entry = self._entries.pop(entry_id)
        del self._placements[entry_id]
        _drop(self._by_url, entry.canonical_url or "", entry_id)
        key = title_day_key(entry)
        if key is not None:
            _drop(self._by_title, key, entry_id)


def _drop(index: dict[K, list[int]], key: K, entry_id: int) -> None:
    ids = index.get(key)
    if ids is not None:
        ids.remove(entry_id)
        if not ids:
            del index[key]
