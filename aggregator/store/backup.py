"""The whole database into one file and back again, while the daemon runs or instead of a lost one.

On SQLite a backup is a database of its own, copied from one snapshot; PostgreSQL's is left to `pg_dump` (`pgdump`).
A file gets its name only when it was read back and found whole, so that whatever has the name can be restored.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aggregator import schema
from aggregator.errors import StoreError
from aggregator.store import pgdump, upgrade
from aggregator.store.engine import Database, explained
from aggregator.store.lock import EditorLock

_TABLES = tuple(table.name for table in schema.metadata.sorted_tables)


@dataclass(frozen=True, slots=True)
class Backup:
    """A file that was read back: `rows` by table (empty where only PostgreSQL's tools can count), `size` in bytes."""

    path: Path
    size: int
    revision: str
    rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class Restored:
    """What the database holds now, and where what it held before lies; None where it held nothing."""

    backup: Backup
    kept: Path | None


def make(database: Database, target: Path, *, overwrite: bool = False) -> Backup:
    """Write a backup that is consistent whatever is being written meanwhile, and read it back.

    Raises StoreError where there is no database, `target` exists (unless `overwrite`), is the database itself or no
    plain file, or anything is not whole; then `target` is as it was.
    """
    _mind_target(database, target, overwrite=overwrite)
    with _named_at_end(target) as made:
        if database.path is None:
            pgdump.dump(database.url, made)
            revision, rows = pgdump.revision(made), dict[str, int]()
        else:
            counted = _copy(_existing(database.path), made)
            revision, rows = checked(made)
            if rows != counted:  # pragma: no cover - the copy is of the snapshot that was counted
                raise StoreError(f"{target}: the copy holds other rows than the database: nothing was kept")
        size = made.stat().st_size
    return Backup(target, size, revision, rows)


def restore(database: Database, source: Path, now: datetime) -> Restored:
    """Put a backup in the database's place and open it; what was there is kept beside it.

    Raises AlreadyRunning while a daemon works there, StoreError where the file is damaged, of a newer version or not
    ours; then nothing has changed.
    """
    if not source.is_file():
        raise StoreError(f"{source}: no such file")
    lock = EditorLock(database)
    if database.path is None:
        return _restore_postgresql(database, lock, source, now)
    if database.path.exists() and source.samefile(database.path):
        raise StoreError(f"{source}: is the database itself: name a backup of it")
    revision, rows = checked(source)
    _mind(source, revision)
    upgrade.make_folder(database.path)
    lock.acquire()
    try:
        kept = _swap(database, source, rows, now)
    finally:
        lock.release()
    return Restored(Backup(source, source.stat().st_size, revision, rows), kept)


def checked(path: Path) -> tuple[str, dict[str, int]]:
    """Revision and rows by table of a SQLite database of ours that is whole; StoreError says what is wrong with it."""
    with explained(str(path)), contextlib.closing(_reading(path)) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        if found != ["ok"]:
            raise StoreError(f"{path}: is damaged: {'; '.join(map(str, found))}")
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"alembic_version", "meta", "entries"} <= names:
            raise StoreError(f"{path}: is no database of the aggregator")
        orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
        if orphan is not None:
            raise StoreError(f"{path}: is damaged: a row of {orphan[0]} belongs to nothing in {orphan[2]}")
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        return str(revision), _rows(connection)


# ---------------------------------------------------------------- SQLite


def _mind_target(database: Database, target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if database.path is not None and database.path.exists() and target.samefile(database.path):
        # The file under this name would be another one, and a running daemon would go on writing to one without a name.
        raise StoreError(f"{target}: is the database itself: name another file")
    if not target.is_file():
        raise StoreError(f"{target}: is no file that could be replaced: name a file")
    if not overwrite:
        raise StoreError(f"{target}: exists already: name another file or add --force")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise StoreError(f"{path}: there is no database yet: nothing to back up")
    return path


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10, isolation_level=None)


def _rows(connection: sqlite3.Connection) -> dict[str, int]:
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {name: connection.execute(_count(name)).fetchone()[0] for name in _TABLES if name in there}


def _count(table: str) -> str:
    return f"SELECT count(*) FROM {table}"  # noqa: S608 (a name of the schema)


