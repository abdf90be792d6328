"""A comparer for tests of grouping: who is like whom is said by the test, so that no model's numbers are in the way.

    Likes({("A", "B"): 0.95})      # titles; any other two are not alike

Titles share one rare word, or the index would not compare their entries at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aggregator.stories.compare import Article, Comparer, Comparison

WORD = "Quillon"  # in every title, so that everything is near everything


class Likes(Comparer):
    """Pairs of titles (without WORD) to how likely they tell one event. `copies` are pairs of titles of one text."""

    def __init__(self, pairs: Mapping[tuple[str, str], float], copies: tuple[tuple[str, str], ...] = ()) -> None:
        shipped = Comparer.load()
        weights = replace(shipped.weights, merge=0.8, related=0.2)  # not the shipped ones, which may be trained anew
        super().__init__(shipped.lexicon, shipped.vectors, weights)
        self._pairs = {frozenset(pair): likely for pair, likely in pairs.items()}
        self._copies = {frozenset(pair) for pair in copies}

    def compare(self, one: Article, other: Article) -> Comparison:
        pair = frozenset(bare(article.subject.title) for article in (one, other))
        same_outlet = one.subject.source == other.subject.source
        veto = f"two articles of {one.subject.source}" if same_outlet else None
        return Comparison(self._pairs.get(pair, 0.0), pair in self._copies, veto, self.weights.merge)


def bare(title: str) -> str:
    """The title without what all share."""
    return title.removesuffix(f" {WORD}")
