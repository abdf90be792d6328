"""JSON Feed 1.0 and 1.1 (jsonfeed.org) into raw fields. Values of wrong types are passed over, never trusted."""

from __future__ import annotations

import html
import json
from typing import Any

from aggregator.ingest.media import is_picture
from aggregator.ingest.raw import RawEntry, RawFeed, some

_VERSIONS = {"1": "json1", "1.0": "json1", "1.1": "json11"}


def looks_like_json(body: str) -> bool:
    """Whether the document can only be JSON."""
    return body[:1] in ("{", "[")


def read(body: str) -> RawFeed | str:
    """The document's raw feed, or one line for a person on why it is no JSON Feed."""
    try:
        document = json.loads(body, parse_int=_bounded_int)
    except RecursionError:
        return "JSON nested too deep"
    except ValueError as error:
        return f"not valid JSON: {str(error)[:120]}"
    if not isinstance(document, dict):
        return f"JSON, but {_kind(document)} and not a JSON Feed object"
    version = _string(document.get("version"))
    if "jsonfeed.org/version/" not in version:
        return f"JSON, but not a JSON Feed (version is {version[:60]!r})"
    items = document.get("items")
    if not isinstance(items, list):
        return f"JSON Feed without a list of items (items is {_kind(items)})"
    feed = RawFeed(
        format=_VERSIONS.get(version.rpartition("/")[2], "json11"),
        title=_plain(document.get("title")),
        site_url=_string(document.get("home_page_url")) or None,
        self_url=_string(document.get("feed_url")) or None,
        language=_string(document.get("language")) or None,
        author=_authors(document),
        hub_urls=tuple(_string(hub.get("url")) for hub in _objects(document.get("hubs"))),
    )
    objects = [item for item in items if isinstance(item, dict)]
    feed.entries = [_entry(item) for item in some(objects)]
    if strange := len(items) - len(objects):
        feed.complaint = f"{strange} items that are no objects"
    return feed


def _entry(item: dict[str, Any]) -> RawEntry:
    attachments = tuple(_attachment(each) for each in _objects(item.get("attachments")))
    images = [_string(item.get("image")), _string(item.get("banner_image"))]
    images += [url for url, media_type, _ in attachments if is_picture(url, None, media_type)]
    identity = item.get("id")
    link = _string(item.get("url"))
    # A link blog's entries speak of `external_url`; `url` stays the entry's own page where there is one.
    return RawEntry(
        guid=_string(identity) or (str(identity) if _is_number(identity) else None) or link or None,
        link=link or _string(item.get("external_url")) or _string(identity) or None,
        title=_plain(item.get("title")),
        author=_authors(item),
        published=_string(item.get("date_published")) or None,
        updated=_string(item.get("date_modified")) or None,
        summary=_plain(item.get("summary")) or None,
        content=_string(item.get("content_html")) or _paragraphs(_string(item.get("content_text"))) or None,
        categories=tuple(filter(None, (_plain(tag) for tag in _list(item.get("tags"))))),
        images=tuple(dict.fromkeys(filter(None, images))),
        enclosures=tuple(each for each in attachments if each[0]),
        language=_string(item.get("language")) or None,
    )


def _attachment(attachment: dict[str, Any]) -> tuple[str, str, str]:
    length = attachment.get("size_in_bytes")
    return (
        _string(attachment.get("url")),
        _string(attachment.get("mime_type")),
        str(int(length)) if isinstance(length, (int, float)) and 0 <= length < 1e15 else "",
    )


def _authors(item: dict[str, Any]) -> str | None:
    """Names of `authors` (1.1) or of `author` (1.0)."""
    people = _objects(item.get("authors")) or _objects([item.get("author")])
    return ", ".join(filter(None, (_plain(person.get("name")) for person in people[:5]))) or None


def _bounded_int(digits: str) -> int | None:
    return int(digits) if len(digits) < 20 else None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _string(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _plain(value: object) -> str:
    return html.escape(_string(value), quote=False)


def _paragraphs(text: str) -> str:
    escaped = html.escape(text, quote=False)
    return "<p>" + escaped.replace("\n\n", "</p><p>").replace("\n", "<br>") + "</p>" if "\n" in escaped else escaped


def _list(value: object) -> list[Any]:
    return value[:200] if isinstance(value, list) else []


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in _list(value) if isinstance(each, dict)]


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a truth value", type(None): "nothing"}
    return names.get(type(value), "a number")
