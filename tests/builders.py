"""Values for tests: sensible in every field, so that a test names only what it is about.

    an_entry(title="Flood in Prague")
    a_story(entries=(a_stored_entry(title="Flood in Prague"), a_stored_entry(title="Prague under water")))

Nothing is random and nothing reads the clock: everything happens around `NOW`. Ids count up within a process where a
test does not give them; a test that compares ids gives them.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import count
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from aggregator.types import (
    LABELS,
    FailureReason,
    FeedChanges,
    FeedState,
    Fetched,
    FetchFailed,
    Health,
    KnownEntry,
    NewEntry,
    NotModified,
    ParsedEntry,
    ParsedFeed,
    PollResult,
    Sectioning,
    SourceRef,
    StoredEntry,
    Story,
    Validators,
)

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)  # a Wednesday
_numbers = count(1)


@dataclass(slots=True)
class Clock:
    """A clock that stands until a test sets it."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at


def ago(**parts: float) -> datetime:
    """A time before `NOW`: `ago(hours=2)`."""
    return NOW - timedelta(**parts)


def digest(*parts: object) -> bytes:
    """Sixteen bytes that stand for `parts`, the same every time."""
    return blake2b(repr(parts).encode(), digest_size=16).digest()


def slug(title: str) -> str:
    """`title` as the last part of a URL."""
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split()) or "untitled"


# ---------------------------------------------------------------- documents


def an_entry(title: str = "Quillon opens a plant in Brno", **fields: Any) -> ParsedEntry:
    """An entry as parsed: guid and link follow the title, the fingerprint follows every field."""
    link = fields.setdefault("link", f"https://herald.example/{slug(title)}")
    fields.setdefault("guid", link)
    fields.setdefault("published", ago(hours=1))
    fields.setdefault("summary", f"<p>{title}, the company said on Wednesday.</p>")
    fingerprint = fields.pop("fingerprint", None) or digest(title, sorted(fields.items(), key=lambda pair: pair[0]))
    return ParsedEntry(fingerprint=fingerprint, title=title, **fields)


def a_parsed_feed(*entries: ParsedEntry, **fields: Any) -> ParsedFeed:
    """A well-formed RSS 2.0 document with these entries."""
    values: dict[str, Any] = {
        "title": "The Herald",
        "site_url": "https://herald.example/",
        "language": "en",
        "format": "rss20",
        "entries": tuple(entries),
    }
    return ParsedFeed(**(values | fields))


# ---------------------------------------------------------------- asking


def a_feed_state(**fields: Any) -> FeedState:
    """A feed that was polled half an hour ago with success and is due now."""
    url = fields.get("url", "https://herald.example/feed.xml")
    values: dict[str, Any] = {
        "feed_id": 1,
        "url": url,
        "current_url": url,
        "title": "The Herald",
        "site_url": "https://herald.example/",
        "language": "en",
        "health": Health.OK,
        "next_poll_at": NOW,
        "last_poll_at": ago(minutes=30),
        "last_success_at": ago(minutes=30),
    }
    return FeedState(**(values | fields))


def a_fetched(body: bytes = b"<rss version='2.0'/>", **fields: Any) -> Fetched:
    """A 200 with `body`; headers and validators follow the fields."""
    url = fields.get("url", "https://herald.example/feed.xml")
    headers: Mapping[str, str] = fields.get("headers", {"content-type": "application/rss+xml"})
    values: dict[str, Any] = {
        "url": url,
        "final_url": url,
        "status": 200,
        "headers": headers,
        "body": body,
        "body_hash": digest(body),
        "validators": Validators(headers.get("etag"), headers.get("last-modified")),
    }
    return Fetched(**(values | fields))


def a_not_modified(**fields: Any) -> NotModified:
    """A 304 to validators that stay as they were."""
    url = fields.get("url", "https://herald.example/feed.xml")
    values: dict[str, Any] = {
        "url": url,
        "final_url": url,
        "status": 304,
        "headers": {},
        "validators": Validators(etag='"1"'),
    }
    return NotModified(**(values | fields))


def a_fetch_failed(reason: FailureReason = FailureReason.TIMEOUT, **fields: Any) -> FetchFailed:
    """No document, for `reason`."""
    values: dict[str, Any] = {
        "url": "https://herald.example/feed.xml",
        "reason": reason,
        "detail": "no answer within 30 s",
    }
    return FetchFailed(**(values | fields))


# ---------------------------------------------------------------- what is new


