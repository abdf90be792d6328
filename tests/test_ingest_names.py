"""Look-ups: shared, kept for a while, never judged."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from aggregator.ingest import names
from aggregator.ingest.names import Names, Place


class NameServer:
    """Answers every name with 192.0.2.1 once it is let, and counts the questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = threading.Event()
        self.answers.set()

    def look_up(self, host: str) -> list[Any]:
        self.asked.append(host)
        self.answers.wait(10)
        if host == "nowhere.example":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]


def with_names(monkeypatch, test) -> Any:
    server, known = NameServer(), Names()
    monkeypatch.setattr(names, "_look_up", server.look_up)

    async def main() -> Any:
        try:
            return await test(known, server)
        finally:
            server.answers.set()
            known.close()

    return asyncio.run(main())


def test_a_name_is_looked_up_once_for_all_who_ask_and_then_known(monkeypatch):
    async def test(known, server):
        server.answers.clear()
        asking = [asyncio.ensure_future(known.places("herald.example")) for _ in range(5)]
        await asyncio.sleep(0)
        server.answers.set()
        return await asyncio.gather(*asking), await known.places("herald.example"), server.asked

    together, later, asked = with_names(monkeypatch, test)
    assert together == [(Place(socket.AF_INET, 6, ("192.0.2.1", 0)),)] * 5
    assert later == together[0]
    assert asked == ["herald.example"]


def test_what_is_known_is_forgotten_with_time_and_at_will(monkeypatch):
    async def test(known, server):
        await known.places("herald.example")
        known.forget()
        monkeypatch.setattr(names, "_KEPT", 0.0)
        for _ in range(2):
            await known.places("herald.example")
        return len(server.asked)

    assert with_names(monkeypatch, test) == 3


def test_a_name_that_does_not_resolve_is_asked_for_again(monkeypatch):
    async def test(known, server):
        for _ in range(2):
            with pytest.raises(socket.gaierror):
                await known.places("nowhere.example")
        return len(server.asked)

    assert with_names(monkeypatch, test) == 2


def test_who_gives_up_leaves_the_answer_to_the_others(monkeypatch):
    async def test(known, server):
        server.answers.clear()
        first, second = (asyncio.ensure_future(known.places("herald.example")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        server.answers.set()
        return await second, server.asked

    places, asked = with_names(monkeypatch, test)
    assert [str(place.address) for place in places] == ["192.0.2.1"]
    assert asked == ["herald.example"]


def test_answers_that_nobody_may_use_any_more_are_forgotten(monkeypatch):
    monkeypatch.setattr(names, "_KEPT", 0.05)

    async def test(known, server):
        for number in range(10):
            await known.places(f"{number}.example")
        kept = len(known._known)
        await asyncio.sleep(0.06)
        await known.places("late.example")
        return kept, list(known._known)

    kept, left = with_names(monkeypatch, test)
    assert (kept, left) == (10, ["late.example"])
