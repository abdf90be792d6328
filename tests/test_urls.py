from urllib.parse import urljoin, urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator import urls


@pytest.mark.parametrize(
    ("url", "base", "expected"),
    [
        ("/a/b", "https://example.org/feed.xml", "https://example.org/a/b"),
        ("//cdn.example.org/x.png", "https://example.org/", "https://cdn.example.org/x.png"),
        ("HTTP://Example.ORG:80/Path", None, "http://example.org/Path"),
        (" https://example.org/a\nb ", None, "https://example.org/ab"),
        ("https://bücher.example/ü?q=ä", None, "https://xn--bcher-kva.example/%C3%BC?q=%C3%A4"),
        ("https://example.org", None, "https://example.org/"),
        ("https://[2001:DB8::1]:8080/", None, "https://[2001:db8::1]:8080/"),
        ("javascript:alert(1)", "https://example.org/", None),
        ("JaVaScRiPt:alert(1)", None, None),
        ("data:text/html,x", None, None),
        ("file:///etc/passwd", None, None),
        ("https://user:pw@example.org/", None, None),
        ("https:///nohost", None, None),
        ("https://exa mple.org/", None, None),
        ("https://example.org:99999/", None, None),
        ("https://example.org/" + "a" * 3000, None, None),
        ("", "https://example.org/", None),
        ("not a url", None, None),
        (None, None, None),
    ],
)
def test_http_url_lets_through_only_what_can_be_followed(url, base, expected):
    assert urls.http_url(url, base) == expected


@pytest.mark.parametrize(
    "variant",
    [
        "http://example.org/news/story-1",
        "https://www.example.org/news/story-1/",
        "https://m.example.org/news/story-1",
        "https://amp.example.org/news/story-1",
        "https://example.org/news/story-1/amp/",
        "https://example.org/amp/news/story-1",
        "https://example.org/news/story-1?utm_source=rss&utm_medium=feed",
        "https://example.org/news/story-1?at_medium=RSS&at_campaign=rss",
        "https://example.org/news/story-1?fbclid=abc#comments",
        "https://example.org/news/story-1?ref=rss",
        "HTTPS://EXAMPLE.ORG:443/news/story-1#top",
        "https://example.org//news/%73tory-1",
        "https://example-org.cdn.ampproject.org/c/s/example.org/news/story-1",
        "https://www.google.com/url?q=https%3A%2F%2Fexample.org%2Fnews%2Fstory-1&sa=U",
        "https://www.google.com/amp/s/example.org/news/story-1",
        "https://www.m.example.org/news/story-1",
        "https://example.org/amp/amp/news/story-1/amp/amp/",
        "https://example.org/news/story-1/index.html/amp",
    ],
)
def test_one_page_has_one_canonical_url(variant):
    assert urls.canonical_url(variant) == "https://example.org/news/story-1"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("https://example.org/?p=1", "https://example.org/?p=2"),
        ("https://example.org/item?id=1", "https://example.org/item?id=2"),
        ("https://example.org/Story", "https://example.org/story"),
        ("https://example.org/story?source=1234", "https://example.org/story?source=99"),
        ("https://news.example.org/1", "https://example.org/1"),
        ("https://example.org/#!a", "https://example.org/#!b"),
        ("https://example.org/a%2Fb", "https://example.org/a/b"),
    ],
)
def test_different_pages_stay_different(a, b):
    assert urls.canonical_url(a) != urls.canonical_url(b)


def test_parameter_order_does_not_count():
    assert urls.canonical_url("https://e.org/?b=2&a=1") == urls.canonical_url("https://e.org/?a=1&b=2")


@given(st.text(max_size=80))
def test_canonical_url_never_raises_and_is_stable(tail):
    once = urls.canonical_url("https://example.org/" + tail)
    assert once is None or urls.canonical_url(once) == once


@given(st.lists(st.sampled_from(["amp", "a", "s.amp", "index.html", ""]), max_size=12).map("/".join))
def test_folding_one_part_of_a_path_leaves_none_for_the_next_time(path):
    once = urls.canonical_url("https://www.m.example.org/" + path)
    assert urls.canonical_url(once) == once


def test_a_lone_surrogate_in_an_address_is_no_character():
    assert urls.http_url("https://example.org/a\udcb0b?\ud800") == "https://example.org/a%EF%BF%BDb?%EF%BF%BD"


@given(st.text(max_size=80))
def test_anything_is_an_address_or_none(anything):
    for function in (urls.http_url, urls.canonical_url):
        result = function(anything)
        assert result is None or result.startswith(("http://", "https://"))
    assert isinstance(urls.host_key(anything), str)
    assert isinstance(urls.publisher_key(anything), str)
    assert isinstance(urls.for_log(anything), str)


_PIECES = st.lists(
    st.sampled_from(["a", "b.c", "..", ".", ".h", "..z", "d-e", "%20", "?q=1", "#f", ";p", "//", "/", "k@v", "é", "="]),
    max_size=5,
)


@given(
    st.sampled_from(["https://h.example", "http://h.example:81", "https://h.example:443", "http://a..b", "https://h"]),
    _PIECES.map("".join),
    _PIECES.map("".join),
)
def test_a_reference_leads_where_the_standard_library_says(server, path, reference):
    base = f"{server}/{path}"
    expected = urls.http_url(urljoin(base, reference)) if reference.strip() else None
    assert urls.http_url(reference, base) == expected


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://WWW.Example.org:443/x", "www.example.org"),
        ("http://example.org:8080/", "example.org:8080"),
        ("http://example.org:443/", "example.org"),
        ("http://example.org.:8080?x", "example.org:8080"),
        ("http://example.org:70000/", ""),
        ("http://[2001:DB8::1]/x", "[2001:db8::1]"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("nonsense", ""),
    ],
)
def test_host_key(url, key):
    assert urls.host_key(url) == key


@given(st.from_regex(r"\Ahttps?://[a-z0-9.-]{1,8}[a-z](:(80|443|4430|8080|0|080))?[/?#][a-z]?(:80|//@)?\Z"))
def test_plain_addresses_are_told_as_the_parser_tells_them(url):
    parts = urlsplit(url)
    shown = parts.hostname if parts.port in (None, 80, 443) else f"{parts.hostname}:{parts.port}"
    assert urls.host_key(url) == shown
    clean = urls.http_url(url)
    assert clean is None or urls.http_url(f" {clean}") == clean, "the long way leads to the same"


@pytest.mark.parametrize(
    ("url", "publisher"),
    [
        ("https://www.bbc.co.uk/news", "bbc.co.uk"),
        ("https://feeds.example.org/x", "example.org"),
        ("https://anna.substack.com/feed", "anna.substack.com"),
        ("http://127.0.0.1:8100/f/1.xml", "127.0.0.1:8100"),
        (None, ""),
    ],
)
def test_publisher_key(url, publisher):
    assert urls.publisher_key(url) == publisher


def test_for_log_hides_secrets():
    shown = urls.for_log("https://user:hunter2@example.org/feed?token=s3cret&page=2&api_key=x\nINFO forged")
    assert "hunter2" not in shown
    assert "s3cret" not in shown
    assert "\n" not in shown
    assert "page=2" in shown


def test_story_ref_is_fifty_bits():
    ref = urls.story_ref(UUID("12345678-1234-5678-1234-567812345678"))
    assert len(ref) == 10
    assert ref == urls.story_ref(UUID("12345678-1234-57ff-ffff-ffffffffffff"))