def _copy(source: Path, target: Path) -> dict[str, int]:
    """Copy one snapshot, in one step so that no writer makes it begin again; the rows by table of that snapshot."""
    with explained(str(source)), contextlib.closing(_reading(source)) as connection:
        connection.execute("BEGIN")  # the copy goes by the transaction that stands open: counts are of the same moment
        rows = _rows(connection)
        needed = connection.execute("PRAGMA page_count").fetchone()[0] * _page_size(connection)
        if shutil.disk_usage(target.parent).free < needed:
            raise StoreError(f"{target.parent}: has no room for {needed >> 20} MiB: free some space")
        with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    _sync(target)
    return rows


def _page_size(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA page_size").fetchone()[0])


def _swap(database: Database, source: Path, rows: dict[str, int], now: datetime) -> Path | None:
    path = database.path
    assert path is not None
    with _named_at_end(path) as fresh:
        if _copy(source, fresh) != rows:
            raise StoreError(f"{source}: changed while it was read: nothing was restored")
        _belong_alike(fresh, path if path.exists() else path.parent)
        kept = _keep_aside(path, now)
    try:
        upgrade.to_newest(database)
        with database.read() as connection:
            for name, count in rows.items():
                if (connection.exec_driver_sql(_count(name)).scalar() or 0) < count:
                    raise StoreError(f"{path}: holds fewer {name} than the backup")
    except StoreError:
        database.dispose()
        if kept is not None:
            _put_back(kept, path)
        raise
    return kept


def _belong_alike(fresh: Path, other: Path) -> None:
    """Root restores for the daemon's user, who must be able to write the file."""
    owner = other.stat()
    if os.geteuid() == 0:
        os.chown(fresh, owner.st_uid, owner.st_gid)
    if other.is_file():
        fresh.chmod(owner.st_mode & 0o777)


def _keep_aside(path: Path, now: datetime) -> Path | None:
    """Give what stands at `path` a second name, its log with it; the log's own name goes, or SQLite would apply it to
    the database that comes."""
    if not path.exists():
        return None
    folding = contextlib.closing(sqlite3.connect(path, timeout=1, isolation_level=None))
    with contextlib.suppress(sqlite3.Error), folding as connection:  # a damaged one is kept as it lies
        connection.execute("PRAGMA journal_mode=DELETE")
    kept = path.with_name(f"{path.name}.before-{now:%Y%m%dT%H%M%SZ}")
    if kept.exists():
        raise StoreError(f"{kept}: exists already: nothing was restored; try again in a second")
    for ending in ("", "-wal", "-shm"):
        each = path.with_name(path.name + ending)
        if each.exists():
            _second_name(each, kept.with_name(kept.name + ending))
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return kept


def _second_name(path: Path, name: Path) -> None:
    try:
        os.link(path, name)
    except OSError:  # a file system without links
        shutil.copy2(path, name)
        _sync(name)


def _put_back(kept: Path, path: Path) -> None:
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    for ending in ("-wal", "-shm", ""):
        each = kept.with_name(kept.name + ending)
        if each.exists():
            os.replace(each, path.with_name(path.name + ending))


# ---------------------------------------------------------------- PostgreSQL


def _restore_postgresql(database: Database, lock: EditorLock, source: Path, now: datetime) -> Restored:
    revision = pgdump.revision(source)
    _mind(source, revision)
    lock.acquire()
    try:
        if others := pgdump.others(database):
            raise StoreError(f"{database.shown_url}: {', '.join(others)} work here: stop them first")
        kept = source.with_name(f"{source.name}.before-{now:%Y%m%dT%H%M%SZ}")
        with _named_at_end(kept) as made:
            pgdump.dump(database.url, made)
        pgdump.load(database.url, source)
    finally:
        lock.release()
    upgrade.to_newest(database)
    return Restored(Backup(source, source.stat().st_size, revision, {}), kept)


# ---------------------------------------------------------------- both


def _mind(source: Path, revision: str) -> None:
    if not revision.isdigit() or revision > schema.REVISION:
        raise StoreError(
            f"{source}: was written by a newer version (schema {revision}, this one knows up to {schema.REVISION}):"
            " install that version"
        )


@contextlib.contextmanager
def _named_at_end(target: Path) -> Iterator[Path]:
    """A file beside `target` that takes its name when all went well and disappears otherwise. Others may not read it:
    it holds secrets of push subscriptions."""
    made = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        try:
            os.close(os.open(made, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
        except OSError as error:
            raise StoreError(f"{target}: cannot be written: {error.strerror}") from error
        yield made
        _sync(made)
        os.replace(made, target)
        _sync(target.parent)
    finally:
        made.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written to the disk: {error.strerror}") from error
    finally:
        os.close(descriptor)
