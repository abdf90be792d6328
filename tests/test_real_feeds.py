"""Every real feed document at hand, served on loopback and polled: what an operator's first hour looks like."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from origin import Answer, Origin, served
from service import Service

from aggregator.store import Store
from aggregator.types import ParsedFeed

# Counted by the index and no entries: empty elements inside items; the losing version in an item's sync conflict.
_NO_ENTRIES = {"7fa416237a.xml": 10, "bf94456e2e.xml": 1}


def _index(shared: Path) -> dict[str, dict[str, str]]:
    with (shared / "feeds" / "index.tsv").open(encoding="utf-8") as lines:
        return {row["file"]: row for row in csv.DictReader(lines, delimiter="\t")}


def test_every_document_is_understood_and_a_second_poll_finds_nothing_new(tmp_path, shared):
    index = _index(shared)
    with served(Origin()) as origin:
        for file in index:
            body = (shared / "feeds" / file).read_bytes()
            origin.script(f"/{file}", Answer(headers=(("ETag", f'"{file}"'),), body=body))
        service = Service(tmp_path, [{"url": origin.url(f"/{file}")} for file in index], polling={"every": "2s"})
        first = service.poll()
        second = service.poll()
        log = service.bmn("status", "--json")
        counts = {source["url"].rpartition("/")[2]: source["entries"] for source in json.loads(log.stdout)["sources"]}
    well_formed = [file for file, row in index.items() if row["wellformed"] == "wf"]
    assert first["polled"] == len(index) == first["changed"] + first["failed"]
    assert first["failed"] <= len(index) - len(well_formed)
    assert (second["not_modified"], second["new_entries"], second["new_stories"]) == (first["changed"], 0, 0)
    assert all(counts[file] > 0 for file in well_formed if int(index[file]["entries"]))
    # What is missing from a document's count are entries that repeat another of the same document.
    missing = {file: int(index[file]["entries"]) - counts[file] for file in well_formed}
    repeats = _repeats(shared, [file for file, number in missing.items() if number])
    gone = {file: number - _NO_ENTRIES.get(file, 0) for file, number in missing.items() if number}
    assert gone == repeats
    with Store(f"sqlite:///{tmp_path / 'news.db'}") as store:
        assert store.ungrouped(1) == []


def _repeats(shared: Path, files: list[str]) -> dict[str, int]:
    """How many entries of each document repeat another of the same one, by our own rule."""
    from datetime import UTC, datetime

    from aggregator.ingest.changes import feed_changes
    from aggregator.ingest.parse import parse

    found = {}
    for file in files:
        document = (shared / "feeds" / file).read_bytes()
        now = datetime.now(UTC)
        parsed = parse(document, f"http://example.org/{file}", None, frozenset(), now)
        assert isinstance(parsed, ParsedFeed)
        found[file] = feed_changes((), parsed, now).repeats
    return found
