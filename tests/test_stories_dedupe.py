"""The same article again: exact keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aggregator.stories.dedupe import exact_duplicate
from aggregator.text import title_key
from aggregator.types import SourceRef, StoredEntry
from aggregator.urls import canonical_url

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def entry(number: int, title: str, link: str, feed: int = 1, **changes: Any) -> StoredEntry:
    stored = StoredEntry(
        entry_id=number,
        source=SourceRef(feed, f"https://feed{feed}.example/rss", f"Feed {feed}"),
        title=title,
        title_key=title_key(title),
        link=link,
        canonical_url=canonical_url(link),
        first_seen=NOON + timedelta(minutes=number),
        last_seen=NOON + timedelta(minutes=number),
    )
    return replace(stored, **changes)


HARBOUR = entry(1, "Harbour bridge opens after ten years", "https://news.example/harbour?utm_source=rss")


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (entry(2, "Bridge opens at last", "https://news.example/harbour", feed=2), "same address"),
        (entry(2, "Harbour bridge opens after 10 years", "https://m.news.example/harbour/"), "same address"),
        (entry(2, "Harbour Bridge opens, after ten years!", "https://shop.news.example/b"), "same title"),
        (entry(2, "Ferry timetable for the summer", "https://news.example/harbour"), None),
        (entry(2, "Harbour bridge opens after ten years", "https://other.example/b", feed=2), None),
        (
            entry(2, "Harbour bridge opens after ten years", "https://news.example/b", published=NOON - timedelta(1)),
            None,
        ),
    ],
    ids=["two feeds, one page", "re-titled", "same title and day", "one list page", "another outlet", "another day"],
)
def test_what_counts_as_the_same_article(other: StoredEntry, reason: str | None) -> None:
    found = exact_duplicate(other, [HARBOUR])
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert found.of == HARBOUR
        assert reason in found.reason


def test_a_home_page_is_nobodys_identity() -> None:
    first = entry(1, "Harbour bridge opens after ten years", "https://news.example/")
    second = entry(2, "Council votes on the new tram line", "https://news.example/", feed=2)
    assert exact_duplicate(second, [first]) is None
    assert exact_duplicate(replace(first, entry_id=3), [first]) is not None


def test_an_address_that_many_titles_share_is_no_identity() -> None:
    titles = ["Harbour bridge opens", "Tram line approved", "Museum closes early"]
    known = [entry(n, title, "https://news.example/live", feed=n) for n, title in enumerate(titles, 1)]
    newcomer = entry(9, "Library gets a roof garden", "https://news.example/live", feed=9)
    assert exact_duplicate(newcomer, known) is None
    assert exact_duplicate(newcomer, known[:1]) is not None


def test_short_titles_are_no_key() -> None:
    first = entry(1, "Live", "https://news.example/a")
    assert exact_duplicate(entry(2, "Live", "https://news.example/b"), [first]) is None


def test_the_oldest_twin_is_repeated() -> None:
    second = entry(2, HARBOUR.title, "https://news.example/harbour", feed=2)
    third = entry(3, HARBOUR.title, "https://news.example/harbour", feed=3)
    found = exact_duplicate(third, [second, HARBOUR])
    assert found is not None
    assert found.of == HARBOUR
