"""Questions that come up while another is under way go along with the next."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from aggregator.together import AT_MOST, Together


class Slow:
    """Answers when told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[int, str]] = []
        self.may_answer = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, wanted: Mapping[int, str]) -> dict[int, str]:
        self.asked.append(dict(wanted))
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return {feed_id: argument.upper() for feed_id, argument in wanted.items()}


async def begun(slow: Slow, *questions: tuple[int, str]) -> list[asyncio.Task[str]]:
    """The first question is under way, the others came up meanwhile."""
    together = Together[str, str](slow)
    tasks = []
    for feed_id, argument in questions:
        tasks.append(asyncio.create_task(together.ask(feed_id, argument)))
        while not slow.asked:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def test_what_comes_up_meanwhile_is_asked_at_once_afterwards() -> None:
    async def run() -> None:
        slow = Slow()
        tasks = await begun(slow, (1, "a"), (2, "b"), (3, "c"))
        assert slow.asked == [{1: "a"}]
        slow.may_answer.set()
        assert await asyncio.gather(*tasks) == ["A", "B", "C"]
        assert slow.asked == [{1: "a"}, {2: "b", 3: "c"}]

    asyncio.run(run())


def test_two_questions_for_one_feed_are_asked_one_after_the_other() -> None:
    async def run() -> None:
        slow = Slow()
        tasks = await begun(slow, (1, "a"), (2, "b"), (2, "c"))
        slow.may_answer.set()
        assert await asyncio.gather(*tasks) == ["A", "B", "C"]
        assert slow.asked == [{1: "a"}, {2: "b"}, {2: "c"}]

    asyncio.run(run())


def test_so_many_at_a_time() -> None:
    async def run() -> None:
        slow = Slow()
        tasks = await begun(slow, *((number, "a") for number in range(AT_MOST + 2)))
        slow.may_answer.set()
        await asyncio.gather(*tasks)
        assert [len(asked) for asked in slow.asked] == [1, AT_MOST, 1]

    asyncio.run(run())


def test_an_error_is_everybodys_who_asked_and_nobody_elses() -> None:
    async def run() -> None:
        slow = Slow()
        together = Together[str, str](slow)
        slow.error = ValueError("no")
        slow.may_answer.set()
        answers = await asyncio.gather(together.ask(1, "a"), together.ask(2, "b"), return_exceptions=True)
        assert answers == [slow.error, slow.error]
        slow.error = None
        assert await together.ask(1, "a") == "A"

    asyncio.run(run())


def test_who_gives_up_leaves_the_others_their_answers() -> None:
    async def run() -> None:
        slow = Slow()
        first, second = await begun(slow, (1, "a"), (2, "b"))
        first.cancel()
        slow.may_answer.set()
        assert await second == "B"
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(run())


def test_who_gets_no_answer_does_not_wait_for_ever() -> None:
    async def forgetful(wanted: Mapping[int, str]) -> dict[int, str]:
        return {}

    async def run() -> None:
        async with asyncio.timeout(20):
            with pytest.raises(KeyError):
                await Together[str, str](forgetful).ask(1, "a")

    asyncio.run(run())
