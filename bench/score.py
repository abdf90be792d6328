"""What our models score on the labelled data, and whether that is less than it was: `make score`.

    python -m bench.score ../shared/data

One line a set. `bench/floors.json` holds what each score must not fall below; a score below its floor is named and the
command fails. Raise a floor with the change that earned it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from aggregator.stories import evaluate, evaluate_pairs
from aggregator.stories.train import read_jsonl
from bench.stories import DATA, scored, trial

FLOORS = Path(__file__).with_name("floors.json")
Scores = Mapping[str, float]


def measured(data: Path) -> dict[str, Scores]:
    """The scores of every set by its name.

    `sections` are rows that the shipped model was trained on: that score tells a broken model, not how good it is on
    news to come. `unseen_week` comes from models that were fitted without that week.
    """
    ours = trial(data)
    precision, recall, f1 = scored(ours.unseen, ours.says(ours.unseen), ours.comparer.weights.merge)
    return {
        "sections": evaluate.sections(list(read_jsonl(data / "rss_gold_dev.jsonl.gz"))),
        "pairs": evaluate_pairs.pairs(read_jsonl(data / "pairs_tgcontest.jsonl")),
        "unseen_week": {"rows": len(ours.unseen), "precision": precision, "recall": recall, "f1": f1},
        "stories": evaluate_pairs.stories(read_jsonl(data / "uci_clusters_dev.jsonl.gz")),
    }


def fallen(found: Mapping[str, Scores], floors: Mapping[str, Scores]) -> list[str]:
    """The scores below their floor, in words."""
    return [
        f"{name}.{key} is {found[name][key]:.4f}, at least {floor} expected"
        for name, wanted in floors.items()
        for key, floor in wanted.items()
        if found[name][key] < floor
    ]


def main(data: Path) -> int:
    found = measured(data)
    for name, scores in found.items():
        plain = {key: value for key, value in scores.items() if not isinstance(value, Mapping)}
        print(name, *(f"{key} {value:.0f}" if key == "rows" else f"{key} {value:.3f}" for key, value in plain.items()))
    complaints = fallen(found, json.loads(FLOORS.read_text("utf-8")))
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if sys.argv[1:] else DATA))
