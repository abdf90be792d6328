"""What is known beside the words: hints, records and rubrics count openly, and less the more there is to read."""

import pytest
from builders import a_stored_entry

from aggregator.stories.classify import Sectioner, StoryText, beside_the_words
from aggregator.stories.evidence import RECORD_MOST, Record, bareness, of_hint, of_record, of_rubrics
from aggregator.stories.rubrics import NAMES, WORTH, rubrics
from aggregator.types import LABELS

BARE = (("What the new season will bring", ""),)
LONG = (("What the new season will bring", "word " * 60),)
EVERYBODY = (1000, 1000, 1000, 100, 4000)


def odds(found, label):
    return found.log_odds[LABELS.index(label)]


def test_the_more_there_is_to_read_the_less_the_sources_count() -> None:
    assert bareness(BARE) == 1
    assert bareness((("Title", "word " * 25),)) == pytest.approx(0.5)
    assert bareness(LONG) < 0.3
    assert bareness((*BARE, *BARE)) == 0.5


def test_a_hint_moves_its_own_section_alone_and_names_who_gave_it() -> None:
    found = of_hint("marketing", "Trade Weekly", BARE)
    assert odds(found, "marketing") == max(found.log_odds) > 1
    assert sum(found.log_odds) == odds(found, "marketing")
    assert "Trade Weekly" in found.reason


def test_a_source_of_one_subject_is_believed_to_go_on() -> None:
    found = of_record(Record((0, 0, 2, 90, 8), EVERYBODY), BARE)
    assert found is not None
    assert odds(found, "marketing") > 1
    assert odds(found, "none") < 0
    assert "marketing" in found.reason
    assert "100" in found.reason


@pytest.mark.parametrize(
    "record",
    [None, Record((0, 0, 0, 0, 0), EVERYBODY), Record((0, 1, 0, 0, 0), EVERYBODY), Record(EVERYBODY, EVERYBODY)],
    ids=["none", "empty", "one story", "like everybody"],
)
def test_a_record_that_tells_nothing_is_left_out(record) -> None:
    found = of_record(record, LONG)
    assert found is None


def test_no_past_is_so_clear_that_it_settles_the_next_story() -> None:
    found = of_record(Record((0, 0, 0, 90_000, 0), (1000, 1000, 1000, 90_000, 900_000)), BARE)
    assert found is not None
    assert max(map(abs, found.log_odds)) <= RECORD_MOST


@pytest.mark.parametrize(
    ("link", "tags", "families"),
    [
        ("https://example.org/business/2026/rates-rise", (), {"business"}),
        ("https://example.org/news/world/story.html", (), set()),
        ("https://example.org/sport/football/cup", (), {"elsewhere"}),
        ("https://example.org/markets-fall-as-business-slows", (), set()),  # the page's own name is no rubric
        ("https://example.org/a-long-headline-about-business-written-into-the-address/1", (), set()),
        (None, ("Media & Advertising",), {"marketing"}),
        (None, ("India Business", "Economy"), {"business", "economy"}),
        ("https://example.org/life-style/x", (), {"elsewhere"}),
        ("http://[broken/business/x", (), set()),
    ],
)
def test_rubrics_are_read_from_folders_and_tags(link, tags, families) -> None:
    assert set(rubrics([link], tags)) == families


def test_every_family_has_a_worth_for_every_label() -> None:
    assert set(NAMES) == set(WORTH)
    assert {len(worth) for worth in WORTH.values()} == {len(LABELS)}


def test_rubrics_name_themselves_in_the_reason() -> None:
    (found,) = of_rubrics([("elsewhere", "football")])
    assert "football" in found.reason
    assert odds(found, "none") > 0


def test_a_story_gathers_what_is_known_of_it() -> None:
    entry = a_stored_entry("Vague", link="https://example.org/business/1", categories=("Economy",))
    story = StoryText.of([entry], Record((50, 0, 0, 0, 0), EVERYBODY))
    assert [name for name, _ in story.rubrics] == ["business", "economy"]
    reasons = " ".join(found.reason for found in beside_the_words(story))
    assert "business" in reasons
    assert "record" in reasons


def test_a_vague_headline_goes_where_its_source_and_rubric_point_but_clear_words_stay() -> None:
    sectioner = Sectioner.load()
    past = Record((0, 80, 10, 0, 0), EVERYBODY)
    vague, sport = BARE[0], ("Striker scores twice as hosts win derby", "The coach praised the defence")
    bare = sectioner.section_of(StoryText((vague,)))
    backed = sectioner.section_of(StoryText((vague,), record=past, rubrics=(("business", "business"),)))
    assert backed.probabilities["companies"] > 1.5 * bare.probabilities["companies"]
    assert sectioner.section_of(StoryText((sport,), record=past)).section == "none"
