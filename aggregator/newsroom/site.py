"""The newsroom behind paths: feeds, article pages and pictures, as they are at a moment.

Feeds link to `http://OUTLET.localhost:PORT/…`: browsers take every name below localhost for this machine (RFC 6761
§6.3), and each outlet is a publisher of its own. The feeds themselves are asked for under the plain `base_url`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from hashlib import blake2b
from html import escape
from urllib.parse import urlsplit

from aggregator.newsroom import formats, pictures
from aggregator.newsroom.events import EVENTS, Telling, starts_at, tellings
from aggregator.newsroom.outlets import BY_KEY, LINKS, MIRROR, OUTLETS, Outlet

FEED_ITEMS = 30
SLOW = 600.0  # seconds; longer than anybody waits
_NOTE = "This outlet and everything it reports are invented, for a demonstration of Business Monkey News."


@dataclass(frozen=True, slots=True)
class Document:
    """An HTTP answer; header names are lower case. `delay` is how many seconds the origin takes before it answers."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Newsroom:
    """The twenty outlets, served at `base_url` (without a slash at the end) since `started`."""

    base_url: str
    started: datetime

    def sources(self) -> list[dict[str, object]]:
        """The outlets as entries of `sources:` in a configuration."""
        return [self._source(outlet) for outlet in OUTLETS]

    def document(self, path: str, now: datetime, if_none_match: str | None = None) -> Document:
        """What `path` answers at `now`; 404 for what does not exist, or not yet. A query is ignored."""
        path = path.partition("?")[0]
        found = self._feed(path, now) or self._page(path, now) or _not_found()
        if if_none_match and found.status == 200 and found.headers.get("etag") == if_none_match:
            return Document(304, {name: found.headers[name] for name in ("etag", "cache-control")})
        return found

    def documents(self, now: datetime) -> dict[str, Document]:
        """Every feed address and what it answers at `now`."""
        paths = {path for outlet in OUTLETS for path in (outlet.configured_path, outlet.feed_path)}
        return {path: self.document(path, now) for path in sorted(paths)}

    def next_change(self, now: datetime) -> datetime | None:
        """When the next event becomes known; None when there are no more."""
        times = (self.started + timedelta(seconds=starts_at(event)) for event in range(EVENTS))
        return next((at for at in times if at > now), None)

    def _source(self, outlet: Outlet) -> dict[str, object]:
        source: dict[str, object] = {"url": self.base_url + outlet.configured_path, "title": outlet.title}
        if outlet.hint:
            source["section"] = outlet.hint
        return source | {"weight": outlet.weight}

    # ------------------------------------------------------------ feeds

    def _feed(self, path: str, now: datetime) -> Document | None:
        for outlet in OUTLETS:
            if path == outlet.configured_path and outlet.fate != "ok":
                return self._trouble(outlet)
            if path == outlet.feed_path:
                return self._feed_of(outlet, now)
        return None

    def _feed_of(self, outlet: Outlet, now: datetime) -> Document:
        items = self.items(outlet, now)
        content_type, body = formats.feed(outlet, self._home(outlet), items)
        headers = {"last-modified": _http_date(max((item.updated for item in items), default=self.started))}
        if outlet.flaw == "gzip":
            headers["content-encoding"] = "gzip"
        return _found(content_type, body, headers)

    def items(self, outlet: Outlet, now: datetime) -> list[formats.Item]:
        """An outlet's newest reports at `now`, newest first."""
        told = sorted(self._told(outlet.key, now), key=lambda telling: telling.at, reverse=True)
        return [self._item(outlet, telling, now) for telling in told[:FEED_ITEMS]]

    def _told(self, key: str, now: datetime) -> Iterator[Telling]:
        elapsed = (now - self.started).total_seconds()
        for event in range(EVENTS):
            if starts_at(event) > elapsed:
                return
            yield from (told for told in tellings(event) if told.outlet == key and told.at <= elapsed)

    def _item(self, outlet: Outlet, told: Telling, now: datetime) -> formats.Item:
        # Whole seconds: feeds carry no more, and bytes must not depend on when exactly the newsroom started.
        published = (self.started + timedelta(seconds=told.at)).replace(microsecond=0)
        telling = _as_of(told, (now - self.started).total_seconds())
        corrected = telling.title != told.title
        url = self._link(BY_KEY[told.link_key], told.event)
        if outlet.key in (MIRROR, LINKS):
            url += f"?utm_source={outlet.key}&utm_medium=rss"
        talk = f"{self._home(outlet)}talk/{told.event}" if told.is_discussed else None
        return formats.Item(
            title=_house_style(outlet, telling.title),
            url=url,
            guid=f"tag:{outlet.key}.example,2026:{told.event}",
            published=published,
            updated=published + timedelta(seconds=(told.corrected_at or told.at) - told.at) if corrected else published,
            summary=told.paragraphs[0],
            html="".join(f"<p>{escape(text)}</p>" for text in told.paragraphs),
            category=told.category,
            author=told.author if outlet.author_shown else None,
            image_url=self._picture(outlet, told.event) if outlet.pictures else None,
            comments_url=talk,
            comment_count=_comments(told, now - published) if told.is_discussed else 0,
        )

    def _trouble(self, outlet: Outlet) -> Document:
        match outlet.fate:
            case "moved":
                return Document(301, {"location": self.base_url + outlet.feed_path})
            case "challenge":
                return Document(403, _HTML, b"<title>One moment</title><p>Checking that you are not a robot.")
            case "broken":
                return Document(500, _HTML, b"<title>500</title><p>Our database is on holiday.")
            case "slow":
                return Document(200, {"content-type": "application/rss+xml"}, b"<rss version='2.0'/>", delay=SLOW)
            case "gone":
                return Document(410, _HTML, b"<title>Gone</title><p>The Almanac has ceased publication.")
            case "page":
                return _found("text/html; charset=utf-8", b"<!doctype html><title>Front page</title><p>No feed here.")
            case _:
                return _not_found()

    # ------------------------------------------------------------ pages and pictures

    def _page(self, path: str, now: datetime) -> Document | None:
        if path == "/":
            return _found("text/html; charset=utf-8", self._index().encode())
        key, _, name = path.strip("/").partition("/")
        outlet = BY_KEY.get(key)
        if outlet is None:
            return None
        if not name:
            return _found("text/html; charset=utf-8", self._front(outlet, now).encode())
        number = name.removeprefix("talk/").removesuffix(".png")
        told = self._telling(outlet.key, number, now)
        if told is None:
            return None
        if name.endswith(".png"):
            return _found(
                "image/png", pictures.skyline(f"{outlet.key} {told.event}"), {"cache-control": "max-age=3600"}
            )
        return _found("text/html; charset=utf-8", self._article(outlet, told).encode())

    def _telling(self, key: str, number: str, now: datetime) -> Telling | None:
        if not (number.isascii() and number.isdigit() and len(number) <= 4 and int(number) < EVENTS):
            return None
        elapsed = (now - self.started).total_seconds()
        found = (told for told in tellings(int(number)) if told.outlet == key and told.at <= elapsed)
        return next((_as_of(told, elapsed) for told in found), None)

    def _article(self, outlet: Outlet, told: Telling) -> str:
        picture = f'<img src="{self._picture(outlet, told.event)}" alt="">' if outlet.pictures else ""
        text = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in told.paragraphs)
        return _html(outlet.title, f"<h1>{escape(told.title)}</h1><p><i>{escape(told.author)}</i></p>{picture}{text}")

    def _front(self, outlet: Outlet, now: datetime) -> str:
        rows = (f'<li><a href="{escape(item.url)}">{escape(item.title)}</a>' for item in self.items(outlet, now))
        return _html(outlet.title, f"<h1>{escape(outlet.title)}</h1><ul>{''.join(rows)}</ul>")

    def _index(self) -> str:
        rows = (
            f'<li><a href="{outlet.configured_path}">{escape(outlet.title)}</a> ({outlet.fate})' for outlet in OUTLETS
        )
        return _html("An invented newsroom", f"<h1>An invented newsroom</h1><ul>{''.join(rows)}</ul>")

    def _home(self, outlet: Outlet) -> str:
        port = urlsplit(self.base_url).port
        return f"http://{outlet.key}.localhost{f':{port}' if port else ''}/{outlet.key}/"

    def _link(self, outlet: Outlet, event: int) -> str:
        return f"{self._home(outlet)}{event}"

    def _picture(self, outlet: Outlet, event: int) -> str:
        # Under base_url, so that pictures show in programs that do not know names below localhost.
        return f"{self.base_url}/{outlet.key}/{event}.png"


