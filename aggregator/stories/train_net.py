"""Fits the network of `likeness`: several small ones from different starts, which together are one.

In: the measures of labelled pairs. Out: Weights. Full-batch Adam in numpy; the same rows give the same weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aggregator.stories.likeness import FAR, Numbers, Weights

NETS, UNITS = 10, 8  # 12 units a net are no better in cross-validation; one net alone varies with its start
PULL = 8.0  # of every factor towards zero: 6, 10 and 15 are as good
STEPS, STEP = 800, 0.03
FORGETTING = (0.9, 0.99)  # of Adam: how much of its means of slopes and of their squares stays each step
SEED = 20260601


def fitted(values: Numbers, is_same: NDArray[np.bool_], merge: float, related: float) -> Weights:
    """The network that tells pairs of one event from others by their measures (a row each)."""
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale[scale == 0] = 1.0
    rows = np.clip((values - mean) / scale, -FAR, FAR)
    factors, offsets, shares, constants = _descended(rows, is_same.astype(np.float64))
    return Weights(
        mean,
        scale,
        np.concatenate(list(factors), axis=1),
        offsets.reshape(-1),
        shares.reshape(-1) / NETS,
        float(constants.mean()),
        merge,
        related,
    )


def _descended(rows: Numbers, wanted: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Factors, offsets, shares and constants of all nets (first axis) after STEPS steps down the logistic loss."""
    random = np.random.default_rng(SEED)
    width = rows.shape[1]
    parts = [
        random.normal(0, width**-0.5, (NETS, width, UNITS)),
        np.zeros((NETS, 1, UNITS)),
        random.normal(0, UNITS**-0.5, (NETS, UNITS)),
        np.zeros((NETS, 1)),
    ]
    firsts, seconds = [np.zeros_like(part) for part in parts], [np.zeros_like(part) for part in parts]
    keep, keep_square = FORGETTING
    for step in range(STEPS):
        rate = STEP * (1 - step / STEPS)
        for part, first, second, slope in zip(parts, firsts, seconds, _slopes(rows, wanted, parts), strict=True):
            first += (1 - keep) * (slope - first)
            second += (1 - keep_square) * (slope**2 - second)
            ahead, spread = first / (1 - keep ** (step + 1)), second / (1 - keep_square ** (step + 1))
            part -= rate * ahead / (np.sqrt(spread) + 1e-8)
    return parts[0], parts[1], parts[2], parts[3]


def _slopes(rows: Numbers, wanted: Numbers, parts: list[Numbers]) -> list[Numbers]:
    """The slope of the loss in every part, per row."""
    factors, offsets, shares, constants = parts
    hidden = np.tanh(rows[None] @ factors + offsets)
    answer = (hidden * shares[:, None, :]).sum(axis=2) + constants
    excess = 1 / (1 + np.exp(-answer)) - wanted
    back = excess[:, :, None] * shares[:, None, :] * (1 - hidden**2)
    slopes = [
        rows.T[None] @ back + PULL * factors,
        back.sum(axis=1, keepdims=True),
        (hidden * excess[:, :, None]).sum(axis=1) + PULL * shares,
        excess.sum(axis=1, keepdims=True),
    ]
    return [slope / len(rows) for slope in slopes]
