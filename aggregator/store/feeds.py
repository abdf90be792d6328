"""Queries on feeds and hosts: the configured sources, what polls remember of them, who polls which next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

import sqlalchemy as sa

from aggregator.schema import entries, feeds, hosts, meta
from aggregator.store.engine import in_chunks, update_many, upsert
from aggregator.store.rows import (
    Values,
    dump,
    feed_state,
    feed_values,
    load,
    maybe_micros,
    micros,
    quiet_values,
    source_ref,
)
from aggregator.types import FeedState, Health, SourceRef
from aggregator.urls import host_key


class ConfiguredSource(Protocol):
    """What the store needs of a source in the configuration (`config.Source`)."""

    @property
    def url(self) -> str: ...
    @property
    def title(self) -> str | None: ...
    @property
    def section(self) -> str | None: ...
    @property
    def weight(self) -> float: ...
    @property
    def enabled(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class LastDocument:
    """What a feed's last document consisted of: ids of its entries by fingerprint, and the marks that they are known
    by."""

    standing: Mapping[bytes, int] = field(default_factory=dict)
    marks: bytes = b""

    @property
    def fingerprints(self) -> frozenset[bytes]:
        return frozenset(self.standing)


@dataclass(frozen=True, slots=True)
class Synced:
    """What a configuration changed: numbers of feeds."""

    added: int = 0
    changed: int = 0
    removed: int = 0


_NOT_STATE = ("weight", "section", "title_override", "section_is_final", "marks")
STATE = [column for column in feeds.c if column.name not in _NOT_STATE]
_SETTINGS = ("is_active", "is_enabled", "title_override", "section", "section_is_final", "weight")
CLOCK_SLACK = timedelta(minutes=1)  # what NTP corrects in steps is less
_NEW: Values = {"health": Health.NEW.value, "failures": 0, "next_poll_at": 0, "lease_until": 0}


def _settings(source: ConfiguredSource) -> Values:
    return {
        "is_active": True,
        "is_enabled": source.enabled,
        "title_override": source.title,
        "section": source.section,
        "section_is_final": str(getattr(source, "section_is", "")) == "final",
        "weight": float(source.weight),
    }


def sync(connection: sa.Connection, sources: Sequence[ConfiguredSource]) -> Synced:
    """Make the active feeds those of the configuration, by URL. State and entries of all feeds stay."""
    wanted = {source.url: _settings(source) for source in sources}
    columns = (feeds.c.feed_id, feeds.c.url, feeds.c.taken_down_at, *(feeds.c[name] for name in _SETTINGS))
    rows = connection.execute(sa.select(*columns).order_by(feeds.c.feed_id))
    added = dict(wanted)
    changed: list[Values] = []
    removed: list[int] = []
    for row in rows:
        settings = added.pop(row.url, None)
        if settings is None:
            if row.is_active:
                removed.append(row.feed_id)
            continue
        if row.taken_down_at is not None:
            settings = {**settings, "is_enabled": False}
        if any(getattr(row, name) != settings[name] for name in _SETTINGS):
            changed.append({"at_feed": row.feed_id, **settings})
    if added:
        connection.execute(
            sa.insert(feeds),
            [
                {**_NEW, **settings, "url": url, "current_url": url, "host": host_key(url)}
                for url, settings in added.items()
            ],
        )
    if changed:
        connection.execute(
            sa.update(feeds)
            .where(feeds.c.feed_id == sa.bindparam("at_feed"))
            .values({name: sa.bindparam(name) for name in _SETTINGS}),
            changed,
        )
    for some in in_chunks(removed):
        connection.execute(sa.update(feeds).where(feeds.c.feed_id.in_(some)).values(is_active=False))
    if added or changed:
        note_new_names(connection)
    return Synced(len(added), len(changed), len(removed))


def states(
    connection: sa.Connection, active_only: bool, after: int | None = None, limit: int | None = None
) -> list[FeedState]:
    """By id; those behind `after` alone."""
    query = sa.select(*STATE).order_by(feeds.c.feed_id).limit(limit)
    if active_only:
        query = query.where(feeds.c.is_active)
    if after is not None:
        query = query.where(feeds.c.feed_id > after)
    return [feed_state(row) for row in connection.execute(query).all()]


def due_query(now: datetime, limit: int) -> sa.Select[Any]:
    moment = micros(now)
    return (
        sa.select(*STATE)
        .where(
            feeds.c.next_poll_at <= moment,
            feeds.c.is_active,
            feeds.c.is_enabled,
            feeds.c.lease_until <= moment,
        )
        .order_by(feeds.c.next_poll_at, feeds.c.feed_id)
        .limit(limit)
    )


def due(connection: sa.Connection, now: datetime, limit: int) -> list[FeedState]:
    return [feed_state(row) for row in connection.execute(due_query(now, limit)).all()]


# All that a poll with nothing new changes: `rows.quiet_values`.
_TIMES = [
    "etag",
    "last_modified",
    "health",
    "failures",
    "failure_reason",
    "failure_detail",
    "next_poll_at",
    "next_poll_why",
    "last_poll_at",
    "last_success_at",
]
_SAVED = [
    *_TIMES,
    "current_url",
    "host",
    "title",
    "site_url",
    "language",
    "body_hash",
    "hints",
    "last_change_at",
    "memory",
]


def _save(names: Sequence[str]) -> sa.Update:
    values: Values = {name: sa.bindparam(name) for name in names}
    values["first_success_at"] = sa.func.coalesce(feeds.c.first_success_at, sa.bindparam("last_success_at"))
    values |= {"lease_until": sa.literal_column("0"), "lease_owner": sa.null()}
    return sa.update(feeds).where(feeds.c.feed_id == sa.bindparam("at_feed")).values(values)


_SAVE, _SAVE_TIMES = _save(_SAVED), _save(_TIMES)


def save_states(connection: sa.Connection, states: Iterable[FeedState]) -> None:
    update_many(connection, _SAVE, [feed_values(state) for state in states])


def save_times(connection: sa.Connection, states: Iterable[FeedState]) -> None:
    """What a poll that brought nothing changes: what was learned, by pushes meanwhile perhaps, stays."""
    update_many(connection, _SAVE_TIMES, [quiet_values(state) for state in states])


_NAMES = "source_names"  # in `meta`: another value whenever a source's name or site is another


def note_new_names(connection: sa.Connection) -> None:
    """The last thing of a transaction: its row is the one that all pollers share."""
    connection.execute(upsert(connection, meta, "name"), {"name": _NAMES, "value": uuid4().hex})


def names_stamp(connection: sa.Connection) -> str:
    """Differs whenever the name or the site of any source does; asked every two seconds, so it does not read them."""
    return connection.scalar(sa.select(meta.c.value).where(meta.c.name == _NAMES)) or ""


def are_named_otherwise(connection: sa.Connection, states: Sequence[FeedState]) -> bool:
    """Whether any of these feeds has another title or site in the store."""
    named = {state.feed_id: (state.title, state.site_url) for state in states}
    for some in in_chunks(list(named)):
        query = sa.select(feeds.c.feed_id, feeds.c.title, feeds.c.site_url).where(feeds.c.feed_id.in_(some))
        if any((row.title, row.site_url) != named[row.feed_id] for row in connection.execute(query).all()):
            return True
    return False


_SAVE_MARKS = sa.update(feeds).where(feeds.c.feed_id == sa.bindparam("at_feed")).values(marks=sa.bindparam("marks"))


def save_marks(connection: sa.Connection, marks: Mapping[int, bytes]) -> None:
    """How the entries of these feeds' last documents are known by their bytes; empty: not at all."""
    if marks:
        connection.execute(
            _SAVE_MARKS, [{"at_feed": feed_id, "marks": kept or None} for feed_id, kept in marks.items()]
        )


