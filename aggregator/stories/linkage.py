"""Stories of a collection without dates: nothing came before anything, so everything is compared with everything.

In: articles. Out: a group number for each. Average linkage: two groups join while their members are alike on average,
so a chain of pairs cannot pull two events together. For measuring on headline collections; the daemon's entries have
dates and go through `cluster`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aggregator.stories.compare import Article

MEANING = 0.6  # share of the vectors in likeness; words have the rest
ALIKE = 0.155  # average likeness at which groups still join; highest B3 F1 on the labelled headlines
FEW = 50  # articles: a collection has to be larger for its middle to say what all of it is about
MOST = 8_000  # articles: the table of likeness has a number for each two
Table = NDArray[np.float32]


def grouped(articles: Sequence[Article]) -> list[int]:
    """The group of each article, numbered from 0 by first appearance. ValueError for more than MOST."""
    if len(articles) > MOST:
        raise ValueError(f"{len(articles)} articles without dates are too many to compare all; at most {MOST}")
    parents = list(range(len(articles)))
    for one, other, likeness in _joins(_likeness(articles)):
        if likeness >= ALIKE:
            parents[_root(parents, other)] = _root(parents, one)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(_root(parents, place), len(numbers)) for place in range(len(articles))]


def _likeness(articles: Sequence[Article]) -> Table:
    """How alike any two are, at most 1: cosine of telling words and of meaning, mixed."""
    columns: dict[int, int] = {}
    for article in articles:
        for number in article.subject.terms.ids:
            columns.setdefault(number, len(columns))
    total = np.zeros((len(articles), len(articles)), dtype=np.float32)
    for start in range(0, len(columns), 4_096):  # a slice of the vocabulary at a time bounds the memory
        words = np.zeros((len(articles), min(4_096, len(columns) - start)), dtype=np.float32)
        for row, article in enumerate(articles):
            terms = article.subject.terms
            length = float(np.sqrt(sum(telling * telling for telling in terms.telling))) or 1.0
            for number, telling in zip(terms.ids, terms.telling, strict=True):
                column = columns[number] - start
                if 0 <= column < words.shape[1]:
                    words[row, column] = telling / length
        total += words @ words.T
    meaning = _own_meaning(np.array([article.subject.vector for article in articles], dtype=np.float32))
    return (1 - MEANING) * total + MEANING * (meaning @ meaning.T)


def _own_meaning(vectors: Table) -> Table:
    """The vectors less what the whole collection means, of length 1: headlines of one trade all look alike before."""
    if not len(vectors):
        return vectors.reshape(0, 1)
    rows = vectors - vectors.mean(axis=0) * (len(vectors) / (len(vectors) + FEW))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    own: Table = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 1e-6)
    return own


def _joins(likeness: Table) -> list[tuple[int, int, float]]:
    """Every join of average linkage as two members and how alike their groups were (nearest-neighbour chains)."""
    count = len(likeness)
    np.fill_diagonal(likeness, -np.inf)
    sizes = np.ones(count)
    joins: list[tuple[int, int, float]] = []
    chain: list[int] = []
    alive = np.ones(count, dtype=bool)
    while len(joins) < count - 1:
        if not chain:
            chain.append(int(np.flatnonzero(alive)[0]))
        here = chain[-1]
        nearest = int(np.argmax(likeness[here]))
        if len(chain) > 1 and likeness[here, chain[-2]] >= likeness[here, nearest]:
            nearest = chain[-2]
            chain = chain[:-2]
            joins.append((here, nearest, float(likeness[here, nearest])))
            whole = sizes[here] + sizes[nearest]
            joined = (sizes[here] * likeness[here] + sizes[nearest] * likeness[nearest]) / whole
            joined[nearest] = -np.inf
            likeness[nearest], likeness[:, nearest] = joined, joined
            likeness[here], likeness[:, here] = -np.inf, -np.inf
            sizes[nearest], alive[here] = whole, False
        else:
            chain.append(nearest)
    return joins


def _root(parents: list[int], place: int) -> int:
    while parents[place] != place:
        parents[place] = parents[parents[place]]
        place = parents[place]
    return place
