"""How merged feeds name their hubs, and the rules of telling hubs: values in, values out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote_plus, urlencode

import pytest
from builders import NOW, a_story
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from aggregator.publish import hub
from aggregator.publish.edition import Press
from aggregator.publish.hub import Unacceptable, Wanted
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
    narrowed = press.view(replace(DEFAULT_FEEDS[0], min_sources=2, query="?min_sources=2"), [a_story()], "atom")
    assert narrowed.links == ()
    assert b"<entry" in narrowed.body
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


# ---------------------------------------------------------------- requests at our own hub

TOPIC = f"{HERE}/tech.atom"
FORM = "application/x-www-form-urlencoded"


def a_form(**fields):
    given = {"mode": "subscribe", "callback": "https://reader.example/cb?id=7", "topic": TOPIC} | fields
    return urlencode({f"hub.{name}": value for name, value in given.items() if value is not None})


def read(form, content_type=FORM):
    return hub.read_request(content_type, form if isinstance(form, bytes) else form.encode(), {TOPIC})


def test_a_request_is_read_as_it_is_written():
    assert read(a_form(lease_seconds="3600", secret="s3cret")) == Wanted(
        "subscribe", "https://reader.example/cb?id=7", TOPIC, timedelta(hours=1), "s3cret"
    )
    assert read(a_form(mode="unsubscribe", secret=""), f"{FORM}; charset=UTF-8") == Wanted(
        "unsubscribe", "https://reader.example/cb?id=7", TOPIC, hub.LEASE, None
    )


@pytest.mark.parametrize(
    ("said", "lease"),
    [
        ("1", timedelta(minutes=5)),
        ("0", timedelta(minutes=5)),
        ("86400", timedelta(days=1)),
        ("99999999", timedelta(days=30)),
        ("9" * 400, timedelta(days=30)),
    ],
    ids=["one second", "zero", "a day", "three years", "an age"],
)
def test_leases_are_brought_within_bounds(said, lease):
    assert read(a_form(lease_seconds=said)).lease == lease


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"mode": None}, 400),
        ({"mode": "publish"}, 400),
        ({"mode": "denied"}, 400),
        ({"topic": None}, 404),
        ({"topic": "https://else.example/feed"}, 404),
        ({"topic": TOPIC + "?min_sources=2"}, 404),
        ({"topic": TOPIC.upper()}, 404),
        ({"callback": None}, 400),
        ({"callback": "reader.example/cb"}, 400),
        ({"callback": "ftp://reader.example/cb"}, 400),
        ({"callback": "javascript:alert(1)"}, 400),
        ({"callback": "https://user:secret@reader.example/cb"}, 400),
        ({"callback": "https://reader.example/cb#here"}, 400),
        ({"callback": "https://reader.example/cb\r\nHost: x"}, 400),
        ({"callback": "https://réader.example/cb"}, 400),
        ({"callback": "https://reader.example:25/cb"}, 400),
        ({"callback": "https://reader.example:99999/cb"}, 400),
        ({"callback": "https://reader.example/" + "x" * 1024}, 400),
        ({"lease_seconds": "-1"}, 400),
        ({"lease_seconds": "ten"}, 400),
        ({"lease_seconds": "٣"}, 400),
        ({"secret": "é" * 101}, 400),
    ],
    ids=lambda value: "-".join(value) + "=" + str(next(iter(value.values())))[:30] if isinstance(value, dict) else None,
)
def test_what_is_wrong_with_a_request_is_said(fields, status):
    said = read(a_form(**fields))
    assert isinstance(said, Unacceptable)
    assert said.status == status
    assert said.why


@pytest.mark.parametrize(
    ("form", "content_type", "status"),
    [
        (b"", FORM, 400),
        (b"\xff\xfe", FORM, 400),
        (b"&".join(b"a%d=1" % n for n in range(100)), FORM, 400),
        (a_form() + "&hub.topic=" + TOPIC, FORM, 400),
        (a_form(), "application/json", 415),
        (a_form(), "", 415),
    ],
    ids=["empty", "no UTF-8", "many fields", "a field twice", "JSON", "no type"],
)
def test_what_is_no_form_is_refused(form, content_type, status):
    assert read(form, content_type).status == status


@given(st.binary(max_size=300), st.text(), st.text())
def test_whatever_comes_is_read_or_refused(body, callback, lease):
    assert isinstance(read(body), Wanted | Unacceptable)
    assert isinstance(read(a_form(callback=callback, lease_seconds=lease)), Wanted | Unacceptable)
    assert isinstance(read(a_form(callback=f"https://reader.example:{callback}")), Wanted | Unacceptable)


@pytest.mark.parametrize(
    ("callback", "before"),
    [
        ("https://reader.example/cb", "https://reader.example/cb?"),
        ("https://reader.example/cb?", "https://reader.example/cb?"),
        ("https://reader.example/cb?id=7", "https://reader.example/cb?id=7&"),
    ],
)
def test_a_question_keeps_the_callbacks_own_query(callback, before):
    url = hub.question(Wanted("unsubscribe", callback, TOPIC, hub.LEASE, None), "ch&l=")
    assert url == f"{before}hub.mode=unsubscribe&hub.topic={quote_plus(TOPIC)}&hub.challenge=ch%26l%3D"
