"""Two entries side by side: same event, same article, or neither, and why.

In: stored entries, or bare titles and texts. Out: a Comparison. This joins the model's parts: `terms` and `vectors`
make a `Subject`, `likeness` scores two of them, `vetoes` forbids, `dedupe` recognises copies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Self

import numpy as np

from aggregator.html import to_text
from aggregator.stories.dedupe import Fingerprint, fingerprint, is_copy
from aggregator.stories.likeness import MEASURES, Subject, Weights, gap_days, measures
from aggregator.stories.terms import IS_NAME, TEXT_LENGTH, Lexicon
from aggregator.stories.vectors import Vectors
from aggregator.stories.vetoes import veto
from aggregator.text import title_key
from aggregator.types import StoredEntry
from aggregator.urls import publisher_key

MARKUP_LENGTH = 4_000  # characters of HTML that surely hold TEXT_LENGTH characters of text
SHOWN = 8  # shared words named in an explanation


@dataclass(frozen=True, slots=True)
class Article:
    """An entry made ready for comparison."""

    subject: Subject
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two entries have in common. `probability` is that of the same event before the veto; `is_copy` says that
    they are one article; `veto` is why they may not merge, None where nothing forbids it."""

    probability: float
    is_copy: bool
    veto: str | None
    threshold: float

    @property
    def is_same(self) -> bool:
        """Whether the product merges the two."""
        return self.is_copy or (self.veto is None and self.probability >= self.threshold)


class Comparer:
    """The models in memory, 40 MB; safe to share between threads that only read."""

    def __init__(self, lexicon: Lexicon, vectors: Vectors, weights: Weights) -> None:
        self.lexicon, self.vectors, self.weights = lexicon, vectors, weights

    @classmethod
    @lru_cache(maxsize=1)
    def load(cls) -> Self:
        """The shipped models; loaded once in a process."""
        return cls(Lexicon.load(), Vectors.load(), Weights.load())

    def article(self, title: str, text: str, at: datetime | None, source: str | None) -> Article:
        """A bare title and plain text made ready; None for what is not known of time and outlet."""
        return self.articles([(title, text, at, source)])[0]

    def articles(self, rows: Iterable[tuple[str, str, datetime | None, str | None]]) -> list[Article]:
        """Several at once, the same as one by one."""
        given = [(title, text[:TEXT_LENGTH], at, source) for title, text, at, source in rows]
        titled = self.vectors.encode([row[0] for row in given]).astype(np.float16)
        whole = self.vectors.encode([f"{row[0]}. {row[1]}" for row in given]).astype(np.float16)
        made = []
        for (title, text, at, source), title_vector, vector in zip(given, titled, whole, strict=True):
            terms = self.lexicon.terms_of(title, text)
            stamp = at.timestamp() if at is not None else None
            subject = Subject(title, terms, title_vector, vector, stamp, source)
            made.append(Article(subject, fingerprint(title_key(title), text)))
        return made

    def of_entries(self, entries: Iterable[StoredEntry]) -> list[Article]:
        """Stored entries made ready; the outlet is the publisher of the page, whatever feed it came by."""
        return self.articles((entry.title, plain_text(entry), entry.dated, outlet(entry)) for entry in entries)

    def compare(self, one: Article, other: Article) -> Comparison:
        """What two articles have in common."""
        probability = self.weights.probability(measures(one.subject, other.subject))
        return Comparison(probability, self._is_copy(one, other), self._veto(one, other), self.weights.merge)

    def _is_copy(self, one: Article, other: Article) -> bool:
        gap = timedelta(days=gap_days(one.subject, other.subject))
        is_one_outlet = one.subject.source is not None and one.subject.source == other.subject.source
        if not is_copy(one.fingerprint, other.fingerprint, gap, is_one_outlet):
            return False
        return veto(one.subject.title, other.subject.title) is None or one.fingerprint == other.fingerprint

    def _veto(self, one: Article, other: Article) -> str | None:
        if one.subject.source is not None and one.subject.source == other.subject.source:
            return f"two articles of {one.subject.source}"
        return veto(one.subject.title, other.subject.title)

    def reasons(self, one: Article, other: Article, found: Comparison) -> list[str]:
        """The comparison in lines for a person: verdict, shared names and words, what weighed most, veto."""
        terms = self.shared(one.subject, other.subject)
        lines = [_verdict(found)]
        for what, words in (("names", terms[0]), ("words", terms[1])):
            if words:
                lines.append(f"common {what}: {', '.join(words[:SHOWN])}")
        values = dict(zip(MEASURES, measures(one.subject, other.subject), strict=True))
        lines.append(
            f"alike in words {values['words']:.2f}, titles {values['title_words']:.2f},"
            f" meaning {values['meaning']:.2f}; {24 * gap_days(one.subject, other.subject):.0f} h between"
        )
        if found.veto is not None and not found.is_copy:
            lines.append(f"veto: {found.veto}")
        return lines

    def shared(self, one: Subject, other: Subject) -> tuple[list[str], list[str]]:
        """The names and the other words that both have, the most telling first; shortened to their stems."""
        spelled = self.lexicon.spelling
        theirs = {number: flags for number, flags in zip(other.terms.ids, other.terms.flags, strict=True)}
        common = [
            (telling, number, flags | theirs[number])
            for number, telling, flags in zip(one.terms.ids, one.terms.telling, one.terms.flags, strict=True)
            if number in theirs
        ]
        common.sort(reverse=True)
        names = [spelled(number) for _, number, flags in common if flags & IS_NAME]
        words = [spelled(number) for _, number, flags in common if not flags & IS_NAME]
        return [name for name in names if name], [word for word in words if word]


def explain_pair(one: StoredEntry, other: StoredEntry) -> tuple[str, ...]:
    """Why two entries are, or are not, one story, in lines for `bmn explain`."""
    comparer = Comparer.load()
    first, second = comparer.of_entries([one, other])
    return tuple(comparer.reasons(first, second, comparer.compare(first, second)))


def plain_text(entry: StoredEntry) -> str:
    """The start of what the entry says beside its title."""
    markup = entry.summary or entry.content or ""
    return to_text(markup[:MARKUP_LENGTH])[:TEXT_LENGTH]


def outlet(entry: StoredEntry) -> str:
    """Whose page the entry is: two feeds of one publisher are one outlet."""
    return publisher_key(entry.canonical_url or entry.link or entry.source.site_url or entry.source.url)


def _verdict(found: Comparison) -> str:
    if found.is_copy:
        return "the same article"
    verdict = "the same event" if found.is_same else "not the same event"
    return f"{verdict}: {found.probability:.2f} likely, {found.threshold:.2f} needed"
