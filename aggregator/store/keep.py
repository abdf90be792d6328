"""Retention: first the texts go, then the entries, and a hash of what each was known by stays.

What counts is when an entry last stood in its feed, as far as we know: a feed that no longer answers was last seen at
its last success. Each entry goes at its own time, however long another of its story stands in a feed, and the story
goes with its last; one that loses its lead is led by the oldest entry that it has left.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa

from aggregator.ingest.changes import keys_of
from aggregator.schema import entries, feeds, stories, story_tombstones, texts, tombstones
from aggregator.store import search
from aggregator.store.engine import in_chunks
from aggregator.store.rows import Values, maybe_moment, micros

_TEXTS = 2000  # deleted in a transaction: some 50 ms, so that polls are not kept waiting


class Transactions(Protocol):
    """What `prune` needs of `engine.Database`."""

    def read(self) -> AbstractContextManager[sa.Connection]: ...
    def write(self) -> AbstractContextManager[sa.Connection]: ...


class Retention(Protocol):
    """How long what is kept after it left its feed (`config.Retention`)."""

    @property
    def text(self) -> timedelta: ...
    @property
    def entries(self) -> timedelta: ...


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What was taken, or would be, for the sake of `retention.size`; `before` and `after` are bytes in use."""

    before: int
    after: int
    texts: int = 0
    entries: int = 0
    stories: int = 0

    def then(self, later: Shrunk) -> Shrunk:
        """Both steps as one."""
        texts, entries_ = self.texts + later.texts, self.entries + later.entries
        return Shrunk(self.before, later.after, texts, entries_, self.stories + later.stories)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What retention took, or would take: numbers of entries, of texts (of entries that stay), of stories; `shrunk`
    where there is a budget."""

    entries: int = 0
    texts: int = 0
    stories: int = 0
    story_ids: tuple[UUID, ...] = ()
    shrunk: Shrunk | None = None


# When an entry last stood in its feed; never earlier than we saw it.
LAST = sa.func.coalesce(entries.c.left_at, feeds.c.last_success_at, entries.c.first_seen)


def is_over(cutoff: int) -> sa.ColumnElement[bool]:
    """Whether an entry last stood in its feed before then."""
    # The two halves each have an index: departed entries, and all those of feeds long silent.
    departed = sa.and_(entries.c.left_at.is_not(None), entries.c.left_at < cutoff)
    silent = sa.and_(
        entries.c.left_at.is_(None),
        entries.c.feed_id.in_(sa.select(feeds.c.feed_id).where(feeds.c.last_success_at < cutoff)),
        entries.c.first_seen < cutoff,
    )
    return sa.or_(departed, silent)


def _stories_with_some_over(connection: sa.Connection, cutoff: int) -> list[bytes]:
    query = sa.select(entries.c.story_id).where(is_over(cutoff), entries.c.story_id.is_not(None)).distinct()
    return list(connection.scalars(query))


def _wholly_over(connection: sa.Connection, story_ids: list[bytes], cutoff: int) -> list[bytes]:
    """Those of the stories none of whose entries is kept."""
    query = (
        sa.select(entries.c.story_id)
        .where(entries.c.story_id.in_(story_ids))
        .group_by(entries.c.story_id)
        .having(sa.func.sum(sa.case((is_over(cutoff), 0), else_=1)) == 0)
    )
    return list(connection.scalars(query))


def _loose_over(cutoff: int) -> sa.Select[Any]:
    return sa.select(entries.c.entry_id).where(is_over(cutoff), entries.c.story_id.is_(None))


def _texts_over(cutoff: int) -> sa.Select[Any]:
    return sa.select(texts.c.entry_id).select_from(texts.join(entries)).where(is_over(cutoff))


def count(connection: sa.Connection, retention: Retention, now: datetime) -> Pruned:
    """What `prune` would take now."""
    cutoff, text_cutoff = micros(now - retention.entries), micros(now - retention.text)
    dead: list[bytes] = []
    for some in in_chunks(_stories_with_some_over(connection, cutoff)):
        dead += _wholly_over(connection, some, cutoff)
    going = sa.select(sa.func.count()).select_from(entries).where(is_over(cutoff))
    fading = sa.select(sa.func.count()).select_from(texts.join(entries)).where(is_over(text_cutoff), ~is_over(cutoff))
    return Pruned(
        connection.scalar(going) or 0, connection.scalar(fading) or 0, len(dead), tuple(UUID(bytes=s) for s in dead)
    )


def prune(database: Transactions, retention: Retention, now: datetime) -> Pruned:
    """Takes what is over its time, in transactions short enough for polls to get between.

    What to take is read first, from a snapshot; each transaction looks again, as an entry may be back in its feed.
    """
    cutoff, text_cutoff = micros(now - retention.entries), micros(now - retention.text)
    with database.read() as connection:
        candidates = _stories_with_some_over(connection, cutoff)
        loose = list(connection.scalars(_loose_over(cutoff)))
    taken: list[bytes] = []
    gone = 0
    for some in in_chunks(candidates):
        with database.write() as connection:
            dead = _wholly_over(connection, some, cutoff)
            gone += _bury_stories(connection, dead, now)
            gone += _thin_out(connection, sorted(set(some).difference(dead)), cutoff, now)
        taken += dead
    for some in in_chunks(loose):
        with database.write() as connection:
            still = list(connection.scalars(_loose_over(cutoff).where(entries.c.entry_id.in_(some))))
            _bury_entries(connection, still, now)
        gone += len(still)
    with database.read() as connection:
        fading = list(connection.scalars(_texts_over(text_cutoff)))
    return Pruned(gone, fade(database, fading), len(taken), tuple(UUID(bytes=s) for s in taken))


def fade(database: Transactions, entry_ids: list[int]) -> int:
    """Take the texts of these entries; how many there were."""
    faded = 0
    for some in in_chunks(entry_ids, _TEXTS):
        with database.write() as connection:
            faded += connection.execute(sa.delete(texts).where(texts.c.entry_id.in_(some))).rowcount
            search.forget_texts(connection, some)
    return faded


def take(connection: sa.Connection, entry_ids: list[int], now: datetime) -> tuple[int, list[bytes]]:
    """Take these entries and the stories that are left without any; how many entries, which stories."""
    query = sa.select(entries.c.entry_id, entries.c.story_id).where(entries.c.entry_id.in_(entry_ids))
    going = {row.entry_id: row.story_id for row in connection.execute(query)}
    touched = sorted({story_id for story_id in going.values() if story_id is not None})
    query = sa.select(entries.c.story_id).where(entries.c.story_id.in_(touched), entries.c.entry_id.not_in(list(going)))
    staying = set(connection.scalars(query))
    whole = [story_id for story_id in touched if story_id not in staying]
    _bury_stories(connection, whole, now)
    _bury_entries(
        connection, [each for each, story_id in going.items() if story_id is None or story_id in staying], now
    )
    for story_id in sorted(staying):
        mend(connection, story_id, now)
    return len(going), whole


def _thin_out(connection: sa.Connection, story_ids: list[bytes], cutoff: int, now: datetime) -> int:
    """Takes what is over from stories that something keeps; how many entries."""
    query = sa.select(entries.c.entry_id, entries.c.story_id).where(entries.c.story_id.in_(story_ids), is_over(cutoff))
    going = {row.entry_id: row.story_id for row in connection.execute(query)}
    _bury_entries(connection, list(going), now)
    for story_id in sorted(set(going.values())):
        mend(connection, story_id, now)
    return len(going)


def mend(connection: sa.Connection, story_id: bytes, now: datetime) -> None:
    """Lead, originals and number of sources of a story that lost entries: readers see it change."""
    query = sa.select(entries.c.entry_id, entries.c.duplicate_of, entries.c.feed_id)
    left = connection.execute(
        query.where(entries.c.story_id == story_id).order_by(entries.c.dated, entries.c.entry_id)
    ).all()
    here = {row.entry_id for row in left}
    heirs: dict[int, int] = {}
    for row in left:
        if row.duplicate_of is not None and row.duplicate_of not in here:
            heir = heirs.setdefault(row.duplicate_of, row.entry_id)
            original = None if heir == row.entry_id else heir
            connection.execute(
                sa.update(entries).where(entries.c.entry_id == row.entry_id).values(duplicate_of=original)
            )
    originals = [row.entry_id for row in left if row.duplicate_of is None or row.entry_id in heirs.values()]
    lead = connection.scalar(sa.select(stories.c.lead_entry_id).where(stories.c.story_id == story_id))
    values: Values = {
        "lead_entry_id": lead if lead in here else originals[0],
        "sources": len({row.feed_id for row in left}),
        "updated_at": micros(now),
    }
    connection.execute(sa.update(stories).where(stories.c.story_id == story_id).values(**values))


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
