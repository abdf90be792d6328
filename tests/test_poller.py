"""What the poller claims it polls or gives back, whatever goes wrong in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from builders import NOW
from postgres import postgres_server, postgres_url  # noqa: F401
from service import Service
from store_writer import ASource

from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.errors import StoreError
from aggregator.ingest.fetch import Fetcher
from aggregator.metrics import Metrics
from aggregator.poller import Poller
from aggregator.store import Lease, Store
from aggregator.types import FetchOutcome, FetchRequest, NotModified, Validators

LEASE = timedelta(seconds=60)
OURS, STRANGE = "https://ours.example/feed", "https://strange.example/feed"


def test_what_could_not_be_begun_is_not_kept_from_others(tmp_path, monkeypatch, postgres_url):  # noqa: F811
    """Renewed for ever, the lease of a feed that nobody polls would end only with the process."""

    async def database(call: Callable[..., Any], /, *arguments: object) -> Any:
        return call(*arguments)

    def away(*_: Any) -> None:
        raise StoreError("news: away")

    async def run(store: Store) -> list[str]:
        at = NOW
        nothing: Any = None
        poller = Poller(store, database, nothing, nothing, Metrics(), log(), lambda: at, LEASE)
        poller.configure(configuration.load(Service(tmp_path, [OURS]).config, {}))
        with monkeypatch.context() as patch:
            patch.setattr(store, "release", away)
            with pytest.raises(StoreError):
                await poller.start_due()
        at += LEASE - timedelta(seconds=5)
        await poller.claims.renew(())
        other = store.claim_due(NOW + LEASE + timedelta(seconds=1), 10, Lease("another", LEASE))
        return sorted(feed.url for feed in other.feeds)

    with Store(postgres_url) as store:
        store.sync_feeds([ASource(OURS), ASource(STRANGE)], NOW - timedelta(hours=1))
        assert asyncio.run(run(store)) == [OURS, STRANGE]


def test_a_poller_that_runs_out_of_work_looks_for_more_before_the_next_beat(tmp_path, postgres_url):  # noqa: F811
    """It takes few at a time, so that others find work, and so must not sit idle until the next second."""

    class Quick:
        async def fetch(self, request: FetchRequest, known_body: bytes | None = None) -> FetchOutcome:
            await asyncio.sleep(0)
            return NotModified(request.url, request.url, 304, {}, Validators())

    async def database(call: Callable[..., Any], /, *arguments: object) -> Any:
        return call(*arguments)

    async def run(store: Store) -> tuple[int, list[int]]:
        nothing: Any = None
        poller = Poller(store, database, cast(Fetcher, Quick()), nothing, Metrics(), log(), lambda: NOW, LEASE)
        poller.configure(configuration.load(Service(tmp_path, urls, polling={"concurrency": 2}).config, {}))
        begun = [await poller.start_due()]
        until = asyncio.get_running_loop().time() + 60
        while await poller.runs_dry(until):
            begun.append(await poller.start_due())
        await poller.wait()
        await poller.stop(timedelta(seconds=5))
        return poller.tally.totals.polled, begun

    urls = [f"https://h{number}.example/feed" for number in range(40)]
    with Store(postgres_url) as store:
        store.sync_feeds([ASource(url) for url in urls], NOW - timedelta(hours=1))
        polled, begun = asyncio.run(run(store))
    assert begun[0] == 2
    assert sum(begun) == polled == 40
