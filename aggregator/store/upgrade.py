"""From whatever is in the database to the newest schema, by the steps in `migrations/versions`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import sqlalchemy as sa

from aggregator import schema
from aggregator.errors import StoreError
from aggregator.store.engine import Database, explained, opened_file

_MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
_UPGRADING = 0x626D6E02


def to_newest(database: Database) -> None:
    """Make the tables, or change them, in one transaction. StoreError if they are newer or somebody else's."""
    if database.path is not None:
        make_folder(database.path)
        if not database.path.exists():
            with contextlib.suppress(OSError):  # what is in the way is SQLite's to say
                os.close(opened_file(database.path))
    with explained(database.shown_url):
        with database.read() as connection:
            if (
                _revision(connection, database.shown_url) == schema.REVISION
            ):  # the usual start: Alembic is not even imported
                return
        if database.is_sqlite:
            database.sqlite_statement("PRAGMA wal_autocheckpoint")  # opens the writer, which makes the file a WAL one
        with database.write() as connection:
            if not database.is_sqlite:  # another machine may start at this moment
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADING})
            found = _revision(connection, database.shown_url)
            if found != schema.REVISION:
                _upgrade(connection, found, database.shown_url)


def make_folder(path: Path) -> None:
    """The folder of a database's file, made where there is none. Raises StoreError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot be made: {error.strerror}") from error


def _revision(connection: sa.Connection, where: str) -> str | None:
    """The revision of the tables, None in an empty database. Raises StoreError where the tables are somebody else's."""
    names = set(sa.inspect(connection).get_table_names())
    if "alembic_version" in names:
        revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        return revision
    if names:
        some = ", ".join(sorted(names)[:3])
        raise StoreError(f"{where}: holds other tables ({some}): give the aggregator a database of its own")
    return None


def _upgrade(connection: sa.Connection, found: str | None, where: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(
            f"{where}: was written by a newer version (schema {found}, this one knows up to {schema.REVISION}):"
            " install that version again or restore a backup"
        )
    command.upgrade(config, "head")
