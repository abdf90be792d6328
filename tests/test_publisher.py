"""What the publisher makes of the store when a reader asks: narrower feeds, and stories that were joined."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from lxml import etree
from service import Service
from test_corrector import SURE, Desk
from test_publish_readers import fetched, served

from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.metrics import Metrics
from aggregator.publish.shelf import Shelf
from aggregator.publish.site import PublicSite
from aggregator.publisher import Publisher
from aggregator.store import Store

ATOM = {"a": "http://www.w3.org/2005/Atom"}
LIKES = {("A", "B"): SURE, ("C", "E"): SURE, ("D", "E"): SURE, ("C", "D"): 0.72}


@pytest.fixture
def printed(store, tmp_path):
    """A desk with three stories of companies, one of them told by two outlets, and its publisher."""
    desk = Desk(store, LIKES, section="companies")
    for outlet, name in (("Anvil", "A"), ("Beacon", "B"), ("Courier", "C"), ("Dispatch", "D")):
        desk.tell(outlet, name)
    publisher = Publisher(store, Shelf(), Metrics(), log(), lambda: desk.now)
    publisher.configure(configuration.load(Service(tmp_path, []).config, {}))
    publisher.publish()
    yield desk, publisher
    publisher.close()


def ask(publisher: Publisher, path: str, **query: str):
    return asyncio.run(publisher.page(path, query))


def titles(body: bytes) -> list[str]:
    return [item["title"].split()[0] for item in json.loads(body)["items"]]


def test_a_feed_of_stories_that_several_tell(printed):
    _, publisher = printed
    assert titles(publisher.shelf.get("/news.json").body) == ["D", "C", "A"]
    page = ask(publisher, "/news.json", min_sources="2")
    assert titles(page.document.body) == ["A"]
    assert titles(ask(publisher, "/companies.json", min_sources="3").document.body) == []


@pytest.mark.parametrize("ending", ["atom", "rss"])
def test_a_narrower_feed_is_a_feed_of_its_own_and_names_its_own_address(printed, ending):
    _, publisher = printed
    whole = publisher.shelf.get(f"/news.{ending}")
    page = ask(publisher, f"/news.{ending}", min_sources="2")
    tree = etree.fromstring(page.document.body)
    (address,) = tree.xpath("/*/a:link[@rel='self']/@href | /rss/channel/a:link[@rel='self']/@href", namespaces=ATOM)
    assert address.endswith(f"/news.{ending}?min_sources=2")
    assert page.document.content_type == whole.content_type
    assert page.document.etag != whole.etag
    assert b"2 sources or more" in page.document.body
    if ending == "atom":
        assert tree.xpath("/a:feed/a:id/text()", namespaces=ATOM) != etree.fromstring(whole.body).xpath(
            "/a:feed/a:id/text()", namespaces=ATOM
        )
    again = ask(publisher, f"/news.{ending}", min_sources="2")
    assert (again.document.etag, again.document.last_modified) == (page.document.etag, page.document.last_modified)


def test_what_is_no_feed_has_no_narrower_form(printed):
    _, publisher = printed
    assert ask(publisher, "/nosuch.atom", min_sources="2") is None
    assert ask(publisher, "/about", min_sources="2") is None
    assert ask(publisher, "/nosuch.atom", min_sources="two").status == 400


def test_of_joined_stories_the_younger_leaves_the_feeds_and_the_older_does_not_come_anew(printed):
    desk, publisher = printed
    before = {item["title"]: item for item in json.loads(publisher.shelf.get("/news.json").body)["items"]}
    older, younger = (desk.of(f"https://{at}").ref for at in ("courier.example/c", "dispatch.example/d"))
    publisher.newly_shown = ()  # as its reader does
    desk.tell("Echo", "E")
    publisher.publish()
    after = json.loads(publisher.shelf.get("/news.json").body)["items"]
    assert [item["title"].split()[0] for item in after] == ["C", "A"]
    kept = before["C Quillon"]
    assert (after[0]["id"], after[0]["date_published"]) == (kept["id"], kept["date_published"])
    assert {outlet["title"] for outlet in after[0]["_sources"]["also"]} == {"Dispatch", "Echo"}
    page = ask(publisher, f"/story/{younger}")
    assert (page.status, page.location) == (308, f"/story/{older}")
    assert publisher.newly_shown == ()


SHELF = ("/", "/companies", "/news.atom", "/companies.rss", "/news.json", "/feeds.opml", "/about", "/robots.txt")


def test_no_first_byte_of_what_is_published_waits_for_the_database(tmp_path):
    """With every connection to the database taken, pages and feeds go out over HTTP; a story's page waits."""
    with Store(f"sqlite:///{tmp_path / 'news.db'}") as store, ExitStack() as held:
        desk = Desk(store, LIKES, section="companies")
        desk.tell("Anvil", "A")
        publisher = Publisher(store, Shelf(), Metrics(), log(), lambda: desk.now)
        held.callback(publisher.close)
        publisher.configure(configuration.load(Service(tmp_path, []).config, {}))
        publisher.publish()
        (story,) = store.stories()
        url = held.enter_context(served(PublicSite(publisher.shelf, publisher.page)))
        asking = held.enter_context(ThreadPoolExecutor(1))
        with ExitStack() as taken:
            taken.enter_context(store._database.write())
            for _ in range(store._database._reader.pool.size() + store._database._reader.pool._max_overflow):
                taken.enter_context(store._database._reader.connect())
            waits = asking.submit(fetched, f"{url}/story/{story.ref}")
            for path in SHELF:
                status, headers, body = fetched(url + path)
                assert (status, body) == (200, publisher.shelf.get(path).body)
                assert fetched(url + path, If_None_Match=headers["ETag"])[0] == 304
                assert fetched(url + path, Accept_Encoding="gzip")[0] == 200
            assert not waits.done()
        assert waits.result(20)[0] == 200
