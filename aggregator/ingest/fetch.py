"""Asking origins: the only outgoing HTTP. A FetchRequest comes in, Fetched, NotModified or FetchFailed goes out; forms
are posted to hubs, documents to subscribers.

Whatever an origin does is a value, never an exception. `polling` decides when to ask and what to make of the answer,
`exchange` what is said on the wire, `addresses` where we may connect to, `coding` how bytes become a document. Feeds
are asked over `connections`; what goes through a proxy or brings something along goes through aiohttp's session.
Choices and what was measured: docs/decisions/fetching.md.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlencode

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDictProxy
from yarl import URL

from aggregator.ingest import addresses
from aggregator.ingest.addresses import Reach
from aggregator.ingest.challenge import LOOK_AT, challenger, looks_like_html
from aggregator.ingest.coding import STEP, Body, BodyError
from aggregator.ingest.connections import KEEP_ALIVE, MAX_FIELD, Connections
from aggregator.ingest.exchange import (
    DOCUMENT,
    REDIRECT,
    Refused,
    Trail,
    get_head,
    needs_body,
    one_line,
    plain_headers,
    refusal,
    request_headers,
    target_of,
    validators,
)
from aggregator.ingest.names import Names
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
_LARGE = 1024 * 1024  # bytes; few feeds are, and only so many such bodies at a time bound our memory
_LARGE_AT_A_TIME = 8
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
        self._names = Names()
        self._connections = Connections(self._tls, self._names)
        self._sessions: dict[tuple[bool, bool], aiohttp.ClientSession] = {}

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
        self._connections.close()
        self._names.close()

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

    async def post(
        self, url: str, form: Sequence[tuple[str, str]], proxy: str | None = None, configured_url: str | None = None
    ) -> Answered | FetchFailed:
        """Post a form, as to a hub; only redirects that keep it a post (307, 308) are followed. `configured_url` is the
        operator's address of the source whose document named `url`, None where the operator wrote `url` itself."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        request = FetchRequest(url, headers=tuple(headers.items()), proxy=proxy, configured_url=configured_url)
        return await self._say("POST", request, urlencode(form).encode(), self._policy.max_redirects)

    async def bring(
        self, url: str, body: bytes, headers: Mapping[str, str], proxy: str | None = None
    ) -> Answered | FetchFailed:
        """Post a document, as to a subscriber. No redirect is followed: whoever subscribed vouched for `url` alone."""
        return await self._say("POST", FetchRequest(url, headers=tuple(headers.items()), proxy=proxy), body, 0)

    async def ask(self, url: str, proxy: str | None = None) -> Answered | FetchFailed:
        """The start of what stands at `url`, whatever its status. No redirect is followed, as in `bring`."""
        return await self._say("GET", FetchRequest(url, proxy=proxy), b"", 0)

    async def _say(self, method: str, request: FetchRequest, body: bytes, redirects: int) -> Answered | FetchFailed:
        async with self._slots:
            started = perf_counter()
            trail = Trail(request.url)
            try:
                async with asyncio.timeout(self._policy.timeout):
                    return await self._said(method, request, body, trail, redirects)
            except Exception as error:  # the boundary, as in `fetch`
                return _failed(error, request, trail, self._policy, perf_counter() - started)

    async def _said(self, method: str, request: FetchRequest, body: bytes, trail: Trail, redirects: int) -> Answered:
        started = perf_counter()
        proxy = request.proxy or self._policy.proxy
        reach = await self._reach(request, proxy is not None)
        session = self._session(proxy is not None, reach.is_inside)
        sent = {"User-Agent": self._user_agent, **dict(request.headers)}
        for left in range(redirects, -1, -1):
            target = _asked_by_proxy(trail.url, reach) if proxy else URL(_checked(trail.url), encoded=True)
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
                return Answered(request.url, trail.url, response.status, answered, said, took)
            finally:
                response.release()
        raise Refused(FailureReason.REDIRECTS, f"more than {redirects} redirects")

    async def _follow(
        self, request: FetchRequest, known_body: bytes | None, trail: Trail, started: float
    ) -> FetchOutcome:
        proxy = request.proxy or self._policy.proxy
        reach = await self._reach(request, proxy is not None)
        for _ in range(self._policy.max_redirects + 1):
            asked = request_headers(request, trail.url, self._user_agent)
            response = await self._get(trail.url, asked, reach, proxy)
            try:
                if response.status not in REDIRECT:
                    return await self._answer(request, response, asked, known_body, trail, started)
                if (_length(response) or _SMALL + 1) <= _SMALL:
                    await response.content.read()
                trail.step(response.status, response.headers.get("Location", "").strip())
            finally:
                # Gives the connection back if the body was read to its end, closes it otherwise.
                response.release()
        raise Refused(FailureReason.REDIRECTS, f"more than {self._policy.max_redirects} redirects")

    async def _get(self, url: str, headers: Mapping[str, str], reach: Reach, proxy: str | None) -> _Response:
        if proxy is None:
            target = target_of(_checked(url))
            return await self._connections.get(target, get_head(target, headers), reach)
        session = self._session(True, reach.is_inside)
        return await session.get(_asked_by_proxy(url, reach), headers=headers, allow_redirects=False, proxy=proxy)

    async def _answer(
        self,
        request: FetchRequest,
        response: _Response,
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

    async def _read(self, response: _Response) -> tuple[bytes, bytes]:
        """The document, decoded, and its hash. Raises BodyError where it is too large, cut short, empty, not gzip."""
        cap, length = self._policy.max_body, _length(response)
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

    async def _reach(self, request: FetchRequest, is_proxied: bool) -> Reach:
        """Where this request and its redirects may lead, by the address that the operator wrote."""
        if not self._allowed:
            return _OUTSIDE
        url = http_url(request.url if request.configured_url is None else request.configured_url)
        if url is None:
            return Reach(self._allowed)
        host = target_of(url).host
        if addresses.is_local_host(host, self._allowed):
            return Reach(self._allowed, True)
        if is_proxied or addresses.literal_address(host) is not None:  # names are the proxy's to look up
            return Reach(self._allowed)
        try:
            places = await self._names.places(host)
        except OSError:  # asked for, it will say so again
            return Reach(self._allowed)
        return Reach(self._allowed, any(addresses.is_allowed(place.address, self._allowed) for place in places))

    def _session(self, is_proxied: bool, is_inside: bool) -> aiohttp.ClientSession:
        """A session for direct connections, guarded, or one for proxies, whom the operator vouches for. Who may go
        inside has one of their own, as a kept connection is not judged again."""
        key = (is_proxied, is_inside)
        if key in self._sessions:
            return self._sessions[key]
        connector = aiohttp.TCPConnector(
            limit=0,  # `_slots` bounds us; waiting inside the connector would eat into the deadline
            ssl=self._tls,
            use_dns_cache=False,  # `_names` has its own
            resolver=_Resolver(self._names),
            socket_factory=None if is_proxied else lambda info: self._guarded_socket(info, is_inside),
            keepalive_timeout=KEEP_ALIVE,
        )
        self._sessions[key] = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            max_line_size=MAX_FIELD,
            max_field_size=MAX_FIELD,
        )
        return self._sessions[key]

    def _guarded_socket(self, info: tuple[Any, ...], is_inside: bool) -> socket.socket:
        """A socket for one resolved address (getaddrinfo's tuple). Raises OSError for those we must not connect to."""
        family, kind, protocol, _, peer = info
        refused = Reach(self._allowed, is_inside).refusal(ip_address(peer[0].partition("%")[0]))
        if refused is not None:
            raise OSError(refused)
        return socket.socket(family, kind, protocol)


