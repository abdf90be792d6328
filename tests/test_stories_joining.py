"""Laws of grouping that hold whatever is like what: cuts and restarts, ids, outlets, what people decided."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from likes import WORD, Likes

from aggregator.stories.byhand import ByHand, Merged, Split, free_id
from aggregator.stories.cluster import StoryIndex, StoryPolicy
from aggregator.text import title_key
from aggregator.types import SourceRef, StoredEntry

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NAMES = "ABCDEFG"
PAIRS = list(combinations(NAMES, 2))

likenesses = st.fixed_dictionaries({pair: st.sampled_from([0.0, 0.5, 0.75, 0.97, 0.97]) for pair in PAIRS})
copies = st.sets(st.sampled_from(PAIRS), max_size=2)
outlets = st.lists(st.integers(1, 6), min_size=len(NAMES), max_size=len(NAMES))
cuts = st.sets(st.integers(0, len(NAMES) - 1))


def new_id(entry: StoredEntry) -> UUID:
    return uuid5(NAMESPACE_URL, str(entry.entry_id))


def arrivals(told_by: list[int]) -> list[StoredEntry]:
    entries = []
    for number, (name, outlet) in enumerate(zip(NAMES, told_by, strict=True), 1):
        seen = NOON + timedelta(hours=number)
        source = SourceRef(outlet, f"https://outlet{outlet}.example/rss", f"Outlet {outlet}")
        link, title = f"https://outlet{outlet}.example/{number}", f"{name} {WORD}"
        entries.append(
            StoredEntry(
                number,
                source,
                title,
                seen,
                seen,
                link=link,
                canonical_url=link,
                title_key=title_key(title),
                summary=WORD,
            )
        )
    return entries


class Passes:
    """An index that is fed entry by entry, and what a store would have made of its answers."""

    def __init__(self, likes: Likes, byhand: ByHand | None = None) -> None:
        self.likes, self.byhand = likes, byhand or ByHand()
        self.told: dict[int, StoredEntry] = {}
        self.became: dict[UUID, UUID] = {}
        self.restart()

    def restart(self) -> None:
        self.index = StoryIndex(StoryPolicy(), new_id, self.likes)
        self.index.load(self.told.values())
        self.index.heed(self.byhand, self.became)

    def place(self, entry: StoredEntry) -> None:
        self.index.expire(entry.first_seen)
        placement = self.index.place(entry)
        self.told[entry.entry_id] = replace(entry, story_id=placement.story_id, duplicate_of=placement.duplicate_of)
        for gone in placement.absorbs:
            self.became |= {old: placement.story_id for old, new in self.became.items() if new == gone}
            self.became[gone] = placement.story_id
        for entry_id, told in self.told.items():
            if told.story_id in placement.absorbs:
                self.told[entry_id] = replace(told, story_id=placement.story_id)

    def stories(self) -> dict[int, tuple[UUID | None, int | None]]:
        return {entry_id: (told.story_id, told.duplicate_of) for entry_id, told in self.told.items()}


def run(entries: list[StoredEntry], likes: Likes, restarts: Collection[int] = ()) -> Passes:
    passes = Passes(likes)
    for number, entry in enumerate(entries):
        if number in restarts:
            passes.restart()
        passes.place(entry)
    return passes


@given(likenesses, copies, outlets, cuts)
def test_cuts_and_restarts_change_nothing(pairs, copied, told_by, restarts):
    entries, likes = arrivals(told_by), Likes(pairs, tuple(copied))
    assert run(entries, likes, restarts).stories() == run(entries, likes).stories()


@given(likenesses, outlets)
def test_a_story_bears_the_id_of_its_first_entry_and_has_one_entry_per_outlet(pairs, told_by):
    told = run(arrivals(told_by), Likes(pairs)).told.values()
    for story_id in {entry.story_id for entry in told}:
        members = [entry for entry in told if entry.story_id == story_id]
        assert story_id == new_id(min(members, key=lambda entry: entry.first_seen))
        assert len({entry.source.feed_id for entry in members}) == len(members)


@pytest.mark.parametrize(("with_first", "begun"), [(0.3, 2), (0.4, 1)])
@pytest.mark.parametrize("restarts", [(), (2,)], ids=["at once", "after a restart"])
def test_chains_do_not_drift_a_newcomer_must_fit_the_beginning(with_first, begun, restarts):
    likes = Likes({("A", "B"): 0.97, ("B", "C"): 0.97, ("A", "C"): with_first})
    passes = run(arrivals(list(range(1, len(NAMES) + 1)))[:3], likes, restarts)
    assert len({told.story_id for told in passes.told.values()}) == begun


near = st.fixed_dictionaries({pair: st.sampled_from([0.5, 0.97, 0.97, 0.97]) for pair in PAIRS})


@given(near, st.integers(3, 5), cuts)
def test_what_people_keep_apart_stays_apart(pairs, when, restarts):
    begun = set(NAMES[:when])  # alike enough to be joined, not to be one from the beginning
    pairs |= {pair: 0.75 for pair in pairs if begun.issuperset(pair)}
    entries = arrivals(list(range(1, len(NAMES) + 1)))
    passes = run(entries[:when], Likes(pairs))
    one, other = entries[1:3]  # each may be joined to the first, not both
    passes.byhand = ByHand([Split((new_id(one), new_id(other)), (one.entry_id, other.entry_id))])
    passes.index.heed(passes.byhand, passes.became)
    for number, entry in enumerate(entries[when:], when):
        if number in restarts:
            passes.restart()
        passes.place(entry)
    assert passes.told[one.entry_id].story_id != passes.told[other.entry_id].story_id


# ---------------------------------------------------------------- decisions

A, B, C = (UUID(int=number) for number in range(1, 4))


@pytest.mark.parametrize(
    ("decisions", "became", "apart"),
    [
        ([Split((A, B), (1, 2))], {}, {(A, B), (B, A)}),
        ([Split((A, B), (1, 2))], {B: C}, {(A, C), (C, A)}),
        ([Split((A, B), (1, 2)), Merged((A, B))], {B: A}, set()),
        ([Merged((A, B)), Split((A, B), (1, 2))], {}, {(A, B), (B, A)}),
        ([Split((A, B), (1, 2))], {B: A}, set()),
        ([Split((A, B, C), (1, 3))], {}, {(A, B), (A, C), (B, A), (B, C), (C, A), (C, B)}),
    ],
    ids=["split", "joined to another", "undone", "done again", "one since", "three"],
)
def test_which_stories_stay_apart(decisions, became, apart):
    assert ByHand(decisions).apart(became) == apart


def test_a_new_id_is_the_entrys_own_where_that_is_free():
    assert free_id(A, lambda taken: False) == A
    assert free_id(A, lambda taken: taken == A) not in (A, B)
    assert free_id(A, lambda taken: taken == A) == free_id(A, lambda taken: taken == A)
