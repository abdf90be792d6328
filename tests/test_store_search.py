"""Full-text search on SQLite and PostgreSQL: what is found, what is not, and that no query breaks it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import NOW, an_entry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_writer import ASource
from test_store import feeds_of, group, poll

from aggregator.store import Query, Store, StoryFilter, search
from aggregator.store.search import MAX_QUERY, MAX_TERMS
from aggregator.text import search_words

EVERYTHING = StoryFilter()


def a_story_of(store: Store, title: str, text: str = "", hours: float = 1, **fields: object) -> None:
    (feed,) = feeds_of(store, ASource("https://h.example/feed"))
    entry = an_entry(title, summary=text or None, published=NOW - timedelta(hours=hours))
    group(store, *poll(store, feed, entry), **fields)


def titles(store: Store, asked: str, wanted: StoryFilter = EVERYTHING, limit: int = 20, without: str = "") -> list[str]:
    return [story.lead.title for story in store.search(Query.of(asked, without), wanted, limit)]


@pytest.fixture
def newsroom(store):
    a_story_of(store, "Quillon opens a plant in Brno", "<p>The chip maker builds for €2bn.</p>", hours=5)
    a_story_of(store, "Café Müller acquires Otterly", "<p>An acquisition of rivals, says the plant owner.</p>", hours=4)
    a_story_of(store, "Rates stay where they are", "<p>Central bank waits.</p>", hours=3, section="economics")
    a_story_of(store, "Opens the season: 5G plants?", "", hours=2)
    return store


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("quillon", ["Quillon opens a plant in Brno"]),
        ("QUILLON brno", ["Quillon opens a plant in Brno"]),
        ("quillon otterly", []),
        ("plant", ["Opens the season: 5G plants?", "Café Müller acquires Otterly", "Quillon opens a plant in Brno"]),
        ('"opens a plant"', ["Quillon opens a plant in Brno"]),
        ('"a plant opens"', []),
        ("cafe muller", ["Café Müller acquires Otterly"]),
        ("CAFÉ", ["Café Müller acquires Otterly"]),
        ("acquisitions", ["Café Müller acquires Otterly"]),
        ("plant -brno", ["Opens the season: 5G plants?", "Café Müller acquires Otterly"]),
        ('plant -"chip maker"', ["Opens the season: 5G plants?", "Café Müller acquires Otterly"]),
        ("-plant", ["Opens the season: 5G plants?", "Rates stay where they are"]),
        ("they are", ["Rates stay where they are"]),
        ("5g", ["Opens the season: 5G plants?"]),
        ("nothing-of-the-kind", []),
    ],
)
def test_what_is_found_the_newest_first(newsroom, asked, found):
    assert titles(newsroom, asked) == found


def test_the_kind_of_story_narrows_it(newsroom):
    assert titles(newsroom, "they", StoryFilter(("tech",))) == []
    assert titles(newsroom, "they", StoryFilter(("economics", "tech"))) == ["Rates stay where they are"]
    assert titles(newsroom, "plant", StoryFilter(since=NOW - timedelta(hours=2, minutes=30))) == [
        "Opens the season: 5G plants?"
    ]
    assert titles(newsroom, "plant", StoryFilter(min_sources=2)) == []
    assert titles(newsroom, "plant", limit=1) == ["Opens the season: 5G plants?"]
    assert titles(newsroom, "plant", without="brno acquisition") == ["Opens the season: 5G plants?"]


def test_a_changed_entry_is_found_by_what_it_says_now(newsroom):
    feed = next(feed for feed in newsroom.feeds() if feed.url == "https://h.example/feed")
    story = newsroom.search(Query.of("quillon"), EVERYTHING, 1)[0]
    changed = an_entry("Tarn opens a plant in Brno", guid=story.lead.guid, link=story.lead.link)
    poll(newsroom, feed, changed)
    (stale,) = newsroom.stale(10)
    newsroom.save_grouping([], [], NOW, settled=[stale.entry_id])
    assert titles(newsroom, "quillon") == []
    assert titles(newsroom, "tarn") == ["Tarn opens a plant in Brno"]


def test_retention_takes_the_words_of_texts_then_of_titles(newsroom):
    class Rules:
        text, entries = timedelta(days=1), timedelta(days=9)

    feed = newsroom.feed("https://h.example/feed")
    poll(newsroom, feed, an_entry("Only this is left"), now=NOW)
    newsroom.prune(Rules(), NOW + timedelta(days=2))
    assert titles(newsroom, "chip maker") == []
    assert titles(newsroom, "quillon") == ["Quillon opens a plant in Brno"]
    newsroom.prune(Rules(), NOW + timedelta(days=20))
    assert titles(newsroom, "quillon") == []
    with newsroom._database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM search").scalar() == 0


def test_looking_back_ends_and_finds_what_is_far_behind(store):
    (feed,) = feeds_of(store, ASource("https://h.example/feed"))
    a_story_of(store, "Quillon was the first", hours=50, section="economics")
    ids = poll(store, feed, *(an_entry(f"Quillon number {n}") for n in range(900)))
    group(store, *ids, section="tech")
    assert titles(store, "quillon", StoryFilter(("economics",))) == ["Quillon was the first"]
    assert len(store.search(Query.of("quillon"), EVERYTHING, 5)) == 2


@pytest.mark.parametrize("rare", [5000, 0])  # matches up to which PostgreSQL asks its index of words
def test_a_time_and_a_source_are_reached_behind_more_matches_than_are_looked_at(store, monkeypatch, rare):
    for steps in ("_STEPS", "_TWO_STEPS", "_OF_SOURCE"):
        monkeypatch.setattr(search, steps, (3, 3))
    monkeypatch.setattr(search, "_RARE", rare)
    monkeypatch.setattr(search, "_SPAN", 100)
    old, new = feeds_of(store, ASource("https://old.example/feed"), ASource("https://new.example/feed"))
    for feed, name, hours in ((old, "first", 80), (new, "later", 2)):
        for n in range(20):
            entry = an_entry(f"Quillon {name} {n}", published=NOW - timedelta(hours=hours, minutes=-n))
            group(store, *poll(store, feed, entry), labels=("funding",) if n == 1 else ())
    assert len(titles(store, "quillon", limit=40)) == 6, "no more are looked at"
    assert titles(store, "quillon", StoryFilter(until=NOW - timedelta(days=2)), limit=1) == ["Quillon first 19"]
    assert titles(store, "quillon", StoryFilter(feed_id=old.feed_id), limit=1) == ["Quillon first 19"]
    assert titles(store, "quillon first", StoryFilter(since=NOW - timedelta(days=2))) == []
    assert titles(store, '"later 1"', StoryFilter(label="funding")) == ["Quillon later 1"]
    assert titles(store, '"later 2"', StoryFilter(label="funding")) == []


def test_what_came_late_is_found_behind_what_came_in_its_time(store):
    in_time, late = feeds_of(store, ASource("https://a.example/feed"), ASource("https://b.example/feed"))
    for n in range(30):
        a_day = an_entry(f"Quillon day {n}", published=NOW - timedelta(days=60 - n))
        group(store, *poll(store, in_time, a_day))
    old = [an_entry(f"Quillon of old {n}", published=NOW - timedelta(days=50, hours=n)) for n in range(3)]
    for entry_id in poll(store, late, *old):
        group(store, entry_id)
    until = StoryFilter(until=NOW - timedelta(days=40))
    everything = titles(store, "quillon", until, limit=40)
    assert len(everything) == 23
    assert everything[0] == "Quillon day 19"
    assert set(everything) >= {"Quillon of old 0", "Quillon of old 1", "Quillon of old 2"}
    assert titles(store, "quillon", until, limit=1) == ["Quillon day 19"]
    assert titles(store, "quillon", StoryFilter(until=NOW - timedelta(days=90))) == []


@pytest.mark.parametrize("rare", [5000, 0])
def test_entries_that_are_in_no_story_yet_hide_nothing(store, monkeypatch, rare):
    monkeypatch.setattr(search, "_RARE", rare)
    monkeypatch.setattr(search, "_OF_SOURCE", (2, 2))
    (feed,) = feeds_of(store, ASource("https://a.example/feed"))
    for n in range(3):
        group(store, *poll(store, feed, an_entry(f"Quillon {n}", published=NOW - timedelta(hours=9 - n))))
    poll(store, feed, an_entry("Quillon is new"))
    assert titles(store, "quillon", StoryFilter(feed_id=feed.feed_id)) == ["Quillon 2", "Quillon 1", "Quillon 0"]


def test_what_comes_behind_the_first(newsroom):
    found = [story.lead.title for story in newsroom.search(Query.of("plant"), EVERYTHING, 9)]
    for asked in ("plant", "plant -nothing", "-rates", ""):
        whole = [story.ref for story in newsroom.search(Query.of(asked), EVERYTHING, 9)]
        assert [story.ref for story in newsroom.search(Query.of(asked), EVERYTHING, 1, skip=1)] == whole[1:2], asked
    assert len(found) == 3


@pytest.mark.parametrize(
    "asked",
    [
        "",
        " ",
        '"',
        '""',
        "-",
        '-""',
        "* OR 1=1 --",
        "title:quillon",
        "NEAR(a b, 3)",
        "quillon AND (",
        "a\x00b",
        "';DROP TABLE entries;--",
        "^quillon",
        "quillon*",
        "{title} : x",
        ":*&|!()<->",
        "\\",
        "%",
        "a" * 5000,
        " ".join(f"w{n}" for n in range(500)),
        "\ud800",
        "新聞 новости",
    ],
)
def test_no_query_is_an_error(newsroom, asked):
    titles(newsroom, asked)
    titles(newsroom, "", without=asked)
    assert titles(newsroom, "brno") == ["Quillon opens a plant in Brno"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=60))
def test_no_text_is_an_error(newsroom, asked):
    titles(newsroom, asked)


def test_queries_are_bounded():
    query = Query.of(" ".join(f"w{n} -x{n}" for n in range(500)))
    assert len(query.wanted) <= MAX_TERMS
    assert len(query.unwanted) <= MAX_TERMS
    assert Query.of("a " * 5 + "b" * MAX_QUERY).wanted[1] == "b" * (MAX_QUERY - 10)
    assert not Query.of(' "" - -"!" ')


def test_terms_are_taken_as_people_type_them():
    assert Query.of('ipo "Series A" -crypto -"press release" ipo', "Rumour") == Query(
        ("ipo", "series a"), ("crypto", "press release", "rumour")
    )
    assert search_words("Crème-brûlée:  3.5 % ﬁne’s") == "creme brulee 3 5 fine s"