_OUTSIDE = Reach()


class _Response(Protocol):
    """What is read of an answer, whether it came by `connections` or by aiohttp's session."""

    @property
    def status(self) -> int: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def headers(self) -> CIMultiDictProxy[str]: ...
    @property
    def content(self) -> aiohttp.StreamReader: ...
    def release(self) -> None: ...


class _Resolver(AbstractResolver):
    """Our look-ups for aiohttp's sessions."""

    def __init__(self, names: Names) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(place.peer[0]),
                port=port,
                family=place.family,
                proto=place.protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for place in await self._names.places(host)
        ]

    async def close(self) -> None:
        """Nothing: the look-ups are the Fetcher's."""


def _checked(url: str) -> str:
    """`url` ready to be asked. Raises Refused for what is no http(s) address."""
    checked = http_url(url)
    if checked is None:
        raise Refused(FailureReason.BAD_URL, "not an http(s) address (credentials belong into the source's auth)")
    return checked


def _asked_by_proxy(url: str, reach: Reach) -> URL:
    """`url` ready to be asked through a proxy. Raises Refused for one that spells an address we must not reach: what
    names resolve to is for the proxy to refuse."""
    target = URL(_checked(url), encoded=True)
    refused = reach.spelled_refusal(target.raw_host or "")
    if refused is not None:
        raise Refused(FailureReason.ADDRESS, refused)
    return target


def _length(response: _Response) -> int | None:
    """How long the body is to be by the answer's head, None where it does not say."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else None


async def _start_of(response: _Response) -> bytes:
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
            return Refused(FailureReason.DNS, f"name does not resolve: {one_line(error.os_error)}")
        case aiohttp.ClientConnectorCertificateError():
            return Refused(FailureReason.TLS, f"certificate not valid: {one_line(error.certificate_error)}")
        case aiohttp.ClientConnectorSSLError():
            return Refused(FailureReason.TLS, f"TLS handshake failed: {one_line(error.os_error)}")
        case aiohttp.ClientHttpProxyError():
            return Refused(FailureReason.CONNECT, f"the proxy refuses: {error.status} {one_line(error.message)}")
        case aiohttp.ClientProxyConnectionError():
            return Refused(FailureReason.CONNECT, f"the proxy cannot be reached: {one_line(error.os_error)}")
        case aiohttp.ClientConnectorError() if addresses.REFUSED in (why := one_line(error.os_error)):
            return Refused(FailureReason.ADDRESS, why)
        case aiohttp.ClientConnectorError():
            return Refused(FailureReason.CONNECT, f"cannot connect: {one_line(error.os_error)}")
        case aiohttp.InvalidURL():
            return Refused(FailureReason.BAD_URL, "not an address that can be asked")
        case aiohttp.ClientResponseError() | aiohttp.http_exceptions.HttpProcessingError():
            return Refused(FailureReason.PROTOCOL, f"not HTTP as we know it: {one_line(error.message)}")
        case aiohttp.ServerDisconnectedError():
            return Refused(FailureReason.CONNECT, "connection closed without an answer")
        case OSError() | aiohttp.ClientError():
            return Refused(FailureReason.CONNECT, f"connection broke: {one_line(error)}")
        case _:
            return Refused(FailureReason.INTERNAL, f"{type(error).__name__}: {one_line(error)}")