def a_new_entry(entry: ParsedEntry | None = None, **fields: Any) -> NewEntry:
    """An entry to be stored; `fields` that are not NewEntry's own make the entry."""
    own = {name: fields.pop(name) for name in ("canonical_url", "title_key") if name in fields}
    entry = entry or an_entry(**fields)
    return NewEntry(entry, own.get("canonical_url", entry.link), own.get("title_key", entry.title.casefold()))


def a_known_entry(entry: ParsedEntry | None = None, **fields: Any) -> KnownEntry:
    """What the store remembers of `entry`, seen first an hour ago."""
    entry = entry or an_entry()
    values: dict[str, Any] = {
        "entry_id": next(_numbers) if "entry_id" not in fields else 0,
        "guid": entry.guid,
        "canonical_url": entry.link,
        "title_key": entry.title.casefold(),
        "fingerprint": entry.fingerprint,
        "published": entry.published,
        "first_seen": ago(hours=1),
    }
    return KnownEntry(**(values | fields))


def a_poll_result(*entries: ParsedEntry, **fields: Any) -> PollResult:
    """A successful poll that brought `entries`, all of them new."""
    state = fields.get("state") or a_feed_state(last_poll_at=NOW, last_success_at=NOW)
    values: dict[str, Any] = {
        "state": state,
        "outcome": a_fetched(url=state.url),
        "changes": FeedChanges(new=tuple(a_new_entry(entry) for entry in entries)),
        "polled_at": NOW,
    }
    return PollResult(**(values | fields))


# ---------------------------------------------------------------- stories


def a_source_ref(**fields: Any) -> SourceRef:
    """The Herald, without a section hint. Give `title` alone and the addresses follow it."""
    title = fields.get("title", "The Herald")
    host = f"{slug(title).removeprefix('the-')}.example"
    values: dict[str, Any] = {
        "feed_id": 1,
        "url": f"https://{host}/feed.xml",
        "title": title,
        "site_url": f"https://{host}/",
        "language": "en",
    }
    return SourceRef(**(values | fields))


def a_stored_entry(title: str = "Quillon opens a plant in Brno", **fields: Any) -> StoredEntry:
    """An entry as kept, not grouped yet. `source` may be a SourceRef or a title."""
    source = fields.pop("source", None) or a_source_ref()
    if isinstance(source, str):
        source = a_source_ref(title=source, feed_id=int.from_bytes(digest(source)[:4]) + 2)
    link = fields.get("link", f"{source.site_url or 'https://herald.example/'}{slug(title)}")
    seen = fields.get("first_seen", ago(hours=1))
    values: dict[str, Any] = {
        "entry_id": fields["entry_id"] if "entry_id" in fields else next(_numbers),
        "source": source,
        "title": title,
        "first_seen": seen,
        "last_seen": seen,
        "guid": link,
        "link": link,
        "canonical_url": link,
        "title_key": title.casefold(),
        "published": seen,
        "summary": f"<p>{title}, the company said on Wednesday.</p>",
        "language": "en",
    }
    return StoredEntry(**(values | fields))


def a_sectioning(section: str | None = "tech", confidence: float = 0.9, **fields: Any) -> Sectioning:
    """A verdict held with `confidence`, the rest shared among the other labels. None: unsure, all alike."""
    if section is None:
        shares = dict.fromkeys(LABELS, 1 / len(LABELS))
    else:
        rest = (1 - confidence) / (len(LABELS) - 1)
        shares = {label: confidence if label == section else rest for label in LABELS}
    values: dict[str, Any] = {"probabilities": shares, "reasons": ("said so by the test",), "section": section}
    return Sectioning(**(values | fields))


def a_story(title: str = "Quillon opens a plant in Brno", **fields: Any) -> Story:
    """A tech story told by one entry; with `entries` (lead first) or `lead` it is told by those.

    `section` is short for `sectioning=a_sectioning(section)`. Id and ref follow the lead's link.
    """
    section = fields.pop("section", "tech")
    entries: tuple[StoredEntry, ...] = fields.pop("entries", ())
    lead: StoredEntry = fields.pop("lead", None) or (entries[0] if entries else a_stored_entry(title))
    story_id: UUID = fields.get("story_id") or uuid5(NAMESPACE_URL, lead.link or lead.title)
    values: dict[str, Any] = {
        "story_id": story_id,
        "ref": b32encode(story_id.bytes).decode()[:10].lower(),  # its first 50 bits
        "lead": lead,
        "entries": entries or (lead,),
        "published": lead.dated,
        "updated_at": lead.dated,
        "sectioning": a_sectioning(section),
    }
    return Story(**(values | fields))
