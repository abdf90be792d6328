"""Finding a site's feeds: the links its pages declare, those that look like one, and the places worth a guess.

Pure: HTML comes in, candidates go out, likeliest first. Asking for the page and trying the candidates is the caller's,
through `fetch`; a candidate is a feed only when `parse` says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from aggregator.text import one_line
from aggregator.urls import http_url

MAX_PAGE = 1024 * 1024  # characters; declarations stand in the head
MAX_FOUND = 50

_TYPES = (
    "application/rss+xml",
    "application/atom+xml",
    "application/feed+json",
    "application/rdf+xml",
    "application/xml",
    "text/xml",
    "application/json",
)
_SURE_TYPES = _TYPES[:4]
_LOOKS_LIKE = re.compile(
    r"(?:^|[/._?=&-])(?:rss|atom|feeds?|rdf|xml)(?:$|[/._?=&-])|\.(?:rss|atom|rdf)$|feedburner\.com/", re.IGNORECASE
)
_COMMENTS = re.compile(r"comments?(?:$|[/_-])|\bcomments\b", re.IGNORECASE)
_OTHER = re.compile(r"(?:sitemap|opensearch|oembed|wp-json|manifest|xmlrpc)", re.IGNORECASE)
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([a-zA-Z0-9_.:-]{1,40})", re.IGNORECASE)
_WELL_KNOWN = (
    "/feed", "/feed/", "/rss", "/rss.xml", "/atom.xml", "/feed.xml", "/index.xml", "/feed.json", "/feeds/posts/default",
    "/rss/index.rss", "/blog/feed", "/news/rss.xml", "/?feed=rss2",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FoundFeed:
    """A candidate. `is_declared`: the page says it is a feed (link rel=alternate), rather than its looks."""

    url: str
    title: str | None = None
    media_type: str | None = None
    is_declared: bool = False


def feed_links(html: bytes, url: str) -> tuple[FoundFeed, ...]:
    """The feeds a page at `url` leads to: declared ones in the page's order, then links that look like one; comment
    feeds last among their kind. Relative addresses count from <base>; each address comes once."""
    page = _Page(url)
    page.feed(_decoded(html[: 4 * MAX_PAGE])[:MAX_PAGE])
    page.close()
    declared = sorted(page.declared, key=_is_about_comments)
    linked = sorted(page.linked, key=_is_about_comments)
    once: dict[str, FoundFeed] = {}
    for found in (*declared, *linked):
        once.setdefault(found.url, found)
    return tuple(once.values())[:MAX_FOUND]


def guesses(url: str) -> tuple[str, ...]:
    """Where feeds often are, from the page's own folder and from the site's root; for pages that declare none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return ()
    root = f"{parts.scheme}://{parts.netloc}"
    folder = parts.path.rstrip("/")
    places = [root + folder + end for end in _WELL_KNOWN[:3]] if folder else []
    return tuple(dict.fromkeys([*places, *(root + end for end in _WELL_KNOWN)]))


class _Page(HTMLParser):
    """Reads links as they come; never fails, whatever the tags."""

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self._base = url
        self.declared: list[FoundFeed] = []
        self.linked: list[FoundFeed] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("link", "a", "base"):
            return
        values = {name: value or "" for name, value in reversed(attrs)}  # the first of repeated attributes counts
        if tag == "base":
            self._base = http_url(values.get("href"), self._base) or self._base
        elif tag == "link":
            self._declare(values)
        elif len(self.linked) < 10 * MAX_FOUND:
            self._suspect(values)

    def _declare(self, values: dict[str, str]) -> None:
        rels = values.get("rel", "").lower().split()
        media_type = values.get("type", "").partition(";")[0].strip().lower()
        if not {"alternate", "feed"} & set(rels) or "stylesheet" in rels:
            return
        href = values.get("href", "")
        if "feed" not in rels and (media_type not in _TYPES or (media_type not in _SURE_TYPES and _OTHER.search(href))):
            return
        self._keep(self.declared, href, values.get("title"), media_type or None, is_declared=True)

    def _suspect(self, values: dict[str, str]) -> None:
        href = values.get("href", "").strip()
        media_type = values.get("type", "").partition(";")[0].strip().lower()
        if media_type not in _SURE_TYPES and (not _LOOKS_LIKE.search(href) or _OTHER.search(href)):
            return
        self._keep(self.linked, href, values.get("title"), media_type or None, is_declared=False)

    def _keep(
        self, into: list[FoundFeed], href: str, title: str | None, media_type: str | None, *, is_declared: bool
    ) -> None:
        href = re.sub(r"^feed:(?://)?(?=https?:)", "", href.strip(), flags=re.IGNORECASE)
        href = re.sub(r"^feed://", "http://", href, flags=re.IGNORECASE)
        url = http_url(href, self._base)
        if url is not None:
            into.append(FoundFeed(url.partition("#")[0], one_line(title or "") or None, media_type, is_declared))


def _is_about_comments(found: FoundFeed) -> bool:
    return bool(_COMMENTS.search(urljoin(found.url, urlsplit(found.url).path)) or _COMMENTS.search(found.title or ""))


def _decoded(html: bytes) -> str:
    """The page as text; a wrong charset spoils titles at worst."""
    found = _CHARSET.search(html[:4096])
    for charset in _charsets(found.group(1).decode("ascii") if found else None):
        try:
            return html.decode(charset, "replace")
        except LookupError:
            continue
    return html.decode("latin-1")


# Python's other codecs are no charsets (zip, rot13 …) or slow enough to be a weapon (idna, punycode).
_TEXT_CHARSETS = re.compile(r"utf-?8|iso-8859-\d+|windows-125\d|koi8-[ru]|shift_jis|euc-(?:jp|kr)|gb\w+|big5", re.I)


def _charsets(declared: str | None) -> Iterable[str]:
    if declared and _TEXT_CHARSETS.fullmatch(declared):
        yield declared
    yield "utf-8"
