"""Values to rows and back: the one place that knows how a field is kept. Pure.

Times become whole microseconds since 1970 UTC; JSON text is written only where there is something to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aggregator.ingest.changes import key_of, keys_of, title_day_key
from aggregator.types import (
    Enclosure,
    Event,
    FailureReason,
    FeedHints,
    FeedState,
    Health,
    KnownEntry,
    ParsedEntry,
    Sectioning,
    SourceRef,
    StoredEntry,
    Validators,
)
from aggregator.urls import host_key

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Values = dict[str, Any]


def micros(moment: datetime) -> int:
    """An aware time as the column keeps it. A naive one is a fault of ours and raises TypeError."""
    return (moment - EPOCH) // _MICROSECOND


def maybe_micros(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """The aware UTC time that `micros` wrote."""
    return EPOCH + timedelta(microseconds=value)


def maybe_moment(value: int | None) -> datetime | None:
    return None if value is None else EPOCH + timedelta(microseconds=value)


def dump(value: object) -> str | None:
    """JSON text, None for what is empty."""
    return _encoded(value) if value else None


# Made once: `json.dumps` makes one for every call that wants other than its defaults.
_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def load(text: str | None) -> Any:
    return _decoded(text) if text else None


_decoded = json.JSONDecoder().decode


# ---------------------------------------------------------------- feeds


def feed_values(state: FeedState) -> Values:
    """What a poll changes in a feed's row."""
    return {
        **quiet_values(state),
        "current_url": state.current_url,
        "host": host_key(state.current_url),
        "title": _kept(state.title),
        "site_url": state.site_url,
        "language": state.language,
        "body_hash": state.body_hash,
        "hints": dump(_hints(state.hints)) if state.hints != _NO_HINTS else None,
        "last_change_at": maybe_micros(state.last_change_at),
        "memory": dump(dict(state.memory)),
    }


def quiet_values(state: FeedState) -> Values:
    """What a poll changes in a feed's row though it brings nothing. One that is only shown as disabled keeps what it
    was."""
    return {
        "at_feed": state.feed_id,
        "etag": _kept(state.validators.etag),
        "last_modified": _kept(state.validators.last_modified),
        "health": str(Health.NEW if state.health is Health.DISABLED else state.health),
        "failures": state.failures,
        "failure_reason": state.failure_reason and str(state.failure_reason),
        "failure_detail": _kept(state.failure_detail),
        "next_poll_at": 0 if state.next_poll_at is None else micros(state.next_poll_at),
        "next_poll_why": state.next_poll_why,
        "last_poll_at": maybe_micros(state.last_poll_at),
        "last_success_at": maybe_micros(state.last_success_at),
    }


_NO_HINTS = FeedHints()


def _hints(hints: FeedHints) -> Values:
    return {
        "ttl": hints.ttl,
        "every": hints.update_every,
        "base": maybe_micros(hints.update_base),
        "hours": hints.skip_hours,
        "days": hints.skip_days,
    }


def feed_state(row: Any) -> FeedState:
    """The feed as polling sees it; health is DISABLED where the configuration says so."""
    hints = load(row.hints)
    return FeedState(
        feed_id=row.feed_id,
        url=row.url,
        current_url=row.current_url,
        title=row.title,
        site_url=row.site_url,
        language=row.language,
        validators=Validators(row.etag, row.last_modified),
        body_hash=row.body_hash,
        hints=_NO_HINTS
        if hints is None
        else FeedHints(
            hints["ttl"],
            hints["every"],
            maybe_moment(hints["base"]),
            tuple(hints["hours"]),
            tuple(hints["days"]),
        ),
        health=Health(row.health) if row.is_enabled else Health.DISABLED,
        failures=row.failures,
        failure_reason=row.failure_reason and FailureReason(row.failure_reason),
        failure_detail=row.failure_detail,
        next_poll_at=moment(row.next_poll_at) if row.next_poll_at else None,
        next_poll_why=row.next_poll_why,
        last_poll_at=maybe_moment(row.last_poll_at),
        last_success_at=maybe_moment(row.last_success_at),
        last_change_at=maybe_moment(row.last_change_at),
        memory=load(row.memory) or {},
        pushed_until=maybe_moment(row.pushed_until),
        taken_down_at=maybe_moment(row.taken_down_at),
    )


def source_ref(row: Any) -> SourceRef:
    """The feed as later stages see it; its title is the configured one, its own, or its host."""
    return SourceRef(
        feed_id=row.feed_id,
        url=row.url,
        title=row.title_override or row.title or host_key(row.url),
        site_url=row.site_url,
        section=row.section,
        section_is_final=row.section_is_final,
        weight=row.weight,
        language=row.language,
    )


# ---------------------------------------------------------------- entries


def guid_key(feed_id: int, guid: str) -> int:
    """The key of a guid within its feed: guids such as `1` are many feeds'."""
    return key_of("guid", f"{feed_id} {guid}")


