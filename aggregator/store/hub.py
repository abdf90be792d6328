"""Our feeds as topics of WebSub: which version of each there is, and which one every hub was told of.

A change is one row's number; what waits to be told is whatever knows a lower one. So nothing is lost when a process
dies, and a feed that changed five times since is told of once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from aggregator.schema import hub_pings, hub_requests, hub_subscribers, hub_topics
from aggregator.store.engine import insert_new, upsert
from aggregator.store.rows import micros, moment


@dataclass(frozen=True, slots=True)
class Ping:
    """What a hub is to be told: that a topic changed. `version` is the topic's, `etag` that of its document then;
    `tries` is how often telling failed, `next_at` when it may be tried."""

    hub_url: str
    topic_url: str
    version: int
    etag: str
    tries: int
    next_at: datetime


def note(connection: sa.Connection, etags: Mapping[str, str], hubs: Sequence[str], now: datetime) -> list[str]:
    """Have the topics be these, by URL, with these documents, and `hubs` be told of them; those that changed.

    What is no topic any more is forgotten with all that hung on it.
    """
    known = {row.topic_url: row for row in connection.execute(sa.select(hub_topics))}
    for topic_url in known.keys() - etags.keys():
        for table in (hub_topics, hub_pings, hub_requests, hub_subscribers):
            connection.execute(sa.delete(table).where(table.c.topic_url == topic_url))
    changed = [url for url, etag in etags.items() if url not in known or known[url].etag != etag]
    for url in changed:
        version = known[url].version + 1 if url in known else 1
        row = {"topic_url": url, "etag": etags[url], "version": version, "changed_at": micros(now)}
        connection.execute(upsert(connection, hub_topics, "topic_url"), row)
    connection.execute(sa.delete(hub_pings).where(hub_pings.c.hub_url.not_in(hubs)))
    rows = [{"hub_url": hub, "topic_url": url, "version": 0, "tries": 0, "next_at": 0} for hub in hubs for url in etags]
    if rows:
        connection.execute(insert_new(connection, hub_pings), rows)
    return changed


def due_pings(connection: sa.Connection, now: datetime, limit: int) -> list[Ping]:
    """What hubs are to be told by now, the longest waiting first."""
    query = (
        sa.select(hub_pings, hub_topics.c.version.label("newest"), hub_topics.c.etag)
        .join(hub_topics, hub_topics.c.topic_url == hub_pings.c.topic_url)
        .where(hub_pings.c.version < hub_topics.c.version, hub_pings.c.next_at <= micros(now))
        .order_by(hub_topics.c.changed_at, hub_pings.c.hub_url, hub_pings.c.topic_url)
        .limit(limit)
    )
    return [
        Ping(row.hub_url, row.topic_url, row.newest, row.etag, row.tries, moment(row.next_at))
        for row in connection.execute(query)
    ]


def told(connection: sa.Connection, ping: Ping) -> None:
    """Remember that the hub was told of this version; of a later one it is not told before `ping.next_at`."""
    mine = hub_pings.c.hub_url == ping.hub_url, hub_pings.c.topic_url == ping.topic_url
    values = {"version": ping.version, "tries": 0, "next_at": micros(ping.next_at)}
    connection.execute(sa.update(hub_pings).where(*mine).values(**values))


def not_told(connection: sa.Connection, ping: Ping) -> None:
    """Remember that the hub did not take it: it is told nothing before `ping.next_at`, of no topic."""
    values = {"tries": ping.tries, "next_at": micros(ping.next_at)}
    connection.execute(sa.update(hub_pings).where(hub_pings.c.hub_url == ping.hub_url).values(**values))
