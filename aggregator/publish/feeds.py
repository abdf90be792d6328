"""Merged feeds as Atom (RFC 4287) and RSS 2.0: items in, bytes out, the same bytes for the same items.

feedgen writes every element it knows; the extensions below add what it loses (attributes of entry links, the
source's id) or never knew (comments, media, threads). An item is written once, as a feed of its own, and its bytes
are kept by `edition.Kitchen`: `atom_item` and `rss_item` give one item, `atom` and `rss` join items below a head.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from feedgen.entry import FeedEntry
from feedgen.ext.base import BaseEntryExtension, BaseExtension
from feedgen.feed import FeedGenerator
from feedgen.util import xml_elem

from aggregator.publish.item import Item, Outlet, origin_of
from aggregator.publish.settings import EMPTY_SINCE, FeedSettings, SiteSettings
from aggregator.text import xml_safe
from aggregator.types import Enclosure

ATOM_TYPE = "application/atom+xml; charset=utf-8"
RSS_TYPE = "application/rss+xml; charset=utf-8"
NAMESPACES = {
    "media": "http://search.yahoo.com/mrss/",
    "slash": "http://purl.org/rss/1.0/modules/slash/",
    "thr": "http://purl.org/syndication/thread/1.0",
    "fh": "http://purl.org/syndication/history/1.0",
    "dc": "http://purl.org/dc/elements/1.1/",
}
BETWEEN = b"\n"  # two items
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_ATOM = "{http://www.w3.org/2005/Atom}"
_RSS_TEXT = re.compile(rb"(?<=<title>)[^<]*|(?<=<dc:creator>)[^<]*|(?<=<category)(?: [^<>]*)?>[^<]*")
_UNKNOWN_TYPE = "application/octet-stream"  # RSS demands a type


def atom(
    feed: FeedSettings,
    site: SiteSettings,
    items: Sequence[bytes],
    updated: datetime | None,
    links: Sequence[tuple[str, str]] = (),
) -> bytes:
    """The feed as an Atom document. `items` come from `atom_item`; `updated` is their newest, None without any.
    `links` are (rel, address) of further links of the feed."""
    head = _head(feed, site, "atom", updated)
    head.bmn.links = tuple(links)
    return _joined(head.atom_str(), items, b"</feed>")


def archive(
    feed: FeedSettings, site: SiteSettings, items: Sequence[bytes], updated: datetime, month: str, before: str | None
) -> bytes:
    """The archive document of a month (RFC 5005 §4): the feed's id and title, that month's items, the way to the feed
    as it is now and to the month before (None: there is none)."""
    head = _head(feed, site, "atom", updated)
    address = archive_url(feed, site, month)
    head.link(href=address, rel="self", type="application/atom+xml", replace=True)
    head.link(href=f"{site.public_url}/{feed.slug}", rel="alternate", type="text/html")
    links = [("current", f"{site.public_url}/{feed.slug}.atom")]
    if before is not None:
        links.append(("prev-archive", archive_url(feed, site, before)))
    head.bmn.links, head.bmn.is_archive = tuple(links), True
    return _joined(head.atom_str(), items, b"</feed>")


def archive_url(feed: FeedSettings, site: SiteSettings, month: str) -> str:
    """Where the archive document of a month is, such as 2026-11."""
    return f"{site.public_url}/archive/{feed.slug}/{month}.atom"


def rss(
    feed: FeedSettings,
    site: SiteSettings,
    items: Sequence[bytes],
    updated: datetime | None,
    links: Sequence[tuple[str, str]] = (),
) -> bytes:
    """The feed as an RSS 2.0 document. `items` come from `rss_item`; `links` are as in `atom`."""
    head = _head(feed, site, "rss", updated)
    head.bmn.links = tuple(links)
    return _joined(head.rss_str(), items, b"</channel>\n</rss>")


def atom_item(item: Item, site: SiteSettings) -> bytes:
    """`<entry>…</entry>` as it stands in every Atom feed of the site."""
    entry = _entry(item, _AtomEntry)
    entry.updated(_told_apart(item))
    entry.published(_whole(item.published))
    entry.author(name=item.lead.byline or item.lead.name)
    entry.content(item.html, type="html")
    entry.category(_categories(item, site))
    return _cut(_alone(entry).atom_str(), b"<entry", b"</entry>")


def rss_item(item: Item, site: SiteSettings) -> bytes:
    """`<item>…</item>` as it stands in every RSS feed of the site."""
    entry = _entry(item, _RssItem)
    entry.guid(item.urn, permalink=False)
    entry.link(href=item.url)
    entry.pubDate(_whole(item.published))
    entry.description(f"<p>{escape(item.text)}</p>" if item.text else item.html)
    if item.text:
        entry.content(item.html)
    entry.category(_categories(item, site))
    if item.comments_url:
        entry.comments(item.comments_url)
    for enclosure in item.enclosures[:1]:  # more than one is what readers disagree about
        entry.enclosure(enclosure.url, str(enclosure.length or 0), enclosure.media_type or _UNKNOWN_TYPE)
    if source_url := item.lead.feed_url or item.lead.site_url or origin_of(item.lead.url):
        entry.source(source_url, item.lead.name)
    return _RSS_TEXT.sub(_in_hexadecimal, _cut(_alone(entry).rss_str(), b"<item", b"</item>"))


# ---------------------------------------------------------------- head and joints


def _head(feed: FeedSettings, site: SiteSettings, extension: str, updated: datetime | None) -> Any:
    generator = FeedGenerator()
    generator.register_extension("bmn", _Namespaces, _AtomEntry)
    title, page = feed.full_title(site.title), f"{site.public_url}/{feed.slug}{feed.query}"
    generator.id(site.feed_id(f"{feed.slug}{feed.query}"))
    generator.title(title)
    address = f"{site.public_url}/{feed.slug}.{extension}{feed.tail}"
    generator.link(href=address, rel="self", type=f"application/{extension}+xml")
    generator.link(href=page, rel="alternate", type="text/html")
    generator.description(description_of(feed))
    generator.subtitle(description_of(feed))
    generator.language("en")
    generator.author(name=site.title, uri=f"{site.public_url}/")
    generator.icon(f"{site.public_url}/favicon.ico")
    generator.generator("Business Monkey News")
    generator.updated(_whole(updated or EMPTY_SINCE))
    generator.lastBuildDate(_whole(updated or EMPTY_SINCE))
    return generator


def description_of(feed: FeedSettings) -> str:
    """What is in the feed, in one sentence."""
    if feed.about:
        return feed.about
    if feed.only_top:
        return "The stories that most publishers tell, a dozen a day at most."
    named = feed.sections if len(feed.sections) == 1 else (*feed.sections[:-2], " and ".join(feed.sections[-2:]))
    told = f", told by {feed.min_sources} sources or more" if feed.min_sources > 1 else ""
    return f"News for entrepreneurs: {', '.join(named)}, each story once{told}."


def _joined(empty: bytes, items: Sequence[bytes], tail: bytes) -> bytes:
    """An empty document of feedgen's with the items put in before its closing tags."""
    closing = tail.split(b"\n")[0]
    head = empty[: empty.rindex(closing)]
    return BETWEEN.join((head, *items, tail)) + b"\n"


