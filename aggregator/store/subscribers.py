"""Who subscribed to our feeds at the hub that we are ourselves: requests that wait to be confirmed, and subscribers.

A delivery is due where a subscriber knows a lower version of its topic than there is (`store.hub`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from aggregator.schema import hub_requests, hub_subscribers, hub_topics
from aggregator.store.engine import insert_new
from aggregator.store.rows import Values, micros, moment

REMEMBER_REQUESTS = timedelta(hours=1)  # one that could not be asked about for so long is forgotten


@dataclass(frozen=True, slots=True)
class HubRequest:
    """What a callback is said to want: `mode` subscribe or unsubscribe. `host` is the callback's (`urls.host_key`),
    `version` the topic's when it was asked for, `tries` how often the callback could not be asked."""

    callback_url: str
    topic_url: str
    host: str
    mode: str
    secret: str | None
    lease: timedelta
    made_at: datetime
    version: int = 0
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """A document that a subscriber has to get: `version` of its topic, with the document of `etag`. `tries` is how
    often bringing it failed since the last time it did not."""

    callback_url: str
    topic_url: str
    host: str
    secret: str | None
    version: int
    etag: str
    tries: int


@dataclass(frozen=True, slots=True)
class Room:
    """How many there may be: requests that wait and subscribers, in all and of one host."""

    waiting: int
    waiting_of_host: int
    subscribers: int
    subscribers_of_host: int


def _is(table: sa.Table, callback_url: str, topic_url: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.callback_url == callback_url, table.c.topic_url == topic_url)


# ---------------------------------------------------------------- requests


def put(connection: sa.Connection, request: HubRequest, room: Room) -> str | None:
    """Have the callback asked about it; None, or for want of what room it is not: `host`, `hub`.

    A newer request takes an older one's place, and its turn.
    """
    mine = _is(hub_requests, request.callback_url, request.topic_url)
    values = {"mode": request.mode, "secret": request.secret, "made_at": micros(request.made_at)}
    values |= {"lease_seconds": int(request.lease.total_seconds())}
    if connection.execute(sa.update(hub_requests).where(mine).values(**values)).rowcount:
        return None
    if (full := _want_of_room(connection, request, room)) is not None:
        return full
    topic = sa.select(hub_topics.c.version).where(hub_topics.c.topic_url == request.topic_url)
    row: Values = {
        "callback_url": request.callback_url,
        "topic_url": request.topic_url,
        "host": request.host,
        "version": connection.scalar(topic) or 0,
        "tries": 0,
        "next_at": micros(request.made_at),
        **values,
    }
    connection.execute(insert_new(connection, hub_requests), [row])
    return None


def _want_of_room(connection: sa.Connection, request: HubRequest, room: Room) -> str | None:
    wanted = [(hub_requests, room.waiting_of_host, room.waiting)]
    is_renewal = connection.scalar(
        sa.select(sa.func.count())
        .select_from(hub_subscribers)
        .where(_is(hub_subscribers, request.callback_url, request.topic_url))
    )
    if request.mode == "subscribe" and not is_renewal:
        wanted.append((hub_subscribers, room.subscribers_of_host, room.subscribers))
    for table, most_of_host, most in wanted:
        of_host = sa.func.coalesce(sa.func.sum(sa.case((table.c.host == request.host, 1), else_=0)), 0)
        count, count_of_host = connection.execute(sa.select(sa.func.count(), of_host).select_from(table)).one()
        if count_of_host >= most_of_host:
            return "host"
        if count >= most:
            return "hub"
    return None


def due_requests(connection: sa.Connection, now: datetime, limit: int, but_not: Collection[str]) -> list[HubRequest]:
    """Those whose callback is to be asked by now, but for those of these hosts; the longest waiting first."""
    query = sa.select(hub_requests).where(hub_requests.c.next_at <= micros(now))
    if but_not:
        query = query.where(hub_requests.c.host.not_in(list(but_not)))
    return [_request(row) for row in connection.execute(query.order_by(hub_requests.c.next_at).limit(limit))]


def confirmed(connection: sa.Connection, request: HubRequest, now: datetime) -> None:
    """Do what was asked for, now that the callback confirmed it."""
    mine = _is(hub_subscribers, request.callback_url, request.topic_url)
    if request.mode == "unsubscribe":
        connection.execute(sa.delete(hub_subscribers).where(mine))
    else:
        lease = {"secret": request.secret, "lease_until": micros(now + request.lease)}
        if not connection.execute(sa.update(hub_subscribers).where(mine).values(tries=0, **lease)).rowcount:
            row: Values = {
                "callback_url": request.callback_url,
                "topic_url": request.topic_url,
                "host": request.host,
                "since": micros(now),
                "version": request.version,
                "tries": 0,
                "next_at": micros(now),
                **lease,
            }
            connection.execute(sa.insert(hub_subscribers), [row])
    drop_request(connection, request)


