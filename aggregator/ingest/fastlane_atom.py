"""The fast lane's second half: Atom 1.0 (RFC 4287) and 0.3. `fastlane` calls `read_atom` with a root it recognised."""

from __future__ import annotations

from aggregator.ingest.elements import (
    LANGUAGE,
    Element,
    Names,
    base_of,
    escaped,
    inner,
    person,
    text_of,
    with_groups,
)
from aggregator.ingest.hints import HintTexts, feed_hints
from aggregator.ingest.media import Media, entry_link, feed_link
from aggregator.ingest.raw import RawEntry, RawFeed, some


class Unsure(Exception):
    """Met something that feedparser should look at."""


def read_atom(root: Element, names: Names, version: str) -> RawFeed | None:
    """The raw feed, or None where feedparser should look at it."""
    feed = RawFeed(version, base=base_of(root, None), language=root.get(LANGUAGE))
    said = HintTexts()
    items: list[Element] = []
    for child in root:
        name = names[child.tag]
        if name == "entry":
            items.append(child)
        elif name == "title":
            feed.title = feed.title or _construct(child) or ""
        elif name == "link":
            feed_link(child, feed)
        elif name == "author":
            feed.author = feed.author or person(child, names)
        elif name == "dc:language":
            feed.language = feed.language or text_of(child)
        elif name in said.wanted and ":" in name:
            said.add(name, [text_of(child)])
    feed.hints = feed_hints(said)
    try:
        feed.entries = [_read_entry(item, names, feed.base) for item in some(items)]
    except Unsure:
        return None
    return feed


_ENTRY_TEXT = frozenset(
    [
        *("id", "published", "updated", "issued", "created", "modified", "dc:date", "dc:creator", "thr:total"),
        *("slash:comments", "feedburner:origlink", "dc:language", "media:title", "media:description"),
    ]
)


def _read_entry(item: Element, names: Names, base: str | None) -> RawEntry:
    said: dict[str, str] = {}
    media = Media()
    authors: list[str] = []
    categories: list[str] = []
    entry = RawEntry(base=base_of(item, base), language=item.get(LANGUAGE))
    for child, name in with_groups(item, names):
        if name == "link":
            entry_link(child, entry, media)
        elif name == "title":
            entry.title = entry.title or _construct(child) or ""
        elif name == "summary":
            entry.summary = entry.summary or _construct(child)
        elif name == "content":
            if entry.content is None:
                entry.content = _construct(child)
                entry.content_base = base_of(child, entry.base)
        elif name in _ENTRY_TEXT:
            said.setdefault(name, text_of(child))
        elif name == "category":
            categories.append((child.get("label") or child.get("term") or text_of(child)).strip())
        elif name == "dc:subject":
            categories.append(text_of(child))
        elif name == "author":
            authors.append(person(child, names) or "")
        elif name:
            media.see(name, child)
    entry.guid = said.get("id")
    entry.link = said.get("feedburner:origlink") or entry.link or media.other_link or entry.guid
    entry.title = entry.title or escaped(said.get("media:title", ""))
    entry.author = ", ".join(filter(None, authors[:5])) or said.get("dc:creator")
    entry.published = said.get("published") or said.get("issued") or said.get("created")
    entry.updated = said.get("updated") or said.get("modified") or said.get("dc:date")
    entry.summary = entry.summary or escaped(said.get("media:description", "")) or None
    entry.categories = tuple(dict.fromkeys(filter(None, categories)))
    entry.images, entry.enclosures = media.images(), tuple(media.enclosures)
    entry.comment_count = said.get("slash:comments") or said.get("thr:total") or entry.comment_count
    entry.language = said.get("dc:language") or entry.language
    return entry


def _construct(element: Element) -> str | None:
    """A text construct (RFC 4287 §3.1, or Atom 0.3's) as HTML source; None where it holds nothing we can show."""
    kind = (element.get("type") or "text").strip().lower()
    mode = element.get("mode")
    if mode == "base64":
        raise Unsure
    if kind == "xhtml" or (kind == "application/xhtml+xml" and mode != "escaped"):
        return inner(element) or None
    if len(element):
        return inner(element) or None
    text = text_of(element)
    if kind in ("html", "text/html", "application/xhtml+xml"):
        return text or None
    if kind in ("text", "text/plain"):
        return escaped(text) or None
    if element.get("src") is None and not kind.endswith(("/xml", "+xml")) and text:
        raise Unsure  # some media type inline: base64, or text by another name
    return None
