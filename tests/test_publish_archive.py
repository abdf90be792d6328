"""Archive documents of merged feeds (RFC 5005): which months, printed once, never changed, on both databases."""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import feedparser
import pytest
import sqlalchemy as sa
from lxml import etree
from origin import Answer, Origin
from postgres import postgres_server, postgres_url, sqlite_template, store_url  # noqa: F401
from service import Service, an_rss

from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.pipeline import Pipeline
from aggregator.publish.archive import asked_for, bounds, month_of, months_due, name_of, parts
from aggregator.publish.cache import PageCache
from aggregator.schema import archives, stories
from aggregator.store import Store
from aggregator.store.rows import micros
from aggregator.types import Rendered, Story

ONE, TWO, THREE = ("a1", "Quillon opens a plant in Brno"), ("a2", "Fernbank buys Otterly"), ("a3", "Tarn cuts 300 jobs")
NS = {"a": "http://www.w3.org/2005/Atom", "fh": "http://purl.org/syndication/history/1.0"}
JANUARY = datetime(2026, 1, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "archived", "now", "due"),
    [
        (None, (), datetime(2026, 3, 1, tzinfo=UTC), []),
        (JANUARY, (), datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC), []),
        (JANUARY, (), datetime(2026, 2, 1, tzinfo=UTC), ["2026-01"]),
        (JANUARY, (), datetime(2026, 4, 2, tzinfo=UTC), ["2026-01", "2026-02", "2026-03"]),
        (JANUARY, ("2026-01",), datetime(2026, 4, 2, tzinfo=UTC), ["2026-02", "2026-03"]),
        # A month that is missing before one that is there stays missing: the chain grows at its end.
        (JANUARY, ("2026-02",), datetime(2026, 4, 2, tzinfo=UTC), ["2026-03"]),
        (datetime(2025, 12, 31, 23, tzinfo=UTC), (), datetime(2026, 2, 1, tzinfo=UTC), ["2025-12", "2026-01"]),
        (JANUARY, ("2026-01", "2026-01-002"), datetime(2026, 3, 2, tzinfo=UTC), ["2026-02"]),
        # In UTC, wherever the server is.
        (JANUARY, (), datetime(2026, 2, 1, 0, 30, tzinfo=UTC).astimezone(), ["2026-01"]),
        # A clock that was set back archives nothing again.
        (JANUARY, ("2026-01",), datetime(2026, 1, 25, tzinfo=UTC), []),
    ],
)
def test_months_due(first, archived, now, due):
    assert list(months_due(first, archived, now)) == due


def test_bounds_of_a_month():
    assert bounds("2026-12") == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert month_of(bounds("2026-12")[1]) == "2027-01"


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/archive/news/2026-10.atom", ("news", "2026-10")),
        ("/archive/news/2026-10-002.atom", ("news", "2026-10-002")),
        ("/archive/news/2026-10-2.atom", None),
        ("/archive/news/2026-13.atom", None),
        ("/archive/news/2026-1.atom", None),
        ("/archive/news/2026-10.rss", None),
        ("/archive/../2026-10.atom", None),
        ("/archive/news/2026-10.atom/", None),
    ],
)
def test_addresses(path, asked):
    assert asked_for(path) == asked


def shown_at(store: Store, told: list[Story], at: datetime) -> None:
    """Have these stories first stood in the feeds at another time."""
    with store._database.write() as connection:
        which = stories.c.story_id.in_([story.story_id.bytes for story in told])
        connection.execute(sa.update(stories).where(which).values(shown_at=micros(at)))


async def _archived(folder: Path, database: str) -> tuple[list[Rendered | None], Rendered, Rendered, int]:
    """October with one story and November with two, printed, then again after one of them changed its title."""
    now = datetime.now(UTC)
    month = bounds(month_of(now))[0]
    first, second = (bounds(month_of(at))[0] for at in (month - timedelta(days=40), month - timedelta(days=5)))
    names = [f"/archive/news/{month_of(at)}.atom" for at in (first, second)]
    async with Origin() as origin:
        changed = an_rss(ONE, ("a2", "Fernbank ends it"))
        origin.script("/feed", Answer(body=an_rss(ONE, TWO, THREE)), Answer(body=changed))
        source = {"url": origin.url("/feed"), "section": "companies", "section_is": "final"}
        config = configuration.load(Service(folder, [source], database).config, {})
        async with Pipeline.opened(config, log(), parsers=1) as pipeline:
            store, pages = pipeline.store, pipeline.publisher.page
            await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))
            oldest, *others = sorted(store.stories(), key=lambda story: story.lead.title)
            shown_at(store, [oldest], first + timedelta(days=1))
            shown_at(store, others, second + timedelta(days=1))
            async with pipeline._editing:  # nothing waits for it, and it for nothing
                made = await pipeline.archive()
            await pipeline.publish()
            feed = pipeline.publisher.shelf.documents["/news.atom"]
            before = [(await pages(name, {})).document for name in names]
            await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))
            assert await pipeline.archive() == 0
            assert [(await pages(name, {})).document for name in names] == before
            printed_since = pipeline.publisher.shelf.documents["/news.atom"]
            assert await pages(f"/archive/news/{month_of(month)}.atom", {}) is None, "the month is not over"
            assert await pages(f"/archive/nothing/{month_of(second)}.atom", {}) is None
            assert await pages(names[0], {"q": "x"}) is None
            await pipeline.stop()
            return before, feed, printed_since, made


