"""How a parse travels between the daemon and the child that does it: frames of JSON, a length before each.

JSON, because what comes back is not to be trusted with more: the child has read a stranger's document, and unpickling
or unmarshalling what a conquered child says would hand the daemon over too. Every value is checked on arrival.
Answers come in frames of about FRAME bytes so that reading one never keeps the event loop busy for long.

    request   header {"url", "content_type", "now", "known", "marks", "document"} (lengths in bytes), then those bytes
    answer    {"failed": [reason, detail]} or {"feed": […], "entries": n, …}, then entries in lists until n are through
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from aggregator.ingest.raw import FINGERPRINT_BYTES
from aggregator.ingest.spans import MAX_SPANS, PAIR_BYTES
from aggregator.types import Enclosure, FailureReason, FeedHints, ParsedEntry, ParsedFeed, ParseFailed

FRAME = 128 * 1024  # characters; decoding that many takes a millisecond or two
MAX_FRAME = 16 << 20  # bytes; one entry is at most two fields of html.MAX_HTML, escaped
LENGTH_BYTES = 4


class WireError(ValueError):
    """The other side sent what it never should."""


def frame(message: object) -> bytes:
    """One message with its length before it."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


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
    return frame(header) + fingerprints + marks, document


def unpack_known(fingerprints: bytes) -> frozenset[bytes]:
    """The fingerprints that `pack_request` joined."""
    size = FINGERPRINT_BYTES
    return frozenset(fingerprints[start : start + size] for start in range(0, len(fingerprints), size))


# ---------------------------------------------------------------- answer


def pack_answer(result: ParsedFeed | ParseFailed) -> Iterator[bytes]:
    """The frames of an answer, the first of them its head."""
    if isinstance(result, ParseFailed):
        yield frame({"failed": [str(result.reason), result.detail]})
        return
    hints = result.hints
    yield frame(
        {
            "feed": [
                result.title,
                result.site_url,
                result.language,
                result.self_url,
                result.format,
                result.lane,
                result.complaint,
            ],
            "hub_urls": result.hub_urls,
            "hints": [hints.ttl, hints.update_every, _stamp(hints.update_base), hints.skip_hours, hints.skip_days],
            "unchanged": b"".join(result.unchanged).hex(),
            "marks": result.marks.hex(),
            "entries": len(result.entries),
        }
    )
    batch: list[list[object]] = []
    size = 0
    for entry in result.entries:
        batch.append(_pack_entry(entry))
        size += 500 + len(entry.summary or "") + len(entry.content or "")
        if size >= FRAME:
            yield frame(batch)
            batch, size = [], 0
    if batch:
        yield frame(batch)


def _pack_entry(entry: ParsedEntry) -> list[object]:
    return [
        entry.fingerprint.hex(),
        entry.guid,
        entry.link,
        entry.title,
        entry.author,
        _stamp(entry.published),
        _stamp(entry.updated),
        entry.summary,
        entry.content,
        entry.categories,
        entry.image_url,
        [[enclosure.url, enclosure.media_type, enclosure.length] for enclosure in entry.enclosures],
        entry.comments_url,
        entry.comment_count,
        entry.language,
    ]


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
            message = json.loads(body)
            if self._head is None:
                self._begin(message)
            else:
                self._entries.extend(map(_unpack_entry, message))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise WireError(f"an answer that cannot be read: {error}") from error

    def _begin(self, message: dict[str, Any]) -> None:
        if "failed" in message:
            reason, detail = message["failed"]
            self._failed = ParseFailed(FailureReason(reason), _need(detail)[:500])
        else:
            self._head, self._expected = message, int(message["entries"])

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


def _unpack_entry(row: list[Any]) -> ParsedEntry:
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
        _text(summary),
        _text(content),
        tuple(map(_need, categories)),
        _text(image_url),
        tuple(Enclosure(_need(url), _text(media_type), _whole(length)) for url, media_type, length in enclosures),
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
