"""Backups of a real store while it is written to, and what restoring does and refuses to do."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from builders import NOW, an_entry
from store_writer import ASource
from test_store import feeds_of, group, poll

from aggregator import schema
from aggregator.errors import AlreadyRunning, StoreError
from aggregator.store import Query, Store, StoryFilter, backup, transfer
from aggregator.store.engine import Database


def filled(store: Store, *titles: str) -> None:
    (feed,) = feeds_of(store, ASource("https://h.example/feed"))
    group(store, *poll(store, feed, *map(an_entry, titles)))


def titles(url: str) -> set[str]:
    with Store(url) as store:
        return {entry.title for story in store.stories() for entry in story.entries}


@pytest.fixture
def address(sqlite_template, tmp_path) -> str:
    """A fresh SQLite database in a folder of its own."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "news.db").write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{tmp_path / 'var' / 'news.db'}"


def test_a_backup_of_a_running_store_is_one_moment_of_it(address, tmp_path):
    with Store(address) as store:
        store.acquire_lock()
        filled(store, "Quillon opens a plant in Brno")
        with closing(sqlite3.connect(tmp_path / "var" / "news.db")) as other:
            other.execute("BEGIN IMMEDIATE")  # somebody writes all the while
            other.execute("INSERT INTO meta VALUES ('note:half', 'done')")
            made = backup.make(Database(address), tmp_path / "news.bak")
            other.commit()
        assert (made.rows["entries"], made.rows["stories"], made.revision) == (1, 1, schema.REVISION)
        assert made.size == (tmp_path / "news.bak").stat().st_size
    revision, rows = backup.checked(tmp_path / "news.bak")
    assert (revision, rows) == (made.revision, made.rows)
    with closing(sqlite3.connect(tmp_path / "news.bak")) as copy:
        assert copy.execute("SELECT count(*) FROM meta WHERE name = 'note:half'").fetchone() == (0,)
    assert stat.S_IMODE((tmp_path / "news.bak").stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["news.bak", "var"]


def test_a_backup_replaces_nothing_unasked(address, tmp_path):
    target = tmp_path / "news.bak"
    target.write_text("mine")
    with pytest.raises(StoreError, match="exists already: name another file or add --force"):
        backup.make(Database(address), target)
    assert target.read_text() == "mine"
    backup.make(Database(address), target, overwrite=True)
    assert backup.checked(target)[0] == schema.REVISION


def test_a_backup_takes_the_place_of_neither_the_database_nor_a_folder(address, tmp_path):
    """A daemon would go on writing to a file that no longer has a name."""
    path = tmp_path / "var" / "news.db"
    (tmp_path / "link.db").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    inode = path.stat().st_ino
    for target, reason in (
        (path, "is the database itself: name another file"),
        (tmp_path / "link.db", "is the database itself: name another file"),
        (tmp_path / "var", "is no file that could be replaced: name a file"),
        (tmp_path / "pipe", "is no file that could be replaced: name a file"),
    ):
        with pytest.raises(StoreError, match=reason):
            backup.make(Database(address), target, overwrite=True)
    assert path.stat().st_ino == inode
    assert sorted(os.listdir(tmp_path)) == ["link.db", "pipe", "var"]


def test_a_backup_of_nothing_makes_nothing(tmp_path):
    with pytest.raises(StoreError, match="no database yet"):
        backup.make(Database(f"sqlite:///{tmp_path / 'none.db'}"), tmp_path / "news.bak")
    assert os.listdir(tmp_path) == []


def test_a_damaged_database_gives_no_backup(address, tmp_path):
    path = tmp_path / "var" / "news.db"
    data = bytearray(path.read_bytes())
    data[4096 * 4 : 4096 * 12] = b"\xa5" * (4096 * 8)
    path.write_bytes(data)
    with pytest.raises(StoreError):
        backup.make(Database(address), tmp_path / "news.bak")
    assert os.listdir(tmp_path) == ["var"]


def test_restoring_brings_back_what_was_and_keeps_what_is(address, tmp_path):
    with Store(address) as store:
        filled(store, "Quillon opens a plant in Brno")
        before = store.installation_id()
        backup.make(Database(address), tmp_path / "news.bak")
        filled(store, "Quillon opens a plant in Brno", "Otterly sold to Fernbank")
    (tmp_path / "var" / "news.db").chmod(0o640)
    restored = backup.restore(Database(address), tmp_path / "news.bak", NOW)
    assert titles(address) == {"Quillon opens a plant in Brno"}
    assert restored.kept == tmp_path / "var" / "news.db.before-20260304T120000Z"
    assert titles(f"sqlite:///{restored.kept}") == {"Quillon opens a plant in Brno", "Otterly sold to Fernbank"}
    assert stat.S_IMODE((tmp_path / "var" / "news.db").stat().st_mode) == 0o640
    with Store(address) as store:
        assert store.installation_id() == before
        assert store.search(Query.of("brno"), StoryFilter(), 5)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_in_the_folder_of_a_daemon_is_the_daemons(address, tmp_path):
    backup.make(Database(address), tmp_path / "news.bak")
    daemon = 65534
    for name, make in (
        ("looked at", lambda url: Store(url).open()),
        ("restored", lambda url: backup.restore(Database(url), tmp_path / "news.bak", NOW)),
        ("copied", lambda url: transfer.copy(Database(address), Database(url))),
    ):
        folder = tmp_path / name
        folder.mkdir()
        os.chown(folder, daemon, daemon)
        make(f"sqlite:///{folder / 'news.db'}")
        assert {(each.stat().st_uid, each.stat().st_gid) for each in folder.iterdir()} == {(daemon, daemon)}, name


def test_restoring_needs_no_sound_database_to_begin_with(address, tmp_path):
    with Store(address) as store:
        filled(store, "Quillon opens a plant in Brno")
    backup.make(Database(address), tmp_path / "news.bak")
    (tmp_path / "var" / "news.db").write_bytes(b"not a database at all" * 1000)
    restored = backup.restore(Database(address), tmp_path / "news.bak", NOW)
    assert titles(address) == {"Quillon opens a plant in Brno"}
    assert restored.kept.read_bytes().startswith(b"not a database")


def test_a_log_left_behind_by_a_crash_goes_aside_with_its_database(address, tmp_path):
    with Store(address) as store:
        filled(store, "Quillon opens a plant in Brno")
        backup.make(Database(address), tmp_path / "news.bak")
    holder = sqlite3.connect(tmp_path / "var" / "news.db", isolation_level=None)
    holder.execute("INSERT INTO meta VALUES ('note:late', 'in the log alone')")
    with closing(holder):  # it reads on, so that the log cannot be folded in
        restored = backup.restore(Database(address), tmp_path / "news.bak", NOW)
    with closing(sqlite3.connect(restored.kept)) as kept, closing(sqlite3.connect(tmp_path / "var" / "news.db")) as new:
        query = "SELECT count(*) FROM meta WHERE name = 'note:late'"
        assert (kept.execute(query).fetchone(), new.execute(query).fetchone()) == ((1,), (0,))


def test_nothing_is_restored_under_a_running_daemon(address, tmp_path):
    backup.make(Database(address), tmp_path / "news.bak")
    with Store(address) as store:
        store.acquire_lock()
        with pytest.raises(AlreadyRunning, match="stop it first"):
            backup.restore(Database(address), tmp_path / "news.bak", NOW)
    assert sorted(os.listdir(tmp_path / "var")) == ["news.db", "news.db.lock"]


def somebody_elses(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.commit()


def of_a_newer_version(path: Path) -> None:
    with Store(f"sqlite:///{path}"):
        pass
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.commit()


def cut_short(path: Path) -> None:
    with Store(f"sqlite:///{path}") as store:
        filled(store, *(f"Headline {number} as printed" for number in range(200)))
    with closing(sqlite3.connect(path)) as whole:
        whole.execute("PRAGMA journal_mode=DELETE")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (somebody_elses, "no database of the aggregator"),
        (of_a_newer_version, "written by a newer version"),
        (cut_short, "damaged"),
        (lambda path: path.write_text("hello" * 999), "not a SQLite database"),
        (lambda path: None, "no such file"),
    ],
    ids=["others", "newer", "cut", "text", "missing"],
)
def test_what_cannot_be_restored_changes_nothing(address, tmp_path, make, said):
    before = (tmp_path / "var" / "news.db").read_bytes()
    make(tmp_path / "bad.bak")
    with pytest.raises(StoreError, match=said):
        backup.restore(Database(address), tmp_path / "bad.bak", NOW)
    assert os.listdir(tmp_path / "var") == ["news.db"]
    assert (tmp_path / "var" / "news.db").read_bytes() == before


