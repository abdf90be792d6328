"""What the poller claims it polls or gives back, whatever goes wrong in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from builders import NOW
from postgres import postgres_server, postgres_url  # noqa: F401
from service import Service
from store_writer import ASource

from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.errors import StoreError
from aggregator.metrics import Metrics
from aggregator.poller import Poller
from aggregator.store import Lease, Store

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
