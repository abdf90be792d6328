"""A document's bytes become a `ParsedFeed`, or a `ParseFailed` that says why not. Pure, and never raises on purpose.

JSON goes to `jsonfeed`; XML to the fast lane, and what that does not surely understand to feedparser, the reference.
Run it in a child process that may be killed (`workers`): feedparser can be made to take minutes and gigabytes, which
the measures below make rare and not impossible.
"""

from __future__ import annotations

import html
import io
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from aggregator.ingest import fastlane, jsonfeed, spans
from aggregator.ingest.clean import clean_feed
from aggregator.ingest.document import Text, decode
from aggregator.ingest.hints import HintTexts, feed_hints
from aggregator.ingest.media import images_in_order, is_picture, width_of
from aggregator.ingest.mend import mended, valid_references
from aggregator.ingest.raw import RawEntry, RawFeed, fuller
from aggregator.ingest.refusals import declares_entities, no_feed
from aggregator.ingest.spans import Span
from aggregator.types import FailureReason, ParsedFeed, ParseFailed

MAX_DOCUMENT = 16 << 20  # bytes; fetching stops at 8 MiB by default, a pushed document might not


def parse(
    document: bytes,
    url: str,
    content_type: str | None = None,
    known: frozenset[bytes] = frozenset(),
    now: datetime | None = None,
    marks: bytes = b"",
) -> ParsedFeed | ParseFailed:
    """What the document says, cleaned. Entries whose fingerprint is in `known` are listed in `unchanged` and no more.

    `url` is where the document came from, for its relative addresses; `now` judges its dates. Feeds of every version
    of RSS, Atom and JSON Feed are read, well-formed or not; `complaint` tells what was wrong with them. `marks` are
    those that the feed's last document came back with: the same is read in less time.
    """
    if now is None:
        raise TypeError("parse() needs to know the time")
    if not document.strip():
        return ParseFailed(FailureReason.EMPTY, "an empty document")
    if len(document) > MAX_DOCUMENT:
        return ParseFailed(FailureReason.TOO_LARGE, f"{len(document):,} bytes, more than {MAX_DOCUMENT:,}")
    if document[:2] == b"\x1f\x8b":
        unpacked = _gunzipped(document)
        if isinstance(unpacked, ParseFailed):
            return unpacked
        document = unpacked
    text = decode(document, content_type)
    if jsonfeed.looks_like_json(text.body):
        raw = jsonfeed.read(text.body)
        if isinstance(raw, str):
            return ParseFailed(FailureReason.NOT_A_FEED, raw)
        return clean_feed(raw, url, known, now, "json")
    if declares_entities(text.prolog):
        return ParseFailed(FailureReason.MALFORMED, "declares entities of its own, which we do not expand")
    if failure := no_feed(text):
        return failure
    body = text.octets
    places = spans.spans_of(body)
    read_before = spans.unpack(marks, known) if marks and places else {}
    if places and read_before:
        old = [place for place in places if place.mark in read_before]
        feed = fastlane.read(spans.without(body, old)) if old else None
        if feed is not None and len(feed.entries) == len(places) - len(old):
            feed.complaint = text.complaint
            parsed = clean_feed(feed, url, known, now, "fast")
            unchanged = (*(read_before[place.mark] for place in old), *parsed.unchanged)
            return replace(parsed, unchanged=unchanged, marks=_marks(places, read_before, feed))
    raw_feed = _by_fast_lane(text)
    if raw_feed is None:
        return _by_feedparser(text, url, known, now)
    parsed = clean_feed(raw_feed, url, known, now, "fast")
    is_repaired = raw_feed.complaint != text.complaint  # then what was read are not the bytes that came
    return replace(parsed, marks=_marks(places, {}, raw_feed)) if places and not is_repaired else parsed


def _by_fast_lane(text: Text) -> RawFeed | None:
    feed, complaint = fastlane.read(text.octets), text.complaint
    if feed is None and (repaired := mended(text.body)):
        mended_body, complaint = repaired
        feed = fastlane.read(mended_body.encode("utf-8", "replace"))
    if feed is not None:
        feed.complaint = complaint
    return feed


def _marks(places: list[Span], read_before: Mapping[bytes, bytes], feed: RawFeed) -> bytes:
    """The packed marks of a document, empty where its entries are not surely those that stand at `places`."""
    read_now = [place.mark for place in places if place.mark not in read_before]
    if len(read_now) != len(feed.entries):
        return b""
    found = dict(read_before)
    found.update((mark, entry.mark) for mark, entry in zip(read_now, feed.entries, strict=True) if entry.mark)
    return spans.pack((mark, found[mark]) for mark in dict.fromkeys(place.mark for place in places) if mark in found)


