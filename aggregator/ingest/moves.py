"""Whether a feed that keeps redirecting us permanently has moved: believed slowly, taken back when it was wrong. Pure.

One misconfigured afternoon sends 301s to a home page; a feed that adopts at once is lost with it. So the new address is
adopted after several sightings over days, each with the feed's own content behind it, and left again if it fails.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from aggregator.types import FeedState, Fetched, NotModified, ParsedFeed

CONFIRMATIONS = 4  # sightings of the same target …
CONFIRMATION_TIME = timedelta(days=2)  # … over this long
CONFIRMATION_GAP = timedelta(hours=1)  # sightings closer than this count once
DOUBTS = 3  # failures in a row at an adopted address before the configured one is asked again


def after_success(
    state: FeedState, outcome: Fetched | NotModified, parsed: ParsedFeed | None, now: datetime
) -> FeedState:
    """`state` with this sighting counted, and with `current_url` moved where that makes enough of them."""
    memory = dict(state.memory)
    target = outcome.permanent_url
    if target is None or target == state.current_url:
        return replace(state, memory=_without(memory, "move")) if "move" in memory else state
    if not _is_same_feed(state, outcome, parsed):
        return replace(state, memory=_without(memory, "move"))
    seen = memory.get("move")
    stamp = int(now.timestamp())
    move: dict[str, Any]
    if not isinstance(seen, dict) or seen.get("to") != target:
        move = {"to": target, "since": stamp, "last": stamp, "times": 1}
        return replace(state, memory={**memory, "move": move})
    if stamp - seen["last"] < CONFIRMATION_GAP.total_seconds():
        return state
    move = {**seen, "last": stamp, "times": seen["times"] + 1}
    if move["times"] < CONFIRMATIONS or stamp - seen["since"] < CONFIRMATION_TIME.total_seconds():
        return replace(state, memory={**memory, "move": move})
    moved = {"from": state.current_url, "to": target, "at": stamp}
    return replace(state, current_url=target, memory={**_without(memory, "move"), "moved": moved})


def after_failure(state: FeedState, now: datetime) -> FeedState:
    """`state`, back at its configured address if the adopted one has failed often enough (`failures`)."""
    if state.current_url == state.url or state.failures < DOUBTS:
        return state
    back = {"from": state.current_url, "to": state.url, "at": int(now.timestamp()), "why": "the new address fails"}
    memory = {"validated_url": state.current_url, **_without(dict(state.memory), "move"), "moved": back}
    return replace(state, current_url=state.url, memory=memory)


def _is_same_feed(state: FeedState, outcome: Fetched | NotModified, parsed: ParsedFeed | None) -> bool:
    """Whether what came over the redirect is the feed we know: unchanged, or with entries or the title we have seen."""
    if isinstance(outcome, NotModified) or state.last_success_at is None:
        return True
    if parsed is None:
        return False
    return bool(parsed.unchanged) or (parsed.title is not None and parsed.title == state.title)


def _without(memory: dict[str, object], key: str) -> dict[str, object]:
    return {name: value for name, value in memory.items() if name != key}
