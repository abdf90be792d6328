"""How likely two entries tell the same event.

In: their `measures`. Out: a probability. A small network (one hidden layer) trained on labelled pairs of a real stream
weighs them; `train_pairs.py` makes it. What a rule must forbid whatever the words say is in `vetoes`.
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

from aggregator.stories.measures import MEASURES

WEIGHTS_FILE = Path(__file__).parent / "model" / "likeness.json"
FAR = 4.0  # standard deviations: what lies farther out counts as this far, so that no single measure decides
STEEPEST = 30.0  # of the sum before it becomes a probability: exp must not overflow
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weights:
    """The network. `mean` and `scale` of each measure; `factors` from measures to hidden units (rows to columns) with
    their `offsets`; `shares` of the units in the answer and its `constant`. `merge` and `related` are the probabilities
    from which on two entries are one story, or at least worth showing beside each other."""

    mean: Numbers
    scale: Numbers
    factors: Numbers
    offsets: Numbers
    shares: Numbers
    constant: float
    merge: float
    related: float

    @classmethod
    def load(cls, path: Path = WEIGHTS_FILE) -> Self:
        """The shipped weights. Raises OSError, KeyError or ValueError where the file is missing or broken."""
        stored = json.loads(path.read_text("utf-8"))
        if stored["measures"] != list(MEASURES):
            raise ValueError(f"{path}: made for other measures; run aggregator.stories.train_pairs")
        arrays = {name: np.array(stored[name]) for name in ("mean", "scale", "factors", "offsets", "shares")}
        return cls(
            **arrays,
            constant=float(stored["constant"]),
            merge=float(stored["merge"]),
            related=float(stored["related"]),
        )

    def save(self, path: Path = WEIGHTS_FILE) -> None:
        """Write them where `load` finds them."""
        stored = {"measures": list(MEASURES)}
        for name in ("mean", "scale", "offsets", "shares"):
            stored[name] = getattr(self, name).round(5).tolist()
        lines = [f' "{name}": {json.dumps(value)}' for name, value in stored.items()]
        rows = ",\n  ".join(json.dumps(row) for row in self.factors.round(4).tolist())
        lines.append(f' "factors": [\n  {rows}\n ]')
        lines += [f' "{name}": {round(getattr(self, name), 5)}' for name in ("constant", "merge", "related")]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")

    def probability(self, values: Sequence[float]) -> float:
        """How likely two entries with these measures tell one event."""
        row = np.clip((np.array(values) - self.mean) / self.scale, -FAR, FAR)
        total = float(np.tanh(row @ self.factors + self.offsets) @ self.shares) + self.constant
        return 1 / (1 + math.exp(-max(-STEEPEST, min(STEEPEST, total))))
