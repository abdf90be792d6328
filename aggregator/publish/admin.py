"""What the admin listener answers: metrics, readiness, status, the sources, stories to correct. Never the public one.

Everything is asked of callables that the scheduler gives; they may block, so they run off the loop. Where a token is
set, all but `/healthz` wants `Authorization: Bearer …`, or for browsers Basic with the token as password; never as a
parameter, which would end in somebody's log. `forms` guards what is sent here.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aggregator.publish.answers import (
    PAGE_SECURITY,
    READ_METHODS,
    SECURITY,
    Answer,
    Headers,
    Ready,
    method_not_allowed,
    plain,
    redirect,
)
from aggregator.publish.forms import LARGEST, FormGuard
from aggregator.publish.negotiate import preferred_type
from aggregator.publish.pages import HTML_TYPE, SHOWN, Pages, static_files
from aggregator.types import LABELS, Rendered

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NUMBERS = ("/metrics", "/readyz")  # what monitoring asks by any name; nothing of a source is in them
_STATIC = static_files()
_STORIES = "/stories"
_HEALTH = ("/health.atom", "/health.rss", "/health.json")
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")
_QUERY = 500  # characters of a query that mean anything
_CHALLENGE = 'Bearer realm="bmn admin", Basic realm="bmn admin", charset="UTF-8"'


@dataclass(frozen=True, slots=True)
class AdminViews:
    """What there is to see. `ready` gives (is it, why not); `status` the document of `bmn status --json`; `stories` the
    newest of a section (None: of all) as `status.desk_rows`. `file` does what `bmn stories file` does, with a story's
    id and a section or None, and says whether there is such a story; without it there is no form. `board` is what the
    page of status shows for a query, `health` the feed of troubles: in a format, for those who ask at an address."""

    metrics: Callable[[], bytes]
    ready: Callable[[], tuple[bool, str]]
    status: Callable[[], Mapping[str, Any]]
    sources_opml: Callable[[], bytes]
    stories: Callable[[str | None], Sequence[Mapping[str, Any]]] = lambda section: ()
    file: Callable[[str, str | None], Awaitable[bool]] | None = None
    board: Callable[[Mapping[str, str]], Mapping[str, Any]] = lambda query: {}
    health: Callable[[str, str], Rendered] | None = None


class AdminSite:
    """Answers the operator, their Prometheus and their service manager."""

    def __init__(self, views: AdminViews, pages: Pages, token: str | None = None, host: str = "") -> None:
        self._views, self._pages = views, pages
        self._token = token.encode() if token else None
        self._guard = FormGuard(host if token is None else None)

    def at_once(self, method: str, target: str, headers: Mapping[str, str]) -> Answer | None:
        path = target.partition("?")[0]
        takes_forms = path == _STORIES and self._views.file is not None
        if method not in READ_METHODS and not (method == "POST" and takes_forms):
            return method_not_allowed("GET, HEAD, POST" if takes_forms else "GET, HEAD")
        if path == "/healthz":
            return plain(200, "ok")
        if not self._is_allowed(headers):
            return plain(401, "a bearer token is wanted here", (("WWW-Authenticate", _CHALLENGE),))
        if method == "POST":
            return self._guard.refusal(headers)
        if path not in _NUMBERS and (refusal := self._guard.misnamed(headers)) is not None:
            return refusal
        if path == _STORIES and takes_forms:
            return None
        if path in _STATIC:
            body, content_type = _STATIC[path]
            return Answer(200, _headers(content_type, "private, max-age=3600"), body)
        if path == "/health":  # what the feed of troubles says its page is
            return redirect(302, "/status", "no-store")
        if path in _HEALTH and self._views.health is not None:
            return None
        return None if path in ("/", "/status", *_VIEWS) else plain(404, "there is nothing here")

    async def later(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        path, _, query = target.partition("?")
        if path == _STORIES:
            return await asyncio.to_thread(self._desk, dict(parse_qsl(query)).get("section", ""))
        if path in ("/", "/status"):
            return await asyncio.to_thread(self._status, headers, query)
        if path in _HEALTH:
            return await asyncio.to_thread(self._health, path, headers)
        return await asyncio.to_thread(_VIEWS[path], self, headers)

    def _is_allowed(self, headers: Mapping[str, str]) -> bool:
        if self._token is None:
            return True
        scheme, _, words = headers.get("Authorization", "").partition(" ")
        given = words.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() == "basic":
            given = _password(given)
        # Compared in constant time: an answer must not tell how much of a guess was right.
        return hmac.compare_digest(given, self._token) and scheme.lower() in ("bearer", "basic")

    async def expects(self, target: str, headers: Mapping[str, str]) -> int | Answer:
        """`answers.Taker`: how large a form may be."""
        return LARGEST

    async def take(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """`answers.Taker`: a story filed by hand, then back to where the form stood."""
        fields = self._guard.fields(body)
        if isinstance(fields, Answer):
            return fields
        story, section, shown = (fields.get(name, "") for name in ("story", "section", "shown"))
        if not (story.isascii() and story.isalnum()) or section not in (*LABELS, "forget") or self._views.file is None:
            return plain(400, f"name a story, and a section: {', '.join(LABELS)} or forget")
        if not await self._views.file(story, None if section == "forget" else section):
            return plain(404, f"{story} is no story here")
        query = f"?section={shown}" if shown in SHOWN else ""
        return redirect(303, f"{_STORIES}{query}#{story}", "no-store")

    def _desk(self, shown: str) -> Answer:
        if shown not in SHOWN:
            return plain(404, f"there is no such section, name one of {', '.join(filter(None, SHOWN))}")
        body = self._pages.desk(self._views.stories(shown or None), shown, self._guard.token)
        # Under `no-referrer` browsers send forms with `Origin: null`, and we could not tell our own from others'.
        security = tuple((n, "same-origin" if n == "Referrer-Policy" else value) for n, value in PAGE_SECURITY)
        return Answer(200, _headers(HTML_TYPE, security=security), body)

    def _metrics(self, headers: Mapping[str, str]) -> Answer:
        return Answer(200, _headers(METRICS_TYPE), self._views.metrics())

    def _readyz(self, headers: Mapping[str, str]) -> Answer:
        is_ready, why_not = self._views.ready()
        return plain(200, "ready") if is_ready else plain(503, why_not)

    def _health(self, path: str, headers: Mapping[str, str]) -> Answer:
        assert self._views.health is not None
        host = headers.get("Host", "")
        at = f"http://{host}" if _HOST.fullmatch(host) else ""
        return Ready(self._views.health(path.rpartition(".")[2], at), "private, max-age=60").answer(headers)

    def _status(self, headers: Mapping[str, str], query: str) -> Answer:
        if preferred_type(headers.get("Accept"), ("text/html", "application/json")) == "application/json":
            return self._status_json(headers)
        body = self._pages.status(self._views.board(dict(parse_qsl(query[:_QUERY]))))
        return Answer(200, (*_headers(HTML_TYPE, security=PAGE_SECURITY), ("Vary", "Accept")), body)

    def _status_json(self, headers: Mapping[str, str]) -> Answer:
        body = json.dumps(self._views.status(), ensure_ascii=False, indent=1, default=str).encode() + b"\n"
        return Answer(200, _headers("application/json; charset=utf-8"), body)

    def _sources(self, headers: Mapping[str, str]) -> Answer:
        named = (("Content-Disposition", 'attachment; filename="sources.opml"'),)
        return Answer(200, (*_headers("text/x-opml; charset=utf-8"), *named), self._views.sources_opml())


def _password(given: bytes) -> bytes:
    """The password of Basic credentials (RFC 7617), empty where they are none."""
    try:
        return base64.b64decode(given, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _headers(content_type: str, cache_control: str = "no-store", security: Headers = SECURITY) -> Headers:
    return (("Content-Type", content_type), ("Cache-Control", cache_control), *security)


_VIEWS: Mapping[str, Callable[[AdminSite, Mapping[str, str]], Answer]] = {
    "/metrics": AdminSite._metrics,
    "/readyz": AdminSite._readyz,
    "/status.json": AdminSite._status_json,
    "/sources.opml": AdminSite._sources,
}
