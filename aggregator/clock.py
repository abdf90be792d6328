"""The time by which all processes of an installation work: the database server's, where there is one.

Leases, due times and dates of entries so mean the same on every machine, however wrong its own clock is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

SLOW = timedelta(seconds=1)  # an answer that took longer says too little about the time


class SharedClock:
    """Our own clock until `set`; then the server's as it was told last, carried on by the monotonic clock, so that a
    jump of ours does not matter. Right to half of what the question took: milliseconds."""

    def __init__(self) -> None:
        self._base: tuple[datetime, float] | None = None

    def __call__(self) -> datetime:
        if self._base is None:
            return datetime.now(UTC)
        at, then = self._base
        return at + timedelta(seconds=time.monotonic() - then)

    def set(self, ask: Callable[[], datetime | None]) -> timedelta:
        """Ask the server; how far our own clock is ahead of it (negative: behind), zero where there is no server.

        A slow answer sets only a clock that was never set.
        """
        before = time.monotonic()
        said = ask()
        after = time.monotonic()
        if said is None:
            return timedelta(0)
        if self._base is None or after - before <= SLOW.total_seconds():
            self._base = (said.astimezone(UTC), (before + after) / 2)
        return datetime.now(UTC) - self()
