"""What polls change, many of them in one transaction: new, updated and departed entries, and the feeds' states.

An entry that stands in its feed's last document has no `left_at`; a 304 so leaves every row alone, and a new document
touches only the entries that it adds, changes or no longer has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from aggregator.schema import entries, texts
from aggregator.store import entries as entry_queries
from aggregator.store import feeds as feed_queries
from aggregator.store import leases, push, watch
from aggregator.store.engine import in_chunks, insert_many
from aggregator.store.rows import Values, dated, entry_values, micros, text_values
from aggregator.types import Fetched, PollResult, Pushed


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch of polls changed. `skipped` polls were of feeds taken out of the configuration meanwhile, or leased
    to somebody else by now: nothing of them is kept."""

    new_entries: int = 0
    updated_entries: int = 0
    buried: int = 0
    repeats: int = 0
    polls: int = 0
    skipped: int = 0
    new_ids: tuple[int, ...] = ()
    updated_ids: tuple[int, ...] = ()


def apply(connection: sa.Connection, results: Sequence[PollResult], now: datetime, worker: str | None) -> Applied:
    """Entries and states of many polls; the caller commits them together.

    An ETag saved without its entries would hide them behind a 304 for ever. Done twice it changes nothing more.
    """
    # Two polls of one feed saw the same past; a push that crossed a poll is read once more.
    ordered = sorted(results, key=lambda result: not isinstance(result.outcome, Pushed))
    latest = {result.state.feed_id: result for result in ordered}
    last_success = leases.still_ours(connection, latest, worker)
    polls = [latest[feed_id] for feed_id in sorted(last_success)]
    documents = [result for result in polls if isinstance(result.outcome, Fetched | Pushed)]
    standing = entry_queries.standing(connection, [result.state.feed_id for result in documents])
    new_ids = _insert(connection, documents, standing, now)
    updated_ids = _update(connection, documents)
    _note_presence(connection, documents, standing, last_success, now)
    pushed = [result for result in polls if isinstance(result.outcome, Pushed)]
    whole = [result for result in documents if isinstance(result.outcome, Fetched)]
    has_new_names = feed_queries.are_named_otherwise(connection, [result.state for result in whole])
    asked = [result for result in polls if not isinstance(result.outcome, Pushed)]
    feed_queries.save_times(connection, [result.state for result in asked if result.is_quiet])
    feed_queries.save_states(connection, [result.state for result in asked if not result.is_quiet])
    # A push brings a part of the feed: the marks of its last whole document stay.
    feed_queries.save_marks(connection, {result.state.feed_id: result.marks for result in whole})
    feed_queries.save_pushed(connection, [result.state for result in pushed])
    failed = sum(1 for result in asked if result.state.failures)
    watch.count(connection, now, len(asked), failed, len(new_ids))
    push.remove(connection, [result.outcome.push_id for result in pushed if isinstance(result.outcome, Pushed)])
    if has_new_names:
        feed_queries.note_new_names(connection)
    return Applied(
        len(new_ids),
        len(updated_ids),
        sum(result.changes.buried for result in documents),
        sum(result.changes.repeats for result in documents),
        len(polls),
        len(results) - len(polls),
        tuple(new_ids),
        tuple(updated_ids),
    )


def _insert(
    connection: sa.Connection, documents: list[PollResult], standing: Mapping[int, dict[bytes, int]], now: datetime
) -> list[int]:
    """Stores the new entries; their ids. One that stands already, from a poll that crossed this one, is left out."""
    wanted = [
        (result.state, new)
        for result in documents
        for new in result.changes.new
        if new.entry.fingerprint not in standing[result.state.feed_id]
    ]
    if not wanted:
        return []
    rows: list[Values] = []
    new_texts: list[Values] = []
    seen_at = micros(now)
    fixed = {"first_seen": seen_at, "is_stale": False}
    for entry_id, (state, new) in zip(_free_ids(connection, len(wanted)), wanted, strict=True):
        values = entry_values(state, new.entry, new.canonical_url, new.title_key)
        published = micros(dated(new.entry.published, now))
        values.update(fixed, entry_id=entry_id, feed_id=state.feed_id, dated=published)
        rows.append(values)
        if (text := text_values(entry_id, new.entry)) is not None:
            new_texts.append(text)
    insert_many(connection, entries, rows)
    insert_many(connection, texts, new_texts)
    return [row["entry_id"] for row in rows]


def _free_ids(connection: sa.Connection, count: int) -> list[int]:
    """Ids never given before, known beforehand so that entries and texts go in by one statement each."""
    if connection.dialect.name == "sqlite":
        last = connection.scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'entries'")) or 0
        return list(range(last + 1, last + 1 + count))
    series = sa.text("SELECT nextval('entries_entry_id_seq') FROM generate_series(1, :count)")
    return list(connection.scalars(series, {"count": count}))


_UPDATED = [
    "fingerprint",
    "guid_key",
    "page_key",
    "title_day_key",
    "guid",
    "link",
    "canonical_url",
    "title",
    "title_key",
    "author",
    "published",
    "updated",
    "categories",
    "image_url",
    "enclosures",
    "comments_url",
    "comment_count",
    "language",
]
_CLAIMED = sa.bindparam("published", type_=sa.BigInteger)
_UPDATE = (
    sa.update(entries)
    .where(entries.c.entry_id == sa.bindparam("at_entry"))
    .values(
        **{name: sa.bindparam(name) for name in _UPDATED},
        dated=sa.case((entries.c.first_seen >= _CLAIMED, _CLAIMED), else_=entries.c.first_seen),
        is_stale=entries.c.story_id.is_not(None),
    )
)


def _update(connection: sa.Connection, documents: list[PollResult]) -> list[int]:
    """Stores what the feeds now say of entries we have; their ids. Grouped ones become stale."""
    changes = [(result.state, update) for result in documents for update in result.changes.updated]
    if not changes:
        return []
    connection.execute(
        _UPDATE,
        [
            {"at_entry": update.entry_id} | entry_values(state, update.entry, update.canonical_url, update.title_key)
            for state, update in changes
        ],
    )
    for some in in_chunks([update.entry_id for _, update in changes]):
        connection.execute(sa.delete(texts).where(texts.c.entry_id.in_(some)))
    rows = [row for _, update in changes if (row := text_values(update.entry_id, update.entry)) is not None]
    if rows:
        connection.execute(sa.insert(texts), rows)
    return [update.entry_id for _, update in changes]


def _note_presence(
    connection: sa.Connection,
    documents: list[PollResult],
    standing: Mapping[int, dict[bytes, int]],
    last_success: Mapping[int, datetime | None],
    now: datetime,
) -> None:
    """Notes which entries the documents no longer have, and which are back."""
    left: list[Values] = []
    back: list[int] = []
    for result in documents:
        feed_id, changes = result.state.feed_id, result.changes
        stood = standing[feed_id]
        there = {*changes.seen, *(update.entry_id for update in changes.updated)}
        there.update(stood[new.entry.fingerprint] for new in changes.new if new.entry.fingerprint in stood)
        back += there.difference(stood.values())
        if isinstance(result.outcome, Pushed):  # what a hub brings is news, not the whole feed
            continue
        at = micros(last_success[feed_id] or now)
        left += [{"at_entry": entry_id, "left_at": at} for entry_id in stood.values() if entry_id not in there]
    if left:
        connection.execute(sa.update(entries).where(entries.c.entry_id == sa.bindparam("at_entry")), left)
    for some in in_chunks(sorted(back)):
        connection.execute(sa.update(entries).where(entries.c.entry_id.in_(some)).values(left_at=None))