def drop_request(connection: sa.Connection, request: HubRequest) -> None:
    """Forget it, unless another took its place meanwhile."""
    mine = _is(hub_requests, request.callback_url, request.topic_url)
    connection.execute(sa.delete(hub_requests).where(mine, hub_requests.c.made_at == micros(request.made_at)))


def put_off_request(connection: sa.Connection, request: HubRequest, tries: int, until: datetime) -> None:
    """Ask its callback again then."""
    mine = _is(hub_requests, request.callback_url, request.topic_url)
    connection.execute(sa.update(hub_requests).where(mine).values(tries=tries, next_at=micros(until)))


# ---------------------------------------------------------------- subscribers


def due_deliveries(connection: sa.Connection, now: datetime, limit: int, but_not: Collection[str]) -> list[Delivery]:
    """What subscribers are to get by now, but for those of these hosts; the longest waiting first."""
    query = (
        sa.select(hub_subscribers, hub_topics.c.version.label("newest"), hub_topics.c.etag)
        .join(hub_topics, hub_topics.c.topic_url == hub_subscribers.c.topic_url)
        .where(hub_subscribers.c.version < hub_topics.c.version, hub_subscribers.c.next_at <= micros(now))
        .where(hub_subscribers.c.lease_until > micros(now))
        .order_by(hub_subscribers.c.next_at, hub_subscribers.c.callback_url, hub_subscribers.c.topic_url)
        .limit(limit)
    )
    if but_not:
        query = query.where(hub_subscribers.c.host.not_in(list(but_not)))
    return [
        Delivery(row.callback_url, row.topic_url, row.host, row.secret, row.newest, row.etag, row.tries)
        for row in connection.execute(query)
    ]


def delivered(connection: sa.Connection, delivery: Delivery, next_at: datetime) -> None:
    """Remember that the subscriber has this version; a later one is not brought before `next_at`."""
    mine = _is(hub_subscribers, delivery.callback_url, delivery.topic_url)
    values = {"version": delivery.version, "tries": 0, "next_at": micros(next_at)}
    connection.execute(sa.update(hub_subscribers).where(mine).values(**values))


def not_delivered(
    connection: sa.Connection, delivery: Delivery, tries: int, until: datetime, *, of_host: bool = False
) -> None:
    """Bring it again then; `of_host`: nothing to others of its host before either."""
    if of_host:
        others = hub_subscribers.c.host == delivery.host, hub_subscribers.c.next_at < micros(until)
        connection.execute(sa.update(hub_subscribers).where(*others).values(next_at=micros(until)))
    mine = _is(hub_subscribers, delivery.callback_url, delivery.topic_url)
    connection.execute(sa.update(hub_subscribers).where(mine).values(tries=tries, next_at=micros(until)))


def drop(connection: sa.Connection, callback_url: str, topic_url: str) -> None:
    """End a subscription."""
    connection.execute(sa.delete(hub_subscribers).where(_is(hub_subscribers, callback_url, topic_url)))


def expire(connection: sa.Connection, now: datetime) -> int:
    """End the subscriptions whose lease is over, forget requests too old to be asked about; how many subscriptions."""
    is_old = hub_requests.c.made_at < micros(now - REMEMBER_REQUESTS)
    connection.execute(sa.delete(hub_requests).where(is_old))
    return connection.execute(sa.delete(hub_subscribers).where(hub_subscribers.c.lease_until <= micros(now))).rowcount


def counts(connection: sa.Connection) -> tuple[int, int]:
    """(subscriptions, requests that wait)."""
    both = (
        sa.select(sa.func.count()).select_from(table).scalar_subquery() for table in (hub_subscribers, hub_requests)
    )
    subscribers, waiting = connection.execute(sa.select(*both)).one()
    return subscribers, waiting


def _request(row: Any) -> HubRequest:
    return HubRequest(
        row.callback_url,
        row.topic_url,
        row.host,
        row.mode,
        row.secret,
        timedelta(seconds=row.lease_seconds),
        moment(row.made_at),
        row.version,
        row.tries,
    )
