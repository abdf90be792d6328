"""Connections, transactions and what can go wrong with them: the part of the store that knows which database it is.

One engine writes (one connection at a time on SQLite), another reads snapshots; both are made here and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from psycopg.errors import QueryCanceled
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError

from aggregator.errors import BadValue, StoreError, StoreOverdue

# Parameters a statement; SQLite refuses more than 32,766, PostgreSQL 65,535.
CHUNK = 500
_WAIT_MS = 10_000  # for another writer: a backup, a second `bmn`
_VACUUM_PAGES = 5000  # a step: 20 MiB, some 50 ms
_CACHE_KIB = 8_000  # of pages for the writer
_READER_CACHE_KIB = 2_000  # for each reader: there may be sixteen
_STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's machine, at the clock: some 0.2 ms
_CHECKPOINT_PAGES = 4000  # 16 MiB: many commits change the same pages of indexes, which are written back once
_WAL_LIMIT = 64 << 20  # bytes the write-ahead log is cut back to after a burst


def parse_url(url: str) -> URL:
    """The database's address, checked: SQLite in a file, or PostgreSQL through psycopg 3. Raises StoreError."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(f"database: {url!r} is no database address, such as sqlite:///var/aggregator.db") from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise StoreError(f"database: {backend} is not supported, use sqlite:///… or postgresql+psycopg://…")
    if not parsed.database or parsed.database == ":memory:":
        raise StoreError("database: SQLite needs a file here, such as sqlite:///var/aggregator.db")
    return parsed


# A peer that vanished without a word (power, network) is given up by both sides within 20 seconds, so that its leases
# and locks are free again. The server's own settings, often two hours, would count otherwise.
_SILENT_PEERS = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
    "options": "-c timezone=UTC -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=2",
}


