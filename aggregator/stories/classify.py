"""Which section a story is filed under, how sure we are and why.

In: what its entries say (`StoryText`). Out: a `Sectioning`: a probability for each of the five labels, the verdict
and the reasons. The model reads the words (`sections`); what is known beside them (`evidence`) is entered openly by
Bayes' rule. docs/sections.md has the definition of the sections.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aggregator import html
from aggregator.stories import evidence
from aggregator.stories.evidence import Evidence, Record
from aggregator.stories.head import Head
from aggregator.stories.languages import Language, language_of
from aggregator.stories.rubrics import rubrics
from aggregator.stories.sections import SectionModel
from aggregator.stories.vectors import Vectors
from aggregator.types import LABELS, SECTIONS, Sectioning, StoredEntry

SURE = 0.5  # of probability; below it the hint decides, and without one the story waits as unsure
SECOND = 0.8  # a second section must be this nearly as likely as the first, and itself no mere chance
SECOND_LEAST = 0.3
MOST_TEXTS = 5  # entries read per story: the first outlets settle what it is about
SHOWN_WORDS = 6


@dataclass(frozen=True, slots=True)
class StoryText:
    """What a story's entries say, the first seen first: pairs of plain title and plain summary. `hint` is the section
    that the sources' operator expects, None where there is none or the sources disagree; `language` as the feed says
    it; `record` how its sources' stories were filed so far; `rubrics` what the publishers filed it under, by family."""

    texts: tuple[tuple[str, str], ...]
    hint: str | None = None
    hint_is_final: bool = False
    hinted_by: str = ""
    language: str | None = None
    record: Record | None = None
    rubrics: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, entries: Sequence[StoredEntry], record: Record | None = None) -> Self:
        """The text of a story's entries; originals before copies."""
        told = sorted(entries, key=lambda entry: (entry.duplicate_of is not None, entry.first_seen, entry.entry_id))
        final = next((e for e in told if e.source.section_is_final and e.source.section), None)
        hints = Counter(entry.source.section for entry in told if entry.source.section)
        hint = final.source.section if final else _only(hints)
        by = final or next((entry for entry in told if entry.source.section == hint), told[0])
        language = next((e.language or e.source.language for e in told if e.language or e.source.language), None)
        read = told[:MOST_TEXTS]
        texts = tuple((entry.title, _plain(entry)) for entry in read)
        filed_under = rubrics((entry.link for entry in read), (tag for entry in read for tag in entry.categories))
        return cls(
            texts, hint, final is not None, by.source.title, language, record, tuple(sorted(filed_under.items()))
        )


