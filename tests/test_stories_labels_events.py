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
        ("Otterly acquired by Fernbank for $2B", "Fernbank", "Otterly", 2e9),
        ("Fernbank buys AI coding startup Otterly for $6m", "Fernbank", "Otterly", 6e6),
        ("Fernbank Acquires Majority Stake In Otterly Group", "Fernbank", "Otterly Group", None),
        ("Fernbank Acquires 95 Pct Of Otterly", "Fernbank", "Otterly", None),
        ("Fernbank To Sell Part Of Unit", None, None, None),
        ("Fernbank To Acquire Marketing Firm", "Fernbank", None, None),
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


@pytest.mark.parametrize(
    ("title", "value", "currency"),
    [
        ("Quillon raises $1.5 billion in funding round", 1.5e9, "USD"),
        ("Quillon raises US$1.4-billion in funding round", 1.4e9, "USD"),
        ("Quillon raises A$30m in funding round", 30e6, "AUD"),
        ("Quillon raises Rs 2,400 crore in funding round", 24e9, "INR"),
        ("Quillon raises 12 million euros in funding round", 12e6, "EUR"),
        ("Quillon raises 500m yuan in funding round", 500e6, "CNY"),
        ("Quillon raises N177 billion in funding round", 177e9, "NGN"),
        ("Quillon raises €50k in seed funding", 50e3, "EUR"),
        ("Quillon raises $12M at $100M valuation in Series A", 12e6, "USD"),
    ],
)
def test_amounts_become_a_number_and_a_currency(title, value, currency) -> None:
    event = said(title)["funding"]
    assert (event.amount, event.currency) == (value, currency)


def test_a_valuation_or_a_price_a_share_is_no_amount() -> None:
    assert said("Quillon valued at $2 billion in latest funding round")["funding"].amount is None
    assert said("Quillon sets $15 price for IPO")["ipo"].amount is None


def test_what_was_earned_a_year_ago_is_no_amount() -> None:
    title = "Quillon reports quarterly loss"
    assert said(title, "It made a loss of 3 mln dlrs.")["earnings"].amount == 3e6
    assert said(title, "A small loss against a profit of 828,000 dlrs a year ago.")["earnings"].amount is None
    assert said(title, "Results were weak. Last year it had a loss of 3 mln dlrs.")["earnings"].amount is None


def test_a_valuation_before_the_sum_does_not_hide_it() -> None:
    assert said("Quillon valued at $11 billion in $1 billion funding round")["funding"].amount == 1e9


def test_the_summary_confirms_and_gives_the_amount_but_no_label() -> None:
    bare = "Quillon raises $5m to map forests"
    assert said(bare) == {}
    assert said(bare, "The start-up's investors include Northgate.")["funding"].amount == 5e6
    assert said("Fernbank acquires Otterly", "It pays cash in a deal worth $40 million.")["acquisition"].amount == 40e6
    assert said("Rain in Brno", "Quillon raises $12M Series A") == {}


def test_the_words_that_decided_are_kept() -> None:
    assert said("Otterly to buy map firm Rillo for £3m")["acquisition"].words == ("to buy", "£3m")


@pytest.mark.parametrize(
    ("title", "company"),
    [
        ("Berlin-based Quillon raises $5M seed round", "Quillon"),
        ("Musk's SpaceX raises $5M seed round", "SpaceX"),
        ("American Fern raises $5M seed round", "American Fern"),
        ("Yolanda (YC S16) raises $5M seed round", "Yolanda"),
        ("Quillon, a maker of maps, raises $5M seed round", "Quillon"),
        ("AI Startup Quillon Labs Raises $5M Seed Round", "Quillon Labs"),
        ("Procter & Fern raises $5M seed round", "Procter & Fern"),
        ("Northgate-backed Quillon raises $5M seed round", "Quillon"),
    ],
)
def test_the_company_is_cut_out_of_what_stands_before_the_verb(title, company) -> None:
    assert said(title)["funding"].company == company


def test_jobs_are_counted_and_shares_of_staff_are_not() -> None:
    assert said("Quillon lays off about 1,200 workers")["layoffs"].jobs == 1200
    assert said("Quillon cuts 7% of its workforce")["layoffs"].jobs is None


def test_what_hangs_behind_the_news_does_not_make_it_a_question() -> None:
    assert list(said("Bank of England cuts interest rates to 3.5%: what it means for savers")) == ["rates"]


def test_a_story_of_no_headlines_has_no_events() -> None:
    assert events_of([]) == ()


@pytest.mark.parametrize("text", ["raises " * 70, "to buy " * 70, "acquires " + "word " * 90, "$5 " * 160, "x" * 500])
def test_hostile_headlines_say_nothing_and_end(text) -> None:
    assert headline_events(text, text) == {}
