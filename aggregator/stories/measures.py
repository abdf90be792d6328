"""What two entries have in common, in numbers: what `likeness` weighs.

In: two entries made ready (`Subject`). Out: one number for each name in MEASURES, the same whichever comes first. They
are shares of rare words and names, of meaning, the time between, and how the two headlines are made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aggregator.stories.terms import IN_TITLE, IS_NAME, IS_NUMBER, Terms
from aggregator.stories.vetoes import Kind, kind_of
from aggregator.text import words

DAY = 86_400.0
LONGEST_GAP = 3.0  # days: nothing merges beyond the window
UNKNOWN_GAP = 0.2  # days: the middle of labelled pairs that are the same, for entries without a date
NOTHING_SAID = 0.5  # share of a headline's words, or names, where it has none that tell anything
GRAM = 4  # characters
Vector = NDArray[np.float16] | NDArray[np.float32]

MEASURES = (
    "words",  # cosine of title and text
    "title_words",  # cosine of titles
    "across",  # the better of one's title against the other's text
    "meaning",  # cosine of vectors of title and text
    "title_meaning",  # cosine of vectors of titles
    "least_cross_meaning",  # cosine of one's title with the other's title and text: the lesser of the two ways
    "most_cross_meaning",  # and the greater
    "names",  # weighted share of common names
    "contained",  # how much of the smaller entry's weight the other has
    "rarest",  # how telling the three rarest common words are, in tens of nats
    "title_rarest",  # the same of words that both titles have
    "plain_rarest",  # the four rarest common words that are no names
    "plain",  # how many these are, damped
    "least_covered",  # share of a title that the other entry speaks of: of the title where it is less
    "most_covered",
    "least_named",  # the same of the names in a title
    "most_named",
    "least_strange_names",  # how telling the names are that the other never mentions, in tens of nats
    "most_strange_names",
    "least_strange_words",  # the same of other words of the title
    "grams",  # share of common runs of four characters in the shorter title
    "numbers",  # how many numbers are common, damped
    "title_numbers",  # both titles have numbers, and a common one
    "other_numbers",  # both titles have numbers, none of them common
    "gap",  # root of the days between
    "days",  # the days between
    "least_said",  # terms of the shorter entry, damped
    "least_titled",  # words of the shorter title, damped
    "running",  # one of them is a running page
    "both_running",
    "any_explainer",  # one of them is an explainer
    "explainer",  # one of them is an explainer and the other is not
    "comment",  # one of them is a comment
    "reaction",  # one headline tells what somebody made of it and the other does not
    "again",  # one headline says that it is another one of its kind and the other does not
)

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_REACTION = re.compile(
    r"\b(?:welcom\w*|hail\w*|slam\w*|critici[sz]\w*|condemn\w*|rue[sd]?|brush\w*|defend\w*|celebrat\w*|mourn\w*|funeral"
    r"|buried|tributes?|react\w*|respon\w*|outrage|backlash|net worth|fans|parade|praise\w*|apologi\w*|thank\w*"
    r"|reject\w*|challeng\w*|investigat\w*|doubts?|questions?|mislead\w*|impact|benefits?|lessons?)\b",
    re.IGNORECASE,
)
_AGAIN = re.compile(
    r"\b(?:second|third|fourth|another|again|fresh|new|latest|more|still|continu\w*|resum\w*|\d+(?:st|nd|rd|th))\b",
    re.IGNORECASE,
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


class _Headline(NamedTuple):
    """How a headline is made."""

    kind: Kind
    numbers: frozenset[str]
    words: int
    is_reaction: bool
    is_again: bool


@dataclass(slots=True)
class _Shares:
    """A title's telling words and names in nats: all of them, and those that the other entry has."""

    words: float = 0.0
    common_words: float = 0.0
    names: float = 0.0
    common_names: float = 0.0

    def add(self, telling: float, is_name: bool, is_common: bool) -> None:
        self.words += telling
        self.common_words += telling * is_common
        self.names += telling * is_name
        self.common_names += telling * (is_name and is_common)

    @property
    def covered(self) -> float:
        return self.common_words / self.words if self.words else NOTHING_SAID

    @property
    def named(self) -> float:
        return self.common_names / self.names if self.names else NOTHING_SAID

    @property
    def strange_names(self) -> float:
        return (self.names - self.common_names) / 10

    @property
    def strange_words(self) -> float:
        return (self.words - self.common_words) / 10 - self.strange_names


def measures(one: Subject, other: Subject) -> tuple[float, ...]:
    """The numbers named by MEASURES."""
    small, large = sorted((one, other), key=lambda subject: (len(subject.terms.ids), subject.title))
    return (*_of_words(small, large), *_of_headlines(one, other))


