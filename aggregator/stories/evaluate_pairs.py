"""`bmn evaluate pairs|stories`: how good our merging is on labelled rows.

In: rows as JSON gives them. Out: exactly the document that the contract prints. Everything but title, text, source and
date is ignored; source and date may be null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from aggregator.html import to_text
from aggregator.stories.compare import Comparer

Row = Mapping[str, Any]


def pairs(rows: Iterable[Row]) -> dict[str, float]:
    """Precision, recall and F1 of merging two entries, at the product's own threshold."""
    given = list(rows)
    comparer = Comparer.load()
    one = comparer.articles(_fields(row["a"]) for row in given)
    other = comparer.articles(_fields(row["b"]) for row in given)
    merged = [comparer.compare(a, b).is_same for a, b in zip(one, other, strict=True)]
    same = [bool(row["same"]) for row in given]
    hits = sum(1 for is_merged, is_same in zip(merged, same, strict=True) if is_merged and is_same)
    precision, recall = _ratio(hits, sum(merged)), _ratio(hits, sum(same))
    return {"rows": len(given), "precision": precision, "recall": recall, "f1": _harmonic(precision, recall)}


def _fields(row: Row) -> tuple[str, str, datetime | None, str | None]:
    text = to_text(str(row.get("summary") or ""))
    return str(row.get("title") or ""), text, when(row.get("published")), row.get("source") or None


def when(given: object) -> datetime | None:
    """A date as RFC 3339 writes it, None where there is none or we cannot read it."""
    if not isinstance(given, str) or not given:
        return None
    try:
        read = datetime.fromisoformat(given.replace(" ", "T", 1) if "T" not in given else given)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _ratio(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 0.0


def _harmonic(one: float, other: float) -> float:
    return round(2 * one * other / (one + other), 4) if one + other else 0.0
