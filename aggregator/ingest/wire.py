"""How a parse travels between the daemon and the child that does it: frames, a length before each.

What comes back is JSON and texts, because it is not to be trusted with more: the child has read a stranger's document,
and unpickling or unmarshalling what a conquered child says would hand the daemon over too. Every value is checked on
arrival. The texts of entries, nine tenths of an answer, stand as they are behind the JSON that says how long each is:
nothing in them is escaped, and searched for what was. Answers come in frames of about FRAME bytes so that reading one
never keeps the event loop busy for long.

    request   header {"url", "content_type", "now", "known", "marks", "document"} (lengths in bytes), then those bytes
    answer    frames of: length of the JSON, JSON [head or null, entries], texts
              the head: {"failed": [reason, detail]} or {"feed": […], "entries": n, …}; frames come until n are through
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from aggregator.ingest.raw import FINGERPRINT_BYTES
from aggregator.ingest.spans import MAX_SPANS, PAIR_BYTES
from aggregator.types import Enclosure, FailureReason, FeedHints, ParsedEntry, ParsedFeed, ParseFailed

VERSION = 1  # of what is written here, one byte; a child says it first, as an upgrade may have replaced its program
FRAME = 128 * 1024  # characters; reading that many takes half a millisecond
MAX_FRAME = 16 << 20  # bytes; one entry is at most two fields of html.MAX_HTML, escaped
LENGTH_BYTES = 4


class WireError(ValueError):
    """The other side sent what it never should."""


_encoded = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def frame(message: object, texts: Sequence[bytes] = ()) -> bytes:
    """One message of an answer with its length before it; `texts` are those whose lengths stand in it, in order."""
    said = _octets(_encoded(message))
    size = LENGTH_BYTES + len(said) + sum(map(len, texts))
    return b"".join((_length(size), _length(len(said)), said, *texts))


def _length(size: int) -> bytes:
    return size.to_bytes(LENGTH_BYTES, "big")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "replace")


# ---------------------------------------------------------------- request


def pack_request(
    document: bytes, url: str, content_type: str | None, known: frozenset[bytes], now: datetime, marks: bytes = b""
) -> tuple[bytes, bytes]:
    """The header's frame with fingerprints and marks behind it, and the document, untouched: it is not copied."""
    fingerprints = b"".join(known)
    header = {
        "url": url,
        "content_type": content_type,
        "now": now.timestamp(),
        "known": len(fingerprints),
        "marks": len(marks),
        "document": len(document),
    }
    said = _octets(_encoded(header))
    return b"".join((_length(len(said)), said, fingerprints, marks)), document


def unpack_known(fingerprints: bytes) -> frozenset[bytes]:
    """The fingerprints that `pack_request` joined."""
    size = FINGERPRINT_BYTES
    return frozenset(fingerprints[start : start + size] for start in range(0, len(fingerprints), size))


# ---------------------------------------------------------------- answer


def pack_answer(result: ParsedFeed | ParseFailed) -> Iterator[bytes]:
    """The frames of an answer, the first of them with its head."""
    if isinstance(result, ParseFailed):
        yield frame([{"failed": [str(result.reason), result.detail]}, []])
        return
    head: dict[str, object] | None = _pack_head(result)
    rows: list[tuple[object, ...]] = []
    texts: list[bytes] = []
    size = 0
    for entry in result.entries:
        rows.append(_pack_entry(entry, texts))
        size += 500 + len(entry.summary or "") + len(entry.content or "")
        if size >= FRAME:
            yield frame([head, rows], texts)
            head, rows, texts, size = None, [], [], 0
    if rows or head:
        yield frame([head, rows], texts)


def _pack_head(feed: ParsedFeed) -> dict[str, object]:
    hints = feed.hints
    return {
        "feed": [feed.title, feed.site_url, feed.language, feed.self_url, feed.format, feed.lane, feed.complaint],
        "hub_urls": feed.hub_urls,
        "hints": [hints.ttl, hints.update_every, _stamp(hints.update_base), hints.skip_hours, hints.skip_days],
        "unchanged": b"".join(feed.unchanged).hex(),
        "marks": feed.marks.hex(),
        "entries": len(feed.entries),
    }


def _pack_entry(entry: ParsedEntry, texts: list[bytes]) -> tuple[object, ...]:
    """The entry's row, with lengths where `texts` holds what it says."""
    return (
        entry.fingerprint.hex(),
        entry.guid,
        entry.link,
        entry.title,
        entry.author,
        _stamp(entry.published),
        _stamp(entry.updated),
        _set_apart(entry.summary, texts),
        _set_apart(entry.content, texts),
        entry.categories,
        entry.image_url,
        [(enclosure.url, enclosure.media_type, enclosure.length) for enclosure in entry.enclosures],
        entry.comments_url,
        entry.comment_count,
        entry.language,
    )