def test_each_month_is_printed_once_and_linked(tmp_path, store_url):  # noqa: F811
    (october, november), feed, changed, made = asyncio.run(_archived(tmp_path, store_url))
    assert made == 12, "two months of six feeds"
    assert [entry.title for entry in feedparser.parse(october.body).entries] == ["Fernbank buys Otterly"]
    assert len(feedparser.parse(november.body).entries) == 2
    assert gzip.decompress(november.gzip) == november.body
    links = {
        name: {link.get("rel"): link.get("href") for link in etree.fromstring(body).findall("a:link", NS)}
        for name, body in (("october", october.body), ("november", november.body), ("now", feed.body))
    }
    assert links["now"]["prev-archive"] == links["november"]["self"]
    assert links["november"]["prev-archive"] == links["october"]["self"]
    assert "prev-archive" not in links["october"]
    assert links["october"]["current"] == links["november"]["current"] == links["now"]["self"]
    for document in (october, november):
        assert etree.fromstring(document.body).find("fh:archive", NS) is not None
        assert etree.fromstring(document.body).findtext("a:id", None, NS) == etree.fromstring(feed.body).findtext(
            "a:id", None, NS
        )
    assert etree.fromstring(feed.body).find("fh:archive", NS) is None
    # What is archived is a fact: the feed says the new title, the archive the one that was published.
    assert b"Fernbank ends it" in changed.body
    assert b"Fernbank buys Otterly" in october.body


@pytest.mark.parametrize(
    ("count", "most", "made"),
    [(0, 2, [""]), (1, 2, ["a"]), (2, 2, ["ab"]), (3, 2, ["bc", "a"]), (5, 2, ["de", "bc", "a"])],
)
def test_a_month_of_many_stories_is_several_documents_the_oldest_first(count, most, made):
    assert list(parts("abcde"[:count], most)) == made


def test_later_parts_and_months_sort_behind():
    names = [name_of("2026-10", part) for part in (1, 2, 10, 200)] + [name_of("2026-11", 1)]
    assert names == sorted(names)


async def _in_parts(folder: Path) -> tuple[int, int, list[Rendered | None], Rendered]:
    """A month of three stories, two in a document; then what is printed when it is to stop."""
    at = bounds(month_of(datetime.now(UTC)))[0] - timedelta(days=5)
    async with Origin() as origin:
        origin.script("/feed", Answer(body=an_rss(ONE, TWO, THREE)))
        source = {"url": origin.url("/feed"), "section": "companies", "section_is": "final"}
        config = configuration.load(Service(folder, [source]).config, {})
        async with Pipeline.opened(config, log(), parsers=1) as pipeline:
            await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))
            shown_at(pipeline.store, pipeline.store.stories(), at)
            pipeline.parts.archivist.in_part = 2
            made = await pipeline.archive()
            await pipeline.publish()
            names = [f"/archive/news/{name_of(month_of(at), part)}.atom" for part in (1, 2, 3)]
            pages = [await pipeline.publisher.page(name, {}) for name in names]
            with pipeline.store._database.write() as connection:
                connection.execute(sa.delete(archives))
            pipeline.parts.archivist.stop()
            stopped = await pipeline.archive()
            feed = pipeline.publisher.shelf.documents["/news.atom"]
            return made, stopped, [page and page.document for page in pages], feed


def test_the_parts_of_a_month_are_one_chain(tmp_path):
    made, stopped, (first, second, third), feed = asyncio.run(_in_parts(tmp_path))
    assert (made, stopped, third) == (8, 0, None), "two of news and companies, one of the four others"
    told = [[entry.title for entry in feedparser.parse(part.body).entries] for part in (first, second)]
    assert [len(each) for each in told] == [2, 1]
    assert {title for each in told for title in each} == {title for _, title in (ONE, TWO, THREE)}
    links = [
        {link.get("rel"): link.get("href") for link in etree.fromstring(each.body).findall("a:link", NS)}
        for each in (first, second, feed)
    ]
    assert links[2]["prev-archive"] == links[1]["self"]
    assert links[1]["prev-archive"] == links[0]["self"]
    assert "prev-archive" not in links[0]


# ---------------------------------------------------------------- the cache that such documents pass through


def test_the_cache_is_bounded_in_number_and_weight():
    cache: PageCache[str] = PageCache(3, 100, 60)
    for name in "abcd":
        cache.put(name, name, 20)
    assert [cache.get(name) for name in "abcd"] == [None, "b", "c", "d"]
    cache.get("b")
    cache.put("e", "e", 20)
    assert cache.get("b") == "b", "what was asked for last stays"
    assert cache.get("c") is None
    cache.put("huge", "huge", 26)
    assert cache.get("huge") is None, "it would push out the others"
    assert cache.get("b") == "b"
    for name in "fgh":
        cache.put(name, name, 25)
    cache.put("f", "f2", 25)
    assert [cache.get(name) for name in "fgh"] == ["f2", "g", "h"]


def test_the_cache_forgets_in_time():
    cache: PageCache[str] = PageCache(3, 100, 0)
    cache.put("a", "a", 1)
    assert cache.get("a") is None
