"""`ingest.parse` over the documents in tests/data/feeds: each tells its case on top, and what must come of it.

A line `Expect: …` is a Python expression over the parsed feed's fields, `entry` (the first), `failed`, `at` and
`Enclosure`. A new case is a new file.
"""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.ingest.parse import parse
from aggregator.types import Enclosure, FailureReason, ParsedFeed, ParseFailed

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
URL = "https://feeds.example/folder/feed.xml"
FOLDER = Path(__file__).parent / "data" / "feeds"
CASES = sorted(path.name for path in FOLDER.iterdir())


def parsed(document: bytes, known: frozenset[bytes] = frozenset(), content_type: str | None = None) -> ParsedFeed:
    result = parse(document, URL, content_type, known, NOW)
    assert isinstance(result, ParsedFeed), result
    return result


def rss(items: str, attributes: str = "") -> bytes:
    return f'<rss version="2.0" {attributes}><channel><title>t</title>{items}</channel></rss>'.encode()


def expectations(path: Path) -> list[str]:
    document = path.read_bytes()
    if path.suffix == ".json":
        expected: list[str] = json.loads(document)["_expect"]
        return expected
    encoding = re.search(rb'encoding="([^"]+)"', document)
    names = [
        name
        for name in ("utf-8", "utf-16", encoding[1].decode().replace("ISO-8859-1", "cp1252") if encoding else "")
        if name
    ]
    for name in names:
        try:
            text = document.decode(name)
        except UnicodeError:
            continue
        if "Expect: " in text:
            return re.findall(r"^Expect: (.+)$", text, re.MULTILINE)
    raise AssertionError(f"{path.name} does not say what to expect")


@pytest.mark.parametrize("name", CASES)
def test_document_gives_what_it_says_on_top(name: str) -> None:
    path = FOLDER / name
    result = parse(path.read_bytes(), URL, None, frozenset(), NOW)
    scope: dict[str, object] = {"at": lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC)}
    scope["Enclosure"] = Enclosure
    if isinstance(result, ParseFailed):
        scope["failed"] = result
    else:
        scope |= {field: getattr(result, field) for field in result.__slots__}
        scope["entry"] = result.entries[0] if result.entries else None
    lines = expectations(path)
    assert lines
    for line in lines:
        assert eval(line, scope), f"{line}\n{result}"


