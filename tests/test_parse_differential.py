"""The fast lane against feedparser, the reference: per field, over our fixtures and over real documents.

docs/decisions/parsing.md explains each field that stays below 100 %; `python -m bench.parse_agreement --show FIELD`
shows the differences themselves.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aggregator.ingest.parse import parse
from aggregator.types import ParsedFeed
from bench.parse_agreement import Agreement, agreement

NOW = datetime(2026, 11, 1, tzinfo=UTC)
FIXTURES = Path(__file__).parent / "data" / "feeds"

# Reached over the shared feeds; everything that is not named agrees to the last value.
REACHED = {
    "feed.title": 0.994,
    "feed.site_url": 0.979,
    "feed.self_url": 0.994,
    "guid": 0.993,
    "link": 0.997,
    "title": 0.999,
    "author": 0.964,
    "summary": 0.967,
    "content": 0.968,
    "language": 0.996,
    "fingerprint": 0.90,
    "date": 0.997,
}
# Documents whose entries our count does not match, with what becomes of the rest.
COUNTED_OTHERWISE = {
    "7fa416237a.xml": 10,  # 20 in the index: an empty <item/> inside each of 10
    "bf94456e2e.xml": 17,  # 18 in the index: one of them is a conflicting copy (sx:conflict) inside another
    "86e3f3b872.xml": 9,  # 10 in the index: one item has neither title nor link nor text
}


@pytest.fixture(scope="module")
def real(shared: Path) -> Agreement:
    return agreement(sorted((shared / "feeds").glob("*.xml")))


def test_most_real_documents_take_the_fast_lane(real: Agreement) -> None:
    assert real.documents >= 197
    assert real.skipped <= 5


def test_lanes_agree_over_real_documents(real: Agreement) -> None:
    below = {name: real.share(name) for name in real.compared if real.share(name) < REACHED.get(name, 1.0)}
    assert not below, {name: real.examples[name][:2] for name in below}


def test_lanes_agree_over_our_fixtures() -> None:
    ours = agreement(sorted(FIXTURES.glob("*.xml")))
    below = {name: ours.share(name) for name in ours.compared if ours.share(name) < 0.95 and name != "fingerprint"}
    assert not below, {name: ours.examples[name][:2] for name in below}


def test_real_documents_give_the_entries_that_the_index_counts(shared: Path) -> None:
    with (shared / "feeds" / "index.tsv").open(encoding="utf-8") as rows:
        index = list(csv.DictReader(rows, delimiter="\t"))
    wrong = {}
    for row in index:
        document = (shared / "feeds" / row["file"]).read_bytes()
        result = parse(document, "https://feeds.example/feed", None, frozenset(), NOW)
        expected = COUNTED_OTHERWISE.get(row["file"], int(row["entries"]))
        if not isinstance(result, ParsedFeed) or len(result.entries) != expected:
            wrong[row["file"]] = result if not isinstance(result, ParsedFeed) else len(result.entries)
    assert len(index) == 203
    assert not wrong
