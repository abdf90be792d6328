"""Which entries of a document are new, changed, repeated or buried: cases by what feeds do, then laws."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, a_parsed_feed, ago, an_entry, digest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.ingest.changes import feed_changes, is_home_page, keys_of
from aggregator.text import title_key
from aggregator.types import FeedChanges, KnownEntry, ParsedEntry
from aggregator.urls import canonical_url

FLOOD = an_entry("Flood closes the bridges of Prague")
MERGER = an_entry("Quillon and Tarn agree to merge")


def remembered(entries: list[ParsedEntry] | tuple[ParsedEntry, ...], first_id: int = 1) -> list[KnownEntry]:
    """What the store knows after it stored these."""
    return [
        KnownEntry(
            number,
            entry.guid,
            canonical_url(entry.link),
            title_key(entry.title),
            entry.fingerprint,
            entry.published,
            NOW,
        )
        for number, entry in enumerate(entries, first_id)
    ]


def after(known: list[KnownEntry], changes: FeedChanges) -> list[KnownEntry]:
    """What the store knows once it applied the changes."""
    updates = {update.entry_id: update for update in changes.updated}
    kept = [
        replace(remembered([updates[one.entry_id].entry])[0], entry_id=one.entry_id, first_seen=one.first_seen)
        if one.entry_id in updates
        else one
        for one in known
    ]
    highest = max((one.entry_id for one in known), default=0)
    return kept + remembered([new.entry for new in changes.new], highest + 1)


def graves(entry: ParsedEntry) -> list[KnownEntry]:
    """What retention leaves of an entry."""
    keys = keys_of(entry.guid, canonical_url(entry.link), title_key(entry.title), entry.published)
    return [KnownEntry(0, None, None, "", b"", None, NOW, is_tombstone=True, key=key) for key in keys.present()]


def changed(entry: ParsedEntry, **fields: object) -> ParsedEntry:
    return replace(entry, fingerprint=digest(entry.fingerprint, fields), **fields)


def test_a_first_document_is_all_new_in_its_order():
    changes = feed_changes([], a_parsed_feed(FLOOD, MERGER), NOW)
    assert [new.entry for new in changes.new] == [FLOOD, MERGER]
    assert changes.new[0].canonical_url == canonical_url(FLOOD.link)
    assert changes.new[0].title_key == title_key(FLOOD.title)
    assert (changes.updated, changes.seen, changes.repeats, changes.buried) == ((), (), 0, 0)


def test_what_the_parser_found_unchanged_is_seen():
    known = remembered([FLOOD, MERGER])
    changes = feed_changes(known, a_parsed_feed(unchanged=(MERGER.fingerprint,)), NOW)
    assert changes == FeedChanges(seen=(2,))


def test_a_changed_entry_is_an_update_whatever_it_keeps():
    known = remembered([FLOOD])
    for again in (
        changed(FLOOD, title="Flood closes all bridges of Prague"),
        changed(FLOOD, link="https://herald.example/moved-to-here"),
        changed(FLOOD, title="Bridges of Prague closed by flood", link="https://herald.example/bridges"),
    ):
        changes = feed_changes(known, a_parsed_feed(again), NOW)
        assert [(one.entry_id, one.entry) for one in changes.updated] == [(1, again)]
        assert changes.seen == (1,)
        assert changes.new == ()


@pytest.mark.parametrize(
    "churned",
    [
        pytest.param({"guid": "urn:new"}, id="new guid, same link and title"),
        pytest.param({"guid": None}, id="no guid any more"),
        pytest.param({"guid": "urn:new", "title": "Floods close all bridges of Prague"}, id="and the title edited"),
        pytest.param({"guid": "urn:new", "link": "https://herald.example/n/77"}, id="only title and date are left"),
        pytest.param({"guid": "urn:new", "link": None}, id="no link any more"),
        pytest.param({"guid": "u:2", "link": f"{FLOOD.link}?utm_source=rss"}, id="link differs by tracking"),
    ],
)
def test_a_new_guid_is_not_a_new_entry(churned):
    changes = feed_changes(remembered([FLOOD, MERGER]), a_parsed_feed(changed(FLOOD, **churned)), NOW)
    assert [one.entry_id for one in changes.updated] == [1]
    assert changes.new == ()


def test_a_guid_twice_in_a_document_is_one_entry_the_latest_version():
    later = changed(FLOOD, title="Flood closes the bridges of Prague and Pilsen", updated=NOW)
    for document in (a_parsed_feed(FLOOD, later), a_parsed_feed(later, FLOOD)):
        changes = feed_changes([], document, NOW)
        assert [new.entry for new in changes.new] == [later]
        assert changes.repeats == 1
    again = feed_changes(remembered([later]), a_parsed_feed(FLOOD, unchanged=(later.fingerprint,)), NOW)
    assert again == FeedChanges(seen=(1,), repeats=1)


def test_one_guid_for_every_item_swallows_none():
    entries = [
        an_entry(f"Bulletin about the subject number {n}", guid="https://herald.example/", published=ago(hours=n + 1))
        for n in range(4)
    ]
    first = feed_changes([], a_parsed_feed(*entries), NOW)
    assert [new.entry for new in first.new] == entries
    fifth = an_entry("Bulletin about quite another subject", guid="https://herald.example/", published=NOW)
    for known in (remembered(entries), remembered(entries[:1])):
        second = feed_changes(known, a_parsed_feed(fifth), NOW)
        assert [new.entry for new in second.new] == [fifth]


def test_one_link_for_every_item_is_no_identity():
    home = "https://herald.example/live"
    entries = [
        an_entry(f"Bulletin about the subject number {n}", guid=f"g{n}", link=home, published=ago(hours=n))
        for n in range(3)
    ]
    assert len(feed_changes([], a_parsed_feed(*entries), NOW).new) == 3
    new = an_entry("Bulletin about quite another subject", guid="g9", link=home, published=NOW)
    changes = feed_changes(remembered(entries), a_parsed_feed(new), NOW)
    assert [one.entry for one in changes.new] == [new]


def test_a_home_page_is_no_identity_even_once():
    monday = an_entry("The weather on Monday in Brno", guid="w1", link="https://herald.example/", published=ago(days=1))
    tuesday = an_entry("The weather on Tuesday in Brno", guid="w2", link="https://herald.example", published=NOW)
    changes = feed_changes(remembered([monday]), a_parsed_feed(tuesday), NOW)
    assert [one.entry for one in changes.new] == [tuesday]


def test_a_page_used_again_later_for_another_story_is_new():
    page = "https://herald.example/live/markets"
    first = an_entry("Markets live: shares rise again", guid="a", link=page, published=ago(days=9))
    second = an_entry("Markets live: shares fall sharply", guid="b", link=page, published=NOW)
    assert len(feed_changes(remembered([first]), a_parsed_feed(second), NOW).new) == 1
    soon = replace(second, published=ago(days=8, hours=20))
    assert len(feed_changes(remembered([first]), a_parsed_feed(soon), NOW).updated) == 1


def test_the_same_headline_every_week_is_new_every_week():
    first = an_entry("The best links of this week", guid="a", link="https://herald.example/1", published=ago(days=7))
    second = an_entry("The best links of this week", guid="b", link="https://herald.example/2", published=NOW)
    assert len(feed_changes(remembered([first]), a_parsed_feed(second), NOW).new) == 1


def test_entries_without_guid_and_link_are_known_by_title_and_day():
    bare = {"guid": None, "link": None}
    entry = an_entry("Ministers meet to talk about water", **bare)
    edited = changed(entry, summary="<p>They met.</p>", published=entry.published + timedelta(minutes=3))
    assert [one.entry_id for one in feed_changes(remembered([entry]), a_parsed_feed(edited), NOW).updated] == [1]
    undated = an_entry("Ministers meet to talk about water", published=None, **bare)
    edited = changed(undated, summary="<p>They met.</p>")
    assert [one.entry_id for one in feed_changes(remembered([undated]), a_parsed_feed(edited), NOW).updated] == [1]


def test_entries_with_nothing_but_text_do_not_swallow_each_other():
    notes = [an_entry("", guid=None, link=None, summary=f"<p>note {n}</p>", published=None) for n in range(3)]
    first = feed_changes([], a_parsed_feed(*notes), NOW)
    assert len(first.new) == 3
    again = feed_changes(remembered(notes), a_parsed_feed(unchanged=tuple(n.fingerprint for n in notes)), NOW)
    assert again == FeedChanges(seen=(1, 2, 3))


def test_what_retention_took_is_not_new():
    changes = feed_changes(graves(FLOOD), a_parsed_feed(FLOOD, MERGER), NOW)
    assert [new.entry for new in changes.new] == [MERGER]
    assert changes.buried == 1
    churned = changed(FLOOD, guid="urn:new")
    assert feed_changes(graves(FLOOD), a_parsed_feed(churned), NOW).buried == 1


def test_a_tombstone_of_a_shared_guid_buries_nothing_else():
    guid = "https://herald.example/"
    old = an_entry("Bulletin about the first subject", guid=guid, published=ago(days=200))
    new = an_entry("Bulletin about the second subject", guid=guid, published=NOW)
    assert len(feed_changes(graves(old), a_parsed_feed(new), NOW).new) == 1


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://herald.example", True),
        ("https://herald.example/", True),
        ("https://herald.example/?p=12", False),
        ("https://herald.example?p=12", False),
        ("https://herald.example/#!/story/12", False),
        ("https://herald.example/story", False),
    ],
)
def test_home_pages(url, answer):
    assert is_home_page(url) is answer


# ---------------------------------------------------------------- laws


@st.composite
def an_odd_entry(draw: st.DrawFn) -> ParsedEntry:
    """An entry from so small a world that guids, links, titles and dates collide all the time."""
    fields = {
        "guid": draw(st.sampled_from([None, "g1", "g2", "g3"])),
        "link": draw(
            st.sampled_from(
                [None, "https://h.example/", "https://h.example/a", "https://h.example/b", "https://h.example/c"]
            )
        ),
        "title": draw(
            st.sampled_from(["", "Live", "Flood in the old town", "Merger of two banks", "A third headline"])
        ),
        "published": draw(st.sampled_from([None, ago(hours=1), ago(hours=2), ago(days=1), ago(days=9)])),
        "summary": draw(st.sampled_from([None, "<p>one</p>", "<p>two</p>"])),
    }
    return ParsedEntry(fingerprint=digest(sorted(fields.items())), **fields)


documents = st.lists(an_odd_entry(), max_size=8)


def polled(known: list[KnownEntry], entries: list[ParsedEntry]) -> FeedChanges:
    """As the parser does it: entries with a known fingerprint come as that alone."""
    prints = {one.fingerprint for one in known}
    fresh = [entry for entry in entries if entry.fingerprint not in prints]
    unchanged = tuple(entry.fingerprint for entry in entries if entry.fingerprint in prints)
    return feed_changes(known, a_parsed_feed(*fresh, unchanged=unchanged), NOW)


@given(documents, documents)
def test_law_a_document_polled_twice_changes_nothing_more(before, entries):
    known = after([], polled([], before))
    known = after(known, polled(known, entries))
    again = polled(known, entries)
    assert (again.new, again.updated) == ((), ())


@given(documents, documents, st.randoms(use_true_random=False))
def test_law_the_order_of_entries_does_not_matter(before, entries, random):
    known = after([], polled([], before))
    shuffled = random.sample(entries, len(entries))

    def essence(changes: FeedChanges) -> tuple[object, ...]:
        return (
            {new.entry.fingerprint for new in changes.new},
            {(update.entry_id, update.entry.fingerprint) for update in changes.updated},
            changes.seen,
            changes.repeats,
        )

    assert essence(polled(known, entries)) == essence(polled(known, shuffled))


@given(documents, documents)
def test_law_every_entry_is_accounted_for_once(before, entries):
    known = after([], polled([], before))
    changes = polled(known, entries)
    unchanged = {one.entry_id for one in known if one.fingerprint in {entry.fingerprint for entry in entries}}
    assert len(entries) == len(changes.new) + len(changes.updated) + len(unchanged) + changes.repeats + changes.buried
    assert set(changes.seen) == unchanged | {update.entry_id for update in changes.updated}


@given(documents, documents)
def test_law_it_is_the_same_whether_the_parser_knew_the_fingerprints(before, entries):
    known = after([], polled([], before))
    assert feed_changes(known, a_parsed_feed(*entries), NOW) == polled(known, entries)


@given(documents)
def test_law_entries_with_guids_of_their_own_are_all_kept(entries):
    own = [replace(e, guid=f"own-{n}", fingerprint=digest(n)) for n, e in enumerate(entries)]
    assert len(polled([], own).new) == len(own)
