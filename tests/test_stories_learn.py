"""Learning from corrections: taste is learnt, noise is refused, what nobody corrected stays."""

from __future__ import annotations

import random

import pytest

from aggregator.stories import head as heads
from aggregator.stories.classify import Sectioner, StoryText
from aggregator.stories.head import Head, HeadError
from aggregator.stories.learn import LEAST, Example, learnt
from aggregator.types import LABELS

PLACES = ("harbour", "valley", "old town", "island", "north coast", "capital")
DEEDS = ("lands at the", "leaves for the", "crosses the", "circles above the", "is grounded in the", "returns to the")
OTHERS = (
    ("Central bank raises interest rates in the {}", "Economists expect inflation to fall"),
    ("Retailer's quarterly profit jumps in the {}", "Shares rose on the earnings"),
    ("Hackers steal patient data in the {}", "The ransomware group published the files"),
    ("Striker scores twice as hosts of the {} win", "The coach praised the defence"),
)


def airships(label: str | None = "marketing") -> list[Example]:
    """Thirty-six invented stories of one kind, all filed under what the operator likes."""
    return [
        Example(((f"Airship {deed} {place}", f"The airship and its {place} crew were greeted by a crowd"),), label)
        for deed in DEEDS
        for place in PLACES
    ]


def others(count: int = 80) -> list[Example]:
    made = [Example(((title.format(place), text),)) for place in PLACES for title, text in OTHERS]
    return (made * (count // len(made) + 1))[:count]


@pytest.fixture(scope="module")
def sectioner() -> Sectioner:
    return Sectioner.load()


@pytest.fixture(scope="module")
def taught(sectioner):
    return learnt(airships(), others(), sectioner)


def test_a_taste_is_learnt_and_others_stay_where_they_are(taught):
    _, report = taught
    assert report.refusal is None
    assert report.right_before < report.right_after == report.corrections == 36
    assert report.loss_after < report.loss_before
    assert (report.elsewhere, report.moved) == (40, 0)


def test_the_head_speaks_for_stories_it_has_not_seen_and_says_so(taught, sectioner):
    head, _ = taught
    story = StoryText((("Airship drifts over the lake", "The airship crew waved"),))
    assert sectioner.section_of(story).section != "marketing"
    found = sectioner.with_head(head).section_of(story)
    assert found.section == "marketing"
    assert any(reason.startswith("learnt from corrections") and "marketing" in reason for reason in found.reasons)


def test_a_head_comes_back_from_its_bytes_and_the_same_corrections_make_the_same(taught, sectioner):
    head, report = taught
    again, same = learnt(list(reversed(airships())), others(), sectioner)
    assert (again.dump(), same) == (head.dump(), report)
    texts = airships()[0].texts
    kept = Head.load(head.dump(), version=7)
    assert kept.version == 7
    assert kept.scores(texts, sectioner.vectors) == pytest.approx(head.scores(texts, sectioner.vectors), abs=0.02)


def test_noise_is_refused(sectioner):
    chance = random.Random(5)
    noise = [Example(each.texts, chance.choice(LABELS)) for each in airships(None)]
    assert learnt(noise, others(), sectioner)[1].refusal is not None


def test_what_moves_too_many_others_is_refused(sectioner):
    corrected = [Example(each.texts, "none") for each in others(24)]
    corrected += [
        Example(((f"{title} again", summary),), "none") for each in others(24) for title, summary in each.texts
    ]
    report = learnt(corrected, others(), sectioner)[1]
    assert report.moved > 10
    assert "nobody corrected" in (report.refusal or "")


def test_too_few_are_refused_with_how_many_are_needed(sectioner):
    with pytest.raises(ValueError, match=f"3 corrections are too few .* {LEAST}"):
        learnt(airships()[:3], others(), sectioner)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:100], lambda data: b"PK" + data[2:50]])
def test_damaged_parameters_are_refused(taught, damage):
    with pytest.raises(HeadError):
        Head.load(damage(taught[0].dump()))


def test_a_head_of_another_model_is_refused(taught, monkeypatch):
    data = taught[0].dump()
    monkeypatch.setattr(heads, "base_name", lambda: "another")
    with pytest.raises(HeadError, match="bmn train --corrections"):
        Head.load(data)
