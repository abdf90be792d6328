"""What a document says about when to ask again: RSS ttl, skipHours and skipDays, and the syndication module's sy:*.

Texts in, `FeedHints` out; `polling` decides what they are worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from aggregator.ingest.dates import parse_date
from aggregator.types import FeedHints

_PERIODS = {"hourly": 3600, "daily": 86_400, "weekly": 604_800, "monthly": 2_592_000, "yearly": 31_536_000}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONGEST = 366 * 86_400  # seconds; beyond a year somebody mistook the unit
_DISTANT = datetime(9000, 1, 1, tzinfo=UTC)  # an anchor may lie in the future


class HintTexts:
    """The channel's elements that hint, by short name, as written."""

    wanted: ClassVar[frozenset[str]] = frozenset(
        ["ttl", "skiphours", "skipdays", "sy:updateperiod", "sy:updatefrequency", "sy:updatebase"]
    )

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}

    def add(self, name: str, texts: Sequence[str]) -> None:
        self.texts.setdefault(name, []).extend(texts[:32])

    def first(self, name: str) -> str:
        return next(iter(self.texts.get(name, [])), "").strip()


def feed_hints(said: HintTexts) -> FeedHints:
    """The hints that make sense; what does not counts as not said."""
    if not said.texts:
        return FeedHints()
    minutes = _whole(said.first("ttl"))
    period = _PERIODS.get(said.first("sy:updateperiod").lower())
    frequency = _whole(said.first("sy:updatefrequency")) or 1
    hours = {hour % 24 for text in said.texts.get("skiphours", []) if (hour := _whole(text)) is not None and hour <= 24}
    days = {_DAYS.index(text.strip().lower()[:3]) for text in said.texts.get("skipdays", []) if _is_day(text)}
    return FeedHints(
        ttl=minutes * 60 if minutes and minutes * 60 <= _LONGEST else None,
        update_every=max(1, period // frequency) if period else None,
        update_base=parse_date(said.first("sy:updatebase"), _DISTANT),
        skip_hours=tuple(sorted(hours)),
        skip_days=tuple(sorted(days)),
    )


def _is_day(text: str) -> bool:
    return text.strip().lower()[:3] in _DAYS


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
