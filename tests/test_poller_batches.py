"""Results of polls are committed in company, and wait without the documents that they were made of."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from origin import Answer, Origin
from service import Service, an_rss

from aggregator import config as configuration
from aggregator import poller
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
    monkeypatch.setattr(poller, "_PATIENCE", 60.0)

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
