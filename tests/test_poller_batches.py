"""Results of polls are committed in company, and wait without the documents that they were made of."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from origin import Answer, Origin
from service import Service, an_rss

from aggregator import commits
from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.pipeline import Pipeline
from aggregator.store import Store
from aggregator.types import Fetched, PollResult

FEEDS = 8


def test_polls_under_way_together_are_committed_together(tmp_path: Path, monkeypatch: Any) -> None:
    batches: list[list[PollResult]] = []
    apply = Store.apply

    def noted(self: Store, results: list[PollResult], *arguments: Any) -> object:
        batches.append(list(results))
        return apply(self, results, *arguments)

    monkeypatch.setattr(Store, "apply", noted)
    # So long that only the end of all polls ends the wait: which results go together hangs on no clock.
    monkeypatch.setattr(commits, "_PATIENCE", 60.0)

    async def run() -> None:
        async with Origin() as origin:
            paths = [f"/{number}" for number in range(FEEDS)]
            for path in paths:
                origin.script(path, Answer(body=an_rss(("a", f"Headline of {path} as printed"))))
            service = Service(tmp_path, [origin.url(path) for path in paths])
            async with Pipeline.opened(configuration.load(service.config, {}), log(), parsers=1) as pipeline:
                left: list[int] = []
                await pipeline.poll(await pipeline.feeds_to_poll((), everything=True), left.append)
                await pipeline.stop()
                assert left[-1] == FEEDS

    asyncio.run(run())
    assert [len(batch) for batch in batches] == [FEEDS]
    for result in batches[0]:
        assert isinstance(result.outcome, Fetched)
        assert result.outcome.body == b""
        assert result.size > 0


def test_a_writer_that_falls_behind_slows_the_polls_down(tmp_path: Path, monkeypatch: Any) -> None:
    """Results that nobody commits must not pile up, however many feeds are due."""
    may_commit = threading.Event()
    apply = Store.apply

    def slow(self: Store, *arguments: Any) -> object:
        may_commit.wait(20)
        return apply(self, *arguments)

    monkeypatch.setattr(Store, "apply", slow)
    monkeypatch.setattr(commits, "_QUEUE", 2)
    monkeypatch.setattr(commits, "_PATIENCE", 0.0)
    many = 20

    async def run() -> None:
        async with Origin() as origin:
            for number in range(many):
                origin.script(f"/{number}", Answer(body=an_rss(("a", f"Headline of {number} as printed"))))
            sources = [origin.url(f"/{number}") for number in range(many)]
            service = Service(tmp_path, sources, polling={"concurrency": 2, "per_host": 8})
            async with Pipeline.opened(configuration.load(service.config, {}), log(), parsers=1) as pipeline:
                feeds = await pipeline.feeds_to_poll((), everything=True)
                polling = asyncio.create_task(pipeline.poll(feeds))
                while len(origin.asked) < 4:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.2)  # time in which those who do not wait would go on
                begun = len(origin.asked)
                may_commit.set()
                report = await polling
                await pipeline.stop()
            # One batch with the writer (at most as many as the queue holds and one more), a full queue, both slots.
            assert begun <= 3 + 2 + 2
            assert report.polls.changed == many

    asyncio.run(run())
