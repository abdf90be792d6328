"""The fast lane: well-formed RSS 0.9x, 1.0, 2.0 and Atom 0.3, 1.0 read with lxml, a tenth of feedparser's time or less.

`read` answers None for whatever it does not surely understand (not well-formed, an unknown root or default namespace,
base64, entities); `parse` then asks feedparser. tests/test_parse_differential.py holds the two against each other.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator

from lxml import etree

from aggregator.ingest.hints import HintTexts, feed_hints
from aggregator.ingest.raw import RawEntry, RawFeed, mended

# An element count that no honest feed reaches; beyond it the first and the last are kept (newest first or last).
MAX_READ = 10_000

_RSS = {
    "",
    "http://backend.userland.com/rss",
    "http://backend.userland.com/rss2",
    "http://backend.userland.com/rss091",
    "http://backend.userland.com/rss092",
    "http://blogs.law.harvard.edu/tech/rss",
    "http://cyber.law.harvard.edu/rss/rss.html",
    "https://cyber.harvard.edu/rss/rss.html",
}
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RSS10 = "http://purl.org/rss/1.0/"
_RSS090 = "http://my.netscape.com/rdf/simple/0.9/"
_ATOM10 = "http://www.w3.org/2005/atom"
_ATOM03 = "http://purl.org/atom/ns#"
_XML = "{http://www.w3.org/XML/1998/namespace}"
_PREFIXES = {  # lower case: publishers vary
    "http://purl.org/dc/elements/1.1/": "dc:",
    "http://purl.org/dc/elements/1.1": "dc:",
    "http://purl.org/dc/terms/": "dcterms:",
    "http://purl.org/rss/1.0/modules/content/": "content:",
    "http://purl.org/rss/1.0/modules/slash/": "slash:",
    "http://purl.org/rss/1.0/modules/syndication/": "sy:",
    "http://purl.org/syndication/thread/1.0": "thr:",
    "http://search.yahoo.com/mrss/": "media:",
    "http://search.yahoo.com/mrss": "media:",
    "http://www.rssboard.org/media-rss": "media:",
    "http://www.itunes.com/dtds/podcast-1.0.dtd": "itunes:",
    "http://rssnamespace.org/feedburner/ext/1.0": "feedburner:",
    "http://www.w3.org/1999/xhtml": "xhtml:",
    _ATOM10: "atom:",
}


class _Names(dict[str, str]):
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


def read(document: bytes) -> RawFeed | None:
    """The UTF-8 document's raw feed, or None if this is not surely one that we read right."""
    root = _root(document)
    if root is None:
        return None
    namespace, _, local = root.tag[1:].rpartition("}") if root.tag[0] == "{" else ("", "", root.tag)
    namespace = namespace.lower()
    local = local.lower()
    if local == "rss" and namespace in _RSS:
        return _read_rss(root, _Names(_RSS | {namespace}), _rss_version(root.get("version", "")))
    if local == "rdf" and namespace == _RDF:
        return _read_rdf(root)
    if local == "feed" and namespace in (_ATOM10, _ATOM03):
        return _read_atom(root, _Names({namespace}), "atom10" if namespace == _ATOM10 else "atom03")
    return None


