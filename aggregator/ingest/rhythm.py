"""When a feed publishes, learned from its own history, and when it is therefore worth asking again. Pure.

The law: an entry that waits costs its waiting time, a request costs the same always; so ask when the waiting expected
to have piled up since the last poll, ∫ rate(s)^KEENNESS·(t−s) ds, reaches a fixed price. With an exponent of 1 a steady
feed is asked by the square root of its rate, which gives the least total waiting for a number of requests; with 2 in
proportion to it, which gives the least median. 1.8 beats the usual rules in median, mean and 90th percentile alike
(docs/benchmarks-schedule.md). An uneven feed is asked closely in its busy hours, rarely in its nights and week-ends.

The rate is a slow level × hour of the day × day of the week, corrected by how lively the last hours were. All of it
is kept in a few dozen numbers (JSON), touched only when entries arrive, so that a 304 writes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

SLOW_HALF_LIFE = 21 * 24.0  # hours; long enough for three of each weekday
FAST_HALF_LIFE = 12.0  # hours; a news day, a silence
PRIOR_RATE = 1.0  # entries an hour: a feed that keeps this pace is asked `every`
PRIOR_WEIGHT = 6.0  # hours of observation that outweigh the prior
FAST_WEIGHT = 24.0  # hours of the slow level that the fast one is anchored with
KEENNESS = 1.8  # how much more a busy hour counts; see above
SILENCE = 2.0  # expected entries that fail to come before the level is doubted, whatever the past was
BURST = 120.0  # seconds; entries closer than this were published at one stroke
HOUR_PRIOR = 0.1  # share of evenness mixed into the hours, so that a quiet hour is never quite dead
MAX_HISTORY = 28 * 24.0  # hours of a first document that are believed; older entries are leftovers


@dataclass(slots=True)
class Rhythm:
    """Decayed counts as of `at` (seconds since 1970). `slow`/`fast` are entries, `slow_hours`/`fast_hours` what they
    were observed over; `hours` and `days` how the entries fall (Monday first, GMT); `last` the last arrival."""

    at: float
    slow: float = 0.0
    slow_hours: float = 0.0
    fast: float = 0.0
    fast_hours: float = 0.0
    last: float = 0.0
    hours: list[float] = field(default_factory=lambda: [0.0] * 24)
    days: list[float] = field(default_factory=lambda: [0.0] * 7)

    def to_json(self) -> dict[str, object]:
        return {
            "at": int(self.at),
            "slow": [round(self.slow, 3), round(self.slow_hours, 2)],
            "fast": [round(self.fast, 3), round(self.fast_hours, 2)],
            "last": int(self.last),
            "hours": [round(value, 2) for value in self.hours],
            "days": [round(value, 2) for value in self.days],
        }


def from_json(value: object) -> Rhythm | None:
    """What `to_json` gave; None for anything else: a memory we cannot read is no memory."""
    if not isinstance(value, Mapping):
        return None
    try:
        slow, slow_hours = value["slow"]
        fast, fast_hours = value["fast"]
        hours, days = list(value["hours"]), list(value["days"])
        if len(hours) != 24 or len(days) != 7:
            return None
        return Rhythm(value["at"], slow, slow_hours, fast, fast_hours, value["last"], hours, days)
    except (KeyError, TypeError, ValueError):
        return None


def begun(arrivals: Iterable[datetime], now: datetime) -> Rhythm:
    """The rhythm a first document shows: its entries' dates, observed from the oldest believable one until now."""
    end = now.timestamp()
    # "now" is what an undated entry says, and tells nothing.
    dates = sorted(moment for moment in (arrival.timestamp() for arrival in arrivals) if moment < end - 1)
    start = max(dates[0], end - MAX_HISTORY * 3600) if dates else end
    rhythm = Rhythm(at=start, last=dates[-1] if dates and dates[-1] < start else start)
    _add(rhythm, [moment for moment in dates if moment > start])  # the first only marks where observation begins
    _advance(rhythm, end)
    return rhythm


def with_arrivals(rhythm: Rhythm, arrivals: Iterable[datetime], since: datetime | None, now: datetime) -> Rhythm:
    """The rhythm after a poll that brought entries; `since` is the poll before. Dates outside of what lies between
    the two polls say when something was written, not when it came; it came some time in between."""
    end = now.timestamp()
    start = since.timestamp() if since is not None else rhythm.at
    middle = (start + end) / 2
    times = sorted(
        moment if start < moment <= end else middle for moment in (arrival.timestamp() for arrival in arrivals)
    )
    copy = Rhythm(
        rhythm.at, rhythm.slow, rhythm.slow_hours, rhythm.fast, rhythm.fast_hours, rhythm.last,
        list(rhythm.hours), list(rhythm.days),
    )  # fmt: skip
    _add(copy, times)
    _advance(copy, max(end, copy.at))
    return copy


