"""What the operator's page of status shows, and the feed of troubles. The effects around `publish.charts` and
`publish.health`.

Every request reads the feeds, some hundred rows about troubles and hours, and what waits, all by indexes. How long
entries took is read from those of the last week, at most once a minute.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from aggregator import health, urls
from aggregator.config import Config
from aggregator.publish import charts
from aggregator.publish import health as feed_of
from aggregator.publish.health import headline
from aggregator.publish.settings import SiteSettings
from aggregator.status import reason
from aggregator.store import TAKEN_MOST, Delay, Hour, Store, Taken, delay_of
from aggregator.types import SECTIONS, Episode, FeedState, Health, Rendered, SourceRef

ON_PAGE = 100  # sources
HOURS = timedelta(hours=48)
EPISODES = 100  # looked at; the page shows the newest few, the feed all of them
SHOWN = 8
RECOVERED_FOR = timedelta(days=2)
_FRESH_FOR = timedelta(minutes=1)
_WEEK, _DAY = timedelta(days=7), timedelta(days=1)
STATES = ("broken", "blocked", "gone", "moved", "silent", "failing", "recovered", "new", "disabled", "ok")
SORTS = ("health", "title", "next", "success", "fresh")
_STEPS = (60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400)
_STEP_NAMES = ("1 m", "5 m", "15 m", "30 m", "1 h", "3 h", "6 h", "12 h", "1 d", "more")


class Dashboard:
    """Answers the admin listener; its methods block. `at` is our own address where a request does not say."""

    def __init__(self, store: Store, config: Callable[[], Config], now: Callable[[], datetime], at: str) -> None:
        self._store, self._config, self._now, self._at = store, config, now, at
        self._fresh: _Freshness | None = None
        self._reading = threading.Lock()

    def board(self, query: Mapping[str, str]) -> dict[str, Any]:
        """What the page shows of the sources that the query asks for: `show` a state, `q` words, `sort`, `page`."""
        store, now = self._store, self._now()
        episodes = store.latest_episodes(EPISODES)
        fresh = self._freshness(now)
        rows = self._rows(episodes, fresh, now)
        counts = Counter(row["state"] for row in rows)
        chosen = _sorted(_shown(rows, query), query.get("sort", ""))
        page = min(max(1, _number(query.get("page"))), max(1, -(-len(chosen) // ON_PAGE)))
        hours = store.hours(now - HOURS + timedelta(hours=1), now)
        waiting = store.waiting(now)
        return {
            "now": now,
            "states": [(state, counts[state]) for state in STATES if counts[state]],
            "total": len(rows),
            "found": len(chosen),
            "sources": chosen[(page - 1) * ON_PAGE : page * ON_PAGE],
            "show": query.get("show", ""),
            "q": query.get("q", ""),
            "sort": query.get("sort", "") or "health",
            "sorts": SORTS,
            "pages": _pages(query, page, len(chosen)),
            "waiting": {
                name: (number, _span((now - since).total_seconds()) if since else "")
                for name, (number, since) in waiting.queues.items()
            },
            "sections": fresh.sections,
            "episodes": [
                {"headline": headline(each), "at": each.ended_at or each.opened_at, "episode": each}
                for each in episodes[:SHOWN]
            ],
            "charts": _charts(hours, fresh.spread),
            "hours": hours,
            "spread": list(zip(_STEP_NAMES, fresh.spread, strict=True)),
            "capped": TAKEN_MOST if fresh.is_capped else 0,
        }

    def feed(self, ending: str, at: str) -> Rendered:
        """The newest troubles as a feed, for somebody who asks at this address."""
        config = self._config()
        site = SiteSettings(config.site.title, at or self._at, config.site.timezone, self._store.installation_id())
        return feed_of.feed(self._store.latest_episodes(EPISODES), site, ending)

    def _freshness(self, now: datetime) -> _Freshness:
        with self._reading:  # many who look at once cost one reading
            if self._fresh is None or not timedelta() <= now - self._fresh.at < _FRESH_FOR:
                self._fresh = _freshness(self._store.taken(now - _WEEK), now)
            return self._fresh

    def _rows(self, episodes: Sequence[Episode], fresh: _Freshness, now: datetime) -> list[dict[str, Any]]:
        titles = self._store.sources()
        better = {
            each.feed_id: each.ended_at
            for each in reversed(episodes)
            if each.ending and each.ended_at and now - each.ended_at < RECOVERED_FOR
        }
        return [_row(state, titles[state.feed_id], fresh, better, now) for state in self._store.each_feed()]


@dataclass(frozen=True, slots=True)
class _Freshness:
    """What entries took, as it was at `at`: in words by feed id and by section, and how many took how long."""

    at: datetime
    day: Mapping[int, dict[str, Any] | None]
    week: Mapping[int, dict[str, Any] | None]
    sections: Sequence[Mapping[str, Any]]
    spread: Sequence[int]
    is_capped: bool


def _freshness(took: Sequence[Taken], now: datetime) -> _Freshness:
    day = [each for each in took if each.dated >= now - _DAY]
    of_day, of_week = ({feed: _fresh(*both) for feed, both in _by_feed(ones).items()} for ones in (day, took))
    sections = [_section(name, took, day) for name in (*SECTIONS, None)]
    return _Freshness(now, of_day, of_week, sections, _spread(day), len(took) >= TAKEN_MOST)


def _row(
    state: FeedState,
    source: SourceRef,
    fresh: _Freshness,
    better: Mapping[int | None, datetime | None],
    now: datetime,
) -> dict[str, Any]:
    found = health.of_feed(state, source.title, now)
    first = found[0] if found else None
    kind, said = str(state.health), reason(state, state.health)
    if first is not None:
        kind, said = first.kind, first.reason
    elif kind == Health.OK and (at := better.get(state.feed_id)) is not None:
        kind, said = "recovered", f"since {at:%Y-%m-%d %H:%M} UTC"
    elif kind in (Health.BLOCKED, Health.GONE):
        kind = str(Health.FAILING)  # not for long enough to be called that
    return {
        "id": state.feed_id,
        "url": urls.for_log(state.url),
        "title": source.title,
        "section": source.section,
        "state": kind,
        "reason": said,
        "fix": first.fix if first else "",
        "command": first.command if first else "",
        "next": state.next_poll_at if state.health is not Health.DISABLED else None,
        "why": state.next_poll_why or "",
        "success": state.last_success_at,
        "day": fresh.day.get(state.feed_id),
        "week": fresh.week.get(state.feed_id),
    }


def _by_feed(took: Iterable[Taken]) -> dict[int, tuple[list[float], list[float]]]:
    found: dict[int, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for each in took:
        seen, shown = found[each.feed_id]
        seen.append(each.seen)
        if each.shown is not None:
            shown.append(each.shown)
    return found


def _fresh(seen_after: list[float], shown_after: list[float]) -> dict[str, Any] | None:
    """Median and 90th percentile of both steps in words, None of nothing."""
    seen = delay_of(seen_after)
    if seen is None:
        return None
    return {"seen": _said(seen), "shown": _said(delay_of(shown_after)), "count": seen.count, "median": seen.median}


def _said(delay: Delay | None) -> str:
    return f"{_span(delay.median)}, p90 {_span(delay.p90)}" if delay else "–"


def _section(name: str | None, took: Iterable[Taken], day: Iterable[Taken]) -> dict[str, Any]:
    def of(ones: Iterable[Taken]) -> dict[str, Any] | None:
        mine = [each for each in ones if name is None or each.section == name]
        return _fresh([each.seen for each in mine], [each.shown for each in mine if each.shown is not None])

    return {"name": name or "all", "day": of(day), "week": of(took)}


def _shown(rows: list[dict[str, Any]], query: Mapping[str, str]) -> list[dict[str, Any]]:
    state, words = query.get("show", ""), query.get("q", "").casefold().strip()
    if state:
        rows = [row for row in rows if row["state"] == state]
    if words.isdecimal():
        return [row for row in rows if row["id"] == int(words)]
    return [row for row in rows if words in f"{row['title']} {row['url']}".casefold()] if words else rows


def _sorted(rows: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    never = datetime(1970, 1, 1, tzinfo=UTC)
    keys: dict[str, Callable[[dict[str, Any]], Any]] = {
        "title": lambda row: row["title"].casefold(),
        "next": lambda row: (row["next"] or never, row["id"]),
        "success": lambda row: (row["success"] or never, row["id"]),
        "fresh": lambda row: (-(row["week"]["median"] if row["week"] else -1.0), row["id"]),
    }
    return sorted(rows, key=keys.get(by, lambda row: (STATES.index(row["state"]), row["title"].casefold())))


def _pages(query: Mapping[str, str], page: int, found: int) -> list[tuple[str, str]]:
    """(address, words) of the pages before and after."""
    kept = {name: query[name] for name in ("show", "q", "sort") if query.get(name)}
    turns = []
    if page > 1:
        turns.append((f"?{urlencode({**kept, 'page': page - 1})}#sources", "Before"))
    if page * ON_PAGE < found:
        turns.append((f"?{urlencode({**kept, 'page': page + 1})}#sources", "More"))
    return turns


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 6 else 1


# ---------------------------------------------------------------- charts


def _charts(hours: Sequence[Hour], spread: Sequence[int]) -> dict[str, str]:
    labels = [f"{each.at:%H}" for each in hours]
    polls, failed, new = ([getattr(each, name) for each in hours] for name in ("polls", "failed", "new_entries"))

    def about(what: str, values: Sequence[int]) -> str:
        return f"{sum(values)} {what} in {len(values)} hours, {max(values, default=0)} in the busiest."

    words = f"{sum(spread)} entries of the last day, by the time from the publisher's date until we saw them."

    def by_hour(name: str, title: str, what: str, values: Sequence[int]) -> str:
        return charts.columns(name, f"{title} by the hour (UTC)", about(what, values), values, labels, 6)

    return {
        "polls": by_hour("polls", "Polls", "polls", polls),
        "entries": by_hour("entries", "New entries", "entries", new),
        "failed": by_hour("failed", "Failed polls", "failures", failed),
        "spread": charts.columns("spread", "From published to seen, last day", words, spread, _STEP_NAMES),
    }


def _spread(day: Iterable[Taken]) -> list[int]:
    """How many entries took at most each of the steps, and not the one before; the last: longer."""
    counts = [0] * (len(_STEPS) + 1)
    for each in day:
        counts[next((n for n, step in enumerate(_STEPS) if each.seen <= step), len(_STEPS))] += 1
    return counts


def _span(seconds: float) -> str:
    """`40 s`, `12 min`, `3.4 h`, `2.1 d`"""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"
