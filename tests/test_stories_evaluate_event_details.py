"""The score of names and amounts: what counts as the same, what counts at all, and that our label file can be read."""

from __future__ import annotations

import pytest

from aggregator.stories.evaluate_event_details import FIELDS, Details, judged, read_details, scores
from aggregator.stories.train import LABELS_DIR
from aggregator.types import EVENTS, Event


def wanted(**fields: str) -> Details:
    return Details("fresh", "acquisition", {field: fields.get(field, "-") for field in FIELDS})


@pytest.mark.parametrize(
    ("field", "answer", "event", "verdict"),
    [
        ("company", "Quillon", Event("funding", "Quillon Inc"), "right"),
        ("company", "Quillon / Quillon Labs", Event("funding", "quillon labs"), "right"),
        ("company", "Dick's", Event("earnings", "Dick’s"), "right"),
        ("company", "Quillon", Event("funding", "Quillon Unit"), "wrong"),
        ("company", "-", Event("funding", "Quillon"), "wrong"),
        ("company", "Quillon", Event("funding"), "missed"),
        ("company", "-", Event("funding"), None),
        ("company", "?", Event("funding", "Quillon"), None),
        ("amount", "12e6 USD", Event("funding", amount=12e6, currency="USD"), "right"),
        ("amount", "12e6 USD", Event("funding", amount=12e6, currency="EUR"), "wrong"),
        ("amount", "12e6 ?", Event("funding", amount=12e6, currency="AUD"), "right"),
        ("amount", "12e6 USD", Event("funding", amount=13e6, currency="USD"), "wrong"),
        ("round", "Series A", Event("funding", round="Series A"), "right"),
        ("jobs", "400", Event("layoffs", jobs=401), "wrong"),
    ],
)
def test_one_answer_is_right_wrong_missed_or_says_nothing(field, answer, event, verdict) -> None:
    assert judged(field, answer, event) == verdict


def test_a_wrong_name_costs_precision_and_recall_a_needless_one_precision_alone() -> None:
    rows = [
        (wanted(company="Quillon"), Event("acquisition", "Quillon")),
        (wanted(company="Quillon"), Event("acquisition", "Otterly")),
        (wanted(company="Quillon"), Event("acquisition")),
        (wanted(), Event("acquisition", "Otterly")),
    ]
    found = scores(rows)
    assert found["company"] == {"right": 1, "wrong": 2, "missed": 1, "precision": 0.333, "recall": 0.333}
    assert found["jobs"] == {"right": 0, "wrong": 0, "missed": 0, "precision": None, "recall": None}


@pytest.mark.parametrize("line", ["00\tfresh\tfunding\tQuillon\n", "00\tfresh\tfundng\t-\t-\t-\t-\t-\n"])
def test_a_broken_line_is_named(line) -> None:
    with pytest.raises(ValueError, match=r"event_details.tsv:2: expected key, part, label and company, target"):
        read_details(["# ours\n", line])


def test_our_label_file_can_be_read() -> None:
    found = read_details((LABELS_DIR / "event_details.tsv").read_text(encoding="utf-8").splitlines())
    assert len(found) > 250
    assert {details.label for details in found.values()} == set(EVENTS)
    amounts = [d.wanted["amount"] for d in found.values() if d.wanted["amount"] not in "-?"]
    assert len(amounts) > 50
    assert all(float(amount.split(" ")[0]) > 0 for amount in amounts)
