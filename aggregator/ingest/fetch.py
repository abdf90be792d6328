"""Asking origins: the only outgoing HTTP. A FetchRequest comes in, Fetched, NotModified or FetchFailed goes out.

Whatever an origin does is a value, never an exception. `polling` decides when to ask and what to make of the answer,
`addresses` where we may connect to, `coding` how bytes become a document, `challenge` who refuses us.
Choices and what was measured: docs/decisions/fetching.md.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import ip_address
from ssl import SSLCertVerificationError
from time import perf_counter
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import quote, urldefrag, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

from aggregator.ingest import addresses
from aggregator.ingest.challenge import LOOK_AT, challenger, looks_like_html
from aggregator.ingest.coding import Body, BodyError
from aggregator.types import (
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
ACCEPT = (
    "application/atom+xml, application/rss+xml, application/feed+json, application/rdf+xml;q=0.9, "
    "application/xml;q=0.8, text/xml;q=0.8, application/json;q=0.7, */*;q=0.1"
)
_DOCUMENT = (200, 203, 226)
_REDIRECT = (301, 302, 303, 307, 308)
_PERMANENT = (301, 308)
_REFUSED_ADDRESS = "address not allowed"  # survives aiohttp's and aiohappyeyeballs' wrapping, which types do not
_NOT_THEIRS_TO_SET = frozenset(
    ("accept-encoding", "connection", "content-length", "host", "if-modified-since", "if-none-match", "transfer-encoding")
)
_DNS_THREADS = 16  # getaddrinfo blocks; a name server that is down must not hold up everyone else


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """How we ask. `timeout` in seconds for a whole poll with its redirects; `max_body` in bytes, sent and decoded
    alike; `contact` a URL or address put into the User-Agent; `proxy` for requests that name none; `allow_networks`
    CIDRs exempt from the private-address guard; `concurrency` requests at a time in all. `ca_file`
    adds certificates to the system's (verification itself cannot be turned off)."""

    timeout: float = 30.0
    max_body: int = 8 * 1024 * 1024
    max_redirects: int = 5
    contact: str = ""
    proxy: str | None = None
    allow_networks: tuple[str, ...] = ()
    concurrency: int = 64
    ca_file: str | None = None

    @property
    def user_agent(self) -> str:
        return f"BusinessMonkeyNews/{VERSION} (+{self.contact})" if self.contact else f"BusinessMonkeyNews/{VERSION}"