class Sectioner:
    """The trained model behind the decision."""

    def __init__(self, model: SectionModel, head: Head | None = None) -> None:
        self._model = model
        self._head = head

    @property
    def vectors(self) -> Vectors:
        """The table of vectors that the model reads with."""
        return self._model.vectors

    def with_head(self, head: Head | None) -> Sectioner:
        """The same model, heeding what was learnt from corrections (None: nothing)."""
        return Sectioner(self._model, head)

    @classmethod
    def load(cls) -> Sectioner:
        """The shipped model, loaded once in a process. Raises OSError or ValueError where it is missing or broken."""
        return load()

    def probabilities(self, texts: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """What the words alone say: one row over LABELS per (title, summary)."""
        if not texts:
            return np.zeros((0, len(LABELS)), dtype=np.float32)
        return self._model.probabilities([title for title, _ in texts], [summary for _, summary in texts])

    def section_of(self, story: StoryText) -> Sectioning:
        """The verdict with its reasons; `section` is None while unsure."""
        if story.hint is not None and story.hint_is_final:
            reason = f"{story.hinted_by}: the configuration files everything of this source under {story.hint}"
            return Sectioning(certain(story.hint), (reason,), story.hint)
        if not is_english(story):
            return _foreign(story)
        by_words = self.probabilities(story.texts).mean(axis=0)
        scores = np.log(by_words + 1e-6)
        reasons = [self._words_that_count(story, by_words)]
        if self._head is not None:
            added = self._head.scores(story.texts, self.vectors)
            scores += added
            reasons.append(_learnt(added, self._head.version))
        for found in beside_the_words(story):
            scores += np.array(found.log_odds)
            reasons.append(found.reason)
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        return decided({label: float(share) for label, share in zip(LABELS, shares, strict=True)}, story.hint, reasons)

    def _words_that_count(self, story: StoryText, by_words: NDArray[np.float32]) -> str:
        """The words of the first entry that speak most for the likeliest label, and the runner-up."""
        order = np.argsort(-by_words)
        best, other = int(order[0]), int(order[1])
        title, summary = story.texts[0]
        shares = self._model.shares(title, summary, best, other)
        ahead = sorted(((share, word) for word, share in shares.items()), reverse=True)
        named = ", ".join(f"{word} +{share:.2f}" for share, word in ahead[:SHOWN_WORDS] if share > 0)
        found = f"{LABELS[best]} {by_words[best]:.0%} by words"
        return f"{found} ({named or 'no word stands out'}); runner-up {LABELS[other]} {by_words[other]:.0%}"


@functools.cache
def load() -> Sectioner:
    """The shipped model."""
    return Sectioner(SectionModel.load(Vectors.shipped()))


def beside_the_words(story: StoryText) -> list[Evidence]:
    """What else is known of a story: the operator's hint, the record of its sources, the publishers' rubrics."""
    found = [] if story.hint is None else [evidence.of_hint(story.hint, story.hinted_by, story.texts)]
    past = evidence.of_record(story.record, story.texts)
    return [*found, *((past,) if past else ()), *evidence.of_rubrics(story.rubrics)]


def decided(probabilities: dict[str, float], hint: str | None, reasons: Sequence[str] = ()) -> Sectioning:
    """The verdict on these probabilities: the likeliest label if it is likely enough, else the hint, else none yet."""
    ranked = sorted(probabilities.items(), key=lambda pair: (-pair[1], LABELS.index(pair[0])))
    (first, share), (second, next_share) = ranked[0], ranked[1]
    told = list(reasons)
    if share < SURE:
        if hint is None:
            told.append(f"unsure: {first} at {share:.0%} is below {SURE:.0%}, and no hint says which")
            return Sectioning(probabilities, tuple(told))
        # A hint decides between the sections; that something is off topic must still be likelier than all of them.
        told.append(f"unsure by itself: {first} at {share:.0%} is below {SURE:.0%}, so the hint decides")
        first, share = (hint, probabilities[hint]) if first != "none" else (first, share)
        second, next_share = max(((k, v) for k, v in probabilities.items() if k != first), key=lambda pair: pair[1])
    both_are_sections = first in SECTIONS and second in SECTIONS
    is_near = next_share >= max(SECOND_LEAST, SECOND * share)
    return Sectioning(probabilities, tuple(told), first, second if both_are_sections and is_near else None)


@functools.lru_cache(maxsize=256)
def language(story: StoryText) -> Language:
    """The language of a story's texts: the feed's word, unless the words leave no doubt that it is wrong."""
    return language_of([f"{title} {summary}" for title, summary in story.texts], story.language)


def is_english(story: StoryText) -> bool:
    """Whether the model can read it; what is too short to tell counts as English."""
    return language(story).code in ("en", None)


def _learnt(added: NDArray[np.float32], version: int) -> str:
    """What the corrections say about a story: the label they speak most for, against the average of all."""
    best = int(added.argmax())
    ahead = math.exp(float(added[best] - added.mean()))
    return f"learnt from corrections (version {version}): {LABELS[best]} {ahead:.1f} to 1"


def _foreign(story: StoryText) -> Sectioning:
    spoken = language(story)
    told = f"in {spoken.code} ({spoken.why}), which the model does not read"
    if story.hint is None:
        reason = f"{told}, and no hint says which section"
        return Sectioning(dict.fromkeys(LABELS, 1 / len(LABELS)), (reason,))
    return Sectioning(certain(story.hint), (f"{told}: the hint {story.hint} of {story.hinted_by} decides",), story.hint)


def certain(section: str) -> dict[str, float]:
    """All of the probability for one label: it was given, not judged."""
    return {label: 1.0 if label == section else 0.0 for label in LABELS}


def _only(hints: Counter[str]) -> str | None:
    """The one section that most sources hint at, None where two have as many."""
    ranked = hints.most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def _plain(entry: StoredEntry) -> str:
    return html.to_text(entry.summary or entry.content or "")
