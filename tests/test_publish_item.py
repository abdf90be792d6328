"""A story as readers see it: what goes out of a story, and what never does."""

from __future__ import annotations

import re
from dataclasses import replace

import hostile
import pytest
from builders import a_source_ref, a_stored_entry, a_story, ago

from aggregator.publish.item import MAX_CATEGORIES, MAX_OUTLETS, item_of, public_feed_url
from aggregator.publish.settings import ContentSettings, SiteSettings
from aggregator.text import xml_safe
from aggregator.types import Enclosure, Story

SITE = SiteSettings(public_url="https://news.example/desk/")
LONG = "<p>" + "One two three four five six seven eight nine ten. " * 30 + "</p>"


def item(story: Story, **content: object):
    return item_of(story, SITE, ContentSettings(**content))


def test_the_lead_speaks():
    lead = a_stored_entry("Quillon opens a plant", author="Ann Bee", link="https://herald.example/plant")
    shown = item(a_story(lead=lead))
    assert (shown.title, shown.url, shown.lead.byline) == (
        "Quillon opens a plant",
        "https://herald.example/plant",
        "Ann Bee",
    )
    assert shown.lead.name == "The Herald"
    assert shown.urn == f"urn:uuid:{shown.story_id}"
    assert shown.story_url == f"https://news.example/desk/story/{shown.ref}"


def test_an_excerpt_has_so_many_words_and_says_that_it_was_cut():
    shown = item(a_story(lead=a_stored_entry(summary=LONG)), excerpt_words=12)
    assert shown.text == "One two three four five six seven eight nine ten. …"
    assert shown.body == f"<p>{shown.text}</p>"


def test_an_excerpt_never_has_markup_of_theirs():
    shown = item(a_story(lead=a_stored_entry(summary="<p>Fine <b>words</b> &amp; <i>more</i></p>")))
    assert shown.body == "<p>Fine words &amp; more</p>"


def test_full_text_goes_out_only_if_configured():
    entry = a_stored_entry(summary="<p>Short.</p>", content="<h2>Long</h2><p>All <em>of</em> it.</p>")
    assert "All" not in item(a_story(lead=entry)).html
    assert "<p>All <em>of</em> it.</p>" in item(a_story(lead=entry), text="full").html


def test_pictures_go_out_only_if_configured():
    entry = a_stored_entry(
        content='<p>Text <img src="https://h.example/b.png"></p>', image_url="https://h.example/a.png"
    )
    with_pictures, without = (
        item(a_story(lead=entry), text="full"),
        item(a_story(lead=entry), text="full", images=False),
    )
    assert with_pictures.image_url == "https://h.example/a.png"
    assert "b.png" in with_pictures.html
    assert without.image_url is None
    assert "<img" not in without.html
    assert '<img src="https://h.example/a.png" alt="">' in item(a_story(lead=entry)).html
    assert "<img" not in item(a_story(lead=entry), images=False).html


@pytest.mark.parametrize("markup", hostile.MARKUP)
@pytest.mark.parametrize("images", [True, False])
def test_full_text_is_sanitised_again_on_the_way_out(markup, images):
    shown = item(a_story(lead=a_stored_entry(content=markup)), text="full", images=images).html.lower()
    for bad in (
        "<script",
        "onerror=",
        "onclick=",
        "javascript:",
        "<iframe",
        "<style",
        "<form",
        "<svg",
        "<base",
        "<meta",
    ):
        assert bad not in shown.replace("&lt;", "").replace('alt="><script>', "")


def test_the_other_outlets_are_named_once_with_their_links():
    entries = (
        a_stored_entry("Lead", source="The Herald"),
        a_stored_entry("Post tells it", source="The Post", link="https://post.example/a"),
        a_stored_entry("Post tells it again", source="The Post"),
        a_stored_entry("Wire tells it", source="The <Wire>", link="https://wire.example/b"),
        a_stored_entry("Herald again", source="The Herald"),
    )
    shown = item(a_story(entries=entries[:3], duplicates=entries[3:]))
    assert [(outlet.name, outlet.is_copy) for outlet in shown.also] == [("The Post", False), ("The <Wire>", True)]
    assert (
        'Also reported by <a href="https://post.example/a">The Post</a> and '
        '<a href="https://wire.example/b">The &lt;Wire&gt;</a>.'
    ) in shown.html


def test_a_copy_in_another_feed_of_the_same_publisher_is_not_another_outlet():
    business = a_source_ref(feed_id=7, title="The Herald: business", url="https://herald.example/business.xml")
    copy = a_stored_entry(source=business, link="https://herald.example/plant", duplicate_of=1)
    told_apart = replace(copy, duplicate_of=None)
    assert item(a_story(lead=a_stored_entry(), duplicates=(copy,))).also == ()
    lead = a_stored_entry()
    assert [outlet.name for outlet in item(a_story(entries=(lead, told_apart))).also] == ["The Herald: business"]


