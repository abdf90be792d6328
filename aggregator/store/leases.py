"""Who may poll what: leases of feeds and of the hosts that they are asked at, so that many pollers share one database.

A feed is one poller's until its result is applied or its lease ends. A host is one poller's until its lease ends, with
all its feeds: spacing and concurrency so need no words between processes. Where there is only one (SQLite) nobody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from aggregator.schema import feeds, hosts
from aggregator.store.engine import in_chunks, insert_new
from aggregator.store.feeds import NOTHING, STATE, due_query
from aggregator.store.rows import feed_state, load, maybe_moment, micros, moment
from aggregator.types import FeedState

FORGOTTEN_AFTER = timedelta(days=2)  # the end of its lease: a host of which politeness remembers nothing


@dataclass(frozen=True, slots=True)
class LeasedHost:
    """`memory` is what politeness remembers of it. `left_at`: by when the poller before us had asked it for the last
    time, None where that was ourselves or nobody."""

    memory: Mapping[str, object]
    left_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """`feeds` are ours, and so are `hosts`, by `urls.host_key`; hosts that need no spacing are not among them."""

    feeds: tuple[FeedState, ...] = ()
    hosts: Mapping[str, LeasedHost] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lease:
    """Whose and how long. `is_spaced` says of a host whether one poller alone may ask it."""

    worker: str
    length: timedelta
    is_spaced: Callable[[str], bool] = lambda host: True


def claim_due(
    connection: sa.Connection, now: datetime, limit: int, lease: Lease, but_not: Collection[int] = ()
) -> Claimed:
    """The most overdue feeds that nobody else has, at hosts that nobody else has. Waits for nobody."""
    query = due_query(now, limit).where(_is_host_free(now, lease.worker))
    if but_not:
        query = query.where(feeds.c.feed_id.not_in(but_not))
    # SKIP LOCKED where there is such a thing; on SQLite the transaction has the database to itself.
    return _lease_out(connection, connection.execute(query.with_for_update(skip_locked=True)).all(), now, lease)


def claim(connection: sa.Connection, now: datetime, feed_ids: Iterable[int], lease: Lease) -> Claimed:
    """Those of these feeds that nobody else has, due or not."""
    rows: list[Any] = []
    for some in in_chunks(sorted(feed_ids)):
        query = sa.select(*STATE).where(
            feeds.c.feed_id.in_(some),
            feeds.c.is_active,
            feeds.c.taken_down_at.is_(None),
            sa.or_(feeds.c.lease_until <= micros(now), feeds.c.lease_owner == lease.worker),
            _is_host_free(now, lease.worker),
        )
        rows += connection.execute(query.order_by(feeds.c.feed_id).with_for_update(skip_locked=True)).all()
    return _lease_out(connection, rows, now, lease)


def _is_host_free(now: datetime, worker: str) -> sa.ColumnElement[bool]:
    taken = sa.select(hosts.c.host).where(
        hosts.c.host == feeds.c.host, hosts.c.lease_until > micros(now), hosts.c.lease_owner != worker
    )
    return ~taken.exists()


def _lease_out(connection: sa.Connection, rows: Sequence[Any], now: datetime, lease: Lease) -> Claimed:
    """Lease the hosts of locked rows, and the rows whose host we got."""
    spaced = {host for host in {row.host or "" for row in rows} if lease.is_spaced(host)}
    got = _lease_hosts(connection, sorted(spaced), now, lease)
    ours = [row for row in rows if (row.host or "") in got or (row.host or "") not in spaced]
    mine = {"lease_until": micros(now + lease.length), "lease_owner": lease.worker}
    for some in in_chunks([row.feed_id for row in ours]):
        connection.execute(sa.update(feeds).where(feeds.c.feed_id.in_(some)).values(**mine))
    return Claimed(tuple(feed_state(row) for row in ours), got)


def _lease_hosts(connection: sa.Connection, names: list[str], now: datetime, lease: Lease) -> dict[str, LeasedHost]:
    """Those of the hosts that we have now. One that another poller is about to take is not waited for."""
    mine = {"lease_until": micros(now + lease.length), "lease_owner": lease.worker}
    got: dict[str, LeasedHost] = {}
    for some in in_chunks(names):
        query = sa.select(hosts).where(hosts.c.host.in_(some)).order_by(hosts.c.host)
        known = connection.execute(query.with_for_update(skip_locked=True)).all()
        for row in known:
            if row.lease_until <= micros(now) or row.lease_owner == lease.worker:
                got[row.host] = LeasedHost(load(row.memory) or {}, _left_at(row, lease.worker))
        old = [row.host for row in known if row.host in got]
        if old:
            connection.execute(sa.update(hosts).where(hosts.c.host.in_(old)).values(**mine))
        seen = {row.host for row in known}
        if new := [{"host": host, "memory": NOTHING, **mine} for host in some if host not in seen]:
            added = insert_new(connection, hosts).values(new).returning(hosts.c.host)
            got.update({host: LeasedHost({}) for host in connection.scalars(added)})
    return got


def lease_host(connection: sa.Connection, now: datetime, host: str, lease: Lease) -> LeasedHost | None:
    """One host by itself; None where another poller has it."""
    return _lease_hosts(connection, [host], now, lease).get(host)


def _left_at(row: Any, worker: str) -> datetime | None:
    # A poller asks nothing once its lease is over, and says when it gave one back: no later than this.
    return moment(row.lease_until) if row.lease_until and row.lease_owner != worker else None


def renew(
    connection: sa.Connection, now: datetime, feed_ids: Iterable[int], names: Iterable[str], lease: Lease
) -> tuple[set[int], set[str]]:
    """Begin the leases of these feeds and hosts anew; those that are still ours."""
    until = micros(now + lease.length)
    kept_feeds: set[int] = set()
    for some in in_chunks(sorted(feed_ids)):
        where = feeds.c.feed_id.in_(some), feeds.c.lease_owner == lease.worker
        update = sa.update(feeds).where(*where).values(lease_until=until).returning(feeds.c.feed_id)
        kept_feeds.update(connection.scalars(update))
    kept_hosts: set[str] = set()
    for some in in_chunks(sorted(names)):
        where = hosts.c.host.in_(some), hosts.c.lease_owner == lease.worker
        again = sa.update(hosts).where(*where).values(lease_until=until).returning(hosts.c.host)
        kept_hosts.update(connection.scalars(again))
    return kept_feeds, kept_hosts


def release(
    connection: sa.Connection, now: datetime, feed_ids: Iterable[int], names: Iterable[str], worker: str
) -> int:
    """Give feeds back unpolled, and hosts to whoever asks them next; how many feeds."""
    freed = 0
    for some in in_chunks(sorted(feed_ids)):
        where = feeds.c.feed_id.in_(some), feeds.c.lease_owner == worker
        freed += connection.execute(sa.update(feeds).where(*where).values(lease_until=0, lease_owner=None)).rowcount
    for some in in_chunks(sorted(names)):
        where = hosts.c.host.in_(some), hosts.c.lease_owner == worker
        connection.execute(sa.update(hosts).where(*where).values(lease_until=micros(now), lease_owner=None))
    return freed


def forget_hosts(connection: sa.Connection, before: datetime) -> int:
    """Forget hosts whose lease ended before then and of which politeness remembers nothing; how many."""
    idle = sa.select(hosts.c.host).where(hosts.c.lease_until < micros(before), hosts.c.memory == NOTHING)
    # One that a poller is taking this moment is left to it.
    names = list(connection.scalars(idle.with_for_update(skip_locked=True)))
    for some in in_chunks(names):
        connection.execute(sa.delete(hosts).where(hosts.c.host.in_(some)))
    return len(names)


def still_ours(connection: sa.Connection, feed_ids: Iterable[int], worker: str | None) -> dict[int, datetime | None]:
    """`last_success_at` by id of the feeds still configured, not taken down and, given a worker, still leased to it;
    locked."""
    found: dict[int, datetime | None] = {}
    for some in in_chunks(sorted(feed_ids)):
        query = (
            sa.select(feeds.c.feed_id, feeds.c.last_success_at)
            .where(feeds.c.feed_id.in_(some), feeds.c.is_active, feeds.c.taken_down_at.is_(None))
            .order_by(feeds.c.feed_id)
            .with_for_update()
        )
        if worker is not None:
            query = query.where(feeds.c.lease_owner == worker)
        found.update({row.feed_id: maybe_moment(row.last_success_at) for row in connection.execute(query).all()})
    return found
