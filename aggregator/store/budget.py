"""The size budget: when the database holds more than it may, the oldest texts go, then the oldest entries.

What counts is what is in use, not the file: free pages are no burden on either database. Each step measures again, so
that an estimate which was off costs no more than it must. The young stay, whatever the budget says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from aggregator.schema import entries, feeds, metadata, texts
from aggregator.store import keep
from aggregator.store.engine import Database
from aggregator.store.keep import Shrunk
from aggregator.store.rows import micros

FLOOR = timedelta(hours=24)  # no text younger than this goes, and no entry within so long of still joining a story
ENOUGH = 0.9  # of the budget: taken down to here, so that the next hour's news does not bring it over again
_TEXTS_AT_ONCE, _ENTRIES_AT_ONCE = 2000, 500  # in a step: a fraction of a second
_TEXT = 100  # bytes of a text's row beside the text itself; its words are indexed for searching, at most so many:
_WORDS = 2500
_ENTRY = 2000  # … of an entry with its indexes, its searchable words and its share of a story: a first guess
_POSTGRESQL = 1.35  # pages and indexes to what the rows themselves take (docs/decisions/store.md)
_MEASURED = ("texts", "entries", "stories", "search")  # on PostgreSQL; the other tables do not shrink


@dataclass(frozen=True, slots=True)
class Budget:
    """`size` in bytes; `window` is how long a story can grow: entries within it are never taken."""

    size: int
    window: timedelta


def used(connection: sa.Connection) -> int:
    """Bytes that the database's content takes, free pages left out.

    PostgreSQL keeps the space of deleted rows for its own use and seldom shrinks a file, so there it is an estimate
    from the rows that are alive.
    """
    if connection.dialect.name == "sqlite":
        pages, free, size = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)
    rest = [table.name for table in metadata.sorted_tables if table.name not in _MEASURED]
    fixed = connection.scalar(
        sa.text("SELECT sum(pg_total_relation_size(c::regclass)) FROM unnest(CAST(:names AS text[])) c"),
        {"names": rest},
    )
    alive = sum(connection.exec_driver_sql(query).scalar() or 0 for query in _ALIVE)
    return int(fixed or 0) + round(int(alive) * _POSTGRESQL)


# Column by column: the size of a whole row would be taken after fetching what is stored apart.
_ALIVE = (
    "SELECT sum(coalesce(pg_column_size(summary), 0) + coalesce(pg_column_size(content), 0) + 60) FROM texts",
    "SELECT sum(pg_column_size(e)) + 250 * count(*) FROM entries e",  # with the entries of nine indexes
    "SELECT sum(pg_column_size(s)) + 150 * count(*) FROM stories s",
    "SELECT sum(pg_column_size(words) + 60) FROM search",
)


def would_shrink(connection: sa.Connection, budget: Budget, retention: keep.Retention, now: datetime) -> Shrunk:
    """What `shrink` would take behind `keep.prune`; estimated, as nothing is measured after a step."""
    before = used(connection)
    faded, over = micros(now - retention.text), micros(now - retention.entries)
    gone = connection.scalar(sa.select(sa.func.count()).select_from(entries).where(keep.is_over(over))) or 0
    left = before - gone * _ENTRY - (connection.scalar(_bytes_of(connection).where(keep.is_over(faded))) or 0)
    if left <= budget.size:
        return Shrunk(before, left)
    wanted = round(budget.size * ENOUGH)
    some_texts, left = _take(_texts(connection, now), connection, left, wanted, but_not=keep.is_over(faded))
    some_entries, left = _take(_entries(budget, now), connection, left, wanted, but_not=keep.is_over(over))
    return Shrunk(before, left, len(some_texts), len(some_entries))


def shrink(database: Database, budget: Budget, now: datetime, goes_on: bool = False) -> Shrunk:
    """One step, short enough for polls to get between: takes some of the oldest where the budget is exceeded, or where
    this `goes_on` and nine tenths of it are. Once a step took nothing there is room, or only what is young is left."""
    before = _measured(database)
    wanted = round(budget.size * ENOUGH)
    if before <= (wanted if goes_on else budget.size):
        return Shrunk(before, before)
    with database.read() as connection:
        some, _ = _take(_texts(connection, now).limit(_TEXTS_AT_ONCE), connection, before, wanted)
    if some:
        faded = keep.fade(database, some)
        return Shrunk(before, _measured(database), texts=faded)
    with database.read() as connection:
        some, _ = _take(_entries(budget, now).limit(_ENTRIES_AT_ONCE), connection, before, wanted)
    if not some:
        return Shrunk(before, before)
    with database.write() as connection:
        taken, whole = keep.take(connection, some, now)
    return Shrunk(before, _measured(database), entries=taken, stories=len(whole))


def _measured(database: Database) -> int:
    with database.read() as connection:
        return used(connection)


def _take(
    query: sa.Select[Any],
    connection: sa.Connection,
    left: int,
    wanted: int,
    but_not: sa.ColumnElement[bool] | None = None,
) -> tuple[list[int], int]:
    """The first rows of `query` whose bytes bring `left` down to `wanted`, and what is left then."""
    taken: list[int] = []
    rows = connection.execute(query if but_not is None else query.where(~but_not), execution_options={"yield_per": 500})
    for entry_id, size in rows:
        if left <= wanted:
            rows.close()
            break
        taken.append(entry_id)
        left -= size
    return taken, left


def _octets(connection: sa.Connection) -> sa.ColumnElement[Any]:
    """Bytes of a text."""
    if connection.dialect.name == "postgresql":
        sizes = [sa.func.pg_column_size(column) for column in (texts.c.summary, texts.c.content)]
    else:
        sizes = [sa.func.length(sa.cast(column, sa.LargeBinary)) for column in (texts.c.summary, texts.c.content)]
    one, two = (sa.func.coalesce(size, 0) for size in sizes)
    return one + two + sa.case((one + two < _WORDS, one + two), else_=_WORDS) + _TEXT


def _bytes_of(connection: sa.Connection) -> sa.Select[Any]:
    return sa.select(sa.func.sum(_octets(connection))).select_from(texts.join(entries))


def _texts(connection: sa.Connection, now: datetime) -> sa.Select[Any]:
    query = sa.select(texts.c.entry_id, _octets(connection)).select_from(texts.join(entries).join(feeds))
    return _oldest(query, micros(now - FLOOR))


def _entries(budget: Budget, now: datetime) -> sa.Select[Any]:
    query = sa.select(entries.c.entry_id, sa.literal(_ENTRY)).select_from(entries.join(feeds))
    return _oldest(query, micros(now - budget.window - FLOOR))


def _oldest(query: sa.Select[Any], before: int) -> sa.Select[Any]:
    """Those seen and dated before, in the order in which retention would come to them."""
    is_old = sa.and_(entries.c.first_seen < before, entries.c.dated < before)
    return query.where(is_old).order_by(keep.LAST, entries.c.first_seen, entries.c.entry_id)
