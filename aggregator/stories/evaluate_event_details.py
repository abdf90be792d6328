"""How often the names, amounts, rounds and jobs of events are right: the second table of `evaluate_events`.

In: our labels (`labels/event_details.tsv`: keys and what a reader found, never texts) and the headlines they name. Out:
for every field how often it was right, wrong and missed, over the headlines that were given their event label at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aggregator.types import EVENTS, Event

FIELDS = ("company", "target", "amount", "round", "jobs")
_EITHER, _NOT_SAID, _OR = "?", "-", " / "
# What stands around a name and is no part of it: an article, the legal form, whose it is.
_AROUND = re.compile(r"^the |^u\.?s\.? (?=federal)|,? (?:inc|corp|co|ltd|plc|ag|nv|s\.?a)\.?$|['’]s?$")


@dataclass(frozen=True, slots=True)
class Details:
    """What a reader found in one headline about one event, each of FIELDS as written in the label file."""

    part: str
    label: str
    wanted: Mapping[str, str]


def read_details(lines: Iterable[str]) -> dict[str, Details]:
    """Key to details. Lines: key, part, label and FIELDS between tabs; `#` begins a comment.

    Raises ValueError naming the line that has another number of fields or a label that is none of EVENTS.
    """
    found: dict[str, Details] = {}
    for number, line in enumerate(lines, 1):
        if line.startswith("#") or not line.strip():
            continue
        key, *rest = line.rstrip("\n").split("\t")
        if len(rest) != 2 + len(FIELDS) or rest[1] not in EVENTS:
            wanted = f"key, part, label and {', '.join(FIELDS)}"
            raise ValueError(f"event_details.tsv:{number}: expected {wanted} between tabs")
        found[key] = Details(rest[0], rest[1], dict(zip(FIELDS, rest[2:], strict=True)))
    return found


def judged(field: str, wanted: str, event: Event) -> str | None:
    """ "right", "wrong" or "missed"; None where neither says anything or both answers can be defended."""
    said = getattr(event, field)
    if wanted == _EITHER or (wanted == _NOT_SAID and said is None):
        return None
    if said is None:
        return "missed"
    return "right" if wanted != _NOT_SAID and _is_same(field, wanted, event) else "wrong"


def _is_same(field: str, wanted: str, event: Event) -> bool:
    if field == "amount":
        value, currency = wanted.split(" ")
        is_near = abs(float(value) - (event.amount or 0.0)) <= 0.005 * float(value)
        return is_near and currency in (_EITHER, event.currency)
    if field == "jobs":
        return int(wanted) == event.jobs
    said = getattr(event, field)
    return _bare(said) in map(_bare, wanted.split(_OR))


def _bare(name: str) -> str:
    """A name in lower case without what stands around it; accents count, spelling too."""
    plain = name.lower().replace("’", "'").strip(" <>")
    while (shorter := _AROUND.sub("", plain)) != plain:
        plain = shorter
    return plain


def scores(rows: Iterable[tuple[Details, Event]]) -> dict[str, dict[str, Any]]:
    """Per field: right, wrong, missed, precision of what was said and recall of what could be said (None without any).

    A wrong answer where the reader found one counts against recall as well.
    """
    pairs = list(rows)
    found: dict[str, dict[str, Any]] = {}
    for field in FIELDS:
        verdicts = [(judged(field, details.wanted[field], event), details.wanted[field]) for details, event in pairs]
        right, wrong, missed = (sum(said == v for said, _ in verdicts) for v in ("right", "wrong", "missed"))
        there = sum(said is not None and wanted != _NOT_SAID for said, wanted in verdicts)
        found[field] = {
            "right": right,
            "wrong": wrong,
            "missed": missed,
            "precision": round(right / (right + wrong), 3) if right + wrong else None,
            "recall": round(right / there, 3) if there else None,
        }
    return found
