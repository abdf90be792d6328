"""What status and metrics ask: how much there is, how much waits, how fresh what we publish is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from aggregator.schema import archives, corrections, digests, entries, feeds, pushes, stories, takedowns
from aggregator.store.feeds import entry_counts, names_stamp
from aggregator.store.rows import maybe_moment, micros, moment

TAKEN_MOST = 50_000  # entries looked at for freshness: more tell nothing new


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is. `by_feed` are entries by feed id; `oldest_ungrouped` is when the first of those was seen."""

    feeds: int = 0
    entries: int = 0
    stories: int = 0
    ungrouped: int = 0
    stale: int = 0
    due: int = 0
    unsure: int = 0
    withheld: int = 0
    oldest_ungrouped: datetime | None = None
    by_feed: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits in each queue, since when its first does (None: nothing waits), and sources by health."""

    queues: dict[str, tuple[int, datetime | None]]
    health: dict[str, int]


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds at the median and the 90th percentile of `count` entries."""

    count: int
    median: float
    p90: float


@dataclass(frozen=True, slots=True)
class Freshness:
    """How long from the publisher's date to our first sight (`seen`), and from there into a merged feed (`shown`)."""

    seen_by_feed: dict[int, Delay]
    seen_by_section: dict[str, Delay]
    shown_by_section: dict[str, Delay]


def counts(connection: sa.Connection, now: datetime) -> Counts:
    by_feed = entry_counts(connection)
    waiting = sa.select(sa.func.count(), sa.func.min(entries.c.first_seen)).where(entries.c.story_id.is_(None))
    ungrouped, oldest = connection.execute(waiting).one()
    return Counts(
        feeds=_count(connection, feeds, feeds.c.is_active),
        entries=sum(by_feed.values()),
        stories=_count(connection, stories, stories.c.redirect_to.is_(None)),
        ungrouped=ungrouped,
        stale=_count(connection, entries, entries.c.is_stale),
        due=_count(connection, feeds, feeds.c.is_active, feeds.c.is_enabled, feeds.c.next_poll_at <= micros(now)),
        unsure=_count(connection, stories, *_THERE, stories.c.section.is_(None), stories.c.withheld.is_(None)),
        withheld=_count(connection, stories, *_THERE, stories.c.withheld.is_not(None)),
        oldest_ungrouped=maybe_moment(oldest),
        by_feed=by_feed,
    )


_THERE = (stories.c.redirect_to.is_(None),)


def waiting(connection: sa.Connection, now: datetime) -> Waiting:
    """What is asked every few seconds: each number comes from an index or from the feeds alone."""
    is_asked = (feeds.c.is_active, feeds.c.is_enabled)
    queues = {
        # A new feed is due since 0, which is no time that anybody has waited.
        "due": _first(
            connection, sa.func.nullif(feeds.c.next_poll_at, 0), *is_asked, feeds.c.next_poll_at <= micros(now)
        ),
        "ungrouped": _first(connection, entries.c.first_seen, entries.c.story_id.is_(None)),
        "pushes": _first(connection, pushes.c.received_at),
    }
    by_health = sa.select(feeds.c.health, sa.func.count().label("number")).where(*is_asked).group_by(feeds.c.health)
    return Waiting(queues, {row.health: row.number for row in connection.execute(by_health)})


def _first(
    connection: sa.Connection, since: sa.ColumnElement[int], *where: sa.ColumnElement[bool]
) -> tuple[int, datetime | None]:
    number, first = connection.execute(sa.select(sa.func.count(), sa.func.min(since)).where(*where)).one()
    return number, maybe_moment(first)


