"""Which stories a merged feed holds."""

from __future__ import annotations

import pytest
from builders import NOW, a_sectioning, a_stored_entry, a_story, ago
from hypothesis import given
from hypothesis import strategies as st

from aggregator.publish.edition import Press
from aggregator.publish.merge import belongs, choose, sections_of
from aggregator.publish.settings import ContentSettings, FeedSettings, SiteSettings
from aggregator.types import SECTIONS

TECH = FeedSettings("tech", sections=("tech",))


def told_by(*outlets: str, **fields: object):
    return a_story(entries=tuple(a_stored_entry(f"Told by {name}", source=name) for name in outlets), **fields)


@pytest.mark.parametrize(
    ("section", "second", "belongs_to"),
    [
        ("tech", None, ("tech",)),
        ("tech", "companies", ("tech", "companies")),
        ("tech", "tech", ("tech",)),
        ("tech", "none", ("tech",)),
        ("none", "tech", ()),
        (None, "tech", ()),
        (None, None, ()),
    ],
)
def test_a_story_stands_under_its_section_and_the_second_if_it_has_a_verdict(section, second, belongs_to):
    story = a_story(sectioning=a_sectioning(section, second=second))
    assert sections_of(story) == belongs_to
    for name in SECTIONS:
        assert belongs(story, FeedSettings(name, sections=(name,))) == (name in belongs_to)


def test_unsure_stories_stand_only_where_they_are_asked_for():
    unsure = a_story(sectioning=a_sectioning(None))
    assert belongs(unsure, FeedSettings("unsure", sections=("unsure",)))
    assert not belongs(unsure, FeedSettings("news"))
    assert not belongs(a_story(section="none"), FeedSettings("unsure", sections=("unsure",)))


@pytest.mark.parametrize("section", ["tech", None])
def test_a_withheld_story_stands_nowhere(section):
    story = a_story(sectioning=a_sectioning(section), withheld="rule")
    assert not belongs(story, FeedSettings("all", sections=(*SECTIONS, "unsure")))


def test_newest_first_and_no_more_than_asked_for():
    stories = [a_story(f"Story number {hours}", published=ago(hours=hours)) for hours in (5, 1, 3, 500)]
    chosen = choose(stories, FeedSettings("tech", sections=("tech",), items=3))
    assert [story.lead.title for story in chosen] == ["Story number 1", "Story number 3", "Story number 5"]


def test_age_alone_takes_nothing_out():
    old = a_story(published=ago(days=4000))
    assert choose([old], TECH) == (old,)


def test_a_feed_may_ask_for_more_than_one_source():
    alone, together = told_by("The Herald"), told_by("The Post", "The Wire")
    assert choose([alone, together], FeedSettings("top", min_sources=2)) == (together,)


def test_two_entries_of_one_source_are_one_source():
    source = a_stored_entry("First").source
    story = a_story(entries=(a_stored_entry("First", source=source), a_stored_entry("Second", source=source)))
    assert choose([story], FeedSettings("top", min_sources=2)) == ()


def test_a_story_given_twice_enters_once():
    story = a_story()
    assert choose([story, story], TECH) == (story,)


@given(st.permutations([a_story(f"Story number {n}", published=ago(hours=n // 3)) for n in range(9)]))
def test_the_order_stories_arrive_in_does_not_matter(stories):
    chosen = choose(stories, TECH)
    assert chosen == choose(sorted(stories, key=lambda story: story.ref), TECH)
    assert [(-story.published.timestamp(), story.ref) for story in chosen] == sorted(
        (-story.published.timestamp(), story.ref) for story in stories
    )


# ---------------------------------------------------------------- as printed

FEEDS = (
    FeedSettings("news", "News"),
    *(FeedSettings(name, sections=(name,)) for name in SECTIONS),
    FeedSettings("unsure", sections=("unsure",)),
)


def printed(*stories):
    """How often each feed and section page names the stories' title; those that do not are left out."""
    press = Press(SiteSettings(), FEEDS, ContentSettings())
    documents = press.edition(stories, NOW)
    title = stories[0].lead.title.encode()
    paths = [f"/{feed.slug}{ending}" for feed in FEEDS for ending in ("", ".atom")]
    return {path for path in paths if title in documents[path].body}, documents


def test_a_story_of_two_sections_stands_in_both_feeds_and_pages_and_once_in_all():
    stands, documents = printed(a_story(sectioning=a_sectioning("tech", 0.5, second="companies")))
    assert stands == {"/news", "/news.atom", "/tech", "/tech.atom", "/companies", "/companies.atom"}
    atom = documents["/news.atom"].body
    assert atom.count(b"<entry") == 1
    assert atom.count(b'term="tech"') == atom.count(b'term="companies"') == 1


def test_an_unsure_story_is_printed_in_the_feed_for_those_alone():
    stands, documents = printed(a_story(sectioning=a_sectioning(None)))
    assert stands == {"/unsure", "/unsure.atom"}
    assert documents["/unsure.atom"].body.count(b"<category") == 0


def test_a_withheld_story_is_printed_nowhere():
    assert printed(a_story(withheld="rule"))[0] == set()
