"""How merged feeds name their hubs, and the rules of telling hubs: values in, values out."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from builders import NOW, a_story
from lxml import etree

from aggregator.publish import hub
from aggregator.publish.edition import Press
from aggregator.publish.settings import DEFAULT_FEEDS, ContentSettings, SiteSettings
from aggregator.publish.shelf import Shelf
from aggregator.publish.site import PublicSite

HUBS = ("https://news.example/desk/hub", "https://hub.example.org/?a=1&b=2")
HERE = "https://news.example/desk"
NS = {"a": "http://www.w3.org/2005/Atom"}


def an_edition(hubs=HUBS, stories=()):
    press = Press(SiteSettings(public_url=HERE, hubs=hubs), DEFAULT_FEEDS, ContentSettings())
    return press, press.edition(stories or [a_story()], NOW)


@pytest.mark.parametrize("kind", ["atom", "rss"])
def test_a_feed_names_its_hubs_and_itself(kind):
    _, documents = an_edition()
    links = etree.fromstring(documents[f"/tech.{kind}"].body).xpath(
        "/a:feed/a:link | /rss/channel/a:link", namespaces=NS
    )
    found = [(link.get("rel"), link.get("href")) for link in links]
    assert [href for rel, href in found if rel == "hub"] == list(HUBS)
    assert ("self", f"{HERE}/tech.{kind}") in found


def test_a_json_feed_names_its_hubs():
    _, documents = an_edition()
    read = json.loads(documents["/tech.json"].body)
    assert read["hubs"] == [{"type": "WebSub", "url": url} for url in HUBS]
    assert read["feed_url"] == f"{HERE}/tech.json"
    assert read["items"]


@pytest.mark.parametrize("kind", ["atom", "rss", "json"])
def test_the_headers_say_the_same_as_the_document(kind):
    _, documents = an_edition()
    answer = PublicSite(Shelf(documents)).at_once("HEAD", f"/tech.{kind}", {})
    assert [value for name, value in answer.headers if name == "Link"] == [
        f'<{HUBS[0]}>; rel="hub"',
        f'<{HUBS[1]}>; rel="hub"',
        f'<{HERE}/tech.{kind}>; rel="self"',
    ]


def test_without_hubs_nothing_is_named():
    _, documents = an_edition(hubs=())
    assert documents["/tech.atom"].links == ()
    assert b'rel="hub"' not in documents["/tech.atom"].body + documents["/tech.rss"].body
    assert "hubs" not in json.loads(documents["/tech.json"].body)
    assert hub.topics(documents) == {}


def test_a_narrowed_feed_is_no_topic():
    press, _ = an_edition()
    narrowed = press.narrowed(DEFAULT_FEEDS[0].narrowed(2, "News"), [a_story()], "atom")
    assert narrowed.links == ()
    assert b'rel="hub"' not in narrowed.body


def test_a_feed_gets_hubs_though_its_stories_stayed_the_same():
    _, before = an_edition(hubs=())
    later = Press(SiteSettings(public_url=HERE, hubs=HUBS), DEFAULT_FEEDS, ContentSettings(), before)
    after = later.edition([a_story()], NOW + timedelta(hours=1))
    assert after["/tech.atom"].etag != before["/tech.atom"].etag
    assert after["/"] is before["/"]


def test_topics_are_the_feeds_in_each_format():
    _, documents = an_edition()
    topics = hub.topics(documents)
    assert len(topics) == len(DEFAULT_FEEDS) * 3
    assert topics[f"{HERE}/tech.rss"] is documents["/tech.rss"]


@pytest.mark.parametrize(
    ("hubs", "is_hub", "named"),
    [
        ((), False, ()),
        (("https://a.example/", "https://a.example/"), False, ("https://a.example/",)),
        (("https://a.example/",), True, (f"{HERE}/hub", "https://a.example/")),
        ((f"{HERE}/hub",), True, (f"{HERE}/hub",)),
    ],
)
def test_which_hubs_are_named(hubs, is_hub, named):
    assert hub.addresses(f"{HERE}/", hubs, is_hub) == named


@pytest.mark.parametrize(("tries", "minutes"), [(1, 1), (2, 2), (3, 4), (9, 256), (10, 360), (500, 360)])
def test_what_failed_is_tried_ever_more_rarely(tries, minutes):
    assert hub.retry_after(tries) == timedelta(minutes=minutes)
