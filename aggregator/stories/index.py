"""The window's entries by what they speak of: which few of 50,000 are worth comparing with a new one.

In: members with their terms. Out: the nearest by cosine of terms. Postings are arrays by term; forgotten members leave
holes that are closed now and then. In memory is what finds a member; the members themselves lie in a `drawer`, packed
(`packed`), and those that were looked at of late are at hand.
"""

from __future__ import annotations

import pickle
import struct
from array import array
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from aggregator.stories.compare import Article
from aggregator.stories.drawer import Drawer
from aggregator.stories.packed import Packed
from aggregator.stories.terms import Terms
from aggregator.types import SourceRef, StoredEntry

NEAREST = 24  # members compared in full; of labelled pairs the right one was among the first 10 in all but 1 %
FAINT = 0.08  # cosine below which nothing merges
HOLES, FEWEST_HOLES = 0.25, 1_000  # share and number of forgotten members at which the holes are closed
AT_HAND = 300  # members kept as they are: those of a dozen newcomers
_HOLE = -1
_POSTING = struct.Struct("<If")  # a slot and the weight of the term there, …
_ROW = struct.Struct("=Q")  # … as the number that an array keeps
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
        self._drawer = Drawer()
        self._sources: list[SourceRef] = []  # members share them, and leave them out of their records
        self._numbers: dict[SourceRef, int] = {}
        self._at_hand: OrderedDict[int, Member] = OrderedDict()  # by entry_id, the longest unused first
        self._slots: dict[int, int] = {}  # by entry_id
        # By slot: the entry's id or _HOLE, its date in seconds since 1970, its place in the drawer.
        self._ids, self._dates, self._places = array("q"), array("d"), array("Q")
        self._first = 0  # no member before this slot
        # By term: slot and weight in eight bytes. A term's only posting is an int: most have one, and an array takes
        # three times as much.
        self._postings: dict[int, array[int] | int] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, entry_id: int) -> Member | None:
        """The member of this entry, None where the window has it not."""
        slot = self._slots.get(entry_id)
        if slot is None:
            return None
        member = self._at_hand.pop(entry_id, None)
        if member is None:
            member = self._unpickled(self._drawer.get(self._places[slot]))
        return self._hand(member)

    def add(self, member: Member, terms: Terms) -> None:
        """Remember a member, as the last to come; `terms` are its article's. Raises OSError where the disk is full."""
        place = self._drawer.put(self._pickled(member))  # first: what it raises leaves the window as it was
        slot = len(self._ids)
        self._ids.append(member.entry.entry_id)
        self._dates.append(member.entry.dated.timestamp())
        self._places.append(place)
        self._slots[member.entry.entry_id] = slot
        self._post(slot, terms)
        self._hand(member)

    def replace(self, entry: StoredEntry) -> None:
        """Let a member's entry say something else of where it belongs."""
        member = self.get(entry.entry_id)
        assert member is not None
        member = Member(entry, member.packed, member.own)
        place = self._drawer.put(self._pickled(member))
        slot = self._slots[entry.entry_id]
        self._drawer.free(self._places[slot])
        self._places[slot] = place
        self._at_hand[entry.entry_id] = member

    def drop(self, entry_id: int) -> None:
        """Forget a member."""
        slot = self._slots.pop(entry_id)
        self._at_hand.pop(entry_id, None)
        self._drawer.free(self._places[slot])
        self._ids[slot] = _HOLE
        if len(self._ids) - len(self._slots) > max(FEWEST_HOLES, HOLES * len(self._ids)):
            self._close_holes()

    def dated_before(self, moment: datetime) -> list[int]:
        """The entries dated before then, in the order in which they came."""
        slots = np.flatnonzero(np.frombuffer(self._dates, np.float64) < moment.timestamp())
        return [entry_id for slot in slots.tolist() if (entry_id := self._ids[slot]) != _HOLE]

    def eldest(self) -> int:
        """The entry that came first. Raises LookupError where there is none."""
        while self._ids[self._first] == _HOLE:
            self._first += 1
        return self._ids[self._first]

    def nearest(self, article: Article, count: int = NEAREST) -> list[Member]:
        """The members that share most with an article, the nearest first; ties go to the older."""
        scores = np.zeros(len(self._ids), dtype=np.float32)
        terms = article.subject.terms
        for number, weight in zip(terms.ids, terms.weights, strict=True):
            rows = self._rows(number)
            if rows is not None:
                scores[rows["slot"]] += weight * rows["weight"]
        slots = np.flatnonzero(scores > FAINT)
        best = slots[np.lexsort((slots, -scores[slots]))]
        found: list[Member] = []
        for slot in best.tolist():
            member = self.get(self._ids[slot])
            if member is not None:
                found.append(member)
                if len(found) == count:
                    break
        return found

    def _post(self, slot: int, terms: Terms) -> None:
        for number, weight in zip(terms.ids, terms.weights, strict=True):
            posting = self._postings.get(number)
            (fresh,) = _ROW.unpack(_POSTING.pack(slot, weight))
            if posting is None:
                self._postings[number] = fresh
            elif isinstance(posting, int):
                self._postings[number] = array("Q", (posting, fresh))
            else:
                posting.append(fresh)

    def _rows(self, number: int) -> NDArray[np.void] | None:
        """A term's postings, None where it has none."""
        posting = self._postings.get(number)
        if posting is None:
            return None
        return np.frombuffer(_ROW.pack(posting) if isinstance(posting, int) else posting, _POSTINGS)

    def _close_holes(self) -> None:
        ids = np.frombuffer(self._ids, np.int64)
        live = np.flatnonzero(ids != _HOLE)
        moved = np.full(len(ids), _HOLE, dtype=np.int64)
        moved[live] = np.arange(len(live))
        columns = ((self._dates, np.float64), (self._places, np.uint64))
        dates, places = (np.frombuffer(column, kind)[live].tobytes() for column, kind in columns)
        kept = ids[live]
        self._slots = {entry_id: slot for slot, entry_id in enumerate(kept.tolist())}
        self._ids, self._dates, self._places = array("q", kept.tobytes()), array("d", dates), array("Q", places)
        self._first = 0
        for number in list(self._postings):
            rows = self._rows(number)
            assert rows is not None
            slots = moved[rows["slot"]]
            left = rows[slots != _HOLE].copy()
            left["slot"] = slots[slots != _HOLE]
            if len(left):
                found = array("Q", left.tobytes())
                self._postings[number] = found if len(found) > 1 else found[0]
            else:
                del self._postings[number]

    # ------------------------------------------------------------ in and out of the drawer

    def _hand(self, member: Member) -> Member:
        self._at_hand[member.entry.entry_id] = member
        if len(self._at_hand) > AT_HAND:
            self._at_hand.popitem(last=False)
        return member

    def _pickled(self, member: Member) -> bytes:
        out = BytesIO()
        _Pickler(out, self._number).dump((member.entry, member.packed, member.own))
        return out.getvalue()

    def _unpickled(self, record: bytes) -> Member:
        return Member(*_Unpickler(BytesIO(record), self._sources).load())

    def _number(self, source: SourceRef) -> int:
        number = self._numbers.get(source)
        if number is None:
            number = self._numbers[source] = len(self._sources)
            self._sources.append(source)
        return number


class _Pickler(pickle.Pickler):
    """Writes a number in place of a source."""

    def __init__(self, out: BytesIO, number: Any) -> None:
        super().__init__(out, pickle.HIGHEST_PROTOCOL)
        self._number = number

    def persistent_id(self, value: Any) -> int | None:
        return self._number(value) if isinstance(value, SourceRef) else None


class _Unpickler(pickle.Unpickler):
    """Reads what `_Pickler` wrote: our own file, which nobody else can open."""

    def __init__(self, record: BytesIO, sources: list[SourceRef]) -> None:
        super().__init__(record)
        self._sources = sources

    def persistent_load(self, number: int) -> SourceRef:
        return self._sources[number]
