"""Which story an entry belongs to.

In: entries in the order in which they were stored, with the twins that the store knows at any age. Out: one
Placement each. The index remembers the entries of the window and is rebuilt from the store at start (`load`).
An entry is placed by what came before it alone, so it does not matter how arrivals are cut into passes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from aggregator.stories.compare import Article, Comparer, Comparison, outlet
from aggregator.stories.dedupe import exact_duplicate, title_day_key
from aggregator.stories.index import Member, Window
from aggregator.stories.vetoes import Kind, kind_of
from aggregator.types import Placement, StoredEntry

K = TypeVar("K")

FITS_LEAD = 0.35  # how likely a newcomer must be the event of the story's first entry, however near another one is
RELATED = 5  # near stories named per placement
KEPT_LONGER = timedelta(hours=12)  # beyond the window, for entries that are placed late; the rule itself counts exactly
LOADED_AT_ONCE = 256
RECENT = 2_000  # placements whose reasons are kept, for a pass that has to be done again
NOTHING_NEAR = ("nothing like it in the window",)


@dataclass(frozen=True, slots=True)
class StoryPolicy:
    """`window`: how long a story can grow, and how old an entry may be to join or begin one that grows."""

    window: timedelta = timedelta(hours=72)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A story that an entry might belong to: by its nearest member, as far as its first entry agrees."""

    member: Member
    found: Comparison
    first: Member
    with_first: Comparison

    @property
    def story_id(self) -> UUID:
        story_id = self.member.entry.story_id
        assert story_id is not None
        return story_id


