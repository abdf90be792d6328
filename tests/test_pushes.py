"""What stands between a push that was kept and its entries: nothing of it is lost, nothing of it comes twice."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from typing import Any

import pytest
from push_desk import ONE, TWO, Desk, at_a_desk

from aggregator.errors import StoreError
from aggregator.store import Store
from aggregator.types import FailureReason, ParseFailed

LATER = timedelta(minutes=6)  # than the lease of a push


def waiting(desk: Desk) -> int:
    with sqlite3.connect(desk.folder / "news.db") as connection:
        return int(connection.execute("SELECT count(*) FROM pushes").fetchone()[0])


def test_a_push_and_a_poll_of_one_feed_are_never_under_way_together(tmp_path):
    """Both would find the same entry new; where hub and feed tell it in other words it would stand there twice."""

    async def test(desk: Desk) -> tuple[int, int]:
        await desk.subscribed(ONE)
        await desk.push(TWO)
        desk.clock.at += timedelta(hours=12)
        before = len(desk.origin.asked)
        read, _ = await asyncio.gather(desk.pipeline.parts.pushes.read(), desk.pipeline.poll_due())
        await desk.pipeline.poller.wait()
        return read, len(desk.origin.asked) - before

    assert at_a_desk(tmp_path, test) == (1, 0)


def test_a_push_waits_where_it_is_us_who_cannot_read(tmp_path, monkeypatch):
    async def test(desk: Desk) -> tuple[int, set[str]]:
        await desk.subscribed(ONE)
        await desk.push(TWO)
        workers, parse = desk.pipeline.parts.workers, desk.pipeline.parts.workers.parse

        async def broken(*_: Any) -> ParseFailed:
            return ParseFailed(FailureReason.INTERNAL, "the parse children are being stopped")

        monkeypatch.setattr(workers, "parse", broken)
        await desk.pipeline.push_due()
        await desk.pipeline.poller.wait()
        kept = waiting(desk)
        monkeypatch.setattr(workers, "parse", parse)
        desk.clock.at += LATER
        await desk.until(lambda: TWO[1] in desk.titles())
        return kept, desk.titles()

    assert at_a_desk(tmp_path, test) == (1, {ONE[1], TWO[1]})


@pytest.mark.parametrize("call", ["last_documents", "known_for"])
def test_a_push_waits_where_the_store_is_away(tmp_path, monkeypatch, call):
    async def test(desk: Desk) -> tuple[int, int]:
        await desk.subscribed(ONE)
        await desk.push(TWO)

        def away(*_: Any) -> None:
            raise StoreError("news.db: away")

        with monkeypatch.context() as patch:
            patch.setattr(Store, call, away)
            patch.setattr(desk.pipeline.store, call, away, raising=False)
            await desk.pipeline.push_due()
            await desk.pipeline.poller.wait()
        return waiting(desk), desk.pipeline.poller.in_flight

    assert at_a_desk(tmp_path, test) == (1, 0)


def test_what_is_read_waits_for_the_writer_without_its_document(tmp_path, monkeypatch):
    sizes: list[tuple[int, int]] = []
    apply = Store.apply

    def noted(self: Store, results: Any, *arguments: Any) -> object:
        sizes.extend((len(one.outcome.body), one.size) for one in results if hasattr(one.outcome, "push_id"))
        return apply(self, results, *arguments)

    monkeypatch.setattr(Store, "apply", noted)

    async def test(desk: Desk) -> None:
        await desk.subscribed(ONE)
        await desk.push(TWO)
        await desk.until(lambda: TWO[1] in desk.titles())

    at_a_desk(tmp_path, test)
    ((left, size),) = sizes
    assert left == 0
    assert size > 0