def _gunzipped(document: bytes) -> bytes | ParseFailed:
    """The content of a gzip file that a server sends without saying so, as some do."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = unpacker.decompress(document, MAX_DOCUMENT + 1)
    except zlib.error as error:
        return ParseFailed(FailureReason.NOT_A_FEED, f"gzip data that does not decode: {error}")
    if len(content) > MAX_DOCUMENT:
        return ParseFailed(FailureReason.TOO_LARGE, f"gzip data of more than {MAX_DOCUMENT:,} bytes")
    return content if content.strip() else ParseFailed(FailureReason.EMPTY, "an empty gzip file")


# ---------------------------------------------------------------- feedparser

_FORMATS = {"rss10": "rss10", "rss090": "rss09x", "atom10": "atom10", "atom03": "atom03", "atom": "atom10"}


def _by_feedparser(text: Text, url: str, known: frozenset[bytes], now: datetime) -> ParsedFeed | ParseFailed:
    try:
        result = _fed(text.body)
    except MemoryError:
        raise
    except Exception as error:  # KeyError, OverflowError, TypeError …: it has many ways to stumble
        return _recovered(text, url, known, now, f"feedparser raised {type(error).__name__}")
    feed, entries = result["feed"], result["entries"]
    if not entries and not result["version"]:
        return ParseFailed(FailureReason.MALFORMED, f"looks like a feed and is none: {_complaint(result, text)}")
    raw = _raw_feed(feed, result["version"])
    raw.complaint = _complaint(result, text)
    is_atom = raw.format.startswith("atom")
    raw.entries = [_raw_entry(entry, is_atom) for entry in entries]
    return clean_feed(raw, url, known, now, "feedparser")


def _recovered(
    text: Text, url: str, known: frozenset[bytes], now: datetime, complaint: str
) -> ParsedFeed | ParseFailed:
    """What libxml2 makes of a document that both ways could not read."""
    body, _ = mended(text.body) or (text.body, "")
    try:
        raw = fastlane.read(valid_references(body).encode("utf-8", "replace"), recover=True)
    except ValueError:  # names that are no UTF-8, which only a recovering libxml2 lets through
        raw = None
    if raw is None:
        return ParseFailed(FailureReason.MALFORMED, f"cannot be read: {complaint}")
    raw.complaint = f"not well-formed: {complaint}, read in part"
    return clean_feed(raw, url, known, now, "fast")


def _fed(body: str) -> Any:
    # Imported late: four in five documents never need it, and it is half of a child's memory.
    import feedparser

    # Nothing before the root (its searches there are quadratic), our own declaration, no declared entities, no
    # character references that it would raise for; a later `<!ENTITY` is text to it.
    body = valid_references(body.replace("<!ENTITY", "&lt;!ENTITY").replace("<!DOCTYPE", "&lt;!DOCTYPE"))
    document = b'<?xml version="1.0" encoding="utf-8"?>\n' + body.encode("utf-8", "replace")
    return feedparser.parse(
        io.BytesIO(document),  # a stream, never bytes: feedparser would open bytes that look like a path
        response_headers={"content-type": "application/xml; charset=utf-8"},
        sanitize_html=False,
        resolve_relative_uris=False,
    )


def _complaint(result: Any, text: Text) -> str | None:
    if text.complaint:
        return text.complaint
    if not result["bozo"]:
        return None
    error = result.get("bozo_exception")
    message = error.getMessage() if hasattr(error, "getMessage") else str(error)
    line = f", line {error.getLineNumber()}" if hasattr(error, "getLineNumber") else ""
    return f"not well-formed: {message[:200]}{line}"


def _raw_feed(feed: Any, version: str) -> RawFeed:
    said = HintTexts()
    for name in ("ttl", "sy_updateperiod", "sy_updatefrequency", "sy_updatebase"):
        if isinstance(value := feed.get(name), str):
            said.add(name.replace("_", ":"), [value])
    links = [link for link in _parts(feed, "links") if link.get("href")]
    return RawFeed(
        format=_FORMATS.get(version) or ("rss09x" if version.startswith("rss09") else "rss20"),
        title=_source_of(feed, "title", version.startswith("atom")) or "",
        site_url=_string(feed.get("link")),
        self_url=next((link["href"] for link in links if link.get("rel") == "self"), None),
        language=_string(feed.get("language")),
        author=_string(feed.get("author")) if version.startswith("atom") else None,
        hub_urls=tuple(link["href"] for link in links if link.get("rel") == "hub"),
        hints=feed_hints(said),
    )


def _raw_entry(entry: Any, is_atom: bool) -> RawEntry:
    links = [link for link in _parts(entry, "links") if link.get("href")]
    replies: Any = next((link for link in links if _is_discussion(link)), {})
    enclosures = [
        (str(link["href"]), str(link.get("type") or ""), str(link.get("length") or ""))
        for link in links
        if link.get("rel") == "enclosure"
    ]
    content, is_second = _content_of(entry, is_atom)
    summary = _source_of(entry, "summary", is_atom)
    if is_second and not is_atom:
        content = fuller(content, summary)  # itunes:summary or the like, behind a description
    tags = [_string(tag.get("label")) or _string(tag.get("term")) for tag in _parts(entry, "tags")]
    return RawEntry(
        guid=_string(entry.get("id")),
        link=_string(entry.get("feedburner_origlink")) or _string(entry.get("link")),
        title=_source_of(entry, "title", is_atom) or "",
        author=_authors_of(entry),
        published=_plainly(entry, "published") or _plainly(entry, "created"),
        updated=_plainly(entry, "updated"),
        # Where an entry has content alone, feedparser shows it as summary as well.
        summary=None if summary == content else summary,
        content=content,
        categories=tuple(dict.fromkeys(tag for tag in tags if tag)),
        images=_images_of(entry, enclosures),
        enclosures=tuple(enclosures),
        comments_url=_string(entry.get("comments")) or _string(replies.get("href")),
        comment_count=_string(entry.get("slash_comments"))
        or _string(entry.get("thr_total"))
        or _string(replies.get("thr:count")),
        language=_language_of(entry),
        base=_string(_detail(entry, "title").get("base")),
        content_base=next((part["base"] for part in _parts(entry, "content") if part.get("base")), None),
    )


def _parts(context: Any, key: str) -> list[Any]:
    """feedparser's list of values at a key. An unknown element of that name (`<links>`) leaves its text there."""
    found = context.get(key)
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


