"""Whose turn it is at which server: what each bears is remembered here, and questions to it wait for their turn.

The rules are `ingest.hosts`'s. The poller lays its feeds out by them; whoever has another question to a server (to a
hub, for a page) asks it through `Turns.ask`. Where several processes poll, the one that leases a server asks it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar
from weakref import WeakValueDictionary

from aggregator import urls
from aggregator.claims import Claims
from aggregator.ingest.addresses import Network
from aggregator.ingest.hosts import HORIZON, HostState, Layout, host_after, is_exempt, spread, turn
from aggregator.ingest.polling import PollPolicy
from aggregator.store import LeasedHost
from aggregator.types import Answered, FeedState, FetchOutcome

Reply = TypeVar("Reply", bound=FetchOutcome | Answered)

_HOSTS = 5_000  # kept in mind though there is nothing to remember; then those not asked of late are let go


class Turns:
    """What is known of every server, and how many questions to it are under way."""

    def __init__(self, claims: Claims, now: Callable[[], datetime]) -> None:
        self._claims, self._now = claims, now
        self._hosts: dict[str, HostState] = {}
        self._slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # as long as one is held
        self._exempt_hosts: dict[str, bool] = {}
        self._lessons: dict[str, HostState] = {}
        self._asking: Counter[str] = Counter()

    def configure(self, policy: PollPolicy, exempt: Sequence[Network]) -> None:
        """Servers in `exempt` are the operator's own: neither spaced nor leased."""
        self._policy, self._exempt = policy, exempt
        self._slots.clear()
        self._exempt_hosts.clear()

    # ------------------------------------------------------------ what is known

    def remember(self, memory: Mapping[str, Mapping[str, object]]) -> None:
        """Take up what was learned before the last stop."""
        self._hosts = {host: HostState.from_json(host, value) for host, value in memory.items()}

    def recall(self, hosts: Mapping[str, LeasedHost]) -> None:
        """Take up what other processes learned of the servers that are ours now."""
        for host, leased in hosts.items():
            if leased.left_at is not None or host not in self._hosts:
                self._hosts[host] = replace(HostState.from_json(host, leased.memory), last_at=leased.left_at)

    def learn(self, host: str, outcome: FetchOutcome | Answered) -> bool:
        """Note how a server took a question; whether it bears another."""
        if self.is_exempt(host):
            return True
        before = self._hosts.get(host) or HostState(host)
        after = host_after(before, outcome, self._now())
        if after != before:
            self._hosts[host] = after
            self._lessons[host] = after
        return after.until is None or after.until <= self._now()

    def take_lessons(self) -> dict[str, HostState]:
        """What was learned since the last call, to be kept in the store."""
        lessons, self._lessons = self._lessons, {}
        return lessons

    def give_lessons_back(self, lessons: Mapping[str, HostState]) -> None:
        """These could not be kept; what was learned since goes before them."""
        self._lessons = {**lessons, **self._lessons}

    def is_exempt(self, host: str) -> bool:
        known = self._exempt_hosts.get(host)
        if known is None:
            known = self._exempt_hosts[host] = is_exempt(host, self._exempt)
        return known

    def is_resting(self, host: str) -> bool:
        """Whether the server wants to be left alone now."""
        known = self._hosts.get(host)
        return known is not None and known.until is not None and known.until > self._now()

    # ------------------------------------------------------------ turns

    def lay_out(self, feeds: Sequence[FeedState], horizon: float) -> Layout:
        """The feeds in lanes, with their turns handed out; those whose turn is not within `horizon` seconds put off."""
        layout = spread(feeds, self._hosts, self._policy, self._now(), self._exempt, horizon)
        self._hosts.update((host.host, host) for host in layout.hosts)
        self._forget_ordinary()
        return layout

    def _forget_ordinary(self) -> None:
        if len(self._hosts) <= _HOSTS:
            return
        then = self._now() - timedelta(minutes=1)
        self._hosts = {
            name: host
            for name, host in self._hosts.items()
            if not host.is_ordinary or (host.last_at is not None and host.last_at > then)
        }

    def slot(self, host: str) -> contextlib.AbstractAsyncContextManager[object]:
        """One of the places for requests to the server at a time, to be entered for the time of a request."""
        if self.is_exempt(host):
            return contextlib.nullcontext()
        return self._slots.setdefault(host, asyncio.Semaphore(self._policy.per_host))

    @property
    def asking(self) -> Collection[str]:
        """The servers with questions that wait or are under way, but for polls."""
        return self._asking.keys()

    async def ask(self, url: str, question: Callable[[], Awaitable[Reply]]) -> Reply | None:
        """The answer to a question to the server of `url`, asked in its rhythm; None where it wants patience."""
        host = urls.host_key(url)
        if self.is_exempt(host):
            return await question()
        self._asking[host] += 1
        try:
            return await self._ask(host, question)
        finally:
            self._asking[host] -= 1
            if not self._asking[host]:
                del self._asking[host]

    async def _ask(self, host: str, question: Callable[[], Awaitable[Reply]]) -> Reply | None:
        leased = await self._claims.host(host)
        if leased is None:
            return None  # it is another process's for now
        self.recall({host: leased})
        wait, after = turn(self._hosts.get(host) or HostState(host), self._now())
        if wait > HORIZON:
            return None
        self._hosts[host] = after
        # Outside the slot: polls whose turn is before ours must not wait for us, to come all at once afterwards.
        await asyncio.sleep(wait)
        async with self.slot(host):
            if self.is_resting(host) or not self._claims.holds_host(host):
                return None
            answer = await question()
            self.learn(host, answer)
            return answer
