"""What the store costs: CPU seconds and milliseconds of its main steps on a database of a given size.

    python bench/store.py [URL] [--feeds 1000] [--stories 200000]

Without a URL: SQLite in a temporary folder. The texts are invented, of a real feed's length (2 kB an entry).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid5

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "tests")]

from builders import NOW, a_fetched, a_not_modified, a_parsed_feed, a_sectioning, an_entry  # noqa: E402
from store_writer import ASource  # noqa: E402

from aggregator.ingest.changes import feed_changes  # noqa: E402
from aggregator.store import Store, StoryFilter, StoryRecord  # noqa: E402
from aggregator.types import FeedState, ParsedEntry, Placement, PollResult, Validators  # noqa: E402

SECTIONS = ("tech", "companies", "economics", "marketing", "none")


@contextmanager
def measured(what: str, per: int = 1, unit: str = "") -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    each = f"{cpu / per * 1e6:10.1f} µs CPU a {unit}" if unit else ""
    print(f"{what:44}{wall * 1000:10.1f} ms {cpu * 1000:10.1f} ms CPU {each}", flush=True)


def document(feed: FeedState, first: int, count: int) -> tuple[ParsedEntry, ...]:
    host = f"https://h{feed.feed_id}.example"
    return tuple(
        an_entry(
            f"Headline number {number} of the feed {feed.feed_id} as printed",
            link=f"{host}/2026/03/04/{number}-headline",
            summary="<p>" + "a sentence of some words " * 12 + "</p>",
            content="<p>" + "a sentence of some words " * 70 + "</p>",
            published=NOW - timedelta(minutes=number),
        )
        for number in range(first, first + count)
    )


def polls(store: Store, feeds: list[FeedState], first: int, count: int, new: int) -> list[PollResult]:
    known = store.known([feed.feed_id for feed in feeds])
    state = {"last_success_at": NOW, "next_poll_at": NOW, "validators": Validators('"abc"', "a date")}
    return [
        PollResult(
            replace(feed, **state),
            a_fetched(),
            feed_changes(known[feed.feed_id], a_parsed_feed(*document(feed, first, count)), NOW),
        )
        for feed in feeds
    ]


def group_all(store: Store) -> None:
    entries = store.ungrouped(1000)
    stories = [(uuid5(store.installation_id(), str(entry.entry_id)), entry) for entry in entries]
    store.save_grouping(
        [Placement(entry.entry_id, story_id, True, reasons=("first of its kind",)) for story_id, entry in stories],
        [
            StoryRecord(
                story_id,
                entry.entry_id,
                entry.dated,
                NOW,
                a_sectioning(SECTIONS[entry.entry_id % 5], reasons=("words",)),
            )
            for story_id, entry in stories
        ],
        NOW,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--feeds", type=int, default=1000)
    parser.add_argument("--stories", type=int, default=200_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{folder}/aggregator.db"
        with measured("open, new database"):
            store = Store(url)
            store.open()
        sources = [ASource(f"https://h{n}.example/feed.xml") for n in range(max(20_000, options.feeds))]
        with measured("sync_feeds, 20,000 new", len(sources), "source"):
            store.sync_feeds(sources, NOW)
        with measured("sync_feeds, nothing changed", len(sources), "source"):
            store.sync_feeds(sources, NOW)
        feeds = store.feeds()[: options.feeds]
        with measured("due_feeds, 1,000", 1000, "feed"):
            store.due_feeds(NOW, 1000)
        batches = [feeds[i : i + 200] for i in range(0, len(feeds), 200)]
        for batch in batches[:1]:
            results = polls(store, batch, 0, 50, 50)
            with measured("apply, 200 first polls of 50 entries", 200 * 50, "entry"):
                store.apply(results, NOW)
        for batch in batches[1:]:
            store.apply(polls(store, batch, 0, 50, 50), NOW)
        quiet = [PollResult(feed, a_not_modified()) for feed in store.feeds()[: options.feeds]]
        with measured(f"apply, {len(quiet):,} not modified", len(quiet), "feed"):
            store.apply(quiet, NOW)
        documents = {feed.feed_id: a_parsed_feed(*document(feed, 48, 50)) for feed in feeds[:200]}
        with measured("last_documents, 200 feeds of 50", 200, "feed"):
            store.last_documents(documents)
        brief = {i: replace(d, entries=d.entries[2:4], unchanged=()) for i, d in documents.items()}
        with measured("known_for, 200 feeds of 50", 200, "feed"):
            store.known_for(brief)
        results = polls(store, feeds[:200], 2, 50, 2)
        with measured("apply, 200 polls with 2 new of 50", 200, "feed"):
            store.apply(results, NOW)
        first = 100
        while store.counts(NOW).entries < options.stories:
            for batch in batches:
                store.apply(polls(store, batch, first, 50, 50), NOW)
            first += 50
        with measured("ungrouped, 200"):
            entries = store.ungrouped(200)
        with measured("twins, 200"):
            store.twins(entries)
        with measured("save_grouping, 1,000 stories", 1000, "story"):
            group_all(store)
        while store.ungrouped(1):
            group_all(store)
        print(f"{store.counts(NOW).stories:,} stories, {store.size() / 1e6:,.0f} MB")
        for _ in range(2):
            with measured("stories(section), 100"):
                store.stories("tech", limit=100)
        with measured("newest(four sections), 100"):
            store.newest_of_each([(StoryFilter(SECTIONS[:4]), 100)])
        with measured("stories of two sources at least, 100"):
            store.newest_of_each([(StoryFilter(SECTIONS[:4], min_sources=2), 100)])
        with measured("stories(source), 100"):
            store.stories(source=7, limit=100)
        ref = store.stories(limit=1)[0].ref
        with measured("story(ref)"):
            store.story(ref)
        with measured("counts"):
            store.counts(NOW)
        with measured("window of 72 hours"):
            number = sum(1 for _ in store.window(NOW - timedelta(minutes=400)))
        print(f"{number:,} entries in the window")
        with measured("publishing_stamp"):
            store.publishing_stamp()

        class Keep:
            text = entries = timedelta(days=1)

        with measured("prune, nothing over"):
            store.prune(Keep(), NOW)
        for batch in batches:
            store.apply(polls(store, batch, 9000, 1, 1), NOW + timedelta(days=1))
        with measured("prune, dry run"):
            gone = store.prune(Keep(), NOW + timedelta(days=3), dry_run=True)
        with measured("prune", gone.entries, "entry"):
            gone = store.prune(Keep(), NOW + timedelta(days=3))
        print(f"{gone.entries:,} entries and {gone.stories:,} stories pruned, {store.size() / 1e6:,.0f} MB left")
        store.close()


if __name__ == "__main__":
    main()
