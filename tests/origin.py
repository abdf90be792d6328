"""A scripted origin on loopback: it answers what a test wrote down, well or badly, and remembers what it was asked.

    async with Origin() as origin:
        origin.script("/feed", Answer(body=b"<rss/>"), Answer(status=304))     # one after the other, the last for ever
        await fetcher.fetch(FetchRequest(origin.url("/feed")))
        assert origin.asked[0].header("user-agent").startswith("Business")

Raw sockets, so that it can lie: `length` false, `cut` short, `trickle`, `raw` bytes that are no HTTP at all. It keeps
connections alive unless told otherwise. As a proxy it sees absolute targets, which can be scripted like paths.
`served(origin)` runs one in a thread of its own for tests that are not asynchronous.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `headers` are sent as they are, besides Content-Length (`length` lies about it; None and `chunked`
    leave it out). `cut` closes after so many bytes of the body; `trickle` is (bytes, seconds) between pieces; `delay`
    in seconds before the first byte; `raw` replaces everything."""

    status: int = 200
    headers: tuple[tuple[str, str | bytes], ...] = ()
    body: bytes = b""
    reason: str = "Whatever"
    length: int | None = -1  # -1: the truth
    chunked: bool = False
    cut: int | None = None
    trickle: tuple[int, float] | None = None
    delay: float = 0.0
    close: bool = False
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in; header values are the bytes on the wire."""

    method: str
    target: str
    headers: tuple[tuple[str, bytes], ...]
    connection: int
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The value decoded as Latin-1, None if it was not sent."""
        found = self.raw(name)
        return None if found is None else found.decode("latin-1")

    def raw(self, name: str) -> bytes | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


Scripted = Answer | Callable[[Asked], Answer]


@dataclass(slots=True)
class Origin:
    """The server. `asked` holds every request in order, `connections` counts those accepted."""

    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _scripts: dict[str, list[Scripted]] = field(default_factory=dict)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def script(self, target: str, *answers: Scripted) -> str:
        """What `target` (a path with its query) answers, in order; returns its URL."""
        self._scripts[target] = list(answers)
        return self.url(target)

    def url(self, target: str = "/", host: str | None = None) -> str:
        scheme = "https" if self.tls else "http"
        name = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{scheme}://{name}:{self.port}{target}"

    def asked_for(self, target: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.target == target]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                number = self.connections
                while (asked := await _read_request(reader, number)) is not None:
                    self.asked.append(asked)
                    if not await _send(writer, self._next_answer(asked)):
                        break
        finally:
            writer.close()

    def _next_answer(self, asked: Asked) -> Answer:
        answers = self._scripts.get(asked.target)
        if not answers:
            return Answer(404, body=b"nothing scripted here")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer if isinstance(answer, Answer) else answer(asked)


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Asked | None:
    try:
        start = await reader.readexactly(1)
        if start == b"\x16":  # a TLS hello at a plain port: answered like any other nonsense
            return Asked("TLS", "hello", (), connection)
        head = start + await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head[:-4].split(b"\r\n")
    method, target, _ = first.decode("latin-1").split(" ", 2)
    headers = tuple(
        (name.decode("latin-1"), value.strip()) for name, _, value in (line.partition(b":") for line in lines)
    )
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    return Asked(method, target, headers, connection, await reader.readexactly(length))


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Send it; whether the connection may be used again."""
    if answer.delay:
        await asyncio.sleep(answer.delay)
    if answer.raw is not None:
        writer.write(answer.raw)
        await writer.drain()
        return False
    writer.write(_head(answer))
    body = _chunks(answer.body) if answer.chunked else answer.body
    if answer.cut is not None:
        body = body[: answer.cut]
    if answer.trickle is None:
        writer.write(body)
    else:
        size, seconds = answer.trickle
        for start in range(0, len(body), size):
            writer.write(body[start : start + size])
            await writer.drain()
            await asyncio.sleep(seconds)
    await writer.drain()
    return answer.cut is None and not answer.close and (answer.chunked or answer.length is not None)


def _head(answer: Answer) -> bytes:
    lines: list[bytes] = [f"HTTP/1.1 {answer.status} {answer.reason}".encode("latin-1")]
    lines += [
        name.encode("latin-1") + b": " + (value if isinstance(value, bytes) else value.encode("latin-1"))
        for name, value in answer.headers
    ]
    if answer.chunked:
        lines.append(b"Transfer-Encoding: chunked")
    elif answer.length is not None and answer.status != 304:
        length = len(answer.body) if answer.length == -1 else answer.length
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _chunks(body: bytes, size: int = 1000) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def redirect(location: str | bytes, status: int = 301) -> Answer:
    return Answer(status, (("Location", location),))


def gzipped(body: bytes, **more: object) -> Answer:
    """`body` with Content-Encoding: gzip."""
    return Answer(headers=(("Content-Encoding", "gzip"),), body=gzip.compress(body, mtime=0), **more)  # type: ignore[arg-type]


def conditional(body: bytes, etag: str = '"1"') -> Callable[[Asked], Answer]:
    """A well-behaved feed: 304 to who has it."""

    def answer(asked: Asked) -> Answer:
        if asked.header("if-none-match") == etag:
            return Answer(304, (("ETag", etag),))
        return Answer(headers=(("ETag", etag), ("Content-Type", "application/rss+xml")), body=body)

    return answer


@contextlib.contextmanager
def served(origin: Origin) -> Iterator[Origin]:
    """`origin` running in a thread of its own."""
    loop = asyncio.new_event_loop()
    is_up = threading.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(origin.start())
        is_up.set()
        loop.run_forever()
        loop.run_until_complete(origin.stop())
        loop.close()

    thread = threading.Thread(target=run, name="origin", daemon=True)
    thread.start()
    is_up.wait(5)
    try:
        yield origin
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