_MARKS = sa.select(feeds.c.feed_id, feeds.c.marks).where(feeds.c.feed_id.in_(sa.bindparam("feeds", expanding=True)))


def marks(connection: sa.Connection, feed_ids: Iterable[int]) -> dict[int, bytes]:
    """The marks that `save_marks` kept, of those feeds that have any."""
    rows = (row for some in in_chunks(list(feed_ids)) for row in connection.execute(_MARKS, {"feeds": some}))
    return {feed_id: kept for feed_id, kept in rows if kept}


_SAVE_PUSHED = (
    sa.update(feeds)
    .where(feeds.c.feed_id == sa.bindparam("at_feed"))
    .values(
        memory=sa.bindparam("memory"),
        last_change_at=sa.bindparam("last_change_at"),
        lease_until=0,
        lease_owner=None,
    )
)


def save_pushed(connection: sa.Connection, states: Iterable[FeedState]) -> None:
    """What a push teaches: nothing of validators, health or the next poll, which a poll may be changing meanwhile."""
    names = ("at_feed", "memory", "last_change_at")
    rows = [{name: values[name] for name in names} for values in map(feed_values, states)]
    if rows:
        connection.execute(_SAVE_PUSHED, rows)


def remember(
    connection: sa.Connection, feed_id: int, change: Callable[[FeedState], Mapping[str, object] | None]
) -> FeedState | None:
    """Replace a feed's memory by what `change` makes of its state; the state after, None for nothing to change."""
    row = connection.execute(sa.select(*STATE).where(feeds.c.feed_id == feed_id).with_for_update()).first()
    memory = change(feed_state(row)) if row is not None else None
    if memory is None:
        return None
    connection.execute(sa.update(feeds).where(feeds.c.feed_id == feed_id).values(memory=dump(dict(memory))))
    return replace(feed_state(row), memory=memory)


