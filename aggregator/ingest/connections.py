"""Connections to origins: opened at an address that was judged, asked one question at a time, kept for a few seconds.

    answer = await connections.get(target, head, reach)
    try: … answer.content …
    finally: answer.release()

A GET straight to the origin and nothing else: `fetch` follows redirects, keeps the deadline and reads bodies, and asks
through aiohttp's session what is no such thing. The protocol (parser, limits of the head, back-pressure, where a body
ends) is aiohttp's own; what is saved is the session around it, most of what a 304 cost (docs/decisions/fetching.md).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from typing import cast

import aiohttp
from aiohappyeyeballs import start_connection
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDictProxy

from aggregator.ingest import addresses
from aggregator.ingest.addresses import Reach
from aggregator.ingest.exchange import Refused, Target, one_line
from aggregator.ingest.names import Names, Place
from aggregator.types import FailureReason

KEEP_ALIVE = 5.0  # seconds: the feeds of one host follow each other faster; an idle connection holds 15 kB and a file
MAX_FIELD = 16384  # bytes of a line or field of an answer's head; of fields aiohttp takes 128
_READ = 64 * 1024  # bytes of a body that wait to be taken; beyond twice as many the origin has to wait
_MAX_INTERIM = 20  # answers of the kind 1xx before the real one
_NEXT_ADDRESS = 0.25  # seconds until a host's second address is tried beside the first (RFC 8305 §5)
# An IPv4 address spelt as everybody reads it, so that nobody looks it up as a name.
_CANONICAL = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")

_Key = tuple[bool, str, int, bool]


class Connections:
    """Holds the connections that wait for another question, by server and by where they may lead.

    One that was opened for who may go inside is not there for who may not: addresses are judged when a connection is
    opened, and the judgement must be the same for all who use it.
    """

    def __init__(self, tls: ssl.SSLContext, names: Names) -> None:
        self._tls, self._names = tls, names
        self._idle: dict[_Key, list[tuple[_Conversation, float]]] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    async def get(self, target: Target, head: bytes, reach: Reach) -> Answer:
        """The answer to a GET whose request is `head`, its body still to be read.

        Raises Refused for what we must not or cannot connect to, aiohttp's errors for a connection that breaks and for
        what is not HTTP. Whoever asks bounds the time.
        """
        key = (target.is_tls, target.host, target.port, reach.is_inside)
        while (kept := self._take(key)) is not None:
            try:
                return await self._ask(kept, head)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
                continue  # closed while it was idle, or was about to be: no failure of the question (RFC 9112 §9.3.1)
        return await self._ask(await self._open(target, key, reach), head)

    def close_idle(self) -> None:
        """Close those that wait: every question from now on opens its own."""
        idle, self._idle = self._idle, {}
        for waiting in idle.values():
            for conversation, _ in waiting:
                conversation.close()

    def close(self) -> None:
        self.close_idle()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def keep(self, conversation: _Conversation) -> None:
        """Have it wait for another question."""
        loop = asyncio.get_running_loop()
        conversation.is_idle = True
        self._idle.setdefault(conversation.key, []).append((conversation, loop.time() + KEEP_ALIVE))
        if self._sweeper is None:
            self._sweeper = loop.call_later(KEEP_ALIVE, self._sweep)

    def _take(self, key: _Key) -> _Conversation | None:
        """The connection to this server that waited least; those found closed are dropped."""
        waiting = self._idle.pop(key, None)
        if waiting is None:
            return None
        now = asyncio.get_running_loop().time()
        while waiting:
            conversation, until = waiting.pop()
            if until > now and conversation.is_connected() and not conversation.should_close:
                if waiting:
                    self._idle[key] = waiting
                conversation.is_idle = False
                return conversation
            conversation.close()
        return None

    def _sweep(self) -> None:
        """Close those that have waited for long enough."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        idle, self._idle = self._idle, {}
        for key, waiting in idle.items():
            for conversation, until in waiting:
                if until > now and conversation.is_connected():
                    self._idle.setdefault(key, []).append((conversation, until))
                else:
                    conversation.close()
        self._sweeper = loop.call_later(KEEP_ALIVE, self._sweep) if self._idle else None

    # ------------------------------------------------------------ one question

    async def _ask(self, conversation: _Conversation, head: bytes) -> Answer:
        transport = conversation.transport
        if transport is None:
            raise aiohttp.ServerDisconnectedError
        conversation.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=_READ,
            max_line_size=MAX_FIELD,
            max_field_size=MAX_FIELD,
        )
        transport.write(head)
        try:
            for _ in range(_MAX_INTERIM + 1):
                message, content = await conversation.read()
                if not 100 <= message.code < 200 or message.code == 101:
                    return Answer(message.code, message.reason, message.headers, content, conversation, self)
            raise Refused(FailureReason.PROTOCOL, f"more than {_MAX_INTERIM} interim answers")
        except BaseException:
            conversation.close()  # what may still come answers nobody's question
            raise

    async def _open(self, target: Target, key: _Key, reach: Reach) -> _Conversation:
        """A new connection. Names are looked up, addresses judged and the judged ones connected to: nothing is asked
        for by name after the judgement."""
        loop = asyncio.get_running_loop()
        places = await self._judged(target.host, reach)
        tls = self._tls if target.is_tls else None
        name = target.host.rstrip(".") if target.is_tls else None
        try:
            if len(places) == 1 and "%" not in (address := places[0].peer[0]):
                _, conversation = await loop.create_connection(
                    lambda: _Conversation(loop, key), address, target.port, ssl=tls, server_hostname=name
                )
                return conversation
            infos = [
                (place.family, 1, place.protocol, "", (place.peer[0], target.port, *place.peer[2:])) for place in places
            ]
            connected = await start_connection(infos, happy_eyeballs_delay=_NEXT_ADDRESS)
            try:
                _, conversation = await loop.create_connection(
                    lambda: _Conversation(loop, key), sock=connected, ssl=tls, server_hostname=name
                )
            except BaseException:
                connected.close()
                raise
            return conversation
        except ssl.SSLCertVerificationError as error:
            raise Refused(FailureReason.TLS, f"certificate not valid: {one_line(error)}") from error
        except ssl.SSLError as error:
            raise Refused(FailureReason.TLS, f"TLS handshake failed: {one_line(error)}") from error
        except OSError as error:
            raise Refused(FailureReason.CONNECT, f"cannot connect: {one_line(error)}") from error

    async def _judged(self, host: str, reach: Reach) -> list[Place]:
        """The addresses of `host` that we may connect to. Raises Refused where there are none."""
        literal = addresses.literal_address(host)
        if literal is None:
            try:
                places = await self._names.places(host)
            except (OSError, UnicodeError) as error:
                raise Refused(FailureReason.DNS, f"name does not resolve: {one_line(error)}") from error
        elif literal.version == 4 and not _CANONICAL.fullmatch(host):
            raise Refused(FailureReason.BAD_URL, f"not an address to be asked: {host} is {literal}, oddly written")
        elif (refusal := reach.refusal(literal)) is not None:
            raise Refused(FailureReason.ADDRESS, refusal)
        else:
            return [Place(0, 0, (host if literal.version == 4 else str(literal), 0))]
        allowed, why = [], ""
        for place in places:
            refusal = reach.refusal(place.address)
            if refusal is None:
                allowed.append(place)
            else:
                why = why or refusal
        if not allowed:
            raise Refused(FailureReason.ADDRESS, why)
        return allowed


@dataclass(slots=True)
class Answer:
    """The head of an answer, and its body as a stream of raw bytes."""

    status: int
    reason: str | None
    headers: CIMultiDictProxy[str]
    content: aiohttp.StreamReader
    _conversation: _Conversation
    _home: Connections

    def release(self) -> None:
        """Give the connection back if the body was read to its end and nothing came after it, close it otherwise."""
        if self._conversation.should_close or not self._conversation.is_connected():
            self._conversation.close()
        else:
            self._home.keep(self._conversation)


class _Conversation(ResponseHandler):
    """One connection: aiohttp's protocol, which must hear nothing while it has asked nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, key: _Key) -> None:
        super().__init__(loop)
        self.key = key
        self.is_idle = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not aiohttp's, which turns Nagle's algorithm off: asyncio and uvloop have done so (two system calls a feed).
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.is_idle:  # an answer to no question: whatever it is, the next question must not get it
            self.force_close()
            self.close()
        else:
            super().data_received(data)
