"""Queries on stories: what grouping decided, and stories as values to publish from.

A story is read in three statements however many are asked for: its rows, their entries with texts, their sources.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.errors import StoreError
from aggregator.schema import entries, stories, story_labels, story_tombstones
from aggregator.store.engine import in_chunks, upsert
from aggregator.store.entries import STORED, of_page, stored
from aggregator.store.rows import (
    StoryRecord,
    StoryTombstone,
    Values,
    dump,
    dump_events,
    dump_uuids,
    load,
    load_events,
    maybe_moment,
    micros,
    moment,
    section_values,
    sectioning,
    uuids,
)
from aggregator.types import SECTIONS, UNSURE, Placement, StoredEntry, Story
from aggregator.urls import story_ref

WITHHELD = "withheld"  # asked for as a section: what a rule or its language keeps out of every feed and page
_ORDER = (stories.c.published.desc(), stories.c.ref)


@dataclass(frozen=True, slots=True)
class Saved:
    """What a grouping pass changed: numbers of stories begun, changed, and turned into redirects."""

    new_stories: int = 0
    changed_stories: int = 0
    merged_stories: int = 0


# ---------------------------------------------------------------- writing


def save_grouping(
    connection: sa.Connection,
    placements: Sequence[Placement],
    records: Sequence[StoryRecord],
    now: datetime,
    merged: Mapping[UUID, UUID],
    settled: Iterable[int],
) -> Saved:
    """Where entries went and what their stories became; the caller commits them together.

    A story whose last entry is moved away becomes a redirect to where that went. Raises StoreError, with nothing
    changed, for a story that would have no entries or whose lead is not among them.
    """
    existing = _existing(connection, {record.story_id.bytes for record in records})
    if records:
        # What a person files meanwhile must not be undone by a pass that began before: see `filing`.
        keep = ("created_at", "published", "shown_at", "top_at", "is_filed_by_hand", "touched_at")
        connection.execute(upsert(connection, stories, "story_id", keep), [_row(record, now) for record in records])
        save_labels(connection, records)
    left = _stories_of(connection, [placement.entry_id for placement in placements])
    if placements:
        connection.execute(_PLACE, [_placed(placement) for placement in placements])
    for some in in_chunks(sorted(set(settled))):
        connection.execute(sa.update(entries).where(entries.c.entry_id.in_(some)).values(is_stale=False))
    touched = {record.story_id.bytes for record in records} | {p.story_id.bytes for p in placements}
    went = {left[p.entry_id]: p.story_id.bytes for p in placements if p.entry_id in left}
    went = {old: new for old, new in went.items() if old != new}
    went |= {old.bytes: new.bytes for old, new in merged.items()}
    counts = _count(connection, touched | set(went))
    redirected = {old: new for old, new in went.items() if old not in counts}
    _redirect(connection, redirected, now)
    _check(connection, touched - set(redirected), counts)
    fixed = {record.story_id.bytes: record.sources for record in records if record.sources is not None}
    sources = [{"at_story": s, "sources": fixed.get(s, n)} for s, n in counts.items()]
    if sources:
        connection.execute(sa.update(stories).where(stories.c.story_id == sa.bindparam("at_story")), sources)
    return Saved(len(records) - len(existing), len(existing), len(redirected))


def _row(record: StoryRecord, now: datetime) -> Values:
    return {
        "story_id": record.story_id.bytes,
        "ref": story_ref(record.story_id),
        # A story of 2099 must not sit on top for ever.
        "published": micros(min(record.published, now)),
        "sources": record.sources or 1,
        "updated_at": micros(record.updated_at),
        "created_at": micros(now),
        "shown_at": None,
        "redirect_to": None,
        "lead_entry_id": record.lead_entry_id,
        "is_filed_by_hand": record.is_filed_by_hand,
        "is_grouped_by_hand": record.is_grouped_by_hand,
        "labels": dump(record.labels),
        "related": dump_uuids(record.related),
        "language": record.language,
        "withheld": record.withheld,
        "boost": record.boost,
        "events": dump_events(record.events),
        **section_values(record.sectioning),
    }


_PLACE = (
    sa.update(entries)
    .where(entries.c.entry_id == sa.bindparam("at_entry"))
    .values(
        story_id=sa.bindparam("story_id"),
        duplicate_of=sa.bindparam("duplicate_of"),
        score=sa.bindparam("score"),
        reasons=sa.bindparam("reasons"),
        is_stale=False,
    )
)


def _placed(placement: Placement) -> Values:
    return {
        "at_entry": placement.entry_id,
        "story_id": placement.story_id.bytes,
        "duplicate_of": placement.duplicate_of,
        "score": placement.score,
        "reasons": dump(placement.reasons),
    }


def _existing(connection: sa.Connection, story_ids: set[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for some in in_chunks(sorted(story_ids)):
        found.update(connection.scalars(sa.select(stories.c.story_id).where(stories.c.story_id.in_(some))))
    return found


def _stories_of(connection: sa.Connection, entry_ids: list[int]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    query = sa.select(entries.c.entry_id, entries.c.story_id).where(entries.c.story_id.is_not(None))
    for some in in_chunks(entry_ids):
        found.update(connection.execute(query.where(entries.c.entry_id.in_(some))).all())
    return found


def _count(connection: sa.Connection, story_ids: set[bytes]) -> dict[bytes, int]:
    """How many sources tell each story; one that no entry tells is missing."""
    found: dict[bytes, int] = {}
    query = sa.select(entries.c.story_id, sa.func.count(entries.c.feed_id.distinct())).group_by(entries.c.story_id)
    for some in in_chunks(sorted(story_ids)):
        found.update(connection.execute(query.where(entries.c.story_id.in_(some))).all())
    return found


def _redirect(connection: sa.Connection, redirected: Mapping[bytes, bytes], now: datetime) -> None:
    for old, new in redirected.items():
        target = new
        while target in redirected and target != old:
            target = redirected[target]
        if connection.scalar(sa.select(stories.c.is_filed_by_hand).where(stories.c.story_id == old)):
            # The hand's word goes along: whoever files looks it up, see `filing.said`.
            word = {"is_filed_by_hand": True, "touched_at": micros(now)}
            connection.execute(sa.update(stories).where(stories.c.story_id == target).values(**word))
        values = {"redirect_to": target, "updated_at": micros(now), "section": None, "sources": 0, "touched_at": None}
        gone = (stories.c.story_id == old) | (stories.c.redirect_to == old)  # a chain would be walked by every reader
        connection.execute(sa.update(stories).where(gone).values(**values))
        connection.execute(sa.delete(story_labels).where(story_labels.c.story_id == old))


def _check(connection: sa.Connection, story_ids: set[bytes], counts: Mapping[bytes, int]) -> None:
    empty = [s for s in story_ids if s not in counts]
    if empty:
        raise StoreError(f"story {UUID(bytes=empty[0])} would have no entries: nothing was saved")
    lead = sa.and_(entries.c.entry_id == stories.c.lead_entry_id, entries.c.story_id == stories.c.story_id)
    query = sa.select(stories.c.story_id).select_from(stories.outerjoin(entries, lead))
    query = query.where(entries.c.entry_id.is_(None))
    for some in in_chunks(sorted(story_ids)):
        wrong = connection.scalar(query.where(stories.c.story_id.in_(some)))
        if wrong is not None:
            raise StoreError(f"story {UUID(bytes=wrong)}: its lead is not one of its entries: nothing was saved")


def save_labels(connection: sa.Connection, records: Sequence[StoryRecord]) -> None:
    for some in in_chunks([record.story_id.bytes for record in records]):
        connection.execute(sa.delete(story_labels).where(story_labels.c.story_id.in_(some)))
    rows = [{"label": label, "story_id": r.story_id.bytes} for r in records for label in dict.fromkeys(r.labels)]
    if rows:
        connection.execute(sa.insert(story_labels), rows)


def mark_shown(connection: sa.Connection, story_ids: Iterable[UUID], now: datetime) -> list[float]:
    """Notes when they were first shown; the seconds that took since the lead was first seen, for each where it was the
    first time."""
    delays: list[float] = []
    lead = stories.join(entries, entries.c.entry_id == stories.c.lead_entry_id)
    for some in in_chunks([story_id.bytes for story_id in story_ids]):
        where = stories.c.story_id.in_(some), stories.c.shown_at.is_(None)
        seen = connection.scalars(sa.select(entries.c.first_seen).select_from(lead).where(*where))
        delays += [max(0.0, (micros(now) - first_seen) / 1e6) for first_seen in seen]
        connection.execute(sa.update(stories).where(*where).values(shown_at=micros(now)))
    return delays


def mark_top(connection: sa.Connection, story_ids: Iterable[UUID], now: datetime) -> None:
    for some in in_chunks([story_id.bytes for story_id in story_ids]):
        where = stories.c.story_id.in_(some), stories.c.top_at.is_(None)
        connection.execute(sa.update(stories).where(*where).values(top_at=micros(now)))


# ---------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class StoryFilter:
    """Which stories are meant; None and 1 leave a question open. `since` is of `published`, `until` is excluded.
    `top_since` is of when a story came among the top ones.
    `shown_since` and `shown_until` are of when a story first stood in a published feed.

    `filed` asks for those of any section (or of `sections` alone), where the order of one index would not help: few are
    meant, of many.
    `sections` may name UNSURE and WITHHELD; without the latter, stories that are withheld are never meant."""

    sections: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    min_sources: int = 1
    label: str | None = None
    feed_id: int | None = None
    shown_since: datetime | None = None
    shown_until: datetime | None = None
    language: str | None = None
    filed: bool = False
    top_since: datetime | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        found: list[sa.ColumnElement[bool]] = [stories.c.redirect_to.is_(None), stories.c.sources >= self.min_sources]
        if self.sections is None or WITHHELD not in self.sections:
            found.append(stories.c.withheld.is_(None))
        if self.filed:
            # Coalesced, so that no planner walks the sections' index, where it would read them all to find a few.
            section, second = (sa.func.coalesce(column, "") for column in (stories.c.section, stories.c.second))
            found.append(section.in_(SECTIONS))
            if self.sections is not None:
                found.append(section.in_(self.sections) | second.in_(self.sections))
        if self.since is not None:
            found.append(stories.c.published >= micros(self.since))
        if self.until is not None:
            found.append(stories.c.published < micros(self.until))
        if self.shown_since is not None:
            found.append(stories.c.shown_at >= micros(self.shown_since))
        if self.shown_until is not None:
            found.append(stories.c.shown_at < micros(self.shown_until))
        if self.top_since is not None:
            found.append(stories.c.top_at >= micros(self.top_since))
        if self.language is not None:
            # `en` means `en-GB` too.
            is_it = stories.c.language == self.language
            found.append(is_it | stories.c.language.startswith(f"{self.language}-", autoescape=True))
        if self.label is not None:
            labelled = sa.select(story_labels.c.story_id).where(story_labels.c.label == self.label)
            found.append(stories.c.story_id.in_(labelled))
        if self.feed_id is not None:
            told = sa.select(entries.c.story_id).where(entries.c.feed_id == self.feed_id)
            found.append(stories.c.story_id.in_(told.where(entries.c.story_id.is_not(None))))
        return found


def select(connection: sa.Connection, wanted: StoryFilter, limit: int | None, skip: int = 0) -> list[Story]:
    """The newest `limit` stories of that kind behind the first `skip`, by `published`, then ref."""
    most = None if limit is None else limit + skip
    return by_ids(connection, _newest(connection, wanted, most)[skip:])


def newest_of_each(connection: sa.Connection, wanted: Iterable[tuple[StoryFilter, int]]) -> list[Story]:
    """The newest so many stories of each of these kinds. One that is of several is read once."""
    story_ids = [story_id for each, most in wanted for story_id in _newest(connection, each, most)]
    return by_ids(connection, list(dict.fromkeys(story_ids)))


def ids(connection: sa.Connection, wanted: StoryFilter) -> list[UUID]:
    """All stories of that kind in the same order, without reading them."""
    return [UUID(bytes=story_id) for story_id in _newest(connection, wanted, None)]


def _newest(connection: sa.Connection, wanted: StoryFilter, most: int | None) -> list[bytes]:
    query = sa.select(stories.c.story_id, stories.c.published, stories.c.ref).where(*wanted.conditions())
    # Section by section: each walks its index from the newest on and stops, where one IN would sort them all.
    is_one = wanted.sections is None or wanted.filed
    names = sorted(set(wanted.sections or ()))
    kinds = [query] if is_one else [query.where(each) for s in names for each in _filed_under(s)]
    found: dict[bytes, Any] = {}
    for kind in kinds:
        found |= {row.story_id: row for row in connection.execute(kind.order_by(*_ORDER).limit(most))}
    newest = sorted(found.values(), key=lambda row: (-row.published, row.ref))
    return [row.story_id for row in newest[:most]]


def most_told(connection: sa.Connection, wanted: StoryFilter, limit: int) -> list[Story]:
    """The `limit` stories of that kind that most sources tell, with the boost of the operator's rules."""
    query = sa.select(stories.c.story_id).where(*wanted.conditions())
    if wanted.sections is not None:
        query = query.where(stories.c.section.in_(wanted.sections))
    order = (stories.c.sources * stories.c.boost).desc(), *_ORDER
    return by_ids(connection, connection.scalars(query.order_by(*order).limit(limit)).all())


