"""Atom, RSS and JSON Feed to the byte: valid, complete, the same for the same stories, whatever is in them."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from datetime import datetime
from shutil import which

import feedparser
import hostile
import pytest
from builders import a_sectioning, a_source_ref, a_stored_entry, a_story, ago
from lxml import etree

from aggregator.publish import feeds, feeds_json
from aggregator.publish.item import Item, item_of
from aggregator.publish.settings import ContentSettings, FeedSettings, SiteSettings
from aggregator.text import xml_safe
from aggregator.types import Enclosure, Story

SITE = SiteSettings(public_url="https://news.example/desk")
TECH = FeedSettings("tech", "Tech & more", sections=("tech",))
NS = {
    "a": "http://www.w3.org/2005/Atom",
    "media": "http://search.yahoo.com/mrss/",
    "slash": "http://purl.org/rss/1.0/modules/slash/",
    "thr": "http://purl.org/syndication/thread/1.0",
    "dc": "http://purl.org/dc/elements/1.1/",
    "content": "http://purl.org/rss/1.0/modules/content/",
}
FULL = a_story(
    entries=(
        a_stored_entry(
            "Quillon & Sons open <a> plant",
            author="Ann Bee",
            link="https://herald.example/plant?a=1&b=2",
            image_url="https://herald.example/i.jpg",
            comments_url="https://herald.example/plant#comments",
            comment_count=3,
            categories=("Industry & Trade",),
            enclosures=(
                Enclosure("https://herald.example/a.mp3", "audio/mpeg", 123),
                Enclosure("https://herald.example/b.bin"),
            ),
            language="de-AT",
            published=ago(hours=2),
        ),
        a_stored_entry("The Post on Quillon", source="The Post", link="https://post.example/q"),
    ),
    published=ago(hours=2),
    updated_at=ago(hours=1, microseconds=250),
    sectioning=a_sectioning("tech", second="companies"),
    labels=("mergers",),
)


def items_of(*stories: Story, content: ContentSettings = ContentSettings()) -> list[Item]:  # noqa: B008
    return [item_of(story, SITE, content) for story in stories]


def newest(items: list[Item]) -> datetime | None:
    return max((item.updated for item in items), default=None)


def atom(*stories: Story, **content: object) -> bytes:
    items = items_of(*stories, content=ContentSettings(**content))
    return feeds.atom(TECH, SITE, [feeds.atom_item(item, SITE) for item in items], newest(items))


def rss(*stories: Story, **content: object) -> bytes:
    items = items_of(*stories, content=ContentSettings(**content))
    return feeds.rss(TECH, SITE, [feeds.rss_item(item, SITE) for item in items], newest(items))


def json_feed(*stories: Story, **content: object) -> bytes:
    items = items_of(*stories, content=ContentSettings(**content))
    return feeds_json.json_feed(TECH, SITE, [feeds_json.json_item(item, SITE) for item in items])


def texts(document: bytes, path: str) -> list[str]:
    return [
        found if isinstance(found, str) else found.text
        for found in etree.fromstring(document).xpath(path, namespaces=NS)
    ]


def attributes(document: bytes, path: str) -> list[dict[str, str]]:
    return [dict(found.attrib) for found in etree.fromstring(document).xpath(path, namespaces=NS)]


# ---------------------------------------------------------------- Atom


def test_further_links_of_the_feed_have_no_prefix_of_their_own():
    document = feeds.atom(TECH, SITE, [], None, [("prev-archive", "https://news.example/archive/tech/2026-10.atom")])
    assert attributes(document, "/a:feed/a:link[@rel='prev-archive']")
    assert b"ns0" not in document


def test_atom_head_has_what_rfc_4287_demands():
    document = atom(FULL)
    assert document.startswith(b"<?xml version='1.0' encoding='UTF-8'?>\n<feed ")
    assert texts(document, "/a:feed/a:title") == ["Tech & more"]
    assert texts(document, "/a:feed/a:id") == [SITE.feed_id("tech")]
    assert texts(document, "/a:feed/a:updated") == ["2026-03-04T10:59:59+00:00"]
    assert texts(document, "/a:feed/a:author/a:name") == ["Business Monkey News"]
    assert attributes(document, "/a:feed/a:link") == [
        {"rel": "self", "href": "https://news.example/desk/tech.atom", "type": "application/atom+xml"},
        {"rel": "alternate", "href": "https://news.example/desk/tech", "type": "text/html"},
    ]


def test_stories_changed_in_one_pass_are_updated_in_moments_of_their_own():
    stories = [a_story(f"Told {number}", published=ago(hours=1)) for number in range(20)]
    updated = texts(atom(*stories), "//a:entry/a:updated")
    assert len(set(updated)) == 20
    assert {moment[:19] for moment in updated} == {"2026-03-04T11:00:00"}
    assert updated == texts(atom(*stories), "//a:entry/a:updated")


def test_atom_entry_has_every_field():
    document = atom(FULL)
    assert texts(document, "//a:entry/a:id") == [f"urn:uuid:{FULL.story_id}"]
    assert texts(document, "//a:entry/a:title") == ["Quillon & Sons open <a> plant"]
    assert texts(document, "//a:entry/a:published") == ["2026-03-04T10:00:00+00:00"]
    (updated,) = texts(document, "//a:entry/a:updated")
    assert re.fullmatch(r"2026-03-04T10:59:59\.[0-9]{6}\+00:00", updated)
    assert texts(document, "//a:entry/a:author/a:name") == ["Ann Bee"]
    assert texts(document, "//a:entry/@xml:lang") == ["de-AT"]
    assert attributes(document, "//a:entry/a:category") == [
        {"term": "tech", "scheme": "https://news.example/desk/", "label": "Tech"},
        {"term": "companies", "scheme": "https://news.example/desk/", "label": "Companies"},
        {"term": "mergers", "scheme": "https://news.example/desk/label/", "label": "mergers"},
        {"term": "Industry & Trade"},
    ]
    assert texts(document, "//thr:total") == ["3"]
    assert texts(document, "//media:content/@url") == ["https://herald.example/i.jpg"]
    assert texts(document, "//media:content/media:thumbnail/@url") == ["https://herald.example/i.jpg"]


def test_atom_entry_links_keep_rel_type_length_and_title():
    html = "text/html"
    assert attributes(atom(FULL), "//a:entry/a:link") == [
        {"rel": "alternate", "href": "https://herald.example/plant?a=1&b=2", "type": html},
        {"rel": "related", "href": "https://post.example/q", "type": html, "title": "The Post"},
        {"rel": "enclosure", "href": "https://herald.example/a.mp3", "type": "audio/mpeg", "length": "123"},
        {"rel": "enclosure", "href": "https://herald.example/b.bin"},
        {
            "rel": "replies",
            "href": "https://herald.example/plant#comments",
            "type": html,
            f"{{{NS['thr']}}}count": "3",
        },
    ]


def test_atom_source_names_the_lead_with_id_title_and_date():
    source = "//a:entry/a:source"
    document = atom(FULL)
    assert texts(document, f"{source}/a:id") == ["https://herald.example/feed.xml"]
    assert texts(document, f"{source}/a:title") == ["The Herald"]
    assert texts(document, f"{source}/a:updated") == ["2026-03-04T10:00:00+00:00"]
    assert texts(document, f"{source}/a:link/@href") == ["https://herald.example/feed.xml", "https://herald.example/"]


# ---------------------------------------------------------------- RSS


def test_rss_channel_has_what_readers_look_for():
    document = rss(FULL)
    assert texts(document, "/rss/@version") == ["2.0"]
    assert texts(document, "/rss/channel/title") == ["Tech & more"]
    assert texts(document, "/rss/channel/link") == ["https://news.example/desk/tech"]
    assert texts(document, "/rss/channel/description") == ["News for entrepreneurs: tech, each story once."]
    assert texts(document, "/rss/channel/lastBuildDate") == ["Wed, 04 Mar 2026 10:59:59 +0000"]
    assert attributes(document, "/rss/channel/a:link") == [
        {"rel": "self", "href": "https://news.example/desk/tech.rss", "type": "application/rss+xml"}
    ]


def test_rss_item_has_every_field():
    document = rss(FULL)
    expected = {
        "title": "Quillon & Sons open <a> plant",
        "link": "https://herald.example/plant?a=1&b=2",
        "guid": f"urn:uuid:{FULL.story_id}",
        "guid/@isPermaLink": "false",
        "pubDate": "Wed, 04 Mar 2026 10:00:00 +0000",
        "comments": "https://herald.example/plant#comments",
        "slash:comments": "3",
        "dc:creator": "Ann Bee",
        "source": "The Herald",
        "source/@url": "https://herald.example/feed.xml",
        "enclosure/@url": "https://herald.example/a.mp3",
        "enclosure/@type": "audio/mpeg",
        "enclosure/@length": "123",
        "a:link[@rel='related']/@href": "https://post.example/q",
        "media:content/@url": "https://herald.example/i.jpg",
    }
    for path, value in expected.items():
        assert texts(document, f"//item/{path}") == [value], path
    assert texts(document, "//item/category") == ["Tech", "Companies", "mergers", "Industry & Trade"]
    assert "Also reported by" in texts(document, "//item/content:encoded")[0]
    assert "Also reported by" not in texts(document, "//item/description")[0]


def test_rss_text_is_escaped_so_that_readers_that_take_it_for_html_show_it_right():
    assert b"<title>Quillon &#x26; Sons open &#x3C;a&#x3E; plant</title>" in rss(FULL)
    assert b">Industry &#x26; Trade</category>" in rss(FULL)


def test_rss_enclosure_without_facts_says_so_in_numbers():
    story = a_story(lead=a_stored_entry(enclosures=(Enclosure("https://herald.example/b.bin"),)))
    assert attributes(rss(story), "//enclosure") == [
        {"url": "https://herald.example/b.bin", "length": "0", "type": "application/octet-stream"}
    ]


# ---------------------------------------------------------------- JSON Feed


def test_json_feed_follows_version_1_1():
    document = json.loads(json_feed(FULL))
    assert {name: document[name] for name in ("version", "title", "home_page_url", "feed_url")} == {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "Tech & more",
        "home_page_url": "https://news.example/desk/tech",
        "feed_url": "https://news.example/desk/tech.json",
    }
    (item,) = document["items"]
    assert item["id"] == f"urn:uuid:{FULL.story_id}"
    assert item["url"] == "https://herald.example/plant?a=1&b=2"
    assert item["date_published"] == "2026-03-04T10:00:00Z"
    assert item["date_modified"] == "2026-03-04T10:59:59Z"
    assert item["authors"] == [{"name": "Ann Bee", "url": "https://herald.example/"}]
    assert item["tags"] == ["tech", "companies", "mergers", "Industry & Trade"]
    assert item["image"] == "https://herald.example/i.jpg"
    assert item["attachments"] == [
        {"url": "https://herald.example/a.mp3", "mime_type": "audio/mpeg", "size_in_bytes": 123}
    ]
    assert item["language"] == "de-AT"
    assert item["_comments"] == {"url": "https://herald.example/plant#comments", "count": 3}
    assert item["_sources"]["story_url"] == f"https://news.example/desk/story/{FULL.ref}"
    assert item["_sources"]["lead"]["title"] == "The Herald"
    assert [outlet["url"] for outlet in item["_sources"]["also"]] == ["https://post.example/q"]


def test_what_json_feed_does_not_know_it_leaves_out():
    (item,) = json.loads(json_feed(a_story()))["items"]
    assert not {"image", "attachments", "_comments"} & set(item)
    assert "also" not in item["_sources"] or item["_sources"]["also"] == []


# ---------------------------------------------------------------- laws of all three

ALL = [atom, rss, json_feed]


@pytest.mark.parametrize("write", ALL)
def test_the_same_stories_make_the_same_bytes(write):
    assert write(FULL, a_story("Another one")) == write(FULL, a_story("Another one"))


@pytest.mark.parametrize("write", ALL)
def test_every_date_is_the_stories(write):
    dates = set(re.findall(r"\d{4}-\d\d-\d\dT[\d:]+|\d\d \w{3} \d{4} [\d:]+", write(FULL).decode()))
    assert dates <= {
        "2026-03-04T10:59:59",
        "2026-03-04T10:00:00",
        "2026-03-04T11:00:00",  # the Post's
        "04 Mar 2026 10:59:59",
        "04 Mar 2026 10:00:00",
    }
    assert dates


@pytest.mark.parametrize("write", ALL)
def test_an_empty_feed_is_valid_and_always_the_same(write):
    assert write() == write()
    if write is not json_feed:
        assert feedparser.parse(write()).bozo == 0
        assert texts(write(), "//a:updated | //lastBuildDate")
    else:
        assert json.loads(write())["items"] == []


@pytest.mark.parametrize("text", ["excerpt", "full"])
@pytest.mark.parametrize("write", ALL)
def test_hostile_stories_leave_the_document_whole(write, text):
    stories = hostile.stories()
    document = write(*stories, text=text)
    shown = document.decode("utf-8")
    assert xml_safe(shown) == shown
    assert "s3cret" not in shown
    if write is json_feed:
        assert len(json.loads(document)["items"]) == len(stories)
    else:
        etree.fromstring(document, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
        read = feedparser.parse(document)
        assert read.bozo == 0
        assert len(read.entries) == len(stories)
        assert not [link for link in re.findall(r'(?:href|url|src)="([^"]*)"', shown) if not link.startswith("http")]


@pytest.mark.parametrize("write", [atom, rss])
@pytest.mark.skipif(which("xmllint") is None, reason="xmllint is not installed (libxml2-utils)")
def test_xmllint_accepts_it(write, tmp_path):
    file = tmp_path / "feed.xml"
    file.write_bytes(write(FULL, *hostile.stories()))
    done = subprocess.run(["xmllint", "--noout", "--nonet", file], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("write", [atom, rss])
def test_feedparser_reads_back_what_we_meant(write):
    (entry,) = feedparser.parse(write(FULL)).entries
    assert entry.id == f"urn:uuid:{FULL.story_id}"
    assert entry.link == "https://herald.example/plant?a=1&b=2"
    assert entry.author == "Ann Bee"
    assert entry.published_parsed[:5] == (2026, 3, 4, 10, 0)
    assert entry.source.title == "The Herald"
    assert entry.enclosures[0].href == "https://herald.example/a.mp3"
    assert entry.media_content[0]["url"] == "https://herald.example/i.jpg"
    assert "Also reported by" in entry.content[0].value


def test_a_control_character_that_got_this_far_is_refused():
    (item,) = items_of(a_story())
    for write in (feeds.atom_item, feeds.rss_item):
        with pytest.raises(ValueError):
            write(replace(item, title="bell \x07"), SITE)
        with pytest.raises(ValueError):
            write(replace(item, title="nonchar \ufffe"), SITE)


def test_an_items_bytes_depend_on_nothing_but_the_item():
    (one,), (again,) = items_of(FULL), items_of(FULL)
    feeds.atom_item(items_of(a_story("Another"))[0], SITE)
    assert feeds.atom_item(one, SITE) == feeds.atom_item(again, SITE)
    assert b"xmlns" not in feeds.atom_item(one, SITE) + feeds.rss_item(one, SITE)


def test_a_secret_feed_address_gives_way_to_the_site():
    story = a_story(lead=a_stored_entry(source=a_source_ref(url="https://herald.example/feed?token=s3cret")))
    assert texts(rss(story), "//item/source/@url") == ["https://herald.example/"]
    assert texts(atom(story), "//a:source/a:id") == ["https://herald.example/"]


def test_feed_ids_belong_to_the_installation_and_not_to_its_host():
    here, moved = SITE, replace(SITE, public_url="https://elsewhere.example")
    other = replace(SITE, installation=FULL.story_id)
    assert here.feed_id("tech") == moved.feed_id("tech") != other.feed_id("tech")
    assert here.feed_id("tech") != here.feed_id("news")


def test_descriptions_name_the_sections():
    four = FeedSettings("news")
    assert (
        feeds.description_of(four)
        == "News for entrepreneurs: tech, companies, economics and marketing, each story once."
    )
    assert feeds.description_of(FeedSettings("top", sections=("tech", "economics"), min_sources=3)) == (
        "News for entrepreneurs: tech and economics, each story once, told by 3 sources or more."
    )
