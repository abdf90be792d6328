"""Retention: first the texts go, then the entries, and a hash of what each was known by stays.

What counts is when an entry last stood in its feed, as far as we know: a feed that no longer answers was last seen at
its last success. A story goes as a whole, once nothing keeps any of its entries, so that no story loses its lead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa

from aggregator.ingest.changes import keys_of
from aggregator.schema import entries, feeds, stories, story_tombstones, texts, tombstones
from aggregator.store.engine import in_chunks
from aggregator.store.rows import Values, maybe_moment, micros

_BATCH = 2000  # entries a transaction: some 50 ms, so that polls are not kept waiting

Transaction = Callable[[], AbstractContextManager[sa.Connection]]


class Retention(Protocol):
    """How long what is kept after it left its feed (`config.Retention`)."""

    @property
    def text(self) -> timedelta: ...
    @property
    def entries(self) -> timedelta: ...


@dataclass(frozen=True, slots=True)
class Pruned:
    """What retention took, or would take: numbers of entries, of texts (of entries that stay), of stories."""

    entries: int = 0
    texts: int = 0
    stories: int = 0
    story_ids: tuple[UUID, ...] = ()


# When an entry last stood in its feed; never earlier than we saw it.
_LAST = sa.func.coalesce(entries.c.left_at, feeds.c.last_success_at, entries.c.first_seen)


def _over(cutoff: int) -> sa.ColumnElement[bool]:
    # The two halves each have an index: departed entries, and all those of feeds long silent.
    departed = sa.and_(entries.c.left_at.is_not(None), entries.c.left_at < cutoff)
    silent = sa.and_(
        entries.c.left_at.is_(None),
        entries.c.feed_id.in_(sa.select(feeds.c.feed_id).where(feeds.c.last_success_at < cutoff)),
        entries.c.first_seen < cutoff,
    )
    return sa.or_(departed, silent)


def _stories_over(cutoff: int, after: bytes | None) -> sa.Select[Any]:
    """Stories none of whose entries is kept, with the number of their entries."""
    candidates = sa.select(entries.c.story_id).where(_over(cutoff), entries.c.story_id.is_not(None)).distinct()
    query = (
        sa.select(entries.c.story_id, sa.func.count().label("entries"))
        .where(entries.c.story_id.in_(candidates))
        .group_by(entries.c.story_id)
        .having(sa.func.sum(sa.case((_over(cutoff), 0), else_=1)) == 0)
        .order_by(entries.c.story_id)
        .limit(_BATCH)
    )
    return query if after is None else query.where(entries.c.story_id > after)


def _texts_over(cutoff: int) -> sa.Select[Any]:
    return sa.select(texts.c.entry_id).select_from(texts.join(entries)).where(_over(cutoff))


def count(connection: sa.Connection, retention: Retention, now: datetime) -> Pruned:
    """What `prune` would take now."""
    entries_cutoff, text_cutoff = micros(now - retention.entries), micros(now - retention.text)
    dead: list[bytes] = []
    told = 0
    while batch := connection.execute(_stories_over(entries_cutoff, dead[-1] if dead else None)).all():
        dead += [row.story_id for row in batch]
        told += sum(row.entries for row in batch)
    loose = sa.select(sa.func.count()).select_from(entries).where(_over(entries_cutoff), entries.c.story_id.is_(None))
    alone = connection.scalar(loose) or 0
    fading = connection.scalar(sa.select(sa.func.count()).select_from(_texts_over(text_cutoff).subquery())) or 0
    going = sum(
        connection.scalar(
            sa.select(sa.func.count()).select_from(texts.join(entries)).where(entries.c.story_id.in_(some))
        )
        or 0
        for some in in_chunks(dead)
    )
    loose_texts = (
        sa.select(sa.func.count())
        .select_from(texts.join(entries))
        .where(_over(entries_cutoff), entries.c.story_id.is_(None))
    )
    fading -= going + (connection.scalar(loose_texts) or 0)
    return Pruned(told + alone, max(0, fading), len(dead), tuple(UUID(bytes=s) for s in dead))


def prune(transaction: Transaction, retention: Retention, now: datetime) -> Pruned:
    """Takes what is over its time, in transactions short enough for polls to get between."""
    cutoff = micros(now - retention.entries)
    taken: list[bytes] = []
    gone = 0
    while True:
        with transaction() as connection:
            dead = [row.story_id for row in connection.execute(_stories_over(cutoff, None))]
            gone += _bury_stories(connection, dead, now)
        taken += dead
        if not dead:
            break
    while True:
        with transaction() as connection:
            query = sa.select(entries.c.entry_id).where(_over(cutoff), entries.c.story_id.is_(None)).limit(_BATCH)
            loose = list(connection.scalars(query))
            _bury_entries(connection, loose, now)
        gone += len(loose)
        if not loose:
            break
    faded = 0
    while True:
        with transaction() as connection:
            old = list(connection.scalars(_texts_over(micros(now - retention.text)).limit(_BATCH)))
            for some in in_chunks(old):
                connection.execute(sa.delete(texts).where(texts.c.entry_id.in_(some)))
        faded += len(old)
        if not old:
            break
    return Pruned(gone, faded, len(taken), tuple(UUID(bytes=s) for s in taken))


def _bury_stories(connection: sa.Connection, story_ids: list[bytes], now: datetime) -> int:
    """Turns the stories and the redirects to them into tombstones, with their entries; how many entries."""
    gone = 0
    for some in in_chunks(story_ids):
        lead = stories.outerjoin(entries, entries.c.entry_id == stories.c.lead_entry_id)
        query = sa.select(
            stories.c.story_id,
            stories.c.ref,
            stories.c.redirect_to,
            stories.c.published,
            entries.c.title,
            entries.c.link,
        ).select_from(lead)
        where = stories.c.story_id.in_(some) | stories.c.redirect_to.in_(some)
        rows = connection.execute(query.where(where)).all()
        _save_story_tombstones(connection, rows, now)
        ids = list(connection.scalars(sa.select(entries.c.entry_id).where(entries.c.story_id.in_(some))))
        _bury_entries(connection, ids, now)
        for doomed in in_chunks([row.story_id for row in rows]):
            connection.execute(sa.delete(stories).where(stories.c.story_id.in_(doomed)))
        gone += len(ids)
    return gone


def _save_story_tombstones(connection: sa.Connection, rows: Iterable[Any], now: datetime) -> None:
    rows = list(rows)
    titles = {row.story_id: (row.title or "", row.link) for row in rows}
    graves: dict[str, Values] = {}
    for row in rows:
        title, link = titles.get(row.redirect_to, titles[row.story_id])
        graves[row.ref] = {
            "ref": row.ref,
            "story_id": row.story_id,
            "title": title,
            "link": link,
            "published": row.published,
            "buried_at": micros(now),
        }
    for some in in_chunks(list(graves)):
        connection.execute(sa.delete(story_tombstones).where(story_tombstones.c.ref.in_(some)))
    if graves:
        connection.execute(sa.insert(story_tombstones), list(graves.values()))


def _bury_entries(connection: sa.Connection, entry_ids: list[int], now: datetime) -> None:
    """Leaves the hashes of guid, page and title; texts go along by their foreign key."""
    columns = (entries.c.feed_id, entries.c.guid, entries.c.canonical_url, entries.c.title_key, entries.c.published)
    graves: dict[tuple[int, int], None] = {}
    for some in in_chunks(entry_ids):
        for row in connection.execute(sa.select(*columns).where(entries.c.entry_id.in_(some))):
            keys = keys_of(row.guid, row.canonical_url, row.title_key, maybe_moment(row.published))
            graves.update({(row.feed_id, key): None for key in keys.present()})
        connection.execute(sa.delete(entries).where(entries.c.entry_id.in_(some)))
    _save_tombstones(connection, graves, now)


def _save_tombstones(connection: sa.Connection, graves: Iterable[tuple[int, int]], now: datetime) -> None:
    rows = [{"feed_id": feed_id, "key": key, "buried_at": micros(now)} for feed_id, key in sorted(graves)]
    if rows:
        where = tombstones.c.feed_id == sa.bindparam("at_feed"), tombstones.c.key == sa.bindparam("at_key")
        connection.execute(
            sa.delete(tombstones).where(*where), [{"at_feed": r["feed_id"], "at_key": r["key"]} for r in rows]
        )
        connection.execute(sa.insert(tombstones), rows)
