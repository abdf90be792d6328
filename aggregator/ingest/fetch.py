"""Asking origins: the only outgoing HTTP. A FetchRequest comes in, Fetched, NotModified or FetchFailed goes out; forms
are posted to hubs, documents to subscribers.

Whatever an origin does is a value, never an exception. `polling` decides when to ask and what to make of the answer,
`exchange` what is said on the wire, `addresses` where we may connect to, `coding` how bytes become a document.
Choices and what was measured: docs/decisions/fetching.md.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from aggregator.ingest import addresses
from aggregator.ingest.challenge import LOOK_AT, challenger, looks_like_html
from aggregator.ingest.coding import STEP, Body, BodyError
from aggregator.ingest.exchange import (
    DOCUMENT,
    REDIRECT,
    Refused,
    Trail,
    needs_body,
    plain_headers,
    refusal,
    request_headers,
    validators,
)
from aggregator.types import (
    Answered,
    FailureReason,
    Fetched,
    FetchFailed,
    FetchOutcome,
    FetchRequest,
    NotModified,
    Validators,
)
from aggregator.urls import http_url

VERSION = "0.1"
_DNS_THREADS = 16  # getaddrinfo blocks; a name server that is down must not hold up everyone else
_REFUSED_ADDRESS = "address not allowed"  # the words survive aiohttp's wrapping of errors; their types do not
_LARGE = 1024 * 1024  # bytes; few feeds are, and only so many such bodies at a time bound our memory
_LARGE_AT_A_TIME = 8
_KEEP_ALIVE = 5.0  # seconds: the feeds of one host follow each other faster; an idle connection holds 15 kB and a file
_SMALL = 16384  # bytes of a redirect's body worth reading to keep the connection
_SAID = 500  # bytes of the answer to a post that a person may want to read


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """How we ask. `timeout` in seconds for a whole poll with its redirects; `max_body` in bytes, sent and decoded
    alike; `contact` a URL or address put into the User-Agent; `proxy` for requests that name none; `allow_networks`
    CIDRs exempt from the private-address guard; `concurrency` requests at a time in all. `ca_file` adds certificates
    to the system's (verification itself cannot be turned off)."""

    timeout: float = 30.0
    max_body: int = 8 * 1024 * 1024
    max_redirects: int = 5
    contact: str = ""
    proxy: str | None = None
    allow_networks: tuple[str, ...] = ()
    concurrency: int = 64
    ca_file: Path | None = None

    @property
    def user_agent(self) -> str:
        return f"BusinessMonkeyNews/{VERSION} (+{self.contact})" if self.contact else f"BusinessMonkeyNews/{VERSION}"