def _count(connection: sa.Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0


def filed_by_feed(connection: sa.Connection) -> dict[int, dict[str, int]]:
    """How many stories that an entry of a feed leads were filed under each label; those unsure are not counted."""
    led = stories.join(entries, entries.c.entry_id == stories.c.lead_entry_id)
    query = (
        sa.select(entries.c.feed_id, stories.c.section, sa.func.count())
        .select_from(led)
        .where(*_THERE, stories.c.section.is_not(None))
        .group_by(entries.c.feed_id, stories.c.section)
    )
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for feed_id, section, count in connection.execute(query):
        found[feed_id][section] = count
    return dict(found)


def publishing_stamp(connection: sa.Connection) -> tuple[object, ...]:
    """Newest change and number of stories, a stamp of what is shown of their sources, the last correction, the
    numbers of archived months, digests and top stories, and of what was taken down and put back."""
    # Apart, each is answered from an index; a merge moves `updated_at`, a pruned story the number. A correction bears
    # the time at which its command began, and a pass may have been quicker.
    newest = connection.scalar(sa.select(sa.func.max(stories.c.updated_at)))
    told = connection.scalar(sa.select(sa.func.count()).select_from(stories)) or 0
    names = names_stamp(connection)
    top = _count(connection, stories, stories.c.top_at.is_not(None))
    corrected = connection.scalar(sa.select(sa.func.max(corrections.c.correction_id))) or 0
    # How many were put into effect or taken back: archives and briefings say something else since each.
    taken = connection.scalar(sa.select(sa.func.count(takedowns.c.done_at) + sa.func.count(takedowns.c.undone_at)))
    counted = _count(connection, archives), _count(connection, digests), top
    return (newest or 0, told, names, corrected, *counted, taken or 0)


def _timed(since: datetime) -> sa.Select[Any]:
    """Entries dated since then whose delay means something: not the backlog of a first poll."""
    return (
        sa.select(
            entries.c.feed_id,
            entries.c.published,
            entries.c.first_seen,
            entries.c.entry_id,
            entries.c.dated,
            stories.c.section,
            stories.c.shown_at,
            stories.c.lead_entry_id,
        )
        .select_from(entries.join(feeds).outerjoin(stories))
        .where(
            entries.c.dated >= micros(since),
            entries.c.published.is_not(None),
            entries.c.published <= entries.c.first_seen,
            entries.c.first_seen > feeds.c.first_success_at,
        )
        .order_by(entries.c.dated.desc())
        .limit(TAKEN_MOST)
    )


def freshness(connection: sa.Connection, since: datetime) -> Freshness:
    """The delays of entries dated since then. The backlog that a feed's first poll brings is left out."""
    by_feed: dict[Any, list[float]] = defaultdict(list)
    seen: dict[Any, list[float]] = defaultdict(list)
    shown: dict[Any, list[float]] = defaultdict(list)
    for row in connection.execute(_timed(since)):
        to_seen, to_shown = _took(row)
        by_feed[row.feed_id].append(to_seen)
        if row.section is not None:
            seen[row.section].append(to_seen)
            if to_shown is not None:
                shown[row.section].append(to_shown)
    return Freshness(_delays(by_feed), _delays(seen), _delays(shown))


@dataclass(frozen=True, slots=True)
class Taken:
    """How long one entry took: seconds from the publisher's date to our first sight (`seen`), from there into a feed
    (`shown`, None where its story did not begin to be shown with it)."""

    feed_id: int
    section: str | None
    dated: datetime
    seen: float
    shown: float | None


def taken(connection: sa.Connection, since: datetime) -> list[Taken]:
    """What the entries dated since then took, the newest first, no more than tell something new."""
    rows = connection.execute(_timed(since))
    return [Taken(row.feed_id, row.section, moment(row.dated), *_took(row)) for row in rows]


def _took(row: sa.Row[Any]) -> tuple[float, float | None]:
    """`Taken.seen` and `.shown` of a row of `_timed`."""
    is_lead = row.shown_at is not None and row.entry_id == row.lead_entry_id
    shown = max(0.0, (row.shown_at - row.first_seen) / 1e6) if is_lead else None
    return (row.first_seen - row.published) / 1e6, shown


def delay_of(seconds: list[float]) -> Delay | None:
    """Median and 90th percentile; None of nothing."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return Delay(len(ordered), _quantile(ordered, 0.5), _quantile(ordered, 0.9))


def _delays(seconds: dict[Any, list[float]]) -> dict[Any, Delay]:
    return {key: delay for key, ones in seconds.items() if (delay := delay_of(ones)) is not None}


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
