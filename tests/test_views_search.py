"""Searches and narrower views over real HTTP, from the store to the reader, on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from itertools import product
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from builders import NOW
from lxml import etree
from service import Service
from test_publish_readers import served
from test_store import GAZETTE
from test_views import told

from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.errors import StoreOverdue
from aggregator.metrics import Metrics
from aggregator.publish.shelf import Shelf
from aggregator.publish.site import PublicSite
from aggregator.publisher import Publisher
from aggregator.store import Query, Store, StoryFilter

ATOM = {"a": "http://www.w3.org/2005/Atom"}
FOUND = [  # one site for all: making it costs more than asking it
    ("/search.json?q=chip", ["Quillon raises chip money", "Chips are down", "Otterly shuns chips and crypto"]),
    ("/search.json?q=chip&-q=crypto", ["Quillon raises chip money", "Chips are down"]),
    ("/search.json?q=chip+-crypto&section=tech", ["Quillon raises chip money"]),
    ("/search.json?q=%22chip+money%22", ["Quillon raises chip money"]),
    ("/search.json?q=chip&lang=de", ["Otterly shuns chips and crypto"]),
    ("/search.json?q=chip&until=2026-03-03", ["Otterly shuns chips and crypto"]),
    ("/search.json?q=chip&since=2026-03-04", ["Quillon raises chip money", "Chips are down"]),
    ("/search.json?q=chip&label=funding&section=economics", ["Chips are down"]),
    ("/search.json?q=chip&min_sources=2", []),
    ("/search.json?label=funding", ["Quillon raises chip money", "Chips are down"]),
    ("/search.json?q=money&utm_source=x&fbclid=y", ["Quillon raises chip money"]),
    ("/label/funding.json?min_sources=1&lang=en&-q=down", ["Quillon raises chip money"]),
    ("/label/funding.json?section=economics", ["Chips are down"]),
    ("/tech.json?q=chips", ["Quillon raises chip money", "Otterly shuns chips and crypto"]),
    ("/tech.json?label=funding", ["Quillon raises chip money"]),
    ("/news.json?section=economics&q=chips", ["Chips are down"]),
    ("/news.json?section=economics", ["Chips are down", "Rates stay"]),
    ("/2026/03/04.json?q=rates", ["Rates stay"]),
    ("/2026/03/03.json?q=rates", []),
]


class Site:
    """A site that listens; `get` gives (response, body), the body decompressed."""

    def __init__(self, store: Store, publisher: Publisher, url: str) -> None:
        self.store, self.publisher, self._host = store, publisher, urlsplit(url).netloc

    def get(self, target: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection(self._host, timeout=20)
        connection.request(method, target, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, gzip.decompress(body) if response.headers.get("Content-Encoding") == "gzip" else body

    def titles(self, target: str) -> list[str]:
        response, body = self.get(target)
        assert response.status == 200, (target, body)
        return [item["title"] for item in json.loads(body)["items"]]


@contextlib.contextmanager
def a_site(store: Store, folder) -> Iterator[Site]:
    publisher = Publisher(store, Shelf(), Metrics(), log(), lambda: NOW)
    publisher.configure(configuration.load(Service(folder, []).config, {}))
    publisher.publish()
    with served(PublicSite(publisher.shelf, publisher.page, keep=600)) as url:
        yield Site(store, publisher, url)
    publisher.close()


@pytest.fixture
def site(store, tmp_path) -> Iterator[Site]:
    told(store, "Quillon raises chip money", section="tech", labels=("funding",), language="en", age=2)
    told(store, "Otterly shuns chips and crypto", section="tech", language="de", age=30)
    told(store, "Chips are down", source=GAZETTE, section="economics", labels=("funding",), language="en", age=3)
    told(store, "A chip off the old block", section="none", age=4)
    told(store, "Rates stay", source=GAZETTE, section="economics", age=5)
    with a_site(store, tmp_path) as made:
        yield made


def counted(store: Store) -> list[str]:
    """The statements that search the index, from now on; what the planner is asked beforehand searches nothing."""
    statements: list[str] = []

    def note(connection, cursor, statement, *rest) -> None:
        if ("MATCH" in statement or "@@" in statement) and not statement.startswith("EXPLAIN"):
            statements.append(statement)

    sa.event.listen(store._database._reader, "before_cursor_execute", note)
    return statements


def test_what_is_found(site):
    for target, found in FOUND:
        assert site.titles(target) == found, target


def test_a_source_is_searched_by_its_number(site):
    gazette = next(number for number, source in site.store.sources().items() if source.url == GAZETTE.url)
    assert site.titles(f"/search.json?q=chip&source={gazette}") == ["Chips are down"]
    assert site.titles(f"/source/{gazette}.json?q=chip") == ["Chips are down"]
    assert site.titles("/search.json?q=chip&source=999") == []


def test_a_search_is_a_feed_like_any_other(site):
    for ending in ("atom", "rss", "json"):
        is_like_the_merged_feed(site, ending)


def is_like_the_merged_feed(site: Site, ending: str) -> None:
    response, body = site.get(f"/search.{ending}?q=chip")
    assert response.status == 200
    merged, _ = site.get(f"/news.{ending}")
    for name in ("Content-Type", "Cache-Control", "Access-Control-Allow-Origin", "Vary", "Content-Security-Policy"):
        assert response.headers[name] == merged.headers[name], name
    for condition in ({"If_None_Match": response.headers["ETag"]}, {"If_Modified_Since": response.headers["Date"]}):
        unchanged, nothing = site.get(f"/search.{ending}?q=chip", **condition)
        assert (unchanged.status, nothing) == (304, b"")
    zipped, same = site.get(f"/search.{ending}?q=chip", Accept_Encoding="gzip")
    assert (zipped.headers["Content-Encoding"], same) == ("gzip", body)
    head, nothing = site.get(f"/search.{ending}?q=chip", "HEAD")
    assert (head.status, head.headers["ETag"], nothing) == (200, response.headers["ETag"], b"")
    page, html = site.get(f"/search.{ending}?q=chip", Accept="text/html,*/*;q=0.8")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"/search.{ending}?q=chip".encode() in html
    assert b'name="robots" content="noindex"' in html


def test_one_search_has_one_address_one_id_and_one_title(site):
    def head(target: str) -> list[str]:
        tree = etree.fromstring(site.get(target)[1])
        paths = ("a:id", "a:title", "a:link[@rel='self']/@href", "a:link[@rel='alternate']/@href")
        return [str(tree.xpath(f"string({path})", namespaces=ATOM)) for path in paths]

    one, other = head("/search.atom?q=Chip%20-crypto&utm_x=1"), head("/search.atom?min_sources=1&-q=crypto&q=chip")
    assert one == other
    assert one[1] == "Search: chip, without crypto · Business Monkey News"
    assert one[2].endswith("/search.atom?q=chip&-q=crypto")
    assert one[3].endswith("/search?q=chip&-q=crypto")
    assert (
        len({one[0], *(head(f"/{name}.atom?q=chip&-q=crypto")[0] for name in ("tech", "news", "label/funding"))}) == 4
    )
    assert head("/tech.atom?q=chip&lang=en")[1] == "Business Monkey News: Tech (chip, in en)"


def test_the_page_of_a_search_leads_to_its_feeds_and_is_not_indexed(site):
    response, page = site.get("/search?q=%22chip+money%22&min_sources=1")
    assert response.status == 200
    tree = etree.HTML(page)
    assert tree.findtext(".//title") == 'Search: "chip money" · Business Monkey News'
    assert tree.xpath("//meta[@name='robots']/@content") == ["noindex"]
    feeds = tree.xpath("//link[@rel='alternate']/@href")[:3]
    assert feeds == [f"/search.{ending}?q=%22chip+money%22" for ending in ("atom", "rss", "json")]
    assert tree.xpath("//form/@action") == ["/search"]
    assert tree.xpath("//form//input[@name='q']/@value") == ['"chip money"']
    assert tree.xpath("//label[@for=//form//input/@id]/text()") == ["Search all stories"]
    assert tree.xpath("//article//h2/a/text()") == ["Quillon raises chip money"]
    assert "form-action 'self'" in response.headers["Content-Security-Policy"]


def test_every_page_has_a_form_to_search(site):
    for path in ("/", "/tech", "/about", "/label/funding", "/nothing"):
        tree = etree.HTML(site.get(path)[1])
        assert tree.xpath("//form[@role='search']/@action") == ["/search"], path
        assert tree.xpath("//label[@for=//form//input[@type='search']/@id]"), path
        assert tree.xpath("//link[@rel='search']/@href") == ["/opensearch.xml"], path


def test_without_words_there_are_the_form_and_tips_and_without_stories_a_kind_word(site):
    response, page = site.get("/search?q=")
    assert response.status == 200
    assert b"apple -music" in page
    assert b"Search all stories" in page
    response, page = site.get("/search?q=zzz")
    assert response.status == 200
    assert b"No story is like that" in page
    response, page = site.get("/search.atom?q=+")
    assert (response.status, page) == (400, b"say what to search for, such as /search.atom?q=funding\n")


WRONG = {
    "lang=english": "lang must be a language's code such as en, not 'english'",
    "min_sources=two": "min_sources must be a whole number from 1 to 20",
    "since=%3Cscript%3E": "since must be a day such as 2026-11-24, not '<script>'",
}


def test_what_cannot_be_asked_for_is_said_to_people_and_to_programs(site):
    for (query, why), path in product(WRONG.items(), ("/search", "/tech", "/label/funding")):
        response, body = site.get(f"{path}.atom?{query}")
        assert (response.status, response.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
        assert body.decode() == f"{why}\n"
        response, body = site.get(f"{path}?{query}")
        assert (response.status, response.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
        assert etree.HTML(body).xpath("string(//main)").count(why) == 1
        assert b"<script" not in body
    response, body = site.get("/tech.rss?section=marketing")
    assert (response.status, body) == (400, b"section must be one of this feed's: tech\n")


def test_a_thousand_readers_of_one_search_cost_one_query(site):
    statements = counted(site.store)
    ways = (
        "q=chip&-q=crypto",
        "-q=crypto&q=CHIP",
        "q=chip+-crypto&utm_source=x",
        "min_sources=1&q=Chip&-q=crypto&page=1",
    )

    def read(number: int) -> int:
        return site.get(f"/search.atom?{ways[number % 4]}")[0].status

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(read, range(1000))) == {200}
    assert len(statements) == 1


def test_made_up_parameters_make_no_other_document(site):
    statements = counted(site.store)
    for number in range(30):
        assert site.get(f"/search.atom?q=chip&x{number}=y")[0].status == 200
    assert len(statements) == 1


def test_searches_are_bounded_at_work_and_pages_do_not_wait_for_them(site, monkeypatch):
    go_on, at_work = threading.Event(), []
    search = site.store.search

    def slow(query: Query, *rest, **named):
        at_work.append(query)
        go_on.wait(20)
        return search(query, *rest, **named)

    monkeypatch.setattr(site.store, "search", slow)
    with ThreadPoolExecutor(40) as pool:
        readers = [pool.submit(site.get, f"/search.atom?q=word{number}") for number in range(40)]
        while sum(reader.done() for reader in readers) < 8:
            threading.Event().wait(0.01)
        assert site.get("/source/999")[0].status == 404, "another page is answered meanwhile"
        go_on.set()
        answers = [reader.result() for reader in readers]
    statuses = [response.status for response, _ in answers]
    assert (statuses.count(200), statuses.count(503)) == (32, 8)
    refused = next(response for response, _ in answers if response.status == 503)
    assert refused.headers["Retry-After"] == "5"


def test_a_search_that_takes_too_long_is_given_up_and_not_kept(site, monkeypatch):
    def slow(query: Query, wanted: StoryFilter, limit: int, skip: int, seconds: float):
        raise StoreOverdue(f"{seconds} s")

    monkeypatch.setattr(site.store, "search", slow)
    response, body = site.get("/search.atom?q=chip")
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
    assert b"took too long" in body
    monkeypatch.undo()
    assert site.get("/search.atom?q=chip")[0].status == 200


def test_the_databases_time_is_bounded_and_the_connection_works_on(store):
    with pytest.raises(StoreOverdue, match="took too long"), store._database.read(0.05) as connection:
        connection.exec_driver_sql(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 900000000) SELECT count(*) FROM n"
        )
    for seconds in (None, 5.0):
        with store._database.read(seconds) as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    assert store.search(Query.of("nothing"), StoryFilter(), 1, seconds=5.0) == []


def test_robots_are_kept_out_and_browsers_told_how_to_search(site):
    assert site.get("/robots.txt")[1] == b"User-agent: *\nDisallow: /search\nAllow: /\n"
    response, body = site.get("/opensearch.xml")
    assert response.headers["Content-Type"] == "application/opensearchdescription+xml; charset=utf-8"
    tree = etree.fromstring(body)
    templates = tree.xpath("//*[local-name()='Url']/@template")
    assert [template.split("?")[1] for template in templates] == ["q={searchTerms}"] * 3
    assert len(tree.findtext("{*}ShortName")) <= 16


def test_pages_of_a_search_lead_on(site):
    told(site.store, *(f"Chip number {number:03}" for number in range(70)), section="tech", age=1)
    site.publisher.publish()
    page = etree.HTML(site.get("/search?q=number")[1])
    assert page.xpath("//link[@rel='next']/@href") == ["/search?q=number&page=2"]
    assert len(page.xpath("//article")) == 60
    second = etree.HTML(site.get("/search?page=2&q=number")[1])
    assert len(second.xpath("//article")) == 10
    assert second.xpath("//link[@rel='prev']/@href") == ["/search?q=number"]
    assert site.get("/search?q=number&page=3")[0].status == 404
