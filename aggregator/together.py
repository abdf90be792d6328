"""Questions of many polls to the store, asked together: what each costs alone is mostly the way there and back.

    documents = Together(lambda wanted: database(store.last_documents, wanted))
    document = await documents.ask(feed_id, None)

While one question is under way those that come up wait, and go along with the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")

AT_MOST = 100  # questions in one: bounds how long the store's thread is kept


class Together(Generic[A, R]):
    """Asks `answer` for many feeds at a time: arguments by feed id in, answers by feed id out.

    Each time the first question waits `patience` seconds for company.
    """

    def __init__(self, answer: Callable[[Mapping[int, A]], Awaitable[Mapping[int, R]]], patience: float = 0.0) -> None:
        self._answer, self._patience = answer, patience
        self._waiting: list[tuple[int, A, asyncio.Future[R]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, feed_id: int, argument: A) -> R:
        """This feed's answer. Raises what the question for it and those beside it raised."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((feed_id, argument, future))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all(), name="ask together")
        return await future

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(self._patience)
                await self._ask_some(self._next())
        finally:
            self._asking = None

    def _next(self) -> dict[int, tuple[A, asyncio.Future[R]]]:
        """The next to ask for, each feed once; the rest stays."""
        chosen: dict[int, tuple[A, asyncio.Future[R]]] = {}
        rest: list[tuple[int, A, asyncio.Future[R]]] = []
        for feed_id, argument, future in self._waiting:
            if feed_id in chosen or len(chosen) == AT_MOST:
                rest.append((feed_id, argument, future))
            else:
                chosen[feed_id] = (argument, future)
        self._waiting = rest
        return chosen

    async def _ask_some(self, chosen: Mapping[int, tuple[A, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._answer({feed_id: argument for feed_id, (argument, _) in chosen.items()})
            found = {feed_id: answers[feed_id] for feed_id in chosen}  # who gets no answer must not wait for ever
        except Exception as error:
            for _, future in chosen.values():
                if not future.done():  # its poll may have been given up meanwhile
                    future.set_exception(error)
            return
        for feed_id, (_, future) in chosen.items():
            if not future.done():
                future.set_result(found[feed_id])
