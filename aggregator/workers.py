"""Documents parsed in child processes that may be killed: the daemon's side of `ingest.child`.

    async with Workers(2) as workers:
        parsed = await workers.parse(body, url, content_type, known, now)

A child that takes too much time or memory dies over its document, which becomes ParseFailed(LIMITS); a fresh one takes
its place and nobody else notices. Children are plain `python -m aggregator.ingest.child`, started without forking the
daemon's memory, one document at a time each; who asks while all are busy waits.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Self

import aggregator
from aggregator.errors import WorkerError
from aggregator.ingest import wire
from aggregator.types import FailureReason, ParsedFeed, ParseFailed

START_SECONDS = 30.0  # importing the parsers takes 0.2 s of processor; on a starved machine much longer
RECYCLE_AFTER = 5000  # documents; parsers leak, a little
RECYCLE_BYTES = 300 << 20  # resident; one monster's heap does not stay with us
_CHUNK = 256 * 1024


class Workers:
    """A fixed number of parse children. `kills` counts children that died over a document or were killed for it,
    `started` all that ever were, `parsed` documents answered."""

    def __init__(
        self, count: int, cpu_seconds: int = 5, memory_bytes: int = 1 << 30, wall_seconds: float = 30.0
    ) -> None:
        self.count = count
        self.kills = 0
        self.started = 0
        self.parsed = 0
        self._cpu_seconds = cpu_seconds
        self._memory_bytes = memory_bytes
        self._wall_seconds = wall_seconds
        self._idle: asyncio.LifoQueue[_Child | None] = asyncio.LifoQueue()
        self._children: set[_Child] = set()
        self._exchanges: set[asyncio.Task[ParsedFeed | ParseFailed]] = set()
        self._is_stopping = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start every child. Raises WorkerError if that cannot be done on this machine."""
        self._is_stopping = False
        children = await asyncio.gather(*(self._new_child() for _ in range(self.count)), return_exceptions=True)
        for child in children:
            if isinstance(child, BaseException):
                await self.stop()
                raise child
            self._idle.put_nowait(child)

    async def stop(self, grace: float = 5.0) -> None:
        """Let documents in hand be finished for up to `grace` seconds, then end every child and wait for its end."""
        self._is_stopping = True
        if self._exchanges:
            await asyncio.wait(self._exchanges, timeout=grace)
        for task in self._exchanges:
            task.cancel()
        await asyncio.gather(*self._exchanges, return_exceptions=True)
        await asyncio.gather(*(child.end() for child in self._children))
        self._children.clear()
        while not self._idle.empty():
            self._idle.get_nowait()

    async def parse(
        self,
        document: bytes,
        url: str,
        content_type: str | None,
        known: frozenset[bytes],
        now: datetime,
        marks: bytes = b"",
    ) -> ParsedFeed | ParseFailed:
        """`ingest.parse.parse` in a child, within the limits. A caller that is cancelled leaves the child in order."""
        if self._is_stopping:
            return ParseFailed(FailureReason.INTERNAL, "the parse children are being stopped")
        child = await self._idle.get()
        exchange = asyncio.create_task(
            self._exchange(child, wire.pack_request(document, url, content_type, known, now, marks))
        )
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanges.discard)
        # Shielded: half a request in the pipe would spoil the child for the next document.
        return await asyncio.shield(exchange)

    async def _exchange(self, child: _Child | None, request: tuple[bytes, bytes]) -> ParsedFeed | ParseFailed:
        """Ask `child`, or a fresh one where its place is empty, and put whoever is fit for it back into the queue."""
        keep: _Child | None = None
        try:
            if child is None or not child.is_alive:
                await self._bury(child)
                child = await self._new_child()
            result = await self._ask(child, request)
            if result is None:
                result = ParseFailed(FailureReason.LIMITS, await self._cause_of_death(child))
            if isinstance(result, ParseFailed) and result.reason is FailureReason.LIMITS:
                self.kills += 1
            elif child.is_fit:
                keep = child
            self.parsed += 1
            return result
        except WorkerError as error:
            # The next document tries again: a machine out of processes now may have some in a minute.
            return ParseFailed(FailureReason.INTERNAL, str(error))
        finally:
            if keep is None:
                await self._bury(child)
            if not self._is_stopping:
                self._idle.put_nowait(keep)

    async def _bury(self, child: _Child | None) -> None:
        if child is not None:
            self._children.discard(child)
            await child.end()

    async def _ask(self, child: _Child, request: tuple[bytes, bytes]) -> ParsedFeed | ParseFailed | None:
        """The child's answer; None if it died, took too long or does not talk sense, and must go."""
        try:
            async with asyncio.timeout(self._wall_seconds):
                return await child.ask(request)
        except TimeoutError:
            child.verdict = f"took more than {self._wall_seconds:g} s"
        except wire.WireError as error:
            child.verdict = str(error)
        except (OSError, EOFError):
            pass
        return None

    async def _cause_of_death(self, child: _Child) -> str:
        status = await child.end()
        if child.verdict:
            return child.verdict
        if status == -signal.SIGXCPU:
            return f"took more than {self._cpu_seconds} s of processor time"
        if status is not None and status < 0:
            return f"the parser died of {signal.Signals(-status).name} (memory limit {self._memory_bytes >> 20} MiB)"
        return f"the parser ended with status {status}"

    async def _new_child(self) -> _Child:
        child = _Child(self._cpu_seconds, self._memory_bytes)
        self._children.add(child)
        try:
            await child.begin()
        except (OSError, EOFError, TimeoutError) as error:
            await self._bury(child)
            raise WorkerError(
                f"cannot start a parse child with {sys.executable}: {error or 'no sign of life'}"
            ) from error
        self.started += 1
        return child


