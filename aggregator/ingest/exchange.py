"""One exchange with an origin as values: which headers go out, where a redirect leads, what a refusal means.

Pure; `fetch` does the sending. Statuses, header mappings and bodies come in, decisions go out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, urldefrag, urlsplit

from aggregator.ingest.challenge import challenger
from aggregator.types import FailureReason, FetchRequest, Validators
from aggregator.urls import http_url

ACCEPT = (
    "application/atom+xml, application/rss+xml, application/feed+json, application/rdf+xml;q=0.9, "
    "application/xml;q=0.8, text/xml;q=0.8, application/json;q=0.7, */*;q=0.1"
)
DOCUMENT = (200, 203, 226)  # 226 without our asking for deltas can only be the whole
REDIRECT = (301, 302, 303, 307, 308)
_PERMANENT = (301, 308)
_OURS_ALONE = frozenset(
    (
        "accept-encoding",
        "connection",
        "content-length",
        "host",
        "if-modified-since",
        "if-none-match",
        "transfer-encoding",
    )
)
_ADVICE = {
    401: "wants credentials, set the source's auth",
    403: "forbidden: the origin refuses us",
    404: "no feed at this address, try 'bmn sources discover' with the site's",
    429: "too many requests, we slow down",
    503: "service unavailable, it may come back",
}
_UNREPEATABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_MAX_VALIDATOR = 1000  # characters; they are stored with every feed


class Refused(Exception):
    """This poll ends without a document; becomes a FetchFailed. `detail` is one line for a person."""

    def __init__(
        self, reason: FailureReason, detail: str, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.reason, self.detail, self.status, self.headers = reason, detail, status, headers or {}
        super().__init__(detail)


@dataclass(slots=True)
class Trail:
    """Where a poll has got to. `permanent` is the end of the unbroken run of permanent redirects from the start."""

    url: str
    permanent: str | None = None
    is_permanent: bool = True
    visited: set[str] = field(default_factory=set)

    def step(self, status: int, location: str) -> None:
        """Move to where a redirect points. Raises Refused where that is nowhere, or a place we come from."""
        if not location:
            raise Refused(FailureReason.REDIRECTS, f"{status} without a Location", status)
        if not location.isascii():  # foreign bytes come as surrogates; sent back they must be the same bytes
            location = quote(location.encode("utf-8", "surrogateescape"), safe="%/:?#[]@!$&'()*+,;=~")
        url = http_url(location, self.url)
        if url is None:
            raise Refused(FailureReason.REDIRECTS, f"redirect to {location[:200]!r}, no http(s) address", status)
        url = urldefrag(url).url
        self.visited.add(self.url)
        if url in self.visited:
            raise Refused(FailureReason.REDIRECTS, f"redirects in a circle over {url[:200]}", status)
        is_downgrade = self.url.startswith("https:") and url.startswith("http:")
        self.is_permanent = self.is_permanent and status in _PERMANENT and not is_downgrade
        if self.is_permanent:
            self.permanent = url
        self.url = url


class Target(NamedTuple):
    """Where a request goes: an address taken apart. `path` goes with its query, `authority` is what Host says."""

    is_tls: bool
    host: str
    port: int
    path: str
    authority: str


def target_of(url: str) -> Target:
    """`url`, which must be as `urls.http_url` gives it, taken apart."""
    scheme, _, rest = url.partition("://")
    netloc, slash, path = rest.partition("#")[0].partition("/")
    is_tls = scheme == "https"
    if netloc.startswith("["):
        host, _, port = netloc[1:].partition("]")
        port = port[1:]
    else:
        host, _, port = netloc.partition(":")
        if host.endswith("."):
            netloc = host.rstrip(".") + netloc[len(host) :]
    return Target(is_tls, host, int(port) if port else 443 if is_tls else 80, slash + path, netloc)


def get_head(target: Target, headers: Mapping[str, str]) -> bytes:
    """A GET as it goes out. Raises ValueError where a name or value would end its line and begin another."""
    lines = [f"GET {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
    head = "".join(lines)
    if head.count("\n") > len(lines) + 1 or head.count("\r") > len(lines) + 1 or "\0" in head:
        raise ValueError("a line break or a null byte in what would be sent as a header")
    return (head + "\r\n").encode("utf-8")


def request_headers(request: FetchRequest, url: str, user_agent: str) -> dict[str, str]:
    """What goes out to `url` on behalf of `request`: its own headers to its own origin alone, validators to the
    document they are of, and to both alike who we are."""
    headers = {"User-Agent": user_agent, "Accept": ACCEPT, "Accept-Encoding": "gzip"}
    if request.headers and _origin(url) == _origin(request.url):
        for name, value in request.headers:
            if name.lower() not in _OURS_ALONE:
                headers[_MERGED.get(name.lower(), name)] = value
    if _is_same_document(url, request.validated_url):
        if request.validators.etag is not None:
            headers["If-None-Match"] = request.validators.etag
        if request.validators.last_modified is not None:
            headers["If-Modified-Since"] = request.validators.last_modified
    return headers


_MERGED = {"user-agent": "User-Agent", "accept": "Accept"}  # one line each, however the operator spells them


def validators(headers: Mapping[str, str]) -> Validators:
    """ETag and Last-Modified as sent, odd quoting and all; None where absent or beyond what could be sent back.

    `headers` as aiohttp has them: decoded as UTF-8, foreign bytes as surrogates, which cannot go out as they came in.
    """
    return Validators(_repeatable(headers.get("ETag")), _repeatable(headers.get("Last-Modified")))


def plain_headers(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header names in lower case; repeated ones joined as RFC 9110 §5.3 has it."""
    headers: dict[str, str] = {}
    for name, value in items:
        name = name.lower()
        if not value.isascii():
            value = value.encode("utf-8", "replace").decode("utf-8")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def needs_body(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a refusal's body may tell a challenge from a plain error."""
    return status in (403, 429, 503) and challenger(headers) is None


def refusal(status: int, reason: str, headers: Mapping[str, str], page: bytes) -> Refused:
    """Why an answer that is no document fails the poll. `page` is the start of its body where it was looked at."""
    if status == 410:
        return Refused(FailureReason.GONE, "410: the publisher has taken the feed down", status, headers)
    who = challenger(headers, page)
    if who is not None:
        return Refused(FailureReason.BLOCKED, f"{status}: {who} challenge page", status, headers)
    said = f"{status}: {_ADVICE.get(status) or ' '.join(reason.split())[:80] or 'no document'}"
    return Refused(FailureReason.BLOCKED if status in (403, 429) else FailureReason.HTTP, said, status, headers)


def one_line(what: object) -> str:
    """What an exception says, on one line of bounded length."""
    return " ".join(str(what).split())[:200] or type(what).__name__


def _repeatable(value: str | None) -> str | None:
    return None if not value or len(value) > _MAX_VALIDATOR or _UNREPEATABLE.search(value) else value


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _is_same_document(url: str, validated_url: str | None) -> bool:
    """Whether validators from `validated_url` mean anything at `url`. Queries may differ: signed URLs always do."""
    return validated_url is None or url == validated_url or url.partition("?")[0] == validated_url.partition("?")[0]
