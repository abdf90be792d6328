"""Bounded memories: of made pages, so many, so many bytes, so long; and of what was asked for last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class PageCache(Generic[T]):
    """Keeps at most `pages` values and `weight` bytes, each for `seconds`; the longest unasked goes first."""

    def __init__(self, pages: int, weight: int, seconds: float) -> None:
        self._pages, self._weight, self._seconds = pages, weight, seconds
        self._kept: OrderedDict[str, tuple[float, int, T]] = OrderedDict()
        self._total = 0

    def get(self, key: str) -> T | None:
        """What is kept and not too old, else None."""
        kept = self._kept.get(key)
        if kept is None or kept[0] <= monotonic():
            return None
        self._kept.move_to_end(key)
        return kept[2]

    def put(self, key: str, value: T, weight: int) -> None:
        """Keep it; a value that alone would fill a quarter of the room is not kept, as it would push out all others."""
        self._drop(key)
        if weight > self._weight // 4:
            return
        self._kept[key] = (monotonic() + self._seconds, weight, value)
        self._total += weight
        while len(self._kept) > self._pages or self._total > self._weight:
            self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        self._kept.clear()
        self._total = 0

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._total -= kept[1]


class Recent(Generic[T]):
    """The `most` values that were asked for or put last. Threads may share it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> T | None:
        """What is kept, else None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: str, value: T) -> None:
        """Keep it; the one that was asked for longest ago makes room."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
