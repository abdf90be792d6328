"""How high a story stands: laws that hold for any stories, and the quotas."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, a_source_ref, a_stored_entry, a_story, ago
from hypothesis import given
from hypothesis import strategies as st

from aggregator.publish.ranking import (
    COPY,
    HALF_LIFE,
    TOP_AT_ONCE,
    TOP_PER_DAY,
    Quota,
    rank,
    ranked,
    risen,
    weight,
    why,
    within,
)
from aggregator.types import SourceRef, StoredEntry, Story


def source(number: int, weight: float = 1.0) -> SourceRef:
    return a_source_ref(title=f"Outlet {number}", feed_id=number, weight=weight)


def told(
    *numbers: int, copies: tuple[int, ...] = (), hours: float = 1, section: str = "tech", **fields: object
) -> Story:
    def entry(number: int) -> StoredEntry:
        return a_stored_entry("Acme opens", source=source(number), link=f"https://o{number}.example/{numbers}")

    entries, duplicates = tuple(map(entry, numbers)), tuple(map(entry, copies))
    return a_story(entries=entries, duplicates=duplicates, published=ago(hours=hours), section=section, **fields)


weights = st.floats(0.01, 10)
outlets = st.lists(st.tuples(st.integers(1, 12), weights, st.booleans()), min_size=1, max_size=8)


def a_told_story(telling: list[tuple[int, float, bool]]) -> Story:
    entries = [
        (a_stored_entry("Acme opens", source=source(number, weight)), is_copy) for number, weight, is_copy in telling
    ]
    originals = tuple(entry for entry, is_copy in entries if not is_copy) or (entries[0][0],)
    return a_story(entries=originals, duplicates=tuple(entry for entry, is_copy in entries if is_copy))


@given(outlets, outlets)
def test_another_outlet_never_lowers_a_story(telling, more):
    before = a_told_story(telling)
    joined = a_told_story(more)
    after = replace(before, entries=before.entries + joined.entries, duplicates=before.duplicates + joined.duplicates)
    assert rank(after) >= rank(before)


@given(outlets, outlets, st.floats(0, 200), st.floats(0, 200))
def test_waiting_changes_nobodys_place(telling, others, age, other_age):
    one = replace(a_told_story(telling), published=ago(hours=age))
    two = replace(a_told_story(others), published=ago(hours=other_age))
    later = timedelta(hours=31)
    apart = rank(one) - rank(two)
    moved = rank(replace(one, published=one.published + later)) - rank(replace(two, published=two.published + later))
    assert moved == pytest.approx(apart, abs=1e-6)


def test_a_story_is_worth_half_after_a_half_life():
    assert rank(told(1, 2, hours=8)) == pytest.approx(rank(told(1, hours=0)), abs=1e-6)
    assert timedelta(hours=8) == HALF_LIFE


@pytest.mark.parametrize(
    ("more", "less"),
    [
        (told(1, 2), told(1)),
        (told(1, 2, 3), told(1, copies=(2, 3, 4))),
        (told(1, copies=(2,)), told(1)),
        (told(1, hours=1), told(1, hours=2)),
        (told(1, boost=2.0), told(1)),
    ],
    ids=["publishers", "originals before copies", "a copy is something", "newer", "boosted"],
)
def test_who_stands_higher(more, less):
    assert rank(more) > rank(less)


def test_two_feeds_of_one_publisher_are_one_voice():
    feeds = [
        replace(source(number), url=f"https://{host}/rss", site_url=None)
        for number, host in enumerate(("feeds.herald.example", "www.herald.example"), 1)
    ]
    entries = tuple(a_stored_entry("Acme opens", source=feed) for feed in feeds)
    assert weight(a_story(entries=entries)) == 1.0


def test_a_source_that_weighs_nothing_does_not_break_the_logarithm():
    nothing = a_story(entries=(a_stored_entry(source=source(1, weight=0.0)),))
    assert rank(nothing) < rank(told(1))


def test_the_reasons_are_in_words():
    assert why(told(1)) == "Weighs 1: 1 publisher; halves every 8 hours."
    assert why(told(1, 2, copies=(3,), boost=1.5)) == (
        f"Weighs {(2 + COPY) * 1.5:.3g}: 2 publishers, 1 more publisher of copies, each counting 0.25, boosted by 1.5;"
        " halves every 8 hours."
    )


def test_quotas_keep_sources_and_sections_from_taking_all():
    flood = [told(1, hours=n / 10) for n in range(6)]
    flood = [replace(story, ref=f"flood{n}", story_id=a_story(f"f{n}").story_id) for n, story in enumerate(flood)]
    others = [told(2, hours=3), told(3, hours=4, section="economics"), told(4, hours=5, section="marketing")]
    chosen = ranked([*flood, *others], 5, Quota(per_source=2, per_section=3))
    assert [story.lead.source.feed_id for story in chosen] == [1, 1, 2, 3, 4]
    # Where nobody else has anything, the rest is filled from those left out.
    assert len(ranked(flood, 5, Quota(per_source=2))) == 5
    assert len(within(flood, 5, Quota(per_source=2))) == 2
    assert within(others, 5, Quota(per_source=1), already=[told(2)]) == others[1:]


@given(st.permutations(range(8)))
def test_the_order_of_arrival_does_not_matter(order):
    stories = [told(n + 1, hours=n % 3) for n in range(8)]
    assert ranked([stories[n] for n in order], 4, Quota(2, 2)) == ranked(stories, 4, Quota(2, 2))
    assert max(story.published for story in stories) <= NOW


# ---------------------------------------------------------------- top stories


def heavy(number: int, hours: float = 1, section: str = "tech") -> Story:
    return told(100 + 2 * number, 101 + 2 * number, hours=hours, section=section)


def topped(stories: list[Story], hours: float) -> list[Story]:
    return [replace(story, top_at=ago(hours=hours)) for story in stories]


def test_what_comes_among_the_top_stories():
    light, old = told(1), heavy(1, hours=25)
    good = [heavy(n, hours=n) for n in range(2, 8)]
    assert risen([light, old, *good], [], NOW) == good[:TOP_AT_ONCE]
    boosted = told(1, boost=2.0)
    assert risen([boosted], [], NOW) == [boosted]


def test_no_more_than_so_many_a_day_and_not_all_at_once():
    good = [heavy(n, section=("tech", "companies", "economics")[n % 3]) for n in range(40)]
    came: list[Story] = []
    for hour in range(48):
        now = ago(hours=-hour)
        fresh = [replace(story, published=now) for story in good if story.story_id not in {s.story_id for s in came}]
        came += [replace(story, top_at=now) for story in risen(fresh, came, now)]
        day = [story for story in came if (now - story.top_at) < timedelta(days=1)]
        assert len(day) <= TOP_PER_DAY
        assert len([story for story in day if (now - story.top_at) < timedelta(hours=2)]) <= TOP_AT_ONCE
    assert len(came) >= 2 * TOP_PER_DAY


def test_one_section_or_source_is_not_the_whole_day():
    tech = topped([heavy(n) for n in range(TOP_PER_DAY // 2)], hours=5)
    assert risen([heavy(50)], tech, NOW) == []
    assert len(risen([heavy(50, section="marketing")], tech, NOW)) == 1
    one = topped([told(1, 200 + n, section="economics") for n in range(TOP_PER_DAY // 4)], hours=5)
    assert risen([told(1, 300, section="marketing")], one, NOW) == []


def test_a_story_comes_once():
    assert risen(topped([heavy(1)], hours=30), [], NOW) == []
