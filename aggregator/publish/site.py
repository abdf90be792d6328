"""What the public listener answers: documents from the shelf, other pages through a bounded cache, nothing else.

Readers' addresses carry the path of `public_url`. A proxy in front may strip that prefix or keep it, both will do:
what the shelf holds wins, then the prefix is taken off and the rest looked up.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from aggregator.publish.answers import (
    FOR_A_PAGE,
    READ_METHODS,
    Answer,
    Ready,
    method_not_allowed,
    plain,
    redirect,
)
from aggregator.publish.cache import PageCache
from aggregator.publish.negotiate import preferred_type
from aggregator.publish.shelf import Shelf
from aggregator.publish.views import parameters
from aggregator.types import Rendered

NOT_FOUND = "404"  # the shelf's page for what is not there; no path is spelled so
FEED_TYPES = {"application/atom+xml": "atom", "application/rss+xml": "rss", "application/feed+json": "json"}
_FEED_ENDINGS = (".atom", ".rss", ".json", ".opml")
_FOR_A_FEED = "public, max-age=300"  # seconds; the fastest rhythm at which a source is asked
_FOR_EVER = "public, max-age=31536000, immutable"  # the names of static files carry their hash
_ANYBODY = (("Access-Control-Allow-Origin", "*"),)  # readers that live in a browser tab


@dataclass(frozen=True, slots=True)
class Page:
    """What the provider has for an address: a document, or where to go instead (`location`, a path below the prefix or
    an absolute URL, with status 302 or 308). 410 with a document says that it was here once."""

    status: int
    document: Rendered | None = None
    location: str | None = None


# Path below the prefix and query to a page; None: there is no such page. Blocking work belongs off the loop.
PageProvider = Callable[[str, Mapping[str, str]], Awaitable[Page | None]]


class Hooks(Protocol):
    """Who answers what hubs ask and bring at `/websub/{token}` (`callbacks`)."""

    async def asked(self, token: str, query: Mapping[str, str]) -> Answer: ...
    async def expects(self, token: str) -> int | Answer: ...
    async def brought(self, token: str, headers: Mapping[str, str], body: bytes) -> Answer: ...


MIN_SOURCES = "min_sources"  # asks for those stories of a merged feed that so many sources tell
MOST_SOURCES = 20  # each value is a document of its own in the cache; a story of more is told by everybody
_BUSY = Page(503)
_HOOKS = "/websub/"


_NO_SUCH_LEAST = plain(400, f"{MIN_SOURCES} must be a whole number from 1 to {MOST_SOURCES}")


def is_merged_feed(path: str) -> bool:
    """Whether this is the address of a feed in one of its formats."""
    return path.endswith(_FEED_ENDINGS) and not path.endswith(".opml")


def _asked_least(target: str) -> str | None:
    """How many sources are asked for, `1` where nobody asks; None for what is no such number."""
    if MIN_SOURCES not in target:
        return "1"
    try:
        asked = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True, max_num_fields=20))
    except ValueError:
        return None
    least = asked.get(MIN_SOURCES, "1")
    return least if re.fullmatch("[1-9][0-9]?", least) and int(least) <= MOST_SOURCES else None


def weight(page: Page) -> int:
    """Bytes that a page takes while it is kept, its compressed forms among them."""
    document = page.document
    if document is None:
        return 0
    return len(document.body) + len(document.gzip or b"") + len(document.brotli or b"")


class PublicSite:
    """Answers readers. `pages` is asked for what the shelf does not hold, at most `workers` at a time; its answers are
    kept for `keep` seconds, at most `kept` of them and `kept_bytes` together, and all are dropped when something new is
    published."""

    def __init__(
        self,
        shelf: Shelf,
        pages: PageProvider | None = None,
        *,
        prefix: str = "",
        main_feed: str = "news",
        keep: float = 30.0,
        kept: int = 512,
        kept_bytes: int = 16 << 20,
        workers: int = 8,
        hooks: Hooks | None = None,
    ) -> None:
        self._hooks = hooks
        self._shelf, self._pages, self._prefix, self._main_feed = shelf, pages, prefix.rstrip("/"), main_feed
        self._documents = shelf.documents
        self._ready: dict[str, Ready] = {}
        self._cache: PageCache[tuple[Page, Ready | None]] = PageCache(kept, kept_bytes, keep)
        self._asking: dict[str, asyncio.Future[Page | None]] = {}
        self._turns = asyncio.Semaphore(workers)
        self._most_waiting = workers * 16

    def at_once(self, method: str, target: str, headers: Mapping[str, str]) -> Answer | None:
        if method not in READ_METHODS:
            is_push = method == "POST" and self._hooks is not None and (self._path(target) or "").startswith(_HOOKS)
            return None if is_push else method_not_allowed()
        ready = self._on_shelf(target)
        if ready is None:
            path = self._path(target)
            ready = self._on_shelf(path) if path is not None else None
            if ready is None:
                return self._fixed(path, headers)
            if path is not None and is_merged_feed(path) and (least := _asked_least(target)) != "1":
                return _NO_SUCH_LEAST if least is None or self._pages is None else None
        return ready.answer(headers)

    async def later(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        path = self._path(target) or ""
        if self._hooks is not None and path.startswith(_HOOKS):
            if method != "GET":
                return method_not_allowed("GET, POST")
            return await self._hooks.asked(path.removeprefix(_HOOKS), _query(target))
        if is_merged_feed(path) and path in self._shelf.documents:
            query = {MIN_SOURCES: _asked_least(target) or "1"}  # nothing else: each query is kept apart
        else:
            meant = parameters(path)  # the cache is kept by what is meant: made-up parameters must not fill it
            query = {name: value for name, value in _query(target).items() if name in meant}
        page, ready = await self._page(path, query)
        if page is None:
            return self._not_found(path, headers)
        if page.location is not None:
            is_ours = page.location.startswith("/")
            location = self._prefix + page.location if is_ours else page.location
            return redirect(page.status, location, FOR_A_PAGE)
        if ready is None:
            return plain(page.status, "too many ask at once", (("Retry-After", "5"),))
        return ready.answer(headers, page.status)

    async def expects(self, target: str, headers: Mapping[str, str]) -> int | Answer:
        """`answers.Taker`: how much a hub may bring here."""
        if self._hooks is None:
            return method_not_allowed()
        return await self._hooks.expects((self._path(target) or "").removeprefix(_HOOKS))

    async def take(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """`answers.Taker`: what a hub brings."""
        if self._hooks is None:
            return method_not_allowed()
        return await self._hooks.brought((self._path(target) or "").removeprefix(_HOOKS), headers, body)

    def _on_shelf(self, path: str) -> Ready | None:
        documents = self._shelf.documents
        if documents is not self._documents:  # something new was published
            self._ready = {name: ready for name, ready in self._ready.items() if documents.get(name) is ready.document}
            self._documents = documents
            self._cache.clear()
        ready = self._ready.get(path)
        if ready is None and (document := documents.get(path)) is not None:
            is_feed = path.endswith(_FEED_ENDINGS)
            cache_control = _FOR_A_FEED if is_feed else _FOR_EVER if path.startswith("/static/") else FOR_A_PAGE
            ready = self._ready[path] = Ready(document, cache_control, _ANYBODY if is_feed else ())
        return ready

    def _path(self, target: str) -> str | None:
        """The decoded path below the prefix, without query; None if it cannot be one of ours."""
        if "://" in target[:10]:  # the absolute form that proxies use
            target = "/" + target.partition("://")[2].partition("/")[2]
        path = unquote(target.partition("?")[0].partition("#")[0], errors="replace")
        if path not in self._shelf.documents and self._prefix and f"{path}/".startswith(f"{self._prefix}/"):
            path = path[len(self._prefix) :] or "/"
        if not path.startswith("/") or not path.isprintable() or "//" in path or "/." in path or "\\" in path:
            return None
        return path

    def _fixed(self, path: str | None, headers: Mapping[str, str]) -> Answer | None:
        """The few answers that are neither documents nor pages; None: ask the provider."""
        if path == "/healthz":
            return plain(200, "ok")
        if path == "/feed":
            ending = FEED_TYPES[preferred_type(headers.get("Accept"), tuple(FEED_TYPES))]
            location = f"{self._prefix}/{self._main_feed}.{ending}"
            return redirect(302, location, _FOR_A_FEED, (("Vary", "Accept"),))
        if path is not None and len(path) > 1 and path.endswith("/") and path[:-1] in self._shelf.documents:
            return redirect(308, self._prefix + path[:-1], FOR_A_PAGE)
        if path is None or (self._pages is None and not (self._hooks and path.startswith(_HOOKS))):
            return self._not_found(path, headers)
        return None

    def _not_found(self, path: str | None, headers: Mapping[str, str]) -> Answer:
        page = self._on_shelf(NOT_FOUND)
        is_for_people = path is None or not path.endswith(_FEED_ENDINGS)
        return page.answer(headers, 404) if page and is_for_people else plain(404, "there is nothing here")

    async def _page(self, path: str, query: dict[str, str]) -> tuple[Page | None, Ready | None]:
        key = f"{path}?{sorted(query.items())}"
        kept = self._cache.get(key)
        if kept is not None:
            return kept
        page = await self._asked(key, path, query)
        if page is None or page is _BUSY:  # not kept: guessed addresses would push out what is read
            return page, None
        is_feed = path.endswith(_FEED_ENDINGS)
        cache_control, extra = (_FOR_A_FEED, _ANYBODY) if is_feed else (FOR_A_PAGE, ())
        ready = Ready(page.document, cache_control, extra) if page.document else None
        self._cache.put(key, (page, ready), weight(page))
        return page, ready

    async def _asked(self, key: str, path: str, query: dict[str, str]) -> Page | None:
        """The provider's page; many readers of one address ask once."""
        assert self._pages is not None
        if (running := self._asking.get(key)) is not None:
            return await asyncio.shield(running)
        if len(self._asking) >= self._most_waiting:
            return _BUSY
        self._asking[key] = asyncio.get_running_loop().create_future()
        answer = self._asking[key]
        try:
            async with self._turns:
                page = await self._pages(path, query)
            answer.set_result(page)
            return page
        except BaseException as error:
            answer.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
            answer.exception()  # nobody may be waiting for it
            raise
        finally:
            del self._asking[key]


def _query(target: str) -> dict[str, str]:
    """The query's fields, each once; none where there are more than anybody needs."""
    try:
        return dict(parse_qsl(urlsplit(target).query, max_num_fields=20))
    except ValueError:
        return {}
