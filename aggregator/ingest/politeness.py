"""What an origin and its document ask of us: the arithmetic of headers and feed elements, and nothing about policy.

Pure. Header names are lower case. Everything unreadable counts as not said; `polling` clamps and chooses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from aggregator.types import FeedHints

_ZERO = timedelta(0)
_HOUR = timedelta(hours=1)
_SECONDS = re.compile(r"\d{1,15}(?:\.\d+)?")
_DIRECTIVE = re.compile(r'([a-z-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,;"]+)))?')
_LONG = 1e9  # seconds; what is longer would not fit a date
_EPOCH = 1e9  # a reset above this is a moment since 1970, below it a number of seconds: both are in use


@dataclass(frozen=True, slots=True)
class Wish:
    """Ask again no sooner than `wait` from now, because of `why` (a few words for the operator)."""

    wait: timedelta
    why: str


def freshness(headers: Mapping[str, str], now: datetime) -> Wish | None:
    """How long the answer says it stays fresh, None if it does not say.

    max-age wins over Expires, Age is taken off, no-cache and no-store mean no time at all (RFC 9111 §4.2, §5.2.2).
    Expires counts from the origin's own Date: clocks differ.
    """
    directives = _directives(headers.get("cache-control", ""))
    if "no-cache" in directives or "no-store" in directives:
        return None
    if (max_age := _seconds(directives.get("max-age"))) is not None:
        wait = max_age - (_seconds(headers.get("age")) or _ZERO)
        return Wish(wait, f"cache-control max-age={directives['max-age']}") if wait > _ZERO else None
    expires = _date(headers.get("expires"))
    if expires is None:
        return None
    wait = expires - (_date(headers.get("date")) or now)
    return Wish(wait, "expires header") if wait > _ZERO else None


def retry_after(headers: Mapping[str, str], now: datetime) -> Wish | None:
    """What Retry-After asks for, in seconds or as a date, on whatever status (RFC 9110 §10.2.3)."""
    value = headers.get("retry-after")
    wait = _seconds(value)
    if wait is None and (date := _date(value)) is not None:
        wait = date - (_date(headers.get("date")) or now)
    return Wish(wait, f"retry-after {value}") if wait is not None and wait > _ZERO else None


def quota(headers: Mapping[str, str], now: datetime) -> tuple[float, timedelta] | None:
    """Requests left and the time until the count starts anew, None where the origin keeps no such count.

    Reads `RateLimit: "default";r=5;t=30` and `RateLimit: limit=10, remaining=5, reset=30` (successive drafts of the
    IETF), `RateLimit-Remaining`/`-Reset` and `X-RateLimit-Remaining`/`-Reset` (everybody before them).
    """
    if not any("limit" in name for name in headers):  # four answers in five
        return None
    combined = _directives(headers.get("ratelimit", ""))
    left = combined.get("r") or combined.get("remaining")
    reset = combined.get("t") or combined.get("reset")
    for prefix in ("ratelimit-", "x-ratelimit-", "x-rate-limit-"):
        left = left or headers.get(prefix + "remaining")
        reset = reset or headers.get(prefix + "reset")
    left_number, wait = _number(left), _until(reset, now)
    return (left_number, wait) if left_number is not None and wait is not None else None


def quota_wish(headers: Mapping[str, str], now: datetime) -> Wish | None:
    """Wait for the next count where this one is used up."""
    count = quota(headers, now)
    if count is None or count[0] >= 1 or count[1] <= _ZERO:
        return None
    return Wish(count[1], "rate limit used up")


def document_wish(hints: FeedHints, now: datetime) -> Wish | None:
    """The longest wait that the document itself asks for: RSS ttl, or the syndication module's period.

    With an updateBase the next update falls on base + n × period, which is when to ask (RSS 1.0 syndication module).
    """
    wishes = []
    if hints.ttl:
        wishes.append(Wish(timedelta(seconds=hints.ttl), f"ttl {hints.ttl // 60} min"))
    if hints.update_every:
        period = timedelta(seconds=hints.update_every)
        wait = period
        if hints.update_base is not None:
            wait = period - (now - hints.update_base) % period
        wishes.append(Wish(wait, f"sy:updatePeriod {hints.update_every // 60} min"))
    return max(wishes, key=lambda wish: wish.wait, default=None)


def after_quiet(hints: FeedHints, due: datetime) -> datetime:
    """`due`, or the end of the skipHours and skipDays it falls into (GMT). Hints that leave no hour at all are void."""
    hours, days = set(hints.skip_hours), set(hints.skip_days)
    if not (hours or days) or len(hours) >= 24 or len(days) >= 7:
        return due
    moment = due.astimezone(UTC)
    while moment.hour in hours or moment.weekday() in days:
        moment = moment.replace(minute=0, second=0, microsecond=0) + _HOUR
    return moment


def _directives(value: str) -> dict[str, str]:
    return {name: quoted or bare for name, quoted, bare in _DIRECTIVE.findall(value.lower())}


def _seconds(value: str | None) -> timedelta | None:
    number = _number(value)
    return None if number is None else timedelta(seconds=min(number, _LONG))


def _number(value: str | None) -> float | None:
    return float(value.strip()) if value and _SECONDS.fullmatch(value.strip()) else None


def _until(value: str | None, now: datetime) -> timedelta | None:
    number = _number(value)
    if number is None:
        date = _date(value)
        return None if date is None else date - now
    if number > _EPOCH * 1000:  # milliseconds
        number /= 1000
    return timedelta(seconds=min(number - now.timestamp() if number > _EPOCH else number, _LONG))


def _date(value: str | None) -> datetime | None:
    """An HTTP date in any of its three forms, aware. `0` and `-1`, which many send as Expires, are none."""
    if not value:
        return None
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
