"""Which story an entry belongs to.

In: entries in the order in which they were stored, with the twins that the store knows at any age. Out: one
Placement each. The index remembers the entries of the window (`memory`) and is rebuilt from the store at start
(`load`). An entry is placed by what came before it alone, so it does not matter how arrivals are cut into passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from aggregator.stories.byhand import ByHand
from aggregator.stories.compare import Article, Comparer, Comparison, outlet
from aggregator.stories.dedupe import Duplicate, exact_duplicate
from aggregator.stories.index import Member
from aggregator.stories.joining import Side, why_one
from aggregator.stories.memory import Memory
from aggregator.stories.vetoes import Kind, kind_of
from aggregator.types import Placement, StoredEntry
from aggregator.urls import story_ref

FITS_LEAD = 0.35  # how likely a newcomer must be the event of the story's first entry, however near another one is
RELATED = 5  # near stories named per placement
KEPT_LONGER = timedelta(hours=12)  # beyond the window, for entries that are placed late; the rule itself counts exactly
LOADED_AT_ONCE = 256
MOST = 50_000  # entries, some 2 kB of memory each: 72 hours where 16,000 come in a day
RECENT = 2_000  # placements kept, for a pass that has to be done again
NOTHING_NEAR = ("nothing like it in the window",)


@dataclass(frozen=True, slots=True)
class StoryPolicy:
    """`window`: how long a story can grow, and how old an entry may be to join or begin one that grows. `most`: of its
    entries so many are compared with newcomers, the last to come."""

    window: timedelta = timedelta(hours=72)
    most: int = MOST


@dataclass(frozen=True, slots=True)
class Candidate:
    """A story that an entry might belong to: by its nearest member, as far as its beginning agrees."""

    member: Member
    found: Comparison
    first: Member
    with_first: Comparison

    @property
    def story_id(self) -> UUID:
        return _story_of(self.member)


@dataclass(frozen=True, slots=True)
class Found:
    """Where an entry goes: into that story, where it can grow, and `also` others that may turn out to be the same."""

    placement: Placement
    into: Side | None = None
    also: tuple[Side, ...] = ()


class StoryIndex:
    """The window of entries that stories can still grow from; one per process that groups."""

    def __init__(
        self, policy: StoryPolicy, new_id: Callable[[StoredEntry], UUID], comparer: Comparer | None = None
    ) -> None:
        self._policy = policy
        self._new_id = new_id
        self._comparer = comparer or Comparer.load()
        self._memory = Memory(new_id)
        self._recent: dict[int, Placement] = {}

    def __len__(self) -> int:
        return len(self._memory.window)

    def load(self, entries: Iterable[StoredEntry]) -> None:
        """Remember entries that the store has already grouped, in the order in which they were stored."""
        grouped = (entry for entry in entries if entry.story_id is not None)
        while some := list(islice(grouped, LOADED_AT_ONCE)):  # all of them with their texts are more than memory holds
            for entry, article in zip(some, self._comparer.of_entries(some), strict=True):
                if self._memory.window.get(entry.entry_id) is None:
                    self._memory.remember(entry, article)
            self._memory.shed(self._policy.most)

    def place(self, entry: StoredEntry, twins: Sequence[StoredEntry] = ()) -> Placement:
        """Where the entry belongs. One placed before (in a pass that could not be saved) is placed alike."""
        known = self._known(entry.entry_id)
        if known is not None:
            return known
        article = self._comparer.of_entries([entry])[0]
        found = self._as_duplicate(entry, twins) or self._by_likeness(entry, article)
        placement = self._joined(found)
        grouped = replace(entry, story_id=placement.story_id, duplicate_of=placement.duplicate_of)
        self._memory.remember(grouped, article)
        self._recent[entry.entry_id] = placement
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        # With each entry, not with each pass: where an entry belongs must not depend on how arrivals are cut.
        self._memory.shed(self._policy.most)
        return placement

    def keeper(self, story_id: UUID) -> UUID:
        """The story that this one is part of now: itself, unless a later entry showed that it is another's."""
        return self._memory.keeper(story_id)

    def expire(self, now: datetime) -> None:
        """Forget entries dated before the window."""
        for entry_id in self._memory.expire(now - self._policy.window - KEPT_LONGER):
            self._recent.pop(entry_id, None)

    def heed(self, byhand: ByHand, became: Mapping[UUID, UUID]) -> None:
        """Go by what people decided from now on; `became` says where the stories they name have gone since."""
        self._memory.heed(byhand, became)

    def regroup(self, placements: Iterable[Placement], merged: Mapping[UUID, UUID]) -> None:
        """Follow a correction: entries that went elsewhere, stories that became others."""
        for gone, kept in merged.items():
            self._memory.join(gone, kept)
        for placement in placements:
            self._memory.move(placement.entry_id, placement.story_id, placement.duplicate_of)
            self._recent.pop(placement.entry_id, None)

    def _known(self, entry_id: int) -> Placement | None:
        member = self._memory.window.get(entry_id)
        if member is None:
            return None
        known = self._recent.get(entry_id) or Placement(
            entry_id, _story_of(member), begins=member.own == member.entry.story_id
        )
        return replace(known, story_id=_story_of(member), duplicate_of=member.entry.duplicate_of)

    # ------------------------------------------------------------ exact duplicates

    def _as_duplicate(self, entry: StoredEntry, twins: Sequence[StoredEntry]) -> Found | None:
        candidates = {twin.entry_id: twin for twin in twins if twin.story_id is not None}
        candidates |= {member.entry.entry_id: member.entry for member in self._memory.keyed_alike(entry)}
        repeated: dict[UUID, Duplicate] = {}
        rest = tuple(candidates.values())
        while rest and (found := exact_duplicate(entry, rest)) is not None and found.of.story_id is not None:
            repeated[found.of.story_id] = found
            rest = tuple(twin for twin in rest if twin.story_id not in repeated)
        if not repeated:
            return None
        story_id, found = next(iter(repeated.items()))
        original = found.of.duplicate_of or found.of.entry_id
        reason = f"{found.reason} as entry {original}"
        placement = Placement(entry.entry_id, story_id, duplicate_of=original, reasons=(reason,))
        return Found(placement, *self._sides(list(repeated)))

    # ------------------------------------------------------------ likeness

    def _by_likeness(self, entry: StoredEntry, article: Article) -> Found:
        begins = Placement(entry.entry_id, self._new_id(entry), begins=True, reasons=NOTHING_NEAR)
        if entry.first_seen - entry.dated > self._policy.window:
            return Found(replace(begins, reasons=("older than the window when first seen",)))
        compared = [(member, self._comparer.compare(article, member.article)) for member in self._near(entry, article)]
        copied = [(member, found) for member, found in compared if found.is_copy]
        if copied:
            return self._copy(entry, article, copied)
        candidates = self._candidates(article, compared)
        related = tuple(candidate.story_id for candidate in candidates[:RELATED])
        fitting = [candidate for candidate in candidates if self._fits(entry, candidate)]
        if not fitting:
            return Found(replace(begins, related=related, reasons=self._why_not(entry, article, candidates)))
        best, *also = sorted(fitting, key=lambda one: (-one.found.probability, one.first.entry.entry_id))
        placement = Placement(
            entry.entry_id,
            best.story_id,
            score=round(best.found.probability, 4),
            reasons=self._why(article, best),
            related=tuple(story_id for story_id in related if story_id != best.story_id),
        )
        return Found(placement, self._liked(best), tuple(map(self._liked, also)))

    def _near(self, entry: StoredEntry, article: Article) -> list[Member]:
        """The nearest members that are young enough, by the newcomer's own clock and not by when this pass runs."""
        oldest = entry.first_seen - self._policy.window
        return [
            member
            for member in self._memory.window.nearest(article)
            if member.entry.dated >= oldest and abs(member.entry.dated - entry.dated) <= self._policy.window
        ]

    def _copy(self, entry: StoredEntry, article: Article, copied: Sequence[tuple[Member, Comparison]]) -> Found:
        (member, found), *others = copied
        original = member.entry.duplicate_of or member.entry.entry_id
        reasons = (f"copies entry {original}", *self._comparer.reasons(article, member.article, found))
        score = round(max(found.probability, self._comparer.weights.merge), 4)
        placement = Placement(entry.entry_id, _story_of(member), duplicate_of=original, score=score, reasons=reasons)
        stories = dict.fromkeys(_story_of(each) for each, _ in others if _story_of(each) != placement.story_id)
        return Found(placement, *self._sides([placement.story_id, *stories]))

    def _candidates(self, article: Article, compared: Sequence[tuple[Member, Comparison]]) -> list[Candidate]:
        """The stories worth naming, by their nearest member, the likeliest first."""
        nearest: dict[UUID, tuple[Member, Comparison]] = {}
        for member, found in compared:
            if found.probability < self._comparer.weights.related:
                continue
            held = nearest.get(_story_of(member))
            if held is None or _rank(found) > _rank(held[1]):
                nearest[_story_of(member)] = (member, found)
        candidates = []
        for story_id, (member, found) in nearest.items():
            beginnings = [
                (first, found if first is member else self._comparer.compare(article, first.article))
                for first in self._memory.beginnings(story_id)
            ]
            if beginnings:
                first, with_first = max(beginnings, key=lambda one: _rank(one[1]))
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
        return any(member.outlet == name for member in self._memory.originals(story_id))

    # ------------------------------------------------------------ two stories that are one

    def _liked(self, candidate: Candidate) -> Side:
        members = [member.article for member in self._memory.originals(candidate.story_id)]
        return Side(candidate.story_id, candidate.first.article, members, candidate.found, candidate.with_first)

    def _sides(self, repeated: Sequence[UUID]) -> tuple[Side | None, tuple[Side, ...]]:
        """The first of the stories that the newcomer copies, and those of the others that can grow."""
        into, *also = map(self._repeated, repeated)
        return into, tuple(side for side in also if side is not None)

    def _repeated(self, story_id: UUID) -> Side | None:
        """The story as one that the newcomer copies; None for one too old to grow."""
        beginnings = self._memory.beginnings(story_id)
        if not beginnings:
            return None
        members = [member.article for member in self._memory.originals(story_id)]
        return Side(story_id, beginnings[0].article, members, repeats=True)

    def _joined(self, found: Found) -> Placement:
        """The placement, with the stories that turn out to be one with its own joined: the one begun first stays."""
        placement, into = found.placement, found.into
        if into is None:
            return placement
        for side in found.also:
            reason = why_one(self._comparer, into, side)
            if reason is None or self._memory.are_apart(placement.story_id, side.story_id):
                continue
            kept, gone = sorted((placement.story_id, side.story_id), key=self._age)
            self._memory.join(gone, kept)
            placement = replace(
                placement,
                story_id=kept,
                absorbs=(*placement.absorbs, gone),
                reasons=(*placement.reasons, f"showed that {story_ref(gone)} is the same story: {reason}"),
                related=tuple(each for each in placement.related if each not in (kept, gone)),
            )
        return placement

    def _age(self, story_id: UUID) -> tuple[datetime, int]:
        """When a story began with us."""
        first = self._memory.beginnings(story_id)[0].entry
        return first.first_seen, first.entry_id

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


def _story_of(member: Member) -> UUID:
    assert member.entry.story_id is not None
    return member.entry.story_id


def _rank(found: Comparison) -> tuple[bool, float]:
    return found.is_same, found.probability
