"""What two headlines must not differ in, and what a headline announces."""

from __future__ import annotations

import pytest

from aggregator.stories.vetoes import Kind, counts_differ, kind_of, veto


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("Quillon profit up in Q1", "Quillon profit up in Q2", "quarter"),
        ("Quillon's first-quarter sales rise", "Quillon Q3 sales rise", "quarter"),
        ("Quillon's first-quarter sales rise", "Quillon Q1 sales rise", None),
        ("Harbourfone 17 goes on sale", "Harbourfone 18 goes on sale", "harbourfone number"),
        ("Lanternware 4.2 released", "Lanternware 4.3 released", "lanternware number"),
        ("Otters win Game 3 of the finals", "Otters win Game 4 of the finals", "game"),
        ("Budget vote on June 13", "Budget vote on 14 June", "date"),
        ("Budget vote on June 13", "Budget vote on 13 June", None),
        ("Prices to fall in 2027", "Prices to fall in 2028", "year"),
        ("Inflation rises to 3.9%", "Inflation rises to 4.6 percent", "percentages"),
        ("Inflation rises to 3.9%", "Inflation nears 4%", None),
        ("Blast kills 12 at Brno works", "Blast kills 13 at Brno works", None),
        ("Quillon cuts 400 jobs", "Quillon to cut jobs", None),
        ("Morning briefing: Quillon cuts jobs", "Quillon cuts jobs", "round-up"),
        ("Best early phone deals this week", "Quillon cuts phone prices", "round-up"),
        ("Harbour fire live: roads closed", "Live: fire at the harbour", "running"),
        ("Harbour fire live: roads closed", "Fire at the harbour closes roads", None),
    ],
)
def test_what_two_headlines_must_not_differ_in(one: str, other: str, reason: str | None) -> None:
    for found in (veto(one, other), veto(other, one)):
        if reason is None:
            assert found is None
        else:
            assert found is not None
            assert reason in found


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Quillon buys Lanternware for $2bn", Kind.REPORT),
        ("Harbour fire live: roads closed", Kind.RUNNING),
        ("Council elections 2026: live updates", Kind.RUNNING),
        ("Choir to sing live in Brno", Kind.REPORT),
        ("Latest news bulletin | June 5th – Midday", Kind.ROUND_UP),
        ("Top 10 gainers today", Kind.ROUND_UP),
        ("Why Quillon bought Lanternware", Kind.EXPLAINER),
        ("Quillon bought Lanternware: what we know", Kind.EXPLAINER),
        ("Commentary: Quillon paid too much", Kind.COMMENT),
    ],
)
def test_what_a_headline_announces(title: str, kind: Kind) -> None:
    assert kind_of(title) is kind


def test_nearly_equal_headlines_with_another_number_are_two_articles() -> None:
    assert counts_differ("Airlift brings home over 2,000", "Airlift brings home over 5,000")
    assert not counts_differ("Airlift brings home over 2,000", "Over 2,000 brought home by airlift")