class _Child:
    """One process and the socket to it."""

    def __init__(self, cpu_seconds: int, memory_bytes: int) -> None:
        self.verdict: str | None = None
        self._limits = (str(cpu_seconds), str(memory_bytes))
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._served = 0
        self._had_large = False
        self._buffer = bytearray(_CHUNK)

    async def begin(self) -> None:
        """Start it and wait for its sign of life."""
        ours, theirs = socket.socketpair()
        self._channel = ours
        with theirs:
            ours.setblocking(False)
            descriptor = str(theirs.fileno())
            # In this very thread: the kernel ties the child's life to the thread that started it.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "aggregator.ingest.child", descriptor, str(os.getpid()), *self._limits],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=_environment(),
            )
        async with asyncio.timeout(START_SECONDS):
            said = await asyncio.get_running_loop().sock_recv(ours, 1)
        if not said:
            raise EOFError("it ended at once")
        if said[0] != wire.VERSION:
            raise EOFError(
                f"the program was replaced under the running daemon, restart it (a child answers in version {said[0]},"
                f" the daemon reads {wire.VERSION})"
            )

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def is_fit(self) -> bool:
        """Whether it may serve another document: neither old nor fat."""
        # Weighed after large documents and now and then: asking costs as much as parsing a small feed.
        must_weigh = self._had_large or self._served % 50 == 0
        return self._served < RECYCLE_AFTER and not (must_weigh and self._resident_bytes() > RECYCLE_BYTES)

    def _resident_bytes(self) -> int:
        try:
            with open(f"/proc/{self._process.pid if self._process else 0}/statm", "rb") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        except (OSError, IndexError, ValueError):
            return 0

    async def ask(self, request: tuple[bytes, bytes]) -> ParsedFeed | ParseFailed:
        """Its answer. Raises OSError or EOFError if it dies, WireError if it does not talk sense."""
        loop, channel = asyncio.get_running_loop(), self._channel
        if channel is None:
            raise EOFError
        header, document = request
        self._served += 1
        self._had_large = len(document) > 1 << 20
        await loop.sock_sendall(channel, header)
        await loop.sock_sendall(channel, memoryview(document))
        answer = wire.Answer()
        received = bytearray()
        while not answer.is_complete:
            count = await loop.sock_recv_into(channel, self._buffer)
            if not count:
                raise EOFError
            received += memoryview(self._buffer)[:count]
            while (size := _complete_frame(received)) is not None:
                answer.add(bytes(memoryview(received)[wire.LENGTH_BYTES : wire.LENGTH_BYTES + size]))
                del received[: wire.LENGTH_BYTES + size]
                if not answer.is_complete:
                    await asyncio.sleep(0)  # others may have their turn
        return answer.result()

    async def end(self) -> int | None:
        """Kill it if it lives and wait for its end; its exit status (negative: the signal), None if it never was."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            process.kill()
            await asyncio.get_running_loop().run_in_executor(None, process.wait)
        return process.returncode


def _complete_frame(received: bytearray) -> int | None:
    """The size of the frame that `received` begins with, None until all of it is there."""
    if len(received) < wire.LENGTH_BYTES:
        return None
    size = int.from_bytes(received[: wire.LENGTH_BYTES], "big")
    if size > wire.MAX_FRAME:
        raise wire.WireError(f"a frame of {size} bytes")
    return size if len(received) >= wire.LENGTH_BYTES + size else None


def _environment() -> dict[str, str]:
    """What a child needs to find the same Python and nothing else: no secret of the daemon's goes near a document."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
    package = Path(aggregator.__file__).parent.parent
    path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    return kept | {"PYTHONPATH": path, "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"}
