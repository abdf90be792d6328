"""Records in a file without a name: kept, found, forgotten, and what a full disk does."""

from __future__ import annotations

import os

import pytest

from aggregator.stories.drawer import Drawer


def test_each_record_is_found_at_its_place() -> None:
    drawer = Drawer()
    records = [bytes([number]) * (number * 97) for number in range(30)]
    places = [drawer.put(record) for record in records]
    assert [drawer.get(place) for place in reversed(places)] == list(reversed(records))


def test_what_is_forgotten_makes_room_for_the_next() -> None:
    drawer = Drawer()
    kept, gone = drawer.put(b"k" * 600), drawer.put(b"g" * 600)
    size = drawer.size
    drawer.free(gone)
    fresh = drawer.put(b"f" * 550)
    assert drawer.size == size
    assert (drawer.get(kept), drawer.get(fresh)) == (b"k" * 600, b"f" * 550)


def test_a_full_disk_is_said_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    drawer = Drawer()
    place = drawer.put(b"one")
    size = drawer.size
    monkeypatch.setattr(os, "pwrite", lambda *_: 1)
    with pytest.raises(OSError, match="No space left"):
        drawer.put(b"two")
    assert (drawer.get(place), drawer.size) == (b"one", size)


def test_a_record_beyond_all_measure_is_refused() -> None:
    with pytest.raises(OSError, match="too large"):
        Drawer().put(bytes(17 << 20))
