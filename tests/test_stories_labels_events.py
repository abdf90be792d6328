"""Events read off headlines: what fires, what must not, who and how much."""

from __future__ import annotations

import pytest

from aggregator.stories.labels_events import events_of, headline_events
from aggregator.types import Event


def said(title: str, summary: str = "") -> dict[str, Event]:
    return headline_events(title, summary)


@pytest.mark.parametrize(
    ("title", "company", "amount", "currency", "round_"),
    [
        ("Quillon raises $12M Series A", "Quillon", 12e6, "USD", "Series A"),
        ("Berlin fintech startup Otterly raises €50 million", "Otterly", 50e6, "EUR", None),
        ("Fernbank secures £3.5m seed round to map forests", "Fernbank", 3.5e6, "GBP", "Seed"),
        ("Exclusive: Rillo closes $1.2 billion funding round led by Northgate", "Rillo", 1.2e9, "USD", None),
    ],
)
def test_funding_names_company_amount_and_round(title, company, amount, currency, round_) -> None:
    event = said(title)["funding"]
    assert (event.company, event.amount, event.currency, event.round) == (company, amount, currency, round_)


@pytest.mark.parametrize(
    ("title", "buyer", "target", "amount"),
    [
        ("Fernbank to buy software firm Otterly for $10.6bn", "Fernbank", "Otterly", 10.6e9),
        ("Fernbank acquires Otterly", "Fernbank", "Otterly", None),
        ("Tollan & Sons agrees £2.7bn takeover by Northgate", "Northgate", "Tollan & Sons", 2.7e9),
    ],
)
def test_acquisitions_name_buyer_and_target(title, buyer, target, amount) -> None:
    event = said(title)["acquisition"]
    assert (event.company, event.target, event.amount) == (buyer, target, amount)


@pytest.mark.parametrize(
    ("title", "label", "company"),
    [
        ("Quillon files for IPO after busy year", "ipo", "Quillon"),
        ("Quillon's quarterly profit rises 14%", "earnings", "Quillon"),
        ("Quillon to cut 1,200 jobs in Brno", "layoffs", "Quillon"),
        ("Quillon unveils a phone that folds twice", "launch", "Quillon"),
        ("EU fines Quillon €200m over app store rules", "regulation", "Quillon"),
        ("Bank of England cuts interest rates to 3.5%", "rates", "Bank of England"),
    ],
)
def test_other_labels(title, label, company) -> None:
    assert {name: event.company for name, event in said(title).items()} == {label: company}


@pytest.mark.parametrize(
    "title",
    [
        "Quillon could acquire Otterly for $2bn",
        "Should Quillon buy Otterly?",
        "Quillon denies plan to buy Otterly for $2bn",
        "Drought raises questions about dams",
        "Charity raises $3m for flood victims",
        "Iran launches missiles at base",
        "Police launch inquiry into app",
        "Prime minister unveils new tax service",
        "United to buy striker for £40m",
        "Fed expected to raise rates in March",
        "How Quillon raised $12M Series A in a week",
        "Quarter of pupils miss lessons, profit from tutoring falls",
    ],
)
def test_what_only_sounds_like_it_says_nothing(title) -> None:
    assert said(title) == {}


def test_other_headlines_complete_the_lead_and_two_outvote_its_silence() -> None:
    lead = ("Quillon acquires Otterly", "")
    other = ("Quillon to buy map maker Otterly for $300m", "")
    assert [(e.label, e.amount) for e in events_of([lead, other])] == [("acquisition", 300e6)]
    quiet = ("A new owner for Otterly", "")
    assert events_of([quiet, other]) == ()
    assert [e.label for e in events_of([quiet, other, lead])] == ["acquisition"]
