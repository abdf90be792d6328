"""Views as addresses and as documents: what is asked for, and what answers it. No store."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from builders import NOW, a_story, ago

from aggregator.publish.asking import BadQuery, Narrowing
from aggregator.publish.digest import Digest, Told
from aggregator.publish.edition import Press
from aggregator.publish.happened import line_of, money
from aggregator.publish.settings import DEFAULT_FEEDS, ContentSettings, SiteSettings
from aggregator.publish.views import Asked, asked_for, day_bounds, day_path, day_view, label_view, source_view
from aggregator.types import Event, Rendered, Story

SITE = SiteSettings(public_url="https://news.example/desk", timezone="Europe/Prague")
ATOM = "{http://www.w3.org/2005/Atom}"
FUNDED = Event("funding", "Quillon", amount=12e6, currency="USD", round="Series A", words=("raises $12M",))


def press() -> Press:
    return Press(SITE, DEFAULT_FEEDS, ContentSettings())


def a_funded_story(**fields):
    return a_story("Quillon raises $12M Series A", labels=("funding",), events=(FUNDED,), **fields)


@pytest.mark.parametrize(
    ("path", "query", "asked"),
    [
        ("/label/funding", {}, Asked("label", "funding")),
        ("/label/my-own.atom", {}, Asked("label", "my-own", "atom")),
        ("/source/12.json", {}, Asked("source", "12", "json")),
        ("/2026/11/24.rss", {}, Asked("day", "2026/11/24", "rss")),
        ("/2026/02/29", {}, None),  # no such day
        ("/9999/12/31", {}, None),  # no day after it
        ("/0001/01/01.atom", {}, None),  # none before it, and east of Greenwich that is where it begins
        ("/2026/11/24", {"page": "3"}, Asked("day", "2026/11/24", "", 3)),
        ("/label/funding", {"utm_source": "x"}, Asked("label", "funding")),
        ("/label/funding.atom", {"page": "2"}, Asked("label", "funding", "atom", 2)),
        ("/label/funding.atom", {"q": "Chips"}, Asked("label", "funding", "atom", only=Narrowing(("chips",)))),
        ("/search", {}, Asked("search", "search")),
        ("/search.rss", {"-q": "x"}, Asked("search", "search", "rss", only=Narrowing(unwanted=("x",)))),
        ("/tech.atom", {"lang": "en"}, Asked("feed", "tech", "atom", only=Narrowing(language="en"))),
        ("/tech", {"q": "a b", "page": "2"}, Asked("feed", "tech", "", 2, Narrowing(("a", "b")))),
        ("/tech.atom", {"min_sources": "1"}, None),  # the feed itself
        ("/tech", {"page": "2"}, None),
        ("/Tech", {"q": "a"}, None),
        ("/story/abc", {"q": "a"}, None),
        ("/label/Funding", {}, None),
        ("/label/", {}, None),
        ("/label/funding.pdf", {}, None),
        ("/source/0", {}, None),
        ("/source/abc", {}, None),
        ("/source/99999999999999999999", {}, None),
    ],
)
def test_addresses(path, query, asked) -> None:
    assert asked_for(path, query) == asked


@pytest.mark.parametrize(
    ("path", "query", "why"),
    [
        ("/label/funding", {"page": "0"}, "page must be a whole number from 1 to 50"),
        ("/label/funding", {"page": "51"}, "page must be a whole number from 1 to 50"),
        ("/label/funding", {"page": "-1"}, "page must be a whole number from 1 to 50"),
        ("/search", {"q": "chips", "page": "6"}, "page must be a whole number from 1 to 5"),
        ("/label/funding", {"label": "ipo"}, "label cannot be asked for here, as the address says it; see /search"),
        ("/source/3", {"source": "4"}, "source cannot be asked for here, as the address says it; see /search"),
        ("/2026/11/24", {"since": "2026-11-01"}, "since cannot be asked for here, as the address says it; see /search"),
        ("/tech.atom", {"lang": "english"}, "lang must be a language's code such as en, not 'english'"),
    ],
)
def test_addresses_that_ask_for_what_there_is_not(path, query, why) -> None:
    with pytest.raises(BadQuery, match=f"^{re.escape(why)}$"):
        asked_for(path, query)


def test_a_day_is_the_readers_day_also_when_the_clock_changes() -> None:
    zone = ZoneInfo("Europe/Prague")
    begin, end = day_bounds(date(2026, 10, 25), zone)
    assert (begin, end) == (datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC))
    assert day_path(datetime(2026, 3, 4, 23, 30, tzinfo=UTC), zone) == "/2026/03/05"


def test_a_label_is_a_feed_in_three_formats_and_a_page() -> None:
    feed, stories = label_view("funding", SITE), [a_funded_story()]
    atom = ET.fromstring(press().view(feed, stories, "atom").body)
    assert atom.findtext(f"{ATOM}title") == "Business Monkey News: funding"
    links = {link.get("rel"): link.get("href") for link in atom.findall(f"{ATOM}link")}
    assert links["self"] == "https://news.example/desk/label/funding.atom"
    assert links["alternate"] == "https://news.example/desk/label/funding"
    category = next(c for c in atom.iter(f"{ATOM}category") if c.get("term") == "funding")
    assert category.get("scheme") == "https://news.example/desk/label/"
    rss = ET.fromstring(press().view(feed, stories, "rss").body)
    assert ("funding", "https://news.example/desk/label/") in {
        (c.text, c.get("domain")) for c in rss.iter("category")
    }  # fmt: skip
    item = json.loads(press().view(feed, stories, "json").body)["items"][0]
    assert "funding" in item["tags"]
    assert item["_events"] == [
        {"label": "funding", "company": "Quillon", "amount": 12e6, "currency": "USD", "round": "Series A"}
    ]
    page = press().view(feed, stories).body.decode()
    assert 'href="/desk/label/funding.atom" title="Business Monkey News: funding (Atom)"' in page
    assert "Quillon raises $12M Series A" in page


@pytest.mark.parametrize(
    "view", [label_view("ipo", SITE), source_view(3, "The Herald", SITE), day_view(NOW.date(), SITE)]
)
def test_an_empty_view_is_a_valid_feed(view) -> None:
    assert ET.fromstring(press().view(view, [], "atom").body).findall(f"{ATOM}entry") == []
    assert ET.fromstring(press().view(view, [], "rss").body).findall("channel/item") == []
    assert json.loads(press().view(view, [], "json").body)["items"] == []
    assert b"Nothing yet" in press().view(view, []).body


def test_a_feeds_id_is_its_own_and_stays() -> None:
    ids = [
        ET.fromstring(press().view(view, [], "atom").body).findtext(f"{ATOM}id")
        for view in (label_view("ipo", SITE), label_view("funding", SITE), label_view("ipo", SITE))
    ]
    assert ids[0] == ids[2] != ids[1]


def test_a_browser_gets_a_page_at_the_feeds_address() -> None:
    made = press().view(label_view("funding", SITE), [a_funded_story()], "atom")
    assert made.for_people is not None
    assert b"This is a feed" in made.for_people.body


def test_what_leaves_a_page_that_is_made_when_asked_for_moves_its_date() -> None:
    """A reader that has nothing but the date would be told that all is as it was: 304."""
    ours, kept = press(), a_funded_story(published=ago(hours=9))
    gone = a_story("Otterly raises $1M", labels=("funding",), published=ago(hours=8))
    told = Told(gone.lead.title, "https://a.example/", "https://news.example/story/a", "The Herald", 1, "")
    before = Digest("daily", "2026-03-03", ago(days=1), ago(hours=7), (("tech", (told,)),))
    newest = [a_story(published=ago(hours=1))]

    def made(near: list[Story], digest: Digest) -> list[Rendered]:
        view = ours.view(label_view("funding", SITE), [*near, kept], "atom")
        return [view, ours.story_page(kept, near), ours.digest_page(digest)]

    ours.edition(newest, ago(minutes=50))
    had = made([gone], before)
    ours.edition(newest, ago(minutes=5))  # nothing in it changed: what left is older than the stories that stand there
    has = made([], replace(before, sections=()))
    assert [old.body == new.body for old, new in zip(had, has, strict=True)] == [False] * 3
    assert [old.last_modified < new.last_modified for old, new in zip(had, has, strict=True)] == [True] * 3


def test_the_same_stories_make_the_same_bytes_and_the_date_is_theirs() -> None:
    stories = [a_funded_story(updated_at=ago(hours=1))]
    one, two = (press().view(label_view("funding", SITE), stories, "atom") for _ in range(2))
    assert (one.body, one.etag, one.last_modified) == (two.body, two.etag, ago(hours=1))


def test_what_the_edition_has_cooked_is_not_cooked_again() -> None:
    printer, story = press(), a_funded_story()
    edition = printer.edition([story], NOW)
    entry = printer.view(label_view("funding", SITE), [story], "atom").body
    assert edition["/news.atom"].body.split(b"<entry")[1].split(b"</entry>")[0] in entry


def test_labels_stand_in_the_list_of_feeds_and_on_pages() -> None:
    printer, story = press(), a_funded_story()
    edition = printer.edition([story], NOW)
    assert b'xmlUrl="https://news.example/desk/label/funding.atom"' in edition["/feeds.opml"].body
    assert b'href="/desk/label/funding"' in edition["/about"].body
    assert b'<a class="chip" href="/desk/label/funding">Funding</a>' in edition["/news"].body
    page = printer.story_page(story).body.decode()
    assert "Funding: Quillon, USD 12 million, Series A" in page
    assert 'href="/desk/2026/03/04"' in page
    assert 'href="/desk/source/1"' in page


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (FUNDED, "Funding: Quillon, USD 12 million, Series A"),
        (
            Event("acquisition", "Fernbank", "Otterly", 1.98e9, "EUR"),
            "Acquisition: Fernbank buys Otterly, EUR 1.98 billion",
        ),
        (Event("acquisition", None, "Otterly"), "Acquisition: Otterly"),
        (Event("layoffs", "Quillon", jobs=1200), "Layoffs: Quillon, 1,200 jobs"),
        (Event("rates"), "Rate decision"),
        (Event("ipo", "Quillon"), "IPO: Quillon"),
    ],
)
def test_events_in_words(event, line) -> None:
    assert line_of(event) == line


def test_small_sums_are_written_out() -> None:
    assert (money(50_000, "GBP"), money(1.5e12, "USD"), money(None, None)) == ("GBP 50,000", "USD 1.5 trillion", "")