_HTML = {"content-type": "text/html; charset=utf-8"}


def _as_of(told: Telling, elapsed: float) -> Telling:
    """The report as it reads `elapsed` seconds after the start: with its correction once that is made."""
    if told.corrected_at is None or told.corrected_at > elapsed:
        return told
    return replace(told, title=told.corrected_title)


def _house_style(outlet: Outlet, title: str) -> str:
    """The Post sets dashes and quotation marks that windows-1252 has and Latin-1 lacks."""
    return title.replace("'", "’").replace(": ", " – ") if outlet.flaw == "windows-1252" else title


def _comments(told: Telling, age: timedelta) -> int:
    """Comments after `age`: a few more every half minute, for ten minutes."""
    return min(int(age.total_seconds()) // 30, 20) * (1 + told.event % 5)


def _found(content_type: str, body: bytes, headers: Mapping[str, str] | None = None) -> Document:
    etag = f'"{blake2b(body, digest_size=8).hexdigest()}"'
    common = {"content-type": content_type, "etag": etag, "cache-control": "no-cache"}
    return Document(200, common | dict(headers or {}), body)


def _not_found() -> Document:
    return Document(404, _HTML, b"<title>Not found</title><p>Nothing by that name here.")


def _http_date(at: datetime) -> str:
    return format_datetime(at.replace(microsecond=0), usegmt=True)


def _html(title: str, body: str) -> str:
    style = "body{max-width:42em;margin:2em auto;padding:0 1em;font:18px/1.5 Georgia,serif}img{max-width:100%}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{style}</style>'
        f"{body}<hr><p><small>{escape(_NOTE)}</small></p></html>"
    )
