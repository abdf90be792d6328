"""HTTP answers as values: a document and a request's headers in, status, headers and bytes out. No sockets here.

`site` and `admin` decide what to answer, `serve` puts it on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import format_datetime
from typing import Protocol

from aggregator.publish.delta import changed_since
from aggregator.publish.negotiate import (
    ETAG_SUFFIXES,
    is_failed_precondition,
    is_not_modified,
    known_etags,
    prefers_page,
    representation,
    wants_delta,
)
from aggregator.publish.shelf import coded
from aggregator.types import Rendered

Headers = tuple[tuple[str, str], ...]

_COMMON: Headers = (
    ("Server", "bmn"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_LOCKED = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# Pictures come from the publishers' own hosts, hence any host; nothing else comes from anywhere but us. Nothing runs
# here that could connect to us; auditors (Lighthouse) ask for /robots.txt from within the page and miss it otherwise.
_PAGE = (
    "default-src 'none'; style-src 'self'; img-src 'self' http: https:; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
SECURITY: Headers = (*_COMMON, ("Content-Security-Policy", _LOCKED))
PAGE_SECURITY: Headers = (*_COMMON, ("Content-Security-Policy", _PAGE))
READ_METHODS = ("GET", "HEAD")
FOR_A_PAGE = "public, max-age=60"
# A cache that knows nothing of deltas must not keep one as if it were the feed (RFC 3229 §10.8.1).
_FOR_A_DELTA = "no-store, im"
_DELTAS_KEPT = 32  # a document: readers come in step, so most ask for the same few


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. The body of an answer to HEAD is what GET would send: `serve` keeps it back."""

    status: int
    headers: Headers = ()
    body: bytes = b""


class Answerer(Protocol):
    """Who answers a listener's requests. `target` is the request line's, undecoded, with its query."""

    def at_once(self, method: str, target: str, headers: Mapping[str, str]) -> Answer | None:
        """The answer if it lies ready, None if `later` must be asked."""

    async def later(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        """The answer that takes work."""


class Taker(Protocol):
    """Who, besides, takes what requests bring: asked where `at_once` has no answer to a POST."""

    async def expects(self, target: str, headers: Mapping[str, str]) -> int | Answer:
        """How many bytes of body are welcome, or the answer that makes reading them needless."""

    async def take(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to a POST with its body."""


def plain(status: int, message: str, headers: Headers = (), cache_control: str = "no-store") -> Answer:
    """A line of text, not to be cached unless said."""
    always: Headers = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", cache_control))
    return Answer(status, (*SECURITY, *always, *headers), f"{message}\n".encode())


def redirect(status: int, location: str, cache_control: str, headers: Headers = ()) -> Answer:
    """Elsewhere."""
    return plain(status, f"see {location}", (("Location", location), *headers), cache_control)


def method_not_allowed(allow: str = "GET, HEAD") -> Answer:
    return plain(405, f"only {allow} here", (("Allow", allow),))


class Ready:
    """A document with its answers, made when first asked for and kept as long as the document is."""

    __slots__ = ("_cache_control", "_deltas", "_extra", "_people", "_variants", "_vary", "document")

    def __init__(
        self, document: Rendered, cache_control: str, extra: Headers = (), vary: str = "Accept-Encoding"
    ) -> None:
        self.document = document
        self._cache_control = cache_control
        self._extra = extra
        self._vary, self._people = vary, None
        if document.for_people is not None:
            self._vary = f"Accept, {vary}"
            self._people = Ready(document.for_people, FOR_A_PAGE, vary=self._vary)
        self._variants: dict[str, tuple[str, Answer, Answer]] = {}
        self._deltas: dict[tuple[str, str], bytes] = {}

    def answer(self, headers: Mapping[str, str], status: int = 200) -> Answer:
        """The document as this client wants it: coded, or 304 because it has it, or 412 because it asked for another.

        Only a 200 is conditional: a 404 or 410 is always sent whole. A browser gets the page for people where there is
        one, a reader that says `A-IM: feed` only what is new to it.
        """
        if self._people is not None and prefers_page(headers.get("Accept")):
            return self._people.answer(headers, status)
        coding, body = representation(self.document, headers.get("Accept-Encoding"))
        etag, whole, unchanged = self._variants.get(coding) or self._make(coding, body)
        if status != 200:
            return replace(whole, status=status)
        if is_failed_precondition(headers, etag, self.document.last_modified):
            return plain(412, "this is not the version you asked for")
        if is_not_modified(headers, etag, self.document.last_modified):
            return unchanged
        if self.document.parts is not None and wants_delta(headers.get("A-IM")):
            return self._delta(headers, coding, whole) or whole
        return whole

    def _delta(self, headers: Mapping[str, str], coding: str, whole: Answer) -> Answer | None:
        """226 with what is new since the version that If-None-Match names, None where that is not known. Its coding is
        the whole's, so that the tag is: a reader that comes back with it is told 304."""
        assert self.document.parts is not None
        known = next((tag for tag in known_etags(headers) if tag in self.document.parts.versions), None)
        if known is None:
            return None
        body = self._deltas.get((known, coding))
        if body is None:
            body = changed_since(self.document.parts, known)
            if body is None:
                return None
            body = coded(body, coding)
            if len(self._deltas) >= _DELTAS_KEPT:
                self._deltas.clear()
            self._deltas[known, coding] = body
        kept = tuple((name, value) for name, value in whole.headers if name != "Cache-Control")
        return Answer(226, (*kept, ("IM", "feed"), ("Cache-Control", _FOR_A_DELTA)), body)

    def _make(self, coding: str, body: bytes) -> tuple[str, Answer, Answer]:
        document = self.document
        etag = f'"{document.etag}{ETAG_SUFFIXES[coding]}"'
        validators: Headers = (
            ("ETag", etag),
            ("Last-Modified", format_datetime(document.last_modified, usegmt=True)),
            ("Cache-Control", self._cache_control),
            ("Vary", self._vary),
        )
        links = tuple(("Link", f'<{url}>; rel="{rel}"') for rel, url in document.links)
        security = PAGE_SECURITY if document.content_type.startswith("text/html") else SECURITY
        coded: Headers = (("Content-Encoding", coding),) if coding != "identity" else ()
        always = (*validators, *links, *security, *self._extra)
        whole = Answer(200, (("Content-Type", document.content_type), *coded, *always), body)
        # A 304 says what a 200 would about caching, and nothing of a body that is not there (RFC 9110 §15.4.5).
        made = (etag, whole, Answer(304, always))
        self._variants[coding] = made
        return made
