"""Which story an entry belongs to: exact duplicates, memory, restarts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from aggregator.stories.cluster import StoryIndex, StoryPolicy
from aggregator.stories.compare import explain_pair
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


BLAST = (
    "Explosion at Quillon pump works in Brno kills twelve workers",
    "Twelve people died when an explosion tore through the Quillon pump works in Brno on Monday, the brigade said.",
)
BLAST_TOLD_AGAIN = (
    "Twelve dead in Brno after explosion at Quillon pump factory",
    "An explosion at a factory of the pump maker Quillon killed twelve workers in Brno, firefighters said on Monday.",
)
RATES = (
    "Central bank leaves interest rates unchanged as inflation slows",
    "The bank's council kept its main rate at 4 percent on Monday and said that inflation would slow further.",
)


def told(number: int, story: tuple[str, str], minutes: int = 0, **changes: Any) -> StoredEntry:
    seen = NOON + timedelta(minutes=minutes or number)
    return entry(number, story[0], summary=story[1], first_seen=seen, published=seen, **changes)


def test_two_outlets_telling_one_event_are_one_story() -> None:
    stories = index()
    first = stories.place(told(1, BLAST))
    other = stories.place(told(2, RATES))
    again = stories.place(told(3, BLAST_TOLD_AGAIN))
    assert again.story_id == first.story_id != other.story_id
    assert not again.begins
    assert again.duplicate_of is None
    assert again.score >= 0.6
    assert any("quillon" in line or "brno" in line or "explosion" in line for line in again.reasons)


def test_one_outlet_tells_a_story_once() -> None:
    stories = index()
    first = stories.place(told(1, BLAST))
    second = stories.place(told(2, BLAST_TOLD_AGAIN, feed=1))
    assert second.begins
    assert first.story_id in second.related
    assert any("veto: two articles of" in line for line in second.reasons)


def test_a_copy_under_another_address_is_folded() -> None:
    stories = index()
    stories.place(told(1, BLAST))
    copied = stories.place(told(2, (BLAST[0].replace("kills twelve", "kills 12"), BLAST[1])))
    wired = stories.place(told(3, BLAST))
    assert wired.duplicate_of == 1
    assert copied.duplicate_of is None  # the headline counts differently: told by hand, not copied


def test_a_round_up_joins_nothing_and_a_running_page_gathers_nothing() -> None:
    stories = index()
    running = stories.place(told(1, (f"Live: {BLAST[0]}", BLAST[1])))
    report = stories.place(told(2, BLAST_TOLD_AGAIN))
    round_up = stories.place(told(3, (f"Morning briefing: {BLAST[0]}", BLAST[1])))
    assert report.begins
    assert round_up.begins
    assert running.story_id in report.related


def test_a_story_stops_growing_when_its_beginning_leaves_the_window() -> None:
    stories = index()
    stories.place(told(1, BLAST))
    assert stories.place(told(2, BLAST_TOLD_AGAIN, minutes=73 * 60)).begins


def test_an_entry_that_was_old_when_first_seen_is_not_likened() -> None:
    stories = index()
    stories.place(told(1, BLAST))
    late = replace(told(2, BLAST_TOLD_AGAIN), published=NOON - timedelta(days=4))
    assert stories.place(late).begins


def test_how_arrivals_are_cut_into_passes_does_not_matter() -> None:
    arrivals = [told(1, BLAST), told(2, RATES), told(3, BLAST_TOLD_AGAIN), told(4, BLAST, minutes=300), told(5, RATES)]
    whole = index()
    expected = [whole.place(one) for one in arrivals]
    cut = index()
    placed = []
    for one in arrivals:
        cut.expire(one.first_seen)
        placed.append(cut.place(one))
    assert placed == expected


def test_a_restart_between_passes_does_not_matter() -> None:
    before = index()
    grouped = []
    for one in (told(1, BLAST), told(2, RATES)):
        placement = before.place(one)
        grouped.append(replace(one, story_id=placement.story_id, duplicate_of=placement.duplicate_of))
    after = index()
    after.load(reversed(grouped))
    newcomer = told(3, BLAST_TOLD_AGAIN)
    assert after.place(newcomer) == before.place(newcomer)


def test_explain_pair_says_why_not() -> None:
    lines = explain_pair(told(1, BLAST), told(2, RATES))
    assert lines[0].startswith("not the same event")
    lines = explain_pair(told(1, ("Quillon Q1 profit rises", "")), told(2, ("Quillon Q2 profit rises", "")))
    assert any("different quarter" in line for line in lines)


def test_the_window_holds_the_last_to_come_whoever_cuts_the_passes() -> None:
    """Beyond `most` the first to come leaves with each newcomer; an index that is built anew knows the same."""
    first, second, third = (entry(number, title) for number, title in enumerate(_STRANGERS, 1))
    again = entry(4, _STRANGERS[0], feed=9)
    stories = StoryIndex(StoryPolicy(most=2), new_id)
    placed = [replace(each, story_id=stories.place(each).story_id) for each in (first, second, third)]
    assert len(stories) == 2
    rebuilt = StoryIndex(StoryPolicy(most=2), new_id)
    rebuilt.load(placed)
    assert len(rebuilt) == 2
    roomy = StoryIndex(StoryPolicy(most=3), new_id)
    roomy.load(placed)
    assert roomy.place(again).story_id == new_id(first)
    assert stories.place(again).begins
    assert rebuilt.place(again).begins


_STRANGERS = (
    "Explosion at Karvonia chemical plant kills twelve workers",
    "Central bank of Velmark lifts its rate",
    "Quillon recalls four million toasters",
)