def _root(document: bytes) -> etree._Element | None:
    # A parser per document: reused ones keep a dictionary of every name they ever saw.
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(document, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def _rss_version(version: str) -> str:
    return "rss09x" if version.startswith("0.9") else "rss20"


# ---------------------------------------------------------------- RSS


def _read_rss(root: etree._Element, names: _Names, version: str) -> RawFeed | None:
    channel = next((child for child in root if names[child.tag] == "channel"), None)
    if channel is None:
        return None
    feed = RawFeed(version)
    _read_channel(channel, names, feed)
    items = [child for child in channel if names[child.tag] == "item"]
    items += [child for child in root if names[child.tag] == "item"]
    feed.base = _base(channel, _base(root, None))
    feed.language = feed.language or root.get(_XML + "lang")
    feed.entries = [_read_item(item, names, feed.base) for item in _some(items)]
    return feed


def _read_rdf(root: etree._Element) -> RawFeed | None:
    kind = "rss10"
    own = {_RSS10}
    for child in root:
        if child.tag == f"{{{_RSS090}}}channel":
            kind, own = "rss09x", {_RSS090}
    names = _Names(own)
    if not any(names[child.tag] == "channel" for child in root):
        return None
    return _read_rss(root, names, kind)


def _some(items: list[etree._Element]) -> list[etree._Element]:
    return items if len(items) <= MAX_READ else items[: MAX_READ // 2] + items[-MAX_READ // 2 :]


def _read_channel(channel: etree._Element, names: _Names, feed: RawFeed) -> None:
    said: HintTexts = HintTexts()
    language = channel.get(_XML + "lang")
    for child in channel:
        name = names[child.tag]
        if name == "item":
            continue
        if name == "title":
            feed.title = feed.title or _text(child)
        elif name == "link":
            feed.site_url = feed.site_url or _text(child) or None
        elif name == "atom:link":
            _feed_link(child, feed)
        elif name in ("language", "dc:language"):
            feed.language = feed.language or _text(child) or None
        elif name in said.wanted:
            said.add(name, [_text(part) for part in child] if len(child) else [_text(child)])
    feed.language = feed.language or language
    feed.hints = feed_hints(said)


def _feed_link(link: etree._Element, feed: RawFeed) -> None:
    relation, href = link.get("rel", "alternate"), link.get("href", "").strip()
    if not href:
        return
    if relation == "self":
        feed.self_url = feed.self_url or href
    elif relation == "hub":
        feed.hub_urls += (href,)
    elif relation == "alternate" and link.get("type", "text/html") in ("text/html", "application/xhtml+xml"):
        feed.site_url = feed.site_url or href


_ITEM_TEXT = frozenset(
    [
        *("title", "link", "description", "content:encoded", "guid", "pubdate", "author", "comments", "dc:date"),
        *("dc:title", "dc:description", "dcterms:created", "dcterms:issued", "dcterms:modified", "media:title"),
        *("media:description", "itunes:author", "itunes:summary", "feedburner:origlink", "slash:comments", "thr:total"),
        *("dc:language", "xhtml:body", "fullitem", "itunes:subtitle", "published", "updated"),
    ]
)
_MARKUP = frozenset(["title", "description", "content:encoded", "xhtml:body", "dc:description"])


def _read_item(item: etree._Element, names: _Names, base: str | None) -> RawEntry:
    said: dict[str, str] = {}
    creators: list[str] = []
    media = _Media()
    entry = RawEntry(base=_base(item, base), language=item.get(_XML + "lang"))
    categories: list[str] = []
    for child in _with_groups(item, names):
        name = names[child.tag]
        if name in _ITEM_TEXT:
            if name not in said:
                text = _inner(child) if len(child) and name in _MARKUP else _text(child)
                if text:
                    said[name] = text
                    if name == "guid":
                        is_address = child.get("isPermaLink", "true").strip().lower() == "true"
                        said["guid link"] = text if is_address else ""
        elif name in ("category", "dc:subject", "media:category", "itunes:category"):
            categories.append(child.get("text") or _text(child))
        elif name in ("media:keywords", "itunes:keywords"):
            categories.extend(word.strip() for word in _text(child).split(","))
        elif name == "dc:creator":
            creators.append(_text(child))
        elif name == "enclosure":
            media.enclose(child.get("url"), child.get("type"), child.get("length"))
        elif name == "atom:link":
            _entry_link(child, entry, media)
        elif name:
            media.see(name, child)
    entry.guid = said.get("guid") or item.get(f"{{{_RDF}}}about") or None
    permalink = said.get("guid link") or None
    entry.link = said.get("feedburner:origlink") or said.get("link") or entry.link or permalink
    entry.title = said.get("title") or said.get("dc:title") or said.get("media:title") or ""
    entry.author = ", ".join(filter(None, creators[:5])) or said.get("author") or said.get("itunes:author")
    entry.published = (
        said.get("pubdate") or said.get("published") or said.get("dcterms:issued") or said.get("dcterms:created")
    )
    entry.updated = said.get("updated") or said.get("dcterms:modified") or said.get("dc:date")
    entry.summary = said.get("description") or said.get("dc:description") or said.get("itunes:summary")
    entry.summary = entry.summary or said.get("media:description") or said.get("itunes:subtitle")
    entry.content = said.get("content:encoded") or said.get("xhtml:body") or said.get("fullitem")
    entry.categories = tuple(dict.fromkeys(filter(None, categories)))
    entry.images, entry.enclosures = media.images(), tuple(media.enclosures)
    entry.comments_url = said.get("comments") or entry.comments_url
    entry.comment_count = said.get("slash:comments") or said.get("thr:total") or entry.comment_count
    entry.language = said.get("dc:language") or entry.language
    return entry


def _with_groups(item: etree._Element, names: _Names) -> Iterator[etree._Element]:
    """The item's children, and those of media:group and media:content in place of or after their parents."""
    for child in item:
        yield child
        if len(child) and names[child.tag] in ("media:group", "media:content"):
            yield from _with_groups(child, names)


class _Media:
    """Pictures and attached files of one entry, gathered in document order."""

    def __init__(self) -> None:
        self.enclosures: list[tuple[str, str, str]] = []
        self._contents: list[tuple[int, str]] = []
        self._thumbnails: list[tuple[int, str]] = []
        self._others: list[str] = []

    def enclose(self, url: str | None, media_type: str | None, length: str | None) -> None:
        if url and url.strip():
            self.enclosures.append((url.strip(), (media_type or "").strip(), (length or "").strip()))

    def see(self, name: str, element: etree._Element) -> None:
        url = (element.get("url") or element.get("href") or "").strip()
        if name == "media:content" and url and is_picture(url, element.get("medium"), element.get("type")):
            self._contents.append((_width(element), url))
        elif name == "media:thumbnail" and (url := url or _text(element)):
            self._thumbnails.append((_width(element), url))
        elif name == "itunes:image" and url:
            self._others.append(url)

    def images(self) -> tuple[str, ...]:
        """Candidates, best first: the widest media:content, the widest thumbnail, itunes:image, an attached picture."""
        attached = [url for url, media_type, _ in self.enclosures if is_picture(url, None, media_type)]
        return images_in_order(self._contents, self._thumbnails, self._others + attached)


def images_in_order(
    contents: list[tuple[int, str]], thumbnails: list[tuple[int, str]], others: list[str]
) -> tuple[str, ...]:
    """Candidates for the entry's picture, best first; of (width, URL) the first of the widest leads."""
    best = [max(group, key=lambda pair: pair[0])[1] for group in (contents, thumbnails) if group]
    return tuple(dict.fromkeys([*best, *others[:3]]))


def is_picture(url: str, medium: str | None, media_type: str | None) -> bool:
    """Whether a media:content or enclosure is a picture, by what it says, else by the end of its address."""
    if medium or media_type:
        return medium == "image" or (media_type or "").lower().startswith("image/")
    return url.split("?")[0].lower().endswith((".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif"))


def _width(element: etree._Element) -> int:
    return width_of(element.get("width"))


def width_of(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else 0


def _entry_link(link: etree._Element, entry: RawEntry, media: _Media) -> None:
    relation, href = link.get("rel", "alternate"), link.get("href", "").strip()
    if not href:
        return
    if relation == "alternate":
        if entry.link is None or (link.get("type") == "text/html" and not entry.link):
            entry.link = href
    elif relation == "enclosure":
        media.enclose(href, link.get("type"), link.get("length"))
    elif relation == "replies" and link.get("type", "text/html") in ("text/html", "application/xhtml+xml"):
        entry.comments_url = entry.comments_url or href
        entry.comment_count = entry.comment_count or link.get("{http://purl.org/syndication/thread/1.0}count")


# ---------------------------------------------------------------- Atom


def _read_atom(root: etree._Element, names: _Names, version: str) -> RawFeed | None:
    feed = RawFeed(version, base=_base(root, None), language=root.get(_XML + "lang"))
    said: HintTexts = HintTexts()
    items: list[etree._Element] = []
    for child in root:
        name = names[child.tag]
        if name == "entry":
            items.append(child)
        elif name == "title":
            feed.title = feed.title or _construct(child) or ""
        elif name == "link":
            _feed_link(child, feed)
        elif name == "author":
            feed.author = feed.author or _person(child, names)
        elif name == "dc:language":
            feed.language = feed.language or _text(child)
        elif name in said.wanted and ":" in name:
            said.add(name, [_text(child)])
    feed.hints = feed_hints(said)
    try:
        feed.entries = [_read_entry(item, names, feed.base) for item in _some(items)]
    except _Unsure:
        return None
    return feed


class _Unsure(Exception):
    """Met something that feedparser should look at."""


_ENTRY_TEXT = frozenset(
    [
        *("id", "published", "updated", "issued", "created", "modified", "dc:date", "dc:creator", "thr:total"),
        *("slash:comments", "feedburner:origlink", "dc:language", "media:title", "media:description"),
    ]
)


def _read_entry(item: etree._Element, names: _Names, base: str | None) -> RawEntry:
    said: dict[str, str] = {}
    media = _Media()
    authors: list[str] = []
    categories: list[str] = []
    entry = RawEntry(base=_base(item, base), language=item.get(_XML + "lang"))
    for child in _with_groups(item, names):
        name = names[child.tag]
        if name == "link":
            _entry_link(child, entry, media)
        elif name == "title":
            entry.title = entry.title or _construct(child) or ""
        elif name == "summary":
            entry.summary = entry.summary or _construct(child)
        elif name == "content":
            if entry.content is None:
                entry.content = _construct(child)
                entry.base = _base(child, entry.base)
        elif name in _ENTRY_TEXT:
            said.setdefault(name, _text(child))
        elif name == "category":
            categories.append((child.get("label") or child.get("term") or _text(child)).strip())
        elif name == "dc:subject":
            categories.append(_text(child))
        elif name == "author":
            authors.append(_person(child, names) or "")
        elif name:
            media.see(name, child)
    entry.guid = said.get("id") or None
    entry.link = said.get("feedburner:origlink") or entry.link or entry.guid
    entry.title = entry.title or html.escape(said.get("media:title", ""), quote=False)
    entry.author = ", ".join(filter(None, authors[:5])) or said.get("dc:creator")
    entry.published = said.get("published") or said.get("issued") or said.get("created")
    entry.updated = said.get("updated") or said.get("modified") or said.get("dc:date")
    entry.summary = entry.summary or html.escape(said.get("media:description", ""), quote=False) or None
    entry.categories = tuple(dict.fromkeys(filter(None, categories)))
    entry.images, entry.enclosures = media.images(), tuple(media.enclosures)
    entry.comment_count = said.get("slash:comments") or said.get("thr:total") or entry.comment_count
    entry.language = said.get("dc:language") or entry.language
    return entry


def _person(element: etree._Element, names: _Names) -> str | None:
    parts = {names[child.tag]: _text(child) for child in element}
    return parts.get("name") or parts.get("email") or (_text(element) if not len(element) else None) or None


def _construct(element: etree._Element) -> str | None:
    """A text construct (RFC 4287 §3.1, or Atom 0.3's) as HTML source; None where it holds nothing we can show."""
    kind = (element.get("type") or "text").strip().lower()
    mode = element.get("mode")
    if mode == "base64":
        raise _Unsure
    if kind == "xhtml" or (kind == "application/xhtml+xml" and mode != "escaped"):
        return _inner(element) or None
    if len(element):
        return _inner(element) or None
    text = _text(element)
    if kind in ("html", "text/html", "application/xhtml+xml"):
        return text or None
    if kind in ("text", "text/plain"):
        return html.escape(text, quote=False) or None
    if element.get("src") is None and not kind.endswith(("/xml", "+xml")) and text:
        raise _Unsure  # some media type inline: base64, or text by another name
    return None


# ---------------------------------------------------------------- elements


def _text(element: etree._Element) -> str:
    text = element.text or "" if not len(element) else "".join(element.itertext())
    return mended(text)


def _inner(element: etree._Element) -> str:
    """What stands inside, as HTML source, without namespaces; a lone `div` that wraps it all is taken off."""
    if len(element) == 1 and not (element.text or "").strip() and not (element[0].tail or "").strip():
        only = element[0]
        if isinstance(only.tag, str) and only.tag.rpartition("}")[2] == "div":
            element = only
    pieces: list[str] = [html.escape(element.text or "", quote=False)]
    _write_children(element, pieces.append)
    return mended("".join(pieces))


def _write_children(element: etree._Element, write: Callable[[str], None]) -> None:
    # libxml2 refuses documents that nest deeper than 256, so recursion is safe.
    for child in element:
        name = child.tag.rpartition("}")[2]
        attributes = "".join(f' {key.rpartition("}")[2]}="{html.escape(value)}"' for key, value in child.attrib.items())
        if len(child) or child.text or name not in _VOID:
            write(f"<{name}{attributes}>{html.escape(child.text or '', quote=False)}")
            _write_children(child, write)
            write(f"</{name}>")
        else:
            write(f"<{name}{attributes} />")
        write(html.escape(child.tail or "", quote=False))


_VOID = frozenset(["area", "br", "col", "embed", "hr", "img", "input", "source", "wbr"])


def _base(element: etree._Element, base: str | None) -> str | None:
    own = element.get(_XML + "base")
    return joined(base, own) if own else base


def joined(base: str | None, reference: str) -> str:
    """`reference` seen from `base`; where one is missing the other."""
    from urllib.parse import urljoin

    try:
        return urljoin(base, reference.strip()) if base else reference.strip()
    except ValueError:
        return base or reference
