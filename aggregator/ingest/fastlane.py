"""The fast lane: well-formed RSS 0.9x, 1.0, 2.0 and Atom 0.3, 1.0 read with lxml, a tenth of feedparser's time or less.

`read` answers None for whatever it does not surely understand (not well-formed, an unknown root or default namespace,
base64, entities); `parse` then asks feedparser. tests/test_parse_differential.py holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from aggregator.ingest.elements import (
    ATOM10,
    LANGUAGE,
    Element,
    Names,
    base_of,
    inner,
    person,
    text_of,
    with_groups,
)
from aggregator.ingest.fastlane_atom import read_atom
from aggregator.ingest.hints import HintTexts, feed_hints
from aggregator.ingest.media import Media, entry_link, feed_link
from aggregator.ingest.raw import RawEntry, RawFeed, fuller, some, without_mail

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
_ABOUT = f"{{{_RDF}}}about"
_RSS10 = "http://purl.org/rss/1.0/"
_RSS090 = "http://my.netscape.com/rdf/simple/0.9/"
_ATOM03 = "http://purl.org/atom/ns#"


def read(document: bytes, recover: bool = False) -> RawFeed | None:
    """The UTF-8 document's raw feed, or None if this is not surely one that we read right.

    With `recover`, breakages are passed over as libxml2 sees fit: for documents that nobody else can read.
    """
    root = _root(document, recover)
    if root is None:
        return None
    namespace, _, local = root.tag[1:].rpartition("}") if root.tag[0] == "{" else ("", "", root.tag)
    namespace = namespace.lower()
    local = local.lower()
    if local == "rss" and namespace in _RSS:
        return _read_rss(root, Names(_RSS | {namespace}), _rss_version(root.get("version", "")))
    if local == "rdf" and namespace == _RDF:
        return _read_rdf(root)
    if local == "feed" and namespace in (ATOM10, _ATOM03):
        return read_atom(root, Names({namespace}), "atom10" if namespace == ATOM10 else "atom03")
    return None


def _root(document: bytes, recover: bool) -> Element | None:
    # A parser per document: reused ones keep a dictionary of every name they ever saw.
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=recover,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        if error.code == etree.ErrorTypes.ERR_NO_MEMORY:
            raise MemoryError from error  # feedparser would need a multiple
        return None
    except ValueError:
        return None
    # A document type brings entities, which are nodes among the elements; `parse` cuts it off before.
    if root is None:  # nothing could be recovered
        return None
    if recover:
        etree.strip_elements(root, etree.Entity, with_tail=False)
    return root if root.getroottree().docinfo.internalDTD is None else None


def _rss_version(version: str) -> str:
    return "rss09x" if version.startswith("0.9") else "rss20"


# ---------------------------------------------------------------- RSS


def _read_rss(root: Element, names: Names, version: str) -> RawFeed | None:
    channel = next((child for child in root if names[child.tag] == "channel"), None)
    if channel is None:
        return None
    feed = RawFeed(version)
    _read_channel(channel, names, feed)
    items = [*_items(channel, names), *_items(root, names)]
    feed.base = base_of(channel, base_of(root, None))
    feed.language = feed.language or root.get(LANGUAGE)
    feed.entries = [_read_item(item, names, feed.base) for item in some(items)]
    return feed


def _items(parent: Element, names: Names) -> Iterator[Element]:
    """The items below an element in document order; one that was never closed holds those after it."""
    for child in parent:
        if names[child.tag] == "item":
            yield child
            yield from _items(child, names)


def _read_rdf(root: Element) -> RawFeed | None:
    kind = "rss10"
    own = {_RSS10}
    for child in root:
        if child.tag == f"{{{_RSS090}}}channel":
            kind, own = "rss09x", {_RSS090}
    names = Names(own)
    if not any(names[child.tag] == "channel" for child in root):
        return None
    return _read_rss(root, names, kind)


def _read_channel(channel: Element, names: Names, feed: RawFeed) -> None:
    said = HintTexts()
    language = channel.get(LANGUAGE)
    for child in channel:
        name = names[child.tag]
        if name == "item":
            continue
        if name == "title":
            feed.title = feed.title or text_of(child)
        elif name == "link":
            feed.site_url = feed.site_url or text_of(child) or None
        elif name == "atom:link":
            feed_link(child, feed)
        elif name in ("language", "dc:language"):
            feed.language = feed.language or text_of(child) or None
        elif name in said.wanted:
            said.add(name, [text_of(part) for part in child] if len(child) else [text_of(child)])
    feed.language = feed.language or language
    feed.hints = feed_hints(said)


_ITEM_TEXT = frozenset(
    [
        *("title", "link", "description", "content:encoded", "guid", "pubdate", "author", "comments", "dc:date"),
        *("dc:title", "dc:description", "dcterms:created", "dcterms:issued", "dcterms:modified", "media:title"),
        *("media:description", "itunes:author", "itunes:summary", "feedburner:origlink", "slash:comments", "thr:total"),
        *("dc:language", "xhtml:body", "fullitem", "itunes:subtitle", "atom:published", "atom:updated", "atom:id"),
    ]
)
_MARKUP = frozenset(["title", "description", "content:encoded", "xhtml:body", "dc:description", "itunes:summary"])


def _field(element: Element, names: Names, name: str) -> str:
    """An RSS field that has elements inside, as HTML source or text."""
    if name == "author":
        return person(element, names) or ""
    # Markup that was not escaped, often beside some that was: the text is HTML source already.
    return inner(element, is_source=name != "xhtml:body") if name in _MARKUP else text_of(element)


def _read_item(item: Element, names: Names, base: str | None) -> RawEntry:
    said: dict[str, str] = {}  # what single elements say; the first of its name counts
    media = Media()
    creators: list[str] = []
    categories: list[str] = []
    entry = RawEntry(base=base_of(item, base), language=item.get(LANGUAGE))
    for child, name in with_groups(item, names):
        if name in _ITEM_TEXT:
            if name not in said and (text := _field(child, names, name) if len(child) else text_of(child)):
                said[name] = text
                if name == "guid" and child.get("isPermaLink", "true").strip().lower() == "true":
                    said["guid link"] = text
        elif name in ("category", "dc:subject", "media:category", "itunes:category"):
            categories.append(child.get("text") or text_of(child))
        elif name in ("media:keywords", "itunes:keywords"):
            categories.extend(word.strip() for word in text_of(child).split(","))
        elif name == "dc:creator":
            creators.append(text_of(child))
        elif name == "atom:link":
            entry_link(child, entry, media)
        elif name:
            media.see(name, child)
    said_of = said.get
    author = ", ".join(filter(None, creators[:5])) or said_of("author") or said_of("itunes:author")
    entry.author = without_mail(author) if author else None
    entry.categories = tuple(dict.fromkeys(filter(None, categories)))
    entry.images, entry.enclosures = media.images(), tuple(media.enclosures)
    entry.guid = said_of("guid") or said_of("atom:id") or item.get(_ABOUT)
    link = said_of("feedburner:origlink") or said_of("link")
    entry.link = link or entry.link or media.other_link or said_of("guid link")
    _take(said, entry)
    return entry


def _take(said: dict[str, str], entry: RawEntry) -> None:
    """Fill the fields for which only one element can speak, the best that is there."""
    of = said.get
    entry.title = of("title") or of("dc:title") or of("media:title") or ""
    entry.published = of("pubdate") or of("atom:published") or of("dcterms:issued") or of("dcterms:created")
    entry.updated = of("atom:updated") or of("dcterms:modified") or of("dc:date")
    summary = of("description") or of("dc:description") or of("itunes:summary")
    entry.summary = summary or of("media:description") or of("itunes:subtitle")
    entry.content = of("content:encoded") or of("xhtml:body") or of("fullitem")
    entry.content = entry.content or fuller(of("itunes:summary"), entry.summary)
    entry.comments_url = of("comments") or entry.comments_url
    entry.comment_count = of("slash:comments") or of("thr:total") or entry.comment_count
    entry.language = of("dc:language") or entry.language
