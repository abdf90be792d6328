"""Which story an entry belongs to: exact duplicates, memory, restarts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from aggregator.stories.cluster import StoryIndex, StoryPolicy
from aggregator.text import title_key
from aggregator.types import SourceRef, StoredEntry
from aggregator.urls import canonical_url

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def new_id(entry: StoredEntry) -> UUID:
    return uuid5(NAMESPACE_URL, str(entry.entry_id))


def index() -> StoryIndex:
    return StoryIndex(StoryPolicy(), new_id)


def entry(number: int, title: str, link: str | None = None, feed: int | None = None, **changes: Any) -> StoredEntry:
    feed = number if feed is None else feed
    link = link or f"https://outlet{feed}.example/{number}"
    seen = NOON + timedelta(minutes=number)
    source = SourceRef(feed, f"https://outlet{feed}.example/rss", f"Outlet {feed}")
    stored = StoredEntry(
        number, source, title, seen, seen, link=link, canonical_url=canonical_url(link), title_key=title_key(title)
    )
    return replace(stored, **changes)


def test_an_entry_like_no_other_begins_its_story() -> None:
    placement = index().place(entry(1, "Harbour bridge opens after ten years"))
    assert placement.begins
    assert placement.story_id == new_id(entry(1, ""))
    assert placement.duplicate_of is None


def test_the_same_page_from_two_feeds_is_folded_in_one_pass() -> None:
    stories = index()
    first = stories.place(entry(1, "Harbour bridge opens", "https://news.example/bridge"))
    again = stories.place(entry(2, "Harbour bridge opens", "https://www.news.example/bridge?utm_medium=rss"))
    third = stories.place(entry(3, "Harbour bridge opens", "https://news.example/bridge#top"))
    assert (again.story_id, again.duplicate_of, again.begins) == (first.story_id, 1, False)
    assert third.duplicate_of == 1
    assert "same address" in again.reasons[0]


def test_twins_from_the_store_are_found_at_any_age() -> None:
    old = entry(1, "Harbour bridge opens", "https://news.example/bridge", story_id=UUID(int=7))
    old = replace(old, first_seen=NOON - timedelta(days=40))
    again = index().place(entry(2, "Harbour bridge opens", "https://news.example/bridge"), twins=[old])
    assert (again.story_id, again.duplicate_of) == (UUID(int=7), 1)


def test_a_copy_of_a_copy_names_the_original() -> None:
    copy = entry(2, "Harbour bridge opens", "https://news.example/b", story_id=UUID(int=7), duplicate_of=1)
    again = index().place(entry(3, "Harbour bridge opens", "https://news.example/b"), twins=[copy])
    assert again.duplicate_of == 1


def test_placing_twice_gives_the_same_answer() -> None:
    stories = index()
    first = stories.place(entry(1, "Harbour bridge opens"))
    assert stories.place(entry(1, "Harbour bridge opens")) == first
    assert len(stories) == 1


def test_the_window_is_forgotten_and_a_restart_remembers() -> None:
    stories = index()
    placed = stories.place(entry(1, "Harbour bridge opens", "https://news.example/bridge"))
    restarted = index()
    restarted.load([entry(1, "Harbour bridge opens", "https://news.example/bridge", story_id=placed.story_id)])
    again = entry(2, "Harbour bridge opens", "https://news.example/bridge")
    assert restarted.place(again).duplicate_of == stories.place(again).duplicate_of == 1
    stories.expire(NOON + timedelta(hours=85))
    assert len(stories) == 0
    assert stories.place(replace(again, entry_id=3)).begins