class Database:
    """Both engines and the writer's lock. Threads may share it; writers wait for each other."""

    def __init__(self, url: str) -> None:
        self.url = parse_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.shown_url = self.url.render_as_string(hide_password=True)
        self._writing = threading.RLock()
        try:
            self._writer, self._reader = self._engines()
        except (NoSuchModuleError, ImportError) as error:  # pragma: no cover - psycopg is a dependency
            raise StoreError(f"{self.shown_url}: its driver is missing: {error}") from error

    @property
    def path(self) -> Path | None:
        """The SQLite file, None on PostgreSQL."""
        return Path(self.url.database or "") if self.is_sqlite else None

    def _engines(self) -> tuple[sa.Engine, sa.Engine]:
        if self.is_sqlite:
            options: dict[str, Any] = {"connect_args": {"timeout": _WAIT_MS / 1000, "check_same_thread": False}}
            writer = sa.create_engine(self.url, pool_size=1, max_overflow=0, **options)
            reader = sa.create_engine(self.url, pool_size=4, max_overflow=12, **options)
            sa.event.listen(writer, "connect", _prepare_writer)
            sa.event.listen(writer, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
            sa.event.listen(reader, "connect", _prepare_reader)
            sa.event.listen(reader, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
            return writer, reader
        name = f"bmn {socket.gethostname()}:{os.getpid()}"
        options = {
            "connect_args": {"application_name": name, "connect_timeout": 10, **_SILENT_PEERS},
            "pool_pre_ping": True,  # a restarted server costs one failed ping, not a failed transaction
        }
        writer = sa.create_engine(self.url, pool_size=2, max_overflow=2, **options)
        reader = sa.create_engine(
            self.url,
            pool_size=4,
            max_overflow=12,
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
            **options,
        )
        return writer, reader

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction that writes: all of it or, after any exception, nothing. Raises StoreError."""
        with self._writing, explained(self.shown_url), self._writer.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self, seconds: float | None = None) -> Iterator[sa.Connection]:
        """One snapshot to read from, whatever is written meanwhile. Raises StoreError; StoreOverdue where reading takes
        longer than `seconds`."""
        with explained(self.shown_url), self._reader.begin() as connection, _within(connection, seconds):
            yield connection

    def own_connection(self) -> sa.Connection:
        """A PostgreSQL connection outside the pools and outside transactions, for the caller to close."""
        engine = self._writer.execution_options(isolation_level="AUTOCOMMIT")
        with explained(self.shown_url):
            connection = engine.connect()
            connection.detach()
        return connection

    def sqlite_statement(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """The rows of one statement that SQLite allows in no transaction (VACUUM, some PRAGMAs)."""
        with self._writing, explained(self.shown_url):
            connection = self._writer.raw_connection()
            try:
                return list(connection.cursor().execute(statement, parameters).fetchall())
            finally:
                connection.close()

    def sqlite_script(self, statements: str) -> None:
        """Run statements outside any transaction, each to its end: `execute` makes one step of some PRAGMAs."""
        with self._writing, explained(self.shown_url):
            connection = self._writer.raw_connection()
            try:
                connection.cursor().executescript(statements)
            finally:
                connection.close()

    def give_space_back(self) -> None:
        """Hand SQLite's free pages back to the system, in steps between which other writers get in."""
        while (free := self.sqlite_statement("PRAGMA freelist_count")[0][0]) != 0:
            self.sqlite_script(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
            if self.sqlite_statement("PRAGMA freelist_count")[0][0] == free:  # somebody else's file: no auto_vacuum
                break
        self.sqlite_script("PRAGMA optimize")

    def dispose(self) -> None:
        """Close every connection; the next use opens new ones."""
        self._writer.dispose()
        self._reader.dispose()


def opened_file(path: Path) -> int:
    """A descriptor of the file, made where there is none. What root makes belongs to whom its folder belongs to: a
    daemon of another user must be able to write what was copied, restored or looked at before its first start."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    owner = path.parent.stat()
    if os.geteuid() == 0 and (owner.st_uid, owner.st_gid) != (0, 0):
        with contextlib.suppress(OSError):  # a unit's filter of system calls may forbid it: then it stays root's
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


@contextlib.contextmanager
def _within(connection: sa.Connection, seconds: float | None) -> Iterator[None]:
    """Have the database give up what it is asked once the time is over. On PostgreSQL each statement has that time."""
    if seconds is None:
        yield
        return
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}")
        yield
        return
    driver: Any = connection.connection.driver_connection
    until = time.monotonic() + seconds
    driver.set_progress_handler(lambda: time.monotonic() > until, _STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)


def _prepare(connection: sqlite3.Connection, cache_kib: int) -> sqlite3.Cursor:
    connection.isolation_level = None  # transactions begin where we say so and nowhere else
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_WAIT_MS}")
    cursor.execute(f"PRAGMA cache_size=-{cache_kib}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA temp_store=MEMORY")
    return cursor


def _prepare_writer(connection: sqlite3.Connection, _: object) -> None:
    cursor = _prepare(connection, _CACHE_KIB)
    cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")  # counts in a new file only, before its first table
    _in_wal_mode(cursor)
    # A killed process loses nothing: the system has what was written. A power cut may take the last commits, never a
    # part of one: those polls are simply due again and give their stories the same ids. FULL would cost an fsync each.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT}")
    cursor.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    cursor.close()


def _in_wal_mode(cursor: sqlite3.Cursor) -> None:
    """Switch the file to WAL. SQLite may call its lock busy at once, whatever `busy_timeout` says: then we wait."""
    until = time.monotonic() + _WAIT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(random.uniform(0.002, 0.02))  # two that wait in step would meet again


def _prepare_reader(connection: sqlite3.Connection, _: object) -> None:
    cursor = _prepare(connection, _READER_CACHE_KIB)
    cursor.execute("PRAGMA query_only=ON")
    cursor.close()


# ---------------------------------------------------------------- errors

_REMEDIES = (
    ("file is not a database", "it is not a SQLite database: name another file, or move this one away"),
    ("malformed", "the database file is damaged: restore a backup (bmn restore)"),
    ("readonly database", "it cannot be written to: check the permissions of the file and its directory"),
    ("read-only", "it cannot be written to: check the permissions of the user or the server"),
    ("unable to open database file", "it cannot be opened: check that the directory exists and may be written to"),
    ("database or disk is full", "the disk is full: nothing of this step was kept; free some space"),
    ("disk i/o error", "the disk does not take what we write: check its space and health"),
    ("no space left", "the disk is full: nothing of this step was kept; free some space"),
    ("database is locked", f"another process has been writing for {_WAIT_MS // 1000} s: see who holds the file"),
    ("connection refused", "the server does not answer: check that it runs and the address"),
    ("could not connect", "the server does not answer: check that it runs and the address"),
    ("connection failed", "the server cannot be reached or refuses us: check the address, user and password"),
    ("terminating connection", "the server closed the connection: the step is done again"),
    ("server closed the connection", "the server closed the connection: the step is done again"),
)


@contextlib.contextmanager
def explained(where: str) -> Iterator[None]:
    """What the database complains about, as a StoreError that says where and what to do."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = getattr(error, "orig", None) or error
        if isinstance(cause, QueryCanceled) or getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise StoreOverdue(f"{where}: what was asked took too long and was given up") from error
        said = " ".join(str(cause).split())
        kind = BadValue if isinstance(error, DataError | IntegrityError) else StoreError
        remedy = next((remedy for sign, remedy in _REMEDIES if sign in said.casefold()), None)
        raise kind(f"{where}: {remedy} ({said})" if remedy else f"{where}: {said}") from error


def upsert(connection: sa.Connection, table: sa.Table, key: str, keep: tuple[str, ...] = ()) -> sa.Insert:
    """An insert that changes the row where `key` is there already, but for the columns in `keep`."""
    insert = _insert(connection, table)
    changed = {c.name: insert.excluded[c.name] for c in table.c if c.name not in (key, *keep)}
    return insert.on_conflict_do_update(index_elements=[key], set_=changed)


def add_up(connection: sa.Connection, table: sa.Table, key: str) -> sa.Insert:
    """An insert that adds its numbers to those of the row where `key` is there already."""
    insert = _insert(connection, table)
    sums = {c.name: c + insert.excluded[c.name] for c in table.c if c.name != key}
    return insert.on_conflict_do_update(index_elements=[key], set_=sums)


def insert_new(connection: sa.Connection, table: sa.Table) -> sa.Insert:
    """An insert that leaves alone what is there already."""
    return _insert(connection, table).on_conflict_do_nothing()


def _insert(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


@lru_cache(maxsize=16)
def _insert_statement(table: sa.Table, names: tuple[str, ...]) -> str:
    return str(sa.insert(table).compile(dialect=sqlite.dialect(), column_keys=list(names)))


def insert_many(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same keys and values as the database takes them.

    On SQLite past SQLAlchemy's handling of parameters, which costs as much there as the insert itself.
    """
    if not rows:
        return
    if connection.dialect.name != "sqlite":
        connection.execute(sa.insert(table), rows)
        return
    names = tuple(column.name for column in table.c if column.name in rows[0])  # the order of the statement
    take = itemgetter(*names)
    connection.exec_driver_sql(_insert_statement(table, names), [take(row) for row in rows])


@lru_cache(maxsize=16)
def _update_statement(statement: sa.Update) -> tuple[str, tuple[str, ...]]:
    compiled = statement.compile(dialect=sqlite.dialect())
    return str(compiled), tuple(compiled.positiontup or ())


def update_many(connection: sa.Connection, statement: sa.Update, rows: Sequence[Mapping[str, Any]]) -> None:
    """Update by each of the rows, which give every parameter of the statement as the database takes it.

    On SQLite past SQLAlchemy, as in `insert_many`.
    """
    if not rows:
        return
    if connection.dialect.name != "sqlite":
        connection.execute(statement, rows)
        return
    text, names = _update_statement(statement)
    take = itemgetter(*names)
    connection.exec_driver_sql(text, [take(row) for row in rows])


def in_chunks(values: list[int] | list[bytes] | list[str], size: int = CHUNK) -> Iterator[list]:  # type: ignore[type-arg]
    """The values in lists short enough for one statement's parameters."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