class Fetcher:
    """Holds the connections. `async with Fetcher(policy) as fetcher: outcome = await fetcher.fetch(request)`."""

    def __init__(self, policy: FetchPolicy) -> None:
        """Raises ValueError where `allow_networks` holds what is no CIDR, OSError where `ca_file` cannot be read."""
        self.configure(policy)
        self._tls = ssl.create_default_context()
        if policy.ca_file is not None:
            self._tls.load_verify_locations(policy.ca_file)
        self._large = asyncio.Semaphore(_LARGE_AT_A_TIME)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._threads: ThreadPoolExecutor | None = None

    def configure(self, policy: FetchPolicy) -> None:
        """Ask by this policy from the next question on; its `ca_file` counts at the start alone. Raises ValueError."""
        self._allowed = addresses.networks(policy.allow_networks)
        self._policy, self._user_agent = policy, policy.user_agent
        self._slots = asyncio.Semaphore(policy.concurrency)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def fetch(self, request: FetchRequest, known_body: bytes | None = None) -> FetchOutcome:
        """Ask once, following redirects. `known_body` is the hash of the last body understood: the same one again is
        NotModified. The deadline counts from when one of the policy's `concurrency` places is free."""
        async with self._slots:
            started = perf_counter()
            trail = Trail(request.url)
            try:
                async with asyncio.timeout(self._policy.timeout):
                    return await self._follow(request, known_body, trail, started)
            except Exception as error:  # the boundary: a poll that fails is a value, whatever an origin thought up
                return _failed(error, request, trail, self._policy, perf_counter() - started)

    async def post(self, url: str, form: Sequence[tuple[str, str]], proxy: str | None = None) -> Answered | FetchFailed:
        """Post a form, as to a hub; only redirects that keep it a post (307, 308) are followed."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._say("POST", url, headers, urlencode(form).encode(), proxy, self._policy.max_redirects)

    async def bring(
        self, url: str, body: bytes, headers: Mapping[str, str], proxy: str | None = None
    ) -> Answered | FetchFailed:
        """Post a document, as to a subscriber. No redirect is followed: whoever subscribed vouched for `url` alone."""
        return await self._say("POST", url, headers, body, proxy, 0)

    async def ask(self, url: str, proxy: str | None = None) -> Answered | FetchFailed:
        """The start of what stands at `url`, whatever its status. No redirect is followed, as in `bring`."""
        return await self._say("GET", url, {}, b"", proxy, 0)

    async def _say(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, proxy: str | None, redirects: int
    ) -> Answered | FetchFailed:
        async with self._slots:
            started = perf_counter()
            trail = Trail(url)
            try:
                async with asyncio.timeout(self._policy.timeout):
                    return await self._said(method, headers, body, proxy or self._policy.proxy, trail, redirects)
            except Exception as error:  # the boundary, as in `fetch`
                return _failed(error, FetchRequest(url), trail, self._policy, perf_counter() - started)

    async def _said(
        self, method: str, headers: Mapping[str, str], body: bytes, proxy: str | None, trail: Trail, redirects: int
    ) -> Answered:
        session, url, started = self._session(proxy is not None), trail.url, perf_counter()
        sent = {"User-Agent": self._user_agent, **headers}
        for left in range(redirects, -1, -1):
            target = self._target(trail.url, proxy is not None)
            content = BytesIO(body) if body else None  # in pieces: a large one must not hold the loop
            response = await session.request(
                method, target, data=content, headers=sent, allow_redirects=False, proxy=proxy
            )
            try:
                if response.status in (307, 308) and redirects:
                    if left:
                        trail.step(response.status, response.headers.get("Location", "").strip())
                    continue
                said = (await _start_of(response))[:_SAID].decode("utf-8", "replace")
                took, answered = perf_counter() - started, plain_headers(response.headers.items())
                return Answered(url, trail.url, response.status, answered, said, took)
            finally:
                response.release()
        raise Refused(FailureReason.REDIRECTS, f"more than {redirects} redirects")

    async def _follow(
        self, request: FetchRequest, known_body: bytes | None, trail: Trail, started: float
    ) -> FetchOutcome:
        proxy = request.proxy or self._policy.proxy
        session = self._session(proxy is not None)
        for _ in range(self._policy.max_redirects + 1):
            target = self._target(trail.url, proxy is not None)
            asked = request_headers(request, trail.url, self._user_agent)
            response = await session.get(target, headers=asked, allow_redirects=False, proxy=proxy)
            try:
                if response.status not in REDIRECT:
                    return await self._answer(request, response, asked, known_body, trail, started)
                if (response.content_length or 0) <= _SMALL and "Content-Length" in response.headers:
                    await response.content.read()
                trail.step(response.status, response.headers.get("Location", "").strip())
            finally:
                # Gives the connection back if the body was read to its end, closes it otherwise.
                response.release()
        raise Refused(FailureReason.REDIRECTS, f"more than {self._policy.max_redirects} redirects")

    async def _answer(
        self,
        request: FetchRequest,
        response: aiohttp.ClientResponse,
        asked: dict[str, str],
        known_body: bytes | None,
        trail: Trail,
        started: float,
    ) -> FetchOutcome:
        status, headers, given = response.status, plain_headers(response.headers.items()), validators(response.headers)
        if status == 304:
            if "If-None-Match" not in asked and "If-Modified-Since" not in asked:
                raise Refused(FailureReason.PROTOCOL, "304 to a question without validators", 304, headers)
            kept = request.validators
            given = Validators(given.etag or kept.etag, given.last_modified or kept.last_modified)
            took = perf_counter() - started
            return NotModified(request.url, trail.url, 304, headers, given, trail.permanent, took)
        if status not in DOCUMENT:
            page = await _start_of(response) if needs_body(status, headers) else b""
            raise refusal(status, response.reason or "", headers, page)
        try:
            body, body_hash = await self._read(response)
        except BodyError as error:
            raise Refused(error.reason, error.detail, status, headers) from error
        if looks_like_html(headers, body) and (who := challenger(headers, body)):
            raise Refused(FailureReason.BLOCKED, f"{status}: {who} challenge page", status, headers)
        took = perf_counter() - started
        if body_hash == known_body:
            return NotModified(request.url, trail.url, status, headers, given, trail.permanent, took)
        return Fetched(request.url, trail.url, status, headers, body, body_hash, given, trail.permanent, took)

    async def _read(self, response: aiohttp.ClientResponse) -> tuple[bytes, bytes]:
        """The document, decoded, and its hash. Raises BodyError where it is too large, cut short, empty, not gzip."""
        cap, length = self._policy.max_body, response.content_length
        if length is not None and length > cap:
            raise BodyError(FailureReason.TOO_LARGE, f"{length} bytes announced, fetch.max_body is {cap}")
        body = Body(response.headers.get("Content-Encoding", ""), cap)
        is_large = False
        try:
            while chunk := await response.content.readany():
                for _ in body.steps(chunk):
                    if body.size > _LARGE and not is_large:
                        await self._large.acquire()
                        is_large = True
                    elif body.size >= STEP:
                        await asyncio.sleep(0)
            document = body.whole()
        except aiohttp.ClientPayloadError as error:
            raise BodyError(FailureReason.TRUNCATED, f"body cut short after {body.sent} bytes") from error
        finally:
            if is_large:
                self._large.release()
        if not document or document.isspace():
            raise BodyError(FailureReason.EMPTY, "an empty document")
        return document, body.digest()

    def _target(self, url: str, is_proxied: bool) -> URL:
        """`url` ready to be asked. Raises Refused for what is no http(s) address, or spells one we must not reach.

        Where we connect ourselves the guard at the socket decides; behind a proxy only the spelling can be judged.
        """
        checked = http_url(url)
        if checked is None:
            raise Refused(FailureReason.BAD_URL, "not an http(s) address (credentials belong into the source's auth)")
        target = URL(checked, encoded=True)
        kind = addresses.spelled_refusal(target.raw_host or "", self._allowed) if is_proxied else None
        if kind is not None:
            raise Refused(FailureReason.ADDRESS, f"{_REFUSED_ADDRESS}: {target.raw_host} is {kind}")
        return target

    def _session(self, is_proxied: bool) -> aiohttp.ClientSession:
        """The session for direct connections, guarded, or the one for proxies, whom the operator vouches for."""
        session = self._sessions.get(is_proxied)
        if session is not None:
            return session
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_DNS_THREADS, "dns")
        connector = aiohttp.TCPConnector(
            limit=0,  # `_slots` bounds us; waiting inside the connector would eat into the deadline
            ssl=self._tls,
            ttl_dns_cache=60,
            resolver=_Resolver(self._threads),
            socket_factory=None if is_proxied else self._guarded_socket,
            keepalive_timeout=_KEEP_ALIVE,
        )
        self._sessions[is_proxied] = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            max_line_size=16384,
            max_field_size=16384,
        )
        return self._sessions[is_proxied]

    def _guarded_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for one resolved address (getaddrinfo's tuple). Raises OSError for those we must not connect to."""
        family, kind, protocol, _, peer = info
        address = ip_address(peer[0].partition("%")[0])
        refused = addresses.refusal(address, self._allowed)
        if refused is not None:
            raise OSError(f"{_REFUSED_ADDRESS}: {address} is {refused}, see fetch.allow_networks")
        return socket.socket(family, kind, protocol)


