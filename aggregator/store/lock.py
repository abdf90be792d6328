"""One process edits: the lock that says so, freed by the system when its holder dies however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa

from aggregator.errors import AlreadyRunning, NotEditor, StoreError
from aggregator.schema import meta
from aggregator.store.engine import Database, explained, opened_file, upsert

_EDITOR = 0x626D6E01  # any number of ours: advisory locks are named by numbers, per database
_TERM = "editor"  # the row of `meta` that names who edits


class EditorLock:
    """Held from `acquire` to `release`: a locked file beside a SQLite database, an advisory lock on PostgreSQL.

    A holder whose connection died may not know it yet while the next one has begun. So every holder writes its term
    into the database, and what an editor writes asks in the same transaction whether that still stands (`fence`).
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._file: int | None = None
        self._connection: sa.Connection | None = None
        self._is_held = False
        self.term: str | None = None  # of the last `acquire`; another one was in between if it differs from yours

    def acquire(self) -> None:
        """Take it, or raise AlreadyRunning with the holder where it is known. Taking it twice is once."""
        path = self._database.path
        if path is None:
            self._acquire_advisory()
        elif self._file is None:
            self._file = _lock_file(path.with_name(path.name + ".lock"), self._database.shown_url)
            self.term = uuid4().hex

    def is_held(self) -> bool:
        """Whether it is still ours: a PostgreSQL server that was restarted has forgotten it."""
        if self._database.is_sqlite:
            return self._file is not None
        if self._connection is None or not self._is_held:
            return False
        try:
            with explained(self._database.shown_url):
                self._connection.exec_driver_sql("SELECT 1")
        except StoreError:
            self.release()
            return False
        return True

    def fence(self, connection: sa.Connection) -> None:
        """Raise NotEditor where somebody else took over since we took it; until the transaction ends nobody can."""
        if self.term is None or self._database.is_sqlite:
            return
        query = sa.select(meta.c.value).where(meta.c.name == _TERM).with_for_update(read=True)
        if connection.scalar(query) != self.term:
            raise NotEditor(f"{self._database.shown_url}: another process edits by now")

    def release(self) -> None:
        """Give it up, and the connection it hung on."""
        if self._file is not None:
            os.close(self._file)  # the file stays: removing it would let two hold two files of one name
            self._file = None
        was_held, self._is_held = self._is_held, False
        if self._connection is not None:
            with contextlib.suppress(Exception):  # a broken connection has lost the lock anyway
                if was_held:  # said aloud: the server notices a closed connection some time later
                    self._connection.scalar(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": _EDITOR})
            with contextlib.suppress(Exception):
                self._connection.invalidate()
                self._connection.close()
            self._connection = None

    def _acquire_advisory(self) -> None:
        if self.is_held():
            return
        try:
            if self._connection is None:
                self._connection = self._database.own_connection()
            with explained(self._database.shown_url):
                if self._connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": _EDITOR}):
                    self._begin_term()
                    self._is_held = True
                    return
                holder = self._connection.scalar(sa.text(_HOLDER), {"key": _EDITOR}) or "another process"
        except StoreError:
            self.release()
            raise
        raise AlreadyRunning(f"{self._database.shown_url}: {holder} already groups and publishes here")

    def _begin_term(self) -> None:
        term = uuid4().hex
        # Waits for what the holder before us is committing at this moment; what it begins later is refused.
        with self._database.write() as connection:
            connection.execute(upsert(connection, meta, "name"), {"name": _TERM, "value": term})
        self.term = term


_HOLDER = (
    "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.objid = :key"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def _lock_file(path: Path, shown: str) -> int:
    try:
        descriptor = opened_file(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened for the lock: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        said = os.read(descriptor, 32).strip()
        os.close(descriptor)
        pid = int(said) if said.isdigit() else None
        who = f"process {pid}" if pid else "another process"
        raise AlreadyRunning(
            f"{shown}: {who} already works on this database: stop it first (SQLite serves one process)", pid
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
