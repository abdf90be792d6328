"""Filing, all things considered: hand over rule over model, stickiness, languages."""

from __future__ import annotations

import pytest
from builders import a_sectioning, a_source_ref, a_stored_entry
from test_stories_rules import a_rule

from aggregator.stories.classify import Sectioner
from aggregator.stories.filing import FilingPolicy, filed, settled, speaks
from aggregator.types import Sectioning

SPORT = a_stored_entry("Striker scores twice as hosts win derby", summary="The coach praised the defence")
RATES = a_stored_entry("Central bank raises interest rates", summary="Economists expect inflation to fall")
GERMAN = a_stored_entry(
    "Die Bank erhöht die Zinsen zum dritten Mal und das ist nicht alles", language="de", summary="", source="Kurier"
)


@pytest.fixture(scope="module")
def sectioner() -> Sectioner:
    return Sectioner.load()


def test_without_rules_the_model_decides(sectioner):
    filing = filed([RATES], FilingPolicy(), sectioner)
    assert (filing.sectioning.section, filing.withheld, filing.boost, filing.labels) == ("economics", None, 1.0, ())
    assert filing.language == "en"


def test_a_rule_before_the_model_beats_it_and_the_sources_configuration(sectioner):
    source = a_source_ref(section="tech", section_is_final=True)
    entry = a_stored_entry("Striker scores twice", source=source)
    policy = FilingPolicy((a_rule(fits_title="Striker", section="marketing"),))
    assert filed([entry], FilingPolicy(), sectioner).sectioning.section == "tech"
    verdict = filed([entry], policy, sectioner).sectioning
    assert (verdict.section, verdict.confidence) == ("marketing", 1.0)
    assert any(reason.startswith("rules[0]") for reason in verdict.reasons)


def test_a_rule_after_the_model_keeps_what_the_model_said_among_the_reasons(sectioner):
    policy = FilingPolicy((a_rule(4, on_section="economics", fits_title="bank", section="companies", label="banks"),))
    filing = filed([RATES], policy, sectioner, labels=("rates",))
    assert (filing.sectioning.section, filing.labels) == ("companies", ("rates", "banks"))
    assert any("runner-up" in reason for reason in filing.sectioning.reasons)
    assert filing.sectioning.reasons[-1].startswith("rules[4]")
    assert filed([SPORT], policy, sectioner).outcome.matched == ()


def test_a_dropped_story_keeps_its_section_and_is_withheld(sectioner):
    policy = FilingPolicy((a_rule(fits_title="bank", drops=True, boost=2.0),))
    filing = filed([RATES], policy, sectioner)
    assert (filing.sectioning.section, filing.withheld, filing.boost) == ("economics", "rule", 2.0)


def test_a_persons_word_beats_every_rule(sectioner):
    policy = FilingPolicy(
        (a_rule(0, fits_title="bank", section="tech", drops=True), a_rule(1, on_section="marketing", label="x"))
    )
    filing = filed([RATES], policy, sectioner, before=a_sectioning("tech"), hand="marketing")
    assert (filing.sectioning.section, filing.withheld, filing.labels) == ("marketing", None, ("x",))
    assert "by hand" in filing.sectioning.reasons[0]


@pytest.mark.parametrize(
    ("before", "shares", "section", "second"),
    [
        ("tech", {"tech": 0.44, "companies": 0.56}, "tech", "companies"),
        ("tech", {"tech": 0.42, "companies": 0.58}, "companies", None),
        ("none", {"none": 0.44, "companies": 0.56}, "none", None),
        ("none", {"none": 0.21, "companies": 0.77}, "companies", None),
    ],
)
def test_a_published_verdict_moves_only_when_another_is_clearly_ahead(before, shares, section, second):
    found = settled(Sectioning(shares, ("so it is",), "companies"), a_sectioning(before, 0.99))
    assert (found.section, found.second) == (section, second)
    assert found.confidence == shares[section]
    assert ("stays under" in found.reasons[-1]) == (section == before)


def test_what_grows_unsure_stays_where_it_is_and_what_was_unsure_goes_anywhere():
    published, unsure = a_sectioning("tech", 0.6), a_sectioning(None)
    assert settled(unsure, published) is published
    assert settled(published, unsure) is published
    assert settled(published, None) is published


def test_what_was_given_and_not_judged_holds_nothing_back():
    given = Sectioning({"tech": 1.0, "companies": 0.0}, (), "tech")
    verdict = a_sectioning("companies", 0.55)
    assert settled(verdict, given) is verdict


def test_a_story_is_filed_by_all_its_entries(sectioner):
    vague = a_stored_entry("Quillon's next step", summary="", source="The Post")
    first = filed([vague], FilingPolicy(), sectioner)
    clear = [
        a_stored_entry(f"Quillon's quarterly profit jumps {n}% as revenue beats forecast", summary=f"Shares rose {n}%")
        for n in (20, 21, 22)
    ]
    both = filed([vague, *clear], FilingPolicy(), sectioner, before=first.sectioning)
    assert (first.sectioning.section, both.sectioning.section) == ("none", "companies")


def test_other_languages_go_by_the_hint_and_say_so(sectioner):
    filing = filed([GERMAN], FilingPolicy(), sectioner)
    assert (filing.sectioning.section, filing.language, filing.withheld) == (None, "de", None)
    hinted = a_stored_entry(GERMAN.title, language="de", summary="", source=a_source_ref(section="economics"))
    verdict = filed([hinted], FilingPolicy(), sectioner).sectioning
    assert verdict.section == "economics"
    assert "in de" in verdict.reasons[0]
    assert "hint economics" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("entries", "languages", "withheld"),
    [
        ([GERMAN], ("en",), "language"),
        ([GERMAN], ("en", "de"), None),
        ([GERMAN], (), None),
        ([GERMAN, RATES], ("en",), None),  # told in a wanted language too
        ([a_stored_entry("Quillon", language=None, summary="", source=a_source_ref(language=None))], ("de",), None),
    ],
)
def test_stories_in_unwanted_languages_are_withheld(sectioner, entries, languages, withheld):
    assert filed(entries, FilingPolicy((), languages), sectioner).withheld == withheld


def test_a_copy_in_a_wanted_language_does_not_make_the_story_wanted():
    copy = a_stored_entry("The bank is to raise its rates for the third time", duplicate_of=GERMAN.entry_id)
    assert speaks(copy, ("en",))
    assert not speaks(GERMAN, ("en",))
    assert filed([GERMAN, copy], FilingPolicy((), ("en",)), Sectioner.load()).withheld == "language"