def beside(connection: sa.Connection, since: datetime, until: datetime) -> tuple[datetime | None, datetime | None]:
    """When the last filed story before `since` and the first from `until` on were published; None: there is none."""
    where = StoryFilter(filed=True).conditions()
    at = stories.c.published
    before = connection.scalar(sa.select(sa.func.max(at)).where(*where, at < micros(since)))
    after = connection.scalar(sa.select(sa.func.min(at)).where(*where, at >= micros(until)))
    return maybe_moment(before), maybe_moment(after)


def is_label(connection: sa.Connection, label: str) -> bool:
    """Whether any story carries it."""
    query = sa.select(story_labels.c.label).where(story_labels.c.label == label).limit(1)
    return connection.scalar(query) is not None


def is_buried(connection: sa.Connection, since: datetime, until: datetime) -> bool:
    """Whether retention took a story that was published in that time."""
    at = story_tombstones.c.published
    query = sa.select(story_tombstones.c.ref).where(at >= micros(since), at < micros(until)).limit(1)
    return connection.scalar(query) is not None


def _filed_under(section: str) -> tuple[sa.ColumnElement[bool], ...]:
    if section == UNSURE:
        return (stories.c.section.is_(None),)
    if section == WITHHELD:
        return (stories.c.withheld.is_not(None),)
    return (stories.c.section == section, stories.c.second == section)


