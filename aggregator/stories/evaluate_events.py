"""How often the event labels are right and how many they miss: `python -m aggregator.stories.evaluate_events`.

In: our labels (`labels/events.tsv`: keys, never texts) and the collections they name (`--data`). Out: for every label
and part the counts, precision and estimated recall; then how often names, amounts, rounds and jobs are right
(`evaluate_event_details`). Rows that may be labelled either way count neither way.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aggregator.stories import evaluate_event_details
from aggregator.stories.evaluate_event_details import Details, read_details
from aggregator.stories.labels_events import headline_events
from aggregator.stories.train import LABELS_DIR, key_of, read_jsonl
from aggregator.types import EVENTS, Event

# The stream gives links, the others are known by their titles alone.
COLLECTIONS = (
    "rss_stream_2026.jsonl.gz",
    "rss_gold_dev.jsonl.gz",
    "classify_train.jsonl.gz",
    "classify_train_unverified.jsonl.gz",
    "uci_clusters_dev.jsonl.gz",
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One headline as a person labelled it. `weight`: how many like it the row stands for, were nothing said of it;
    1 where it was drawn because the patterns fired. `either` are labels that can be defended both ways."""

    part: str
    weight: float
    labels: frozenset[str]
    either: frozenset[str]


def read_judged(lines: Iterable[str]) -> dict[str, Judged]:
    """Key to judgement. Lines: key, part, weight and labels between tabs; `#` begins a comment.

    Raises ValueError naming the line for a label that is none of EVENTS.
    """
    found: dict[str, Judged] = {}
    for number, line in enumerate(lines, 1):
        if line.startswith("#") or not line.strip():
            continue
        key, part, weight, *rest = line.rstrip("\n").split("\t")
        said = rest[0].split() if rest else []
        if unknown := {label.rstrip("?") for label in said} - set(EVENTS):
            raise ValueError(f"events.tsv:{number}: unknown label {', '.join(sorted(unknown))}")
        sure = frozenset(label for label in said if not label.endswith("?"))
        either = frozenset(label.rstrip("?") for label in said if label.endswith("?"))
        found[key] = Judged(part, float(weight), sure, either)
    return found


def read_texts(data: Path, wanted: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """(key, title, summary) of the rows that the keys name, each once. Collections that are missing are left out."""
    left = set(wanted)
    for name in COLLECTIONS:
        if not (data / name).exists():
            continue
        for row in read_jsonl(data / name):
            for key in (key_of(row.get("link") or "", row["title"]), key_of("", row["title"])):
                if key in left:
                    left.discard(key)
                    yield key, row["title"], row.get("summary") or ""


def scores(judged: Iterable[tuple[Judged, frozenset[str]]]) -> dict[str, dict[str, float]]:
    """Per label: fired, right, precision (None without any), missed (an estimate) and recall.

    A missed row counts by its weight: it stands for others like it that nobody labelled.
    """
    rows = list(judged)
    found: dict[str, dict[str, Any]] = {}
    for label in EVENTS:
        right = sum(1 for row, said in rows if label in said and label in row.labels)
        wrong = sum(1 for row, said in rows if label in said and label not in row.labels | row.either)
        missed = sum(row.weight for row, said in rows if label not in said and label in row.labels)
        found[label] = {
            "fired": right + wrong,
            "right": right,
            "precision": round(right / (right + wrong), 3) if right + wrong else None,
            "missed": round(missed, 1),
            "recall": round(right / (right + missed), 2) if right + missed else None,
        }
    return found


def report(data: Path, judged: Mapping[str, Judged]) -> dict[str, dict[str, dict[str, Any]]]:
    """The scores of every part: tune, test, fresh."""
    parts: dict[str, list[tuple[Judged, frozenset[str]]]] = {}
    for key, title, summary in read_texts(data, judged):
        parts.setdefault(judged[key].part, []).append((judged[key], frozenset(headline_events(title, summary))))
    return {part: scores(rows) for part, rows in sorted(parts.items())}


def details_report(data: Path, details: Mapping[str, Details]) -> dict[str, dict[str, dict[str, Any]]]:
    """The scores of names and amounts in every part, on the headlines whose event was found at all."""
    parts: dict[str, list[tuple[Details, Event]]] = {}
    for key, title, summary in read_texts(data, details):
        event = headline_events(title, summary).get(details[key].label)
        if event is not None:
            parts.setdefault(details[key].part, []).append((details[key], event))
    return {part: evaluate_event_details.scores(rows) for part, rows in sorted(parts.items())}


def main(arguments: list[str] | None = None) -> int:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with (LABELS_DIR / "events.tsv").open(encoding="utf-8") as lines:
        found = report(options.data, read_judged(lines))
    if not found:
        print(f"no labelled collections in {options.data}: give --data DIR", file=sys.stderr)
        return 1
    with (LABELS_DIR / "event_details.tsv").open(encoding="utf-8") as lines:
        details = details_report(options.data, read_details(lines))
    if options.json:
        print(json.dumps(found | {"details": details}))
        return 0
    for part, labels in found.items():
        print(f"{part:8}{'fired':>8}{'right':>8}{'precision':>11}{'missed':>8}{'recall':>8}")
        for label, row in labels.items():
            shown = ("-" if row[name] is None else row[name] for name in ("precision", "missed", "recall"))
            precision, missed, recall = shown
            print(f"  {label:12}{row['fired']:>2}{row['right']:>8}{precision:>11}{missed:>8}{recall:>8}")
    for part, fields in details.items():
        print(f"{part:8}{'right':>8}{'wrong':>8}{'missed':>8}{'precision':>11}{'recall':>8}")
        for field, row in fields.items():
            precision, recall = ("-" if row[name] is None else row[name] for name in ("precision", "recall"))
            print(f"  {field:8}{row['right']:>6}{row['wrong']:>8}{row['missed']:>8}{precision:>11}{recall:>8}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
