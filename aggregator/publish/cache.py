"""A bounded memory of made pages: so many, so many bytes, so long."""

from __future__ import annotations

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