class _Resolver(AbstractResolver):
    """getaddrinfo in threads of its own, so that slow look-ups neither wait for other work nor hold it up."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port, family)
        return [
            ResolveResult(
                hostname=host, host=str(peer[0]), port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST
            )
            for kind, _, protocol, _, peer in found
        ]

    async def close(self) -> None:
        """Nothing: the threads belong to the Fetcher."""


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[Any]:
    return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    """The first bytes of an error page, decoded as far as they go; empty if they cannot be read."""
    try:
        body = Body(response.headers.get("Content-Encoding", ""), 16 * LOOK_AT)
        while body.sent < LOOK_AT and (chunk := await response.content.readany()):
            body.add(chunk[:LOOK_AT])
        return body.so_far()
    except (BodyError, aiohttp.ClientError):
        return b""


def _failed(error: Exception, request: FetchRequest, trail: Trail, policy: FetchPolicy, took: float) -> FetchFailed:
    """`error` as a value. In a function of its own: a frame that held on to its exception, and the exception to the
    frame, would keep a large body alive until garbage is collected."""
    refused = _as_refused(error, policy)
    return FetchFailed(
        url=request.url,
        reason=refused.reason,
        detail=refused.detail,
        final_url=trail.url,
        status=refused.status,
        headers=refused.headers,
        permanent_url=trail.permanent,
        took=took,
    )


def _as_refused(error: Exception, policy: FetchPolicy) -> Refused:
    """What an exception of ours, aiohttp's or the system's means for the poll."""
    match error:
        case Refused():
            return error
        case TimeoutError():
            return Refused(FailureReason.TIMEOUT, f"no whole answer within {policy.timeout:g} s")
        case aiohttp.ClientConnectorDNSError():
            return Refused(FailureReason.DNS, f"name does not resolve: {_line(error.os_error)}")
        case aiohttp.ClientConnectorCertificateError():
            return Refused(FailureReason.TLS, f"certificate not valid: {_line(error.certificate_error)}")
        case aiohttp.ClientConnectorSSLError():
            return Refused(FailureReason.TLS, f"TLS handshake failed: {_line(error.os_error)}")
        case aiohttp.ClientHttpProxyError():
            return Refused(FailureReason.CONNECT, f"the proxy refuses: {error.status} {_line(error.message)}")
        case aiohttp.ClientProxyConnectionError():
            return Refused(FailureReason.CONNECT, f"the proxy cannot be reached: {_line(error.os_error)}")
        case aiohttp.ClientConnectorError() if _REFUSED_ADDRESS in (why := _line(error.os_error)):
            return Refused(FailureReason.ADDRESS, why)
        case aiohttp.ClientConnectorError():
            return Refused(FailureReason.CONNECT, f"cannot connect: {_line(error.os_error)}")
        case aiohttp.InvalidURL():
            return Refused(FailureReason.BAD_URL, "not an address that can be asked")
        case aiohttp.ClientResponseError() | aiohttp.http_exceptions.HttpProcessingError():
            return Refused(FailureReason.PROTOCOL, f"not HTTP as we know it: {_line(error.message)}")
        case aiohttp.ServerDisconnectedError():
            return Refused(FailureReason.CONNECT, "connection closed without an answer")
        case OSError() | aiohttp.ClientError():
            return Refused(FailureReason.CONNECT, f"connection broke: {_line(error)}")
        case _:
            return Refused(FailureReason.INTERNAL, f"{type(error).__name__}: {_line(error)}")


def _line(what: object) -> str:
    return " ".join(str(what).split())[:200] or type(what).__name__
