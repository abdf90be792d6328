"""The listening sockets: what an Answerer says goes out over HTTP/1.1, and no client can hold us up.

The only module that serves on the network. Which answer belongs to a request is decided in `site` and `admin`; behind a
proxy or not makes no difference here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from aggregator.errors import ListenError
from aggregator.publish.answers import Answer, Answerer, Taker, plain

KEEPALIVE = 30.0  # seconds in which a connection must bring a whole request, the first as well as the next
SLOWEST_READER = 30.0  # seconds in which a client must take what waits for it
MAX_CONNECTIONS = 4096  # per listener; more are closed at once
BACKLOG = 1024
BODY_SECONDS = 30.0  # in which a body must be here
BODIES = 8  # bodies of any listener being read at a time: with their limit they bound memory
_LIMITS: dict[str, Any] = {
    "keepalive_timeout": KEEPALIVE,
    "lingering_time": 0.5,  # seconds for the rest of a body that nobody asked for
    "max_line_size": 8190,
    "max_field_size": 8190,
    "max_headers": 64,
    "access_log": None,
}
_FD_START = 3  # sd_listen_fds(3)
Counted = Callable[[int], None]


class Listener:
    """Sockets that are being served until `stop`. `addresses` are as bound, `url` is the first as clients write it."""

    def __init__(self, runner: web.ServerRunner, sockets: Sequence[socket.socket], *, is_ours: bool) -> None:
        self._runner = runner
        # The file of an inherited socket is systemd's, which goes on listening there without us.
        self._unix_paths = [str(each.getsockname()) for each in sockets if is_ours and each.family == socket.AF_UNIX]
        self.addresses = tuple(_shown(each) for each in sockets)

    @property
    def url(self) -> str:
        """`http://host:port` of the first address."""
        return f"http://{self.addresses[0]}"

    async def stop(self) -> None:
        """Take no more connections, finish the requests under way (up to five seconds), close the rest."""
        await self._runner.cleanup()
        for path in self._unix_paths:
            with contextlib.suppress(OSError):
                os.unlink(path)


async def listen(
    answerer: Answerer,
    address: str,
    inherited: Sequence[socket.socket] = (),
    taker: Taker | None = None,
    counted: Counted | None = None,
) -> Listener:
    """Serve on `address` (`host:port`, `[::]:port`, `unix:PATH`), or on the sockets that systemd handed down instead.
    Bodies are read for `taker` alone. `counted` hears the status of every answer, on the event loop.

    Raises ListenError where the address cannot be had.
    """
    sockets = list(inherited) or bound_sockets(address)
    server = _Server(_handler(answerer, taker), counted)
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=5.0)
    await runner.setup()
    try:
        for each in sockets:
            await web.SockSite(runner, each, backlog=BACKLOG).start()
    except OSError as error:  # somebody else bound it at the same moment and was the first to listen
        await runner.cleanup()
        raise ListenError(_reason(address, error)) from error
    return Listener(runner, sockets, is_ours=not inherited)


# ---------------------------------------------------------------- requests


def _handler(answerer: Answerer, taker: Taker | None) -> Callable[[web.BaseRequest], Any]:
    reading = 0

    async def taken(request: web.BaseRequest, by: Taker) -> web.StreamResponse:
        nonlocal reading
        target, headers = request.raw_path, request.headers
        limit = await by.expects(target, headers)
        if isinstance(limit, Answer):
            return _response(limit, request)
        if reading >= BODIES:
            return _response(plain(503, "too many bring something at once", (("Retry-After", "5"),)), request)
        reading += 1
        try:
            body = await _body(request, limit)
            answer = body if isinstance(body, Answer) else await by.take(target, headers, body)
        finally:
            reading -= 1
        return _response(answer, request, is_read=not isinstance(body, Answer))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        method, target, headers = request.method, request.raw_path, request.headers
        answer = answerer.at_once(method, target, headers)
        if answer is None and method == "POST" and taker is not None:
            return await taken(request, taker)
        if answer is None:
            answer = await answerer.later(method, target, headers)
        return _response(answer, request)

    return handle


async def _body(request: web.BaseRequest, limit: int) -> bytes | Answer:
    """The request's body, or the answer that refuses it: too large, coded, too slow."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return plain(415, "send it without a content coding")
    if (request.content_length or 0) > limit:
        return plain(413, f"at most {limit} bytes here")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > limit:
                    return plain(413, f"at most {limit} bytes here")
    except TimeoutError:
        return plain(408, f"not here within {BODY_SECONDS:g} s")
    return bytes(body)


def _response(answer: Answer, request: web.BaseRequest, *, is_read: bool = False) -> web.StreamResponse:
    # The headers say the length, aiohttp keeps the bytes back for HEAD.
    response = web.Response(status=answer.status, headers=answer.headers, body=answer.body or None)
    if request.body_exists and not is_read:
        response.force_close()  # whatever it is, we do not read it
    return response


