"""Documents made to hurt: each ends within its limits, as a feed or as a failure with a reason, and hurts nobody else.

They go through real children with two seconds of processor time instead of five. Those in `DEADLY` are the ones
that no measure before the parser stops; the kernel does.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from datetime import UTC, datetime

import pytest

from aggregator.types import FailureReason, ParsedFeed, ParseFailed
from aggregator.workers import Workers

NOW = datetime(2026, 6, 1, tzinfo=UTC)
URL = "https://feeds.example/feed.xml"
HEAD = b'<rss version="2.0"><channel><title>t</title>'
TAIL = b"</channel></rss>"
JSON = b'{"version":"https://jsonfeed.org/version/1.1","items":'


def item(inside: bytes) -> bytes:
    return HEAD + b"<item>" + inside + b"</item>" + TAIL


def laughs() -> bytes:
    """A billion of them: each entity ten of the one before."""
    entities = b"".join(b'<!ENTITY %c "%s">' % (98 + depth, b"&%c;" % (97 + depth) * 10) for depth in range(10))
    return b'<!DOCTYPE rss [<!ENTITY a "ha">' + entities + b"]>" + item(b"<title>&k;</title>")


def many(pattern: bytes, count: int) -> bytes:
    return b" ".join(pattern % number for number in range(count))


SURVIVED: dict[str, bytes] = {
    "entities inside the body": item(b'<title>x</title><!ENTITY a "' + b"a" * 50_000 + b'">' + b"&a;" * 5000),
    "nesting": HEAD + b"<a>" * 20_000 + b"</a>" * 20_000 + TAIL,
    "nesting in markup": item(b"<description>" + b"&lt;div&gt;" * 60_000 + b"</description>"),
    "nesting in every entry": HEAD
    + (b"<item><description>" + b"&lt;b&gt;" * 250 + b"</description></item>") * 300
    + TAIL,
    "attributes": item(b"<title " + many(b'a%d="x"', 20_000) + b">x</title>"),
    "attributes in markup": item(b"<description>&lt;p " + many(b"a%d=x", 10_000) + b"&gt;</description>"),
    "namespaces": b'<rss version="2.0" ' + many(b'xmlns:a%d="u"', 10_000) + b"><channel><title>t</title>" + TAIL,
    "names": HEAD + many(b"<x%d/>", 100_000) + TAIL,
    "encodings": b"<?xml version='1.0' " + b"encoding='" * 20_000 + b"?>" + item(b"<title>x</title>"),
    "encodings before": b"encoding='" * 20_000 + item(b"<title>x</title>"),
    "newlines before": b"\n" * 1_000_000 + item(b"<title>&nosuch; x</b></title>"),
    "instructions before": b"<?a ?>" * 200_000 + item(b"<title>x</title>"),
    "comments before": b"<!-- -->" * 200_000 + item(b"<title>x</title>"),
    "types before": b"<!DOCTYPE a>" * 200_000 + item(b"<title>x</title>"),
    "author": item(b"<author>" + b"a." * 160_000 + b"@" + b"b." * 16_000 + b"</author>"),
    "title": item(b"<title>" + b"a b" * 1_000_000 + b"</title>"),
    "tags in a title": item(b"<title>" + b"&lt;b&gt;" * 100_000 + b"</title>"),
    "ampersands": HEAD + b"&" * 1_000_000 + TAIL,
    "sections unclosed": HEAD + b"<item><title>" + b"<![CDATA[" * 200_000,
    "items": HEAD + b"<item/>" * 1_000_000 + TAIL,
    "items with titles": HEAD + b"<item><title>x</title></item>" * 250_000 + TAIL,
    "items of JSON": JSON + b"[" + b",".join([b"{}"] * 500_000) + b"]}",
    "categories": item(b"<category>x</category>" * 200_000),
    "dates": HEAD + (b"<item><pubDate>" + b"1:" * 39 + b"</pubDate><guid>x</guid></item>") * 5000 + TAIL,
    "address": item(b"<link>https://" + b"a." * 500_000 + b"/</link><guid>" + b"g" * 1_000_000 + b"</guid>"),
    "language": item(b"<title>x</title></item></channel><language>" + b"a-" * 500_000 + b"</language><channel><item>"),
    "control characters": item(bytes(range(1, 32)) * 1000 + b"<title>x\x00\x0by</title>"),
    "surrogates": item(b"<title>&#xD83D;&#xDE00;&#xDC00;&#0;&#xFFFE;</title></b>"),
    "wrong encoding": '<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel/></rss>'.encode("utf-16"),
    "not the encoding it says": b'<?xml version="1.0" encoding="utf-16"?>' + item(b"<title>x</title>"),
    "bad UTF-8": item(b"<title>" + bytes(range(128, 256)) * 1000 + b"</title>"),
    "truncated": item(b"<title>x</title>")[:-20],
    "wrong types": JSON + json.dumps([{"id": [], "title": {}, "tags": 5, "url": None, "authors": "x"}]).encode() + b"}",
}
REFUSED: dict[str, tuple[bytes, FailureReason]] = {
    "a billion laughs": (laughs(), FailureReason.MALFORMED),
    "one large entity": (
        b'<!DOCTYPE rss [<!ENTITY a "' + b"a" * 100_000 + b'">]>' + item(b"&a;" * 1000),
        FailureReason.MALFORMED,
    ),
    "a gzip bomb": (gzip.compress(b"\0" * 100_000_000), FailureReason.TOO_LARGE),
    "deep JSON": (b"[" * 1_000_000, FailureReason.NOT_A_FEED),
    "deep JSON in a feed": (JSON + b"[" * 100_000 + b"]" * 100_000 + b"}", FailureReason.NOT_A_FEED),
    "items that are no list": (JSON + b'{"a": 1}}', FailureReason.NOT_A_FEED),
    "links for ever": (b"<html>" + b"<link " * 500_000, FailureReason.NOT_A_FEED),
    "zeros": (b"\0" * 1_000_000, FailureReason.NOT_A_FEED),
    "every byte": (bytes(range(256)) * 4000, FailureReason.NOT_A_FEED),
}
DEADLY: dict[str, bytes] = {
    "author that feedparser must read": item(b"<author>" + b"a." * 16_000 + b"</author><x></b>"),
    "items never closed": HEAD + b"<item><title>x</title>" * 400_000,
    "angle brackets": HEAD + b"<" * 8_000_000,
}


def answers(documents: list[bytes]) -> tuple[list[ParsedFeed | ParseFailed], Workers]:
    async def run() -> tuple[list[ParsedFeed | ParseFailed], Workers]:
        async with Workers(2, cpu_seconds=2) as workers:
            asked = [workers.parse(document, URL, None, frozenset(), NOW) for document in documents]
            return list(await asyncio.gather(*asked)), workers

    return asyncio.run(run())


def test_hostile_documents_are_read_within_the_limits() -> None:
    results, workers = answers(list(SURVIVED.values()))
    for name, result in zip(SURVIVED, results, strict=True):
        assert isinstance(result, ParsedFeed), f"{name}: {result}"
        assert len(result.entries) <= 2000, name
        for entry in result.entries:
            assert len(entry.title) <= 500, name
            assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", repr(entry)), name
    assert workers.kills == 0


def test_hopeless_documents_are_refused_with_a_reason() -> None:
    results, workers = answers([document for document, _ in REFUSED.values()])
    for (name, (_, reason)), result in zip(REFUSED.items(), results, strict=True):
        assert isinstance(result, ParseFailed), f"{name}: {result}"
        assert result.reason is reason, f"{name}: {result}"
        assert 0 < len(result.detail) < 300, name
    assert workers.kills == 0


@pytest.mark.parametrize("name", DEADLY)
def test_deadly_documents_kill_their_child_and_nothing_else(name: str) -> None:
    fine = item(b"<title>fine</title>")
    results, workers = answers([fine, DEADLY[name], fine, fine])
    assert [isinstance(result, ParsedFeed) for result in results] == [True, False, True, True]
    failed = results[1]
    assert isinstance(failed, ParseFailed)
    assert (failed.reason, workers.kills) == (FailureReason.LIMITS, 1)
