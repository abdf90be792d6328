"""What the last poll read is recognised by its bytes, and reading in part gives what reading the whole gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aggregator.ingest import spans
from aggregator.ingest.parse import parse
from aggregator.types import ParsedFeed

NOW = datetime(2026, 11, 1, tzinfo=UTC)
FIXTURES = sorted((Path(__file__).parent / "data" / "feeds").glob("*.xml"))
URL = "https://outlet.example/feed.xml"


def an_item(number: int, more: str = "") -> str:
    return f"<item><title>Headline number {number}</title><guid>{number}</guid>{more}</item>"


def an_rss(*items: str, head: str = "", root: str = '<rss version="2.0">') -> bytes:
    return f"{root}<channel><title>Outlet</title>{head}{''.join(items)}</channel></rss>".encode()


def read(document: bytes, last: ParsedFeed | None = None) -> ParsedFeed:
    """The document as the poll after `last` reads it."""
    known = frozenset((*(entry.fingerprint for entry in last.entries), *last.unchanged)) if last else frozenset()
    parsed = parse(document, URL, "application/xml", known, NOW, last.marks if last else b"")
    assert isinstance(parsed, ParsedFeed)
    return parsed


def places(document: bytes) -> list[bytes] | None:
    found = spans.spans_of(document)
    return None if found is None else [document[span.start : span.end] for span in found]


def test_entries_stand_where_their_elements_do() -> None:
    one, two = an_item(1).encode(), an_item(2).encode()
    assert places(an_rss(an_item(1), an_item(2))) == [one, two]
    assert places(b'<feed><entry xml:lang="en"><id>a</id></entry >\n<entry></entry></feed>') == [
        b'<entry xml:lang="en"><id>a</id></entry >',
        b"<entry></entry>",
    ]


@pytest.mark.parametrize(
    "inside", ["<![CDATA[ </item><item> ]]>", "<!-- </item> -->", "<items/>", "<![CDATA[<!--]]>", "&lt;item&gt;"]
)
def test_what_only_looks_like_an_entry_is_none(inside: str) -> None:
    item = an_item(1, f"<description>{inside}</description>")
    assert places(an_rss(item)) == [item.encode()]


@pytest.mark.parametrize(
    "document",
    [
        an_rss(an_item(1, an_item(2))),
        an_rss(an_item(1)).replace(b"</item>", b""),
        an_rss(an_item(1), "</item>"),
        an_rss(an_item(1, "<![CDATA[ open")),
        an_rss("<item/>", an_item(1)),
        an_rss(an_item(1, "<?php ?>")),
        b"<rss><channel>" + an_item(1).encode() + b"</channel>" + an_item(2).encode() + b"</rss>",
        an_rss(*(an_item(number) for number in range(spans.MAX_SPANS + 1))),
        an_rss(),
    ],
    ids=["nested", "never closed", "never opened", "open cdata", "empty", "instruction", "mixed", "many", "none"],
)
def test_the_unusual_is_read_as_a_whole(document: bytes) -> None:
    assert not places(document)


def test_a_new_entry_is_found_among_the_old_without_reading_them() -> None:
    last = read(an_rss(an_item(1), an_item(2)))
    parsed = read(an_rss(an_item(3), an_item(1), an_item(2), head="<lastBuildDate>later</lastBuildDate>"), last)
    assert [entry.guid for entry in parsed.entries] == ["3"]
    assert set(parsed.unchanged) == {entry.fingerprint for entry in last.entries}
    third = read(an_rss(an_item(3), an_item(1)), parsed)
    assert third.entries == ()
    assert len(third.unchanged) == 2


def test_an_entry_that_changed_by_a_letter_is_read_again() -> None:
    last = read(an_rss(an_item(1), an_item(2)))
    parsed = read(an_rss(an_item(1), an_item(2).replace("Headline", "Headlines")), last)
    assert [entry.title for entry in parsed.entries] == ["Headlines number 2"]


def test_marks_count_only_for_entries_that_the_store_has() -> None:
    """An operator's filter may have kept one out: it is read again, in case the filter is another by now."""
    last = read(an_rss(an_item(1), an_item(2)))
    parsed = read(an_rss(an_item(1), an_item(2)), replace(last, entries=last.entries[:1]))
    assert [entry.guid for entry in parsed.entries] == ["2"]


def test_the_tags_around_give_entries_their_meaning() -> None:
    """The same bytes under other namespaces are another entry."""
    root = '<rss version="2.0" xmlns:x="{}">'
    item = an_item(1, "<x:creator>Ann</x:creator>")
    dublin, other = root.format("http://purl.org/dc/elements/1.1/"), root.format("http://example.org/")
    last = read(an_rss(item, root=other))
    assert read(an_rss(item, root=other), last).entries == ()
    assert [entry.author for entry in read(an_rss(item, root=dublin), last).entries] == ["Ann"]


def test_a_document_that_is_broken_outside_of_its_known_entries_is_still_read() -> None:
    last = read(an_rss(an_item(1), an_item(2)))
    parsed = read(an_rss(an_item(3), an_item(1), an_item(2), head="<description>R&D</description>"), last)
    assert [entry.guid for entry in parsed.entries] == ["3"]
    assert parsed.complaint


def in_part(document: bytes) -> tuple[ParsedFeed, ParsedFeed] | None:
    """The document as read with every second of its entries known: as a whole, and in part."""
    first = parse(document, URL, None, frozenset(), NOW)
    if not isinstance(first, ParsedFeed):
        return None
    known = frozenset(entry.fingerprint for entry in first.entries[::2])
    whole = parse(document, URL, None, known, NOW)
    part = parse(document, URL, None, known, NOW, first.marks)
    assert isinstance(whole, ParsedFeed)
    assert isinstance(part, ParsedFeed)
    assert part.marks == first.marks
    return comparable(whole), comparable(part)


def comparable(parsed: ParsedFeed) -> ParsedFeed:
    return replace(parsed, unchanged=tuple(sorted(parsed.unchanged)), marks=b"")


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_reading_in_part_gives_the_same(path: Path) -> None:
    if (both := in_part(path.read_bytes())) is not None:
        assert both[0] == both[1]


def test_reading_in_part_gives_the_same_for_real_documents(shared: Path) -> None:
    documents = sorted((shared / "feeds").glob("*.xml"))
    marked = 0
    for path in documents:
        both = in_part(path.read_bytes())
        if both is not None:
            assert both[0] == both[1], path.name
            first = parse(path.read_bytes(), URL, None, frozenset(), NOW)
            marked += isinstance(first, ParsedFeed) and bool(first.marks)
    assert marked >= 0.75 * len(documents)  # 203 real ones: how many can be read in part at all