class _Server(web.Server):
    """Gives every connection our protocol instead of aiohttp's."""

    def __init__(self, handler: Callable[[web.BaseRequest], Any], counted: Counted | None) -> None:
        super().__init__(handler)
        self.counted = counted

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **_LIMITS)


class _Connection(RequestHandler):
    """One client, within limits: aiohttp bounds how long it may ask, this how long it may take the answer."""

    __slots__ = ("_deadline",)

    _deadline: asyncio.TimerHandle | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._deadline = None
        super().connection_made(transport)
        assert self._manager is not None
        if len(self._manager._connections) > MAX_CONNECTIONS:
            self.force_close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._deadline = self._loop.call_later(SLOWEST_READER, self._abort)

    def resume_writing(self) -> None:
        self._at_ease()
        super().resume_writing()

    def connection_lost(self, error: BaseException | None) -> None:
        self._at_ease()
        super().connection_lost(error)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A line of text with the headers that every answer has; the reason is in our log, not in theirs."""
        if status >= 500:
            self.logger.error("request failed: %s", request.path[:200], exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionResetError("the answer broke off, another cannot follow it")
        answer = plain(status, "that is not a request" if status == 400 else "this failed, and it is our fault")
        response = web.Response(status=status, headers=answer.headers, body=answer.body)
        response.force_close()
        return response

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, request_start: float | None) -> None:
        """aiohttp calls this for every answer, its own refusals too. We log none and count all."""
        # Who hung up in the middle has no server any more; aiohttp tells us all the same.
        if isinstance(self._manager, _Server) and self._manager.counted is not None:
            self._manager.counted(response.status)

    def _at_ease(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _abort(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()


# ---------------------------------------------------------------- sockets


def bound_sockets(address: str) -> list[socket.socket]:
    """Listening sockets for `host:port`, `[v6]:port`, `*:port` or `unix:PATH`. Raises ListenError."""
    if address.startswith("unix:"):
        return [_unix_socket(Path(address.removeprefix("unix:")))]
    host, _, port = address.rpartition(":")
    host = "" if host == "*" else host.strip("[]")
    if not port.isdigit() or int(port) > 65535:
        raise ListenError(f"cannot listen on {address!r}: no port, write host:port or unix:PATH")
    try:
        found = socket.getaddrinfo(host or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [_tcp_socket(family, sockaddr, is_alone=len(found) == 1) for family, _, _, _, sockaddr in found]
    except OSError as error:
        raise ListenError(_reason(address, error)) from error


def beside(address: str) -> str:
    """Any free port of the same host; a socket file has no such neighbour."""
    return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:0"


def inherited_sockets(environment: Mapping[str, str], process_id: int | None = None) -> dict[str, list[socket.socket]]:
    """The listening sockets that systemd handed down (LISTEN_FDS), by the names it gave them (FileDescriptorName=).

    Without a name the first is `public`, the second `admin`. Empty where there are none or they are another process's.
    """
    if environment.get("LISTEN_PID") != str(process_id or os.getpid()):
        return {}
    count = int(environment.get("LISTEN_FDS") or 0)
    names = (environment.get("LISTEN_FDNAMES") or "").split(":")
    sockets: dict[str, list[socket.socket]] = {}
    for position in range(count):
        name = names[position] if position < len(names) else ""
        if name not in ("public", "admin"):
            name = "public" if position == 0 else "admin"
        inherited = socket.socket(fileno=_FD_START + position)
        inherited.setblocking(False)
        inherited.set_inheritable(False)  # our parse children have no business with it
        sockets.setdefault(name, []).append(inherited)
    return sockets


def _tcp_socket(family: int, sockaddr: Any, is_alone: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `[::]` alone means everything, IPv4 too; beside an IPv4 socket of the same name it would clash.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if is_alone and sockaddr[0] == "::" else 1)
        # A peer that takes nothing for a minute is gone, whatever its keep-alives say.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)
        made.bind(sockaddr)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


def _unix_socket(path: Path) -> socket.socket:
    """A socket file for us and our group (0660). One that nobody serves any more is removed first."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_stale(path):
            path.unlink()
        mask = os.umask(0o117)
        try:
            made.bind(str(path))
        finally:
            os.umask(mask)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise ListenError(_reason(f"unix:{path}", error)) from error
    return made


def _is_stale(path: Path) -> bool:
    if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == errno.ECONNREFUSED


def _reason(address: str, error: OSError) -> str:
    remedy = {
        errno.EADDRINUSE: "it is in use; stop the other process or choose another address",
        errno.EACCES: "not permitted; choose a port above 1023 or a directory that is ours",
        errno.EADDRNOTAVAIL: "this machine has no such address",
        errno.ENOENT: "the directory does not exist",
    }.get(error.errno or 0, error.strerror or str(error))
    return f"cannot listen on {address}: {remedy}"


def _shown(each: socket.socket) -> str:
    name = each.getsockname()
    if each.family == socket.AF_UNIX:
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if each.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"
