"""What host names resolve to: getaddrinfo in threads of its own, each answer kept for a minute, one look-up for all who
ask for the same name meanwhile. Nothing is judged here: whoever connects asks `addresses` about what it connects to.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple

_THREADS = 16  # getaddrinfo blocks; a name server that is down must not hold up everyone else
_KEPT = 60.0  # seconds; getaddrinfo does not tell how long the name server would let us


class Place(NamedTuple):
    """One address of a host, as the socket layer names it: `peer` is (address, 0), for IPv6 with flow and scope."""

    family: int
    protocol: int
    peer: tuple[Any, ...]

    @property
    def address(self) -> IPv4Address | IPv6Address:
        return ip_address(self.peer[0].partition("%")[0])


class Names:
    """Holds the threads and the answers."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._known: dict[str, tuple[float, tuple[Place, ...]]] = {}  # until when, by the loop's clock
        self._swept = 0.0  # when answers out of date were last thrown away
        self._asked: dict[str, asyncio.Task[tuple[Place, ...]]] = {}

    async def places(self, host: str) -> tuple[Place, ...]:
        """The addresses of `host`, the preferred one first. Raises OSError (socket.gaierror) where there are none."""
        known = self._known.get(host)
        if known is not None and known[0] > asyncio.get_running_loop().time():
            return known[1]
        task = self._asked.get(host)
        if task is None:
            task = self._asked[host] = asyncio.create_task(self._look_up(host), name=f"look up {host}")
            task.add_done_callback(_heard)
        # Shielded: who asked first may be given up, the others still want to know.
        return await asyncio.shield(task)

    def forget(self) -> None:
        """Ask again for every name."""
        self._known.clear()

    def close(self) -> None:
        for task in self._asked.values():
            task.cancel()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def _look_up(self, host: str) -> tuple[Place, ...]:
        loop = asyncio.get_running_loop()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "dns")
        try:
            found = await loop.run_in_executor(self._threads, _look_up, host)
            places = tuple(Place(family, protocol, peer) for family, _, protocol, _, peer in found)
            self._sweep(loop.time())
            self._known[host] = (loop.time() + _KEPT, places)
            return places
        finally:
            del self._asked[host]

    def _sweep(self, now: float) -> None:
        """Forget answers that nobody may use any more: half a kilobyte each, and most hosts are asked once an hour."""
        if now >= self._swept + _KEPT:
            self._swept = now
            self._known = {host: known for host, known in self._known.items() if known[0] > now}


def _look_up(host: str) -> list[Any]:
    return socket.getaddrinfo(host, 0, socket.AF_UNSPEC, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)


def _heard(task: asyncio.Task[tuple[Place, ...]]) -> None:
    """Take note of a failure that nobody waited for, or asyncio would complain."""
    if not task.cancelled():
        task.exception()
