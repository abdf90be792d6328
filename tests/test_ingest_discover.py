"""Feeds found in pages, as pages really are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.ingest.discover import FoundFeed, feed_links, guesses

PAGE = "https://herald.example/news/today.html"


def urls(html, page=PAGE):
    return [found.url for found in feed_links(html.encode(), page)]


def test_declared_feeds_come_in_the_pages_order():
    html = b"""<head><link rel="alternate" type="application/rss+xml" title="All &amp; sundry" href="/rss">
    <LINK HREF='atom.xml' TYPE='application/atom+xml; charset=utf-8' REL='ALTERNATE'/>
    <link rel=alternate type=application/feed+json href=//cdn.example/feed.json></head>"""
    assert feed_links(html, PAGE) == (
        FoundFeed("https://herald.example/rss", "All & sundry", "application/rss+xml", True),
        FoundFeed("https://herald.example/news/atom.xml", None, "application/atom+xml", True),
        FoundFeed("https://cdn.example/feed.json", None, "application/feed+json", True),
    )


@pytest.mark.parametrize(
    "html",
    [
        '<link rel="alternate" hreflang="de" href="/de">',
        '<link rel="alternate stylesheet" type="application/rss+xml" href="/x">',
        '<link rel="alternate" type="application/json" href="/wp-json/wp/v2/pages/1">',
        '<link rel="alternate" type="application/json+oembed" href="/oembed">',
        '<link rel="search" type="application/opensearchdescription+xml" href="/s.xml">',
        '<link rel="alternate" type="application/rss+xml">',
        '<link rel="alternate" type="application/rss+xml" href="javascript:alert(1)">',
        '<link rel="alternate" type="application/rss+xml" href="http://user:word@a.example/feed">',
        '<a href="/about">About feeding cats</a>',
        '<a href="/sitemap.xml">map</a>',
        '<!-- <link rel="alternate" type="application/rss+xml" href="/rss"> -->',
        '<script>"<link rel=alternate type=application/rss+xml href=/rss>"</script>',
        "",
    ],
)
def test_what_is_no_feed(html):
    assert urls(html) == []


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("/rss", "https://herald.example/rss"),
        ("feed.xml", "https://herald.example/news/feed.xml"),
        ("/blog/feed/", "https://herald.example/blog/feed/"),
        ("https://feeds.feedburner.com/herald", "https://feeds.feedburner.com/herald"),
        ("/?feed=rss2", "https://herald.example/?feed=rss2"),
        ("feed://herald.example/f.rss", "http://herald.example/f.rss"),
        ("feed:https://herald.example/f.rss", "https://herald.example/f.rss"),
        (" /index.rdf ", "https://herald.example/index.rdf"),
    ],
)
def test_links_that_look_like_feeds(href, expected):
    assert urls(f'<a href="{href}">subscribe</a>') == [expected]


def test_declared_before_linked_comments_last_each_once():
    html = """<a href="/comments/feed/">c</a><a href="/extra.rss">x</a><a href="/rss">again</a>
    <link rel="alternate" type="application/rss+xml" title="Comments on Herald" href="/c.rss">
    <link rel="alternate" type="application/rss+xml" href="/rss">"""
    paths = [url.removeprefix("https://herald.example") for url in urls(html)]
    assert paths == ["/rss", "/c.rss", "/extra.rss", "/comments/feed/"]


def test_base_counts():
    html = '<base href="/sub/"><link rel="alternate" type="application/rss+xml" href="rss">'
    assert urls(html) == ["https://herald.example/sub/rss"]


def test_titles_in_their_charset():
    html = '<meta charset="iso-8859-2"><link rel=alternate type=application/rss+xml title="Zpráva" href=/r>'
    assert feed_links(html.encode("iso-8859-2"), PAGE)[0].title == "Zpráva"
    assert feed_links(html.replace("iso-8859-2", "rot13").encode(), PAGE)[0].title == "Zpráva"


def test_a_page_of_links_gives_a_bounded_answer():
    assert len(urls("".join(f'<a href="/{n}/feed">x</a>' for n in range(3000)))) == 50


@given(st.binary(max_size=300))
def test_any_bytes_are_a_page(html):
    assert isinstance(feed_links(b"<link rel=alternate type=application/rss+xml href=/r>" + html, PAGE), tuple)


def test_guesses_begin_near_the_page():
    places = guesses("https://herald.example/blog/")
    assert places[0] == "https://herald.example/blog/feed"
    assert "https://herald.example/feed" in places
    assert "https://herald.example/atom.xml" in places
    assert len(places) == len(set(places))
    assert guesses("mailto:x@y.example") == ()
