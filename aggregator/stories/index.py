"""The window's entries by what they speak of: which few of 50,000 are worth comparing with a new one.

In: members with their terms. Out: the nearest by cosine of terms. Postings are arrays by term; forgotten members leave
holes that are closed now and then. Members are kept packed: see `packed`.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from aggregator.stories.compare import Article
from aggregator.stories.packed import Packed
from aggregator.stories.terms import Terms
from aggregator.types import StoredEntry

NEAREST = 24  # members compared in full; of labelled pairs the right one was among the first 10 in all but 1 %
FAINT = 0.08  # cosine below which nothing merges
HOLES = 0.25  # share of forgotten members at which the holes are closed
_POSTING = struct.Struct("<If")  # a slot and the weight of the term there
_POSTINGS = np.dtype([("slot", "<u4"), ("weight", "<f4")])


@dataclass(slots=True)
class Member:
    """An entry of the window, without its text, the article that comparisons see, and the id of the story that the
    entry began or would have begun."""

    entry: StoredEntry
    packed: Packed
    own: UUID

    @property
    def article(self) -> Article:
        """Unpacked anew each time: keep it while you need it."""
        return self.packed.article()

    @property
    def outlet(self) -> str | None:
        """Whose page the entry is."""
        return self.packed.source


class Window:
    """Members in slots, in the order in which they came."""

    def __init__(self) -> None:
        self._members: list[Member | None] = []
        self._slots: dict[int, int] = {}  # by entry_id
        self._postings: dict[int, array[int]] = {}  # by term: slot and weight in eight bytes

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Member]:
        return (member for member in self._members if member is not None)

    def get(self, entry_id: int) -> Member | None:
        """The member of this entry, None where the window has it not."""
        slot = self._slots.get(entry_id)
        return self._members[slot] if slot is not None else None

    def add(self, member: Member, terms: Terms) -> None:
        """Remember a member, as the last to come; `terms` are its article's."""
        slot = len(self._members)
        self._members.append(member)
        self._slots[member.entry.entry_id] = slot
        self._post(slot, terms)

    def replace(self, entry: StoredEntry) -> None:
        """Let a member's entry say something else of where it belongs."""
        member = self.get(entry.entry_id)
        assert member is not None
        member.entry = entry

    def drop(self, entry_id: int) -> None:
        """Forget a member."""
        self._members[self._slots.pop(entry_id)] = None
        if len(self._members) - len(self._slots) > max(1_000, HOLES * len(self._members)):
            self._close_holes()

    def nearest(self, article: Article, count: int = NEAREST) -> list[Member]:
        """The members that share most with an article, the nearest first; ties go to the older."""
        scores = np.zeros(len(self._members), dtype=np.float32)
        terms = article.subject.terms
        for number, weight in zip(terms.ids, terms.weights, strict=True):
            posting = self._postings.get(number)
            if posting is not None:
                rows = np.frombuffer(posting, _POSTINGS)
                scores[rows["slot"]] += weight * rows["weight"]
        slots = np.flatnonzero(scores > FAINT)
        best = slots[np.lexsort((slots, -scores[slots]))]
        found: list[Member] = []
        for slot in best.tolist():
            member = self._members[slot]
            if member is not None:
                found.append(member)
                if len(found) == count:
                    break
        return found

    def _post(self, slot: int, terms: Terms) -> None:
        for number, weight in zip(terms.ids, terms.weights, strict=True):
            posting = self._postings.get(number)
            if posting is None:
                self._postings[number] = posting = array("Q")
            posting.frombytes(_POSTING.pack(slot, weight))

    def _close_holes(self) -> None:
        members = list(self)
        self._members, self._slots, self._postings = [], {}, {}
        for member in members:
            self.add(member, member.article.subject.terms)
