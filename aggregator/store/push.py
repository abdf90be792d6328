"""Queries on subscriptions and on what hubs brought. What becomes of a subscription is for `ingest.websub` to decide.

A change reads, decides and writes in one transaction, since a hub's verification may cross the answer to our question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from aggregator.ingest.websub import PushState, Subscription
from aggregator.schema import feeds, pushes, subscriptions
from aggregator.store.engine import in_chunks
from aggregator.store.rows import Values, dump, feed_state, load, maybe_micros, maybe_moment, micros, moment
from aggregator.types import FeedState, Pushed

Decide = Callable[[Subscription], Subscription | None]

WAITING_PER_FEED = 8  # pushes; a hub that is told 503 tries again
WAITING_BYTES = 64 << 20  # of all feeds together
REMEMBER_LEFT = timedelta(days=30)  # for which a callback that is over answers 410; then 404


def one(connection: sa.Connection, token: str) -> Subscription | None:
    row = connection.execute(sa.select(subscriptions).where(subscriptions.c.token == token)).first()
    return _subscription(row) if row is not None else None


def everyone(connection: sa.Connection) -> list[Subscription]:
    """All that are not over."""
    query = (
        sa.select(subscriptions).where(subscriptions.c.state != PushState.LEFT.value).order_by(subscriptions.c.token)
    )
    return [_subscription(row) for row in connection.execute(query)]


def of_feed(connection: sa.Connection, feed_id: int) -> list[Subscription]:
    query = sa.select(subscriptions).where(subscriptions.c.feed_id == feed_id).order_by(subscriptions.c.token)
    return [_subscription(row) for row in connection.execute(query)]


def to_ask(connection: sa.Connection, now: datetime, limit: int) -> list[Subscription]:
    """Those whose hub is to be asked by now. A lease that runs out is asked about then at the latest."""
    query = (
        sa.select(subscriptions)
        .where(subscriptions.c.state != PushState.LEFT.value, subscriptions.c.ask_at <= micros(now))
        .order_by(subscriptions.c.ask_at)
        .limit(limit)
    )
    return [_subscription(row) for row in connection.execute(query)]


def counts(connection: sa.Connection) -> dict[str, int]:
    query = sa.select(subscriptions.c.state, sa.func.count().label("number")).group_by(subscriptions.c.state)
    return {row.state: row.number for row in connection.execute(query)}


def begin(connection: sa.Connection, subscription: Subscription) -> bool:
    """Add it unless its feed has one of that hub and topic, by another process perhaps; whether it was added."""
    feed = sa.select(feeds.c.feed_id).where(feeds.c.feed_id == subscription.feed_id).with_for_update()
    connection.execute(feed)
    for other in of_feed(connection, subscription.feed_id):
        is_same = (other.hub_url, other.topic_url) == (subscription.hub_url, subscription.topic_url)
        if is_same and other.state not in (PushState.LEAVING, PushState.LEFT):
            return False
    connection.execute(sa.insert(subscriptions), [_values(subscription)])
    return True


def change(
    connection: sa.Connection, token: str, decide: Decide, now: datetime, due_at: datetime | None = None
) -> tuple[Subscription, Subscription] | None:
    """The subscription before and after, None where there is none or `decide` gives None: then nothing changes.

    Its feed is trusted to be pushed accordingly; where that ends, the feed is due at `due_at` (None: at once).
    """
    query = sa.select(subscriptions).where(subscriptions.c.token == token).with_for_update()
    row = connection.execute(query).first()
    before = _subscription(row) if row is not None else None
    after = decide(before) if before is not None else None
    if before is None or after is None:
        return None
    if after != before:
        values = _values(after)
        connection.execute(sa.update(subscriptions).where(subscriptions.c.token == token).values(**values))
        if after.trusted_until != before.trusted_until:
            _note_trust(connection, after, due_at or now)
    return before, after


def _note_trust(connection: sa.Connection, changed: Subscription, due_at: datetime) -> None:
    trusted = [one.trusted_until for one in of_feed(connection, changed.feed_id) if one.trusted_until is not None]
    update = sa.update(feeds).where(feeds.c.feed_id == changed.feed_id)
    connection.execute(update.values(pushed_until=maybe_micros(max(trusted, default=None))))
    if not trusted:
        late, why = feeds.c.next_poll_at > micros(due_at), f"no longer pushed: {changed.reason or changed.state}"
        connection.execute(update.where(late).values(next_poll_at=micros(due_at), next_poll_why=why))


def forget_left(connection: sa.Connection, now: datetime) -> int:
    """Take out those that have been over for long; how many."""
    is_old = subscriptions.c.asked_at.is_(None) | (subscriptions.c.asked_at < micros(now - REMEMBER_LEFT))
    return connection.execute(
        sa.delete(subscriptions).where(subscriptions.c.state == PushState.LEFT.value, is_old)
    ).rowcount


# ---------------------------------------------------------------- what hubs brought


def put(
    connection: sa.Connection, token: str, decide: Decide, content_type: str | None, body: bytes, now: datetime
) -> bool | None:
    """Keep a push until somebody reads it; None where `decide` does not want it, False where too many wait."""
    subscription = one(connection, token)
    if subscription is None or decide(subscription) is None:
        return None
    size = sa.func.coalesce(sa.func.sum(sa.func.length(pushes.c.body)), 0)
    of_this = sa.select(sa.func.count()).where(pushes.c.feed_id == subscription.feed_id).scalar_subquery()
    waiting, waiting_bytes = connection.execute(sa.select(of_this, sa.select(size).scalar_subquery())).one()
    if waiting >= WAITING_PER_FEED or (waiting_bytes and waiting_bytes + len(body) > WAITING_BYTES):
        return False
    if change(connection, token, decide, now) is None:
        return None
    row: Values = {
        "feed_id": subscription.feed_id,
        "topic_url": subscription.topic_url,
        "received_at": micros(now),
        "content_type": content_type,
        "body": body,
        "lease_until": 0,
    }
    connection.execute(sa.insert(pushes), [row])
    return True


def waiting(connection: sa.Connection, now: datetime, limit: int) -> list[tuple[int, int]]:
    """(push id, feed id) of what can be read now, the oldest first, one of a feed."""
    oldest = sa.func.min(pushes.c.push_id)
    query = (
        sa.select(oldest, pushes.c.feed_id)
        .join(feeds, feeds.c.feed_id == pushes.c.feed_id)
        .where(pushes.c.lease_until <= micros(now), feeds.c.lease_until <= micros(now))
        .group_by(pushes.c.feed_id)
        .order_by(oldest)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def claim(
    connection: sa.Connection, push_ids: Sequence[int], now: datetime, lease: timedelta, worker: str | None
) -> list[tuple[Pushed, FeedState]]:
    """Those of `push_ids` that nobody else has, with their feeds, ours until applied or `lease` is over.

    Pushes of feeds that are no longer sources are taken out.
    """
    query = (
        sa.select(pushes, *(column.label(f"feed_{column.name}") for column in feeds.c))
        .join(feeds, feeds.c.feed_id == pushes.c.feed_id)
        .where(pushes.c.push_id.in_(push_ids), pushes.c.lease_until <= micros(now), feeds.c.lease_until <= micros(now))
        .order_by(feeds.c.feed_id)
        .with_for_update(skip_locked=True)
    )
    found, orphans = [], []
    for row in connection.execute(query):
        if not (row.feed_is_active and row.feed_is_enabled):
            orphans.append(row.push_id)
            continue
        pushed = Pushed(row.push_id, row.feed_id, row.topic_url, row.content_type, row.body, moment(row.received_at))
        found.append((pushed, feed_state(_Prefixed(row))))
    remove(connection, orphans)
    if found:
        ids, until = [pushed.push_id for pushed, _ in found], micros(now + lease)
        connection.execute(sa.update(pushes).where(pushes.c.push_id.in_(ids)).values(lease_until=until))
        of_feeds = sa.update(feeds).where(feeds.c.feed_id.in_([feed.feed_id for _, feed in found]))
        connection.execute(of_feeds.values(lease_until=until, lease_owner=worker))
    return found


def remove(connection: sa.Connection, push_ids: Iterable[int]) -> None:
    for some in in_chunks(list(push_ids)):
        connection.execute(sa.delete(pushes).where(pushes.c.push_id.in_(some)))


def give_up(connection: sa.Connection, push_id: int, feed_id: int) -> None:
    """Take out a push that cannot be read, and give its feed back."""
    remove(connection, [push_id])
    connection.execute(sa.update(feeds).where(feeds.c.feed_id == feed_id).values(lease_until=0, lease_owner=None))


class _Prefixed:
    """The feed's columns of a joined row, by their own names."""

    def __init__(self, row: Any) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, f"feed_{name}")


# ---------------------------------------------------------------- rows

_TIMES = ("ask_at", "asked_at", "verified_at", "lease_until", "pushed_at")


def _values(subscription: Subscription) -> Values:
    return {
        "token": subscription.token,
        "feed_id": subscription.feed_id,
        "topic_url": subscription.topic_url,
        "hub_url": subscription.hub_url,
        "secret": subscription.secret,
        "state": subscription.state.value,
        **{name: maybe_micros(getattr(subscription, name)) for name in _TIMES},
        "failures": subscription.failures,
        "reason": (subscription.reason or "").replace("\0", "").encode("utf-8", "replace").decode() or None,
        "recent": dump(subscription.recent),
        "misses": subscription.misses,
    }


def _subscription(row: Any) -> Subscription:
    times = {name: maybe_moment(getattr(row, name)) for name in _TIMES}
    return Subscription(
        row.token,
        row.feed_id,
        row.topic_url,
        row.hub_url,
        row.secret,
        PushState(row.state),
        failures=row.failures,
        reason=row.reason,
        recent=tuple(load(row.recent) or ()),
        misses=row.misses,
        **times,
    )
