"""Learning from corrections: examples in, a head and an honest report of what it changes out. Needs numpy alone.

The shipped model stays as it is; the head is fitted beside it by logistic regression that pays for every step away from
nothing, and for changing its mind on stories that nobody corrected. What it is worth is measured on corrections held
back, each in one of FOLDS fits that did not see it, and on uncorrected stories that no fit saw.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aggregator.stories import features
from aggregator.stories.classify import Sectioner
from aggregator.stories.head import Head, base_name, features_of
from aggregator.types import LABELS

LEAST = 20  # corrections, below which holding some back tells nothing
FOLDS = 5
STEP_COST = 0.3  # L2, per unit of squared weight; docs/heuristics.md has what others gave
CALM = 0.3  # weight of an uncorrected story against that of a correction
WORD_USES = 2  # corrections that must use a word for it to get weights of its own
MOST_MOVED = 0.05  # of uncorrected stories that may change their label
ROUNDS = 300

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Example:
    """A story's texts with the label that a person gave, None for one that nobody corrected."""

    texts: tuple[tuple[str, str], ...]
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a head changes. `right_*` and `loss_*` (mean nats) on the corrections held back, without and with it;
    `moved` of the `elsewhere` uncorrected stories that no fit saw get another label. `refusal` says why it is not worth
    having, None where it is."""

    corrections: int
    right_before: int
    right_after: int
    loss_before: float
    loss_after: float
    elsewhere: int
    moved: int
    refusal: str | None = None


def learnt(
    corrected: Sequence[Example], others: Sequence[Example], sectioner: Sectioner, step_cost: float = STEP_COST
) -> tuple[Head, Report]:
    """The head that these corrections lead to, and what it is worth. ValueError for fewer than LEAST corrections.

    Half of `others`, the stories that nobody corrected, keep it calm; the other half only watch.
    """
    if len(corrected) < LEAST:
        raise ValueError(f"{len(corrected)} corrections are too few to learn from: {LEAST} are needed")
    order = sorted(corrected, key=_shuffled)
    calm, watching = others[::2], others[1::2]
    held = [_fitted(_without(order, fold), calm, sectioner, step_cost) for fold in range(FOLDS)]
    before = [_log_shares(example, sectioner, None) for example in order]
    after = [_log_shares(example, sectioner, held[number % FOLDS]) for number, example in enumerate(order)]
    answers = [LABELS.index(example.label or "") for example in order]
    head = _fitted(order, calm, sectioner, step_cost)
    moved = sum(
        int(_log_shares(each, sectioner, None).argmax() != _log_shares(each, sectioner, head).argmax())
        for each in watching
    )
    report = Report(
        corrections=len(order),
        right_before=_right(before, answers),
        right_after=_right(after, answers),
        loss_before=_loss(before, answers),
        loss_after=_loss(after, answers),
        elsewhere=len(watching),
        moved=moved,
    )
    return head, replace(report, refusal=_refusal(report))


def _refusal(report: Report) -> str | None:
    if report.right_after <= report.right_before:
        return (
            f"no more of the corrections held back come out right ({report.right_before}, {report.right_after} with it)"
        )
    if report.loss_after >= report.loss_before:
        return f"it is surer of the wrong ones (loss {report.loss_before:.3f}, {report.loss_after:.3f} with it)"
    if report.moved > MOST_MOVED * max(1, report.elsewhere):
        return f"it moves {report.moved} of {report.elsewhere} stories that nobody corrected"
    return None


# ---------------------------------------------------------------- fitting


def _fitted(corrected: Sequence[Example], calm: Sequence[Example], sectioner: Sectioner, step_cost: float) -> Head:
    vectors = sectioner.vectors
    words = _words(corrected)
    everything = [*corrected, *calm]
    seen = np.array([features_of(each.texts, vectors, words) for each in everything], dtype=np.float64)
    seen = np.hstack((seen, np.ones((len(seen), 1))))
    offsets = np.array([_log_shares(each, sectioner, None) for each in everything])
    wanted = np.exp(offsets)
    for number, example in enumerate(corrected):
        wanted[number] = np.eye(len(LABELS))[LABELS.index(example.label or "")]
    importance = np.array([1.0] * len(corrected) + [CALM] * len(calm))[:, None]

    def slope(weights: Floats) -> Floats:
        misses: Floats = importance * (_softmax(offsets + seen @ weights) - wanted)
        found: Floats = seen.T @ misses + step_cost * weights
        return found

    # The curvature of softmax is at most one half; the largest eigenvalue of the rest is below its trace.
    steepest = 0.5 * float((importance * seen**2).sum()) / 4 + step_cost
    weights = _descended(slope, np.zeros((seen.shape[1], len(LABELS))), steepest)
    at = len(words)
    as_stored = weights.astype(np.float32)
    return Head(base_name(), words, as_stored[:at], as_stored[at:-1], as_stored[-1])


def _descended(slope: Callable[[Floats], Floats], start: Floats, steepest: float) -> Floats:
    """Where gradient descent with Nesterov's momentum ends; the aim is convex, so there is one such place."""
    here, ahead, pace = start, start, 1.0
    for _ in range(ROUNDS):
        there = ahead - slope(ahead) / steepest
        next_pace = (1 + (1 + 4 * pace * pace) ** 0.5) / 2
        if ((ahead - there) * (there - here)).sum() > 0:  # it overshot: begin to gather pace anew
            next_pace = pace = 1.0
        ahead = there + (pace - 1) / next_pace * (there - here)
        here, pace = there, next_pace
    return here


def _words(corrected: Sequence[Example]) -> Mapping[str, int]:
    uses: Counter[str] = Counter()
    for example in corrected:
        uses.update({word for title, summary in example.texts for word in features.word_weights(title, summary)})
    return {word: number for number, word in enumerate(sorted(word for word, n in uses.items() if n >= WORD_USES))}


# ---------------------------------------------------------------- measuring


def _log_shares(example: Example, sectioner: Sectioner, head: Head | None) -> Floats:
    """The log probabilities by words, as the shipped model says or with a head beside it."""
    scores = np.log(sectioner.probabilities(example.texts).mean(axis=0).astype(np.float64) + 1e-6)
    if head is not None:
        scores += head.scores(example.texts, sectioner.vectors)
    found: Floats = np.log(_softmax(scores[None, :])[0] + 1e-12)
    return found


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _right(said: Sequence[Floats], answers: Sequence[int]) -> int:
    return sum(int(row.argmax() == answer) for row, answer in zip(said, answers, strict=True))


def _loss(said: Sequence[Floats], answers: Sequence[int]) -> float:
    return float(-np.mean([row[answer] for row, answer in zip(said, answers, strict=True)]))


def _without(order: Sequence[Example], fold: int) -> list[Example]:
    return [example for number, example in enumerate(order) if number % FOLDS != fold]


def _shuffled(example: Example) -> bytes:
    """An order that has nothing to do with when or in which section people corrected, the same every time."""
    return hashlib.blake2b(repr(example.texts).encode(), digest_size=8).digest()
