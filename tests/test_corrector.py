"""Merges and splits by hand, and stories found to be one: what the store and readers see, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from builders import NOW, a_fetched, a_parsed_feed, an_entry
from likes import WORD, Likes, bare
from store_writer import ASource, Keep
from structlog.testing import capture_logs

from aggregator.corrector import merging, splitting
from aggregator.daemon import log
from aggregator.editor import Editor, GroupTotals, story_id_for
from aggregator.errors import NotFound
from aggregator.ingest.changes import feed_changes
from aggregator.metrics import Metrics
from aggregator.store import Store
from aggregator.types import Health, PollResult, StoredEntry, Story

OUTLETS = ("Anvil", "Beacon", "Courier", "Dispatch", "Echo", "Falcon")
SURE = 0.97


class Desk:
    """A newsroom of six outlets: `tell` stores an entry of one and groups it, five minutes after the last."""

    def __init__(
        self,
        store: Store,
        pairs: Mapping[tuple[str, str], float],
        copies: tuple[tuple[str, str], ...] = (),
        section: str | None = None,
    ) -> None:
        self.store, self.now = store, NOW
        self.likes = Likes(pairs, copies)
        given = "final" if section else "hint"
        sources = [ASource(f"https://{name.lower()}.example/rss", name, section, section_is=given) for name in OUTLETS]
        store.sync_feeds(sources, NOW)
        self.restart()

    def restart(self) -> None:
        self.editor = Editor(self.store, Metrics(), log(), lambda: self.now, self.likes)
        self.editor.begin()

    def arrive(self, outlet: str, name: str, minutes: int = 5, **fields: object) -> str:
        """Store an entry; the address of its page."""
        self.now += timedelta(minutes=minutes)
        feed = next(feed for feed in self.store.feeds() if feed.url == f"https://{outlet.lower()}.example/rss")
        url = f"https://{outlet.lower()}.example/{name.lower().replace(' ', '-')}"
        summary = f"<p>{WORD}.</p>"
        values: dict[str, Any] = {"link": url, "guid": url, "published": self.now, "summary": summary, **fields}
        entry = an_entry(values.pop("title", f"{name} {WORD}"), **values)
        changes = feed_changes(self.store.known([feed.feed_id])[feed.feed_id], a_parsed_feed(entry), self.now)
        fresh = replace(feed, health=Health.OK, last_poll_at=self.now, last_success_at=self.now)
        self.store.apply([PollResult(fresh, a_fetched(url=feed.url), changes, self.now)], self.now)
        return str(values["link"])

    def group(self) -> GroupTotals:
        totals = GroupTotals()
        while self.editor.group_batch(totals):
            pass
        return totals

    def tell(self, outlet: str, name: str, **fields: object) -> str:
        """The same, grouped; the ref of its story."""
        url = self.arrive(outlet, name, **fields)
        self.group()
        return self.of(url).ref

    def of(self, name: str) -> Story:
        story = self.store.story_of_url(name) if "://" in name else self.store.story(name)
        assert story is not None
        return story

    def merge(self, *names: str) -> None:
        self.store.correct(merging(self.store, names, self.now))
        self.editor.heed_corrections()

    def split(self, name: str, *urls: str) -> None:
        self.store.correct(*splitting(self.store, name, urls, self.new_id, self.now))
        self.editor.heed_corrections()

    def new_id(self, entry: StoredEntry) -> UUID:
        return story_id_for(self.store.installation_id(), entry)

    def stories(self) -> list[list[str]]:
        """What each story is told by, the oldest entries first."""
        told = [[*story.entries, *story.duplicates] for story in self.store.stories(limit=None)]
        return sorted(sorted(bare(entry.title) for entry in entries) for entries in told)


def page(outlet: str, name: str) -> str:
    return f"https://{outlet.lower()}.example/{name.lower()}"


# ---------------------------------------------------------------- merge


def test_a_merge_keeps_the_older_story_in_its_place_and_the_younger_redirects(store):
    desk = Desk(store, {})
    older, younger = desk.tell("Anvil", "A"), desk.tell("Beacon", "B")
    before = desk.of(older)
    desk.now += timedelta(minutes=5)
    desk.merge(younger, older)  # in whatever order they are named
    after = desk.of(older)
    assert (after.story_id, after.published, after.lead.title) == (before.story_id, before.published, before.lead.title)
    assert after.updated_at == desk.now
    assert [source.title for source in after.sources] == ["Anvil", "Beacon"]
    assert desk.of(younger).ref == older
    assert [story.ref for story in store.stories()] == [older]
    assert store.placements(after.story_id)[1].reasons[0] == f"merged by hand: was {younger}"


def test_of_several_the_first_begun_stays_and_chains_collapse(store):
    desk = Desk(store, {})
    refs = [desk.tell(outlet, name) for outlet, name in zip(OUTLETS, "ABCD", strict=False)]
    ids = [desk.of(ref).story_id for ref in refs]
    desk.merge(refs[2], refs[3])
    desk.merge(refs[1], refs[3])  # named by an old name of it
    desk.merge(refs[0], refs[2])
    first, *others = ids
    assert store.redirects(ids) == dict.fromkeys(others, first)
    assert desk.stories() == [["A", "B", "C", "D"]]


@pytest.mark.parametrize("restart", [False, True], ids=["at once", "after a restart"])
def test_a_merged_story_goes_on_from_both_beginnings(store, restart):
    desk = Desk(store, {("A", "A2"): SURE, ("B", "B2"): SURE})
    older, younger = desk.tell("Anvil", "A"), desk.tell("Beacon", "B")
    desk.merge(older, younger)
    if restart:
        desk.restart()
    assert desk.tell("Courier", "B2") == older
    assert desk.tell("Dispatch", "A2") == older


@pytest.mark.parametrize("restart", [False, True], ids=["at once", "after a restart"])
def test_what_was_seen_in_time_and_is_grouped_late_finds_its_story(store, restart):
    desk = Desk(store, {("A", "A2"): SURE})
    story = desk.tell("Anvil", "A")
    desk.arrive("Beacon", "A2", minutes=70 * 60)
    desk.now += timedelta(hours=6)  # nobody grouped meanwhile
    if restart:
        desk.restart()
    desk.group()
    assert desk.of(story).ref == desk.of(page("Beacon", "A2")).ref


def test_another_process_corrects_and_the_next_pass_puts_it_in_force(store):
    desk = Desk(store, {})
    older, younger = desk.tell("Anvil", "A"), desk.tell("Beacon", "B")
    store.correct(merging(store, [older, younger], desk.now))
    assert len(store.stories()) == 2
    desk.group()
    assert [story.ref for story in store.stories()] == [older]


def test_a_correction_put_in_force_twice_is_once(store):
    desk = Desk(store, {})
    older, younger = desk.tell("Anvil", "A"), desk.tell("Beacon", "B")
    desk.merge(older, younger)
    desk.split(older, page("Beacon", "B"))
    before = store.stories()
    store.set_note("corrections_heeded", "0")  # as if we had died before noting it
    desk.restart()
    desk.group()
    assert [(story.ref, story.sources) for story in store.stories()] == [(s.ref, s.sources) for s in before]


def test_the_index_is_built_for_the_first_entry_that_needs_it_and_not_before(store):
    desk = Desk(store, {})
    refs = [desk.tell("Anvil", "A"), desk.tell("Beacon", "B")]
    with capture_logs() as lines:
        desk.restart()
        desk.group()
        desk.merge(*refs)
        assert not [line for line in lines if line["event"] == "index_rebuilt"], "nothing was to be grouped"
        desk.tell("Courier", "C")
        assert [line["entries"] for line in lines if line["event"] == "index_rebuilt"] == [2]


# ---------------------------------------------------------------- split

TOGETHER = dict.fromkeys([("A", "B"), ("A", "C"), ("B", "C"), ("A", "D"), ("B", "D"), ("C", "D")], SURE)


def test_a_split_gives_every_entry_but_the_lead_a_story_of_its_own(store):
    desk = Desk(store, TOGETHER)
    ref = desk.tell("Anvil", "A")
    assert [desk.tell("Beacon", "B"), desk.tell("Courier", "C")] == [ref, ref]
    published = desk.of(ref).published
    desk.split(ref)
    assert desk.stories() == [["A"], ["B"], ["C"]]
    assert (desk.of(page("Anvil", "A")).ref, desk.of(ref).published) == (ref, published)
    story = desk.of(page("Beacon", "B"))
    assert story.story_id == desk.new_id(story.lead)
    assert story.published == story.lead.published
    assert store.placements(story.story_id)[0].reasons == (f"taken out of {ref} by hand",)


@pytest.mark.parametrize("restart", [False, True], ids=["at once", "after a restart"])
def test_what_was_split_is_never_joined_again_however_alike(store, restart):
    desk = Desk(store, TOGETHER)
    ref = desk.tell("Anvil", "A")
    desk.tell("Beacon", "B")
    desk.tell("Courier", "C")
    desk.split(ref)
    if restart:
        desk.restart()
    desk.tell("Dispatch", "D")  # likes all three, surely
    assert desk.stories() == [["A", "D"], ["B"], ["C"]]


def test_named_entries_leave_together_with_their_copies(store):
    desk = Desk(store, TOGETHER, copies=(("B", "E"),))
    ref = desk.tell("Anvil", "A")
    for outlet, name in (("Beacon", "B"), ("Courier", "C"), ("Dispatch", "D"), ("Echo", "E")):
        assert desk.tell(outlet, name) == ref
    desk.split(ref, page("Beacon", "B"), page("Courier", "C") + "?utm_source=x")
    assert desk.stories() == [["A", "D"], ["B", "C", "E"]]
    assert [bare(entry.title) for entry in desk.of(page("Beacon", "B")).duplicates] == ["E"]


def test_a_copy_taken_out_alone_is_an_original_and_so_is_the_heir_of_one_that_left(store):
    desk = Desk(store, {}, copies=(("A", "B"), ("A", "C"), ("B", "C")))
    ref = desk.tell("Anvil", "A")
    assert [desk.tell("Beacon", "B"), desk.tell("Courier", "C")] == [ref, ref]
    desk.split(ref, page("Courier", "C"))
    assert desk.stories() == [["A", "B"], ["C"]]
    assert desk.of(page("Courier", "C")).duplicates == ()
    assert [bare(entry.title) for entry in desk.of(ref).duplicates] == ["B"]


@pytest.mark.parametrize("restart", [False, True], ids=["at once", "after a restart"])
def test_a_story_whose_first_entry_leaves_keeps_its_id_and_goes_on_growing(store, restart):
    desk = Desk(store, {("A", "B"): SURE, ("A", "C"): 0.4, ("B", "C"): SURE, ("C", "D"): SURE, ("B", "D"): SURE})
    ref = desk.tell("Anvil", "A")
    assert [desk.tell("Beacon", "B"), desk.tell("Courier", "C")] == [ref, ref]
    desk.split(ref, page("Anvil", "A"))
    left = desk.of(page("Anvil", "A"))
    assert left.ref != ref
    if restart:
        desk.restart()
    assert desk.tell("Dispatch", "D") == ref
    assert desk.stories() == [["A"], ["B", "C", "D"]]


# ---------------------------------------------------------------- undoing


def test_a_split_undoes_a_merge_and_gives_the_old_address_back(store):
    desk = Desk(store, {("A", "C"): SURE, ("B", "C"): SURE})
    older, younger = desk.tell("Anvil", "A"), desk.tell("Beacon", "B")
    published = desk.of(younger).published
    desk.merge(older, younger)
    desk.split(older, page("Beacon", "B"))
    assert (desk.of(younger).ref, desk.of(younger).published) == (younger, published)
    assert desk.of(older).ref == older
    desk.tell("Courier", "C")  # and they stay apart
    assert desk.stories() == [["A", "C"], ["B"]]


def test_a_merge_undoes_a_split(store):
    desk = Desk(store, {**TOGETHER, ("B", "E"): SURE})
    ref = desk.tell("Anvil", "A")
    desk.tell("Beacon", "B")
    desk.split(ref)
    other = desk.of(page("Beacon", "B")).ref
    desk.merge(other, ref)
    desk.restart()
    assert (desk.of(other).ref, desk.stories()) == (ref, [["A", "B"]])
    assert desk.tell("Echo", "E") == ref


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ONE", "aaaaaaaaaa"], "aaaaaaaaaa is no story here (see 'bmn stories')"),
        (["ONE", "ONE"], "are one story already"),
        (["ONE", "https://anvil.example/a"], "are one story already"),
        (["ONE"], "alone cannot be merged: name the other story as well"),
    ],
    ids=["unknown", "twice", "by its entry", "one"],
)
def test_a_merge_that_makes_no_sense(store, names, message):
    desk = Desk(store, {})
    ref = desk.tell("Anvil", "A")
    with pytest.raises(NotFound) as raised:
        desk.merge(*(name.replace("ONE", ref) for name in names))
    assert message in str(raised.value)
    assert store.corrections() == []


def test_a_split_that_makes_no_sense(store):
    desk = Desk(store, {("A", "B"): SURE}, copies=(("C", "D"),))
    together, alone = desk.tell("Anvil", "A"), desk.tell("Courier", "C")
    desk.tell("Beacon", "B")
    for names, message in (
        ([alone], "told by one entry alone"),
        ([together, "https://elsewhere.example/x"], "is no entry of"),
        ([together, page("Anvil", "A"), page("Beacon", "B")], "these are all of its entries"),
    ):
        with pytest.raises(NotFound, match=message):
            desk.split(*names)
    desk.tell("Dispatch", "D")
    with pytest.raises(NotFound, match="one article and its copies"):
        desk.split(alone)
    assert store.corrections() == []


def test_a_pruned_story_cannot_be_corrected_and_the_error_says_why(store):
    desk = Desk(store, {})
    ref = desk.tell("Anvil", "A")
    desk.now += timedelta(days=100)
    other = desk.tell("Beacon", "B")
    for feed in store.feeds():
        fresh = replace(feed, last_success_at=desk.now)
        empty = feed_changes(store.known([feed.feed_id])[feed.feed_id], a_parsed_feed(), NOW)
        store.apply([PollResult(fresh, a_fetched(url=feed.url), empty, NOW)], NOW)
    store.prune(Keep(), NOW + timedelta(days=95))
    assert store.buried_story(ref)
    with pytest.raises(NotFound, match=r"retention took this story on .*A Quillon"):
        desk.merge(other, ref)


# ---------------------------------------------------------------- stories found to be one


def test_an_entry_that_is_surely_both_joins_the_younger_to_the_older(store):
    desk = Desk(store, {("A", "C"): SURE, ("B", "C"): SURE, ("A", "B"): 0.72})
    older, younger = desk.tell("Anvil", "A"), desk.tell("Beacon", "B")
    assert older != younger
    before = desk.of(older)
    assert desk.tell("Courier", "C") == older
    after = desk.of(younger)
    assert (after.ref, after.published) == (older, before.published)
    assert desk.stories() == [["A", "B", "C"]]
    reasons = {bare(e.title): p.reasons for e, p in zip(_by_time(after), store.placements(after.story_id), strict=True)}
    assert reasons["B"][0] == f"found to be one story: was {younger}"
    assert any(f"{younger} is the same story" in line for line in reasons["C"])


@pytest.mark.parametrize(
    ("pairs", "outlet"),
    [
        ({("A", "C"): SURE, ("B", "C"): 0.85, ("A", "B"): 0.72}, "Courier"),
        ({("A", "C"): SURE, ("B", "C"): SURE, ("A", "B"): 0.68}, "Courier"),
        ({("A", "C"): SURE, ("B", "C"): SURE, ("A", "B"): 0.72}, "Anvil"),
    ],
    ids=["not surely both", "not alike themselves", "told by the outlet"],
)
def test_less_than_that_joins_nothing(store, pairs, outlet):
    desk = Desk(store, pairs)
    desk.tell("Anvil", "A")
    desk.tell("Beacon", "B")
    desk.tell(outlet, "C")
    assert len(desk.stories()) == 2


def test_a_copy_of_entries_of_two_stories_joins_them(store):
    desk = Desk(store, {("A", "B"): 0.72}, copies=(("A", "C"), ("B", "C")))
    older = desk.tell("Anvil", "A")
    desk.tell("Beacon", "B")
    assert desk.tell("Courier", "C") == older
    assert desk.stories() == [["A", "B", "C"]]


@pytest.mark.parametrize("cut", range(1, 5))
def test_how_arrivals_are_cut_into_passes_does_not_change_what_is_joined(store, cut):
    desk = Desk(store, {("A", "C"): SURE, ("B", "C"): SURE, ("A", "B"): 0.72, ("B", "D"): SURE, ("A", "D"): 0.4})
    for number, (outlet, name) in enumerate(zip(OUTLETS, "ABCD", strict=False), 1):
        desk.arrive(outlet, name)
        if number == cut:
            desk.group()
            desk.restart()
    desk.group()
    assert desk.stories() == [["A", "B", "C", "D"]]
    assert desk.of(page("Dispatch", "D")).story_id == desk.new_id(desk.of(page("Anvil", "A")).lead)


def test_a_pass_that_could_not_be_saved_joins_when_it_is_done_again(store, monkeypatch):
    desk = Desk(store, {("A", "C"): SURE, ("B", "C"): SURE, ("A", "B"): 0.72})
    older, younger = desk.tell("Anvil", "A"), desk.tell("Beacon", "B")
    desk.arrive("Courier", "C")
    with monkeypatch.context() as broken:
        broken.setattr(store, "save_grouping", _disk_full)
        with pytest.raises(OSError, match="full"):
            desk.group()
    assert len(desk.stories()) == 2
    desk.group()
    assert (desk.of(younger).ref, desk.stories()) == (older, [["A", "B", "C"]])


def _disk_full(*_: object) -> None:
    raise OSError("disk full")


def _by_time(story: Story) -> list[StoredEntry]:
    return sorted((*story.entries, *story.duplicates), key=lambda entry: (entry.dated, entry.entry_id))
