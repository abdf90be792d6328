"""What is known of a story beside its words: the operator's hint, the record of its sources, the publishers' rubrics.

Each is evidence for Bayes' rule: log odds to add to every label's, and a line that says so. The less text there is to
read, the more the sources count; a rubric is the publisher's own judgement of this entry and counts as much as fitted.
`classify` adds them to what the words say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aggregator.stories.rubrics import WORTH
from aggregator.types import LABELS

HINT = 1.6  # log odds that the operator's hint is worth on a bare headline: five to one
TEXT_WORDS = 25  # words of text that halve what the sources are worth
RECORD_PRIOR = 20  # stories of a source that count as much as knowing nothing of it
RECORD_MOST = 1.6  # log odds, either way: a source's past must not settle what its next story is about
TELLING = 0.1  # of log odds; less than this is not worth a line


@dataclass(frozen=True, slots=True)
class Evidence:
    """Log odds to add, over LABELS, and why."""

    log_odds: tuple[float, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """How many stories were filed under each of LABELS so far: those of some sources, and everybody's."""

    own: tuple[int, ...]
    everybody: tuple[int, ...]


def bareness(texts: Sequence[tuple[str, str]]) -> float:
    """From 1 for one bare headline towards 0 for much to read; several entries are halved."""
    read = sum(len(summary.split()) for _, summary in texts)
    return 1 / (1 + read / TEXT_WORDS) / (1 if len(texts) == 1 else 2)


def of_hint(section: str, by: str, texts: Sequence[tuple[str, str]]) -> Evidence:
    """The operator's word for a source."""
    worth = HINT * bareness(texts)
    log_odds = tuple(worth if label == section else 0.0 for label in LABELS)
    return Evidence(log_odds, f"hint {section} of {by}: {math.exp(worth):.1f} to 1")


def of_record(record: Record | None, texts: Sequence[tuple[str, str]]) -> Evidence | None:
    """How a story's sources differ from the others in what they were filed under; None where that tells too little."""
    if record is None or not any(record.own):
        return None
    seen, everybody = sum(record.own), sum(record.everybody)
    usual = [(count + 1) / (everybody + len(LABELS)) for count in record.everybody]
    shares = [(own + RECORD_PRIOR * u) / (seen + RECORD_PRIOR) for own, u in zip(record.own, usual, strict=True)]
    worth = bareness(texts)
    log_odds = tuple(worth * _clipped(math.log(s / u)) for s, u in zip(shares, usual, strict=True))
    if max(map(abs, log_odds)) < TELLING:
        return None
    return Evidence(log_odds, f"record of the sources, stories filed so far {seen}: {_told(log_odds)}")


def of_rubrics(found: Iterable[tuple[str, str]]) -> list[Evidence]:
    """What the publishers' rubrics are worth: pairs of a family and the rubric that named it."""
    return [
        Evidence(WORTH[family], f"rubric {rubric} of the publisher: {_told(WORTH[family])}") for family, rubric in found
    ]


def _clipped(log_odds: float) -> float:
    return max(-RECORD_MOST, min(RECORD_MOST, log_odds))


def _told(log_odds: Sequence[float]) -> str:
    """The label that gains most and the one that loses most, as odds."""
    moved = sorted(zip(log_odds, LABELS, strict=True), reverse=True)
    named = [pair for pair in (moved[0], moved[-1]) if abs(pair[0]) >= TELLING]
    return ", ".join(f"{label} {math.exp(value):.2g} to 1" for value, label in named)
