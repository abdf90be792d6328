"""Dead feeds and their sites, over a real socket; the clock is ours, so that weeks pass."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import NOW, Clock
from origin import Answer, Origin
from service import Service, an_rss

from aggregator import config as configuration
from aggregator import status
from aggregator.daemon import log
from aggregator.ingest.fetch import Fetcher, FetchPolicy
from aggregator.pipeline import Pipeline
from aggregator.rediscovery import Rediscovery

ONE = ("r1", "Quillon opens a plant in Brno")
DAY = timedelta(days=1)


def a_page(*hrefs: str) -> Answer:
    links = "".join(f'<link rel="alternate" type="application/rss+xml" href="{href}">' for href in hrefs)
    page = f"<!doctype html><html><head>{links}</head><body>Herald</body></html>"
    return Answer(headers=(("Content-Type", "text/html"),), body=page.encode())


def a_feed(origin: Origin, title: str = "The Quarterly Kite") -> Answer:
    return Answer(body=an_rss(ONE, title=title).replace(b"https://example.org/<", origin.url("/").encode() + b"<"))


def lived(folder: Path, script: dict[str, Answer], *days: float, dead: Answer | None = None) -> tuple[Any, Origin]:
    """The report of a feed that answered once and is dead since, after the site was looked at on these days."""

    async def run() -> tuple[Any, Origin]:
        clock = Clock()
        clock.at = NOW - DAY
        async with Origin() as origin:
            origin.script("/feed", a_feed(origin))
            config = configuration.load(Service(folder, [origin.url("/feed")]).config, {})
            async with Pipeline.opened(config, log(), parsers=1, now=clock) as pipeline:

                async def poll() -> None:
                    await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))

                await poll()
                origin.script("/feed", dead or Answer(404))
                for path, answer in script.items():
                    origin.script(path, answer)
                for _ in range(3):
                    await poll()
                for day in days:
                    clock.at = NOW + day * DAY
                    await pipeline.rediscover()
                (report,) = status.report(pipeline.store, config, clock.at)["sources"]
                await pipeline.stop()
                return report, origin

    return asyncio.run(run())


def asked(origin: Origin) -> list[str]:
    return [one.target for one in origin.asked if one.target != "/feed"]


def test_the_site_of_a_dead_feed_is_asked_and_the_finding_offered(tmp_path):
    script = {"/": a_page("/other.xml", "/new.xml", "/feed"), "/other.xml": Answer(body=an_rss(ONE, title="Comments"))}
    report, origin = lived(tmp_path, script | {"/new.xml": Answer(body=an_rss(ONE))}, 0)
    new, other = origin.url("/new.xml"), origin.url("/other.xml")
    assert report["discovery"] == {"asked": "2026-03-04T12:00:00Z", "found": [new, other]}
    assert report["reason"].startswith("http: 404")
    assert f"its site now offers {new}" in report["reason"]
    assert report["moved_to"] is None
    assert report["health"] == "failing"
    assert asked(origin) == ["/", "/other.xml", "/new.xml"]


@pytest.mark.parametrize(("days", "times"), [((0, 1, 6.9), 1), ((0, 7), 2), ((0, 7, 14, 15, 21), 4)])
def test_it_is_asked_weekly(tmp_path, days, times):
    _, origin = lived(tmp_path, {"/": a_page("/gone.xml")}, *days)
    assert asked(origin).count("/") == times


@pytest.mark.parametrize(
    ("script", "tried"),
    [
        ({"/": Answer(404)}, ["/"]),
        ({"/": a_page("/a.xml"), "/a.xml": a_page()}, ["/", "/a.xml"]),
        ({"/": a_page("/feed")}, ["/"]),
        ({"/": a_page(*(f"/{n}.xml" for n in range(30)))}, ["/", "/0.xml", "/1.xml", "/2.xml", "/3.xml"]),
    ],
    ids=["site gone", "no feed behind the link", "only the dead one", "thirty links"],
)
def test_a_site_that_has_nothing_is_not_troubled_long(tmp_path, script, tried):
    report, origin = lived(tmp_path, script, 0)
    assert report["discovery"]["found"] == []
    assert "offers" not in report["reason"]
    assert asked(origin) == tried


def test_a_page_that_declares_nothing_is_worth_a_few_guesses(tmp_path):
    report, origin = lived(tmp_path, {"/": a_page(), "/rss.xml": Answer(body=an_rss(ONE))}, 0)
    assert report["discovery"]["found"] == [origin.url("/rss.xml")]
    assert len(asked(origin)) <= 5


def test_a_feed_that_is_gone_is_looked_for_as_well(tmp_path):
    report, origin = lived(
        tmp_path, {"/": a_page("/new.xml"), "/new.xml": Answer(body=an_rss(ONE))}, 0, dead=Answer(410)
    )
    assert report["health"] == "gone"
    assert report["discovery"]["found"] == [origin.url("/new.xml")]


@pytest.mark.parametrize(
    ("dead", "day"),
    [(Answer(404), -0.1), (Answer(429), 0)],
    ids=["for less than a day", "blocked"],
)
def test_a_feed_that_may_come_back_is_not_looked_for(tmp_path, dead, day):
    report, origin = lived(tmp_path, {"/": a_page("/new.xml")}, day, dead=dead)
    assert asked(origin) == []
    assert report["discovery"] is None


class Impatient:
    """A poller whose hosts all want to be left alone."""

    proxy = None

    @property
    def turns(self) -> Impatient:
        return self

    async def ask(self, url: str, question: object) -> None:
        """Nothing can be asked now."""


def test_a_site_whose_host_wants_patience_is_asked_later(tmp_path):
    async def run() -> list[object]:
        async with Origin() as origin:
            clock = Clock()
            origin.script("/feed", a_feed(origin), Answer(410))
            origin.script("/", a_page("/new.xml"))
            origin.script("/new.xml", Answer(body=an_rss(ONE)))
            config = configuration.load(Service(tmp_path, [origin.url("/feed")]).config, {})
            async with Pipeline.opened(config, log(), parsers=1, now=clock) as pipeline:
                for _ in range(2):
                    await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))
                impatient: Any = Impatient()
                store, database, workers = pipeline.store, pipeline.database, pipeline.parts.workers
                async with Fetcher(FetchPolicy()) as fetcher:
                    assert await Rediscovery(store, database, impatient, fetcher, workers, log(), clock).tick() == 1
                before = pipeline.store.feeds()[0].memory.get("discovery")
                await pipeline.rediscover()
                found = pipeline.store.feeds()[0].memory["discovery"]["found"]
                await pipeline.stop()
                return [before, found == [origin.url("/new.xml")]]

    assert asyncio.run(run()) == [None, True]


def test_status_shows_the_offer_until_the_feed_is_back(tmp_path):
    async def run() -> tuple[str, Any]:
        async with Origin() as origin:
            origin.script("/feed", a_feed(origin), Answer(404), Answer(404), Answer(404), a_feed(origin))
            origin.script("/", a_page("/new.xml"))
            origin.script("/new.xml", Answer(body=an_rss(ONE)))
            service = Service(tmp_path, [origin.url("/feed")])
            config, clock = configuration.load(service.config, {}), Clock()
            async with Pipeline.opened(config, log(), parsers=1, now=clock) as pipeline:
                for _ in range(4):
                    await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))
                clock.at = NOW + DAY
                await pipeline.rediscover()
                text = await asyncio.to_thread(service.bmn, "status")
                await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))
                back = json.loads((await asyncio.to_thread(service.bmn, "status", "--json")).stdout)
                await pipeline.stop()
                return text.stdout, back["sources"][0]

    text, back = asyncio.run(run())
    assert "its site now offers http://127.0.0.1" in text
    assert (back["health"], back["discovery"], back["reason"]) == ("ok", None, "")
