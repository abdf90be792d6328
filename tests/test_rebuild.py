"""What is published depends on store and configuration alone: printed anew, elsewhere, and by a running daemon."""

from __future__ import annotations

import json

import pytest
from builders import an_entry
from origin import Answer, Origin, served
from service import Service, an_rss, get, wait_for
from store_writer import ASource
from test_store import feeds_of, group, poll

from aggregator.rebuild import compared
from aggregator.store import Query, Store, StoryFilter

ITEMS = (("q1", "Quillon opens a plant in Brno"), ("q2", "Fernbank buys Otterly for $40 million"))


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    with served(Origin()) as origin:
        origin.script("/feed", Answer(body=an_rss(*ITEMS)))
        yield Service(tmp_path_factory.mktemp("rebuilt"), [origin.url("/feed")])


def test_a_daemon_serves_what_is_printed_from_the_store(installation):
    with installation.running():
        wait_for(lambda: b"Fernbank" in get(f"{installation.url}/news.atom")[2])
        done = installation.bmn("rebuild", "--verify", "--json")
        refused = installation.bmn("rebuild")
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["same"]
    assert said["printings"]["compared"] > 20
    assert said["daemon"] == {"compared": 18, "different": []}
    assert refused.returncode == 1
    assert "stop it first" in refused.stderr


def test_a_daemon_that_serves_something_else_is_noticed(installation):
    other = json.loads(installation.config.read_text()) | {"feeds": [{"slug": "news", "sections": ["tech"]}]}
    path = installation.folder / "other.yaml"
    path.write_text(json.dumps(other))
    with installation.running():
        wait_for(lambda: b"Fernbank" in get(f"{installation.url}/news.atom")[2])
        was, installation.config = installation.config, path
        try:
            done = installation.bmn("rebuild", "--verify")
        finally:
            installation.config = was
    assert done.returncode == 1
    assert "differs: /news.atom" in done.stdout


def test_without_a_daemon_two_printings_are_compared(installation):
    done = installation.bmn("rebuild", "--verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same, byte for byte" in done.stdout
    assert "no daemon answers" in done.stderr


def test_rebuild_prints_and_indexes(installation):
    said = json.loads(installation.bmn("rebuild", "--json").stdout)
    assert said["indexed"] == 2
    assert {"/news.atom", "/", "/tech"} <= set(said["documents"])


def test_the_index_is_made_anew_from_the_entries(store):
    (feed,) = feeds_of(store, ASource("https://h.example/feed"))
    group(store, *poll(store, feed, an_entry("Quillon opens a plant in Brno")))
    poll(store, feed, an_entry("Quillon opens a plant in Brno"), an_entry("Brno waits", link="https://h.example/2"))
    before = titles(store)
    with store._database.write() as connection:
        connection.exec_driver_sql("DELETE FROM search")
    assert titles(store) == []
    assert store.reindex() == 1
    assert titles(store) == before == ["Quillon opens a plant in Brno"]
    assert store.reindex() == 1


def titles(store: Store) -> list[str]:
    return [story.lead.title for story in store.search(Query.of("brno company"), StoryFilter(), 5)]


def test_what_is_missing_on_one_side_differs():
    found = compared({"/a": "1", "/b": "2", "/c": "3"}, {"/a": "1", "/b": "9", "/d": "4"})
    assert (found.compared, found.different) == (4, ("/b", "/c", "/d"))
