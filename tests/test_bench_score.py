"""`make score`: a score below its floor is named, and every floor is of a score that exists."""

from __future__ import annotations

import json

from bench.score import FLOORS, fallen


def test_a_score_below_its_floor_is_named() -> None:
    found = {"pairs": {"precision": 0.90, "f1": 0.80}, "stories": {"bcubed_f1": 0.85}}
    floors = {"pairs": {"precision": 0.90, "f1": 0.84}, "stories": {"bcubed_f1": 0.85}}
    assert fallen(found, floors) == ["pairs.f1 is 0.8000, at least 0.84 expected"]


def test_the_kept_floors_can_be_missed() -> None:
    floors = json.loads(FLOORS.read_text("utf-8"))
    nothing = {name: dict.fromkeys(wanted, 0.0) for name, wanted in floors.items()}
    assert len(fallen(nothing, floors)) == sum(len(wanted) for wanted in floors.values()) > 0
