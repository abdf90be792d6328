"""Which feeds this process may poll. On SQLite one process polls whatever is due; on PostgreSQL any number share the
due feeds by leases, each host with one poller at a time.

A lease is renewed while its feed waits or is being polled. A poller that dies loses nothing: its leases end by
themselves. One that was held up for so long (a frozen machine, a database out of reach) asks nothing more under leases
that may be over: `holds` says so from a clock of its own, well before the others may begin.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from uuid import uuid4

from aggregator.daemon import Log
from aggregator.store import Claimed, Lease, LeasedHost, Store
from aggregator.types import FeedState

T = TypeVar("T")

LENGTH = timedelta(seconds=60)  # how long the feeds of a poller that died wait for another
RENEWALS = 3  # in the time of a lease: two may fail
_SURE = 5 / 6  # of a lease in which we still begin a request: the rest is for clocks and slow answers


class Database(Protocol):
    """Runs a store method on the thread that owns the store, and waits for it."""

    async def __call__(self, call: Callable[..., T], /, *arguments: object) -> T: ...


class Claims:
    """Owns this process's leases, if it needs any."""

    def __init__(
        self,
        store: Store,
        database: Database,
        log: Log,
        now: Callable[[], datetime],
        is_spaced: Callable[[str], bool],
        length: timedelta = LENGTH,
    ) -> None:
        self._store, self._database, self._log, self._now = store, database, log, now
        self.worker = None if store.is_sqlite else f"{os.uname().nodename}:{os.getpid()}:{uuid4().hex[:8]}"
        self._lease = Lease(self.worker or "", length, is_spaced)
        self._feeds: dict[int, float] = {}  # until when we are sure of them, by the monotonic clock
        self._hosts: dict[str, float] = {}
        self._strange: set[int] = set()

    @property
    def is_shared(self) -> bool:
        """Whether other processes may poll beside us."""
        return self.worker is not None

    @property
    def renew_every(self) -> float:
        """Seconds between calls of `renew`."""
        return self._lease.length.total_seconds() / RENEWALS

    async def due(self, room: int, in_flight: Collection[int]) -> Claimed:
        """At most `room` feeds that are due, now ours."""
        if not self.is_shared:
            # Beside the writer, so that a batch of grouping makes no poll late. Feeds in flight are still due in there
            # until their result is committed, which may happen while we read.
            flying = set(in_flight)
            found = await asyncio.to_thread(self._store.due_feeds, self._now(), room + len(flying))
            flying.update(in_flight)
            return Claimed(tuple(feed for feed in found if feed.feed_id not in flying)[:room])
        sure = self._sure_until()
        claimed = await self._database(self._store.claim_due, self._now(), room, self._lease, tuple(self._strange))
        return self._noted(claimed, sure)

    async def these(self, feeds: Sequence[FeedState]) -> Claimed:
        """Those of `feeds`, due or not, that nobody else has, now ours."""
        if not self.is_shared:
            return Claimed(tuple(feeds))
        sure = self._sure_until()
        ids = [feed.feed_id for feed in feeds]
        return self._noted(await self._database(self._store.claim, self._now(), ids, self._lease), sure)

    def _sure_until(self) -> float:
        return time.monotonic() + self._lease.length.total_seconds() * _SURE

    def _noted(self, claimed: Claimed, sure: float) -> Claimed:
        self._feeds.update((feed.feed_id, sure) for feed in claimed.feeds)
        self._hosts.update((host, sure) for host in claimed.hosts)
        return claimed

    def holds(self, feed_id: int, host: str) -> bool:
        """Whether a request for this feed may begin now."""
        if not self.is_shared:
            return True
        return time.monotonic() < self._feeds.get(feed_id, 0.0) and self.holds_host(host)

    def holds_host(self, host: str) -> bool:
        """Whether a request to this host, which may be one that needs no lease, may begin now."""
        return time.monotonic() < self._hosts.get(host, float("inf"))

    async def host(self, name: str) -> LeasedHost | None:
        """What others learned of a host that is ours now; None while another process has it."""
        if not self.is_shared:
            return LeasedHost({})
        sure = self._sure_until()
        leased: LeasedHost | None = await self._database(self._store.lease_host, self._now(), name, self._lease)
        if leased is not None:
            self._hosts[name] = sure
        return leased

    async def renew(self, hosts_in_use: Collection[str]) -> None:
        """Begin anew the leases of everything not yet given back, and of these hosts; the others' may end."""
        now = time.monotonic()
        self._hosts = {host: sure for host, sure in self._hosts.items() if host in hosts_in_use or sure > now}
        names = [host for host in self._hosts if host in hosts_in_use]
        if not self._feeds and not names:
            return
        sure = self._sure_until()
        wanted = list(self._feeds)
        feeds, hosts = await self._database(self._store.renew, self._now(), wanted, names, self._lease)
        lost = [feed_id for feed_id in wanted if feed_id not in feeds and feed_id in self._feeds]
        self._feeds.update((feed_id, sure) for feed_id in feeds if feed_id in self._feeds)
        self._hosts.update((host, sure if host in hosts else 0.0) for host in names)
        for feed_id in lost:
            del self._feeds[feed_id]
        if lost:
            self._log.warning("leases_lost", feeds=len(lost), remedy="this process was held up; others poll them")

    def done(self, feed_ids: Iterable[int]) -> None:
        """These were committed or put off, which ends their leases."""
        for feed_id in feed_ids:
            self._feeds.pop(feed_id, None)

    async def give_back(self, feed_ids: Iterable[int]) -> None:
        """These will not be polled by us; whoever comes next may have them."""
        ours = [feed_id for feed_id in feed_ids if feed_id in self._feeds]
        if ours and self.worker is not None:
            self.done(ours)
            await self._database(self._store.release, self._now(), ours, (), self.worker)

    async def give_all_back(self) -> None:
        """At the end: nothing of ours has to wait until its lease is over."""
        if self.worker is not None and (self._feeds or self._hosts):
            feeds, hosts = list(self._feeds), list(self._hosts)
            self._feeds, self._hosts = {}, {}
            await self._database(self._store.release, self._now(), feeds, hosts, self.worker)

    async def leave_to_others(self, feeds: Sequence[FeedState]) -> None:
        """Sources that our configuration does not know (yet, or any more): not polled without their settings."""
        self._strange.update(feed.feed_id for feed in feeds)
        await self.give_back([feed.feed_id for feed in feeds])
        self._log.warning("sources_unknown", feeds=len(feeds), remedy="give every process the same configuration")

    def reconsider(self) -> None:
        """Forget which sources we did not know: the configuration has changed."""
        self._strange.clear()