def changed_since(connection: sa.Connection, since: datetime) -> list[Story]:
    """The stories whose `updated_at` is `since` or later, the newest first."""
    where = stories.c.updated_at >= micros(since), stories.c.redirect_to.is_(None)
    return by_ids(connection, connection.scalars(sa.select(stories.c.story_id).where(*where).order_by(*_ORDER)).all())


def by_ids(connection: sa.Connection, story_ids: Sequence[bytes]) -> list[Story]:
    """These stories in this order, without those that do not exist (any more)."""
    rows: dict[bytes, Any] = {}
    told: dict[bytes, list[StoredEntry]] = defaultdict(list)
    for some in in_chunks(list(story_ids)):
        for row in connection.execute(sa.select(stories).where(stories.c.story_id.in_(some))):
            rows[row.story_id] = row
        order = entries.c.dated, entries.c.entry_id
        for entry in stored(connection, STORED.where(entries.c.story_id.in_(some)).order_by(*order)):
            if entry.story_id is not None:
                told[entry.story_id.bytes].append(entry)
    return [_story(rows[s], told[s]) for s in story_ids if s in rows and told[s]]


def _story(row: Any, told: list[StoredEntry]) -> Story:
    lead = next((entry for entry in told if entry.entry_id == row.lead_entry_id), told[0])
    return Story(
        story_id=UUID(bytes=row.story_id),
        ref=row.ref,
        lead=lead,
        entries=(lead, *(entry for entry in told if entry.duplicate_of is None and entry is not lead)),
        published=moment(row.published),
        updated_at=moment(row.updated_at),
        sectioning=sectioning(row),
        duplicates=tuple(entry for entry in told if entry.duplicate_of is not None and entry is not lead),
        labels=tuple(load(row.labels) or ()),
        related=uuids(row.related),
        language=row.language,
        withheld=row.withheld,
        boost=row.boost,
        is_filed_by_hand=row.is_filed_by_hand,
        top_at=maybe_moment(row.top_at),
        events=load_events(row.events),
    )


