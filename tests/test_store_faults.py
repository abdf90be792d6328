"""What the store says and keeps when the database, the disk or another process is in the way."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from builders import NOW, a_fetched, a_parsed_feed, an_entry
from postgres import Server
from store_writer import ASource, poll_all

import aggregator
from aggregator import schema
from aggregator.errors import AlreadyRunning, StoreError
from aggregator.ingest.changes import feed_changes
from aggregator.store import Lease, Store, StoryFilter, engine
from aggregator.types import PollResult, Validators


def sqlite_store(path: Path) -> Store:
    return Store(f"sqlite:///{path}")


def as_nobody(check: Callable[[], None]) -> None:
    """Run `check` without root's powers, in a process of its own."""
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            check()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


# ---------------------------------------------------------------- databases that will not do


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("aggregator.db", "no database address"),
        ("mysql://localhost/news", "mysql is not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
    ],
)
def test_an_address_that_is_no_database_of_ours(url, said):
    with pytest.raises(StoreError, match=said):
        Store(url)


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    path = tmp_path / "aggregator.db"
    path.write_text("my shopping list, which is longer than a header of SQLite" * 100)
    with pytest.raises(StoreError, match="not a SQLite database"):
        sqlite_store(path).open()
    assert path.read_text().startswith("my shopping list")


def test_somebody_elses_database_is_left_alone(tmp_path):
    path = tmp_path / "aggregator.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE songs (name)")
    with pytest.raises(StoreError, match=r"other tables \(songs\)"):
        sqlite_store(path).open()
    assert [name for (name,) in sqlite3.connect(path).execute("SELECT name FROM sqlite_master")] == ["songs"]


def test_a_newer_database_is_left_alone(store):
    with store._database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer version"):
        store.open()


def test_a_directory_that_cannot_be_written_to_is_named(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)

    def check() -> None:
        with pytest.raises(StoreError, match=r"cannot be opened.*may be written to"):
            sqlite_store(locked / "aggregator.db").open()
        with pytest.raises(StoreError, match="cannot be made"):
            sqlite_store(locked / "var" / "aggregator.db").open()

    as_nobody(check)


def test_a_folder_that_is_missing_is_made(tmp_path):
    with sqlite_store(tmp_path / "var" / "lib" / "aggregator.db") as store:
        assert store.feeds() == []


def test_a_server_that_is_not_there_is_named_without_the_password():
    store = Store("postgresql://bmn:secret@127.0.0.1:1/news")
    with pytest.raises(StoreError, match=r"(does not answer|cannot be reached)") as caught:
        store.open()
    assert "secret" not in str(caught.value)
    assert "secret" not in store.shown_url


# ---------------------------------------------------------------- a full disk


def test_a_full_disk_loses_nothing_and_is_survived(sqlite_template, tmp_path):
    path = tmp_path / "aggregator.db"
    path.write_bytes(sqlite_template.read_bytes())
    with sqlite_store(path) as store:
        store.sync_feeds([ASource("https://h.example/feed")], NOW)
        (feed,) = store.feeds()
        first = an_entry("Flood in the old town")
        store.apply([PollResult(feed, a_fetched(), feed_changes((), a_parsed_feed(first), NOW))], NOW)
        pages = store._database.sqlite_statement("PRAGMA page_count")[0][0]
        store._database.sqlite_statement(f"PRAGMA max_page_count={pages + 2}")
        big = an_entry("Merger of two banks", content="<p>" + "x" * 1_000_000)
        changes = feed_changes(store.known([feed.feed_id])[feed.feed_id], a_parsed_feed(first, big), NOW)
        result = PollResult(replace(feed, validators=Validators('"2"')), a_fetched(), changes)
        with pytest.raises(StoreError, match="disk is full"):
            store.apply([result], NOW)
        assert store.feeds() == [feed]
        assert [entry.title for entry in store.ungrouped(9)] == [first.title]
        store._database.sqlite_statement("PRAGMA max_page_count=1000000")
        assert store.apply([result], NOW).new_entries == 1
        assert store.feeds()[0].validators.etag == '"2"'


def test_pruning_gives_space_back(sqlite_template, tmp_path):
    class Keep:
        text = entries = timedelta(days=1)

    path = tmp_path / "aggregator.db"
    path.write_bytes(sqlite_template.read_bytes())
    with sqlite_store(path) as store:
        store.sync_feeds([ASource("https://h.example/feed")], NOW)
        (feed,) = store.feeds()
        entries = [an_entry(f"Headline number {n}", content="<p>" + "x" * 10_000) for n in range(50)]
        state = replace(feed, last_success_at=NOW)
        store.apply([PollResult(state, a_fetched(), feed_changes((), a_parsed_feed(*entries), NOW))], NOW)
        full = store.size()
        store.prune(Keep(), NOW + timedelta(days=2))
        assert store.size() < full / 2


# ---------------------------------------------------------------- several processes and threads


def test_a_second_process_on_a_sqlite_database_is_told_who_holds_it(tmp_path):
    with sqlite_store(tmp_path / "a.db") as first, sqlite_store(tmp_path / "a.db") as second:
        first.acquire_lock()
        first.acquire_lock()
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}") as caught:
            second.acquire_lock()
        assert caught.value.holder == os.getpid()
        assert (first.holds_lock(), second.holds_lock()) == (True, False)
        first.release_lock()
        second.acquire_lock()


def test_a_killed_holder_holds_nothing(store_url):
    begun, begin = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            held = Store(store_url)
            held.open()
            held.acquire_lock()
            os.write(begin, b".")
            time.sleep(60)
        finally:
            os._exit(1)
    assert os.read(begun, 1) == b"."
    with Store(store_url) as store:
        with pytest.raises(AlreadyRunning, match=str(pid)):
            store.acquire_lock()
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        for _ in range(100):  # a server notices in its own time that a client is gone
            try:
                store.acquire_lock()
                break
            except AlreadyRunning:
                time.sleep(0.05)
        assert store.holds_lock()


