"""Two entries side by side: same event, same article, or neither, and why.

In: stored entries, or bare titles and texts. Out: a Comparison. This joins the model's parts: `terms` and `vectors`
make a `Subject`, `measures` and `likeness` score two of them, `vetoes` forbids, `dedupe` recognises copies.
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
from aggregator.stories.likeness import Weights
from aggregator.stories.measures import MEASURES, Subject, gap_days, measures
from aggregator.stories.terms import IN_TITLE, IS_NAME, TEXT_LENGTH, Lexicon
from aggregator.stories.vectors import Vectors
from aggregator.stories.vetoes import Kind, counts_differ, kind_of, veto
from aggregator.text import title_key
from aggregator.types import StoredEntry
from aggregator.urls import publisher_key

MARKUP_LENGTH = 4_000  # characters of HTML that surely hold TEXT_LENGTH characters of text
COPY_WORDS = 0.45  # cosine of words below which a copy is not looked for
OVERWHELMING = 0.95  # probability at which other names are the same people otherwise put ("Tehran", "the Saints")
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
    """The models in memory, 20 MB; safe to share between threads that only read."""

    def __init__(self, lexicon: Lexicon, vectors: Vectors, weights: Weights) -> None:
        self.lexicon, self.vectors, self.weights = lexicon, vectors, weights

    @classmethod
    @lru_cache(maxsize=1)
    def load(cls) -> Self:
        """The shipped models; loaded once in a process."""
        return cls(Lexicon.load(), Vectors.shipped(), Weights.load())

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
        values = measures(one.subject, other.subject)
        probability = self.weights.probability(values)
        is_near = values[0] >= COPY_WORDS or one.fingerprint.title_key == other.fingerprint.title_key != ""
        copied = is_near and self._is_copy(one, other)
        forbidden = None
        if probability >= self.weights.related:  # below, no rule is needed
            forbidden = self._veto(one.subject, other.subject, probability)
        return Comparison(probability, copied, forbidden, self.weights.merge)

    def _is_copy(self, one: Article, other: Article) -> bool:
        gap = timedelta(days=gap_days(one.subject, other.subject))
        mine, theirs = one.fingerprint, other.fingerprint
        is_one_outlet = one.subject.source is not None and one.subject.source == other.subject.source
        if not is_copy(mine, theirs, gap, is_one_outlet):
            return False
        if mine.title_key == theirs.title_key:
            return True
        titles = one.subject.title, other.subject.title
        return (
            not counts_differ(*titles)
            and {Kind.RUNNING, Kind.ROUND_UP}.isdisjoint(map(kind_of, titles))
            and not (self._strangers(one, other) and self._strangers(other, one))
        )

    def _strangers(self, one: Article, other: Article) -> frozenset[int]:
        """What one's headline names and the other never mentions.

        Where the headline stands alone, words unheard of count as names: at the head of a sentence a name looks like
        any word, and the performers of a talent show differ in nothing else.
        """
        strange = strange_names(one.subject, other.subject)
        if one.fingerprint.shingles <= one.fingerprint.words:
            unheard = {number for number in one.subject.terms.ids if not self.lexicon.knows(number)}
            strange |= unheard - set(other.subject.terms.ids)
        return strange

    def _veto(self, one: Subject, other: Subject, probability: float) -> str | None:
        if one.source is not None and one.source == other.source:
            return f"two articles of {one.source}"
        forbidden = veto(one.title, other.title)
        if forbidden is None and probability < OVERWHELMING:
            forbidden = self._different_names(one, other)
        return forbidden

    def _different_names(self, one: Subject, other: Subject) -> str | None:
        """Who the two are about, where neither names anybody of the other's headline."""
        mine, theirs = _names(one, IN_TITLE), _names(other, IN_TITLE)
        if not mine or not theirs or mine & _names(other) or theirs & _names(one):
            return None
        return f"different names: {self._spelt(mine)} and {self._spelt(theirs)}"

    def _spelt(self, numbers: frozenset[int]) -> str:
        return ", ".join(sorted(filter(None, map(self.lexicon.spelling, numbers)))) or "unknown ones"

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
        theirs = dict(zip(other.terms.ids, other.terms.flags, strict=True))
        common = [
            (telling, number, flags | theirs[number])
            for number, telling, flags in zip(one.terms.ids, one.terms.telling, one.terms.flags, strict=True)
            if number in theirs
        ]
        common.sort(reverse=True)
        names = [spelled(number) for _, number, flags in common if flags & IS_NAME]
        words = [spelled(number) for _, number, flags in common if not flags & IS_NAME]
        return [name for name in names if name], [word for word in words if word]


def strange_names(one: Subject, other: Subject) -> frozenset[int]:
    """The names in one's headline that the other never mentions."""
    return _names(one, IN_TITLE) - frozenset(other.terms.ids)


def _names(subject: Subject, where: int = 0) -> frozenset[int]:
    wanted = IS_NAME | where
    rows = zip(subject.terms.ids, subject.terms.flags, strict=True)
    return frozenset(number for number, flags in rows if flags & wanted == wanted)


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
