"""What the store does not take: waits, and the origins are left alone; what it never takes is one feed's loss."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from origin import Answer, Origin
from service import Service, an_rss

from aggregator import commits
from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.errors import BadValue, StoreError
from aggregator.pipeline import Pipeline
from aggregator.store import Store
from aggregator.types import FailureReason, FetchFailed, PollResult

FEEDS = 4
POLLING = {"every": "1h", "fastest": "10m", "slowest": "24h", "per_host": 8}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "_AGAIN", 0.01)


async def until(condition: Callable[[], object], beat: Callable[[], Any]) -> None:
    deadline = asyncio.get_running_loop().time() + 40
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await beat()
        await asyncio.sleep(0.01)


def polled(folder: Path, work: Callable[[Pipeline, Origin], Any]) -> Any:
    """Do `work` at a pipeline with FEEDS sources of one entry each."""

    async def run() -> Any:
        async with Origin() as origin:
            for number in range(FEEDS):
                origin.script(f"/{number}", Answer(body=an_rss((str(number), f"Headline {number} as printed"))))
            service = Service(folder, [origin.url(f"/{number}") for number in range(FEEDS)], polling=POLLING)
            async with Pipeline.opened(configuration.load(service.config, {}), log(), parsers=1) as pipeline:
                try:
                    return await work(pipeline, origin)
                finally:
                    await pipeline.stop()

    return asyncio.run(run())


def test_while_the_disk_is_full_the_origins_are_left_alone(tmp_path, monkeypatch):
    tries: list[int] = []
    apply = Store.apply

    def full(self: Store, results: list[PollResult], *arguments: Any) -> object:
        tries.append(len(results))
        if len(tries) <= 5:
            raise StoreError("news.db: the disk is full")
        return apply(self, results, *arguments)

    monkeypatch.setattr(Store, "apply", full)

    async def work(pipeline: Pipeline, origin: Origin) -> tuple[int, int]:
        totals = pipeline.poller.tally.totals
        await until(lambda: totals.polled == FEEDS, pipeline.poll_due)
        return len(origin.asked), totals.new_entries

    assert polled(tmp_path, work) == (FEEDS, FEEDS)
    assert len(tries) > 5


def test_a_pass_by_command_ends_with_what_the_store_does_not_take(tmp_path, monkeypatch):
    def full(self: Store, *arguments: Any) -> object:
        raise StoreError("news.db: the disk is full")

    monkeypatch.setattr(Store, "apply", full)

    async def work(pipeline: Pipeline, origin: Origin) -> int:
        report = await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))
        return report.polls.polled

    assert polled(tmp_path, work) == 0


@pytest.mark.parametrize("refusal", [BadValue("news.db: value out of range"), ValueError("a fault of ours")], ids=repr)
def test_one_result_that_the_store_never_takes_is_its_feeds_loss_alone(tmp_path, monkeypatch, refusal):
    apply = Store.apply

    def choosy(self: Store, results: list[PollResult], *arguments: Any) -> object:
        if any(one.state.url.endswith("/2") and not isinstance(one.outcome, FetchFailed) for one in results):
            raise refusal
        return apply(self, results, *arguments)

    monkeypatch.setattr(Store, "apply", choosy)

    async def work(pipeline: Pipeline, origin: Origin) -> tuple[int, int, int]:
        totals = pipeline.poller.tally.totals
        await until(lambda: totals.polled == FEEDS, pipeline.poll_due)
        (bad,) = [feed for feed in pipeline.store.feeds() if feed.url.endswith("/2")]
        assert (bad.failures, bad.failure_reason, bad.body_hash) == (1, FailureReason.INTERNAL, None)
        assert bad.next_poll_at
        assert bad.next_poll_at > pipeline.now()
        return len(origin.asked), totals.new_entries, totals.failed

    assert polled(tmp_path, work) == (FEEDS, FEEDS - 1, 1)


def test_a_listener_that_crashes_does_not_end_the_storing(tmp_path, caplog):
    async def work(pipeline: Pipeline, origin: Origin) -> int:
        def crash(result: PollResult) -> None:
            raise RuntimeError("of the listener")

        pipeline.poller.commits.after_commit = crash
        feeds = await pipeline.feeds_to_poll((), everything=True)
        for _ in range(2):
            await asyncio.wait_for(pipeline.poll(feeds), 40)
        return len(pipeline.store.ungrouped(99)) + pipeline.store.counts(pipeline.now()).entries

    with caplog.at_level(logging.CRITICAL):
        assert polled(tmp_path, work) == FEEDS


def test_what_was_learned_of_hosts_is_kept_once_the_store_takes_it(tmp_path, monkeypatch):
    saved: list[set[str]] = []
    save = Store.save_host_memory

    def away_at_first(self: Store, memory: dict[str, Any]) -> None:
        saved.append(set(memory))
        if len(saved) == 1:
            raise StoreError("news.db: away")
        save(self, memory)

    monkeypatch.setattr(Store, "save_host_memory", away_at_first)

    async def work(pipeline: Pipeline, origin: Origin) -> tuple[int, set[str]]:
        angry = FetchFailed("https://angry.example/", FailureReason.HTTP, "429", status=429)
        pipeline.poller.turns.learn("angry.example", angry)
        feeds = await pipeline.feeds_to_poll((), everything=True)
        first = (await pipeline.poll(feeds)).polls.polled
        await pipeline.poll(feeds)
        return first, set(pipeline.store.host_memory())

    assert polled(tmp_path, work) == (FEEDS, {"angry.example"})
