"""The size budget on SQLite and PostgreSQL: the oldest goes first, the young stay, and it holds for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid5

import pytest
from builders import NOW, a_sectioning, an_entry
from store_writer import ASource
from test_store import feeds_of, group, poll

from aggregator.store import Budget, Query, Shrunk, Store, StoryFilter, StoryRecord
from aggregator.store.budget import ENOUGH, FLOOR, used
from aggregator.types import Placement

WINDOW = timedelta(hours=72)
DAYS, A_DAY = 24, 10


@dataclass(frozen=True)
class Keep:
    """A retention policy that would keep all of it."""

    text: timedelta = timedelta(days=300)
    entries: timedelta = timedelta(days=900)


def a_text(number: int) -> str:
    """Five kilobytes that do not compress to nothing."""
    return " ".join(f"word{(number * 7919 + n * 104729) % 999_983}" for n in range(420))


@pytest.fixture
def month(store):
    """Stories of many days, so many a day, each day's gone from the feed the day after."""
    for day in range(DAYS, -1, -1):
        now = NOW - timedelta(days=day)
        (feed,) = feeds_of(store, ASource("https://h.example/feed"))
        found = [
            an_entry(f"Headline {day}-{number} as printed", summary=a_text(day * 100 + number), published=now)
            for number in range(A_DAY)
        ]
        ids = poll(store, feed, *found, now=now)
        told = [(entry_id, uuid5(store.installation_id(), f"{day} {n}")) for n, entry_id in enumerate(ids)]
        records = [StoryRecord(story_id, entry_id, now, now, a_sectioning()) for entry_id, story_id in told]
        store.save_grouping([Placement(*each, True) for each in told], records, now)
    return store


def in_use(store: Store) -> int:
    with store._database.read() as connection:
        return used(connection)


def shrink(store: Store, allowed: int) -> Shrunk:
    """Steps until there is nothing more to do."""
    total = step = store.shrink(Budget(allowed, WINDOW), NOW)
    while step.texts + step.entries:
        step = store.shrink(Budget(allowed, WINDOW), NOW, goes_on=True)
        total = total.then(step)
    return total


def texts(store: Store) -> dict[int, int]:
    """Entries that still have their text, by age in days."""
    ages: dict[int, int] = {}
    for story in store.stories(limit=None):
        age = (NOW - story.published).days
        ages[age] = ages.get(age, 0) + (story.lead.summary is not None)
    return ages


def test_within_its_budget_nothing_goes(month):
    shrunk = shrink(month, in_use(month) + 1)
    assert (shrunk.texts, shrunk.entries, shrunk.before) == (0, 0, shrunk.after)
    assert set(texts(month).values()) == {A_DAY}


def test_the_oldest_texts_go_until_there_is_room_for_more(month):
    allowed = round(in_use(month) * 0.7)
    planned = month.would_shrink(Budget(allowed, WINDOW), Keep(), NOW)
    assert set(texts(month).values()) == {A_DAY}, "a dry run takes nothing"
    shrunk = shrink(month, allowed)
    assert shrunk.before > allowed
    assert shrunk.after <= allowed * ENOUGH
    assert in_use(month) == pytest.approx(shrunk.after, rel=0.02)
    assert shrunk.entries == 0
    assert shrunk.texts > DAYS * A_DAY * 0.2
    assert planned.texts == pytest.approx(shrunk.texts, rel=0.35)
    left = [texts(month)[day] for day in range(DAYS + 1)]
    assert left == sorted(left, reverse=True), "the younger, the more of them have their text"
    assert (left[0], left[-1]) == (A_DAY, 0)
    assert shrink(month, allowed).texts == 0, "there is room until more comes"


def test_then_the_oldest_entries_go_and_do_not_come_back(month):
    floor = shrink(month, 1)
    kept = {(NOW - story.published).days for story in month.stories(limit=None)}
    assert kept == {age for age in range(DAYS + 1) if timedelta(days=age) <= WINDOW + FLOOR}
    assert floor.entries == floor.stories == (DAYS - 4) * A_DAY
    assert texts(month) == {0: A_DAY, 1: A_DAY, 2: 0, 3: 0, 4: 0}
    (feed,) = feeds_of(month, ASource("https://h.example/feed"))
    old = NOW - timedelta(days=20)
    again = an_entry("Headline 20-3 as printed", summary=a_text(2003), published=old)
    assert poll(month, feed, again) == []
    assert month.search(Query.of('"headline 20"'), StoryFilter(), 5) == []


def test_a_story_that_loses_its_first_goes_on_with_the_rest(store):
    (feed,) = feeds_of(store, ASource("https://h.example/feed"))
    old = NOW - timedelta(days=20)
    first, young = an_entry("Quillon opens a plant", published=old), an_entry("Quillon plant is open", published=NOW)
    (one,) = poll(store, feed, first, now=old)
    (two,) = poll(store, feed, young)
    story_id = group(store, one, two)
    shrunk = shrink(store, 1)
    assert (shrunk.entries, shrunk.stories) == (1, 0)
    assert [entry.title for entry in store.story(story_id).entries] == [young.title]


def test_what_time_takes_counts_first(month):
    """A budget that retention's times keep already takes nothing more."""
    by_time = Keep(timedelta(days=10), timedelta(days=20))
    allowed = round(in_use(month) * 0.85)
    assert month.would_shrink(Budget(allowed, WINDOW), by_time, NOW).texts == 0
    month.prune(by_time, NOW)
    assert shrink(month, allowed).texts == 0
