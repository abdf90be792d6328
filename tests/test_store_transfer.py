"""Everything from SQLite to PostgreSQL and back: the same rows, the same answers, the same ids from then on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from builders import NOW, an_entry
from store_writer import ASource
from test_store import feeds_of, group, poll

from aggregator import schema
from aggregator.errors import AlreadyRunning, StoreError
from aggregator.store import Correction, Query, Store, StoryFilter, transfer
from aggregator.store.engine import Database, insert_many

KEPT = ("Quillon opens a plant in Brno", "Café Müller acquires Otterly 🦦", "Rates stay where they are")
VALUES = ((sa.Boolean, True), (sa.Double, 0.1), (sa.LargeBinary, b"\x00\xff"), (sa.Integer, 2**31 - 1), (sa.Text, "…"))


def write(url: str) -> None:
    """Stories, a correction, an entry whose id was the highest and is gone, and a row of every other table."""
    with Store(url) as store:
        feed, other = feeds_of(
            store, ASource("https://h.example/feed"), ASource("https://g.example/feed", section="tech")
        )
        first, second, third = poll(store, feed, *map(an_entry, KEPT))
        group(store, first)
        story_id = group(store, second, third, labels=("acquisition",))
        store.correct(Correction("merge", NOW, (story_id,), section=None))
        poll(store, other, an_entry("Waits for its story", link="https://g.example/1"))
    database = Database(url)
    with database.write() as connection:
        top = connection.scalar(sa.select(sa.func.max(schema.entries.c.entry_id)))
        row = connection.execute(sa.select(schema.entries).where(schema.entries.c.entry_id == top)).mappings().one()
        insert_many(connection, schema.entries, [{**row, "entry_id": top + 40}])
        connection.execute(sa.delete(schema.entries).where(schema.entries.c.entry_id == top + 40))
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT setval('entries_entry_id_seq', :top)"), {"top": top + 40})
        for table in schema.metadata.sorted_tables:
            if connection.execute(sa.select(table)).first() is None:
                connection.execute(sa.insert(table), a_row(connection, table))
    database.dispose()


def a_row(connection: sa.Connection, table: sa.Table) -> dict[str, Any]:
    """A row with a value in every column, of whatever is in the schema."""
    row: dict[str, Any] = {}
    for column in table.c:
        if key := next(iter(column.foreign_keys), None):
            row[column.name] = connection.scalar(sa.select(key.column).limit(1))
        else:
            row[column.name] = next(value for kind, value in VALUES if isinstance(column.type, kind))
    return row


def rows(url: str) -> Mapping[str, set[tuple[Any, ...]]]:
    database = Database(url)
    with database.read() as connection:
        found = {
            table.name: set(map(tuple, connection.execute(sa.select(table)))) for table in schema.metadata.sorted_tables
        }
    database.dispose()
    found["meta"] = {row for row in found["meta"] if row[0] != "editor"}
    return found


def holding(url: str) -> set[str]:
    """The tables that hold anything but what every new database says of itself."""
    return {name for name, found in rows(url).items() if found and name != "meta"}


def copied(source: str, target: str) -> Mapping[str, transfer.Content]:
    return transfer.copy(Database(source), Database(target))


@pytest.fixture
def lite(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'news.db'}"


@pytest.fixture(params=["to PostgreSQL", "to SQLite"])
def pair(request, lite, postgres_url) -> tuple[str, str]:
    """Where to copy from, filled, and where to, empty."""
    source, target = (lite, postgres_url) if request.param == "to PostgreSQL" else (postgres_url, lite)
    write(source)
    return source, target


def test_every_row_of_every_table_arrives(pair):
    source, target = pair
    content = copied(source, target)
    before, after = rows(source), rows(target)
    assert after == before
    assert all(before.values()), "the test writes a row of every table"
    assert {name: each.rows for name, each in content.items()} == {name: len(each) for name, each in before.items()}


def test_the_copy_answers_and_goes_on_as_the_original_would(pair):
    source, target = pair
    copied(source, target)
    answers = []
    for url in pair:
        with Store(url) as store:
            found = [
                [story.ref for story in store.search(Query.of(asked), StoryFilter(), 9)]
                for asked in ("plant", "muller", "rates", "waits", "company said")
            ]
            feed, _ = store.feeds()
            (new,) = poll(
                store, feed, *map(an_entry, KEPT), an_entry("Fernbank goes public", link="https://h.example/9")
            )
            answers.append((store.installation_id(), store.stories(), found, new))
    assert answers[0] == answers[1]
    assert answers[0][2][0] != []


def test_there_and_back_is_the_same(lite, postgres_url, tmp_path):
    write(lite)
    there = copied(lite, postgres_url)
    back = copied(postgres_url, f"sqlite:///{tmp_path / 'again.db'}")
    assert there == back
    assert rows(lite) == rows(f"sqlite:///{tmp_path / 'again.db'}")


def test_a_database_with_anything_in_it_is_left_alone(lite, postgres_url):
    write(lite)
    write(postgres_url)
    before = rows(postgres_url)
    with pytest.raises(StoreError, match="is not empty"):
        copied(lite, postgres_url)
    assert rows(postgres_url) == before


def test_a_copy_that_dies_leaves_the_target_empty_and_is_begun_again(pair):
    source, target = pair

    def die(done: int) -> None:
        if done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transfer.copy(Database(source), Database(target), die)
    assert not holding(target)
    copied(source, target)
    assert rows(target) == rows(source)


def test_what_does_not_read_back_the_same_is_not_kept(lite, postgres_url, monkeypatch):
    write(lite)

    def careless(connection: sa.Connection, table: sa.Table, some: list[dict[str, Any]]) -> None:
        insert_many(connection, table, [{**row, "title": "x"} if "title" in row else row for row in some])

    monkeypatch.setattr(transfer, "insert_many", careless)
    with pytest.raises(StoreError, match="does not read back as it was written"):
        copied(lite, postgres_url)
    assert not holding(postgres_url)


def test_nothing_is_copied_from_under_a_daemon(lite, postgres_url):
    write(lite)
    with Store(lite) as store:
        store.acquire_lock()
        with pytest.raises(AlreadyRunning):
            copied(lite, postgres_url)


def test_a_database_is_not_copied_onto_itself_nor_out_of_nothing(lite, postgres_url):
    with pytest.raises(StoreError, match="no database yet"):
        copied(lite, postgres_url)
    write(lite)
    with pytest.raises(StoreError, match="is in use"):
        copied(lite, lite)


def test_rows_are_summed_up_in_any_order():
    one, two = transfer._Sum(), transfer._Sum()
    one.add([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    two.add([{"b": "y", "a": 2}])
    two.add([{"b": "x", "a": 1}])
    assert one.content() == two.content()
    two.add([{"a": 1, "b": "y"}])
    assert one.content() != two.content()
