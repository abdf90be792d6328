"""Whether two stories that were begun apart are one, as a later entry may show.

In: the members of both and how the newcomer likes them. Out: why they are one, or None. Joining moves what readers have
seen, so more is asked than for an entry that joins a story; docs/heuristics-stories.md has what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from aggregator.stories.compare import Article, Comparer, Comparison

LIKE_BOTH = 0.90  # what the newcomer must reach with the nearest member and with the beginning of each story
ALIKE_ON_AVERAGE = 0.70  # of all pairs across the two stories
BEGINNINGS_ALIKE = 0.50
COMPARED = 8  # members a side: the first of them


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two stories: its beginning, its members (that among them), what the newcomer has in common with the
    nearest of them and with the beginning. `repeats` says that the newcomer is a copy of one."""

    story_id: UUID
    first: Article
    members: Sequence[Article]
    nearest: Comparison | None = None
    with_first: Comparison | None = None
    repeats: bool = False


def why_one(comparer: Comparer, one: Side, other: Side) -> str | None:
    """Why the two stories are one, in words; None where they stay apart.

    Either the newcomer is one article with a member of each, or it is nearly surely the event of both, and they are
    alike themselves. A story takes one entry per outlet: two that share an outlet are never one, as the two entries
    would tell of different things; unless these are what the newcomer copies.
    """
    if one.repeats and other.repeats:
        return _by_copies(comparer, one, other)
    if _outlets(one) & _outlets(other) or not (_is_liked(one) and _is_liked(other)):
        return None
    beginnings = comparer.compare(one.first, other.first)
    if beginnings.veto is not None or beginnings.probability < BEGINNINGS_ALIKE:
        return None
    across = [comparer.compare(a, b) for a in one.members[:COMPARED] for b in other.members[:COMPARED]]
    if any(found.veto is not None for found in across):
        return None
    average = sum(found.probability for found in across) / len(across)
    if average < ALIKE_ON_AVERAGE:
        return None
    return f"surely the event of both, which are {average:.2f} alike themselves ({ALIKE_ON_AVERAGE:.2f} needed)"


def _by_copies(comparer: Comparer, one: Side, other: Side) -> str | None:
    beginnings = comparer.compare(one.first, other.first)
    if beginnings.is_copy:
        return "a copy of both"
    shared = _outlets(one) & _outlets(other)
    is_alike = beginnings.veto is None and beginnings.probability >= BEGINNINGS_ALIKE
    return "a copy of an entry of each" if is_alike and not shared else None


def _is_liked(side: Side) -> bool:
    return (
        side.nearest is not None
        and side.with_first is not None
        and min(side.nearest.probability, side.with_first.probability) >= LIKE_BOTH
    )


def _outlets(side: Side) -> set[str | None]:
    return {article.subject.source for article in side.members}