def _of_words(small: Subject, large: Subject) -> tuple[float, ...]:
    """The measures up to `least_strange_words`: what the two speak of."""
    theirs = {row[0]: row for row in _rows(large.terms)}
    cosine = titles = small_title = large_title = common_names = common = 0.0
    rarest: list[float] = []
    title_rarest: list[float] = []
    plain: list[float] = []
    mine, other = _Shares(), _Shares()
    for number, weight, telling, flags in _rows(small.terms):
        match = theirs.pop(number, None)
        if flags & IN_TITLE:
            mine.add(telling, bool(flags & IS_NAME), match is not None)
        if match is None:
            continue
        cosine += weight * match[1]
        if flags & IN_TITLE:
            small_title += telling * match[1]
        if match[3] & IN_TITLE:
            large_title += telling * weight
            other.add(telling, bool(match[3] & IS_NAME), True)
            if flags & IN_TITLE:
                titles += telling * telling
                title_rarest.append(telling)
        common += telling
        rarest.append(telling)
        if (flags | match[3]) & IS_NAME:
            common_names += telling
        else:
            plain.append(telling)
    for _, _, telling, flags in theirs.values():
        if flags & IN_TITLE:
            other.add(telling, bool(flags & IS_NAME), False)
    (title_meaning, small_cross), (large_cross, meaning) = _cosines(small, large)
    all_names = small.terms.names + large.terms.names
    least = min(small.terms.total, large.terms.total)
    return (
        cosine,
        titles / (small.terms.title_length * large.terms.title_length),
        max(small_title / small.terms.title_length, large_title / large.terms.title_length),
        meaning,
        title_meaning,
        min(small_cross, large_cross),
        max(small_cross, large_cross),
        2 * common_names / all_names if all_names else 0.0,
        common / least if least else 0.0,
        _top(rarest, 3),
        _top(title_rarest, 3),
        _top(plain, 4),
        math.log1p(len(plain)),
        min(mine.covered, other.covered),
        max(mine.covered, other.covered),
        min(mine.named, other.named),
        max(mine.named, other.named),
        min(mine.strange_names, other.strange_names),
        max(mine.strange_names, other.strange_names),
        min(mine.strange_words, other.strange_words),
    )


def _of_headlines(one: Subject, other: Subject) -> tuple[float, ...]:
    """The measures from `grams` on: how the headlines are made, and when."""
    mine, theirs = _headline(one.title), _headline(other.title)
    kinds = mine.kind, theirs.kind
    has_numbers = bool(mine.numbers and theirs.numbers)
    days = gap_days(one, other)
    return (
        _common_grams(one.title, other.title),
        math.log1p(len(_common_numbers(one.terms, other.terms))),
        float(bool(mine.numbers & theirs.numbers)),
        float(has_numbers and not mine.numbers & theirs.numbers),
        math.sqrt(days),
        days,
        math.log1p(min(len(one.terms.ids), len(other.terms.ids))),
        math.log1p(min(mine.words, theirs.words)),
        float(Kind.RUNNING in kinds),
        float(kinds == (Kind.RUNNING, Kind.RUNNING)),
        float(Kind.EXPLAINER in kinds),
        float((kinds[0] is Kind.EXPLAINER) != (kinds[1] is Kind.EXPLAINER)),
        float(Kind.COMMENT in kinds),
        float(mine.is_reaction != theirs.is_reaction),
        float(mine.is_again != theirs.is_again),
    )


def gap_days(one: Subject, other: Subject) -> float:
    """Days between two entries, at most LONGEST_GAP; UNKNOWN_GAP where one has no date."""
    if one.at is None or other.at is None:
        return UNKNOWN_GAP
    return min(LONGEST_GAP, abs(one.at - other.at) / DAY)


@lru_cache(maxsize=4_000)
def _headline(title: str) -> _Headline:
    return _Headline(
        kind_of(title),
        frozenset(_NUMBER.findall(title)),
        len(words(title)),
        bool(_REACTION.search(title)),
        bool(_AGAIN.search(title)),
    )


def _common_numbers(one: Terms, other: Terms) -> set[int]:
    return {number for number, flags in zip(one.ids, one.flags, strict=True) if flags & IS_NUMBER} & set(other.ids)


def _common_grams(one: str, other: str) -> float:
    mine, theirs = _grams(one.lower()), _grams(other.lower())
    return len(mine & theirs) / max(1, min(len(mine), len(theirs)))


def _grams(text: str) -> set[str]:
    return {text[at : at + GRAM] for at in range(len(text) - GRAM + 1)}


def _top(tellings: Sequence[float], count: int) -> float:
    return sum(sorted(tellings, reverse=True)[:count]) / 10


def _cosines(one: Subject, other: Subject) -> list[list[float]]:
    """Of one's title (first row) and its whole with the other's title (first column) and its whole."""
    # Not in halves, which would lose digits.
    mine = np.array((one.title_vector, one.vector), dtype=np.float32)
    cosines: list[list[float]] = (mine @ np.array((other.title_vector, other.vector), dtype=np.float32).T).tolist()
    return cosines


def _rows(terms: Terms) -> zip[tuple[int, float, float, int]]:
    return zip(terms.ids, terms.weights, terms.telling, terms.flags, strict=True)
