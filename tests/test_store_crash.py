"""Killed at any moment, the store is as it was between two transactions."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
import store_writer
from builders import NOW
from postgres import Server, a_server
from store_writer import the_entry

from aggregator.errors import StoreError
from aggregator.store import Store

KILLS = int(os.environ.get("BMN_KILLS", "60"))  # ten times as many run before a release


def kill_one_writer(url: str, seed: int, after: float) -> None:
    """Start a writer, wait until it works and `after` seconds more, kill it with SIGKILL."""
    # A forked process has everything imported; no connection is open here that it could inherit.
    begun, begin = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            store_writer.main(url, seed, lambda: os.write(begin, b"."))
        finally:
            os._exit(1)
    os.close(begin)
    try:
        assert os.read(begun, 1) == b"."
        time.sleep(after)
    finally:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(begun)
    assert os.WIFSIGNALED(status), "the writer ended by itself"


def check(store: Store) -> tuple[int, int]:
    """Nothing is torn; how many entries and stories there are."""
    for feed in store.feeds():
        promised = int(feed.validators.etag or 0)
        kept = {entry.guid for entry in store.known([feed.feed_id])[feed.feed_id]}
        assert kept == {f"{feed.feed_id}-{number}" for number in range(1, promised + 1)}, feed.url
    stories = store.stories(limit=None)
    counts = store.counts(NOW)
    assert len(stories) == counts.stories, "a story without entries"
    told = [entry for story in stories for entry in (*story.entries, *story.duplicates)]
    assert len(told) + counts.ungrouped == counts.entries
    for story in stories:
        assert story.lead.entry_id in {entry.entry_id for entry in story.entries}
    for entry in told:
        number = int(entry.guid.partition("-")[2])
        assert entry.summary == the_entry(entry.source.feed_id, number).summary, "an entry without its text"
    return counts.entries, counts.stories


@pytest.mark.timeout(300)
def test_sqlite_survives_many_kills(sqlite_url: str) -> None:
    chance = random.Random(1)
    entries = 0
    for seed in range(KILLS):
        kill_one_writer(sqlite_url, seed, chance.uniform(0, 0.1))
        with Store(sqlite_url) as store:
            now, _ = check(store)
        assert now >= entries, "something that was there is gone"
        entries = now
    assert entries > 100


@pytest.mark.timeout(300)
def test_postgresql_survives_kills_of_client_and_server() -> None:
    chance = random.Random(2)
    with a_server() as server:
        server.execute("CREATE DATABASE crash")
        url = server.url("crash")
        entries = 0
        for seed in range(6):
            kill_one_writer(url, seed, chance.uniform(0, 0.2))
            if seed % 2:
                server.stop()  # SIGQUIT: no checkpoint, recovery at the next start
                server.start()
            with Store(url) as store:
                now, _ = check(store)
            assert now >= entries
            entries = now


def test_a_store_goes_on_after_its_server_was_restarted() -> None:
    with a_server() as server:
        server.execute("CREATE DATABASE again")
        store = Store(server.url("again"))
        store.open()
        store.acquire_lock()
        store.set_note("before", "1")
        _restart(server)
        assert not store.holds_lock()
        store.acquire_lock()
        assert store.holds_lock()
        assert store.note("before") == "1"
        store.set_note("after", "2")
        server.stop()
        with pytest.raises(StoreError, match="server"):
            store.note("after")
        store.close()


def _restart(server: Server) -> None:
    server.stop()
    server.start()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'aggregator.db'}"


def test_a_migration_that_dies_leaves_nothing(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("alembic.operations.Operations.create_index", dies)
        with pytest.raises(MemoryError):
            Store(sqlite_url).open()
    tables = sa.inspect(sa.create_engine(sqlite_url)).get_table_names()
    assert tables == []
    with Store(sqlite_url) as store:
        assert store.feeds() == []
