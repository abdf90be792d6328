"""Which feeds this process may poll, where it is the only one."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from builders import NOW, a_feed_state

from aggregator.claims import Claims


def test_what_is_committed_while_we_look_is_not_polled_again() -> None:
    """What is due is read beside the writer: a feed may be done with between the look and its end."""
    flying = {1}

    def due_feeds(now: object, limit: int) -> list[Any]:
        flying.discard(1)
        return [a_feed_state(feed_id=1), a_feed_state(feed_id=2)]

    nothing: Any = None
    store: Any = SimpleNamespace(is_sqlite=True, due_feeds=due_feeds)
    claims = Claims(store, nothing, nothing, lambda: NOW, lambda host: True, timedelta(minutes=1))
    found = asyncio.run(claims.due(10, flying))
    assert [feed.feed_id for feed in found.feeds] == [2]
