"""What is new in a feed since the version a reader has (RFC 3229 with `feed`), and who gets a page instead."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta

import brotli
import feedparser
import pytest
from asking import ask, header
from builders import NOW, a_sectioning, a_stored_entry, a_story, ago
from hypothesis import given
from hypothesis import strategies as st

from aggregator.publish.delta import changed_since, parts_of, past_of
from aggregator.publish.edition import Press
from aggregator.publish.negotiate import prefers_page, wants_delta
from aggregator.publish.settings import DEFAULT_FEEDS, ContentSettings, SiteSettings
from aggregator.publish.shelf import Shelf, rendered
from aggregator.publish.site import PublicSite
from aggregator.types import Rendered

CHROMIUM = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
STORIES = [
    a_story(
        entries=(a_stored_entry(f"Acme opens plant {n}", link=f"https://herald.example/{n}"),),
        published=ago(hours=n + 1),
        sectioning=a_sectioning("tech"),
    )
    for n in range(6)
]


class Newsroom:
    """A site whose editions follow each other a minute apart."""

    def __init__(self) -> None:
        self.press = Press(SiteSettings(), DEFAULT_FEEDS, ContentSettings())
        self.shelf = Shelf()
        self.site = PublicSite(self.shelf)
        self.now = NOW

    def print(self, stories: list) -> None:
        self.shelf.replace(self.press.edition(stories, self.now))
        self.now += timedelta(minutes=1)


# ---------------------------------------------------------------- deltas


def test_a_reader_that_asks_for_deltas_gets_what_is_new_to_it():
    newsroom = Newsroom()
    newsroom.print(STORIES[2:])
    had = header(ask(newsroom.site, "/news.atom"), "ETag")
    newsroom.print(STORIES[1:])
    newsroom.print(STORIES)
    whole = ask(newsroom.site, "/news.atom")
    delta = ask(newsroom.site, "/news.atom", a_im="feed", if_none_match=had)
    assert delta.status == 226
    assert header(delta, "IM") == "feed"
    assert header(delta, "ETag") == header(whole, "ETag") != had
    assert header(delta, "Cache-Control") == "no-store, im"
    assert header(delta, "Content-Type") == header(whole, "Content-Type")
    titles = [entry.title for entry in feedparser.parse(delta.body).entries]
    assert titles == ["Acme opens plant 0", "Acme opens plant 1"]
    assert feedparser.parse(delta.body).feed == feedparser.parse(whole.body).feed
    assert ask(newsroom.site, "/news.atom", a_im="feed", if_none_match=header(delta, "ETag")).status == 304


def test_a_story_that_changed_is_in_the_delta():
    newsroom = Newsroom()
    newsroom.print(STORIES)
    had = header(ask(newsroom.site, "/tech.json"), "ETag")
    changed = a_story(
        entries=(a_stored_entry("Acme closes plant 3", link="https://herald.example/3"),),
        published=STORIES[3].published,
        updated_at=NOW,
        story_id=STORIES[3].story_id,
        ref=STORIES[3].ref,
        sectioning=a_sectioning("tech"),
    )
    newsroom.print([*STORIES[:3], changed, *STORIES[4:]])
    delta = ask(newsroom.site, "/tech.json", a_im="feed;q=0.5, vcdiff", if_none_match=f'"unknown", W/{had}')
    assert delta.status == 226
    assert [item["title"] for item in json.loads(delta.body)["items"]] == ["Acme closes plant 3"]


@pytest.mark.parametrize(
    ("accept_encoding", "coding"), [("br, gzip", "br"), ("gzip, br;q=0.5", "gzip"), ("gzip", "gzip"), ("", None)]
)
def test_a_delta_has_the_coding_and_the_tag_of_the_whole_and_who_comes_back_with_it_has_all(accept_encoding, coding):
    newsroom = Newsroom()
    newsroom.print(STORIES[1:])
    had = header(ask(newsroom.site, "/news.rss", accept_encoding="br"), "ETag")
    newsroom.print(STORIES)
    delta = ask(newsroom.site, "/news.rss", a_im="feed", if_none_match=had, accept_encoding=accept_encoding)
    assert (delta.status, header(delta, "Content-Encoding")) == (226, coding)
    whole = ask(newsroom.site, "/news.rss", accept_encoding=accept_encoding)
    assert header(delta, "ETag") == header(whole, "ETag")
    plain = {"gzip": gzip.decompress, "br": brotli.decompress, None: bytes}[coding](delta.body)
    assert len(feedparser.parse(plain).entries) == 1
    tag = header(delta, "ETag")
    again = ask(newsroom.site, "/news.rss", a_im="feed", if_none_match=tag, accept_encoding=accept_encoding)
    assert again.status == 304


@pytest.mark.parametrize(
    "headers",
    [
        {},  # does not ask
        {"a_im": "vcdiff, gzip"},
        {"a_im": "feed;q=0"},
        {"a_im": "feed" + " " * 2000},
        {"a_im": "feed", "if_none_match": '"never-heard-of"'},
        {"a_im": "feed", "if_none_match": "garbage"},
        {"a_im": "feed", "if_none_match": ""},
    ],
)
def test_who_gets_the_whole_feed(headers):
    newsroom = Newsroom()
    newsroom.print(STORIES[1:])
    headers = dict(headers)
    headers.setdefault("if_none_match", header(ask(newsroom.site, "/news.atom"), "ETag"))
    newsroom.print(STORIES)
    answer = ask(newsroom.site, "/news.atom", **headers)
    assert answer.status == 200
    assert len(feedparser.parse(answer.body).entries) == 6


def test_a_feed_that_is_new_throughout_is_sent_whole():
    newsroom = Newsroom()
    newsroom.print(STORIES[:2])
    had = header(ask(newsroom.site, "/news.atom"), "ETag")
    newsroom.print(STORIES[2:])
    assert ask(newsroom.site, "/news.atom", a_im="feed", if_none_match=had).status == 200


def test_after_a_restart_old_versions_are_not_known_and_the_feed_comes_whole():
    newsroom = Newsroom()
    newsroom.print(STORIES[1:])
    had = header(ask(newsroom.site, "/news.atom"), "ETag")
    restarted = Newsroom()
    restarted.print(STORIES)
    assert ask(restarted.site, "/news.atom", a_im="feed", if_none_match=had).status == 200


def document(items: list[bytes], previous: Rendered | None) -> Rendered:
    body = b"<feed>\n" + b"\n".join((*items, b"</feed>"))
    return rendered(body, "text/plain", NOW, previous, parts=parts_of(body, items, b"\n", past_of(previous)))


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True), min_size=2, max_size=8))
def test_a_delta_never_lacks_what_its_reader_does_not_have(editions):
    """Whatever was printed in between: what the reader had and the delta together hold the newest edition."""
    documents: list[Rendered] = []
    for edition in editions:
        items = [f"<i>{n}</i>".encode() for n in edition]
        documents.append(document(items, documents[-1] if documents else None))
    newest = documents[-1]
    for old in documents[:-1]:
        delta = changed_since(newest.parts, old.etag)
        if delta is not None:
            assert old.etag in newest.parts.versions
            assert set(newest.parts.items) <= set(old.parts.items) | set(delta.splitlines())
            assert len(delta) < len(newest.body)


def test_only_so_many_versions_are_remembered():
    printed = [document([b"<i>0</i>"], None)]
    for n in range(1, 200):
        printed.append(document([f"<i>{n}</i>".encode(), f"<i>{n - 1}</i>".encode()], printed[-1]))
    assert len(printed[-1].parts.versions) == 64
    assert changed_since(printed[-1].parts, printed[-2].etag) == b"<feed>\n<i>199</i>\n</feed>"
    assert changed_since(printed[-1].parts, printed[0].etag) is None


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, False),
        ("", False),
        ("feed", True),
        ("FEED", True),
        ("vcdiff, feed", True),
        ("feed;q=0", False),
        ("feeds", False),
    ],
)
def test_who_wants_deltas(header, wanted):
    assert wants_delta(header) is wanted


# ---------------------------------------------------------------- a page at a feed's address


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (CHROMIUM, True),
        (FIREFOX, True),
        ("text/html", True),
        ("text/html, application/rss+xml;q=0.5", True),
        (None, False),
        ("", False),
        ("*/*", False),
        ("text/html, */*", False),  # strictly better, or it is a feed
        ("text/html, application/atom+xml", False),
        ("text/html;q=0.5, application/rss+xml", False),
        ("text/*", False),
        ("text/html, text/*", False),
        ("text/html;q=0", False),
        ("text/html;q=abc", False),
        ("application/atom+xml, application/rss+xml, application/xml;q=0.8, text/html;q=0.7, */*;q=0.5", False),
        ("application/feed+json, application/json, text/html;q=0.2", False),
        (CHROMIUM + " " * 2000, False),
    ],
)
def test_who_gets_a_page_at_a_feeds_address(accept, is_page):
    assert prefers_page(accept) is is_page


@pytest.mark.parametrize("ending", ["atom", "rss", "json"])
def test_a_browser_sees_what_a_feed_is_and_a_reader_gets_the_feed(ending):
    newsroom = Newsroom()
    newsroom.print(STORIES)
    page = ask(newsroom.site, f"/tech.{ending}", accept=FIREFOX)
    feed = ask(newsroom.site, f"/tech.{ending}", accept="application/atom+xml, */*;q=0.1")
    assert header(page, "Content-Type") == "text/html; charset=utf-8"
    assert b"This is a feed" in page.body
    assert f"/tech.{ending}</code>".encode() in page.body
    assert b"Acme opens plant 5" in page.body
    assert b"Acme opens plant 5" in feed.body
    assert header(feed, "Content-Type") != header(page, "Content-Type")
    assert header(page, "Vary") == header(feed, "Vary") == "Accept, Accept-Encoding"
    assert header(page, "Access-Control-Allow-Origin") is None
    # Each has its own tag, and neither is taken for the other.
    assert ask(newsroom.site, f"/tech.{ending}", accept=FIREFOX, if_none_match=header(page, "ETag")).status == 304
    assert ask(newsroom.site, f"/tech.{ending}", accept=FIREFOX, if_none_match=header(feed, "ETag")).status == 200
    assert ask(newsroom.site, f"/tech.{ending}", if_none_match=header(page, "ETag")).status == 200
    assert "img-src" in header(page, "Content-Security-Policy")


def test_what_is_no_feed_does_not_vary_by_accept():
    newsroom = Newsroom()
    newsroom.print(STORIES)
    assert header(ask(newsroom.site, "/tech"), "Vary") == "Accept-Encoding"
