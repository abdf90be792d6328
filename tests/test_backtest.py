"""History told by two configurations: what differs, and that nothing differs where the configuration does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from builders import NOW, a_source_ref, a_stored_entry

from aggregator.backtest import History, Outcome, backtest, filing_of, newest
from aggregator.config import Config
from aggregator.config_source import SourcesFile
from aggregator.editor import story_id_for
from aggregator.stories.classify import Sectioner
from aggregator.types import StoredEntry

HERE = UUID(int=7)
HERALD, GAZETTE, KITE = "Herald", "Gazette", "Kite"
SOURCES = {name: a_source_ref(title=name, feed_id=number) for number, name in enumerate((HERALD, GAZETTE, KITE), 1)}
FINAL = {"section": "tech", "section_is": "final"}


def a_config(given: dict[str, dict[str, Any]] | None = None, **keys: Any) -> Config:
    """The three sources, filing under tech without a model unless said otherwise; None takes one out."""
    listed = [
        {"url": ref.url, **FINAL, **((given or {}).get(name) or {})}
        for name, ref in SOURCES.items()
        if (given or {}).get(name, {}) is not None
    ]
    return Config.model_validate(keys).model_copy(
        update={"sources": SourcesFile.model_validate({"sources": listed}).sources}
    )


def told(name: str, title: str, hours: float = 0, text: str = "", story: StoredEntry | None = None) -> StoredEntry:
    """An entry as grouped: into that entry's story, else its own."""
    seen = NOW + timedelta(hours=hours)
    entry = a_stored_entry(title, source=SOURCES[name], first_seen=seen, summary=text or f"{title}, said {name}.")
    story_id = story.story_id if story else story_id_for(HERE, entry)
    return replace(entry, story_id=story_id)


BIG = "Fernbank agrees to buy chip maker Otterly for $40 million in cash"
SAME = "Chip maker Otterly to be bought by Fernbank for $40 million in cash"
FIRST = told(HERALD, BIG, text="Fernbank will pay $40 million in cash for Otterly, the chip maker of Brno, it said.")
SECOND = told(
    GAZETTE, SAME, 3, "Otterly of Brno, the chip maker, is bought by Fernbank for $40 million in cash.", story=FIRST
)
OTHER = told(KITE, "Quillon opens a plant in Lisbon", 4)


def tried(new: Config, *entries: StoredEntry, old: Config | None = None) -> Outcome:
    history = History(entries or (FIRST, SECOND, OTHER), HERE)
    return backtest(old or a_config(), new, history, Sectioner.load())


def feeds(outcome: Outcome) -> dict[str, tuple[set[str], set[str]]]:
    """By slug, titles gained and lost, of the feeds in which anything changes."""
    titles = [
        (feed.slug, *({s.lead.title for s in each} for each in (feed.gained, feed.lost))) for feed in outcome.feeds
    ]
    return {slug: (gained, lost) for slug, gained, lost in titles if gained or lost}


def test_the_same_configuration_tells_the_same():
    outcome = tried(a_config())
    assert (outcome.stories_before, outcome.stories_after, outcome.entries) == (2, 2, 3)
    assert feeds(outcome) == {}
    assert outcome.merged == outcome.split == outcome.refiled == outcome.led_anew == ()
    assert {feed.slug: feed.before for feed in outcome.feeds} == {
        "news": 2,
        "tech": 2,
        "companies": 0,
        "economics": 0,
        "marketing": 0,
    }


def test_a_rule_moves_a_story_from_one_feed_to_another():
    outcome = tried(a_config(rules=[{"when": {"title": "Quillon"}, "then": {"section": "companies"}}]))
    assert feeds(outcome) == {"tech": (set(), {OTHER.title}), "companies": ({OTHER.title}, set())}
    ((one, two),) = outcome.refiled
    assert (filing_of(one), filing_of(two)) == ("tech", "companies")


def test_a_dropped_story_leaves_every_feed():
    outcome = tried(a_config(rules=[{"when": {"title": "Quillon"}, "then": "drop"}]))
    assert feeds(outcome) == {slug: (set(), {OTHER.title}) for slug in ("news", "tech")}
    assert filing_of(outcome.refiled[0][1]) == "withheld by rule"


def test_weights_change_who_leads():
    outcome = tried(a_config({GAZETTE: {"weight": 9.0}}))
    ((one, two),) = outcome.led_anew
    assert (one.lead.source.title, two.lead.source.title) == (HERALD, GAZETTE)
    assert feeds(outcome) == {}


def test_a_hint_refiles_what_only_that_source_tells():
    outcome = tried(a_config({KITE: {"section": "marketing"}}))
    assert feeds(outcome) == {"tech": (set(), {OTHER.title}), "marketing": ({OTHER.title}, set())}


def test_without_a_source_its_stories_are_gone_and_shared_ones_stay():
    outcome = tried(a_config({KITE: None, HERALD: None}))
    assert feeds(outcome) == {slug: (set(), {OTHER.title}) for slug in ("news", "tech")}
    assert (outcome.stories_before, outcome.stories_after) == (2, 1)


def test_excluded_titles_are_gone():
    outcome = tried(a_config({KITE: {"exclude": ["Lisbon"]}}))
    assert feeds(outcome)["news"] == (set(), {OTHER.title})


@pytest.mark.parametrize("is_wider", [False, True])
def test_a_window_splits_and_merges(is_wider):
    # The same page, told by another outlet later than the narrow window remembers.
    late = replace(told(GAZETTE, BIG, 60), link=FIRST.link, canonical_url=FIRST.canonical_url)
    narrow, wide = a_config(stories={"window": "24h"}), a_config()
    outcome = tried(wide if is_wider else narrow, FIRST, late, old=narrow if is_wider else wide)
    changed, others = (outcome.merged, outcome.split) if is_wider else (outcome.split, outcome.merged)
    assert [(story.lead.title, len(parts)) for story, parts in changed] == [(BIG, 2)]
    assert others == ()
    assert {outcome.stories_before, outcome.stories_after} == {1, 2}


def test_a_feed_that_wants_more_sources_loses_what_one_tells():
    strict = [{"slug": "news", "sections": ["tech"], "min_sources": 2}, {"slug": "fresh", "sections": ["tech"]}]
    outcome = tried(a_config(feeds=strict))
    assert feeds(outcome)["news"] == (set(), {OTHER.title})
    assert feeds(outcome)["fresh"] == ({OTHER.title, BIG}, set())
    assert feeds(outcome)["tech"] == (set(), {OTHER.title, BIG})


def test_a_persons_word_stands_in_both():
    history = History((OTHER,), HERE, sections={OTHER.story_id: "economics"})
    new = a_config(rules=[{"when": {"title": "Quillon"}, "then": {"section": "companies"}}])
    outcome = backtest(a_config(), new, history, Sectioner.load())
    assert outcome.refiled == ()
    assert [feed.after for feed in outcome.feeds if feed.slug == "economics"] == [1]


def test_only_the_newest_are_kept_and_it_is_said():
    entries = [told(HERALD, f"Headline {n}", n) for n in range(7)]
    assert newest(entries, 3) == (entries[4:], entries[4].dated)
    assert newest(entries, 7) == (entries, None)
    assert newest([], 3) == ([], None)
