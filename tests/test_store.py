"""The store as its callers see it, each test on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid5

import pytest
import sqlalchemy as sa
from builders import NOW, a_fetch_failed, a_fetched, a_not_modified, a_parsed_feed, a_sectioning, ago, an_entry, digest
from store_writer import ASource, Keep

from aggregator.errors import StoreError
from aggregator.ingest.changes import feed_changes
from aggregator.store import Correction, Pruned, Store, StoryFilter, StoryRecord, corrections
from aggregator.types import (
    Enclosure,
    Event,
    FailureReason,
    FeedHints,
    FeedState,
    Health,
    ParsedEntry,
    ParseFailed,
    Placement,
    PollResult,
    Story,
    Validators,
)
from aggregator.urls import story_ref

HERALD = ASource()
GAZETTE = ASource("https://gazette.example/rss", title="The Gazette", section="companies", weight=2.0)


def feeds_of(store: Store, *sources: ASource) -> list[FeedState]:
    store.sync_feeds(sources or (HERALD,), NOW)
    by_url = {feed.url: feed for feed in store.feeds(active_only=False)}
    return [by_url[source.url] for source in sources or (HERALD,)]


def poll(store: Store, feed: FeedState, *entries: ParsedEntry, now: datetime = NOW, **state: object) -> list[int]:
    """The feed gave this document at `now`; the ids of the new entries."""
    known = store.known([feed.feed_id])[feed.feed_id]
    changes = feed_changes(known, a_parsed_feed(*entries), now)
    fields = {"health": Health.OK, "last_poll_at": now, "last_success_at": now, "next_poll_at": now, **state}
    result = PollResult(replace(feed, **fields), a_fetched(url=feed.url), changes, now)
    return list(store.apply([result], now).new_ids)


def group(store: Store, *entry_ids: int, now: datetime = NOW, section: str | None = "tech", **fields: object) -> UUID:
    """One story of these entries, led by the first."""
    first = store.entries(entry_ids[:1])[0]
    story_id = uuid5(store.installation_id(), f"{first.source.url}\n{first.guid}")
    placements = [Placement(entry_id, story_id, entry_id == entry_ids[0]) for entry_id in entry_ids]
    values = {"published": first.dated, "updated_at": now, "sectioning": a_sectioning(section), **fields}
    store.save_grouping(placements, [StoryRecord(story_id, entry_ids[0], **values)], now)
    return story_id


# ---------------------------------------------------------------- feeds


def test_a_configured_source_is_a_feed_due_at_once(store):
    added = store.sync_feeds([HERALD, GAZETTE], NOW)
    assert (added.added, added.changed, added.removed) == (2, 0, 0)
    feed = store.feeds()[0]
    assert feed == FeedState(feed.feed_id, HERALD.url, HERALD.url)
    assert [one.url for one in store.due_feeds(NOW, 10)] == [HERALD.url, GAZETTE.url]


def test_syncing_again_changes_nothing(store):
    store.sync_feeds([HERALD, GAZETTE], NOW)
    again = store.sync_feeds([GAZETTE, HERALD], NOW)
    assert (again.added, again.changed, again.removed) == (0, 0, 0)


def test_every_field_of_a_state_comes_back(store):
    (feed,) = feeds_of(store)
    state = FeedState(
        feed_id=feed.feed_id,
        url=feed.url,
        current_url="https://herald.example/new.xml",
        title="Der Herold – naïve ☂",
        site_url="https://herald.example/",
        language="de",
        validators=Validators('W/"a\\"b"', "Wed, 04 Mar 2026 11:00:00 GMT"),
        body_hash=b"\x00\xff" * 8,
        hints=FeedHints(3600, 7200, ago(days=3), (1, 2, 23), (5, 6)),
        health=Health.FAILING,
        failures=3,
        failure_reason=FailureReason.TLS,
        failure_detail="certificate has expired",
        next_poll_at=NOW + timedelta(microseconds=1),
        next_poll_why="back-off after 3 failures",
        last_poll_at=NOW,
        last_success_at=ago(hours=9),
        last_change_at=ago(days=9),
        memory={"rhythm": [1, 2.5, None], "redirect": {"url": "https://x.example/"}},
    )
    store.apply([PollResult(state, a_fetch_failed())], NOW)
    assert store.feeds() == [state]
    assert store.feed(state.current_url) == state
    assert store.source_of_url(state.url).title == state.title


def test_times_come_back_as_aware_utc_whatever_zone_they_had(store):
    (feed,) = feeds_of(store)
    in_prague = datetime(2026, 3, 4, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    store.apply([PollResult(replace(feed, last_poll_at=in_prague), a_fetch_failed())], NOW)
    kept = store.feeds()[0].last_poll_at
    assert kept == in_prague
    assert kept.tzinfo is UTC


def test_a_source_taken_out_keeps_its_state_for_its_return(store):
    (feed,) = feeds_of(store)
    poll(store, feed, an_entry(), validators=Validators('"1"'))
    assert store.sync_feeds([GAZETTE], NOW).removed == 1
    assert [one.url for one in store.feeds()] == [GAZETTE.url]
    assert [one.url for one in store.feeds(active_only=False)] == [HERALD.url, GAZETTE.url]
    assert [one.url for one in store.due_feeds(NOW, 10)] == [GAZETTE.url]
    store.sync_feeds([HERALD], NOW)
    assert store.feeds()[0].validators == Validators('"1"')


def test_settings_follow_the_configuration(store):
    (feed,) = feeds_of(store)
    assert store.sources()[feed.feed_id].title == "herald.example"
    changed = ASource(title="Mine", section="tech", weight=3.0, section_is="final")
    assert store.sync_feeds([changed], NOW).changed == 1
    source = store.sources()[feed.feed_id]
    assert (source.title, source.section, source.weight, source.section_is_final) == ("Mine", "tech", 3.0, True)


def test_a_disabled_source_shows_it_and_is_not_due(store):
    (feed,) = feeds_of(store)
    poll(store, feed, an_entry())
    store.sync_feeds([replace(HERALD, enabled=False)], NOW)
    assert store.feeds()[0].health is Health.DISABLED
    assert store.due_feeds(NOW + timedelta(days=9), 10) == []
    store.sync_feeds([HERALD], NOW)
    assert store.feeds()[0].health is Health.OK


def test_the_most_overdue_come_first_and_the_future_not_at_all(store):
    sources = [ASource(f"https://{name}.example/") for name in "abcd"]
    feeds = feeds_of(store, *sources)
    times = [NOW + timedelta(microseconds=1), NOW, ago(hours=1), None]
    store.apply(
        [PollResult(replace(f, next_poll_at=at), a_fetch_failed()) for f, at in zip(feeds, times, strict=True)], NOW
    )
    assert [feed.url[8] for feed in store.due_feeds(NOW, 10)] == ["d", "c", "b"]
    assert [feed.url[8] for feed in store.due_feeds(NOW, 1)] == ["d"]
    assert store.poll_at(None, None) == 4
    assert len(store.due_feeds(ago(days=1), 10)) == 4


def test_the_memory_of_hosts_is_kept_replaced_and_forgotten(store):
    store.save_host_memory({"a.example": {"delay": 2.5}, "b.example:8080": {"banned_until": None}})
    store.save_host_memory({"a.example": {"delay": 5}, "b.example:8080": {}})
    assert store.host_memory() == {"a.example": {"delay": 5}}


def test_notes_and_the_installation_survive_a_restart(store_url):
    with Store(store_url) as first:
        first.set_note("exported", "1")
        first.set_note("exported", "2")
        installation = first.installation_id()
    with Store(store_url) as second:
        assert second.installation_id() == installation
        assert second.note("exported") == "2"
        assert second.note("nothing") is None


# ---------------------------------------------------------------- polls


def test_every_field_of_an_entry_comes_back(store):
    (feed,) = feeds_of(store, replace(GAZETTE, section_is="final"))
    entry = ParsedEntry(
        fingerprint=digest("all"),
        guid="tag:gazette.example,2026:1",
        link="https://www.gazette.example/a?utm_source=rss&id=1",
        title="Žluťoučký kůň 🐎 “quoted” & <tagged>",
        author="Ann Ash",
        published=ago(minutes=5),
        updated=ago(minutes=1),
        summary="<p>Short</p>",
        content="<p>Long</p>",
        categories=("Money", "Ünïcode"),
        image_url="https://gazette.example/i.jpg",
        enclosures=(
            Enclosure("https://gazette.example/e.mp3", "audio/mpeg", 123456789012),
            Enclosure("https://gazette.example/f"),
        ),
        comments_url="https://gazette.example/a#c",
        comment_count=12,
        language="cs",
    )
    (entry_id,) = poll(store, feed, entry)
    (kept,) = store.entries([entry_id])
    for field in fields(ParsedEntry):
        if field.name != "fingerprint":
            assert getattr(kept, field.name) == getattr(entry, field.name), field.name
    assert kept.canonical_url == "https://gazette.example/a?id=1"
    assert (kept.first_seen, kept.last_seen, kept.story_id, kept.duplicate_of) == (NOW, NOW, None, None)
    assert kept.source.title == "The Gazette"
    assert (kept.source.section, kept.source.section_is_final, kept.source.weight) == ("companies", True, 2.0)


@pytest.mark.parametrize(
    ("summary", "content"), [(None, None), ("<p>x</p>", None), (None, "<p>x</p>"), ("<p>x</p>", "<p>x</p>")]
)
def test_texts_come_back_as_they_were(store, summary, content):
    (feed,) = feeds_of(store)
    poll(store, feed, an_entry(summary=summary, content=content))
    (kept,) = store.ungrouped(10)
    assert (kept.summary, kept.content) == (summary, content)


def test_what_no_database_can_keep_does_no_harm(store):
    (feed,) = feeds_of(store)
    poll(store, feed, an_entry("A title with \0 and \ud800 inside it", summary="<p>\0\udfff</p>", author="\0"))
    (kept,) = store.ungrouped(10)
    assert "\0" not in kept.title + kept.summary
    kept.title.encode("utf-8")


def test_a_poll_is_known_to_the_next(store):
    (feed,) = feeds_of(store)
    flood, merger = an_entry("Flood in the old town"), an_entry("Merger of two banks")
    ids = poll(store, feed, flood, merger)
    known = store.known([feed.feed_id])[feed.feed_id]
    assert [one.entry_id for one in known] == ids
    assert store.fingerprints([feed.feed_id]) == {feed.feed_id: {flood.fingerprint, merger.fingerprint}}
    assert poll(store, feed, flood, merger) == []
    assert store.counts(NOW).entries == 2


def test_an_unknown_feed_knows_nothing(store):
    assert store.known([77]) == {77: ()}
    assert store.fingerprints([77]) == {77: frozenset()}


def test_an_update_replaces_what_the_entry_said(store):
    (feed,) = feeds_of(store)
    (entry_id,) = poll(store, feed, an_entry("Flood in the old town", link="https://h.example/1", content="<p>old</p>"))
    later = an_entry(
        "Flood in all of town", link="https://h.example/1", guid="g", summary=None, published=ago(minutes=1)
    )
    changes = feed_changes(store.known([feed.feed_id])[feed.feed_id], a_parsed_feed(later), NOW)
    applied = store.apply([PollResult(feed, a_fetched(), changes)], NOW + timedelta(hours=1))
    assert (applied.new_entries, applied.updated_entries, applied.updated_ids) == (0, 1, (entry_id,))
    (kept,) = store.entries([entry_id])
    assert (kept.title, kept.guid, kept.summary, kept.content) == ("Flood in all of town", "g", None, None)
    assert (kept.published, kept.first_seen) == (ago(minutes=1), NOW)
    assert store.fingerprints([feed.feed_id])[feed.feed_id] == {later.fingerprint}


def test_an_entry_is_last_seen_when_its_feed_last_had_it(store):
    (feed,) = feeds_of(store)
    flood, merger = an_entry("Flood in the old town"), an_entry("Merger of two banks")
    hour = timedelta(hours=1)
    flood_id, merger_id = poll(store, feed, flood, merger)
    store.apply([PollResult(replace(store.feeds()[0], last_success_at=NOW + hour), a_not_modified())], NOW + hour)
    assert [one.last_seen for one in store.entries([flood_id, merger_id])] == [NOW + hour] * 2
    poll(store, store.feeds()[0], merger, now=NOW + 2 * hour)
    assert [one.last_seen for one in store.entries([flood_id, merger_id])] == [NOW + hour, NOW + 2 * hour]
    poll(store, store.feeds()[0], flood, merger, now=NOW + 3 * hour)
    assert [one.last_seen for one in store.entries([flood_id, merger_id])] == [NOW + 3 * hour] * 2


def test_a_quiet_poll_writes_times_and_leaves_alone_what_was_learned_meanwhile(store):
    (feed,) = feeds_of(store)
    poll(store, feed, an_entry(), memory={"push": "a hub"})
    before = store.feeds()[0]
    store.remember(feed.feed_id, lambda state: {**state.memory, "discovery": "found meanwhile"})
    later = NOW + timedelta(hours=1)
    quiet = replace(
        before,
        validators=Validators('"new"', "today"),
        failures=0,
        next_poll_at=later + timedelta(hours=2),
        next_poll_why="rhythm",
        last_poll_at=later,
        last_success_at=later,
    )
    store.apply([PollResult(quiet, a_not_modified(), is_quiet=True)], later)
    assert store.feeds()[0] == replace(quiet, memory={"push": "a hub", "discovery": "found meanwhile"})


def test_a_failed_poll_leaves_the_entries_standing(store):
    (feed,) = feeds_of(store)
    entry = an_entry()
    poll(store, feed, entry)
    for outcome in (a_fetch_failed(), ParseFailed(FailureReason.MALFORMED, "no root"), a_not_modified()):
        store.apply([PollResult(store.feeds()[0], outcome)], NOW + timedelta(days=1))
        assert store.fingerprints([feed.feed_id])[feed.feed_id] == {entry.fingerprint}


def test_a_result_of_a_source_taken_out_meanwhile_is_skipped(store):
    herald, gazette = feeds_of(store, HERALD, GAZETTE)
    store.sync_feeds([GAZETTE], NOW)
    changes = feed_changes((), a_parsed_feed(an_entry()), NOW)
    applied = store.apply([PollResult(feed, a_fetched(), changes) for feed in (herald, gazette)], NOW)
    assert (applied.new_entries, applied.polls, applied.skipped) == (1, 1, 1)
    assert store.counts(NOW).by_feed == {gazette.feed_id: 1}


def test_the_same_result_twice_is_once(store):
    (feed,) = feeds_of(store)
    entry = an_entry()
    result = PollResult(feed, a_fetched(), feed_changes((), a_parsed_feed(entry), NOW))
    assert store.apply([result, result], NOW).new_entries == 1
    assert store.apply([result], NOW).new_entries == 0
    assert store.fingerprints([feed.feed_id])[feed.feed_id] == {entry.fingerprint}


def test_ids_of_entries_are_never_given_again(store):
    (feed,) = feeds_of(store)
    (first,) = poll(store, feed, an_entry("Flood in the old town"))
    poll(store, store.feeds()[0], now=NOW + timedelta(days=1))
    store.prune(Keep(), NOW + timedelta(days=400))
    (second,) = poll(store, store.feeds()[0], an_entry("Merger of two banks"), now=NOW + timedelta(days=400))
    assert second > first


def test_known_for_leads_to_the_same_changes_as_known(store):
    (feed,) = feeds_of(store)
    entries = [an_entry(f"Headline of the day number {n}", published=ago(hours=n)) for n in range(30)]
    for start in range(0, 30, 5):
        poll(store, store.feeds()[0], *entries[start : start + 8])
    documents = [
        a_parsed_feed(
            entries[29], replace(entries[1], guid="churned", fingerprint=digest(1)), an_entry("Quite new today")
        ),
        a_parsed_feed(replace(entries[3], link=None, guid=None, fingerprint=digest(2))),
        a_parsed_feed(entries[0], unchanged=(entries[27].fingerprint, entries[28].fingerprint)),
        a_parsed_feed(),
    ]
    for document in documents:
        all_of_it = store.known([feed.feed_id])[feed.feed_id]
        some_of_it = store.known_for({feed.feed_id: document})[feed.feed_id]
        standing = store.last_documents([feed.feed_id])[feed.feed_id].standing
        assert feed_changes(some_of_it, document, NOW, standing) == feed_changes(all_of_it, document, NOW)
        assert len(some_of_it) < len(all_of_it)


# ---------------------------------------------------------------- waiting for grouping


def test_ungrouped_are_the_oldest_first(store):
    (feed,) = feeds_of(store)
    poll(
        store, feed, an_entry("The second headline", published=ago(hours=1)), an_entry("First", published=ago(hours=2))
    )
    assert [entry.title for entry in store.ungrouped(10)] == ["First", "The second headline"]
    assert [entry.title for entry in store.ungrouped(1)] == ["First"]


def test_a_grouped_entry_that_changes_waits_to_be_looked_at(store):
    (feed,) = feeds_of(store)
    (entry_id,) = poll(store, feed, an_entry("Flood in the old town", guid="g"))
    story_id = group(store, entry_id)
    assert (store.ungrouped(10), store.stale(10)) == ([], [])
    poll(store, store.feeds()[0], an_entry("Flood in all of town", guid="g"))
    assert [entry.title for entry in store.stale(10)] == ["Flood in all of town"]
    record = store.story_records([story_id])[story_id]
    store.save_grouping([], [replace(record, updated_at=NOW)], NOW, settled=[entry_id])
    assert store.stale(10) == []


def test_the_window_holds_grouped_entries_in_order_of_time(store):
    (feed,) = feeds_of(store)
    ages = (1, 50, 3, 80)
    ids = poll(store, feed, *(an_entry(f"Headline {n} hours old", published=ago(hours=n)) for n in ages))
    for entry_id in ids[:3]:
        group(store, entry_id)
    assert [entry.published for entry in store.window(ago(hours=72))] == [ago(hours=n) for n in (50, 3, 1)]
    assert [entry.published for entry in store.window(ago(hours=72), last=2)] == [ago(hours=n) for n in (50, 3)]


def test_a_date_in_the_future_counts_as_first_seen(store):
    (feed,) = feeds_of(store)
    poll(store, feed, an_entry("From tomorrow's paper", published=NOW + timedelta(hours=20)))
    poll(store, feed, an_entry("From today's edition"), now=NOW + timedelta(minutes=1))
    assert [entry.title for entry in store.ungrouped(5)] == ["From today's edition", "From tomorrow's paper"]


# ---------------------------------------------------------------- twins


def twin_titles(store: Store, title: str) -> list[str]:
    entries = store.ungrouped(50)
    wanted = next(entry for entry in entries if entry.title == title)
    return sorted(twin.title for twin in store.twins(entries).get(wanted.entry_id, ()))


def test_feeds_are_read_one_after_the_other_as_all_at_once(store, monkeypatch):
    feeds_of(store, *(ASource(f"https://h.example/{number}") for number in range(7)))
    store.sync_feeds([ASource(f"https://h.example/{number}") for number in range(6)], NOW)
    for at_once in (2, 3, 6, 100):
        monkeypatch.setattr("aggregator.store.FEEDS_AT_ONCE", at_once)
        assert list(store.each_feed()) == store.feeds()
    assert len(store.feeds()) == 6


def test_twins_share_the_page_across_feeds(store):
    herald, gazette = feeds_of(store, HERALD, GAZETTE)
    poll(store, herald, an_entry("Flood in the old town", link="https://herald.example/a?utm_source=rss"))
    poll(store, gazette, an_entry("Old town under water", link="https://m.herald.example/a"), an_entry("Other news"))
    assert twin_titles(store, "Flood in the old town") == ["Old town under water"]
    assert twin_titles(store, "Other news") == []


def test_twins_share_title_publisher_and_day(store):
    herald, gazette = feeds_of(store, HERALD, GAZETTE)
    title = "Flood in the old town"
    poll(store, herald, an_entry(title, link="https://herald.example/1"))
    poll(
        store,
        gazette,
        an_entry(title.upper(), link="https://news.herald.example/2", published=ago(hours=3)),
        an_entry(f"{title}!", link="https://herald.example/3", published=ago(days=1)),
        an_entry(f"{title}?", link="https://gazette.example/4"),
        an_entry(f"{title}…", link="https://herald.example/5", published=None),
    )
    assert twin_titles(store, title) == [title.upper(), f"{title}…"]
    assert twin_titles(store, f"{title}…") == [title.upper(), title]


def test_a_page_that_one_feed_gives_to_several_entries_makes_no_twins(store):
    herald, gazette = feeds_of(store, HERALD, GAZETTE)
    page = "https://herald.example/live"
    poll(
        store, herald, an_entry("Markets open higher", link=page, guid="1"), an_entry("Rain ahead", link=page, guid="2")
    )
    poll(store, gazette, an_entry("Something of the Gazette", link=page))
    poll(store, gazette, an_entry("Front page one", link="https://herald.example/"))
    poll(store, herald, an_entry("Front page two", link="https://herald.example/"))
    assert store.twins(store.ungrouped(10)) == {}


# ---------------------------------------------------------------- stories


def test_a_story_is_told_lead_first_then_in_order_of_time_with_its_copies_apart(store):
    herald, gazette = feeds_of(store, HERALD, GAZETTE)
    old, lead = poll(
        store,
        herald,
        an_entry("Flood in the old town", published=ago(hours=5)),
        an_entry("Flood: what we know", published=ago(hours=3), content="<p>All of it.</p>"),
    )
    copy, late = poll(
        store, gazette, an_entry("Flood in the old town", link="https://g.example/1"), an_entry("Flood recedes")
    )
    story_id = uuid5(store.installation_id(), "x")
    related = (UUID(int=7), UUID(int=8))
    verdict = a_sectioning("tech", 0.75, second="economics", reasons=("because of “ten” words",))
    events = (Event("funding", "Quillon", amount=12e6, currency="USD", words=("raises $12M",)), Event("launch"))
    record = StoryRecord(story_id, lead, ago(hours=5), ago(hours=1), verdict, ("water",), related, events=events)
    saved = store.save_grouping(
        [
            Placement(old, story_id, begins=True, score=1.0, reasons=("first",)),
            Placement(lead, story_id, score=0.9),
            Placement(copy, story_id, duplicate_of=old),
            Placement(late, story_id, score=0.8),
        ],
        [record],
        NOW,
    )
    assert (saved.new_stories, saved.changed_stories) == (1, 0)
    story = store.story(story_ref(story_id))
    assert [entry.entry_id for entry in story.entries] == [lead, old, late]
    assert [entry.entry_id for entry in story.duplicates] == [copy]
    assert story.duplicates[0].duplicate_of == old
    assert story.lead.content == "<p>All of it.</p>"
    assert (story.story_id, story.published, story.updated_at) == (story_id, ago(hours=5), ago(hours=1))
    assert (story.labels, story.related, story.events) == (("water",), related, events)
    assert story.sectioning.section == "tech"
    assert story.sectioning.second == "economics"
    assert story.sectioning.confidence == pytest.approx(0.75)
    assert story.sectioning.reasons == verdict.reasons
    assert dict(story.sectioning.probabilities) == pytest.approx(dict(verdict.probabilities))
    assert [source.title for source in story.sources] == ["herald.example", "The Gazette"]
    assert store.story(story_id) == store.story(f"urn:uuid:{story_id}") == story
    assert next((p.entry_id, p.duplicate_of, p.score) for p in store.placements(story_id)) == (old, None, 1.0)
    kept = store.story_records([story_id])[story_id]
    assert (kept.lead_entry_id, kept.sources, kept.labels, kept.related) == (lead, 2, ("water",), related)
    assert kept.events == events


def test_a_story_keeps_its_published_and_takes_everything_else(store):
    (feed,) = feeds_of(store)
    first, second = poll(store, feed, an_entry("Flood in the old town"), an_entry("Flood: what we know"))
    story_id = group(store, first)
    record = StoryRecord(story_id, second, NOW, NOW + timedelta(hours=2), a_sectioning("companies"))
    saved = store.save_grouping([Placement(second, story_id)], [record], NOW + timedelta(hours=2))
    assert (saved.new_stories, saved.changed_stories) == (0, 1)
    story = store.story(story_id)
    assert story.published == ago(hours=1)
    assert (story.lead.entry_id, story.updated_at) == (second, NOW + timedelta(hours=2))
    assert story.sectioning.section == "companies"


def test_a_story_of_the_future_does_not_sit_on_top(store):
    (feed,) = feeds_of(store)
    (entry_id,) = poll(store, feed, an_entry())
    story_id = group(store, entry_id, published=NOW + timedelta(days=30000))
    assert store.story(story_id).published == NOW


def test_stories_come_newest_first_then_by_ref(store):
    (feed,) = feeds_of(store)
    ids = poll(store, feed, *(an_entry(f"Headline number {n}", published=ago(hours=n // 2)) for n in range(6)))
    for entry_id in ids:
        group(store, entry_id)
    stories = store.stories()
    assert [(story.published, story.ref) for story in stories] == sorted(
        ((story.published, story.ref) for story in stories), key=lambda pair: (-pair[0].timestamp(), pair[1])
    )
    assert store.stories(limit=2) == stories[:2]
    assert store.stories(since=ago(hours=1)) == stories[:4]
    assert store.stories(since=ago(hours=1), until=NOW) == stories[2:4]


def test_stories_by_section_sources_label_and_source(store):
    herald, gazette = feeds_of(store, HERALD, GAZETTE)
    a, b, c, d = poll(store, herald, *(an_entry(f"Headline number {n}", published=ago(hours=n)) for n in range(4)))
    (e,) = poll(store, gazette, an_entry("Headline of the Gazette"))
    tech = group(store, a, e, section="tech", labels=("chips", "water"))
    economics = group(store, b, section="economics", labels=("water",))
    nothing = group(store, c, section="none")
    unsure = group(store, d, section=None)

    def ids(**what: object) -> list[UUID]:
        return [story.story_id for story in store.stories(**what)]

    assert ids() == [tech, economics, nothing, unsure]
    assert ids(section="tech") == [tech]
    assert ids(section="none") == [nothing]
    assert ids(min_sources=2) == [tech]
    assert ids(label="water") == [tech, economics]
    assert ids(label="chips", section="economics") == []
    assert ids(source=gazette.feed_id) == [tech]
    both, others = StoryFilter(("economics", "tech")), StoryFilter(("marketing",))
    assert [story.story_id for story in store.newest_of_each([(both, 10)])] == [tech, economics]
    assert [story.story_id for story in store.newest_of_each([(both, 1)])] == [tech]
    assert [story.story_id for story in store.newest_of_each([(replace(both, min_sources=2), 9)])] == [tech]
    each_once = [(StoryFilter(("tech",)), 9), (both, 9), (others, 9)]
    assert [story.story_id for story in store.newest_of_each(each_once)] == [tech, economics]
    assert [story.story_id for story in store.stories_by_id([unsure, tech])] == [unsure, tech]


def test_a_second_section_finds_a_story_as_the_first_does_and_once(store):
    (feed,) = feeds_of(store)
    a, b, c = poll(store, feed, *(an_entry(f"Headline number {n}", published=ago(hours=n)) for n in range(3)))
    both = group(store, a, sectioning=a_sectioning("tech", 0.5, second="companies"))
    one = group(store, b, section="companies")
    group(store, c, sectioning=a_sectioning("economics", 0.5, second="tech"), withheld="rule")

    def ids(*sections: str, limit: int = 9) -> list[UUID]:
        return [story.story_id for story in store.newest_of_each([(StoryFilter(sections), limit)])]

    assert ids("tech") == [both]
    assert ids("companies") == [both, one]
    assert ids("tech", "companies", "economics") == [both, one]
    assert ids("tech", "companies", limit=1) == [both]


def test_a_withheld_story_is_found_by_its_id_and_where_it_is_asked_for_alone(store):
    (feed,) = feeds_of(store)
    (entry_id,) = poll(store, feed, an_entry())
    story_id = group(store, entry_id, withheld="language", language="de", boost=2.5)
    assert store.stories() == store.stories("tech") == store.newest_of_each([(StoryFilter(("tech",)), 9)]) == []
    (story,) = store.stories("withheld")
    assert (story.withheld, story.language, story.boost) == ("language", "de", 2.5)
    assert store.story(story_id) == story
    record = store.story_records([story_id])[story_id]
    assert (record.withheld, record.language, record.boost) == ("language", "de", 2.5)


def test_what_the_stories_of_a_feed_were_filed_under_is_counted_by_their_leads(store):
    herald, gazette = feeds_of(store, HERALD, GAZETTE)
    assert store.filed_by_feed() == {}
    for number, section in enumerate(("tech", "tech", "none", None)):
        (entry_id,) = poll(store, herald, an_entry(f"Headline number {number}"))
        group(store, entry_id, section=section)
    (entry_id,) = poll(store, gazette, an_entry("Another headline"))
    group(store, entry_id, section="companies")
    assert store.filed_by_feed() == {herald.feed_id: {"tech": 2, "none": 1}, gazette.feed_id: {"companies": 1}}


def test_counts_of_unsure_and_withheld(store):
    (feed,) = feeds_of(store)
    a, b, c = poll(store, feed, *(an_entry(f"Headline number {n}") for n in range(3)))
    group(store, a, section=None)
    group(store, b, section=None, withheld="rule")
    group(store, c)
    counts = store.counts(NOW)
    assert (counts.unsure, counts.withheld) == (1, 1)


# ---------------------------------------------------------------- filing anew


def filed(story: Story, section: str | None = "companies", **fields: object) -> StoryRecord:
    verdict = a_sectioning(section)
    return StoryRecord(story.story_id, story.lead.entry_id, story.published, NOW, verdict, **fields)


def test_touched_stories_wait_until_they_are_settled(store):
    (feed,) = feeds_of(store)
    old, new = poll(store, feed, an_entry("An old one", published=ago(days=9)), an_entry("A new one"))
    group(store, old)
    newer = group(store, new)
    assert store.touched(9) == []
    assert store.touch(ago(days=1), NOW) == 1
    (waiting,) = store.touched(9)
    assert (waiting.story.story_id, waiting.touched_at) == (newer, NOW)
    store.settle([(filed(waiting.story, labels=("ipo",), boost=2.0), waiting.touched_at)])
    assert store.touched(9) == []
    story = store.story(newer)
    assert (story.sectioning.section, story.labels, story.boost) == ("companies", ("ipo",), 2.0)
    assert [each.story_id for each in store.stories(label="ipo")] == [newer]
    assert store.touch(None, NOW) == 2


def test_a_story_touched_again_meanwhile_stays_touched(store):
    (feed,) = feeds_of(store)
    story_id = group(store, *poll(store, feed, an_entry()))
    store.touch(None, ago(minutes=1))
    (waiting,) = store.touched(9)
    correction = Correction("file", NOW, (story_id,), section="marketing", texts=(("A title", "and more"),))
    store.file_by_hand(correction, a_sectioning("marketing"))
    store.settle([(filed(waiting.story), waiting.touched_at)])
    assert [each.touched_at for each in store.touched(9)] == [NOW]
    assert store.filed_by_hand([story_id])[story_id].section == "marketing"
    assert store.story(story_id).is_filed_by_hand
    assert store.corrections() == [correction]


def test_a_pass_that_began_before_does_not_take_the_hand_off_a_story(store):
    (feed,) = feeds_of(store)
    ids = poll(store, feed, an_entry())
    story_id = group(store, *ids)
    store.file_by_hand(Correction("file", NOW, (story_id,), section="marketing"), a_sectioning("marketing"))
    group(store, *ids)  # it did not know
    assert store.story(story_id).is_filed_by_hand
    assert len(store.touched(9)) == 1


def test_the_last_word_by_hand_counts_and_may_be_taken_back(store):
    (feed,) = feeds_of(store)
    story_id = group(store, *poll(store, feed, an_entry()))
    for section in ("marketing", "economics"):
        store.file_by_hand(Correction("file", NOW, (story_id,), section=section), a_sectioning(section))
    story = store.story(story_id)
    assert (story.sectioning.section, story.is_filed_by_hand, story.updated_at) == ("economics", True, NOW)
    assert store.filed_by_hand([story_id, UUID(int=3)]).keys() == {story_id}
    assert store.filed_by_hand([story_id])[story_id].section == "economics"
    store.file_by_hand(Correction("file", NOW, (story_id,)), None)
    assert store.filed_by_hand([story_id]) == {}
    assert not store.story(story_id).is_filed_by_hand


def test_the_hands_word_goes_along_into_the_story_that_takes_it_in(store):
    (feed,) = feeds_of(store)
    ids = poll(store, feed, an_entry("Flood in the old town"), an_entry("Flood: what we know"))
    gone, kept = (group(store, entry_id) for entry_id in ids)
    store.file_by_hand(Correction("file", NOW, (gone,), section="marketing"), a_sectioning("marketing"))
    store.save_grouping([Placement(ids[0], kept)], list(store.story_records([kept]).values()), NOW)
    assert [each.story.story_id for each in store.touched(9)] == [kept]
    assert store.story(kept).is_filed_by_hand
    assert store.filed_by_hand([kept])[kept].section == "marketing"


def test_a_hands_word_on_a_story_merged_meanwhile_counts_where_it_went(store):
    (feed,) = feeds_of(store)
    ids = poll(store, feed, an_entry("Flood in the old town"), an_entry("Flood: what we know"))
    gone, kept = (group(store, entry_id) for entry_id in ids)
    store.save_grouping([Placement(ids[0], kept)], list(store.story_records([kept]).values()), NOW)
    store.file_by_hand(Correction("file", NOW, (gone,), section="marketing"), a_sectioning("marketing"))
    story = store.story(kept)
    assert (story.sectioning.section, story.is_filed_by_hand) == ("marketing", True)
    assert store.filed_by_hand([kept])[kept].section == "marketing"
    assert [one.story_id for one in store.stories("marketing")] == [kept]


def test_corrections_are_stored_in_turn_so_that_none_appears_behind_one_already_heeded(store):
    correction = Correction("merge", NOW, (UUID(int=1), UUID(int=2)))
    database = store._database
    if store.is_sqlite:  # BEGIN IMMEDIATE: there is one writer at a time
        return
    with database.write() as first:
        corrections.add(first, correction)
        with database._writer.connect() as second:
            second.execute(sa.text("SET LOCAL lock_timeout = '20ms'"))
            with pytest.raises(sa.exc.OperationalError, match="lock timeout"):
                corrections.add(second, correction)


def test_a_correction_is_seen_though_a_pass_was_quicker_than_its_command(store):
    (feed,) = feeds_of(store)
    story_id = group(store, *poll(store, feed, an_entry()))
    before = store.publishing_stamp()
    store.file_by_hand(Correction("file", ago(seconds=1), (story_id,), section="marketing"), a_sectioning("marketing"))
    assert store.publishing_stamp() != before


def test_what_is_shown_of_a_source_changes_the_stamp_and_nothing_else_of_it_does(store):
    (feed,) = feeds_of(store)
    poll(store, feed, title="The Herald", site_url="https://herald.example/")
    stamps = [store.publishing_stamp()]
    poll(store, feed, title="The Herald", site_url="https://herald.example/", failures=2)
    assert store.publishing_stamp() == stamps[0]
    poll(store, feed, title="The Herald and Post", site_url="https://herald.example/")
    stamps.append(store.publishing_stamp())
    poll(store, feed, title="The Herald and Post", site_url="https://post.example/")
    stamps.append(store.publishing_stamp())
    store.sync_feeds([ASource(title="Mine")], NOW)
    stamps.append(store.publishing_stamp())
    store.sync_feeds([ASource(title="Mine")], NOW)
    assert len(set(stamps)) == 4
    assert store.publishing_stamp() == stamps[3]


def test_heads_are_kept_and_rolled_back_one_by_one(store):
    assert store.head() is None
    assert store.roll_back_head() == (None, None)
    first = store.add_head(b"one", {"rows": 30}, NOW)
    second = store.add_head(b"two", {"rows": 60}, NOW)
    assert second > first
    assert (store.head().parameters, store.head().report, store.head().made_at) == (b"two", {"rows": 60}, NOW)
    before, now = store.roll_back_head()
    assert (before.head_id, now.head_id, store.head().parameters) == (second, first, b"one")
    assert store.add_head(b"three", {}, NOW) > second
    store.roll_back_head()
    assert store.roll_back_head()[1] is None
    assert store.head() is None


def test_of_many_heads_the_oldest_go(store):
    ids = [store.add_head(b"%d" % number, {}, NOW) for number in range(12)]
    numbers = []
    while (now := store.roll_back_head()[1]) is not None:
        numbers.append(now.head_id)
    assert numbers == ids[-2:-9:-1]


def test_changed_stories_are_those_updated_since(store):
    (feed,) = feeds_of(store)
    first, second = poll(store, feed, an_entry("Flood in the old town"), an_entry("Merger of two banks"))
    group(store, first, updated_at=ago(hours=2))
    later = group(store, second, updated_at=ago(hours=1))
    assert [story.story_id for story in store.stories_changed_since(ago(hours=1))] == [later]
    assert len(store.stories_changed_since(ago(hours=2))) == 2


def test_a_story_is_found_by_any_address_of_any_entry(store):
    (feed,) = feeds_of(store)
    first, second = poll(
        store,
        feed,
        an_entry("Flood one", link="https://www.h.example/a/"),
        an_entry("Flood two", link="https://h.example/b"),
    )
    story_id = group(store, first, second)
    for url in ("https://h.example/a", "http://m.h.example/b?utm_medium=x#top"):
        assert store.story_of_url(url).story_id == story_id
        assert len(store.entries_of_url(url)) == 1
    assert store.story_of_url("https://h.example/c") is None
    assert store.story_of_url("not an address") is None


def test_a_story_that_loses_its_entries_redirects_to_where_they_went(store):
    (feed,) = feeds_of(store)
    ids = poll(store, feed, *(an_entry(f"Headline number {n}") for n in range(3)))
    one, two, three = (group(store, entry_id) for entry_id in ids)
    records = store.story_records([two, three])
    store.save_grouping([Placement(ids[0], two)], [records[two]], NOW)
    saved = store.save_grouping([Placement(ids[0], three), Placement(ids[1], three)], [records[three]], NOW)
    assert saved.merged_stories == 1
    for name in (one, two, three, story_ref(one)):
        assert store.story(name).story_id == three
    assert [story.story_id for story in store.stories()] == [three]
    assert store.counts(NOW).stories == 1


def test_a_split_leaves_both_with_their_entries(store):
    (feed,) = feeds_of(store)
    first, second = poll(store, feed, an_entry("Flood in the old town"), an_entry("Merger of two banks"))
    whole = group(store, first, second)
    part = group(store, second)
    assert [entry.entry_id for entry in store.story(whole).entries] == [first]
    assert [entry.entry_id for entry in store.story(part).entries] == [second]


@pytest.mark.parametrize("fault", ["no entries", "a stranger leads", "no such story"])
def test_a_grouping_that_makes_no_sense_changes_nothing(store, fault):
    (feed,) = feeds_of(store)
    first, second = poll(store, feed, an_entry("Flood in the old town"), an_entry("Merger of two banks"))
    story_id = UUID(int=5)
    record = StoryRecord(story_id, first, NOW, NOW, a_sectioning())
    placements, records = {
        "no entries": ([], [record]),
        "a stranger leads": ([Placement(second, story_id)], [record]),
        "no such story": ([Placement(first, story_id)], []),
    }[fault]
    with pytest.raises(StoreError):
        store.save_grouping(placements, records, NOW)
    assert len(store.ungrouped(10)) == 2
    assert store.stories() == []


def test_two_stories_of_one_ref_do_not_stop_the_work(store):
    (feed,) = feeds_of(store)
    ids = poll(store, feed, an_entry("Flood in the old town"), an_entry("Merger of two banks"))
    story_ids = [UUID(int=(9 << 64) + n) for n in range(2)]
    for n, (entry_id, story_id) in enumerate(zip(ids, story_ids, strict=True)):
        record = StoryRecord(story_id, entry_id, NOW, NOW, a_sectioning())
        store.save_grouping([Placement(entry_id, story_id, True)], [record], NOW + timedelta(seconds=n))
    assert story_ref(story_ids[0]) == story_ref(story_ids[1])
    assert store.story(story_ref(story_ids[0])).story_id == story_ids[0]
    assert store.story(story_ids[1]).story_id == story_ids[1]


def test_corrections_are_remembered_in_order(store):
    merge = Correction("merge", NOW, (UUID(int=1), UUID(int=2)))
    split = Correction("split", ago(hours=1), (UUID(int=1),), entry_ids=(3, 4))
    file = Correction("file", ago(hours=2), (UUID(int=1),), section="tech")
    for correction in (merge, split, file):
        store.correct(correction)
    assert store.corrections() == [merge, split, file]


def test_what_came_in_a_time_the_most_told_first(store):
    herald, gazette = feeds_of(store, HERALD, GAZETTE)
    hour = timedelta(hours=1)

    def story(title, published, shown, told_by=(herald,)):
        ids = [
            entry_id
            for feed in told_by
            for entry_id in poll(store, feed, an_entry(title, published=published, link=f"{feed.url}/{published:%d%H}"))
        ]
        story_id = group(store, *ids, now=shown)
        store.mark_shown([story_id], shown)
        return story_id

    late = story("Published before and found after", ago(hours=30), ago(hours=20))
    told = story("Told by two", ago(hours=10), ago(hours=9), (herald, gazette))
    newest = story("The newest", ago(hours=2), ago(hours=1))
    story("In the briefing before", ago(hours=26), ago(hours=25))
    story("Older than the backlog", ago(hours=90), ago(hours=3))
    found = store.most_told("tech", 9, oldest=ago(hours=48), shown_since=ago(hours=24), shown_until=NOW)
    assert [one.story_id for one in found] == [told, newest, late]
    few = store.most_told("tech", 1, oldest=ago(hours=48), shown_since=ago(hours=24), shown_until=NOW + hour)
    assert [one.story_id for one in few] == [told]
    assert store.most_told("none", 9, oldest=ago(hours=48), shown_since=ago(hours=24), shown_until=NOW) == []


# ---------------------------------------------------------------- numbers


def test_counts(store):
    herald, _ = feeds_of(store, HERALD, GAZETTE)
    first, _ = poll(store, herald, an_entry("Flood in the old town"), an_entry("Merger of two banks"))
    group(store, first)
    counts = store.counts(NOW)
    assert (counts.feeds, counts.entries, counts.stories, counts.ungrouped, counts.stale) == (2, 2, 1, 1, 0)
    assert (counts.due, counts.oldest_ungrouped, counts.by_feed) == (2, NOW, {herald.feed_id: 2})
    assert store.size() > 0


def test_what_waits_says_how_many_since_when(store):
    herald, _ = feeds_of(store, HERALD, GAZETTE)
    nothing = store.waiting(NOW - timedelta(days=1))
    assert nothing.queues == {
        "due": (2, None),
        "ungrouped": (0, None),
        "pushes": (0, None),
    }  # new feeds wait since never
    poll(store, herald, an_entry("Flood in the old town"), an_entry("Merger of two banks"))
    waiting = store.waiting(NOW + timedelta(days=9))
    assert waiting.queues["ungrouped"] == (2, NOW)
    polled = next(feed for feed in store.feeds() if feed.feed_id == herald.feed_id)
    assert waiting.queues["due"] == (2, polled.next_poll_at)
    assert sum(waiting.health.values()) == 2


def test_freshness_leaves_the_backlog_of_a_first_poll_out(store):
    (feed,) = feeds_of(store)
    minute = timedelta(minutes=1)
    poll(store, feed, an_entry("From the backlog", published=ago(hours=9)))
    ids = []
    for n in range(1, 11):
        now = NOW + n * minute
        entry = an_entry(f"Headline number {n}", published=now - n * timedelta(seconds=10))
        ids += poll(store, store.feeds()[0], entry, now=now)
    stories = [group(store, entry_id, now=NOW + 11 * minute) for entry_id in ids]
    delays = store.mark_shown(stories, NOW + 12 * minute)
    assert len(delays) == len(stories)
    assert all(delay >= 0 for delay in delays)
    assert store.mark_shown(stories, NOW + 99 * minute) == []
    fresh = store.freshness(ago(days=1))
    assert fresh.seen_by_feed[feed.feed_id].count == 10
    assert (fresh.seen_by_section["tech"].median, fresh.seen_by_section["tech"].p90) == (60, 100)
    assert fresh.shown_by_section["tech"].p90 == 11 * 60


# ---------------------------------------------------------------- retention


def aged(store: Store) -> tuple[UUID, UUID, int]:
    """Two stories that left their feed a day after NOW and one entry that still stands a hundred days later."""
    (feed,) = feeds_of(store)
    standing = an_entry("A page that never leaves", published=ago(days=1))
    entries = [an_entry("Flood in the old town", link="https://h.example/f"), an_entry("Merger of two banks")]
    kept, flood, merger = poll(store, feed, standing, *entries)
    group(store, kept)
    gone = group(store, flood), group(store, merger)
    for days in (1, 100):
        poll(store, store.feeds()[0], standing, now=NOW + timedelta(days=days))
    return *gone, kept


def test_retention_takes_texts_first(store):
    aged(store)
    now = NOW + timedelta(days=40)
    assert store.prune(Keep(), now, dry_run=True) == store.prune(Keep(), now)
    assert sorted((e.title, e.summary is None) for s in store.stories() for e in s.entries) == [
        ("A page that never leaves", False),
        ("Flood in the old town", True),
        ("Merger of two banks", True),
    ]


def test_retention_takes_entries_and_stories_and_leaves_tombstones(store):
    flood, merger, kept = aged(store)
    now = NOW + timedelta(days=100)
    planned = store.prune(Keep(), now, dry_run=True)
    assert (planned.entries, planned.texts, planned.stories) == (2, 0, 2)
    assert set(planned.story_ids) == {flood, merger}
    assert store.counts(now).entries == 3
    assert store.prune(Keep(), now) == planned
    assert [entry.entry_id for story in store.stories() for entry in story.entries] == [kept]
    assert store.story(flood) is None
    grave = store.buried_story(story_ref(flood))
    assert (grave.story_id, grave.title, grave.link) == (flood, "Flood in the old town", "https://h.example/f")
    assert (grave.published, grave.buried_at) == (ago(hours=1), now)
    assert store.buried_story(merger).story_id == merger
    assert store.buried_story("nosuchref0") is None
    assert store.prune(Keep(), now).entries == 0


def test_an_entry_seen_again_after_retention_is_not_new(store):
    aged(store)
    now = NOW + timedelta(days=100)
    store.prune(Keep(), now)
    again = an_entry("Flood in the old town", link="https://h.example/f")
    (feed,) = store.feeds()
    assert poll(store, feed, again, now=now) == []
    known = store.known_for({feed.feed_id: a_parsed_feed(again)})[feed.feed_id]
    assert feed_changes(known, a_parsed_feed(again), now).buried == 1


def test_an_entry_that_never_leaves_its_feed_keeps_itself_and_not_its_story_as_it_was(store):
    herald, gazette = feeds_of(store, HERALD, GAZETTE)
    standing = an_entry("A page that never leaves")
    (one,) = poll(store, herald, an_entry("Flood in the old town"))
    (two,) = poll(store, gazette, standing)
    story_id = group(store, one, two)
    later = NOW + timedelta(days=100)
    poll(store, herald, now=later)  # it leaves
    poll(store, gazette, standing, now=later)
    assert store.prune(Keep(), NOW + timedelta(days=89)).entries == 0
    over = later + timedelta(days=91)
    poll(store, gazette, standing, now=over)
    assert store.prune(Keep(), over, dry_run=True) == store.prune(Keep(), over) == Pruned(entries=1)
    story = store.story(story_id)
    assert (story.lead.entry_id, story.entries, story.updated_at) == (two, (story.lead,), over)
    assert [found.story_id for found in store.stories(min_sources=1)] == [story_id]
    assert store.stories(min_sources=2) == []
    back = poll(store, store.feeds()[0], an_entry("Flood in the old town"), now=over)
    assert back == [], "what retention took is not new when it stands in its feed again"
    poll(store, gazette, now=over + timedelta(days=1))
    assert store.prune(Keep(), over + timedelta(days=92)).story_ids == (story_id,)
    assert store.buried_story(story_id).title == "A page that never leaves"


def test_a_copy_whose_original_retention_took_is_the_original(store):
    herald, gazette, courier = feeds_of(store, HERALD, GAZETTE, ASource("https://courier.example/rss"))
    flood = an_entry("Flood in the old town")
    ids = [
        poll(store, feed, flood, now=NOW + timedelta(hours=n))[0] for n, feed in enumerate((herald, gazette, courier))
    ]
    story_id = group(store, *ids)
    copies = [Placement(copy, story_id, duplicate_of=ids[0]) for copy in ids[1:]]
    store.save_grouping(copies, [], NOW)
    over = NOW + timedelta(days=100)
    poll(store, herald, now=NOW + timedelta(days=1))
    for feed in (gazette, courier):
        poll(store, feed, flood, now=over)
    assert store.prune(Keep(), over).entries == 1
    story = store.story(story_id)
    assert [entry.entry_id for entry in (*story.entries, *story.duplicates)] == ids[1:]
    assert [entry.duplicate_of for entry in (*story.entries, *story.duplicates)] == [None, ids[1]]


def test_what_merged_into_a_pruned_story_is_gone_with_it(store):
    (feed,) = feeds_of(store)
    ids = poll(store, feed, an_entry("Flood in the old town"), an_entry("Merger of two banks"))
    one, two = (group(store, entry_id) for entry_id in ids)
    store.save_grouping([Placement(ids[0], two)], [store.story_records([two])[two]], NOW)
    store.prune(Keep(), NOW + timedelta(days=200))
    assert store.buried_story(one).title == store.buried_story(two).title == "Merger of two banks"


def test_a_feed_that_fell_silent_ages_from_its_last_success(store):
    (feed,) = feeds_of(store)
    poll(store, feed, an_entry())
    store.apply([PollResult(replace(store.feeds()[0], failures=9), a_fetch_failed())], NOW + timedelta(days=99))
    assert store.prune(Keep(), NOW + timedelta(days=89)).entries == 0
    assert store.prune(Keep(), NOW + timedelta(days=91)).entries == 1
    assert poll(store, store.feeds()[0], an_entry(), now=NOW + timedelta(days=99)) == []
