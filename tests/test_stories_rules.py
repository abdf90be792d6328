"""The operator's rules: what holds, in which order, and what follows."""

from __future__ import annotations

import pytest
from builders import a_source_ref, a_stored_entry

from aggregator.stories.rules import MOST_BOOST, Outcome, Rule, after_model, before_model
from aggregator.text import compile_pattern

HERALD = a_source_ref(title="The Herald")
IPO = a_stored_entry("Quillon files for an IPO", source=HERALD, summary="<p>Shares &amp; <b>bonds</b></p>")
STARS = a_stored_entry("Your horoscope", source="Daily Kite", link="https://kite.example/stars/1")


def a_rule(number: int = 0, **fields: object) -> Rule:
    """A rule whose patterns are given as text."""
    made = {
        name: compile_pattern(value) if name.startswith("fits_") and isinstance(value, str) else value
        for name, value in fields.items()
    }
    return Rule(number, "a condition", **made)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"fits_title": r"(?i)\bipo\b"}, True),
        ({"fits_title": r"\bipo\b"}, False),
        ({"fits_source": "(?i)herald"}, True),
        ({"fits_source": r"herald\.example/feed"}, True),
        ({"fits_link": "/stars/"}, True),
        ({"fits_summary": "Shares & bonds"}, True),
        ({"fits_title": "IPO", "fits_source": "Herald"}, True),
        ({"fits_title": "IPO", "fits_link": "/stars/"}, False),  # each fits an entry, and no entry fits both
    ],
)
def test_all_conditions_must_fit_one_entry(conditions, holds):
    outcome = before_model([a_rule(section="companies", **conditions)], [IPO, STARS])
    assert (outcome.section, bool(outcome.matched)) == (("companies", True) if holds else (None, False))


def test_an_entry_without_a_link_fits_no_link():
    assert before_model([a_rule(fits_link="/stars/", drops=True)], [a_stored_entry(link=None)]) == Outcome()


def test_the_first_section_counts_boosts_multiply_and_labels_add_up():
    rules = [
        a_rule(0, fits_title="IPO", section="companies", label="ipo", boost=2.0),
        a_rule(1, fits_title="IPO", section="tech", label="shares", boost=1.5),
        a_rule(2, fits_title="nothing like it", drops=True),
        a_rule(3, fits_title="IPO", label="ipo"),
    ]
    outcome = before_model(rules, [IPO])
    assert (outcome.section, outcome.given_by, outcome.boost) == ("companies", 0, 3.0)
    assert (outcome.labels, outcome.matched, outcome.is_dropped) == (("ipo", "shares"), (0, 1, 3), False)
    assert "rules[0]: a condition → section companies, boost 2, label ipo" in outcome.reasons
    assert "rules[1]: a condition → boost 1.5, label shares" in outcome.reasons


def test_boosts_have_a_limit():
    outcome = before_model([a_rule(n, fits_title="IPO", boost=90.0) for n in range(4)], [IPO])
    assert outcome.boost == MOST_BOOST


@pytest.mark.parametrize(
    ("rule", "section", "labels", "holds"),
    [
        (a_rule(on_section="economics", drops=True), "economics", (), True),
        (a_rule(on_section="economics", drops=True), "tech", (), False),
        (a_rule(on_section="unsure", drops=True), None, (), True),
        (a_rule(on_section="none", drops=True), None, (), False),
        (a_rule(on_label="funding", drops=True), "tech", ("funding",), True),
        (a_rule(on_label="funding", drops=True), "tech", ("ipo",), False),
        (a_rule(on_section="tech", fits_title="IPO", drops=True), "tech", (), True),
        (a_rule(on_section="tech", fits_title="horoscope", drops=True), "tech", (), False),
    ],
)
def test_rules_on_the_verdict_come_after_the_model(rule, section, labels, holds):
    assert before_model([rule], [IPO]) == Outcome()
    assert after_model([rule], [IPO], Outcome(), section, labels).is_dropped is holds


def test_a_rule_sees_what_those_above_it_made_of_the_story():
    rules = [
        a_rule(0, fits_title="IPO", label="listing"),
        a_rule(1, on_label="listing", section="companies"),
        a_rule(2, on_section="companies", boost=2.0),
        a_rule(3, on_section="tech", drops=True),
    ]
    outcome = after_model(rules, [IPO], before_model(rules, [IPO]), "tech", ())
    assert (outcome.section, outcome.boost, outcome.is_dropped, outcome.matched) == ("companies", 2.0, False, (0, 1, 2))
