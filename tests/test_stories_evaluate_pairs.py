"""`bmn evaluate pairs|stories`: scores, and rows with nothing but a title."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from aggregator.stories.evaluate_pairs import adjusted_rand, bcubed, pairs, stories, when

BLAST = {
    "title": "Explosion at Quillon pump works in Brno kills twelve workers",
    "summary": "Twelve people died when an explosion tore through the Quillon pump works in Brno on Monday.",
    "source": "Herald",
    "published": "2026-03-02T12:00:00Z",
}
AGAIN = {
    "title": "Twelve dead in Brno after explosion at Quillon pump factory",
    "summary": "<p>An explosion at a factory of the pump maker Quillon killed twelve workers in Brno.</p>",
    "source": "Courier",
    "published": "2026-03-02 14:00:00+01:00",
}
RATES = {"title": "Central bank leaves interest rates unchanged", "summary": None, "source": None, "published": None}


def test_pairs_are_scored_at_the_products_threshold() -> None:
    rows = [{"a": BLAST, "b": AGAIN, "same": True}, {"a": BLAST, "b": RATES, "same": False}]
    assert pairs(rows) == {"rows": 2, "precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert pairs([{"a": BLAST, "b": RATES, "same": True}])["recall"] == 0.0
    assert pairs([]) == {"rows": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}


@pytest.mark.parametrize("dated", [True, False])
def test_stories_are_scored_with_dates_and_without(dated: bool) -> None:
    rows = [{**BLAST, "story": "a"}, {**AGAIN, "story": "a"}, {**RATES, "published": BLAST["published"], "story": "b"}]
    if not dated:
        rows = [{**row, "published": None} for row in rows]
    result = stories(rows)
    assert result == {"rows": 3, "bcubed_precision": 1.0, "bcubed_recall": 1.0, "bcubed_f1": 1.0, "ari": 1.0}


def test_measures_of_groupings() -> None:
    assert bcubed([1, 1, 1, 1], "aabb") == {"bcubed_precision": 0.5, "bcubed_recall": 1.0, "bcubed_f1": 0.6667}
    assert adjusted_rand([1, 1, 2, 2], "aabb") == 1.0
    assert adjusted_rand([1, 2, 1, 2], "aabb") < 0


@pytest.mark.parametrize("unreadable", [None, "", "yesterday", 12])
def test_a_date_that_we_cannot_read_is_none(unreadable: object) -> None:
    assert when(unreadable) is None


def test_headlines_of_a_real_collection_keep_their_score(shared: Path) -> None:
    path = shared / "data" / "uci_clusters_dev.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no {path.name} beside the checkout")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        result = stories(json.loads(line) for line in lines)
    assert result["bcubed_f1"] >= 0.84
