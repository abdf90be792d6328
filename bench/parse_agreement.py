"""How far the fast lane and feedparser agree: python -m bench.parse_agreement [FOLDER …] [--show FIELD]

Every document that the fast lane reads is read by feedparser as well, both are cleaned by the same code, and entries
are compared in order. `date` compares our reading of the dates' text with feedparser's. Default folders: the
fixtures in tests/data/feeds, and the shared feeds where they are.
"""

from __future__ import annotations

import argparse
import calendar
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aggregator.html import to_text
from aggregator.ingest import parse
from aggregator.ingest.clean import clean_feed
from aggregator.ingest.dates import parse_date
from aggregator.ingest.document import decode
from aggregator.types import ParsedEntry, ParsedFeed, ParseFailed

NOW = datetime(2026, 11, 1, tzinfo=UTC)
URL = "https://feeds.example/folder/feed.xml"
ROOT = Path(__file__).resolve().parent.parent

FEED_FIELDS = ("entries", "title", "site_url", "language", "format", "self_url", "hub_urls", "ttl", "update_every")
ENTRY_FIELDS = (
    *("guid", "link", "title", "author", "published", "updated", "summary", "content", "categories", "image_url"),
    *("enclosures", "comments_url", "comment_count", "language", "fingerprint"),
)


@dataclass
class Agreement:
    """Counts per field: how many were compared, how many equal; `said` of those where either lane had a value."""

    documents: int = 0
    skipped: int = 0
    compared: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[tuple[str, object, object]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, document: str, ours: object, theirs: object) -> None:
        self.compared[name] += 1
        self.said[name] += bool(ours or theirs)
        if ours == theirs:
            self.equal[name] += 1
        else:
            self.examples[name].append((document, ours, theirs))

    def share(self, name: str) -> float:
        """Equal of compared, 1 where nothing was."""
        return self.equal[name] / self.compared[name] if self.compared[name] else 1.0


def agreement(paths: Iterable[Path]) -> Agreement:
    """Both lanes over these documents."""
    result = Agreement()
    for path in paths:
        both = lanes(path.read_bytes())
        if both is None:
            result.skipped += 1
            continue
        result.documents += 1
        ours, theirs = both
        for name in FEED_FIELDS:
            result.add(f"feed.{name}", path.name, _feed_value(ours, name), _feed_value(theirs, name))
        if len(ours.entries) == len(theirs.entries):
            for mine, other in zip(ours.entries, theirs.entries, strict=True):
                for name in ENTRY_FIELDS:
                    result.add(name, path.name, entry_value(mine, name), entry_value(other, name))
        for text, theirs_says in _dates(path.read_bytes()):
            result.add("date", path.name, parse_date(text, NOW), theirs_says)
    return result


def lanes(document: bytes) -> tuple[ParsedFeed, ParsedFeed] | None:
    """The document by the fast lane and by feedparser; None where the fast lane does not read it."""
    text = decode(document)
    raw = parse._by_fast_lane(text)
    if raw is None:
        return None
    theirs = parse._by_feedparser(text, URL, frozenset(), NOW)
    assert not isinstance(theirs, ParseFailed), theirs
    return clean_feed(raw, URL, frozenset(), NOW, "fast"), theirs


def _feed_value(feed: ParsedFeed, name: str) -> object:
    if name == "entries":
        return len(feed.entries)
    return getattr(feed.hints if name in ("ttl", "update_every") else feed, name)


def entry_value(entry: ParsedEntry, name: str) -> object:
    """What is compared: of HTML the text that readers see, of categories which they are."""
    value = getattr(entry, name)
    if name in ("summary", "content") and value:
        return to_text(value)
    return sorted(value) if name == "categories" else value


def _dates(document: bytes) -> Iterator[tuple[str, datetime | None]]:
    result: Any = parse._fed(decode(document).body)
    for entry in result["entries"]:
        for key in ("published", "updated"):
            text, moment = dict.get(entry, key), dict.get(entry, f"{key}_parsed")
            if isinstance(text, str) and moment:
                when = datetime.fromtimestamp(calendar.timegm(moment), UTC)
                yield text, when if when.year >= 1990 and when <= NOW else None


def folders() -> list[Path]:
    """Where documents are: our fixtures, and the shared feeds where they are at hand."""
    shared = Path(os.environ.get("BMN_SHARED", ROOT.parent / "shared"))
    return [folder for folder in (ROOT / "tests" / "data" / "feeds", shared / "feeds") if folder.is_dir()]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folders", nargs="*", type=Path)
    options.add_argument("--show", metavar="FIELD", help="print what differs in this field")
    options.add_argument("--limit", type=int, default=30)
    arguments = options.parse_args()
    for folder in arguments.folders or folders():
        result = agreement(sorted(folder.glob("*.xml")))
        print(f"\n{folder.name}: {result.documents} documents in both lanes, {result.skipped} for feedparser alone")
        print(f"{'field':20} {'compared':>9} {'said':>7} {'equal':>7} {'share':>8}")
        for name, compared in result.compared.items():
            print(f"{name:20} {compared:9} {result.said[name]:7} {result.equal[name]:7} {result.share(name):8.2%}")
        if arguments.show:
            for document, ours, theirs in result.examples[arguments.show][: arguments.limit]:
                print(f"{document}\n   fast lane  {str(ours)[:300]!r}\n   feedparser {str(theirs)[:300]!r}")


if __name__ == "__main__":
    main()
