"""PostgreSQL's own tools for backups, run as children: `pg_dump` writes its custom format, `pg_restore` reads it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL

from aggregator.errors import StoreError
from aggregator.store.engine import Database, explained

_LISTS = re.compile(r"^\d+;.* TABLE DATA \S+ (\S+) ", re.MULTILINE)
_VERSION = re.compile(r"^COPY \S*alembic_version .*\n(\w+)$", re.MULTILINE)


def dump(url: URL, target: Path) -> None:
    """Write the database to `target`, one snapshot of it. Raises StoreError."""
    _run(url, ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}"])


def revision(path: Path) -> str:
    """The schema's revision that a dump holds. Raises StoreError where it is damaged or not ours."""
    said = _run(None, ["pg_restore", "--list", str(path)])
    if not {"alembic_version", "entries", "meta"} <= set(_LISTS.findall(said)):
        raise StoreError(f"{path}: is no backup of the aggregator")
    # Written out in full, so that a file that ends too early is noticed before anything is replaced by it.
    _run(None, ["pg_restore", "--file=/dev/null", str(path)])
    text = _run(None, ["pg_restore", "--data-only", "--table=alembic_version", "--file=-", str(path)])
    found = _VERSION.search(text)
    if found is None:
        raise StoreError(f"{path}: does not say of which version it is")
    return found[1]


def load(url: URL, source: Path) -> None:
    """Replace what the database holds by the dump: all of it, or nothing where anything goes wrong."""
    command = ["pg_restore", "--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction"]
    _run(url, [*command, "--exit-on-error", f"--dbname={_address(url)}", str(source)])


def others(database: Database) -> list[str]:
    """Our processes that are connected to the database, this one left out."""
    query = sa.text(
        "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name LIKE 'bmn %' AND application_name <> current_setting('application_name')"
    )
    with database.read() as connection, explained(database.shown_url):
        return sorted(connection.scalars(query))


def _address(url: URL) -> str:
    return url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)


def _run(url: URL | None, command: Sequence[str]) -> str:
    """What the tool says. Its password goes by the environment: arguments are for everybody to see."""
    tool = command[0]
    if shutil.which(tool) is None:
        shown = " ".join(command)
        raise StoreError(f"{tool} is not installed: install the PostgreSQL client, or run where it is: {shown}")
    if url is not None and tool == "pg_dump":
        command = [*command, f"--dbname={_address(url)}"]
    environment = dict(os.environ)
    if url is not None and url.password:
        environment["PGPASSWORD"] = str(url.password)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[-400:]
        raise StoreError(f"{tool}: {said or f'ended with {done.returncode}'}")
    return done.stdout
