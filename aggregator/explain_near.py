"""Why stories that are near each other are two: the part of `bmn explain` that compares entries anew.

In: stories as stored. Out: JSON-ready values: the nearest pair of entries, what the two share and score, what keeps the
stories apart. Reads the models and the store; changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aggregator.corrector import decisions, named
from aggregator.store import Store
from aggregator.stories.cluster import FITS_LEAD
from aggregator.stories.compare import Article, Comparer, Comparison, outlet
from aggregator.types import StoredEntry, Story

SHOWN = 3  # stories, the nearest first
COMPARED = 8  # entries a side, the lead first


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two entries side by side."""

    mine: StoredEntry
    theirs: StoredEntry
    articles: tuple[Article, Article]
    found: Comparison


def nearest(store: Store, story: Story, asked: StoredEntry | None = None) -> list[dict[str, Any]]:
    """The stories that were near an entry of this one when it came, and what keeps each apart, the nearest first.

    `asked`: only as seen from that entry.
    """
    others = [other for other in store.stories_by_id(story.related) if other.story_id != story.story_id]
    found = [between(store, story, other, asked) for other in others]
    return sorted(found, key=lambda one: -one["likely"])[:SHOWN]


def pair(store: Store, one: str, other: str) -> dict[str, Any]:
    """Two stories or entries (ids or addresses) side by side: whether they are one story, and why or why not.

    NotFound for a name that nothing here has.
    """
    mine, theirs = named(store, one), named(store, other)
    left, right = _asked(store, one, mine), _asked(store, other, theirs)
    found: dict[str, Any] = {"kind": "pair", "same": mine.story_id == theirs.story_id}
    found["one"], found["other"] = (
        {"id": story.ref, "title": entry.title, "url": entry.link, "source": entry.source.title}
        for story, entry in ((mine, left or mine.lead), (theirs, right or theirs.lead))
    )
    if not found["same"]:
        narrowed = replace(theirs, entries=(right, *theirs.entries)) if right is not None else theirs
        return found | {"compared": between(store, mine, narrowed, left)}
    placements = {each.entry_id: list(each.reasons) for each in store.placements(mine.story_id)}
    asked = [entry for entry in (left, right) if entry is not None]
    return found | {"together": {entry.title: placements.get(entry.entry_id, []) for entry in asked or mine.entries}}


def _asked(store: Store, name: str, story: Story) -> StoredEntry | None:
    """The entry that was named by its address, None for a story named as such."""
    if "://" not in name or "/story/" in name:
        return None
    here = (entry for entry in store.entries_of_url(name) if entry.story_id == story.story_id)
    return next(here, None)


def pair_lines(found: dict[str, Any]) -> list[str]:
    """The same for a person."""
    one, other = found["one"], found["other"]
    heads = [f"{each['source']}: {each['title']} ({each['id']})" for each in (one, other)]
    if found["same"]:
        told = [line for title, reasons in found["together"].items() for line in (f"  {title}", *_deeper(reasons))]
        return [*heads, "one story", *told]
    compared = found["compared"]
    return [*heads, f"two stories: {compared['apart']}", *_deeper(compared["reasons"])]


def _deeper(reasons: Sequence[str]) -> list[str]:
    return [f"    {reason}" for reason in reasons]


def between(store: Store, story: Story, other: Story, asked: StoredEntry | None = None) -> dict[str, Any]:
    """What two stories have in common by their nearest pair of entries, and what keeps them apart."""
    comparer = Comparer.load()
    mine = [asked] if asked is not None else story.entries[:COMPARED]
    pair = _nearest_pair(comparer, mine, other.entries[:COMPARED])
    return {
        "id": other.ref,
        "title": other.lead.title,
        "url": other.lead.link,
        "likely": round(pair.found.probability, 4),
        "entry": pair.mine.link,
        "nearest_entry": pair.theirs.link,
        "reasons": comparer.reasons(*pair.articles, pair.found),
        "apart": _obstacle(store, comparer, story, other, pair),
    }


def _nearest_pair(comparer: Comparer, mine: Sequence[StoredEntry], theirs: Sequence[StoredEntry]) -> _Pair:
    left, right = comparer.of_entries(mine), comparer.of_entries(theirs)
    pairs = [
        _Pair(one, other, (a, b), comparer.compare(a, b))
        for one, a in zip(mine, left, strict=True)
        for other, b in zip(theirs, right, strict=True)
    ]
    return max(pairs, key=lambda pair: (pair.found.is_same, pair.found.probability))


def _obstacle(store: Store, comparer: Comparer, story: Story, other: Story, pair: _Pair) -> str:
    """The one thing to name: a person's word, then rules, then likelihood, then that both had begun."""
    byhand = decisions(store.corrections())
    if (story.story_id, other.story_id) in byhand.apart(store.redirects(byhand.story_ids)):
        return "split by hand"
    if pair.found.veto is not None:
        return f"veto: {pair.found.veto}"
    if not pair.found.is_same:
        return f"not likely enough: {pair.found.probability:.2f}, {pair.found.threshold:.2f} needed"
    told = {outlet(entry) for entry in other.entries} & {outlet(entry) for entry in story.entries}
    if told:
        return f"both are told by {', '.join(sorted(told))}: two entries of one outlet are two events"
    first = min(other.entries, key=lambda entry: (entry.first_seen, entry.entry_id))
    with_first = comparer.compare(pair.articles[0], comparer.of_entries([first])[0])
    if with_first.veto is not None:
        return f"veto by the entry that it began with: {with_first.veto}"
    if with_first.probability < FITS_LEAD:
        return f"unlike the entry that it began with: {with_first.probability:.2f}, {FITS_LEAD} needed"
    return "both had begun, and no entry since was surely the event of both"


def lines(near: dict[str, Any]) -> list[str]:
    """The same for a person."""
    return [f"  {near['title']} ({near['id']}): {near['apart']}", *_deeper(near["reasons"])]
