"""What people decided about grouping, as the index heeds it.

In: merges and splits in the order in which they were made. Out: which stories are never joined by us, and from which
entries a story goes on. Stories are named as they were then; what became of them since is the caller's to follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from uuid import UUID, uuid5


@dataclass(frozen=True, slots=True)
class Merged:
    """These stories are one."""

    story_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """The first story goes on from the first entry, the others leave it and go on as the last story, from the first of
    them. All of these stories are different events."""

    story_ids: tuple[UUID, ...]
    entry_ids: tuple[int, ...]


Pair = tuple[UUID, UUID]


class ByHand:
    """All decisions together; later ones overrule earlier ones."""

    def __init__(self, decisions: Iterable[Merged | Split] = ()) -> None:
        self.merged: set[UUID] = set()
        self.begins: dict[int, UUID] = {}  # by entry: the story that goes on from it
        self._apart: set[Pair] = set()
        for decision in decisions:
            if isinstance(decision, Merged):
                self.merged.update(decision.story_ids)
                self._apart.difference_update(_pairs(decision.story_ids))
            else:
                self._apart.update(_pairs(decision.story_ids))
                stays, leaves = decision.entry_ids[:2]
                self.begins |= {stays: decision.story_ids[0], leaves: decision.story_ids[-1]}

    @property
    def story_ids(self) -> set[UUID]:
        """Every story that a decision names."""
        return self.merged | set(self.begins.values()) | {story_id for pair in self._apart for story_id in pair}

    def apart(self, became: Mapping[UUID, UUID]) -> frozenset[Pair]:
        """The stories that must not be joined, each pair in both orders, as they are called now."""
        now = [(became.get(one, one), became.get(other, other)) for one, other in self._apart]
        return frozenset(pair for one, other in now if one != other for pair in ((one, other), (other, one)))


def free_id(own: UUID, is_taken: Callable[[UUID], bool]) -> UUID:
    """The id of a story that begins again with an entry whose identity gives `own`: that, or one made from it where
    another living story bears it."""
    while is_taken(own):
        own = uuid5(own, "split")
    return own


def _pairs(story_ids: Sequence[UUID]) -> list[Pair]:
    return [pair for one, other in combinations(story_ids, 2) for pair in ((one, other), (other, one))]
