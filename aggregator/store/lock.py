"""One process edits: the lock that says so, freed by the system when its holder dies however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

import sqlalchemy as sa

from aggregator.errors import AlreadyRunning, StoreError
from aggregator.store.engine import Database, explained

_EDITOR = 0x626D6E01  # any number of ours: advisory locks are named by numbers, per database


class EditorLock:
    """Held from `acquire` to `release`: a locked file beside a SQLite database, an advisory lock on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._file: int | None = None
        self._connection: sa.Connection | None = None

    def acquire(self) -> None:
        """Take it, or raise AlreadyRunning with the holder where it is known. Taking it twice is once."""
        path = self._database.path
        if path is None:
            self._acquire_advisory()
        elif self._file is None:
            self._file = _lock_file(path.with_name(path.name + ".lock"), self._database.shown_url)

    def is_held(self) -> bool:
        """Whether it is still ours: a PostgreSQL server that was restarted has forgotten it."""
        if self._database.is_sqlite:
            return self._file is not None
        if self._connection is None:
            return False
        try:
            with explained(self._database.shown_url):
                self._connection.exec_driver_sql("SELECT 1")
        except StoreError:
            self.release()
            return False
        return True

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)  # the file stays: removing it would let two hold two files of one name
            self._file = None
        if self._connection is not None:
            with contextlib.suppress(Exception):  # a broken connection has lost the lock anyway
                self._connection.invalidate()
                self._connection.close()
            self._connection = None

    def _acquire_advisory(self) -> None:
        if self.is_held():
            return
        connection = self._database.own_connection()
        with explained(self._database.shown_url):
            if connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": _EDITOR}):
                self._connection = connection
                return
            query = (
                "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                " WHERE l.locktype = 'advisory' AND l.granted AND l.objid = :key"
                " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            holder = connection.scalar(sa.text(query), {"key": _EDITOR}) or "another process"
        connection.close()
        raise AlreadyRunning(f"{self._database.shown_url}: {holder} already groups and publishes here")


def _lock_file(path: Path, shown: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
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
