"""Views from the store to the answer: labels, sources and days, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import asking
import feedparser
import pytest
from builders import NOW, ago, an_entry
from lxml import etree
from test_publish_site import header
from test_store import GAZETTE, HERALD, Keep, feeds_of, group, poll

from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.metrics import Metrics
from aggregator.publish.answers import Answer
from aggregator.publish.asking import BadQuery
from aggregator.publish.edition import Press
from aggregator.publish.settings import DEFAULT_FEEDS, ContentSettings, SiteSettings
from aggregator.publish.shelf import Shelf
from aggregator.publish.site import Page, PublicSite
from aggregator.publish.views import IN_VIEW, MOST_FOUND, MOST_PAGES, ON_VIEW_PAGE, asked_for
from aggregator.publisher import Publisher
from aggregator.store import Query, Store, StoryFilter
from aggregator.types import Event
from aggregator.views import complaint, view_page

SITE = SiteSettings(public_url="https://news.example", labels=("funding", "ipo", "deep-sea"))
TODAY = "/2026/03/04"
ATOM = "{http://www.w3.org/2005/Atom}"


class Counted:
    """Pages from a store, and how often it was asked."""

    def __init__(self, store: Store) -> None:
        self.store, self.asked = store, 0
        self.press = Press(SITE, DEFAULT_FEEDS, ContentSettings())

    async def page(self, path: str, query: Mapping[str, str]) -> Page | None:
        self.asked += 1
        try:
            asked = asked_for(path, query)
            return view_page(self.store, self.press, asked, NOW) if asked else None
        except BadQuery as error:
            return complaint(self.press, path, str(error))


def ask(store: Store, target: str, **headers: str) -> Answer:
    site = PublicSite(Shelf(), Counted(store).page)
    sent = {name.replace("_", "-").title(): value for name, value in headers.items()}

    async def answered() -> Answer:
        return site.at_once("GET", target, sent) or await site.later("GET", target, sent)

    return asyncio.run(answered())


def told(store: Store, *titles: str, source=HERALD, section: str = "companies", age: float = 1.0, **fields):
    """Stories of one entry each; their ids."""
    (feed,) = feeds_of(store, HERALD, GAZETTE)[slice(0, 1) if source is HERALD else slice(1, 2)]
    known = [
        an_entry(title, published=ago(hours=age), link=f"{source.url}/{title}".replace(" ", "-")) for title in titles
    ]
    return [group(store, entry_id, section=section, **fields) for entry_id in poll(store, feed, *known)]


def funded(store: Store) -> None:
    told(store, "Quillon raises $12M", labels=("funding",), events=(Event("funding", "Quillon"),))
    told(store, "Rain in Brno", source=GAZETTE, section="none", labels=("funding",))
    told(store, "Otterly opens a shop", source=GAZETTE)


def test_a_labels_feed_holds_its_filed_stories_alone(store) -> None:
    funded(store)
    answer = ask(store, "/label/funding.atom")
    assert answer.status == 200
    assert header(answer, "Content-Type") == "application/atom+xml; charset=utf-8"
    assert (header(answer, "Cache-Control"), header(answer, "Access-Control-Allow-Origin")) == (
        "public, max-age=300",
        "*",
    )
    assert header(answer, "Vary") == "Accept, Accept-Encoding"
    assert b"Quillon raises $12M" in answer.body
    assert b"Rain in Brno" not in answer.body
    assert b"Otterly" not in answer.body
    assert ask(store, "/label/funding.atom", if_none_match=header(answer, "ETag")).status == 304
    assert header(ask(store, "/label/funding.atom", accept_encoding="gzip"), "Content-Encoding") == "gzip"
    page = ask(store, "/label/funding.atom", accept="text/html,*/*;q=0.8")
    assert header(page, "Content-Type") == "text/html; charset=utf-8"


def test_labels_that_nobody_knows_are_not_found_and_unused_ones_are_empty(store) -> None:
    assert ask(store, "/label/fundng").status == 404
    assert ask(store, "/label/fundng.rss").status == 404
    assert ask(store, "/label/deep-sea.json").status == 200
    told(store, "Whales sing", labels=("whales",))
    assert ask(store, "/label/whales").status == 200


def test_a_sources_page_holds_what_it_tells(store) -> None:
    funded(store)
    herald, gazette = feeds_of(store, HERALD, GAZETTE)
    assert b"Quillon raises" in ask(store, f"/source/{herald.feed_id}").body
    page = ask(store, f"/source/{gazette.feed_id}")
    assert b"<title>The Gazette" in page.body
    assert b"Quillon raises" not in page.body
    assert b"Otterly" in page.body
    assert ask(store, f"/source/{gazette.feed_id}.rss").status == 200
    assert ask(store, "/source/999").status == 404


def test_a_day_holds_its_stories_and_leads_to_the_days_beside_it(store) -> None:
    told(store, "Today", age=1)
    told(store, "Three days ago", age=72)
    page = ask(store, TODAY)
    assert b">Today</a>" in page.body
    assert b"Three days ago" not in page.body
    assert b'href="/2026/03/01">Earlier</a>' in page.body
    assert b">Later</a>" not in page.body
    assert b"Three days ago" in ask(store, "/2026/03/01.atom").body
    assert b'href="/2026/03/04">Later</a>' in ask(store, "/2026/03/01").body


def test_days_without_news(store) -> None:
    told(store, "Once", age=72)
    assert ask(store, TODAY).status == 200  # the news of today may be to come
    assert ask(store, "/2026/03/02").status == 404
    assert ask(store, "/2026/03/05").status == 404
    assert ask(store, "/1026/03/05.atom").status == 404


def test_a_day_that_retention_took_is_gone(store) -> None:
    told(store, "Long ago", age=24 * 20)
    assert ask(store, "/2026/02/12").status == 200
    later = NOW + timedelta(days=1)
    told(store, "Today")  # what stood in its feed until now is older from here on
    store.prune(Keep(timedelta(0), timedelta(0)), later)
    gone = ask(store, "/2026/02/12")
    assert gone.status == 410
    assert b"have left the archive" in gone.body
    feed = ask(store, "/2026/02/12.atom")  # a line for readers, as for whatever else is not there
    assert (feed.status, header(feed, "Content-Type")) == (410, "text/plain; charset=utf-8")
    assert feed.body == b"the stories of this day have left the archive\n"


def test_pages_lead_on_and_end(store) -> None:
    told(store, *(f"Story {n:03}" for n in range(ON_VIEW_PAGE + 2)), labels=("funding",))
    first, second = ask(store, "/label/funding"), ask(store, "/label/funding?page=2")
    assert b'rel="next" href="/label/funding?page=2"' in first.body
    assert first.body.count(b'<article class="teaser"') == ON_VIEW_PAGE
    assert second.body.count(b'<article class="teaser"') == 2
    assert b'rel="prev" href="/label/funding"' in second.body
    assert b'rel="next"' not in second.body
    assert ask(store, "/label/funding?page=3").status == 404
    assert ask(store, f"/label/funding?page={MOST_PAGES + 1}").status == 400


@pytest.mark.parametrize("ending", ["atom", "rss", "json"])
def test_a_reader_can_go_back_through_a_view_feed_by_feed(store, ending) -> None:
    told(store, *(f"Story {n:03}" for n in range(IN_VIEW + 2)), labels=("funding",))
    found, seen = [f"/label/funding.{ending}"], []
    while found[-1] is not None:
        feed = as_read(ask(store, found[-1]).body)
        seen += feed.titles
        assert feed.itself == f"https://news.example{found[-1]}"
        found.append(feed.next and feed.next.removeprefix("https://news.example"))
    assert found == [f"/label/funding.{ending}", f"/label/funding.{ending}?page=2", None]
    assert sorted(seen) == [f"Story {n:03}" for n in range(IN_VIEW + 2)]
    assert ask(store, f"/label/funding.{ending}?page=3").status == 404


def test_the_pages_of_a_feed_name_each_other(store) -> None:
    told(store, *(f"Story {n:03}" for n in range(IN_VIEW + 2)), labels=("funding",))
    second = etree.fromstring(ask(store, "/label/funding.atom?page=2").body)
    links = {link.get("rel"): link.get("href") for link in second.findall(f"{ATOM}link")}
    assert links["previous"] == links["first"] == "https://news.example/label/funding.atom"
    first = etree.fromstring(ask(store, "/label/funding.atom").body)
    assert first.findtext(f"{ATOM}id") == second.findtext(f"{ATOM}id")


def test_no_page_of_a_feed_lies_behind_the_last(store) -> None:
    told(store, *(f"Story {n:03}" for n in range(MOST_FOUND + 2)))
    third = etree.fromstring(ask(store, "/search.atom?q=story&page=3").body)
    assert {link.get("rel") for link in third.findall(f"{ATOM}link")} == {"self", "alternate", "first", "previous"}
    assert ask(store, "/search.atom?q=story&page=4").status == 404


@pytest.mark.parametrize("ending", ["atom", "rss", "json"])
def test_a_reader_of_a_view_may_ask_for_what_is_new_alone(store, ending) -> None:
    told(store, "Quillon raises $12M", "Tarn raises $3M", labels=("funding",))
    pages, path = Counted(store), f"/label/funding.{ending}"
    # A site of its own each time: what was made is kept for half a minute.
    had = asking.ask(PublicSite(Shelf(), pages.page), path)
    told(store, "Otterly raises $1M", source=GAZETTE, labels=("funding",))
    fresh = PublicSite(Shelf(), pages.page)
    delta = asking.ask(fresh, path, a_im="feed", if_none_match=header(had, "ETag"))
    assert (delta.status, header(delta, "IM")) == (226, "feed")
    assert as_read(delta.body).titles == ["Otterly raises $1M"]
    whole = asking.ask(fresh, path)
    assert header(whole, "ETag") == header(delta, "ETag")
    # Made again without news it is the same version, and the one before is still known.
    again = PublicSite(Shelf(), pages.page)
    assert asking.ask(again, path, a_im="feed", if_none_match=header(whole, "ETag")).status == 304
    assert asking.ask(again, path, a_im="feed", if_none_match=header(had, "ETag")).body == delta.body
    assert asking.ask(again, path, a_im="feed", if_none_match='"another"').status == 200


@dataclass(frozen=True)
class AsRead:
    """What a reader makes of a feed in any of the formats."""

    titles: list[str]
    itself: str
    next: str | None


def as_read(body: bytes) -> AsRead:
    if body.startswith(b"{"):
        feed = json.loads(body)
        return AsRead([item["title"] for item in feed["items"]], feed["feed_url"], feed.get("next_url"))
    feed = feedparser.parse(body)
    links = {link["rel"]: link["href"] for link in feed.feed.links}
    return AsRead([entry.title for entry in feed.entries], links["self"], links.get("next"))


def test_many_readers_of_one_view_cost_one_question(store) -> None:
    funded(store)
    pages = Counted(store)
    site = PublicSite(Shelf(), pages.page)

    async def ask_often() -> list[Answer]:
        return await asyncio.gather(*(site.later("GET", "/label/funding.atom", {}) for _ in range(40)))

    assert {answer.status for answer in asyncio.run(ask_often())} == {200}
    assert pages.asked == 1


@pytest.mark.parametrize("label", ["funding", "ipo"])
def test_a_view_is_skipped_into(store, label) -> None:
    ids = told(store, "A", "B", "C", labels=(label,))
    of_label = StoryFilter(label=label, filed=True)
    shown = [story.story_id for story in store.search(Query(), of_label, 10)]
    assert sorted(shown) == sorted(ids)
    assert [story.story_id for story in store.search(Query(), of_label, 1, skip=1)] == shown[1:2]


def test_the_publisher_answers_views_and_knows_the_labels_of_rules(store, tmp_path) -> None:
    file = tmp_path / "aggregator.yaml"
    file.write_text('rules: [{when: {title: "whale"}, then: {label: deep-sea}}]\nsources: sources.yaml\n')
    (tmp_path / "sources.yaml").write_text("sources: []\n")
    funded(store)
    publisher = Publisher(store, Shelf(), Metrics(), log(), lambda: NOW)
    publisher.configure(configuration.load(file, {}))

    async def pages() -> list[Page | None]:
        paths = ("/label/funding.atom", "/label/deep-sea", TODAY, "/label/fundng")
        return [await publisher.page(path, {}) for path in paths]

    feed, of_rule, day, unknown = asyncio.run(pages())
    publisher.close()
    assert (feed.status, of_rule.status, day.status) == (200, 200, 200)
    assert b"Quillon raises" in feed.document.body
    assert unknown is None
