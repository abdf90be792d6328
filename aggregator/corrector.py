"""Merges and splits by hand: what to remember when one is asked for, and doing what was remembered.

In: stories as the store has them. `merging` and `splitting` make Corrections, which the command line stores;
`regrouped` turns one into a Regrouping, which the editor saves: at once, or a running daemon at its next pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from aggregator.errors import NotFound
from aggregator.store import Correction, Store
from aggregator.stories.byhand import ByHand, Merged, Split, free_id
from aggregator.types import Placement, StoredEntry, Story
from aggregator.urls import canonical_url, for_log, story_ref

NewId = Callable[[StoredEntry], UUID]


@dataclass(frozen=True, slots=True)
class Regrouping:
    """What a correction changes: where entries go, all entries of every story that it touches, as they will be, and
    the stories that end in another."""

    placements: tuple[Placement, ...]
    told: Mapping[UUID, tuple[StoredEntry, ...]]
    merged: Mapping[UUID, UUID]


# ---------------------------------------------------------------- asking


def named(store: Store, name: str) -> Story:
    """The story of this id, its page's address or the address of an entry; of one merged away, where it went.

    NotFound for a name that nothing has, or a story that retention took.
    """
    bare = name.strip().removeprefix("urn:uuid:")
    if "/story/" in bare:
        bare = bare.rstrip("/").rpartition("/")[2]
    story = store.story_of_url(bare) if "://" in bare else store.story(bare)
    if story is not None:
        return story
    grave = store.buried_story(bare)
    if grave is not None and grave.is_taken_down:
        raise NotFound(f"{name} is taken down: 'bmn stories takedown {grave.ref} --restore' puts it back")
    if grave is not None:
        day = grave.buried_at.date().isoformat()
        raise NotFound(f"{name}: retention took this story on {day} ({grave.title}): there is nothing left to correct")
    raise NotFound(f"{for_log(name)} is no story here (see 'bmn stories')")


def merging(store: Store, names: Sequence[str], now: datetime) -> Correction:
    """The correction that makes these one story: the one we began first. NotFound where there is nothing to merge."""
    asked: dict[UUID, str] = {}
    for name in names:
        story_id = named(store, name).story_id
        if story_id in asked:
            raise NotFound(f"{asked[story_id]} and {name} are one story already: {story_ref(story_id)}")
        asked[story_id] = name
    if len(asked) < 2:
        raise NotFound(f"{names[0]} alone cannot be merged: name the other story as well")
    return Correction("merge", now, tuple(store.oldest_first(asked)))


def splitting(store: Store, name: str, urls: Sequence[str], new_id: NewId, now: datetime) -> list[Correction]:
    """The corrections that take a story apart: the entries of these addresses leave together, or, where none is named,
    every entry but the lead begins a story of its own. Copies go with their original. NotFound where that cannot be."""
    story = named(store, name)
    everybody = story.told
    leaving = [[entry for url in urls for entry in _at(story, url)]] if urls else [[e] for e in story.entries[1:]]
    groups = [_with_copies(group, everybody) for group in leaving]
    gone = {entry.entry_id for group in groups for entry in group}
    staying = [entry for entry in everybody if entry.entry_id not in gone]
    if not groups:
        what = "one article and its copies: name the copy's address" if story.duplicates else "told by one entry alone"
        raise NotFound(f"{story.ref} cannot be split, it is {what}")
    if not staying:
        raise NotFound(f"{story.ref} cannot be split, these are all of its entries: leave out what it is about")
    apart = [story.story_id]
    made = []
    for group in groups:
        apart.append(free_id(new_id(group[0]), lambda own: own in apart or bool(store.stories_by_id([own]))))
        entry_ids = (_head(staying, story.story_id, new_id).entry_id, *(entry.entry_id for entry in group))
        made.append(Correction("split", now, tuple(apart), entry_ids))
    return made


def _at(story: Story, url: str) -> list[StoredEntry]:
    canonical = canonical_url(url)
    ours = [
        entry
        for entry in story.told
        if url == entry.link or (canonical is not None and canonical == entry.canonical_url)
    ]
    if not ours:
        raise NotFound(f"{for_log(url)} is no entry of {story.ref} (see 'bmn explain {story.ref}')")
    return ours


def _with_copies(leaving: Iterable[StoredEntry], everybody: Iterable[StoredEntry]) -> list[StoredEntry]:
    """The entries and the copies of them, each once, the first seen first."""
    ids = {entry.entry_id for entry in leaving}
    return sorted((e for e in everybody if e.entry_id in ids or e.duplicate_of in ids), key=_age)


def _head(staying: Sequence[StoredEntry], story_id: UUID, new_id: NewId) -> StoredEntry:
    """The entry that the story goes on from: the one that began it, else the first that stays."""
    return min(staying, key=lambda entry: (new_id(entry) != story_id, entry.duplicate_of is not None, _age(entry)))


def _age(entry: StoredEntry) -> tuple[datetime, int]:
    return entry.first_seen, entry.entry_id


# ---------------------------------------------------------------- doing


def decisions(corrections: Iterable[Correction]) -> ByHand:
    """What the index of stories has to heed of all corrections."""
    return ByHand(
        Merged(each.story_ids) if each.kind == "merge" else Split(each.story_ids, each.entry_ids)
        for each in corrections
        if each.kind in ("merge", "split")
    )


def regrouped(store: Store, correction: Correction) -> Regrouping | None:
    """What is to change; None where nothing is (any more). Asked twice, the second time there is nothing to do."""
    if correction.kind == "merge":
        return _merged(store, correction)
    return _split(store, correction) if correction.kind == "split" else None


def _merged(store: Store, correction: Correction) -> Regrouping | None:
    became = store.redirects(correction.story_ids)
    living = dict.fromkeys(became.get(story_id, story_id) for story_id in correction.story_ids)
    found = store.stories_by_id(living)
    if len(found) < 2:
        return None
    kept, *others = found
    told = [entry for story in (kept, *others) for entry in story.told]
    return Regrouping(
        tuple(move for other in others for move in moves(store, other, kept.story_id, "merged by hand")),
        {kept.story_id: tuple(replace(entry, story_id=kept.story_id) for entry in told)},
        {other.story_id: kept.story_id for other in others},
    )


def moves(store: Store, story: Story, kept: UUID, why: str) -> list[Placement]:
    """The entries of a story that ends in another, each with the reasons that it had and, before them, why."""
    return [
        replace(placement, story_id=kept, begins=False, reasons=(f"{why}: was {story.ref}", *placement.reasons))
        for placement in store.placements(story.story_id)
    ]


def _split(store: Store, correction: Correction) -> Regrouping | None:
    own = correction.story_ids[-1]
    story_id = store.redirects(correction.story_ids[:1]).get(correction.story_ids[0], correction.story_ids[0])
    found = store.stories_by_id([story_id])
    leaving = set(correction.entry_ids[1:])
    everybody = [entry for story in found for entry in story.told]
    staying = [entry for entry in everybody if entry.entry_id not in leaving]
    going = [entry for entry in everybody if entry.entry_id in leaving]
    if not going or not staying:
        return None
    parts = {story_id: _mended(staying, story_id), own: _mended(going, own)}
    before = {placement.entry_id: placement for placement in store.placements(story_id)}
    reasons = (f"taken out of {story_ref(story_id)} by hand",)
    placements = [
        Placement(entry.entry_id, own, duplicate_of=entry.duplicate_of, reasons=reasons) for entry in parts[own]
    ]
    placements += [
        replace(before[entry.entry_id], duplicate_of=entry.duplicate_of)  # its original left
        for entry in parts[story_id]
        if before[entry.entry_id].duplicate_of != entry.duplicate_of
    ]
    parts[own] += tuple(entry for story in store.stories_by_id([own]) for entry in story.told)
    return Regrouping(tuple(placements), parts, {})


def _mended(entries: Sequence[StoredEntry], story_id: UUID) -> tuple[StoredEntry, ...]:
    """The entries as that story's: where an original went elsewhere, its first copy is the original now."""
    here = {entry.entry_id for entry in entries}
    heirs: dict[int, int] = {}
    mended = []
    for entry in sorted(entries, key=_age):
        original = entry.duplicate_of
        if original is not None and original not in here:
            heir = heirs.setdefault(original, entry.entry_id)
            original = None if heir == entry.entry_id else heir
        mended.append(replace(entry, story_id=story_id, duplicate_of=original))
    return tuple(mended)