def _set_apart(text: str | None, texts: list[bytes]) -> int | None:
    if text is None:
        return None
    texts.append(_octets(text))
    return len(texts[-1])


def _stamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


class Answer:
    """An answer as it arrives: `add` each frame's body, until `is_complete`; then `result`. Raises WireError."""

    def __init__(self) -> None:
        self._head: dict[str, Any] | None = None
        self._entries: list[ParsedEntry] = []
        self._expected = 0
        self._failed: ParseFailed | None = None

    @property
    def is_complete(self) -> bool:
        return self._failed is not None or (self._head is not None and len(self._entries) >= self._expected)

    def add(self, body: bytes) -> None:
        try:
            start = LENGTH_BYTES + int.from_bytes(body[:LENGTH_BYTES], "big")
            head, rows = json.loads(str(body[LENGTH_BYTES:start], "utf-8"))
            if self._head is None:
                self._begin(head)
            texts = _Texts(body, start)
            for row in rows:
                self._entries.append(_unpack_entry(row, texts))
            if not texts.is_read:
                raise ValueError("texts that belong to no entry")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise WireError(f"an answer that cannot be read: {error}") from error

    def _begin(self, head: dict[str, Any]) -> None:
        if "failed" in head:
            reason, detail = head["failed"]
            self._failed = ParseFailed(FailureReason(reason), _need(detail)[:500])
        else:
            self._head, self._expected = head, int(head["entries"])

    def result(self) -> ParsedFeed | ParseFailed:
        """The values that were sent."""
        if self._failed is not None:
            return self._failed
        if self._head is None:
            raise WireError("an answer without a head")
        try:
            return self._feed(self._head)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise WireError(f"an answer that cannot be read: {error}") from error

    def _feed(self, head: dict[str, Any]) -> ParsedFeed:
        title, site_url, language, self_url, form, lane, complaint = head["feed"]
        ttl, every, base, hours, days = head["hints"]
        unchanged = bytes.fromhex(head["unchanged"])
        if lane not in ("fast", "feedparser", "json"):
            raise WireError(f"no lane is called {lane!r}")
        return ParsedFeed(
            title=_text(title),
            site_url=_text(site_url),
            entries=tuple(self._entries),
            unchanged=tuple(
                unchanged[start : start + FINGERPRINT_BYTES] for start in range(0, len(unchanged), FINGERPRINT_BYTES)
            ),
            language=_text(language),
            hints=FeedHints(_whole(ttl), _whole(every), _moment(base), tuple(map(int, hours)), tuple(map(int, days))),
            hub_urls=tuple(map(_need, head["hub_urls"])),
            self_url=_text(self_url),
            format=_need(form),
            lane=lane,
            complaint=_text(complaint),
            marks=_marks(head["marks"]),
        )


class _Texts:
    """The texts behind a frame's JSON, taken off one after the other."""

    def __init__(self, body: bytes, start: int) -> None:
        self._body, self._position = body, start

    def take(self, size: Any) -> str | None:
        if size is None:
            return None
        start, self._position = self._position, self._position + size
        if type(size) is not int or size < 0 or self._position > len(self._body):
            raise ValueError("a text that is not there")
        return str(self._body[start : self._position], "utf-8")

    @property
    def is_read(self) -> bool:
        return self._position >= len(self._body)


def _unpack_entry(row: list[Any], texts: _Texts) -> ParsedEntry:
    mark, guid, link, title, author, published, updated, summary, content, categories, image_url, *rest = row
    enclosures, comments_url, comment_count, language = rest
    return ParsedEntry(
        bytes.fromhex(mark),
        _text(guid),
        _text(link),
        _need(title),
        _text(author),
        _moment(published),
        _moment(updated),
        texts.take(summary),
        texts.take(content),
        tuple(map(_need, categories)),
        _text(image_url),
        tuple([Enclosure(_need(url), _text(media_type), _whole(length)) for url, media_type, length in enclosures]),
        _text(comments_url),
        _whole(comment_count),
        _text(language),
    )


def _marks(value: str) -> bytes:
    if len(value) > 2 * MAX_SPANS * PAIR_BYTES:
        raise ValueError("more marks than a document has entries")
    return bytes.fromhex(value)


def _text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    raise TypeError(f"text expected, not {type(value).__name__}")


def _need(value: Any) -> str:
    if type(value) is str:
        return value
    raise TypeError(f"text expected, not {type(value).__name__}")


def _whole(value: Any) -> int | None:
    if value is None or type(value) is int:
        return value
    raise TypeError(f"a whole number expected, not {type(value).__name__}")


def _moment(value: Any) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(value, UTC)
