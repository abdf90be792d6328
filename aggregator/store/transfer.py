"""The whole store from one database into another, SQLite or PostgreSQL: every row of every table, in one transaction.

The target is empty or it holds all: a copy that dies is simply begun again. What is read is one snapshot; what was
written is read back and compared. Only the index for searching is made anew, as each database has its own kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa

from aggregator import schema
from aggregator.errors import StoreError
from aggregator.store import search, upgrade
from aggregator.store.engine import Database, insert_many
from aggregator.store.lock import EditorLock

_ROWS = 1000  # read and written at a time
_OURS = "editor"  # a row of `meta` that says who edits this database, and means nothing in another
_TABLES = schema.metadata.sorted_tables  # those that others point at first


@dataclass(frozen=True, slots=True)
class Content:
    """What a table holds: the number of its rows and a digest of them, whatever their order."""

    rows: int
    digest: str


Progress = Callable[[int], None]  # rows copied so far


def copy(source: Database, target: Database, progress: Progress = lambda _: None) -> dict[str, Content]:
    """Copy everything, by table what was copied. Both databases are locked meanwhile.

    Raises AlreadyRunning where a daemon works on either, StoreError where the target holds anything already or, read
    back, something else than was written; then the target is as empty as before.
    """
    _mind_both(source, target)
    upgrade.to_newest(source)
    upgrade.to_newest(target)
    locks = EditorLock(source), EditorLock(target)
    try:
        for lock in locks:
            lock.acquire()
        return _copied(source, target, progress)
    finally:
        for lock in locks:
            lock.release()


def size(source: Database) -> int:
    """Rows that a copy would have to carry, for whoever shows how far it is."""
    with source.read() as connection:
        return sum(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in _TABLES)


def _mind_both(source: Database, target: Database) -> None:
    if source.path is not None and not source.path.exists():
        raise StoreError(f"{source.shown_url}: there is no database yet: nothing to copy")
    is_same_file = (
        source.path is not None and target.path is not None and source.path.absolute() == target.path.absolute()
    )
    if is_same_file or source.url == target.url:
        raise StoreError(f"{target.shown_url}: is the database that is in use: name another one")


def _copied(source: Database, target: Database, progress: Progress) -> dict[str, Content]:
    copied: dict[str, Content] = {}
    with source.read() as reading, target.write() as writing:
        _mind_empty(writing, target.shown_url)
        writing.execute(sa.delete(schema.meta).where(schema.meta.c.name != _OURS))
        done = 0
        for table in _TABLES:
            sum_ = _Sum()
            for rows in _rows(reading, table):
                insert_many(writing, table, rows)
                sum_.add(rows)
                progress(done + sum_.rows)
            done += sum_.rows
            copied[table.name] = sum_.content()
        _set_sequences(reading, writing)
        _index(reading, writing)
        for table in _TABLES:
            _compare(writing, table, copied[table.name], target.shown_url)
        if writing.dialect.name == "postgresql":
            writing.execute(sa.text("ANALYZE"))
    return copied


def _mind_empty(connection: sa.Connection, where: str) -> None:
    full = [
        table.name
        for table in _TABLES
        if table is not schema.meta and connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
    ]
    if full:
        raise StoreError(f"{where}: is not empty ({', '.join(full[:3])}): name a new database, or empty this one")


def _rows(connection: sa.Connection, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    query = sa.select(table)
    if table is schema.meta:
        query = query.where(table.c.name != _OURS)
    found = connection.execute(query, execution_options={"yield_per": _ROWS})
    for part in found.mappings().partitions(_ROWS):
        yield [dict(row) for row in part]


class _Sum:
    """Sums up the hashes of rows: equal for the same rows in any order, which databases sort each in their own way."""

    def __init__(self) -> None:
        self.rows, self._sum = 0, 0

    def add(self, rows: list[dict[str, Any]]) -> None:
        self.rows += len(rows)
        for row in rows:
            said = repr([(name, row[name]) for name in sorted(row)]).encode()
            self._sum += int.from_bytes(blake2b(said, digest_size=16).digest())

    def content(self) -> Content:
        return Content(self.rows, f"{self._sum % 2**128:032x}")


def _compare(connection: sa.Connection, table: sa.Table, wanted: Content, where: str) -> None:
    sum_ = _Sum()
    for rows in _rows(connection, table):
        sum_.add(rows)
    if sum_.content() != wanted:
        raise StoreError(
            f"{where}: {table.name} does not read back as it was written ({sum_.rows} rows for {wanted.rows}):"
            " nothing was kept; please report it"
        )


# ---------------------------------------------------------------- sequences


def _set_sequences(reading: sa.Connection, writing: sa.Connection) -> None:
    """Go on counting where the source stopped: an id that was pruned is never given again."""
    for table in _TABLES:
        column = table.autoincrement_column
        if column is None:
            continue
        top = max(_last_given(reading, table, column), reading.scalar(sa.select(sa.func.max(column))) or 0)
        if top == 0:
            continue
        if writing.dialect.name == "postgresql":
            sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
            writing.execute(sa.select(sa.func.setval(sequence, top)))
        elif _counts(table):
            values = {"name": table.name, "top": top}
            writing.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
            writing.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :top)"), values)


def _last_given(connection: sa.Connection, table: sa.Table, column: sa.Column[Any]) -> int:
    """The highest id ever given, as far as the database counts it; else 0."""
    if connection.dialect.name == "postgresql":
        name = connection.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, column.name)))
        query = sa.text("SELECT last_value FROM pg_sequences WHERE format('%I.%I', schemaname, sequencename) = :name")
        return connection.scalar(query, {"name": name}) or 0
    if not _counts(table):
        return 0
    return connection.scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name}) or 0


def _counts(table: sa.Table) -> bool:
    return bool(table.dialect_options["sqlite"]["autoincrement"])


# ---------------------------------------------------------------- search


def _index(reading: sa.Connection, writing: sa.Connection) -> None:
    """Have found in the target what is found in the source."""
    name = "rowid" if reading.dialect.name == "sqlite" else "entry_id"
    query = sa.text(f"SELECT {name} FROM search")  # noqa: S608 (one of two names)
    rows = reading.execute(query, execution_options={"yield_per": _ROWS})
    for part in rows.scalars().partitions(_ROWS):
        search.index(writing, part)
