"""Scores of the section model on labelled rows, as `bmn evaluate sections` prints them.

In: rows with title, summary, section and perhaps a second acceptable label. Out: plain figures, rounded to four
places. The most likely of the five labels counts, without abstention and without a source's hint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregator.types import LABELS

KEPT = 0.7  # share of the rows, most confident first, that accuracy_at_70 looks at
BINS = 10


def sections(rows: Sequence[Mapping[str, Any]], probabilities: NDArray[np.float32] | None = None) -> dict[str, Any]:
    """The figures of the contract. `probabilities` (rows by LABELS) are asked of the shipped model if not given.

    Lenient: an answer equal to `alt` counts as if `alt` were the label. Raises KeyError or ValueError for a row
    without a title or with a section that is none of the five.
    """
    if not rows:
        return {
            "rows": 0, "accuracy": 0.0, "macro_f1": 0.0, "lenient_macro_f1": 0.0,
            "per_section": dict.fromkeys(LABELS, 0.0), "accuracy_at_70": 0.0, "ece": 0.0,
        }  # fmt: skip
    truth = np.array([LABELS.index(row["section"]) for row in rows])
    if probabilities is None:
        probabilities = _asked(rows)
    answer = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    right = answer == truth
    accepted = [
        said if row.get("alt") and LABELS[said] == row["alt"] else label
        for row, label, said in zip(rows, truth, answer, strict=True)
    ]
    per_section = _f1(truth, answer)
    kept = np.argsort(-confidence, kind="stable")[: max(1, round(KEPT * len(rows)))]
    return {
        "rows": len(rows),
        "accuracy": _rounded(right.mean()),
        "macro_f1": _rounded(np.mean(list(per_section.values()))),
        "lenient_macro_f1": _rounded(np.mean(list(_f1(np.array(accepted), answer).values()))),
        "per_section": {label: _rounded(value) for label, value in per_section.items()},
        "accuracy_at_70": _rounded(right[kept].mean()),
        "ece": _rounded(_calibration_error(confidence, right)),
    }


def _asked(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
    from aggregator.stories.classify import load  # only here: measuring given figures needs no model

    return load().probabilities([(row["title"], row.get("summary") or "") for row in rows])


def _f1(truth: NDArray[np.int64], answer: NDArray[np.int64]) -> dict[str, float]:
    """F1 per label; 0 for a label that neither side uses."""
    found = {}
    for number, label in enumerate(LABELS):
        hits = int(((truth == number) & (answer == number)).sum())
        named = int((truth == number).sum() + (answer == number).sum())
        found[label] = 2 * hits / named if named else 0.0
    return found


def _calibration_error(confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, over ten bins of equal width."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        (bins == number).mean() * abs(right[bins == number].mean() - confidence[bins == number].mean())
        for number in range(BINS)
        if (bins == number).any()
    ]
    return float(sum(gaps))


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), 4)
