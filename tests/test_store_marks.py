"""The marks of a feed's last document, kept beside the entries that they are of; and how many statements polls cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from builders import NOW, a_fetch_failed, a_fetched, a_not_modified, a_parsed_feed, an_entry
from store_writer import ASource

from aggregator.ingest.changes import feed_changes
from aggregator.store import LastDocument, Store
from aggregator.types import FeedState, FetchOutcome, ParsedEntry, PollResult

LATER = NOW + timedelta(hours=1)


def some_feeds(store: Store, count: int) -> list[FeedState]:
    store.sync_feeds([ASource(f"https://outlet{number}.example/feed") for number in range(count)], NOW)
    return store.feeds()


def a_poll(
    store: Store,
    feed: FeedState,
    *entries: ParsedEntry,
    marks: bytes = b"",
    outcome: FetchOutcome | None = None,
) -> PollResult:
    known = store.known([feed.feed_id])[feed.feed_id]
    changes = (
        feed_changes(known, a_parsed_feed(*entries), NOW) if outcome is None else feed_changes((), a_parsed_feed(), NOW)
    )
    return PollResult(replace(feed, last_success_at=NOW), outcome or a_fetched(url=feed.url), changes, NOW, marks=marks)


def test_the_next_poll_knows_what_the_last_document_consisted_of(store):
    feed, other = some_feeds(store, 2)
    entry = an_entry()
    store.apply([a_poll(store, feed, entry, marks=b"one")], NOW)
    (stored,) = store.known([feed.feed_id])[feed.feed_id]
    assert store.last_documents([feed.feed_id, other.feed_id]) == {
        feed.feed_id: LastDocument({entry.fingerprint: stored.entry_id}, b"one"),
        other.feed_id: LastDocument(),
    }


@pytest.mark.parametrize("outcome", [a_not_modified(), a_fetch_failed()], ids=["304", "failed"])
def test_only_a_document_brings_other_marks(store, outcome):
    (feed,) = some_feeds(store, 1)
    store.apply([a_poll(store, feed, an_entry(), marks=b"one")], NOW)
    store.apply([a_poll(store, feed, outcome=outcome)], LATER)
    assert store.last_documents([feed.feed_id])[feed.feed_id].marks == b"one"


def test_a_document_without_marks_is_read_as_a_whole_next_time(store):
    (feed,) = some_feeds(store, 1)
    store.apply([a_poll(store, feed, an_entry(), marks=b"one")], NOW)
    store.apply([a_poll(store, feed, an_entry())], LATER)
    assert store.last_documents([feed.feed_id])[feed.feed_id].marks == b""


# ---------------------------------------------------------------- how many statements


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements sent to any database meanwhile; many rows sent as one count as one."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def cost_of(folder: Path, count: int, *, is_changed: bool) -> list[str]:
    """What it takes to ask about and to commit so many polls at once."""
    with Store(f"sqlite:///{folder / f'{count}.db'}") as kept:
        feeds = some_feeds(kept, count)
        kept.apply([a_poll(kept, feed, an_entry("Flood in the old town")) for feed in feeds], NOW)
        if is_changed:
            documents = {feed.feed_id: a_parsed_feed(an_entry("Merger of two banks")) for feed in feeds}
            results = [a_poll(kept, feed, *documents[feed.feed_id].entries, marks=b"m") for feed in feeds]
        else:
            documents, results = {}, [PollResult(feed, a_not_modified()) for feed in feeds]
        with statements() as sent:
            if is_changed:
                kept.last_documents(documents)
                kept.known_for(documents)
            kept.apply(results, LATER)
        return sent


@pytest.mark.parametrize("is_changed", [False, True], ids=["304", "changed"])
def test_many_polls_cost_the_statements_of_few(tmp_path, is_changed):
    few, many = (cost_of(tmp_path, count, is_changed=is_changed) for count in (3, 60))
    assert len(few) == len(many)
    assert len(many) <= (20 if is_changed else 6)