def test_the_database_is_no_backup_of_itself(address, tmp_path):
    with pytest.raises(StoreError, match="the database itself"):
        backup.restore(Database(address), tmp_path / "var" / "news.db", NOW)


# ---------------------------------------------------------------- PostgreSQL


def test_postgresql_goes_through_its_own_tools_and_back(postgres_url, tmp_path):
    with Store(postgres_url) as store:
        filled(store, "Quillon opens a plant in Brno")
        made = backup.make(Database(postgres_url), tmp_path / "news.dump")
        assert made.revision == schema.REVISION
        filled(store, "Quillon opens a plant in Brno", "Otterly sold to Fernbank")
    restored = backup.restore(Database(postgres_url), tmp_path / "news.dump", NOW)
    assert titles(postgres_url) == {"Quillon opens a plant in Brno"}
    with Store(postgres_url) as store:
        assert store.search(Query.of("plants"), StoryFilter(), 5)
    backup.restore(Database(postgres_url), restored.kept, NOW.replace(hour=13))
    assert titles(postgres_url) == {"Quillon opens a plant in Brno", "Otterly sold to Fernbank"}


def test_a_dump_that_ends_too_early_replaces_nothing(postgres_url, tmp_path):
    with Store(postgres_url) as store:
        filled(store, *(f"Headline {number} as printed" for number in range(50)))
    target = tmp_path / "news.dump"
    backup.make(Database(postgres_url), target)
    target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
    with pytest.raises(StoreError, match="pg_restore"):
        backup.restore(Database(postgres_url), target, NOW)
    assert len(titles(postgres_url)) == 50


def test_without_the_tools_the_command_is_named(postgres_url, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreError, match=r"pg_dump is not installed.*pg_dump --format=custom"):
        backup.make(Database(postgres_url), tmp_path / "news.dump")