def _alone(entry: Any) -> Any:
    """A document that holds nothing but this entry, with every namespace declared at its root as `_head` does."""
    generator = FeedGenerator()
    generator.register_extension("bmn", _Namespaces, _AtomEntry)
    for setting in (generator.id, generator.title, generator.description):
        setting("-")
    generator.link(href="-")
    generator._FeedGenerator__feed_entries = [entry]
    return generator


def _cut(document: bytes, opening: bytes, closing: bytes) -> bytes:
    """The only item of a document. Raises ValueError if it holds a character that XML forbids: one would cost every
    reader the whole feed."""
    item = document[document.index(opening) : document.rindex(closing) + len(closing)]
    shown = item.decode("utf-8")
    if xml_safe(shown) != shown:
        raise ValueError("an item holds characters that XML cannot carry")
    return item


def _in_hexadecimal(text: re.Match[bytes]) -> bytes:
    # Some readers take RSS text for HTML and some do not; `&#x26;` is what most of both show as "&" (RSS Best Practices
    # Profile, Character Data). To an XML parser it is the same.
    return text[0].replace(b"&amp;", b"&#x26;").replace(b"&lt;", b"&#x3C;").replace(b"&gt;", b"&#x3E;")


def _whole(at: datetime) -> datetime:
    """The time in UTC and whole seconds, which is what all formats can say."""
    return at.astimezone(UTC).replace(microsecond=0)


def _told_apart(item: Item) -> datetime:
    """When it changed, in a microsecond of its own within that second: one pass changes many, and readers that sort by
    `updated`, and the W3C validator, expect no two of the same moment."""
    return _whole(item.updated).replace(microsecond=1 + item.story_id.int % 999_999)


# ---------------------------------------------------------------- one item


def _entry(item: Item, extension: type[BaseEntryExtension]) -> Any:
    entry = FeedEntry()
    entry.id(item.urn)
    entry.title(item.title)
    entry.register_extension("bmn", extension)
    entry.bmn.item = item
    return entry