class _Failure(Exception):
    """Inside this module: a hop that ends the poll."""

    def __init__(
        self, reason: FailureReason, detail: str, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.reason, self.detail, self.status, self.headers = reason, detail, status, headers or {}
        super().__init__(detail)


@dataclass(slots=True)
class _Trail:
    """Where a poll has got to. `permanent` is the end of the unbroken run of permanent redirects from the start."""

    url: str
    permanent: str | None = None
    is_permanent: bool = True


class Fetcher:
    """Holds the connections. `async with Fetcher(policy) as fetcher: outcome = await fetcher.fetch(request)`."""

    def __init__(self, policy: FetchPolicy) -> None:
        """Raises ValueError where `allow_networks` holds what is no CIDR."""
        self._policy = policy
        self._allowed = addresses.networks(policy.allow_networks)
        self._slots = asyncio.Semaphore(policy.concurrency)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._threads: ThreadPoolExecutor | None = None

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
            trail = _Trail(request.url)
            try:
                async with asyncio.timeout(self._policy.timeout):
                    return await self._follow(request, known_body, trail, started)
            except Exception as error:  # the boundary: a poll that fails is a value, whatever an origin thought up
                failure = _as_failure(error, self._policy)
            return FetchFailed(
                url=request.url,
                reason=failure.reason,
                detail=failure.detail,
                final_url=trail.url,
                status=failure.status,
                headers=failure.headers,
                permanent_url=trail.permanent,
                took=perf_counter() - started,
            )

    async def _follow(
        self, request: FetchRequest, known_body: bytes | None, trail: _Trail, started: float
    ) -> FetchOutcome:
        proxy = request.proxy or self._policy.proxy
        session = self._session(proxy is not None)
        visited = set()
        for _ in range(self._policy.max_redirects + 1):
            target = self._target(trail.url, proxy is not None)
            visited.add(trail.url)
            asked = self._headers(request, trail.url)
            response = await session.get(target, headers=asked, allow_redirects=False, proxy=proxy)
            try:
                if response.status in _REDIRECT:
                    _step(trail, response, visited)
                    continue
                return await self._answer(request, response, asked, known_body, trail, started)
            finally:
                # Gives the connection back if the body was read to its end, and closes it otherwise.
                response.release()
        raise _Failure(FailureReason.REDIRECTS, f"more than {self._policy.max_redirects} redirects")

    async def _answer(
        self,
        request: FetchRequest,
        response: aiohttp.ClientResponse,
        asked: CIMultiDict[str],
        known_body: bytes | None,
        trail: _Trail,
        started: float,
    ) -> FetchOutcome:
        headers = _plain_headers(response)
        if response.status == 304:
            if "If-None-Match" not in asked and "If-Modified-Since" not in asked:
                raise _Failure(FailureReason.PROTOCOL, "304 to a question without validators", 304, headers)
            given, kept = _validators(response), request.validators
            validators = Validators(given.etag or kept.etag, given.last_modified or kept.last_modified)
            return NotModified(
                request.url, trail.url, 304, headers, validators, trail.permanent, perf_counter() - started
            )
        if response.status not in _DOCUMENT:
            await _refuse(response, headers)
        try:
            body = await self._read(response)
        except BodyError as error:
            raise _Failure(error.reason, error.detail, response.status, headers) from error
        if not body.strip():
            raise _Failure(FailureReason.EMPTY, "an empty document", response.status, headers)
        if looks_like_html(headers, body) and (who := challenger(headers, body)):
            raise _Failure(FailureReason.BLOCKED, f"{who} challenge page", response.status, headers)
        body_hash = blake2b(body, digest_size=16).digest()
        validators, took = _validators(response), perf_counter() - started
        if body_hash == known_body:
            return NotModified(
                request.url, trail.url, response.status, headers, validators, trail.permanent, took
            )
        return Fetched(
            request.url, trail.url, response.status, headers, body, body_hash, validators, trail.permanent, took
        )

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        length = response.content_length
        if length is not None and length > self._policy.max_body:
            raise BodyError(
                FailureReason.TOO_LARGE, f"{length} bytes announced, max_body is {self._policy.max_body}"
            )
        body = Body(response.headers.get("Content-Encoding", ""), self._policy.max_body)
        while chunk := await response.content.readany():
            body.add(chunk)
        return body.whole()

    def _target(self, url: str, is_proxied: bool) -> URL:
        """`url` ready to be asked. Raises _Failure for what is no http(s) address, or spells one we must not reach.

        Where we connect ourselves the guard at the socket decides; behind a proxy only the spelling can be judged here.
        """
        checked = http_url(url)
        if checked is None:
            raise _Failure(FailureReason.BAD_URL, "not an http(s) address without credentials")
        target = URL(checked, encoded=True)
        if is_proxied:
            host = target.raw_host or ""
            literal = addresses.literal_address(host)
            kind = addresses.refusal(literal, self._allowed) if literal is not None else None
            if kind is None and (host == "localhost" or host.endswith(".localhost")):
                kind = None if addresses.is_local_host(host, self._allowed) else "loopback"
            if kind is not None:
                raise _Failure(FailureReason.ADDRESS, f"{_REFUSED_ADDRESS}: {host} is {kind}, see fetch.allow_networks")
        return target

    def _headers(self, request: FetchRequest, url: str) -> CIMultiDict[str]:
        headers = CIMultiDict(
            {"User-Agent": self._policy.user_agent, "Accept": ACCEPT, "Accept-Encoding": "gzip"}
        )
        if request.headers and _origin(url) == _origin(request.url):
            for name, value in request.headers:
                if name.lower() not in _NOT_THEIRS_TO_SET:
                    headers[name] = value
        if _is_same_document(url, request.validated_url):
            if request.validators.etag is not None:
                headers["If-None-Match"] = request.validators.etag
            if request.validators.last_modified is not None:
                headers["If-Modified-Since"] = request.validators.last_modified
        return headers

    def _session(self, is_proxied: bool) -> aiohttp.ClientSession:
        """The session for direct connections, guarded, or the one for proxies, whom the operator chose and vouches for."""
        session = self._sessions.get(is_proxied)
        if session is None:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_DNS_THREADS, "dns")
            connector = aiohttp.TCPConnector(
                limit=0,  # `_slots` bounds us; waiting inside the connector would eat into the deadline
                ttl_dns_cache=60,
                resolver=_Resolver(self._threads),
                socket_factory=None if is_proxied else self._guarded_socket,
                keepalive_timeout=20,
            )
            session = self._sessions[is_proxied] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
                max_line_size=16384,
                max_field_size=16384,
            )
        return session

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
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads,
            lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG),
        )
        return [
            ResolveResult(
                hostname=host, host=_scoped(peer), port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST
            )
            for kind, _, protocol, _, peer in found
        ]

    async def close(self) -> None:
        """Nothing: the threads belong to the Fetcher."""


