"""What each server bears: spacing between requests learned from its complaints, and due feeds laid out so that none is
asked in a burst. Pure; the store keeps the HostStates that learned something, the pipeline walks the lanes.

A host is `urls.host_key` of the feed's current address. Those in `fetch.allow_networks` are the operator's own: exempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from aggregator.ingest import politeness
from aggregator.ingest.addresses import Network, is_local_host
from aggregator.ingest.polling import MAX_DEMAND, PollPolicy
from aggregator.types import Answered, FeedState, FetchOutcome
from aggregator.urls import host_key

SPACING = 1.0  # seconds between the starts of two requests to one host that never complained
MAX_SPACING = 900.0  # four an hour, however much it complains
FIRST_LESSON = 5.0  # what one 429 makes of the ordinary second
EASE_AFTER = timedelta(hours=12)  # without complaint, after which the spacing is halved again
FEW_LEFT = 20  # requests; a quota below this is rationed over the time to its end
HORIZON = 60.0  # seconds of lane handed out at a time; what does not fit is due again later
LONGEST_QUEUE = timedelta(hours=1)  # of requests laid out for one host


@dataclass(frozen=True, slots=True)
class HostState:
    """What we know of one server. `spacing` in seconds; `until` it wants to be left alone; `complained_at` its last
    complaint, or the last time we forgave one; `last_at` the latest request handed out."""

    host: str
    spacing: float = SPACING
    until: datetime | None = None
    complained_at: datetime | None = None
    last_at: datetime | None = None

    @property
    def is_ordinary(self) -> bool:
        """Whether there is nothing to remember over a restart."""
        return self.spacing <= SPACING and self.until is None

    def to_json(self) -> dict[str, object]:
        return {
            "spacing": round(self.spacing, 2),
            "until": self.until and int(self.until.timestamp()),
            "complained_at": self.complained_at and int(self.complained_at.timestamp()),
        }

    @classmethod
    def from_json(cls, host: str, value: Mapping[str, object]) -> HostState:
        """What `to_json` gave; what cannot be read counts as nothing known."""
        spacing = value.get("spacing")
        return cls(
            host,
            min(max(float(spacing), SPACING), MAX_SPACING) if isinstance(spacing, int | float) else SPACING,
            _moment(value.get("until")),
            _moment(value.get("complained_at")),
        )


@dataclass(frozen=True, slots=True)
class Lane:
    """Feeds of one host to be asked one after the other: the first `delay` seconds from now, each further one no
    sooner than `gap` seconds after the start of the one before."""

    host: str
    feeds: tuple[FeedState, ...]
    delay: float = 0.0
    gap: float = 0.0


@dataclass(frozen=True, slots=True)
class Layout:
    """`lanes` run side by side; `deferred` feeds come back with a later `next_poll_at`; `hosts` those touched."""

    lanes: tuple[Lane, ...]
    deferred: tuple[FeedState, ...]
    hosts: tuple[HostState, ...]


def is_exempt(host: str, networks: Sequence[Network]) -> bool:
    """Whether the host is one of the operator's own, `networks` being those of `fetch.allow_networks`."""
    name = host.partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return is_local_host(name, networks)


def host_after(host: HostState, outcome: FetchOutcome | Answered, now: datetime) -> HostState:
    """The host after one of its answers: slower after a complaint, rationed by its quota, forgiven with time."""
    demand = politeness.retry_after(outcome.headers, now)
    status = outcome.status
    if status == 429 or (status == 503 and demand is not None):
        wait = demand.wait if demand is not None else timedelta(seconds=host.spacing * 2)
        return replace(
            host,
            spacing=min(max(host.spacing * 2, FIRST_LESSON), MAX_SPACING),
            until=now + min(wait, MAX_DEMAND),
            complained_at=now,
        )
    if host.until is not None and host.until <= now:
        host = replace(host, until=None)
    count = politeness.quota(outcome.headers, now)
    if count is not None and count[0] < FEW_LEFT and count[1] > timedelta(0):
        left, reset = count
        if left < 1:
            return replace(host, until=now + min(reset, MAX_DEMAND), complained_at=now)
        share = min(reset.total_seconds() / left, MAX_SPACING)
        return replace(host, spacing=max(share, host.spacing), complained_at=now) if share > host.spacing else host
    if status is None or host.spacing <= SPACING:
        return host
    if host.complained_at is not None and now - host.complained_at < EASE_AFTER:
        return host
    return replace(host, spacing=max(host.spacing / 2, SPACING), complained_at=now)


def turn(host: HostState, now: datetime) -> tuple[float, HostState]:
    """Seconds until the host may be asked one thing more, and the host with that request handed out."""
    starts = [now]
    if host.until is not None:
        starts.append(host.until)
    # Later than any queue is long was told by a clock that was set back since.
    if host.last_at is not None and host.last_at <= now + LONGEST_QUEUE:
        starts.append(host.last_at + timedelta(seconds=host.spacing))
    return (max(starts) - now).total_seconds(), replace(host, last_at=max(starts))


def spread(
    due: Sequence[FeedState],
    hosts: Mapping[str, HostState],
    policy: PollPolicy,
    now: datetime,
    exempt: Sequence[Network] = (),
    horizon: float = HORIZON,
) -> Layout:
    """Lay out the feeds that are due, longest overdue first: at most `policy.per_host` lanes for a host, requests
    `spacing` apart, and no more of them than start within `horizon` seconds. The rest is deferred to its turn."""
    lanes: list[Lane] = []
    deferred: list[FeedState] = []
    touched: list[HostState] = []
    for host, feeds in _by_host(due).items():
        if is_exempt(host, exempt):
            lanes += [Lane(host, (feed,)) for feed in feeds]
            continue
        state = hosts.get(host) or HostState(host)
        some, later, state = _one_host(state, feeds, policy, now, horizon)
        lanes += some
        deferred += later
        touched.append(state)
    return Layout(tuple(lanes), tuple(deferred), tuple(touched))


def _one_host(
    host: HostState, feeds: list[FeedState], policy: PollPolicy, now: datetime, horizon: float
) -> tuple[list[Lane], list[FeedState], HostState]:
    delay, _ = turn(host, now)
    fitting = max(0, int((horizon - delay) / host.spacing) + 1) if delay <= horizon else 0
    width = min(max(policy.per_host, 1), max(fitting, 1), len(feeds))
    chosen, rest = feeds[:fitting], feeds[fitting:]
    lanes = [
        Lane(host.host, tuple(chosen[lane::width]), delay + lane * host.spacing, host.spacing * width)
        for lane in range(width)
        if chosen[lane::width]
    ]
    why = f"{host.host} asks for patience" if fitting == 0 else f"spaced, {len(feeds)} feeds due on {host.host}"
    later = [
        replace(
            feed,
            next_poll_at=now + timedelta(seconds=delay + (fitting + number) * host.spacing),
            next_poll_why=why,
        )
        for number, feed in enumerate(rest)
    ]
    if chosen:
        host = replace(host, last_at=now + timedelta(seconds=delay + (len(chosen) - 1) * host.spacing))
    return lanes, later, host


def _by_host(due: Iterable[FeedState]) -> dict[str, list[FeedState]]:
    grouped: dict[str, list[FeedState]] = {}
    for feed in sorted(due, key=lambda feed: (feed.next_poll_at or _LONG_AGO, feed.feed_id)):
        grouped.setdefault(host_key(feed.current_url), []).append(feed)
    return grouped


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(value: object) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else None
