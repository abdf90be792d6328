"""What two entries have in common, in numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aggregator.stories.compare import Comparer
from aggregator.stories.measures import LONGEST_GAP, MEASURES, UNKNOWN_GAP, gap_days, measures

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def measured(one: str, other: str, after: timedelta = timedelta(hours=2)) -> dict[str, float]:
    first, second = Comparer.load().articles([(one, "", NOON, "Herald"), (other, "", NOON + after, "Courier")])
    values = measures(first.subject, second.subject)
    assert values == measures(second.subject, first.subject)  # whichever comes first
    return dict(zip(MEASURES, values, strict=True))


def test_equal_headlines_have_everything_in_common() -> None:
    title = "Explosion at Quillon pump works in Brno kills 12 workers"
    found = measured(title, title)
    for name in ("title_words", "title_meaning", "contained", "least_covered", "least_named", "grams"):
        assert found[name] == pytest.approx(1.0, abs=1e-3), name
    assert found["title_numbers"] == 1.0
    assert found["most_strange_names"] == found["least_strange_words"] == 0.0


def test_headlines_of_two_firms_name_strangers_on_both_sides() -> None:
    found = measured("Shares of Quillon fall after warning", "Shares of Lanternware fall after warning")
    assert found["least_strange_names"] > 0
    assert found["least_strange_words"] == pytest.approx(0.0)
    assert 0 < found["least_covered"] < 1


@pytest.mark.parametrize(
    ("other", "name", "value"),
    [
        ("Quillon cuts 500 jobs", "other_numbers", 1.0),
        ("Quillon cuts 400 posts", "title_numbers", 1.0),
        ("Quillon cuts jobs", "other_numbers", 0.0),
        ("Unions condemn job cuts at Quillon", "reaction", 1.0),
        ("Quillon cuts another 400 jobs", "again", 1.0),
        ("Why Quillon cuts 400 jobs", "explainer", 1.0),
        ("Quillon live: 400 jobs to go", "running", 1.0),
        ("Quillon live: 400 jobs to go", "both_running", 0.0),
    ],
)
def test_how_headlines_are_made(other: str, name: str, value: float) -> None:
    assert measured("Quillon cuts 400 jobs", other)[name] == value


@pytest.mark.parametrize(
    ("days", "expected"), [(0.0, 0.0), (1.5, 1.5), (-1.5, 1.5), (9.0, LONGEST_GAP), (None, UNKNOWN_GAP)]
)
def test_the_days_between(days: float | None, expected: float) -> None:
    other = None if days is None else NOON + timedelta(days=days)
    one, two = Comparer.load().articles([("A", "", NOON, None), ("B", "", other, None)])
    assert gap_days(one.subject, two.subject) == pytest.approx(expected)


def test_entries_without_a_word_in_common_are_measured_too() -> None:
    found = measured("", "Quillon cuts 400 jobs")
    assert found["title_words"] == found["grams"] == 0.0
