"""Subscription lists of strangers in, our own out."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from aggregator.config import Source
from aggregator.opml import OpmlError, Reading, Subscription, read_opml, write_feeds, write_sources


def a_list(body: str, head: str = "", version: str = "2.0") -> bytes:
    prolog = f'<?xml version="1.0" encoding="UTF-8"?>{head}'
    return f'{prolog}<opml version="{version}"><head/><body>{body}</body></opml>'.encode()


def test_feeds_are_read_from_nested_folders_in_order() -> None:
    reading = read_opml(
        a_list(
            """
            <outline text="News"><outline text="Startups &amp; VC" title="x">
              <outline type="rss" text="One" xmlUrl="https://one.example/feed" htmlUrl="https://one.example/"/>
              <outline type="rss" text="short" title="Two  &#x202e;lines" xmlUrl="https://two.example/feed"/>
            </outline></outline>
            <outline text="https://3.example/feed" xmlUrl="https://3.example/feed" category="/x,/Marketing/SEO"/>
            """
        )
    )

    assert reading == Reading(
        (
            Subscription("https://one.example/feed", "One", "companies"),
            Subscription("https://two.example/feed", "Two lines", "companies"),
            Subscription("https://3.example/feed", None, "marketing"),
        )
    )


@pytest.mark.parametrize(
    ("outline", "url"),
    [
        ('<outline xmlurl="https://a.example/"/>', "https://a.example/"),
        ('<outline XMLURL=" https://a.example/ "/>', "https://a.example/"),
        ('<outline xmlUrl="feed:https://a.example/"/>', "https://a.example/"),
        ('<outline xmlUrl="feed://https://a.example/"/>', "https://a.example/"),
        ('<outline type="rss" url="https://a.example/"/>', "https://a.example/"),
        ('<outline type="rss" text="a & b" xmlUrl="https://a.example/?x=1&y=2"/>', "https://a.example/?x=1&y=2"),
        ('<outline text="f"><outline xmlUrl="https://a.example/"></body></opml>', "https://a.example/"),
    ],
)
def test_lists_in_the_wild_are_read(outline: str, url: str) -> None:
    assert [feed.url for feed in read_opml(a_list(outline, version="1.0")).feeds] == [url]


def test_an_address_counts_once_and_what_is_no_web_address_is_named() -> None:
    urls = [
        "https://a.example/",
        "HTTPS://A.example:443",
        "javascript:alert(1)",
        "https://u:pw@b.example/",
        "file:///etc/passwd",
    ]
    reading = read_opml(a_list("".join(f'<outline xmlUrl="{url}"/>' for url in urls)))

    assert reading.feeds == (Subscription("https://a.example/"),)
    assert reading.skipped == ("javascript:alert(1)", "https://***@b.example/", "file:///etc/passwd")


@pytest.mark.parametrize(
    ("folder", "section"),
    [
        ("Technology", "tech"), ("Tech news", "tech"), ("Business/Startups", "companies"), ("Macro", "economics"),
        ("SEO & Social", "marketing"), ("Marketing tech", "marketing"), ("Companies", "companies"), ("Cooking", None),
        ("Biotechnology", None),
    ],
)  # fmt: skip
def test_the_section_is_guessed_from_the_folder(folder: str, section: str | None) -> None:
    body = f'<outline text="Tech"/><outline text="{folder.replace("&", "&amp;")}"><outline xmlUrl="https://a.example/"/></outline>'

    assert read_opml(a_list(body)).feeds[0].section == section


BOMB = "<!DOCTYPE opml [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "not XML"),
        (b"not xml", "not XML"),
        (b"\x00\xff\xfe", "not XML"),
        (b"<rss><channel/></rss>", "not OPML: the document is <rss>"),
        (a_list('<outline text="&b;" xmlUrl="https://a.example/"/>', BOMB), "declares entities"),
        (a_list("", BOMB.lower().replace("doctype", "DOCTYPE")), "declares entities"),
        (a_list("", "<!DOCTYPE opml [<!ATTLIST x y CDATA 'z'>]>"), "declares entities"),
        (a_list("", BOMB).decode().replace("UTF-8", "UTF-16").encode("utf-16"), "declares entities"),
        (a_list("", "").replace(b"UTF-8", b"UTF-7"), "the encoding UTF-7 is not read, save the list as UTF-8"),
        (b" " * (17 << 20), "larger than 16 MiB"),
    ],
)
def test_what_is_no_list_or_a_hostile_one_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(OpmlError, match=fault):
        read_opml(data)


def test_an_external_entity_is_not_fetched(tmp_path: object) -> None:
    reading = read_opml(a_list('<outline xmlUrl="https://a.example/"/>', '<!DOCTYPE opml SYSTEM "file:///etc/passwd">'))

    assert len(reading.feeds) == 1


def test_deep_nesting_is_cheap() -> None:
    """libxml2 stops at 256 levels; what stands above them is read."""
    start = time.process_time()
    reading = read_opml(a_list('<outline xmlUrl="https://a.example/"/>' + "<outline text='x'>" * 100_000))

    assert reading.feeds[0].url == "https://a.example/"
    assert time.process_time() - start < 5


def test_utf_16_is_read() -> None:
    text = a_list('<outline text="Größe" xmlUrl="https://a.example/"/>').decode().replace("UTF-8", "UTF-16")

    assert read_opml(text.encode("utf-16")).feeds[0].title == "Größe"


@given(
    st.binary(max_size=200) | st.text(alphabet="<>/opml'\"&; body=utlin!-[]xRU:h", max_size=80).map(lambda t: a_list(t))
)
def test_no_bytes_make_it_raise_anything_else(data: bytes) -> None:
    try:
        reading = read_opml(data)
    except OpmlError:
        reading = Reading(())
    assert all(feed.url.startswith("http") for feed in reading.feeds)


def test_sources_are_written_by_section_and_without_secrets() -> None:
    sources = [
        Source(url="https://a.example/?token=s3cret&x=1", title="A & B", section="tech", auth={"bearer": "s3cret"}),
        Source(url="https://b.example/", headers={"X-Key": "s3cret"}, proxy="http://u:s3cret@proxy:1"),
        Source(url="https://c.example/", title="C", section="tech"),
    ]

    written = write_sources("Our sources", sources)

    assert b"s3cret" not in written
    root = etree.fromstring(written)
    assert [outline.get("xmlUrl") for outline in root.findall("body/outline[@text='Tech']/outline")] == [
        "https://a.example/?token=***&x=1", "https://c.example/",
    ]  # fmt: skip
    assert read_opml(written).feeds == (
        Subscription("https://a.example/?token=***&x=1", "A & B", "tech"),
        Subscription("https://c.example/", "C", "tech"),
        Subscription("https://b.example/", None, None),
    )


def test_merged_feeds_are_written_for_readers() -> None:
    written = write_feeds("Bugle", [("Bugle: Tech\x0b", "https://b.example/tech.atom", "https://b.example/tech")])

    assert read_opml(written).feeds == (Subscription("https://b.example/tech.atom", "Bugle: Tech", None),)
    root = etree.fromstring(written)
    assert (root.get("version"), root.findtext("head/title")) == ("2.0", "Bugle")
    assert dict(root.find("body/outline").attrib) == {
        "type": "rss", "text": "Bugle: Tech", "title": "Bugle: Tech",
        "xmlUrl": "https://b.example/tech.atom", "htmlUrl": "https://b.example/tech",
    }  # fmt: skip
    assert written == write_feeds("Bugle", [("Bugle: Tech", "https://b.example/tech.atom", "https://b.example/tech")])
