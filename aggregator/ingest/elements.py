"""Elements of a well-formed feed: their short names, their text, the HTML source inside them, their base address.

What the two halves of the fast lane (`fastlane` for RSS, `fastlane_atom`) have in common. Elements are lxml's, used
as they come: nothing here imports it.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

from aggregator.ingest.raw import mended

Element = Any  # lxml.Element, which lives in C and has no types

ATOM10 = "http://www.w3.org/2005/atom"
THREADING = "http://purl.org/syndication/thread/1.0"
XML = "{http://www.w3.org/XML/1998/namespace}"
LANGUAGE = XML + "lang"
_BASE = XML + "base"
WEB_PAGE = ("text/html", "application/xhtml+xml")
_PREFIXES = {  # lower case: publishers vary
    "http://purl.org/dc/elements/1.1/": "dc:",
    "http://purl.org/dc/elements/1.1": "dc:",
    "http://purl.org/dc/terms/": "dcterms:",
    "http://purl.org/rss/1.0/modules/content/": "content:",
    "http://purl.org/rss/1.0/modules/slash/": "slash:",
    "http://purl.org/rss/1.0/modules/syndication/": "sy:",
    THREADING: "thr:",
    "http://search.yahoo.com/mrss/": "media:",
    "http://search.yahoo.com/mrss": "media:",
    "http://www.rssboard.org/media-rss": "media:",
    "http://www.itunes.com/dtds/podcast-1.0.dtd": "itunes:",
    "http://rssnamespace.org/feedburner/ext/1.0": "feedburner:",
    "http://www.w3.org/1999/xhtml": "xhtml:",
    ATOM10: "atom:",
}


class Names(dict[str, str]):
    """Qualified names of lxml to short ones, `dc:creator`, lower case; empty for what no one reads. `own` namespaces
    have no prefix."""

    def __init__(self, own: set[str]) -> None:
        super().__init__()
        self.own = own

    def __missing__(self, tag: str) -> str:
        namespace, _, local = tag[1:].rpartition("}") if tag[0] == "{" else ("", "", tag)
        namespace = namespace.lower()
        prefix = "" if namespace in self.own else _PREFIXES.get(namespace)
        name = "" if prefix is None else prefix + local.lower()
        if len(self) < 1000:
            self[tag] = name
        return name


def with_groups(parent: Element, names: Names) -> Iterator[tuple[Element, str]]:
    """The children with their short names, and after each that only groups, its own."""
    for child in parent:
        name = names[child.tag]
        yield child, name
        if name in _GROUPS:
            yield from with_groups(child, names)


_GROUPS = frozenset(["media:group", "media:content", "categories"])


def person(element: Element, names: Names) -> str | None:
    """The name of a person construct (RFC 4287 §3.2), else the mail address."""
    parts = {names[child.tag]: text_of(child) for child in element}
    return parts.get("name") or parts.get("email") or (text_of(element) if not len(element) else None) or None


def text_of(element: Element) -> str:
    """The text inside, with that of elements inside it, stripped and mended."""
    text = "".join(element.itertext()) if len(element) else element.text
    if not text:
        return ""
    return text.strip() if text.isascii() else mended(text)  # four in five: the call would cost more than the rest


def inner(element: Element, is_source: bool = False) -> str:
    """What stands inside, as HTML source, without namespaces; a lone `div` that wraps it all is taken off.

    Text `is_source` where it is HTML source itself; otherwise it is plain and gets escaped.
    """
    if len(element) == 1 and not (element.text or "").strip() and not (element[0].tail or "").strip():
        only = element[0]
        if isinstance(only.tag, str) and only.tag.rpartition("}")[2] == "div":
            element = only
    as_source: Callable[[str], str] = str if is_source else escaped
    pieces: list[str] = [as_source(element.text or "")]
    _write_children(element, pieces.append, as_source)
    return mended("".join(pieces))


def escaped(text: str) -> str:
    """Plain text as HTML source."""
    return html.escape(text, quote=False)


def _write_children(element: Element, write: Callable[[str], None], as_source: Callable[[str], str]) -> None:
    # libxml2 refuses documents that nest deeper than 256, so recursion is safe.
    for child in element:
        name = child.tag.rpartition("}")[2]
        attributes = "".join(f' {key.rpartition("}")[2]}="{html.escape(value)}"' for key, value in child.attrib.items())
        if len(child) or child.text or name not in _VOID:
            write(f"<{name}{attributes}>{as_source(child.text or '')}")
            _write_children(child, write, as_source)
            write(f"</{name}>")
        else:
            write(f"<{name}{attributes} />")
        write(as_source(child.tail or ""))


_VOID = frozenset(["area", "br", "col", "embed", "hr", "img", "input", "source", "wbr"])


def base_of(element: Element, base: str | None) -> str | None:
    """The address that relative ones inside the element are seen from: its xml:base, seen from `base`."""
    own = element.get(_BASE)
    return joined(base, own) if own else base


def joined(base: str | None, reference: str) -> str:
    """`reference` seen from `base`; where one is missing the other."""
    try:
        return urljoin(base, reference.strip()) if base else reference.strip()
    except ValueError:
        return base or reference