def _categories(item: Item, site: SiteSettings) -> list[dict[str, str]]:
    """Ours with a scheme that makes an address of the term, then the publisher's as they are."""
    ours = [{"term": name, "scheme": f"{site.public_url}/", "label": name.capitalize()} for name in item.sections]
    labels = [{"term": name, "scheme": f"{site.public_url}/label/", "label": name} for name in item.labels]
    return ours + labels + [{"term": name} for name in item.categories]


class _Namespaces(BaseExtension):  # type: ignore[misc]
    """Declares our prefixes at the root, so that items can be joined as bytes, and adds what feedgen lacks."""

    links: tuple[tuple[str, str], ...] = ()
    is_archive = False

    def extend_ns(self) -> dict[str, str]:
        return NAMESPACES

    def extend_atom(self, feed: Any) -> Any:
        for rel, href in self.links:
            _link(feed, rel, href)  # without its namespace, as feedgen writes it: `xmlns` is an attribute of the root
        if self.is_archive:
            xml_elem(f"{{{NAMESPACES['fh']}}}archive", feed)
        return feed

    def extend_rss(self, rss: Any) -> Any:
        for rel, href in self.links:
            _link(rss[0], rel, href, _ATOM)
        return rss


class _AtomEntry(BaseEntryExtension):  # type: ignore[misc]
    """Links with all their attributes, the source with its id, comments and pictures."""

    item: Item

    def extend_ns(self) -> dict[str, str]:
        return NAMESPACES

    def extend_atom(self, entry: Any) -> Any:
        item = self.item
        if item.language:
            entry.set(_XML_LANG, item.language)
        _link(entry, "alternate", item.url, type="text/html")
        for outlet in item.also:
            if outlet.url:
                _link(entry, "related", outlet.url, type="text/html", title=outlet.name)
        for enclosure in item.enclosures:
            _link(entry, "enclosure", enclosure.url, type=enclosure.media_type, length=_length(enclosure))
        _atom_comments(entry, item)
        _atom_source(entry, item.lead, _whole(item.lead.published))
        _media(entry, item)
        return entry


class _RssItem(BaseEntryExtension):  # type: ignore[misc]
    """Byline, comment counts, pictures, and the other outlets as Atom links."""

    item: Item

    def extend_ns(self) -> dict[str, str]:
        return NAMESPACES

    def extend_rss(self, entry: Any) -> Any:
        item = self.item
        _element(entry, f"{{{NAMESPACES['dc']}}}creator", item.lead.byline or item.lead.name)
        if item.language:
            _element(entry, f"{{{NAMESPACES['dc']}}}language", item.language)
        for outlet in item.also:
            if outlet.url:
                _link(entry, "related", outlet.url, _ATOM, type="text/html", title=outlet.name)
        if item.comment_count is not None:
            _element(entry, f"{{{NAMESPACES['slash']}}}comments", str(item.comment_count))
        _media(entry, item)
        return entry


def _atom_comments(entry: Any, item: Item) -> None:
    if item.comments_url:
        replies = _link(entry, "replies", item.comments_url, type="text/html")
        if item.comment_count is not None:
            replies.set(f"{{{NAMESPACES['thr']}}}count", str(item.comment_count))
    if item.comment_count is not None:
        _element(entry, f"{{{NAMESPACES['thr']}}}total", str(item.comment_count))


def _atom_source(entry: Any, lead: Outlet, updated: datetime) -> None:
    """Where the entry came from (RFC 4287 §4.2.11). The id is the source's address: its own id we do not keep."""
    address = lead.feed_url or lead.site_url or origin_of(lead.url)
    if address is None:
        return
    source = xml_elem("source", entry)
    _element(source, "id", address)
    _element(source, "title", lead.name)
    _element(source, "updated", updated.isoformat())
    if lead.feed_url:
        _link(source, "self", lead.feed_url)
    if lead.site_url:
        _link(source, "alternate", lead.site_url, type="text/html")


def _media(entry: Any, item: Item) -> None:
    if item.image_url is None:
        return
    content = xml_elem(f"{{{NAMESPACES['media']}}}content", entry, url=item.image_url, medium="image")
    xml_elem(f"{{{NAMESPACES['media']}}}thumbnail", content, url=item.image_url)


def _link(parent: Any, rel: str, href: str, namespace: str = "", **attributes: str | None) -> Any:
    present = {name: value for name, value in attributes.items() if value}
    return xml_elem(f"{namespace}link", parent, rel=rel, href=href, **present)


def _element(parent: Any, tag: str, value: str) -> None:
    xml_elem(tag, parent).text = value


def _length(enclosure: Enclosure) -> str | None:
    return None if enclosure.length is None else str(enclosure.length)
