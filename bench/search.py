"""How long a search takes among a million entries: `python -m bench.search [ENTRIES] [--database URL]`.

Entries are filled in directly, with words that are as common and as rare as in a language (Zipf); then the store is
asked as the site asks it. Prints a Markdown table of milliseconds.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from uuid import UUID, uuid5

import sqlalchemy as sa

from aggregator.schema import entries, feeds, stories, story_labels
from aggregator.store import Query, Store, StoryFilter
from aggregator.store import search as index
from aggregator.types import SECTIONS
from aggregator.urls import story_ref

VOCABULARY = 60_000
TITLE, BODY = 9, 45  # words
BATCH = 20_000
SOURCES = 200
LABELLED = 50  # every so manieth story carries the label
NOW = datetime(2026, 3, 4, tzinfo=UTC)
SPACE = UUID(int=5)


def fill(store: Store, count: int) -> None:
    """`count` entries, each a story of its own, a minute apart, from SOURCES sources in turn."""
    chance = random.Random(1)
    weights = list(accumulate(1 / (n + 2) for n in range(VOCABULARY)))
    words = [f"w{n}" for n in range(VOCABULARY)]
    with store._database.write() as connection:
        connection.execute(sa.insert(feeds), [_feed(n + 1) for n in range(SOURCES)])
    for start in range(0, count, BATCH):
        numbers = range(start, min(count, start + BATCH))
        with store._database.write() as connection:
            connection.execute(sa.insert(stories), [_story(n, count) for n in numbers])
            connection.execute(sa.insert(entries), [_entry(n, count) for n in numbers])
            labelled = [{"label": "funding", "story_id": _story_id(n)} for n in numbers if n % LABELLED == 0]
            connection.execute(sa.insert(story_labels), labelled)
            said = iter(chance.choices(words, cum_weights=weights, k=len(numbers) * (TITLE + BODY)))
            rows = [{"id": n + 1, "title": _take(said, TITLE), "body": _take(said, BODY)} for n in numbers]
            connection.execute(index._INSERT[connection.dialect.name], rows)
        print(f"\r{numbers[-1] + 1} entries", end="", file=sys.stderr)
    print(file=sys.stderr)
    if store.is_sqlite:
        store._database.sqlite_script("INSERT INTO search (search) VALUES ('optimize'); PRAGMA optimize")
    else:
        with store._database.own_connection() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def _take(words: Iterator[str], count: int) -> str:
    return " ".join(next(words) for _ in range(count))


def _micros(number: int, count: int) -> int:
    return round((NOW - timedelta(minutes=count - number)).timestamp() * 1e6)


def _story_id(number: int) -> bytes:
    return uuid5(SPACE, str(number)).bytes


def _feed(number: int) -> dict[str, object]:
    url = f"https://a.example/feed/{number}"
    values: dict[str, object] = {"feed_id": number, "url": url, "is_active": True, "is_enabled": True}
    values |= {"section_is_final": False, "weight": 1.0, "current_url": url, "health": "ok"}
    return values | {"failures": 0, "next_poll_at": 0, "lease_until": 0}


def _story(number: int, count: int) -> dict[str, object]:
    story_id, at = uuid5(SPACE, str(number)), _micros(number, count)
    return {
        "story_id": story_id.bytes,
        "ref": story_ref(story_id),
        "published": at,
        "section": SECTIONS[number % 40 % 4] if number % 40 else None,
        "sources": 1 + (number % 7 == 0),
        "updated_at": at,
        "created_at": at,
        "lead_entry_id": number + 1,
        "confidence": 0.9,
        "is_filed_by_hand": False,
        "is_grouped_by_hand": False,
        "probabilities": "{}",
    }


def _entry(number: int, count: int) -> dict[str, object]:
    at = _micros(number, count)
    return {
        "entry_id": number + 1,
        "feed_id": 1 + number % SOURCES,
        "first_seen": at,
        "published": at,
        "dated": at,
        "story_id": _story_id(number),
        "is_stale": False,
        "fingerprint": b"",
        "title": f"Entry {number}",
        "title_key": f"entry {number}",
    }


QUESTIONS = (
    ("the commonest word", "w0", StoryFilter()),
    ("a common word", "w20", StoryFilter()),
    ("a rare word", "w40000", StoryFilter()),
    ("two common words", "w3 w9", StoryFilter()),
    ("common and rare", "w0 w30000", StoryFilter()),
    ("a phrase of common words", '"w0 w1"', StoryFilter()),
    ("common, another unwanted", "w5 -w0", StoryFilter()),
    ("common in one section", "w7", StoryFilter(("marketing",))),
    ("common, told by two", "w7", StoryFilter(min_sources=2)),
    ("common, labelled", "w7", StoryFilter(label="funding", filed=True)),
    ("common, of one source", "w7", StoryFilter(feed_id=7, filed=True)),
    ("common, this week", "w7", StoryFilter(since=NOW - timedelta(days=7))),
    ("common, a month back", "w7", StoryFilter(until=NOW - timedelta(days=30))),
    ("common, a year back", "w7", StoryFilter(until=NOW - timedelta(days=365))),
    ("the commonest, a year back", "w0", StoryFilter(until=NOW - timedelta(days=365))),
    ("a word that nothing holds", "nothing", StoryFilter()),
)


def ask(store: Store) -> Iterator[str]:
    for name, asked, wanted in QUESTIONS:
        times, busy = [], []
        for _ in range(7):
            began, worked = time.perf_counter(), time.process_time()
            found = store.search(Query.of(asked), wanted, 50)
            times.append((time.perf_counter() - began) * 1000)
            busy.append((time.process_time() - worked) * 1000)
        yield f"| {name} | {len(found)} | {sorted(times)[3]:.1f} | {max(times):.1f} | {sorted(busy)[3]:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("entries", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--database", help="an empty database; default: SQLite in a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.database or f"sqlite:///{Path(folder) / 'search.db'}"
        with Store(url) as store:
            began = time.perf_counter()
            fill(store, options.entries)
            print(f"filled in {time.perf_counter() - began:.0f} s, {store.size() / 1e6:.0f} MB", file=sys.stderr)
            database = store._database.url.get_backend_name()
            print(f"| {options.entries} entries, {database} | found | median ms | worst | our processor ms |")
            print("|---|---|---|---|---|")
            for line in ask(store):
                print(line)


if __name__ == "__main__":
    main()
