"""How likely two entries tell the same event.

In: two entries made ready (`Subject`). Out: a probability, and the measures behind it for explanations. The measures
are shares of rare words, names and meaning, and the time between; a logistic combination trained on labelled pairs of
a real stream (`train_pairs.py`) weighs them. What a rule must forbid whatever the words say is in `vetoes`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aggregator.stories.terms import IN_TITLE, IS_NAME, IS_NUMBER, Terms
from aggregator.stories.vetoes import Kind, kind_of

WEIGHTS_FILE = Path(__file__).parent / "model" / "likeness.json"
DAY = 86_400.0
LONGEST_GAP = 3.0  # days: nothing merges beyond the window
UNKNOWN_GAP = 0.2  # days: the middle of labelled pairs that are the same, for entries without a date
Vector = NDArray[np.float16] | NDArray[np.float32]

MEASURES = (
    "words",  # cosine of title and text
    "title_words",  # cosine of titles
    "across",  # the better of one's title against the other's text
    "meaning",  # cosine of vectors of title and text
    "title_meaning",  # cosine of vectors of titles
    "names",  # weighted share of common names
    "contained",  # how much of the smaller entry's weight the other has
    "rarest",  # how telling the three rarest common words are, in tens of nats
    "numbers",  # how many numbers are common, damped
    "gap",  # root of the days between
    "running",  # one of them is a running page
    "explainer",  # one of them is an explainer and the other is not
    "comment",  # one of them is a comment
)


@dataclass(frozen=True, slots=True)
class Subject:
    """An entry as the comparison sees it. `at` in seconds since 1970, None where the entry has no date; `source` names
    the outlet, None where unknown; vectors are unit rows or all zero."""

    title: str
    terms: Terms
    title_vector: Vector
    vector: Vector
    at: float | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Weights:
    """The logistic combination. `merge` and `related` are the probabilities from which on two entries are one story,
    or at least worth showing beside each other."""

    factors: tuple[float, ...]
    constant: float
    merge: float
    related: float

    @classmethod
    def load(cls, path: Path = WEIGHTS_FILE) -> Self:
        """The shipped weights. Raises OSError, KeyError or ValueError where the file is missing or broken."""
        stored = json.loads(path.read_text("utf-8"))
        factors = tuple(float(stored["factors"][name]) for name in MEASURES)
        return cls(factors, float(stored["constant"]), float(stored["merge"]), float(stored["related"]))

    def probability(self, values: Sequence[float]) -> float:
        """How likely two entries with these measures tell one event."""
        total = self.constant + sum(factor * value for factor, value in zip(self.factors, values, strict=True))
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def measures(one: Subject, other: Subject) -> tuple[float, ...]:
    """The numbers named by MEASURES; the same whichever comes first."""
    small, large = sorted((one, other), key=lambda subject: (len(subject.terms.ids), subject.title))
    theirs = {row[0]: row for row in _rows(large.terms)}
    words = titles = small_title = large_title = common_names = common = 0.0
    rarest: list[float] = []
    numbers = 0
    small_length, large_length = small.terms.title_length, large.terms.title_length
    for number, weight, telling, flags in _rows(small.terms):
        match = theirs.get(number)
        if match is None:
            continue
        words += weight * match[1]
        if flags & IN_TITLE:
            small_title += telling / small_length * match[1]
        if match[3] & IN_TITLE:
            large_title += telling / large_length * weight
        if flags & match[3] & IN_TITLE:
            titles += telling * telling / (small_length * large_length)
        common += telling
        rarest.append(telling)
        if (flags | match[3]) & IS_NAME:
            common_names += telling
        numbers += bool(flags & IS_NUMBER)
    rarest.sort(reverse=True)
    all_names = small.terms.names + large.terms.names
    least = min(small.terms.total, large.terms.total)
    kinds = kind_of(one.title), kind_of(other.title)
    return (
        words,
        titles,
        max(small_title, large_title),
        _cosine(small.vector, large.vector),
        _cosine(small.title_vector, large.title_vector),
        2 * common_names / all_names if all_names else 0.0,
        common / least if least else 0.0,
        sum(rarest[:3]) / 10,
        math.log1p(numbers),
        math.sqrt(gap_days(one, other)),
        float(Kind.RUNNING in kinds),
        float((kinds[0] is Kind.EXPLAINER) != (kinds[1] is Kind.EXPLAINER)),
        float(Kind.COMMENT in kinds),
    )


def gap_days(one: Subject, other: Subject) -> float:
    """Days between two entries, at most LONGEST_GAP; UNKNOWN_GAP where one has no date."""
    if one.at is None or other.at is None:
        return UNKNOWN_GAP
    return min(LONGEST_GAP, abs(one.at - other.at) / DAY)


def _cosine(one: Vector, other: Vector) -> float:
    return float(one.astype(np.float32) @ other.astype(np.float32))  # products of halves would lose digits


def _rows(terms: Terms) -> zip[tuple[int, float, float, int]]:
    return zip(terms.ids, terms.weights, terms.telling, terms.flags, strict=True)
