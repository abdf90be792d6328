"""What a pipeline is made of: every part that has effects, built in order, and closed in the opposite one.

async with assembled(config, log) as parts:
    pipeline = Pipeline(config, parts)
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from aggregator.announcer import Announcer
from aggregator.archivist import Archivist
from aggregator.briefing import Briefing
from aggregator.clock import SharedClock
from aggregator.config import Config
from aggregator.daemon import Log
from aggregator.distributor import DELIVERIES, PATIENCE, QUESTIONS, Distributor
from aggregator.editor import Editor
from aggregator.errors import StoreError
from aggregator.ingest.fetch import Fetcher, FetchPolicy
from aggregator.metrics import Metrics
from aggregator.poller import Poller
from aggregator.publish import hub
from aggregator.publish.shelf import Shelf
from aggregator.publisher import Publisher
from aggregator.pushes import Pushes
from aggregator.reception import Reception
from aggregator.rediscovery import Rediscovery
from aggregator.roles import Role
from aggregator.store import Store
from aggregator.subscriber import Subscriber
from aggregator.types import Rendered
from aggregator.watch import Watch
from aggregator.withdrawals import Withdrawals
from aggregator.workers import Workers

T = TypeVar("T")

_MOST_CHILDREN = 4


@dataclass(frozen=True)
class Parts:
    """The parts, by what they are for. `writer` is the thread that owns the store's writing connection."""

    role: Role
    log: Log
    now: Callable[[], datetime]
    clock: SharedClock
    metrics: Metrics
    store: Store
    writer: ThreadPoolExecutor
    printer: ThreadPoolExecutor

    fetcher: Fetcher
    workers: Workers
    poller: Poller
    pushes: Pushes
    subscriber: Subscriber
    rediscovery: Rediscovery

    editor: Editor
    publisher: Publisher
    archivist: Archivist
    briefing: Briefing
    withdrawals: Withdrawals
    watch: Watch

    announcer: Announcer
    reception: Reception
    distributor: Distributor

    async def database(self, call: Callable[..., T], /, *arguments: object) -> T:
        """Run a store method on the thread that owns it."""
        return await _on(self.writer, call, *arguments)

    async def print(self, call: Callable[..., T], /, *arguments: object) -> T:
        """Run what renders on the thread that does so."""
        return await _on(self.printer, call, *arguments)

    def configure(self, config: Config) -> None:
        """Let every part work by this configuration from now on."""
        self.fetcher.configure(fetch_policy(config))
        for part in (
            self.poller,
            self.subscriber,
            self.editor,
            self.publisher,
            self.briefing,
            self.announcer,
            self.reception,
            self.distributor,
        ):
            part.configure(config)


@asynccontextmanager
async def assembled(
    config: Config,
    log: Log,
    *,
    notice: str = "",
    now: Callable[[], datetime] | None = None,
    parsers: int | None = None,
    is_alone: bool = True,
    role: Role | None = None,
) -> AsyncIterator[Parts]:
    """Open the store (migrating it), start the parsers, make the rest; close all at the end.

    The arguments are those of `Pipeline.opened`. Raises StoreError, AlreadyRunning (another process works on this
    SQLite database) or WorkerError.
    """
    async with AsyncExitStack() as stack:
        writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        stack.callback(writer.shutdown)

        async def database(call: Callable[..., T], /, *arguments: object) -> T:
            return await _on(writer, call, *arguments)

        store = Store(config.database)
        if role not in (None, Role.ALL) and store.is_sqlite:
            raise StoreError(
                f"{store.shown_url}: --role {role} needs PostgreSQL: one process works on a SQLite database; run"
                " --role all, or set database: postgresql+psycopg://…"
            )
        await database(store.open)
        stack.push_async_callback(database, store.close)
        clock = SharedClock()
        now = now or clock
        await database(clock.set, store.server_time)
        can_wait = role is not None and not store.is_sqlite
        if is_alone and not can_wait:
            await database(store.acquire_lock)
        role = role or Role.ALL

        metrics = Metrics()
        workers = await stack.enter_async_context(Workers(_children(parsers) if role.polls else 0))
        metrics.kills.set_function(lambda: workers.kills)
        fetcher = await stack.enter_async_context(Fetcher(fetch_policy(config)))
        poller = Poller(store, database, fetcher, workers, metrics, log, now, config.polling.lease)
        publisher = Publisher(store, Shelf(), metrics, log, now, notice)
        stack.callback(publisher.close)
        subscriber = Subscriber(store, database, poller, fetcher, metrics, log, now)
        stack.push_async_callback(subscriber.stop)
        announcer = Announcer(store, database, fetcher, metrics, log, now)
        stack.push_async_callback(announcer.stop)

        def topics() -> dict[str, Rendered]:
            return hub.topics(publisher.shelf.documents)

        to_callbacks = await stack.enter_async_context(Fetcher(callback_policy(config)))
        distributor = Distributor(store, database, to_callbacks, metrics, log, now, topics)
        stack.push_async_callback(distributor.stop)
        printer = ThreadPoolExecutor(1, thread_name_prefix="publish")
        stack.callback(printer.shutdown)
        editor = Editor(store, metrics, log, now)
        yield Parts(
            role=role,
            log=log,
            now=now,
            clock=clock,
            metrics=metrics,
            store=store,
            writer=writer,
            printer=printer,
            fetcher=fetcher,
            workers=workers,
            poller=poller,
            pushes=Pushes(store, database, poller, metrics, log, now),
            subscriber=subscriber,
            rediscovery=Rediscovery(store, database, poller, fetcher, workers, log, now),
            editor=editor,
            publisher=publisher,
            archivist=Archivist(store, lambda: publisher.press, log, now),
            briefing=Briefing(store, database, log, now),
            withdrawals=Withdrawals(store, database, editor, publisher, printer, log, now),
            watch=Watch(store, database, log, now),
            announcer=announcer,
            reception=Reception(store, database, metrics, now, topics),
            distributor=distributor,
        )


def _children(wanted: int | None) -> int:
    return min(_MOST_CHILDREN, os.cpu_count() or 1) if wanted is None else wanted


async def _on(thread: ThreadPoolExecutor, call: Callable[..., T], /, *arguments: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(thread, lambda: call(*arguments))


def fetch_policy(config: Config) -> FetchPolicy:
    """How to ask, by this configuration. Without a contact the site's own address says who asks."""
    rules = config.fetch
    return FetchPolicy(
        timeout=rules.timeout.total_seconds(),
        max_body=rules.max_body,
        max_redirects=rules.max_redirects,
        contact=rules.contact or config.site.public_url,
        allow_networks=tuple(str(network) for network in rules.allow_networks),
        concurrency=config.polling.concurrency,
    )


def callback_policy(config: Config) -> FetchPolicy:
    """How to ask subscribers' callbacks: as we ask everybody, with less patience."""
    policy = fetch_policy(config)
    return replace(policy, timeout=min(policy.timeout, PATIENCE), concurrency=QUESTIONS + DELIVERIES)
