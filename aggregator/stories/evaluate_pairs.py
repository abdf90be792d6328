"""`bmn evaluate pairs|stories`: how good our merging is on labelled rows.

In: rows as JSON gives them. Out: exactly the document that the contract prints. Everything but title, text, source and
date is ignored; source and date may be null.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import comb
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from aggregator.html import to_text
from aggregator.stories.cluster import StoryIndex, StoryPolicy
from aggregator.stories.compare import Comparer
from aggregator.stories.linkage import grouped
from aggregator.text import title_key
from aggregator.types import SourceRef, StoredEntry

Row = Mapping[str, Any]


def pairs(rows: Iterable[Row]) -> dict[str, float]:
    """Precision, recall and F1 of merging two entries, at the product's own threshold."""
    given = list(rows)
    comparer = Comparer.load()
    one = comparer.articles(_fields(row["a"]) for row in given)
    other = comparer.articles(_fields(row["b"]) for row in given)
    merged = [comparer.compare(a, b).is_same for a, b in zip(one, other, strict=True)]
    same = [bool(row["same"]) for row in given]
    hits = sum(1 for is_merged, is_same in zip(merged, same, strict=True) if is_merged and is_same)
    precision, recall = _ratio(hits, sum(merged)), _ratio(hits, sum(same))
    return {"rows": len(given), "precision": precision, "recall": recall, "f1": _harmonic(precision, recall)}


def stories(rows: Iterable[Row]) -> dict[str, float]:
    """B-cubed precision, recall and F1 and the adjusted Rand index of our stories.

    Dated rows go through the product's own index in order of time. Where a row has no date there is no order and no
    window: then all are compared with all (`linkage`).
    """
    given = list(rows)
    true = [str(row["story"]) for row in given]
    dates = [when(row.get("published")) for row in given]
    if None in dates:
        ours: list[Hashable] = list(grouped(Comparer.load().articles(_fields(row) for row in given)))
    else:
        ours = list(_placed(given, [date for date in dates if date is not None]))
    return {"rows": len(given), **bcubed(ours, true), "ari": adjusted_rand(ours, true)}


def _placed(rows: Sequence[Row], dates: Sequence[datetime]) -> list[UUID]:
    """The story of each row, as the daemon would have grouped them had each arrived when it was published."""
    index = StoryIndex(StoryPolicy(), lambda entry: uuid5(NAMESPACE_URL, str(entry.entry_id)))
    found: dict[int, UUID] = {}
    for place in sorted(range(len(rows)), key=lambda place: (dates[place], place)):
        entry = _entry(rows[place], place, dates[place])
        index.expire(entry.first_seen)
        placement = index.place(entry)
        found[place] = placement.story_id
        joined = dict.fromkeys(placement.absorbs, placement.story_id)
        found |= {at: joined[story] for at, story in found.items() if story in joined} if joined else {}
    return [found[place] for place in range(len(rows))]


def _entry(row: Row, place: int, date: datetime) -> StoredEntry:
    outlet = hashlib.sha256(str(row.get("source") or f"row {place}").encode()).hexdigest()[:16]
    title, text, _, _ = _fields(row)
    address = f"https://{outlet}.invalid/{place}"  # an outlet is known by its domain
    source = SourceRef(0, f"https://{outlet}.invalid/", str(row.get("source") or ""))
    return StoredEntry(
        place, source, title, date, date, link=address, canonical_url=address, title_key=title_key(title), summary=text
    )


def bcubed(ours: Sequence[Hashable], true: Sequence[Hashable]) -> dict[str, float]:
    """For the average row: which share of its group is of its story, and which share of its story is in its group."""
    both, mine, theirs = Counter(zip(ours, true, strict=True)), Counter(ours), Counter(true)
    precision = sum(count * count / mine[group] for (group, _), count in both.items())
    recall = sum(count * count / theirs[story] for (_, story), count in both.items())
    precision, recall = _ratio(precision, len(ours)), _ratio(recall, len(ours))
    return {"bcubed_precision": precision, "bcubed_recall": recall, "bcubed_f1": _harmonic(precision, recall)}


def adjusted_rand(ours: Sequence[Hashable], true: Sequence[Hashable]) -> float:
    """Agreement of two groupings over all pairs, 0 for chance and 1 for equal (Hubert and Arabie 1985)."""
    together = sum(comb(count, 2) for count in Counter(zip(ours, true, strict=True)).values())
    mine = sum(comb(count, 2) for count in Counter(ours).values())
    theirs = sum(comb(count, 2) for count in Counter(true).values())
    everything = comb(len(ours), 2)
    chance = mine * theirs / everything if everything else 0.0
    most = (mine + theirs) / 2
    return round((together - chance) / (most - chance), 4) if most != chance else 1.0


def _fields(row: Row) -> tuple[str, str, datetime | None, str | None]:
    text = to_text(str(row.get("summary") or ""))
    return str(row.get("title") or ""), text, when(row.get("published")), row.get("source") or None


def when(given: object) -> datetime | None:
    """A date as RFC 3339 writes it, None where there is none or we cannot read it."""
    if not isinstance(given, str) or not given:
        return None
    try:
        read = datetime.fromisoformat(given.replace(" ", "T", 1) if "T" not in given else given)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _ratio(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 0.0


def _harmonic(one: float, other: float) -> float:
    return round(2 * one * other / (one + other), 4) if one + other else 0.0