def failing(connection: sa.Connection) -> list[FeedState]:
    """The enabled feeds whose last poll failed."""
    query = sa.select(*STATE).where(feeds.c.is_active, feeds.c.is_enabled, feeds.c.failures > 0)
    return [feed_state(row) for row in connection.execute(query.order_by(feeds.c.feed_id))]


def poll_at(connection: sa.Connection, feed_ids: Sequence[int] | None, at: datetime | None, why: str | None) -> int:
    """Make feeds (None: all active ones) due at `at` (None: at once); how many."""
    update = sa.update(feeds).values(next_poll_at=maybe_micros(at) or 0, next_poll_why=why)
    if feed_ids is None:
        return connection.execute(update.where(feeds.c.is_active)).rowcount
    return sum(connection.execute(update.where(feeds.c.feed_id.in_(s))).rowcount for s in in_chunks(list(feed_ids)))


def bring_forward(connection: sa.Connection, now: datetime) -> int:
    """Make feeds due that were polled after `now`: by a clock that was set back since. How many."""
    was_polled_later = feeds.c.last_poll_at > micros(now + CLOCK_SLACK)
    update = sa.update(feeds).where(feeds.c.is_active, was_polled_later, feeds.c.next_poll_at > micros(now))
    return connection.execute(update.values(next_poll_at=micros(now), next_poll_why="the clock was set back")).rowcount


def defer(connection: sa.Connection, states: Sequence[FeedState]) -> None:
    """Only when the feeds are asked next; a lease of them ends."""
    if states:
        at: Values = {"next_poll_at": sa.bindparam("at"), "next_poll_why": sa.bindparam("why")}
        at |= {"lease_until": 0, "lease_owner": None}
        update = sa.update(feeds).where(feeds.c.feed_id == sa.bindparam("at_feed")).values(**at)
        rows = [{"at_feed": s.feed_id, "at": maybe_micros(s.next_poll_at) or 0, "why": s.next_poll_why} for s in states]
        connection.execute(update, rows)


def source_refs(connection: sa.Connection, feed_ids: Iterable[int] | None = None) -> dict[int, SourceRef]:
    """The feeds by id, those taken out of the configuration too: their entries are still told of."""
    query = sa.select(
        feeds.c.feed_id,
        feeds.c.url,
        feeds.c.title,
        feeds.c.title_override,
        feeds.c.site_url,
        feeds.c.section,
        feeds.c.section_is_final,
        feeds.c.weight,
        feeds.c.language,
    )
    if feed_ids is None:
        return {row.feed_id: source_ref(row) for row in connection.execute(query)}
    found: dict[int, SourceRef] = {}
    for some in in_chunks(sorted(set(feed_ids))):
        found.update({r.feed_id: source_ref(r) for r in connection.execute(query.where(feeds.c.feed_id.in_(some)))})
    return found


def by_url(connection: sa.Connection, url: str) -> FeedState | None:
    """The feed configured at `url`, or answering there now."""
    for column in (feeds.c.url, feeds.c.current_url):
        row = connection.execute(sa.select(*STATE).where(column == url).order_by(feeds.c.is_active.desc())).first()
        if row is not None:
            return feed_state(row)
    return None


def entry_counts(connection: sa.Connection) -> dict[int, int]:
    query = sa.select(entries.c.feed_id, sa.func.count().label("number")).group_by(entries.c.feed_id)
    return {row.feed_id: row.number for row in connection.execute(query)}


# ---------------------------------------------------------------- hosts


def host_memory(connection: sa.Connection) -> dict[str, dict[str, object]]:
    query = sa.select(hosts.c.host, hosts.c.memory).where(hosts.c.memory != NOTHING)
    return {row.host: load(row.memory) or {} for row in connection.execute(query)}


def save_host_memory(connection: sa.Connection, memory: Mapping[str, Mapping[str, object]]) -> None:
    """Replace what is remembered of these hosts; an empty memory forgets the host, but never a lease of it."""
    if not memory:
        return
    names = sorted(memory)  # in one order, so that two pollers cannot wait for each other
    rows = [{"host": host, "memory": dump(dict(memory[host])) or NOTHING} for host in names]
    connection.execute(upsert(connection, hosts, "host", keep=("lease_until", "lease_owner")), rows)
    forgotten = [host for host in names if not memory[host]]
    for some in in_chunks(forgotten):
        connection.execute(sa.delete(hosts).where(hosts.c.host.in_(some), hosts.c.lease_until == 0))


NOTHING = "{}"  # what is remembered of an ordinary host
