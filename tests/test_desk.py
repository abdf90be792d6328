"""The desk and the editor's refiling on a real store: reloads, corrections, stories that stay as old as they were."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from builders import NOW, a_feed_state, a_fetched, a_sectioning, a_source_ref, a_stored_entry, an_entry
from test_store import ASource
from test_stories_learn import airships

from aggregator.config import Config
from aggregator.daemon import log
from aggregator.desk import Desk, examples, file_named, fingerprint, policy_of, uncorrected
from aggregator.editor import Editor, GroupTotals
from aggregator.ingest.changes import feed_changes
from aggregator.metrics import Metrics
from aggregator.store import Correction, Store
from aggregator.stories.classify import Sectioner
from aggregator.stories.learn import learnt
from aggregator.types import ParsedFeed, PollResult, Story

RATES = an_entry("Central bank raises interest rates", summary="Economists expect inflation to fall")
GERMAN = an_entry("Die Bank erhöht die Zinsen zum dritten Mal und das ist nicht alles", language="de", summary=None)
DROP = {"rules": [{"when": {"title": "bank"}, "then": "drop"}]}


@pytest.fixture
def newsroom(store: Store) -> tuple[Store, Editor]:
    """A store with two entries of one feed, and an editor that has filed them by the default configuration."""
    store.sync_feeds([ASource()], NOW)
    (feed,) = store.feeds()
    document = ParsedFeed("The Herald", None, (RATES, GERMAN), language="en")
    store.apply(
        [PollResult(a_feed_state(feed_id=feed.feed_id, url=feed.url), a_fetched(), feed_changes((), document, NOW))],
        NOW,
    )
    editor = Editor(store, Metrics(), log(), lambda: NOW)
    passed(editor, Config())
    return store, editor


def passed(editor: Editor, config: Config | None = None) -> GroupTotals:
    """One edit pass, after a reload where a configuration is given."""
    if config is not None:
        editor.configure(config)
    totals = GroupTotals()
    editor.heed()
    while editor.group_batch(totals) or editor.refile_batch(totals):
        pass
    return totals


def about(store: Store, word: str) -> Story:
    stories = [*store.stories(), *store.stories("withheld")]
    return next(story for story in stories if word in story.lead.title)


def by_hand(store: Store, story_id: UUID, section: str | None) -> None:
    verdict = a_sectioning(section, 1.0) if section else None
    store.file_by_hand(Correction("file", NOW, (story_id,), section=section), verdict)


def test_filed_stories_know_their_language(newsroom):
    store, _ = newsroom
    assert about(store, "bank").language == "en"
    assert about(store, "Zinsen").language == "de"


def test_changed_rules_refile_the_stories_that_can_grow_and_taking_them_out_brings_them_back(newsroom):
    store, editor = newsroom
    before = about(store, "bank")
    totals = passed(editor, Config.model_validate(DROP))
    assert (totals.refiled, totals.moved) == (2, 1)
    assert [story.lead.title for story in store.stories()] == [GERMAN.title]
    assert about(store, "bank").withheld == "rule"
    assert passed(editor, Config.model_validate(DROP)).refiled == 0, "the same rules again are no change"
    assert passed(editor, Config()).moved == 1
    again = about(store, "bank")
    assert (again.withheld, again.sectioning.section) == (None, before.sectioning.section)


def test_rules_are_remembered_over_a_restart(newsroom):
    store, editor = newsroom
    passed(editor, Config.model_validate(DROP))
    restarted = Editor(store, Metrics(), log(), lambda: NOW)
    assert passed(restarted, Config.model_validate(DROP)).refiled == 0
    assert passed(restarted, Config()).refiled == 2


def test_a_story_that_looks_the_same_keeps_its_date(newsroom):
    store, editor = newsroom
    dates = {story.ref: story.updated_at for story in store.stories()}
    boosted = {"rules": [{"when": {"title": "bank"}, "then": {"boost": 3.0}}]}
    assert passed(editor, Config.model_validate(boosted)).moved == 0
    assert {story.ref: story.updated_at for story in store.stories()} == dates
    assert about(store, "bank").boost == 3.0


def test_unwanted_languages_are_stored_and_not_published(newsroom):
    store, editor = newsroom
    passed(editor, Config(languages=("en",)))
    assert [story.withheld for story in store.stories("withheld")] == ["language"]
    passed(editor, Config())
    assert store.stories("withheld") == []


def test_a_correction_stays_through_passes_rules_and_new_entries(newsroom):
    store, editor = newsroom
    story = about(store, "bank")
    by_hand(store, story.story_id, "marketing")
    passed(editor, Config.model_validate(DROP))
    corrected = store.story(story.story_id)
    assert (corrected.sectioning.section, corrected.withheld, corrected.is_filed_by_hand) == ("marketing", None, True)
    (feed,) = store.feeds()
    document = ParsedFeed("The Herald", None, (an_entry(RATES.title, guid=RATES.guid, summary="More on inflation"),))
    changes = feed_changes(store.known([feed.feed_id])[feed.feed_id], document, NOW)
    store.apply([PollResult(feed, a_fetched(), changes)], NOW)
    passed(editor)
    assert store.story(story.story_id).sectioning.section == "marketing"


def test_a_correction_taken_back_leaves_the_story_to_the_model(newsroom):
    store, editor = newsroom
    story = about(store, "bank")
    by_hand(store, story.story_id, "marketing")
    passed(editor)
    by_hand(store, story.story_id, None)
    passed(editor)
    assert store.story(story.story_id).sectioning.section == story.sectioning.section
    assert not store.story(story.story_id).is_filed_by_hand


def test_policies_are_told_apart_by_what_they_do():
    one, other = Config.model_validate(DROP), Config(languages=("en", "de"))
    assert len({fingerprint(Config()), fingerprint(one), fingerprint(other)}) == 3
    assert fingerprint(other) == fingerprint(Config(languages=("de", "en")))
    (rule,) = policy_of(one).rules
    assert (rule.number, rule.drops, rule.said) == (0, True, "title bank")


def test_the_record_of_a_source_is_counted_hourly_and_given_to_the_filing(store: Store):
    store.sync_feeds([ASource()], NOW)
    (feed,) = store.feeds()
    clock = [NOW]
    desk = Desk(store, log(), lambda: clock[0])
    entry = a_stored_entry("What the new season will bring", summary="", source=a_source_ref(feed_id=feed.feed_id))
    asked: list[int] = []

    class CountingStore:
        def __getattr__(self, name: str):
            return getattr(store, name)

        def filed_by_feed(self) -> dict[int, dict[str, int]]:
            asked.append(1)
            return {feed.feed_id: {"companies": 40}, feed.feed_id + 1: {"none": 400}}

    desk._store = CountingStore()  # type: ignore[assignment]
    desk.configure(Config())
    for minutes in (0, 10, 59, 61):
        clock[0] = NOW + timedelta(minutes=minutes)
        desk.heed()
    assert len(asked) == 2
    reasons = desk.file([entry], None, None, ()).sectioning.reasons
    assert any("filed so far 40: companies" in reason for reason in reasons)


def test_what_was_learnt_is_heeded_after_a_reload_and_damage_is_passed_over(newsroom):
    store, editor = newsroom
    by_hand(store, about(store, "bank").story_id, None)
    head, _ = learnt(airships(), [], Sectioner.load())
    store.add_head(head.dump(), {}, NOW)

    def reasons() -> str:
        store.touch(None, NOW)
        passed(editor, Config())
        return " ".join(about(store, "bank").sectioning.reasons)

    assert "learnt from corrections (version 1)" in reasons()
    store.add_head(b"damaged", {}, NOW)
    assert "learnt from corrections" not in reasons()


def test_examples_are_what_a_person_filed_and_the_model_reads(newsroom):
    store, _ = newsroom
    for word in ("bank", "Zinsen"):
        assert file_named(store, about(store, word).ref, "marketing", NOW)
    assert not file_named(store, "nosuchone2", "marketing", NOW)
    (example,) = examples(store)
    assert (example.label, example.texts) == ("marketing", ((RATES.title, RATES.summary),))
    assert uncorrected(store) == []
