"""What the public listener answers: documents from the shelf, other pages through a bounded cache, nothing else.

Readers' addresses carry the path of `public_url`. A proxy in front may strip that prefix or keep it, both will do:
what the shelf holds wins, then the prefix is taken off and the rest looked up.
"""

from __future__ import annotations

import asyncio
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
from aggregator.publish.asking import BadQuery, address, fields_of
from aggregator.publish.cache import PageCache
from aggregator.publish.negotiate import preferred_type
from aggregator.publish.shelf import Shelf
from aggregator.publish.views import Asked, asked_for
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
    an absolute URL, with status 302 or 308). 410 with a document says that it was here once. Where there is neither,
    `said` is the answer, in one line; with 503, that it may be asked for again soon."""

    status: int
    document: Rendered | None = None
    location: str | None = None
    said: str = ""


# Path below the prefix and query to a page; None: there is no such page. Blocking work belongs off the loop.
PageProvider = Callable[[str, Mapping[str, str]], Awaitable[Page | None]]


class Hooks(Protocol):
    """Who answers what hubs ask and bring at `/websub/{token}` (`callbacks`)."""

    async def asked(self, token: str, query: Mapping[str, str]) -> Answer: ...
    async def expects(self, token: str) -> int | Answer: ...
    async def brought(self, token: str, headers: Mapping[str, str], body: bytes) -> Answer: ...


class HubDesk(Protocol):
    """Who answers what is asked at `/hub` (`reception`), where it is open."""

    @property
    def is_open(self) -> bool: ...
    def expects(self) -> int | Answer: ...
    async def asked(self, content_type: str, body: bytes) -> Answer: ...


SEARCHES = 2  # at work at a time: they must leave the processor and the other pages alone
_BUSY = Page(503, said="too many ask at once")
_HOOKS = "/websub/"
_HUB = "/hub"


def _meant(path: str, target: str) -> tuple[Asked | None, Mapping[str, str]]:
    """What the address asks for, and its query in the one way in which answers are kept. Raises BadQuery."""
    asked = asked_for(path, fields_of(target))
    return asked, asked.fields if asked else {}


def _asks_for_less(target: str) -> bool:
    """Whether the query may mean something: then more than the shelf must be looked at."""
    return "?" in target and bool(fields_of(target))


def weight(page: Page) -> int:
    """Bytes that a page takes while it is kept, its compressed forms among them."""
    document = page.document
    if document is None:
        return 0
    sizes = [len(document.body), len(document.gzip or b""), len(document.brotli or b"")]
    if document.parts is not None:
        sizes.append(len(document.body))  # its items once more
    return sum(sizes)


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
        hub: HubDesk | None = None,
    ) -> None:
        self._hooks, self._hub = hooks, hub
        self._shelf, self._pages, self._prefix, self._main_feed = shelf, pages, prefix.rstrip("/"), main_feed
        self._documents = shelf.documents
        self._ready: dict[str, Ready] = {}
        self._cache: PageCache[tuple[Page, Ready | None]] = PageCache(kept, kept_bytes, keep)
        self._searches, self._others = _Lane(SEARCHES), _Lane(workers)

    def at_once(self, method: str, target: str, headers: Mapping[str, str]) -> Answer | None:
        if method not in READ_METHODS:
            sent_to = self._path(target) or ""
            is_push = self._hooks is not None and sent_to.startswith(_HOOKS)
            return None if method == "POST" and (is_push or self._is_hub(sent_to)) else method_not_allowed()
        ready = self._on_shelf(target)
        if ready is None:
            path = self._path(target)
            ready = self._on_shelf(path) if path is not None else None
            if ready is None:
                return self._fixed(path, target, headers)
            if self._pages is not None and _asks_for_less(target):
                return None
        return ready.answer(headers)

    async def later(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        path = self._path(target) or ""
        if self._hooks is not None and path.startswith(_HOOKS):
            if method != "GET":
                return method_not_allowed("GET, POST")
            return await self._hooks.asked(path.removeprefix(_HOOKS), _query(target))
        try:
            asked, query = _meant(path, target)
        except BadQuery as error:
            # People are told so on a page, which the provider makes; programs in a line.
            if path.endswith(_FEED_ENDINGS) or self._pages is None:
                return plain(400, str(error))
            asked, query = None, fields_of(target)
        if not query and (known := self._on_shelf(path)) is not None:
            return known.answer(headers)
        page, ready = await self._page(path, query, self._searches if asked and asked.only.has_words else self._others)
        if page is None:
            # A document of which there is no less; but not the whole of it in place of a page that it has not.
            known = self._on_shelf(path) if asked is None or asked.page == 1 else None
            return known.answer(headers) if known else self._not_found(path, headers)
        if page.location is not None:
            is_ours = page.location.startswith("/")
            location = self._prefix + page.location if is_ours else page.location
            return redirect(page.status, location, FOR_A_PAGE)
        if ready is None:
            return plain(page.status, page.said, (("Retry-After", "5"),) if page.status == 503 else ())
        return ready.answer(headers, page.status)

    async def expects(self, target: str, headers: Mapping[str, str]) -> int | Answer:
        """`answers.Taker`: how much a hub may bring here, or a subscriber to ours."""
        path = self._path(target) or ""
        if self._hub is not None and path == _HUB:
            return self._hub.expects()
        if self._hooks is None:
            return method_not_allowed()
        return await self._hooks.expects(path.removeprefix(_HOOKS))

    async def take(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """`answers.Taker`: what a hub brings, or a subscriber asks of ours."""
        path = self._path(target) or ""
        if self._hub is not None and path == _HUB:
            return await self._hub.asked(headers.get("Content-Type", ""), body)
        if self._hooks is None:
            return method_not_allowed()
        return await self._hooks.brought(path.removeprefix(_HOOKS), headers, body)

    def _is_hub(self, path: str) -> bool:
        return self._hub is not None and self._hub.is_open and path == _HUB

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

    def _fixed(self, path: str | None, target: str, headers: Mapping[str, str]) -> Answer | None:
        """The few answers that are neither documents nor pages; None: ask the provider."""
        if path == "/healthz":
            return plain(200, "ok")
        if path is not None and self._is_hub(path):
            return method_not_allowed("POST")
        if path == "/feed":
            ending = FEED_TYPES[preferred_type(headers.get("Accept"), tuple(FEED_TYPES))]
            location = f"{self._prefix}/{self._main_feed}.{ending}"
            return redirect(302, location, _FOR_A_FEED, (("Vary", "Accept"),))
        if path is not None and self._is_slashed(path):
            return redirect(308, f"{self._prefix}{path[:-1]}{address(fields_of(target))}", FOR_A_PAGE)
        if path is None or (self._pages is None and not (self._hooks and path.startswith(_HOOKS))):
            return self._not_found(path, headers)
        return None

    def _is_slashed(self, path: str) -> bool:
        """Whether the address is one of ours but for a slash at its end."""
        if len(path) == 1 or not path.endswith("/"):
            return False
        return path[:-1] in self._shelf.documents or (self._pages is not None and asked_for(path[:-1], {}) is not None)

    def _not_found(self, path: str | None, headers: Mapping[str, str]) -> Answer:
        page = self._on_shelf(NOT_FOUND)
        is_for_people = path is None or not path.endswith(_FEED_ENDINGS)
        return page.answer(headers, 404) if page and is_for_people else plain(404, "there is nothing here")

    async def _page(self, path: str, query: Mapping[str, str], lane: _Lane) -> tuple[Page | None, Ready | None]:
        key = f"{path}{address(query)}"
        kept = self._cache.get(key)
        if kept is not None:
            return kept
        documents = self._shelf.documents
        page = await self._asked(lane, key, path, query)
        if page is None or page.status in (400, 503):  # not kept: guessed addresses would push out what is read
            return page, _ready(path, page)
        ready = _ready(path, page)
        if self._shelf.documents is documents:  # else it may tell what was taken down before that was published
            self._cache.put(key, (page, ready), weight(page))
        return page, ready

    async def _asked(self, lane: _Lane, key: str, path: str, query: Mapping[str, str]) -> Page | None:
        """The provider's page; many readers of one address ask once."""
        assert self._pages is not None
        if (running := lane.asking.get(key)) is not None:
            return await asyncio.shield(running)
        if len(lane.asking) >= lane.most:
            return _BUSY
        answer = lane.asking[key] = asyncio.get_running_loop().create_future()
        try:
            async with lane.turns:
                page = await self._pages(path, query)
            answer.set_result(page)
            return page
        except BaseException as error:
            answer.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
            answer.exception()  # nobody may be waiting for it
            raise
        finally:
            del lane.asking[key]


class _Lane:
    """The addresses that are being asked for, `workers` at a time, and their answers to come."""

    def __init__(self, workers: int) -> None:
        self.turns = asyncio.Semaphore(workers)
        self.most = workers * 16
        self.asking: dict[str, asyncio.Future[Page | None]] = {}


def _ready(path: str, page: Page | None) -> Ready | None:
    if page is None or page.document is None:
        return None
    is_feed = path.endswith(_FEED_ENDINGS)
    cache_control, extra = (_FOR_A_FEED, _ANYBODY) if is_feed else (FOR_A_PAGE, ())
    return Ready(page.document, cache_control, extra)


def _query(target: str) -> dict[str, str]:
    """The query's fields, each once; none where there are more than anybody needs."""
    try:
        return dict(parse_qsl(urlsplit(target).query, max_num_fields=20))
    except ValueError:
        return {}
