"""A clock that leaves out the time in which nobody does anything, so that a day takes as long as its work.

While anything is under way outside the event loop (a request, a query, a document in a child) it goes at the speed of
the real one; when all wait for the time it jumps to the next timer. So what takes time takes as much of the simulated
day as it would of a real one, and what queues behind it is as late: the load is the real one, not a multiple of it.
"""

from __future__ import annotations

import asyncio
import mmap
import selectors
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

_AHEAD = struct.Struct("d")  # seconds by which the simulated clock is ahead of the machine's monotonic one


class SharedTime:
    """Simulated seconds since 1970, the same in all processes that open the file."""

    def __init__(self, path: Path, begins: float | None = None) -> None:
        if begins is not None:
            path.write_bytes(_AHEAD.pack(begins - time.monotonic()))
        with path.open("r+b") as file:
            self._ahead = mmap.mmap(file.fileno(), _AHEAD.size)

    def __call__(self) -> float:
        return time.monotonic() + float(_AHEAD.unpack(self._ahead)[0])

    def now(self) -> datetime:
        return datetime.fromtimestamp(self(), UTC)

    def skip(self, seconds: float) -> None:
        _AHEAD.pack_into(self._ahead, 0, _AHEAD.unpack(self._ahead)[0] + seconds)

    def stand_in_for(self, *modules: Any) -> None:
        """Let these modules' `datetime.now` tell this time; for libraries that take no clock."""
        clock = self

        class Datetime(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.fromtimestamp(clock(), tz)

        for module in modules:
            module.datetime = Datetime


class Selector(selectors.EpollSelector):
    """Waits for files as long as something is `outside`; otherwise leaves the waiting out. `held` is the longest time
    that the loop's own thread has worked between two looks, in seconds by the wall and by its processor time."""

    def __init__(self, clock: SharedTime) -> None:
        super().__init__()
        self._clock = clock
        self.outside = 0
        self.skipped = 0.0
        self.held = self.held_cpu = 0.0
        self._since = (time.perf_counter(), time.thread_time())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.held = max(self.held, time.perf_counter() - self._since[0])
        self.held_cpu = max(self.held_cpu, time.thread_time() - self._since[1])
        found = super().select(0)
        if not found and timeout != 0:
            if self.outside or timeout is None:
                found = super().select(timeout)
            else:
                self._clock.skip(timeout)
                self.skipped += timeout
        self._since = (time.perf_counter(), time.thread_time())
        return found


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop by that clock."""

    def __init__(self, clock: SharedTime) -> None:
        self.selector = Selector(clock)
        super().__init__(self.selector)

    def time(self) -> float:
        return time.monotonic() + self.selector.skipped

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Something is under way that no timer of the loop announces."""
        self.selector.outside += 1
        try:
            yield
        finally:
            self.selector.outside -= 1

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        self.selector.outside += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: asyncio.Future[Any]) -> None:
        self.selector.outside -= 1