class StoryIndex:
    """The window of entries that stories can still grow from; one per process that groups."""

    def __init__(
        self, policy: StoryPolicy, new_id: Callable[[StoredEntry], UUID], comparer: Comparer | None = None
    ) -> None:
        self._policy = policy
        self._new_id = new_id
        self._comparer = comparer or Comparer.load()
        self._window = Window()
        self._placements: dict[int, Placement] = {}
        self._recent: deque[int] = deque()
        self._stories: dict[UUID, list[int]] = {}  # the originals of each story, in the order placed
        self._first: dict[UUID, int] = {}  # the entry that began it, while in the window: without it no story grows
        self._by_url: dict[str, list[int]] = {}
        self._by_title: dict[tuple[str, str, date], list[int]] = {}

    def __len__(self) -> int:
        return len(self._window)

    def load(self, entries: Iterable[StoredEntry]) -> None:
        """Remember entries that the store has already grouped, in the order in which they were stored."""
        grouped = sorted((entry for entry in entries if entry.story_id is not None), key=lambda entry: entry.entry_id)
        for start in range(0, len(grouped), LOADED_AT_ONCE):
            some = grouped[start : start + LOADED_AT_ONCE]
            for entry, article in zip(some, self._comparer.of_entries(some), strict=True):
                if entry.entry_id not in self._placements and entry.story_id is not None:
                    placement = Placement(entry.entry_id, entry.story_id, duplicate_of=entry.duplicate_of)
                    self._remember(entry, article, placement)

    def place(self, entry: StoredEntry, twins: Sequence[StoredEntry] = ()) -> Placement:
        """Where the entry belongs. One placed before (in a pass that could not be saved) is placed alike."""
        known = self._placements.get(entry.entry_id)
        if known is not None:
            return known
        article = self._comparer.of_entries([entry])[0]
        placement = self._as_duplicate(entry, twins) or self._by_likeness(entry, article)
        self._remember(entry, article, placement)
        return placement

    def expire(self, now: datetime) -> None:
        """Forget entries dated before the window."""
        horizon = now - self._policy.window - KEPT_LONGER
        for member in [member for member in self._window if member.entry.dated < horizon]:
            self._forget(member.entry)

    # ------------------------------------------------------------ exact duplicates

    def _as_duplicate(self, entry: StoredEntry, twins: Sequence[StoredEntry]) -> Placement | None:
        candidates = {twin.entry_id: twin for twin in twins if twin.story_id is not None}
        for entry_id in self._keyed_alike(entry):
            member = self._window.get(entry_id)
            if member is not None:
                candidates[entry_id] = member.entry
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

    # ------------------------------------------------------------ likeness

    def _by_likeness(self, entry: StoredEntry, article: Article) -> Placement:
        begins = Placement(entry.entry_id, self._new_id(entry), begins=True, reasons=NOTHING_NEAR)
        if entry.first_seen - entry.dated > self._policy.window:
            return replace(begins, reasons=("older than the window when first seen",))
        compared = [(member, self._comparer.compare(article, member.article)) for member in self._near(entry, article)]
        for member, found in compared:
            if found.is_copy:
                return self._copy(entry, article, member, found)
        candidates = self._candidates(article, compared)
        related = self._related(candidates)
        fitting = [candidate for candidate in candidates if self._fits(entry, candidate)]
        if not fitting:
            return replace(begins, related=related, reasons=self._why_not(entry, article, candidates))
        best = max(fitting, key=lambda one: (one.found.probability, -one.first.entry.entry_id))
        return Placement(
            entry.entry_id,
            best.story_id,
            score=round(best.found.probability, 4),
            reasons=self._why(article, best),
            related=tuple(story_id for story_id in related if story_id != best.story_id),
        )

    def _near(self, entry: StoredEntry, article: Article) -> list[Member]:
        """The nearest members that are young enough, by the newcomer's own clock and not by when this pass runs."""
        oldest = entry.first_seen - self._policy.window
        return [
            member
            for member in self._window.nearest(article)
            if member.entry.dated >= oldest and abs(member.entry.dated - entry.dated) <= self._policy.window
        ]

    def _copy(self, entry: StoredEntry, article: Article, member: Member, found: Comparison) -> Placement:
        original = member.entry.duplicate_of or member.entry.entry_id
        story_id = member.entry.story_id
        assert story_id is not None
        reasons = (f"copies entry {original}", *self._comparer.reasons(article, member.article, found))
        score = round(max(found.probability, self._comparer.weights.merge), 4)
        return Placement(entry.entry_id, story_id, duplicate_of=original, score=score, reasons=reasons)

    def _candidates(self, article: Article, compared: Sequence[tuple[Member, Comparison]]) -> list[Candidate]:
        """The stories worth naming, by their nearest member, the likeliest first."""
        nearest: dict[UUID, tuple[Member, Comparison]] = {}
        for member, found in compared:
            story_id = member.entry.story_id
            if story_id is None or found.probability < self._comparer.weights.related:
                continue
            held = nearest.get(story_id)
            if held is None or _rank(found) > _rank(held[1]):
                nearest[story_id] = (member, found)
        candidates = []
        for story_id, (member, found) in nearest.items():
            first = self._window.get(self._first.get(story_id, -1))
            if first is not None:
                with_first = found if first is member else self._comparer.compare(article, first.article)
                candidates.append(Candidate(member, found, first, with_first))
        candidates.sort(key=lambda one: (-one.found.probability, one.first.entry.entry_id))
        return candidates

    def _fits(self, entry: StoredEntry, candidate: Candidate) -> bool:
        """Whether the entry may join: like a member, not unlike the first, in time, and its outlet's only one there."""
        return (
            candidate.found.is_same
            and candidate.with_first.veto is None
            and candidate.with_first.probability >= FITS_LEAD
            and kind_of(candidate.first.entry.title) is not Kind.RUNNING
            and entry.dated - candidate.first.entry.dated <= self._policy.window
            and not self._is_told_by(candidate.story_id, outlet(entry))
        )

    def _is_told_by(self, story_id: UUID, name: str) -> bool:
        members = (self._window.get(entry_id) for entry_id in self._stories.get(story_id, ()))
        return any(member is not None and member.article.subject.source == name for member in members)

    def _related(self, candidates: Sequence[Candidate]) -> tuple[UUID, ...]:
        return tuple(candidate.story_id for candidate in candidates[: RELATED + 1])[:RELATED]

    # ------------------------------------------------------------ reasons

    def _why(self, article: Article, chosen: Candidate) -> tuple[str, ...]:
        lines = [f"told like entry {chosen.member.entry.entry_id} ({chosen.member.entry.title})"]
        lines += self._comparer.reasons(article, chosen.member.article, chosen.found)
        if chosen.first is not chosen.member:
            lines.append(f"and like the story's first entry: {chosen.with_first.probability:.2f}, {FITS_LEAD} needed")
        return tuple(lines)

    def _why_not(self, entry: StoredEntry, article: Article, candidates: Sequence[Candidate]) -> tuple[str, ...]:
        if not candidates:
            return NOTHING_NEAR
        near = candidates[0]
        lines = [f"nearest is entry {near.member.entry.entry_id} ({near.member.entry.title})"]
        lines += self._comparer.reasons(article, near.member.article, near.found)
        if near.found.is_same:
            lines.append(self._obstacle(entry, near))
        return tuple(lines)

    def _obstacle(self, entry: StoredEntry, near: Candidate) -> str:
        if near.with_first.veto is not None:
            return f"veto by the story's first entry: {near.with_first.veto}"
        if near.with_first.probability < FITS_LEAD:
            return f"unlike the story's first entry: {near.with_first.probability:.2f}, {FITS_LEAD} needed"
        if kind_of(near.first.entry.title) is Kind.RUNNING:
            return "veto: a running page gathers no story"
        if entry.dated - near.first.entry.dated > self._policy.window:
            return "the story is too old to grow"
        return f"veto: {outlet(entry)} already tells the story"

    # ------------------------------------------------------------ memory

    def _remember(self, entry: StoredEntry, article: Article, placement: Placement) -> None:
        grouped = replace(
            entry, story_id=placement.story_id, duplicate_of=placement.duplicate_of, summary=None, content=None
        )
        self._window.add(Member(grouped, article))
        self._placements[entry.entry_id] = placement
        self._recent.append(entry.entry_id)
        if len(self._recent) > RECENT and (settled := self._placements.get(self._recent.popleft())) is not None:
            self._placements[settled.entry_id] = replace(settled, reasons=(), related=())
        if placement.duplicate_of is None:
            self._stories.setdefault(placement.story_id, []).append(entry.entry_id)
        if placement.begins or self._new_id(grouped) == placement.story_id:
            self._first.setdefault(placement.story_id, entry.entry_id)
        if entry.canonical_url:
            self._by_url.setdefault(entry.canonical_url, []).append(entry.entry_id)
        key = title_day_key(entry)
        if key is not None:
            self._by_title.setdefault(key, []).append(entry.entry_id)

    def _forget(self, entry: StoredEntry) -> None:
        self._window.drop(entry.entry_id)
        del self._placements[entry.entry_id]
        story_id = entry.story_id
        if story_id is not None:
            _drop(self._stories, story_id, entry.entry_id)
            if self._first.get(story_id) == entry.entry_id:
                del self._first[story_id]
        _drop(self._by_url, entry.canonical_url or "", entry.entry_id)
        key = title_day_key(entry)
        if key is not None:
            _drop(self._by_title, key, entry.entry_id)


def _rank(found: Comparison) -> tuple[bool, float]:
    return found.is_same, found.probability


def _drop(index: dict[K, list[int]], key: K, entry_id: int) -> None:
    ids = index.get(key)
    if ids is not None and entry_id in ids:
        ids.remove(entry_id)
        if not ids:
            del index[key]