def test_only_one_edits_on_postgresql(postgres_url):
    with Store(postgres_url) as first, Store(postgres_url) as second:
        first.acquire_lock()
        with pytest.raises(AlreadyRunning, match=f"bmn .*:{os.getpid()} already groups"):
            second.acquire_lock()
        first.close()
        second.acquire_lock()
        assert second.holds_lock()


def in_threads(*works: Callable[[], None]) -> None:
    """Run all at once; the first exception of any is raised."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if failures:
        raise failures[0]


def test_readers_are_never_kept_out_and_see_whole_polls(store):
    import random

    store.sync_feeds([ASource(f"https://h{n}.example/feed") for n in range(4)], NOW)
    done = threading.Event()
    looks = []

    def write() -> None:
        chance = random.Random(1)
        try:
            for _ in range(25):
                poll_all(store, chance)
        finally:
            done.set()

    def read() -> None:
        while not done.is_set():
            counts = store.counts(NOW)
            assert counts.entries == sum(counts.by_feed.values())
            # All feeds are polled in one transaction, so none may be seen ahead of the others.
            assert len(counts.by_feed) in (0, 4)
            store.ungrouped(20)
            looks.append(counts.entries)

    in_threads(write, read, read, read)
    assert len(looks) > 10


def test_stores_opened_at_once_make_one_schema(tmp_path, postgres_server: Server):
    postgres_server.execute("CREATE DATABASE bare")
    for url in (f"sqlite:///{tmp_path / 'bare.db'}", postgres_server.url("bare")):
        stores = [Store(url) for _ in range(4)]
        in_threads(*(store.open for store in stores))
        assert len({store.installation_id() for store in stores}) == 1
        for store in stores:
            store.close()


def test_the_switch_to_wal_waits_where_sqlite_does_not(tmp_path):
    """Two that switch at once both hold a read lock; SQLite then calls one of them busy without waiting."""
    path = tmp_path / "new.db"
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.3, holder.rollback).start()
    impatient = sqlite3.connect(path, timeout=0, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        impatient.execute("PRAGMA journal_mode=WAL")
    engine._in_wal_mode(impatient.cursor())
    assert impatient.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    impatient.close()
    holder.close()


def test_no_feed_is_claimed_twice(store_url):
    with Store(store_url) as first:
        first.sync_feeds([ASource(f"https://h{n}.example/feed") for n in range(60)], NOW)
        claimed: list[str] = []

        def claim(worker: str) -> None:
            with Store(store_url) as store:
                while feeds := store.claim_due(NOW, 3, Lease(worker, timedelta(minutes=1))).feeds:
                    claimed.extend(feed.url for feed in feeds)

        in_threads(*(lambda worker=f"w{n}": claim(worker) for n in range(4)))
        assert len(claimed) == len(set(claimed)) == 60


# ---------------------------------------------------------------- the schema


def test_the_migrations_lead_to_the_schema(store):
    with store._database.read() as connection:
        # The index of words is none of SQLAlchemy's tables: see `store.search`.
        ours = {"include_name": lambda name, kind, parents: kind != "table" or not name.startswith("search")}
        context = MigrationContext.configure(connection, opts=ours)
        assert context.get_current_revision() == schema.REVISION
        assert compare_metadata(context, schema.metadata) == []


def test_the_revision_is_the_newest_script():
    scripts = ScriptDirectory(str(Path(aggregator.__file__).parent / "migrations"))
    assert scripts.get_current_head() == schema.REVISION


def test_no_query_of_every_pass_walks_a_whole_table(sqlite_template, tmp_path):
    """The plans of SQLite, which chooses by rule here: no statistics in an empty database."""
    path = tmp_path / "aggregator.db"
    path.write_bytes(sqlite_template.read_bytes())
    said: list[tuple[str, object]] = []
    with sqlite_store(path) as store:
        for engine in (store._database._reader, store._database._writer):
            sa.event.listen(
                engine, "before_cursor_execute", lambda c, cursor, text, values, x, many: said.append((text, values))
            )
        store.sync_feeds([ASource("https://h.example/feed")], NOW)
        (feed,) = store.feeds()
        said.clear()
        document = a_parsed_feed(an_entry())
        changes = feed_changes(store.known_for({feed.feed_id: document})[feed.feed_id], document, NOW)
        store.fingerprints([feed.feed_id])
        store.apply([PollResult(feed, a_fetched(), changes)], NOW)
        store.due_feeds(NOW, 10)
        store.subscriptions_to_ask(NOW, 10)
        entries = store.ungrouped(10)
        store.stale(10)
        store.twins(entries)
        list(store.window(NOW))
        store.newest_of_each([(StoryFilter(("tech", "companies", "unsure"), min_sources=2), 10)])
        store.touched(10)
        store.stories(limit=10)
        store.stories(label="x")
        store.stories(source=1)
        store.stories_changed_since(NOW)
        store.story("abcdefghij")
        store.story_of_url("https://h.example/a")
    plans = [
        (row[3], text)
        for text, values in said
        if text.startswith(("SELECT", "UPDATE", "DELETE"))
        for row in sqlite3.connect(path).execute(
            f"EXPLAIN QUERY PLAN {text}", values[0] if values and isinstance(values, list) else values
        )
    ]
    assert len(plans) > 20
    plans = [(step, text) for step, text in plans if step != "SCAN feeds"]  # few, and sources are wanted all at once
    walks = [
        (step, text)
        for step, text in plans
        if step.startswith("SCAN") and "INDEX" not in step and "sqlite_" not in step
    ]
    assert walks == []
