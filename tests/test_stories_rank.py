"""Which entry speaks for its story."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aggregator.stories.rank import credits_agency, lead_entry, why_lead
from aggregator.types import SourceRef, StoredEntry

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def entry(number: int, minutes: int = 0, weight: float = 1.0, **changes: Any) -> StoredEntry:
    seen = NOON + timedelta(minutes=minutes)
    address = f"https://outlet{number}.example/story"
    source = SourceRef(number, f"https://outlet{number}.example/rss", f"Outlet {number}", weight=weight)
    stored = StoredEntry(number, source, f"Title {number}", seen, seen, link=address, canonical_url=address)
    return replace(stored, **changes)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (entry(2, 0), entry(1, 240)),
        (entry(2, 240, weight=2.0), entry(1, 0)),
        (entry(2, 30), entry(1, 0, author="Reuters")),
        (entry(2, 30, image_url="https://outlet2.example/a.jpg"), entry(1, 0)),
        (entry(1, 0), entry(2, 0)),
    ],
    ids=["first", "weight", "own reporting", "picture", "smaller id"],
)
def test_who_leads(better: StoredEntry, worse: StoredEntry) -> None:
    assert lead_entry([worse, better]) == better
    assert lead_entry([better, worse]) == better


def test_the_one_that_others_link_to_leads() -> None:
    scoop = entry(3, 120)
    followers = [
        entry(1, 0, summary='As <a href="https://www.outlet3.example/story?x=1">reported</a>'.replace("www.", "")),
        entry(2, 60),
    ]
    assert lead_entry([*followers, scoop]) == scoop


def test_a_longer_address_is_not_a_link_to_the_shorter() -> None:
    first = entry(1, 0, summary="see https://outlet3.example/story-of-another-day")
    assert lead_entry([first, entry(3, 120)]) == first


@pytest.mark.parametrize(
    ("link", "is_link"),
    [
        ("https://outlet3.example/story", True),
        ("http://www.outlet3.example/story/?ref=x#top", True),
        ("https://xoutlet3.example/story", False),
        ("https://elsewhere.example/?to=outlet3.example/story", False),
    ],
)
def test_what_counts_as_a_link_to_the_original(link: str, is_link: bool) -> None:
    first, scoop = entry(1, 0, summary=f'<a href="{link}">reported</a>'), entry(3, 120)
    assert (lead_entry([first, scoop]) == scoop) is is_link


def test_why_the_lead_leads_is_said_in_words() -> None:
    scoop = entry(3, 120)
    reprint = entry(2, 60, author="Reuters", image_url="https://outlet2.example/a.jpg", weight=1.5)
    linking = entry(1, 0, summary='<a href="https://outlet3.example/story">reported</a>')
    assert why_lead(scoop, [linking, reprint, scoop])[:4] == (
        "linked to by Outlet 1",
        "its source weighs 1",
        "reports itself where Outlet 2 reprints an agency",
        "seen after Outlet 1",
    )
    assert why_lead(scoop, [scoop, entry(4, duplicate_of=3)]) == ("the only entry that is not a copy",)
    kept = why_lead(entry(1, 0), [entry(1, 0), entry(2, 10, weight=1.3)])
    assert kept[-2:] == (
        "scores 1.40, the next, Outlet 2, 1.69",
        "kept, as readers know it: 1 more would take the lead",
    )


def test_a_published_lead_stays_unless_clearly_bettered() -> None:
    published, slightly, clearly = entry(1, 0), entry(2, 10, weight=1.3), entry(3, 20, weight=2.5)
    assert lead_entry([published, slightly]) == slightly
    assert lead_entry([published, slightly], current=published) == published
    assert lead_entry([published, slightly, clearly], current=published) == clearly


def test_a_copy_leads_only_where_there_is_nothing_else() -> None:
    copy = entry(1, 0, weight=3.0, duplicate_of=2)
    assert lead_entry([copy, entry(2, 10)]).entry_id == 2
    assert lead_entry([copy]) == copy
    with pytest.raises(ValueError, match="at least one"):
        lead_entry([])


@pytest.mark.parametrize(
    ("text", "credited"),
    [
        ("PARIS (Reuters) - The bridge was opened.", True),
        ("The bridge was opened. © AFP", True),
        ("The bridge was opened. " * 5 + "Reuters was not there. " + "It rained all day. " * 12, False),
        ("The APPLE harvest", False),
    ],
)
def test_agency_credits_are_read_at_the_ends(text: str, credited: bool) -> None:
    assert credits_agency(entry(1, summary=text)) is credited
