"""How likely two entries tell one event, and how that is learnt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aggregator.stories.likeness import WEIGHTS_FILE, Weights
from aggregator.stories.measures import MEASURES
from aggregator.stories.train_net import fitted
from aggregator.stories.train_pairs import Label, guessed, labels


def examples(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are one event where exactly one of the first two measures is high: no straight line parts them."""
    values = np.random.default_rng(1).uniform(size=(count, len(MEASURES)))
    return values, (values[:, 0] > 0.5) != (values[:, 1] > 0.5)


def test_the_network_learns_what_no_line_can_part() -> None:
    values, same = examples()
    weights = fitted(values, same, 0.7, 0.2)
    said = np.array([weights.probability(row) > 0.5 for row in values])
    assert (said == same).mean() > 0.85
    again = fitted(values, same, 0.7, 0.2)
    assert weights.probability(values[0]) == again.probability(values[0])


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    values, same = examples(100)
    weights = fitted(values, same, 0.7, 0.2)
    weights.save(tmp_path / "likeness.json")
    read = Weights.load(tmp_path / "likeness.json")
    assert (read.merge, read.related) == (0.7, 0.2)
    assert read.probability(values[3]) == pytest.approx(weights.probability(values[3]), abs=0.01)


def test_weights_for_other_measures_are_refused(tmp_path: Path) -> None:
    stored = json.loads(WEIGHTS_FILE.read_text("utf-8"))
    stored["measures"] = stored["measures"][:-1]
    broken = tmp_path / "likeness.json"
    broken.write_text(json.dumps(stored), "utf-8")
    with pytest.raises(ValueError, match="other measures"):
        Weights.load(broken)


@pytest.mark.parametrize("value", [-1e9, 0.0, 1e9])
def test_any_measure_gives_a_probability(value: float) -> None:
    assert 0 <= Weights.load().probability([value] * len(MEASURES)) <= 1


def test_a_pair_is_judged_by_a_model_that_saw_none_of_its_event() -> None:
    values, _ = examples(64)
    # One event of two pairs whose label nothing but itself could teach; all others are of the other kind.
    pairs = [Label(f"a{n}", f"b{n}", "different", "train", 1.0) for n in range(62)]
    pairs += [Label("x", "y", "same", "train", 1.0), Label("y", "z", "same", "train", 1.0)]
    values[-2:] = 5.0
    assert guessed(values, pairs)[-2:].max() < 0.5


def test_a_pair_is_judged_once_and_for_one_purpose() -> None:
    known = labels()
    assert {pair.part for pair in known} == {"train", "test", "doubt"}
    pairs = [frozenset((pair.older, pair.newer)) for pair in known]
    assert len(set(pairs)) == len(pairs)
