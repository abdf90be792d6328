"""Polls and groups without end, to be run in a process that is killed.

Feed n's document of revision r has the entries `n-1 … n-r` and the ETag r: whoever finds the database afterwards can
tell whether an ETag vouches for entries that are not there.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid5

from builders import NOW, a_fetched, a_parsed_feed, a_sectioning, an_entry

from aggregator.ingest.changes import feed_changes
from aggregator.store import Store, StoryRecord
from aggregator.types import ParsedEntry, Placement, PollResult, Validators

FEEDS = 12


@dataclass(frozen=True)
class ASource:
    """What the store reads of a configured source."""

    url: str = "https://herald.example/feed.xml"
    title: str | None = None
    section: str | None = None
    weight: float = 1.0
    enabled: bool = True
    section_is: str = "hint"


@dataclass(frozen=True)
class Keep:
    """A retention policy."""

    text: timedelta = timedelta(days=30)
    entries: timedelta = timedelta(days=90)


def the_entry(feed_id: int, number: int) -> ParsedEntry:
    """Entry `number` of a feed, the same in every process; big enough for a transaction of many pages."""
    return an_entry(
        f"Headline {number} of feed {feed_id} as printed",
        guid=f"{feed_id}-{number}",
        link=f"https://h{feed_id}.example/{number}",
        summary="<p>" + f"text {number} " * 200 + "</p>",
    )


def poll_all(store: Store, chance: random.Random) -> None:
    """Every feed has one to three entries more than last time; one transaction."""
    feeds = store.feeds()
    known = store.known([feed.feed_id for feed in feeds])
    results = []
    for feed in feeds:
        revision = int(feed.validators.etag or 0) + chance.randint(1, 3)
        document = a_parsed_feed(*(the_entry(feed.feed_id, number) for number in range(1, revision + 1)))
        state = replace(feed, validators=Validators(str(revision)), last_success_at=NOW)
        results.append(PollResult(state, a_fetched(), feed_changes(known[feed.feed_id], document, NOW)))
    store.apply(results, NOW)


def group_some(store: Store, chance: random.Random) -> None:
    """Entries in twos and threes become stories, now and then moved from a story of before; one transaction."""
    entries = store.ungrouped(20)
    placements, records = [], []
    while entries:
        told, entries = entries[: chance.randint(1, 3)], entries[3:]
        story_id = uuid5(store.installation_id(), str(told[0].entry_id))
        placements += [Placement(entry.entry_id, story_id, entry is told[0]) for entry in told]
        records.append(StoryRecord(story_id, told[0].entry_id, NOW, NOW, a_sectioning()))
    store.save_grouping(placements, records, NOW)
    stories = store.stories(limit=6)
    if len(stories) > 4:
        into, away = stories[0], stories[3]
        moved = [Placement(entry.entry_id, into.story_id) for entry in away.entries]
        store.save_grouping(moved, [store.story_records([into.story_id])[into.story_id]], NOW + timedelta(minutes=1))


def main(url: str, seed: int, begun: Callable[[], object]) -> None:
    """Work until killed; `begun` is called when the first transaction is about to begin."""
    store, chance = Store(url), random.Random(seed)
    store.open()
    store.sync_feeds([ASource(f"https://h{n}.example/feed") for n in range(FEEDS)], NOW)
    begun()
    while True:
        poll_all(store, chance)
        group_some(store, chance)