def test_a_crowd_of_outlets_is_cut():
    entries = tuple(a_stored_entry("It", source=f"Outlet {n}") for n in range(80))
    assert len(item(a_story(entries=entries)).also) == MAX_OUTLETS


def test_comments_are_linked_with_their_count():
    def shown(count):
        return item(a_story(lead=a_stored_entry(comments_url="https://h.example/c", comment_count=count)))

    assert ">1 comment</a>" in shown(1).html
    assert ">12 comments</a>" in shown(12).html
    assert ">Comments</a>" in shown(None).html
    assert shown(-3).comment_count is None
    assert item(a_story(lead=a_stored_entry(comment_count=3))).comment_count == 3


def test_categories_are_clean_few_and_each_once():
    shown = item(a_story(lead=a_stored_entry(categories=("Cars", " cars ", "", "\x00", *map(str, range(50))))))
    assert shown.categories[:2] == ("Cars", "0")
    assert len(shown.categories) == MAX_CATEGORIES


def test_a_story_without_title_or_link_still_has_both():
    shown = item(a_story(lead=a_stored_entry("", link=None, canonical_url=None, summary="<p>Only words here.</p>")))
    assert shown.title == "Only words here."
    assert shown.url == shown.story_url
    nothing = item(a_story(lead=a_stored_entry("", link=None, canonical_url=None, summary=None)))
    assert nothing.title == "Untitled, from The Herald"
    assert nothing.html


def test_updated_is_never_before_published():
    story = replace(a_story(published=ago(hours=1)), updated_at=ago(hours=5))
    assert item(story).updated == ago(hours=1)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://herald.example/feed.xml", "https://herald.example/feed.xml"),
        ("https://herald.example/feed?section=tech", "https://herald.example/feed?section=tech"),
        ("https://herald.example/feed?token=abc", None),
        ("https://herald.example/feed?api_key=abc&x=1", None),
        ("https://user:pass@herald.example/feed", None),
    ],
)
def test_a_feed_address_with_a_secret_is_never_published(url, shown):
    assert public_feed_url(a_source_ref(url=url)) == shown


def test_secrets_are_in_no_field():
    entry = a_stored_entry(source=a_source_ref(url="https://herald.example/feed?token=s3cret"))
    assert "s3cret" not in repr(item(a_story(lead=entry)))


def test_enclosures_keep_their_facts_and_lose_their_lies():
    entry = a_stored_entry(
        enclosures=(
            Enclosure("https://h.example/a.mp3", "audio/mpeg", 12),
            Enclosure("https://h.example/b", "not a type", -1),
            Enclosure("javascript:alert(1)", "audio/mpeg", 1),
        )
    )
    assert item(a_story(lead=entry)).enclosures == (
        Enclosure("https://h.example/a.mp3", "audio/mpeg", 12),
        Enclosure("https://h.example/b", None, None),
    )


@pytest.mark.parametrize("text", ["excerpt", "full"])
def test_what_mojibake_leaves_of_quotes_is_no_error_in_pages(text):
    entry = a_stored_entry(summary="<p>\u00e2\u20ac\u0153as soon as possible,\u00e2\u20ac\x9d he said\x7f</p>")
    shown = item(a_story(lead=entry), text=text)
    assert "possible,\u00e2\u20ac he said" in shown.text
    assert not re.search("[\x7f-\x9f]", shown.text + shown.body + shown.html)


@pytest.mark.parametrize("link", ["java\x9dscript:alert(1)", "java&#x9d;script:alert(1)"])
def test_taking_controls_out_makes_no_script_of_an_address(link):
    entry = a_stored_entry(link=None, source=a_source_ref(site_url=None), content=f'<a href="{link}">a word</a>')
    assert "javascript:" not in item(a_story(lead=entry), text="full").html


@pytest.mark.parametrize("text", ["excerpt", "full"])
def test_hostile_stories_become_clean_items(text):
    for story in hostile.stories():
        shown = item(story, text=text)
        strings = [shown.title, shown.text, shown.html, shown.lead.name, shown.lead.byline or "", *shown.categories]
        assert [xml_safe(string) for string in strings] == strings
        assert "\n" not in shown.title + shown.lead.name
        assert not set("\u202e\u2066") & set(shown.title)
        for url in (shown.url, shown.image_url, shown.comments_url, shown.lead.site_url, shown.lead.feed_url):
            assert url is None or url.startswith(("http://", "https://")), url
