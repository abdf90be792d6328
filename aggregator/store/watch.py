"""What the operator watches: polls by the hour, and episodes of trouble from their beginning to their end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from aggregator.schema import episodes
from aggregator.schema import hours as table
from aggregator.store.engine import add_up
from aggregator.store.rows import Values, maybe_micros, maybe_moment, micros, moment
from aggregator.types import Episode

HOURS_KEPT = timedelta(days=31)
EPISODES_KEPT = timedelta(days=90)  # after they ended
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Hour:
    """What polls did in the hour that begins at `at`; of all processes together."""

    at: datetime
    polls: int = 0
    failed: int = 0
    new_entries: int = 0


# ---------------------------------------------------------------- hours


def count(connection: sa.Connection, now: datetime, polls: int, failed: int, new_entries: int) -> None:
    """Add to the hour that `now` is in."""
    if not polls and not new_entries:
        return
    values = {"hour": _hour(now), "polls": polls, "failed": failed, "new_entries": new_entries}
    connection.execute(add_up(connection, table, "hour"), values)


def hours(connection: sa.Connection, since: datetime, now: datetime) -> list[Hour]:
    """Every hour from that of `since` to that of `now`, those without a poll too."""
    query = sa.select(table).where(table.c.hour >= _hour(since))
    found = {row.hour: row for row in connection.execute(query)}
    every = []
    for hour in range(_hour(since), _hour(now) + 1):
        at = datetime.fromtimestamp(hour * 3600, UTC)
        row = found.get(hour)
        every.append(Hour(at) if row is None else Hour(at, row.polls, row.failed, row.new_entries))
    return every


def _hour(at: datetime) -> int:
    return int(at.timestamp()) // 3600


# ---------------------------------------------------------------- episodes


def add(connection: sa.Connection, begun: Iterable[Episode]) -> None:
    rows = [_values(episode) for episode in begun]
    if rows:
        connection.execute(sa.insert(episodes), rows)


def change(connection: sa.Connection, changed: Iterable[Episode]) -> None:
    """Save when these seemed over, or were."""
    for episode in changed:
        mine = episodes.c.episode_id == episode.episode_id
        values: Values = {
            "better_since": maybe_micros(episode.better_since),
            "ended_at": maybe_micros(episode.ended_at),
            "ending": episode.ending,
        }
        connection.execute(sa.update(episodes).where(mine).values(**values))


def open_ones(connection: sa.Connection) -> list[Episode]:
    """Those that are not over, the oldest first."""
    query = sa.select(episodes).where(episodes.c.ended_at.is_(None)).order_by(episodes.c.episode_id)
    return [_episode(row) for row in connection.execute(query)]


def latest(connection: sa.Connection, limit: int) -> list[Episode]:
    """Those that began or ended last, the newest first."""
    at = sa.func.coalesce(episodes.c.ended_at, episodes.c.opened_at)
    query = sa.select(episodes).order_by(at.desc(), episodes.c.episode_id.desc()).limit(limit)
    return [_episode(row) for row in connection.execute(query)]


def forget_old(connection: sa.Connection, now: datetime) -> None:
    """Drop hours and ended episodes that nobody looks at any more."""
    connection.execute(sa.delete(table).where(table.c.hour < _hour(now - HOURS_KEPT)))
    connection.execute(sa.delete(episodes).where(episodes.c.ended_at < micros(now - EPISODES_KEPT)))


def _values(episode: Episode) -> Values:
    return {
        "kind": episode.kind,
        "group": episode.group,
        "feed_id": episode.feed_id,
        "title": episode.title,
        "url": episode.url,
        "since": maybe_micros(episode.since),
        "opened_at": micros(episode.opened_at),
        "reason": episode.reason,
        "does": episode.does,
        "fix": episode.fix,
        "command": episode.command,
        "better_since": maybe_micros(episode.better_since),
        "ended_at": maybe_micros(episode.ended_at),
        "ending": episode.ending,
    }


def _episode(row: sa.Row[tuple[object, ...]]) -> Episode:
    return Episode(
        row.kind,
        row.group,
        row.feed_id,
        row.title,
        row.url,
        maybe_moment(row.since),
        moment(row.opened_at),
        row.reason,
        row.does,
        row.fix,
        row.command,
        maybe_moment(row.better_since),
        maybe_moment(row.ended_at),
        row.ending,
        row.episode_id,
    )
