"""The window: members come, change, go, and are found by what they speak of, wherever they lie."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import pytest

from aggregator.stories import index
from aggregator.stories.compare import Comparer
from aggregator.stories.index import Member, Window
from aggregator.stories.packed import Packed
from aggregator.text import title_key
from aggregator.types import SourceRef, StoredEntry

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TITLES = (
    "Harbour bridge opens in Karvonia after ten years",
    "Dravec chemical plant explodes near Karvonia",
    "Central bank of Velmark lifts its rate",
    "Quillon recalls four million toasters",
)


def a_member(number: int, title: str) -> Member:
    seen = NOON + timedelta(minutes=number)
    source = SourceRef(number % 3, f"https://outlet{number % 3}.example/rss", f"Outlet {number % 3}")
    entry = StoredEntry(number, source, title, seen, seen, title_key=title_key(title), published=seen)
    article = Comparer.load().of_entries([entry])[0]
    return Member(entry, Packed.of(article, entry.title, entry.title_key), uuid5(NAMESPACE_URL, str(number)))


def filled(*members: Member) -> Window:
    window = Window()
    for member in members:
        window.add(member, member.article.subject.terms)
    return window


@pytest.fixture
def nothing_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every member is read from the drawer."""
    monkeypatch.setattr(index, "AT_HAND", 0)


@pytest.mark.usefixtures("nothing_at_hand")
def test_members_come_back_as_they_were() -> None:
    members = [a_member(number, title) for number, title in enumerate(TITLES)]
    window = filled(*members)
    for member in members:
        assert window.get(member.entry.entry_id) == member
    assert window.get(99) is None


@pytest.mark.usefixtures("nothing_at_hand")
def test_members_of_one_source_share_it() -> None:
    window = filled(a_member(0, TITLES[0]), a_member(3, TITLES[1]))
    one, other = window.get(0), window.get(3)
    assert one is not None
    assert other is not None
    assert one.entry.source is other.entry.source


@pytest.mark.usefixtures("nothing_at_hand")
def test_a_member_that_says_something_else_is_found_with_it() -> None:
    member = a_member(1, TITLES[1])
    window = filled(a_member(0, TITLES[0]), member)
    window.replace(replace(member.entry, story_id=uuid5(NAMESPACE_URL, "elsewhere"), duplicate_of=0))
    found = window.get(1)
    assert found is not None
    assert (found.entry.story_id, found.entry.duplicate_of) == (uuid5(NAMESPACE_URL, "elsewhere"), 0)
    assert (found.packed, found.own) == (member.packed, member.own)


@pytest.mark.usefixtures("nothing_at_hand")
def test_the_nearest_are_found_after_holes_were_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three in four go, which closes the holes many times; who is left stands where it is found."""
    monkeypatch.setattr(index, "FEWEST_HOLES", 10)
    members = [a_member(number, f"{TITLES[number % 4]} part{number}") for number in range(80)]
    window = filled(*members)
    for member in members:
        if member.entry.entry_id % 4:
            window.drop(member.entry.entry_id)
    assert len(window) == 20
    assert window.eldest() == 0
    wanted = members[40]
    found = window.nearest(wanted.article, 5)
    assert found[0] == wanted
    assert {member.entry.entry_id % 4 for member in found} == {0}
    assert window.dated_before(NOON + timedelta(minutes=9)) == [0, 4, 8]


def test_a_full_disk_leaves_the_window_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    window = filled(a_member(0, TITLES[0]))
    member = a_member(1, TITLES[1])

    def full(_: object) -> int:
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(window._drawer, "put", full)
        with pytest.raises(OSError, match="No space"):
            window.add(member, member.article.subject.terms)
        assert len(window) == 1
        assert window.get(1) is None
    window.add(member, member.article.subject.terms)
    assert window.nearest(member.article, 1) == [member]