def _scoped(peer: tuple[Any, ...]) -> str:
    return str(peer[0])


def _step(trail: _Trail, response: aiohttp.ClientResponse, visited: set[str]) -> None:
    """Move the trail to where a redirect points. Raises _Failure where that is nowhere, or a place we come from."""
    location = response.headers.get("Location", "").strip()
    if not location:
        raise _Failure(FailureReason.REDIRECTS, f"{response.status} without a Location", response.status)
    if not location.isascii():  # aiohttp keeps foreign bytes as surrogates; sent back they must be the same bytes
        location = quote(location.encode("utf-8", "surrogateescape"), safe="%/:?#[]@!$&'()*+,;=~")
    url = http_url(location, trail.url)
    if url is None:
        raise _Failure(
            FailureReason.REDIRECTS, f"redirect to {location[:200]!r}, which is no http(s) address", response.status
        )
    url = urldefrag(url).url
    if url in visited:
        raise _Failure(FailureReason.REDIRECTS, f"redirects in a circle over {url[:200]}", response.status)
    is_downgrade = trail.url.startswith("https:") and url.startswith("http:")
    trail.is_permanent = trail.is_permanent and response.status in _PERMANENT and not is_downgrade
    if trail.is_permanent:
        trail.permanent = url
    trail.url = url


async def _refuse(response: aiohttp.ClientResponse, headers: Mapping[str, str]) -> NoReturn:
    """Say why an answer that is no document fails the poll. Challenge pages are told from plain errors by their body."""
    status = response.status
    if status == 410:
        raise _Failure(FailureReason.GONE, "410: the publisher has taken the feed down", status, headers)
    who = challenger(headers)
    if who is None and status in (403, 429, 503):
        who = challenger(headers, await _start_of(response))
    if who is not None:
        raise _Failure(FailureReason.BLOCKED, f"{status}: {who} challenge page", status, headers)
    if status in (403, 429):
        raise _Failure(FailureReason.BLOCKED, f"{status}: {_ADVICE[status]}", status, headers)
    said = _ADVICE.get(status) or (response.reason or "")[:80].strip() or "no document"
    raise _Failure(FailureReason.HTTP, f"{status}: {said}", status, headers)