def _kept(text: str | None) -> str | None:
    """The text as PostgreSQL can keep it (no NUL, no lone surrogate); what is clean already is not copied."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    try:
        if "\0" not in text and text.encode("utf-8"):
            return text
    except UnicodeEncodeError:
        pass
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def entry_values(state: FeedState, entry: ParsedEntry, canonical_url: str | None, title_key: str) -> Values:
    """What the feed says about an entry, as the columns of `entries` keep it."""
    keys = keys_of(None, canonical_url, title_key, entry.published)
    return {
        "fingerprint": entry.fingerprint,
        "guid_key": guid_key(state.feed_id, entry.guid) if entry.guid else None,
        "page_key": keys.page,
        "title_day_key": keys.title,
        "guid": _kept(entry.guid),
        "link": entry.link,
        "canonical_url": canonical_url,
        "title": _kept(entry.title),
        "title_key": title_key,  # letters and digits alone
        "author": _kept(entry.author),
        "published": maybe_micros(entry.published),
        "updated": maybe_micros(entry.updated),
        "categories": _kept(dump(entry.categories)),
        "image_url": entry.image_url,
        "enclosures": _kept(dump([(e.url, e.media_type, e.length) for e in entry.enclosures])),
        "comments_url": entry.comments_url,
        "comment_count": entry.comment_count,
        "language": entry.language,
    }


def dated(published: datetime | None, first_seen: datetime) -> datetime:
    """The publisher's date where it can be believed: a date in the future must not sit on top until then."""
    return published if published is not None and published <= first_seen else first_seen


def text_values(entry_id: int, entry: ParsedEntry) -> Values | None:
    """The row of `texts`, None where there is no text. A summary that only repeats the content is kept as ""."""
    summary, content = _kept(entry.summary), _kept(entry.content)
    if not summary and not content:
        return None
    return {"entry_id": entry_id, "summary": "" if summary == content else summary or None, "content": content}


def stored_entry(row: Any, sources: Mapping[int, SourceRef]) -> StoredEntry:
    """The entry of a row of `entries` with `summary`, `content` and `last_success_at` joined to it."""
    first_seen = moment(row.first_seen)
    left_at = row.last_success_at if row.left_at is None else row.left_at
    return StoredEntry(
        entry_id=row.entry_id,
        source=sources[row.feed_id],
        title=row.title,
        first_seen=first_seen,
        last_seen=first_seen if left_at is None else max(first_seen, moment(left_at)),
        guid=row.guid,
        link=row.link,
        canonical_url=row.canonical_url,
        title_key=row.title_key,
        author=row.author,
        published=maybe_moment(row.published),
        updated=maybe_moment(row.updated),
        summary=row.content if row.summary == "" else row.summary,
        content=row.content,
        categories=tuple(load(row.categories) or ()),
        image_url=row.image_url,
        enclosures=tuple(Enclosure(*parts) for parts in load(row.enclosures) or ()),
        comments_url=row.comments_url,
        comment_count=row.comment_count,
        language=row.language,
        story_id=row.story_id and UUID(bytes=row.story_id),
        duplicate_of=row.duplicate_of,
    )


def known_entry(row: Any) -> KnownEntry:
    """From a row with exactly the columns of `entries._KNOWN`: by far the most frequent kind."""
    entry_id, _, guid, canonical_url, title_key, fingerprint, published, first_seen = row
    seen = EPOCH + timedelta(microseconds=first_seen)
    return KnownEntry(entry_id, guid, canonical_url, title_key, fingerprint, maybe_moment(published), seen)


def tombstone(key: int, buried_at: int) -> KnownEntry:
    return KnownEntry(0, None, None, "", b"", None, moment(buried_at), is_tombstone=True, key=key)


# ---------------------------------------------------------------- stories


@dataclass(frozen=True, slots=True)
class StoryRecord:
    """A story as grouping decided it. `published` is fixed when it begins and is kept from then on; `updated_at` is
    the caller's: it moves when something that readers see changed. `sources` is counted from the entries where None.
    `language`, `withheld` and `boost` are as in `types.Story`."""

    story_id: UUID
    lead_entry_id: int
    published: datetime
    updated_at: datetime
    sectioning: Sectioning
    labels: tuple[str, ...] = ()
    related: tuple[UUID, ...] = ()
    sources: int | None = None
    is_filed_by_hand: bool = False
    is_grouped_by_hand: bool = False
    language: str | None = None
    withheld: str | None = None
    boost: float = 1.0
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class StoryTombstone:
    """What is left of a pruned story: enough for a page that says it is gone."""

    ref: str
    story_id: UUID
    title: str
    link: str | None
    published: datetime
    buried_at: datetime
    is_taken_down: bool = False  # by the operator, and not by retention: then nobody is told what it was


def sectioning(row: Any) -> Sectioning:
    return Sectioning(load(row.probabilities) or {}, tuple(load(row.reasons) or ()), row.section, row.second)


def section_values(verdict: Sectioning) -> Values:
    return {
        "section": verdict.section,
        "second": verdict.second,
        "confidence": verdict.confidence,
        "probabilities": json.dumps({label: round(p, 6) for label, p in verdict.probabilities.items()}),
        "reasons": _kept(dump(verdict.reasons)),
    }


def dump_events(events: Sequence[Event]) -> str | None:
    """What happened as JSON: one object per event, without what is not known."""
    return _kept(dump([{name: value for name, value in asdict(event).items() if value} for event in events]))


def load_events(text: str | None) -> tuple[Event, ...]:
    """What `dump_events` wrote; fields that a newer version added are left out."""
    return tuple(_event(values) for values in load(text) or ())


_EVENT_FIELDS = frozenset(each.name for each in fields(Event))


def _event(values: Values) -> Event:
    known = {name: value for name, value in values.items() if name in _EVENT_FIELDS}
    return Event(**known | {"words": tuple(values.get("words", ()))})


def uuids(text: str | None) -> tuple[UUID, ...]:
    return tuple(UUID(value) for value in load(text) or ())


def dump_uuids(values: Sequence[UUID]) -> str | None:
    return dump([value.hex for value in values])


def twin_title_keys(entry: StoredEntry) -> tuple[int, ...]:
    """The `title_day_key`s of entries with the same title on the same day, dated or not."""
    keys = (title_day_key(entry.title_key, entry.dated), title_day_key(entry.title_key, None))
    return tuple(key for key in keys if key is not None)
