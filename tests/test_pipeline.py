"""The stages together, against a real origin over a real socket, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from origin import Answer, Origin
from postgres import postgres_server, postgres_url, sqlite_template, store_url  # noqa: F401
from service import Service, an_rss

from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.pipeline import PassReport, Pipeline

ONE, TWO, THREE = ("a1", "Quillon opens a plant in Brno"), ("a2", "Fernbank buys Otterly"), ("a3", "Tarn cuts 300 jobs")


async def _passes(folder: Path, origin: Origin, database: str, count: int, sources: list[object]) -> list[PassReport]:
    service = Service(folder, sources, database)  # type: ignore[arg-type]
    reports = []
    for _ in range(count):  # each pass in a pipeline of its own: nothing may live in memory alone
        config = configuration.load(service.config, {})
        async with Pipeline.opened(config, log(), parsers=1) as pipeline:
            feeds = await pipeline.feeds_to_poll((), everything=True)
            reports.append(await pipeline.poll(feeds))
            await pipeline.stop()
    return reports


def passes(folder: Path, script: dict[str, list[Answer]], database: str, count: int) -> tuple[list[PassReport], Origin]:
    async def run() -> tuple[list[PassReport], Origin]:
        async with Origin() as origin:
            for path, answers in script.items():
                origin.script(path, *answers)
            reports = await _passes(folder, origin, database, count, [origin.url(path) for path in script])
            return reports, origin

    return asyncio.run(run())


@pytest.mark.parametrize("validators", [(("ETag", 'W/"v1"'),), ()], ids=["validators", "body hash alone"])
def test_a_second_poll_brings_nothing_new(tmp_path, store_url, validators):  # noqa: F811
    body = Answer(headers=validators, body=an_rss(ONE, TWO))
    answers = [body, Answer(status=304)] if validators else [body, body]
    (first, second), origin = passes(tmp_path, {"/feed": answers}, store_url, 2)
    assert (first.polls.changed, first.polls.new_entries, first.grouped.new_stories) == (1, 2, 2)
    assert (second.polls.not_modified, second.polls.new_entries, second.grouped.new_stories) == (1, 0, 0)
    assert origin.asked[1].header("if-none-match") == (validators[0][1] if validators else None)


def test_a_changed_entry_updates_its_story_and_is_not_a_new_one(tmp_path, store_url):  # noqa: F811
    answers = [Answer(body=an_rss(ONE)), Answer(body=an_rss(("a1", "Quillon opens two plants in Brno")))]
    (first, second), _ = passes(tmp_path, {"/feed": answers}, store_url, 2)
    assert (first.polls.new_entries, second.polls.new_entries, second.grouped.new_stories) == (1, 0, 0)
    assert second.grouped.changed_stories == 1


def test_the_same_page_in_two_feeds_is_one_story_with_two_sources(tmp_path, store_url):  # noqa: F811
    script = {
        "/one": [Answer(body=an_rss(ONE, TWO))],
        "/two": [Answer(body=an_rss(ONE, THREE, title="The Daily Kite"))],
    }
    (report,), _ = passes(tmp_path, script, store_url, 1)
    assert (report.polls.new_entries, report.grouped.new_stories, report.grouped.duplicates) == (4, 3, 1)


def test_a_failure_keeps_what_was_there_and_the_others_go_on(tmp_path, store_url):  # noqa: F811
    good = Answer(headers=(("ETag", '"v1"'),), body=an_rss(ONE, TWO))
    cut = replace(good, headers=(("ETag", '"v2"'),), body=an_rss(ONE, TWO, THREE), cut=100, close=True)
    script = {"/cut": [good, cut, Answer(status=304)], "/html": [Answer(body=b"<html><body>Sorry</body></html>")]}
    (_, second, third), origin = passes(tmp_path, script, store_url, 3)
    assert (second.polls.failed, second.polls.new_entries) == (2, 0)
    assert third.polls.not_modified == 1
    sent = [asked.header("if-none-match") for asked in origin.asked if asked.target == "/cut"]
    assert sent == [None, '"v1"', '"v1"'], "the truncated answer's ETag must not be kept"


def test_secrets_go_to_their_host_alone(tmp_path):
    async def run() -> tuple[Origin, Origin]:
        async with Origin() as theirs, Origin() as elsewhere:
            elsewhere.script("/feed", Answer(body=an_rss(ONE)))
            moved = (("Location", elsewhere.url("/feed")),)
            theirs.script("/feed", Answer(status=302, headers=moved))
            source = {"url": theirs.url("/feed"), "auth": {"bearer": "s3cret"}, "headers": {"X-Key": "k3y"}}
            await _passes(tmp_path, theirs, "sqlite:///news.db", 1, [source])
            return theirs, elsewhere

    theirs, elsewhere = asyncio.run(run())
    assert theirs.asked[0].header("authorization") == "Bearer s3cret"
    assert theirs.asked[0].header("x-key") == "k3y"
    assert elsewhere.asked[0].header("authorization") is None
    assert elsewhere.asked[0].header("x-key") is None


def test_include_and_exclude_choose_by_title(tmp_path):
    async def run() -> list[PassReport]:
        async with Origin() as origin:
            origin.script("/feed", Answer(body=an_rss(ONE, TWO, THREE)))
            source = {"url": origin.url("/feed"), "include": ["(?i)quillon|fernbank"], "exclude": ["buys"]}
            return await _passes(tmp_path, origin, "sqlite:///news.db", 1, [source])

    (report,) = asyncio.run(run())
    assert report.polls.new_entries == 1


def test_a_source_taken_out_keeps_its_stories_and_is_asked_no_more(tmp_path):
    async def run() -> tuple[int, int]:
        async with Origin() as origin:
            origin.script("/feed", Answer(body=an_rss(ONE)))
            service = Service(tmp_path, [origin.url("/feed")])
            config = configuration.load(service.config, {})
            async with Pipeline.opened(config, log(), parsers=1) as pipeline:
                await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))
                service.write_sources([])
                await pipeline.configure(configuration.load(service.config, {}))
                left = await pipeline.feeds_to_poll((), everything=True)
                await pipeline.publish()
                feed = pipeline.publisher.shelf.get("/news.json")
                await pipeline.stop()
                return len(left), len(json.loads(feed.body)["items"])

    assert asyncio.run(run()) == (0, 1)


def test_a_reload_changes_how_we_ask(tmp_path):
    async def run() -> tuple[str | None, str | None]:
        async with Origin() as origin:
            origin.script("/feed", Answer(body=an_rss(*((f"b{n}", f"Quillon opens plant {n}") for n in range(20)))))
            service = Service(tmp_path, [origin.url("/feed")])
            config = configuration.load(service.config, {})
            async with Pipeline.opened(config, log(), parsers=1) as pipeline:

                async def reason(**fetch: object) -> str | None:
                    raw = json.loads(service.config.read_text())
                    service.config.write_text(json.dumps(raw | {"fetch": raw["fetch"] | fetch}))
                    await pipeline.configure(configuration.load(service.config, {}))
                    await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))
                    return pipeline.store.feeds()[0].failure_reason

                reasons = await reason(max_body="1 KiB"), await reason(max_body="100 KiB")
                await pipeline.stop()
                return reasons

    assert asyncio.run(run()) == ("too_large", None)


def test_stop_waits_for_polls_in_flight_and_gives_up_the_slow(tmp_path):
    async def run() -> tuple[float, int, int]:
        async with Origin() as origin:
            origin.script("/quick", Answer(body=an_rss(ONE), delay=0.3))
            origin.script("/slow", Answer(body=an_rss(TWO), delay=20))
            service = Service(tmp_path, [origin.url("/quick"), origin.url("/slow")], fetch={"timeout": "30s"})
            config = configuration.load(service.config, {})
            loop = asyncio.get_running_loop()
            async with Pipeline.opened(config, log(), parsers=1) as pipeline:
                assert await pipeline.poll_due() == 2
                await asyncio.sleep(0.1)
                began = loop.time()
                await pipeline.stop(timedelta(seconds=1.5))
                took = loop.time() - began
                due = pipeline.store.due_feeds(pipeline.now() + timedelta(milliseconds=1), 10)
                return took, pipeline.poller.tally.totals.polled, len([f for f in due if f.url.endswith("/slow")])

    took, polled, slow_still_due = asyncio.run(run())
    assert took < 5
    assert (polled, slow_still_due) == (1, 1)