_ADVICE = {
    401: "wants credentials, set the source's auth",
    403: "forbidden: the origin refuses us",
    404: "no feed at this address, try 'bmn sources discover' with the site's",
    407: "the proxy wants credentials",
    429: "too many requests, we slow down",
    503: "service unavailable, it may come back",
}


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    """The first bytes of an error page, decoded as far as they go; empty if they cannot be read."""
    try:
        body = Body(response.headers.get("Content-Encoding", ""), 16 * LOOK_AT)
        sent = 0
        while sent < LOOK_AT and (chunk := await response.content.readany()):
            sent += len(chunk)
            body.add(chunk[:LOOK_AT])
        return body.so_far()
    except (BodyError, aiohttp.ClientError):
        return b""


def _validators(response: aiohttp.ClientResponse) -> Validators:
    """ETag and Last-Modified byte for byte as sent, odd quoting and all; None where absent or beyond what we can repeat."""
    return Validators(
        _repeatable(response.headers.get("ETag")), _repeatable(response.headers.get("Last-Modified"))
    )


_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def _repeatable(value: str | None) -> str | None:
    """aiohttp sends headers as UTF-8: a value that was not could not go back as it came, so we do without it."""
    return None if not value or len(value) > 1000 or _CONTROL.search(value) else value


def _plain_headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Header names in lower case; repeated ones joined as RFC 9110 §5.3 has it."""
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        name = name.lower()
        if not value.isascii():
            value = value.encode("utf-8", "replace").decode("utf-8")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _is_same_document(url: str, validated_url: str | None) -> bool:
    """Whether validators had from `validated_url` mean anything at `url`. Queries may differ: signed URLs always do."""
    return validated_url is None or url == validated_url or url.partition("?")[0] == validated_url.partition("?")[0]


def _as_failure(error: Exception, policy: FetchPolicy) -> _Failure:
    """What an exception of ours, aiohttp's or the system's means for the poll."""
    text = _one_line(error)
    match error:
        case _Failure():
            return error
        case TimeoutError():
            return _Failure(FailureReason.TIMEOUT, f"no whole answer within {policy.timeout:g} s")
        case aiohttp.ClientConnectorDNSError():
            return _Failure(FailureReason.DNS, f"name does not resolve: {_one_line(error.os_error)}")
        case aiohttp.ClientConnectorCertificateError() | SSLCertVerificationError():
            return _Failure(FailureReason.TLS, f"certificate not valid: {text}")
        case aiohttp.ClientSSLError():
            return _Failure(FailureReason.TLS, f"TLS handshake failed: {_one_line(error.os_error)}")
        case aiohttp.ClientProxyConnectionError():
            return _Failure(FailureReason.CONNECT, f"proxy cannot be reached: {_one_line(error.os_error)}")
        case aiohttp.ClientHttpProxyError():
            return _Failure(FailureReason.CONNECT, f"proxy refuses: {error.status} {error.message}"[:200])
        case aiohttp.ClientConnectorError():
            why = _one_line(error.os_error)
            if _REFUSED_ADDRESS in why:
                return _Failure(FailureReason.ADDRESS, why)
            return _Failure(FailureReason.CONNECT, f"cannot connect: {why}")
        case aiohttp.ClientPayloadError():
            return _Failure(FailureReason.TRUNCATED, f"body cut short: {text}")
        case aiohttp.InvalidURL():
            return _Failure(FailureReason.BAD_URL, "not an address that can be asked")
        case aiohttp.ServerDisconnectedError():
            return _Failure(FailureReason.CONNECT, "connection closed without an answer")
        case aiohttp.ClientResponseError() | aiohttp.http_exceptions.HttpProcessingError():
            return _Failure(FailureReason.PROTOCOL, f"not HTTP as we know it: {text}")
        case aiohttp.ClientOSError() | OSError():
            return _Failure(FailureReason.CONNECT, f"connection broke: {text}")
        case _:
            return _Failure(FailureReason.INTERNAL, f"{type(error).__name__}: {text}")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
