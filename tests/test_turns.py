"""Questions beside polls wait for their turn at a server, and keep nobody from his."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from builders import NOW

from aggregator.claims import Claims
from aggregator.ingest.addresses import networks
from aggregator.ingest.hosts import is_exempt
from aggregator.ingest.polling import PollPolicy
from aggregator.turns import Turns
from aggregator.types import Answered

HUB = "https://hub.example/"


def turns() -> Turns:
    lone: Any = SimpleNamespace(is_sqlite=True)
    nothing: Any = None
    made = Turns(Claims(lone, nothing, nothing, lambda: NOW, lambda host: True), lambda: NOW)
    made.configure(PollPolicy(), ())
    return made


def answer(status: int = 202) -> Answered:
    return Answered(HUB, HUB, status, {"retry-after": "3600"} if status == 429 else {}, "")


async def answered(status: int = 202) -> Answered:
    return answer(status)


def test_a_question_that_waits_for_its_turn_keeps_no_poll_from_its_own():
    async def run() -> tuple[bool, list[str]]:
        at = turns()
        assert await at.ask(HUB, answered) == answer()
        second = asyncio.create_task(at.ask(HUB, answered))
        while not at.asking:
            await asyncio.sleep(0)
        async with asyncio.timeout(20), at.slot("hub.example"):
            is_waiting = not second.done()
        await second
        return is_waiting, list(at.asking)

    assert asyncio.run(run()) == (True, [])


def test_a_server_that_complains_is_asked_no_more_by_those_who_wait():
    async def run() -> tuple[object, int]:
        at, asked = turns(), []

        async def complaint() -> Answered:
            asked.append(1)
            return answer(429)

        answers = await asyncio.gather(at.ask(HUB, complaint), at.ask(HUB, complaint))
        return answers[1], len(asked)

    assert asyncio.run(run()) == (None, 1)


def test_places_at_a_server_are_counted_while_somebody_has_or_wants_one_and_forgotten_then():
    async def run() -> tuple[int, int, int]:
        at, under_way, most = turns(), 0, 0
        at.configure(PollPolicy(per_host=2), ())

        async def one() -> None:
            nonlocal under_way, most
            async with at.slot("hub.example"):
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0.01)
                under_way -= 1

        asking = asyncio.gather(*(one() for _ in range(9)))
        await asyncio.sleep(0.005)
        kept = len(at._slots)
        await asking
        return most, kept, len(at._slots)

    assert asyncio.run(run()) == (2, 1, 0)


def test_lessons_that_could_not_be_kept_give_way_to_later_ones():
    at = turns()
    at.learn("hub.example", answer(429))
    first = at.take_lessons()
    at.learn("hub.example", answer(429))
    at.give_lessons_back(first)
    (kept,) = at.take_lessons().values()
    assert kept.spacing == 2 * first["hub.example"].spacing
    assert kept.until == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("host", "exempt"),
    [
        ("[::1]", True),
        ("[::1]:8080", True),
        ("[2001:db8::1]", False),
        ("127.0.0.1", True),
        ("127.0.0.1:8080", True),
        ("localhost:8080", True),
        ("example.org:8080", False),
    ],
)
def test_the_operators_own_servers_are_known_by_their_spelling(host, exempt):
    assert is_exempt(host, networks(("127.0.0.0/8", "::1/128"))) is exempt