def _detail(context: Any, key: str) -> Any:
    """What feedparser knows of the text at a key; as above, `<title_detail>` would be text."""
    found = dict.get(context, f"{key}_detail")
    return found if isinstance(found, dict) else {}


def _is_discussion(link: Any) -> bool:
    return link.get("rel") == "replies" and "html" in link.get("type", "html")


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _plainly(entry: Any, key: str) -> str | None:
    return _string(dict.get(entry, key))  # feedparser's own lookup answers `updated` with `published`


def _source_of(context: Any, key: str, is_atom: bool) -> str | None:
    """A text construct as HTML source."""
    value = _string(dict.get(context, key))
    detail = _detail(context, key)
    if value and is_atom and detail.get("type") == "text/plain":
        return html.escape(value, quote=False)
    return value


def _content_of(entry: Any, is_atom: bool) -> tuple[str | None, bool]:
    """The entry's content as HTML source, and whether it only says that it is text."""
    best, is_text = None, True
    for part in _parts(entry, "content"):
        value = _string(part.get("value"))
        is_plain = part.get("type") == "text/plain"
        if value and is_atom and is_plain:
            value = html.escape(value, quote=False)
        if value and (best is None or not is_plain):
            best, is_text = value, is_plain
    return best, is_text


def _authors_of(entry: Any) -> str | None:
    names = [_string(person.get("name")) or _string(person.get("email")) for person in _parts(entry, "authors")]
    return ", ".join(dict.fromkeys(name for name in names[:5] if name)) or _string(entry.get("author"))


def _images_of(entry: Any, enclosures: list[tuple[str, str, str]]) -> tuple[str, ...]:
    contents = [
        (width_of(media.get("width")), media["url"].strip())
        for media in _parts(entry, "media_content")
        if media.get("url") and is_picture(media["url"], media.get("medium"), media.get("type"))
    ]
    thumbnails = [
        (width_of(media.get("width")), media["url"].strip())
        for media in _parts(entry, "media_thumbnail")
        if media.get("url")
    ]
    image = entry.get("image")
    others = [image["href"]] if isinstance(image, dict) and image.get("href") else []
    others += [url for url, media_type, _ in enclosures if is_picture(url, None, media_type)]
    return images_in_order(contents, thumbnails, others)


def _language_of(entry: Any) -> str | None:
    details = [_detail(entry, key) for key in ("title", "summary")]
    return next((detail["language"] for detail in details if detail.get("language")), None)