def _add(rhythm: Rhythm, times: list[float]) -> None:
    for moment in times:
        _advance(rhythm, max(moment, rhythm.at))
        if moment - rhythm.last < BURST and rhythm.last:
            continue
        rhythm.last = moment
        rhythm.slow += 1.0
        rhythm.fast += 1.0
        day = int(moment // 86400)
        rhythm.hours[int(moment % 86400 // 3600)] += 1.0
        rhythm.days[(day + 3) % 7] += 1.0  # 1 January 1970 was a Thursday


def _advance(rhythm: Rhythm, to: float) -> None:
    """Let time pass: counts fade, hours of observation are added. Hours and days fade with the slow count."""
    elapsed = (to - rhythm.at) / 3600
    if elapsed <= 0:
        return
    slow, fast = 0.5 ** (elapsed / SLOW_HALF_LIFE), 0.5 ** (elapsed / FAST_HALF_LIFE)
    rhythm.slow *= slow
    rhythm.slow_hours = rhythm.slow_hours * slow + SLOW_HALF_LIFE / math.log(2) * (1 - slow)
    rhythm.fast *= fast
    rhythm.fast_hours = rhythm.fast_hours * fast + FAST_HALF_LIFE / math.log(2) * (1 - fast)
    if slow < 0.9999:
        rhythm.hours = [value * slow for value in rhythm.hours]
        rhythm.days = [value * slow for value in rhythm.days]
    rhythm.at = to


def rate(rhythm: Rhythm, now: datetime) -> float:
    """Entries an hour to be expected about now, before hour and day are considered."""
    elapsed = max(0.0, (now.timestamp() - rhythm.at) / 3600)
    slow, fast = 0.5 ** (elapsed / SLOW_HALF_LIFE), 0.5 ** (elapsed / FAST_HALF_LIFE)
    slow_hours = rhythm.slow_hours * slow + SLOW_HALF_LIFE / math.log(2) * (1 - slow)
    fast_hours = rhythm.fast_hours * fast + FAST_HALF_LIFE / math.log(2) * (1 - fast)
    level: float = (rhythm.slow * slow + PRIOR_RATE * PRIOR_WEIGHT) / (slow_hours + PRIOR_WEIGHT)
    silence = (now.timestamp() - rhythm.last) / 3600
    if silence * level > SILENCE:
        level = SILENCE / silence
    lively: float = (rhythm.fast * fast + level * FAST_WEIGHT) / (fast_hours + FAST_WEIGHT)
    return lively


def hour_factor(rhythm: Rhythm) -> Callable[[int], float]:
    """How an hour of the day compares with the average hour; near 1 until a few days have been seen."""
    total, raw = sum(rhythm.hours), rhythm.hours
    if total <= 0:
        return lambda hour: 1.0
    believed = min(1.0, rhythm.slow_hours / 96) * total / (total + 6) * (1 - HOUR_PRIOR)
    share = believed * 6 / total  # of a mean hour, a quarter: its neighbours count half each
    return lambda hour: 1 - believed + share * (raw[hour - 1] + 2 * raw[hour] + raw[(hour + 1) % 24])


def day_factor(rhythm: Rhythm) -> Callable[[int], float]:
    """How a day of the week compares with the average day; 1 until two weeks have been seen."""
    total, raw = sum(rhythm.days), rhythm.days
    seen = rhythm.slow_hours / 168
    if total <= 0 or seen < 1.5:
        return lambda day: 1.0
    believed = min(1.0, seen / 3) * total / (total + 6)
    return lambda day: 1 - believed + believed * raw[day] * 7 / total


def missed(rhythm: Rhythm, now: datetime) -> float:
    """How many entries should have come since the last one did, were it to go on as it used to: its level until then,
    by hour and day. Of the last 60 days at most."""
    level = rhythm.slow / max(rhythm.slow_hours, 24.0)  # a day at least: the first document may be an hour's
    at_hour, on_day = hour_factor(rhythm), day_factor(rhythm)
    begin = max(rhythm.last, now.timestamp() - _MOST_MISSED)
    expected, moment = 0.0, begin
    while moment < now.timestamp():
        until = min(now.timestamp(), (moment // 3600 + 1) * 3600)
        day = (int(moment // 86400) + 3) % 7
        expected += level * at_hour(int(moment % 86400 // 3600)) * on_day(day) * (until - moment) / 3600
        moment = until
    return expected


_MOST_MISSED = 60 * 86400.0


def wait(
    rhythm: Rhythm | None, now: datetime, every: timedelta, slowest: timedelta, level: float | None = None
) -> timedelta:
    """How long to wait from a poll at `now`; `every` is the interval of a feed with PRIOR_RATE, and so the price.
    `level` is the `rate` at `now` where it is known already."""
    if rhythm is None:
        return every
    level = rate(rhythm, now) if level is None else level
    at_hour, on_day = hour_factor(rhythm), day_factor(rhythm)  # few hours of the week are looked at
    price = PRIOR_RATE * (every.total_seconds() / 3600) ** 2 / 2
    limit = slowest.total_seconds() / 3600
    moment = now.astimezone(UTC)
    hour, day = moment.hour, moment.weekday()
    step = 1 - (moment.minute * 60 + moment.second) / 3600  # to the next full hour
    elapsed = expected = cost = 0.0
    while elapsed < limit:
        here = PRIOR_RATE * (level * at_hour(hour) * on_day(day) / PRIOR_RATE) ** KEENNESS
        if cost + expected * step + here * step * step / 2 >= price:
            elapsed += _root(here / 2, expected, cost - price)
            break
        cost += expected * step + here * step * step / 2
        expected += here * step
        elapsed += step
        step = 1.0
        hour += 1
        if hour == 24:
            hour, day = 0, (day + 1) % 7
    return timedelta(hours=min(elapsed, limit))


def _root(a: float, b: float, c: float) -> float:
    """The positive x with a·x² + b·x + c = 0, for a, b ≥ 0 ≥ c."""
    if a < 1e-12:
        return -c / b
    return (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)