def story(connection: sa.Connection, name: str | UUID) -> Story | None:
    """The story of this id, `urn:uuid:…` or ref; merged away: the one it is part of now, whose ref differs."""
    column, value = _named(name)
    query = sa.select(stories.c.story_id, stories.c.redirect_to).where(column == value)
    row = connection.execute(query.order_by(stories.c.created_at)).first()
    if row is None:
        return None
    found = by_ids(connection, [row.redirect_to or row.story_id])
    return found[0] if found else None


def redirects(connection: sa.Connection, story_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    found: dict[UUID, UUID] = {}
    query = sa.select(stories.c.story_id, stories.c.redirect_to).where(stories.c.redirect_to.is_not(None))
    for some in in_chunks([story_id.bytes for story_id in story_ids]):
        for old, new in connection.execute(query.where(stories.c.story_id.in_(some))):
            found[UUID(bytes=old)] = UUID(bytes=new)
    return found


def oldest_first(connection: sa.Connection, story_ids: Iterable[UUID]) -> list[UUID]:
    found: list[Any] = []
    query = sa.select(stories.c.story_id, stories.c.created_at, stories.c.published, stories.c.ref)
    for some in in_chunks([story_id.bytes for story_id in story_ids]):
        found += connection.execute(query.where(stories.c.story_id.in_(some))).all()
    return [UUID(bytes=row.story_id) for row in sorted(found, key=lambda row: (row.created_at, row.published, row.ref))]


def _named(name: str | UUID) -> tuple[sa.Column[Any], str | bytes]:
    if isinstance(name, UUID):
        return stories.c.story_id, name.bytes
    if len(name) > 10:
        try:
            return stories.c.story_id, UUID(name).bytes
        except ValueError:
            pass
    return stories.c.ref, name.lower()


def of_url(connection: sa.Connection, url: str) -> Story | None:
    """The story told by an entry whose page this is."""
    for entry in of_page(connection, url):
        if entry.story_id is not None:
            return story(connection, entry.story_id)
    return None


def buried(connection: sa.Connection, name: str | UUID) -> StoryTombstone | None:
    """What retention left of a story, None for one that is there or never was."""
    column, value = _named(name)
    grave = story_tombstones.c.story_id if column is stories.c.story_id else story_tombstones.c.ref
    row = connection.execute(sa.select(story_tombstones).where(grave == value)).first()
    if row is None:
        return None
    story_id = UUID(bytes=row.story_id)
    return StoryTombstone(
        row.ref, story_id, row.title, row.link, moment(row.published), moment(row.buried_at), row.is_taken_down
    )


def records(connection: sa.Connection, story_ids: Iterable[UUID]) -> dict[UUID, StoryRecord]:
    """What grouping saved of these stories, without their entries; a merged one under the id it was asked for by."""
    found: dict[UUID, StoryRecord] = {}
    for some in in_chunks([story_id.bytes for story_id in story_ids]):
        for row in connection.execute(sa.select(stories).where(stories.c.story_id.in_(some))):
            found[UUID(bytes=row.story_id)] = StoryRecord(
                UUID(bytes=row.story_id),
                row.lead_entry_id,
                moment(row.published),
                moment(row.updated_at),
                sectioning(row),
                tuple(load(row.labels) or ()),
                uuids(row.related),
                row.sources,
                row.is_filed_by_hand,
                row.is_grouped_by_hand,
                language=row.language,
                withheld=row.withheld,
                boost=row.boost,
                events=load_events(row.events),
            )
    return found


def placements(connection: sa.Connection, story_id: UUID) -> list[Placement]:
    """Why each entry of a story is in it, oldest first."""
    query = sa.select(entries.c.entry_id, entries.c.duplicate_of, entries.c.score, entries.c.reasons)
    query = query.where(entries.c.story_id == story_id.bytes).order_by(entries.c.dated, entries.c.entry_id)
    found: list[Placement] = []
    for row in connection.execute(query):
        score = 1.0 if row.score is None else row.score
        reasons = tuple(load(row.reasons) or ())
        found.append(Placement(row.entry_id, story_id, not found, row.duplicate_of, score, reasons))
    return found