@pytest.mark.parametrize(
    ("document", "reason", "detail"),
    [
        (b"", FailureReason.EMPTY, "empty"),
        (b" \n ", FailureReason.EMPTY, "empty"),
        (b"hello there", FailureReason.NOT_A_FEED, "plain text"),
        (b"\x00" * 500, FailureReason.NOT_A_FEED, "plain text"),
        (b"<?xml version='1.0'?><a/>", FailureReason.NOT_A_FEED, "<a>"),
        (b"[1, 2]", FailureReason.NOT_A_FEED, "a list"),
        (b"{", FailureReason.NOT_A_FEED, "not valid JSON"),
        (b"x" * (17 << 20), FailureReason.TOO_LARGE, "17,825,792 bytes"),
        (gzip.compress(b"\0" * (20 << 20), mtime=0), FailureReason.TOO_LARGE, "gzip"),
        (b"\x1f\x8bnonsense", FailureReason.NOT_A_FEED, "gzip"),
        (b"<rss", FailureReason.NOT_A_FEED, ""),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_feed_says_why(document: bytes, reason: FailureReason, detail: str) -> None:
    result = parse(document, URL, None, frozenset(), NOW)
    assert isinstance(result, ParseFailed)
    assert (result.reason, detail in result.detail) == (reason, True), result


def test_gzip_that_nobody_declared_is_unpacked() -> None:
    assert parsed(gzip.compress(rss("<item><title>x</title></item>"))).entries[0].title == "x"


def test_http_charset_is_heard_where_the_document_is_silent() -> None:
    document = rss("<item><title>Завод</title></item>").decode().encode("koi8-r")
    assert parsed(document, content_type="text/xml; charset=koi8-r").entries[0].title == "Завод"


def test_http_charset_does_not_beat_the_document() -> None:
    document = b'<?xml version="1.0" encoding="windows-1251"?>' + rss(
        "<item><title>Завод</title></item>"
    ).decode().encode("cp1251")
    assert parsed(document, content_type="text/xml; charset=iso-8859-1").entries[0].title == "Завод"


@pytest.mark.parametrize("name", ["rss20_full.xml", "atom10_full.xml", "broken_nesting.xml", "json11.json"])
def test_known_entries_are_only_listed(name: str) -> None:
    document = (FOLDER / name).read_bytes()
    first = parsed(document)
    prints = tuple(entry.fingerprint for entry in first.entries)
    again = parsed(document, frozenset(prints))
    assert (again.entries, again.unchanged) == ((), prints)
    assert all(len(each) == 16 for each in prints)


@pytest.mark.parametrize(
    ("was", "now", "is_change"),
    [
        ("Quillon", "Quillon & Sons", True),
        ("In short.", "In brief.", True),
        ("<b>length</b>", "<b>width</b>", True),
        ("08:15:00", "08:16:00", True),
        ("wide.jpg", "wider.jpg", True),
        ("<slash:comments>7", "<slash:comments>6", False),
        ("<slash:comments>7", "<slash:comments>8", True),
        ("<language>en-gb", "<language>en", False),
    ],
)
def test_fingerprint_changes_with_what_the_feed_says(was: str, now: str, is_change: bool) -> None:
    document = (FOLDER / "rss20_full.xml").read_text()
    before = parsed(document.encode()).entries[0].fingerprint
    assert was in document
    after = parsed(document.replace(was, now.replace("&", "&amp;")).encode()).entries[0].fingerprint
    assert (before != after) is is_change


def test_newest_entries_are_kept_of_too_many() -> None:
    def item(number: int) -> str:
        when = (NOW - timedelta(minutes=number)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        return f"<item><title>{number}</title><pubDate>{when}</pubDate></item>"

    oldest_first = parsed(rss("".join(item(number) for number in reversed(range(3000)))))
    assert [entry.title for entry in oldest_first.entries] == [str(number) for number in reversed(range(2000))]
    assert oldest_first.complaint == "3,000 entries, the newest 2,000 kept"


def test_parser_is_told_the_time() -> None:
    with pytest.raises(TypeError):
        parse(b"<rss/>", URL)


PIECES = [
    *("<", "&", "]]>", "<![CDATA[", "<!--", "<!DOCTYPE a [", "<!ENTITY a 'b'>", "&#xD800;", "&#99999999999;", "\x00"),
    *(
        "<item>",
        "</item>",
        "</channel>",
        "<div>",
        "<title>",
        "<image>",
        "<textinput>",
        "<source>",
        "<gml:pos>x</gml:pos>",
    ),
    *(
        'xml:base="http://["',
        "<link>http://[::1</link>",
        "<content type='xhtml'>",
        "\ud800",
        '<media:content url="//]"/>',
    ),
]


@settings(max_examples=150)
@given(st.data())
def test_no_mutation_of_a_document_raises(data: st.DataObject) -> None:
    document = (FOLDER / data.draw(st.sampled_from(CASES))).read_bytes()
    for piece in data.draw(st.lists(st.sampled_from(PIECES), max_size=6)):
        place = data.draw(st.integers(0, len(document)))
        cut = data.draw(st.sampled_from([0, 0, 7]))
        document = document[:place] + piece.encode("utf-8", "surrogatepass") + document[place + cut :]
    assert isinstance(parse(document, URL, None, frozenset(), NOW), ParsedFeed | ParseFailed)


@pytest.mark.parametrize("cut", range(0, 2600, 97))
def test_no_prefix_of_a_document_raises(cut: int) -> None:
    document = (FOLDER / "rss20_full.xml").read_bytes()
    assert isinstance(parse(document[:cut], URL, None, frozenset(), NOW), ParsedFeed | ParseFailed)
