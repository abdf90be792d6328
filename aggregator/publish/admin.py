"""What the admin listener answers: metrics, readiness, status, the sources. Never on the public listener.

Everything is asked of callables that the scheduler gives; they may block, so they run off the loop. Where a token is
set, all but `/healthz` wants `Authorization: Bearer …`; never as a parameter, which would end in somebody's log.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aggregator.publish.answers import PAGE_SECURITY, READ_METHODS, SECURITY, Answer, Headers, method_not_allowed, plain
from aggregator.publish.negotiate import preferred_type
from aggregator.publish.pages import HTML_TYPE, Pages, static_files

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATIC = static_files()


@dataclass(frozen=True, slots=True)
class AdminViews:
    """What there is to see. `ready` gives (is it, why not); `status` the document of `bmn status --json`."""

    metrics: Callable[[], bytes]
    ready: Callable[[], tuple[bool, str]]
    status: Callable[[], Mapping[str, Any]]
    sources_opml: Callable[[], bytes]


class AdminSite:
    """Answers the operator, their Prometheus and their service manager."""

    def __init__(self, views: AdminViews, pages: Pages, token: str | None = None) -> None:
        self._views, self._pages = views, pages
        self._token = token.encode() if token else None

    def at_once(self, method: str, target: str, headers: Mapping[str, str]) -> Answer | None:
        if method not in READ_METHODS:
            return method_not_allowed()
        path = target.partition("?")[0]
        if path == "/healthz":
            return plain(200, "ok")
        if not self._is_allowed(headers):
            return plain(401, "a bearer token is wanted here", (("WWW-Authenticate", 'Bearer realm="bmn admin"'),))
        if path in _STATIC:
            body, content_type = _STATIC[path]
            return Answer(200, _headers(content_type, "private, max-age=3600"), body)
        return None if path in ("/", *_VIEWS) else plain(404, "there is nothing here")

    async def later(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        path = target.partition("?")[0]
        if path == "/":
            path = "/status"
        return await asyncio.to_thread(_VIEWS[path], self, headers)

    def _is_allowed(self, headers: Mapping[str, str]) -> bool:
        if self._token is None:
            return True
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        # Compared in constant time: an answer must not tell how much of a guess was right.
        is_right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        return is_right and scheme.lower() == "bearer"

    def _metrics(self, headers: Mapping[str, str]) -> Answer:
        return Answer(200, _headers(METRICS_TYPE), self._views.metrics())

    def _readyz(self, headers: Mapping[str, str]) -> Answer:
        is_ready, why_not = self._views.ready()
        return plain(200, "ready") if is_ready else plain(503, why_not)

    def _status(self, headers: Mapping[str, str]) -> Answer:
        if preferred_type(headers.get("Accept"), ("text/html", "application/json")) == "application/json":
            return self._status_json(headers)
        body = self._pages.status(self._views.status())
        return Answer(200, (*_headers(HTML_TYPE, security=PAGE_SECURITY), ("Vary", "Accept")), body)

    def _status_json(self, headers: Mapping[str, str]) -> Answer:
        body = json.dumps(self._views.status(), ensure_ascii=False, indent=1, default=str).encode() + b"\n"
        return Answer(200, _headers("application/json; charset=utf-8"), body)

    def _sources(self, headers: Mapping[str, str]) -> Answer:
        named = (("Content-Disposition", 'attachment; filename="sources.opml"'),)
        return Answer(200, (*_headers("text/x-opml; charset=utf-8"), *named), self._views.sources_opml())


def _headers(content_type: str, cache_control: str = "no-store", security: Headers = SECURITY) -> Headers:
    return (("Content-Type", content_type), ("Cache-Control", cache_control), *security)


_VIEWS: Mapping[str, Callable[[AdminSite, Mapping[str, str]], Answer]] = {
    "/metrics": AdminSite._metrics,
    "/readyz": AdminSite._readyz,
    "/status": AdminSite._status,
    "/status.json": AdminSite._status_json,
    "/sources.opml": AdminSite._sources,
}
