"""Subscription lists (OPML) in and out: bytes of strangers to (url, title, section), our sources and feeds to bytes.

Reads OPML 1.0 and 2.0 as readers write them, nested folders included. Nothing secret is ever written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lxml import etree

from aggregator import text, urls
from aggregator.config_source import Source
from aggregator.errors import AggregatorError
from aggregator.types import SECTIONS

MAX_BYTES = 16 << 20  # a list of 20,000 feeds is 4 MB
MAX_FEEDS = 50_000
_ENCODING = re.compile(rb"""^[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})""")
_BARE_AMPERSAND = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9a-fA-F]+);)")
# What libxml2 decodes by itself. Others go through iconv, and some (UTF-7) could hide markup from a look at the bytes.
_ENCODINGS = re.compile(r"utf-?8|utf-?16(?:le|be)?|us-ascii|ascii|iso-8859-\d+|windows-125\d", re.IGNORECASE)

# Words in names of folders and in categories, in the order they are tried: the first that fits decides.
_SECTION_WORDS = {
    "marketing": "marketing advertising adtech brand branding seo sem retail ecommerce social pr creators media",
    "economics": "economics economy economic macro markets finance financial money banking policy",
    "companies": "companies company business startup startups corporate enterprise entrepreneurship funding venture vc",
    "tech": "tech technology science security programming software gadgets hardware ai computing developer linux",
}
_SECTION_OF = {word: section for section, words in _SECTION_WORDS.items() for word in words.split()}


class OpmlError(AggregatorError):
    """What was given is no subscription list that we would read."""


class Subscription(NamedTuple):
    """One feed of a list. None: it has no title; nothing in its folders and categories tells the section."""

    url: str
    title: str | None = None
    section: str | None = None


class Reading(NamedTuple):
    """A list read: `feeds` each once, in document order; `skipped` addresses that are not http(s)."""

    feeds: tuple[Subscription, ...]
    skipped: tuple[str, ...] = ()


def read_opml(data: bytes) -> Reading:
    """The feeds of a subscription list. OpmlError for what is none: too large, not XML, entities, no outlines.

    Lists with small faults (a bare & in a title) are read as far as they go.
    """
    root = _parsed(data)
    if etree.QName(root).localname.lower() != "opml":
        raise OpmlError(f"not OPML: the document is <{text.one_line(str(root.tag), 40)}>")
    feeds: dict[str, Subscription] = {}
    skipped: list[str] = []
    for address, attributes, folders in _outlines(root):
        url = urls.http_url(re.sub(r"^feed:(//)?(?=https?:)", "", address))
        if url is None:
            skipped.append(urls.for_log(address))
            continue
        title = text.one_line(attributes.get("title") or attributes.get("text") or "", 200)
        title = "" if urls.http_url(title) else title
        guess = _section((*attributes.get("category", "").split(","), *reversed(folders)))
        feeds.setdefault(url, Subscription(url, title or None, guess))
        if len(feeds) > MAX_FEEDS:
            raise OpmlError(f"more than {MAX_FEEDS} feeds in one list, split it")
    return Reading(tuple(feeds.values()), tuple(skipped))


def _parsed(data: bytes) -> etree._Element:
    if len(data) > MAX_BYTES:
        raise OpmlError(f"larger than {MAX_BYTES >> 20} MiB, no subscription list is")
    data = data.strip()
    named = _ENCODING.match(data.replace(b"\0", b"")[:400])
    if named and not _ENCODINGS.fullmatch(named[1].decode("ascii")):
        raise OpmlError(f"the encoding {named[1].decode('ascii')} is not read, save the list as UTF-8")
    # Entities are where the bombs are, and OPML needs none. Zeros aside, so that UTF-16 is looked through as well.
    if re.search(rb"<!(?:ENTITY|DOCTYPE[^>]*\[)", data.replace(b"\0", b""), re.IGNORECASE):
        raise OpmlError("declares entities, which we do not read")
    for recover in (False, True):
        parser = etree.XMLParser(
            recover=recover, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False,
            remove_comments=True, remove_pis=True,
        )  # fmt: skip
        try:
            # libxml2 recovers from a bare & by dropping what follows it, which ruins addresses.
            root = etree.fromstring(_BARE_AMPERSAND.sub(b"&amp;", data) if recover else data, parser)
        except (etree.XMLSyntaxError, ValueError) as error:
            if recover:
                raise OpmlError(f"not XML: {text.one_line(str(error), 200)}") from error
            continue
        if root is not None:
            return root
    raise OpmlError("not XML: nothing to read in it")


def _outlines(root: etree._Element) -> Iterator[tuple[str, dict[str, str], tuple[str, ...]]]:
    """Address, attributes and folder names (outermost first) of every outline that has an address, however deep."""
    pending: list[tuple[etree._Element, tuple[str, ...]]] = [(root, ())]
    while pending:
        element, folders = pending.pop()
        attributes = {str(name).lower(): str(value) for name, value in element.attrib.items()}
        address = (attributes.get("xmlurl") or "").strip()
        is_link = attributes.get("type", "").lower() in ("rss", "atom")
        if address or (is_link and (address := (attributes.get("url") or "").strip())):
            yield address, attributes, folders
        elif name := attributes.get("text") or attributes.get("title"):
            folders = (*folders[-7:], name)
        pending += [(child, folders) for child in reversed(element) if isinstance(child.tag, str)]


def _section(names: Iterable[str]) -> str | None:
    """The section that the nearest telling name tells: `/Business/Startups` is companies."""
    for name in names:
        words: list[str] = re.findall(r"[a-z]+", name.lower())
        found = {_SECTION_OF[word] for word in words if word in _SECTION_OF}
        if len(words) == 1 and words[0] in SECTIONS:
            return words[0]
        for section in _SECTION_WORDS:
            if section in found:
                return section
    return None


# ---------------------------------------------------------------- out


def write_sources(title: str, sources: Iterable[Source]) -> bytes:
    """OPML 2.0 of sources, in a folder per section. Secrets in addresses are masked, those in headers left out."""
    root, body = _document(title)
    folders: dict[str | None, etree._Element] = {None: body}
    for source in sources:
        if source.section not in folders:
            folders[source.section] = etree.SubElement(body, "outline", text=(source.section or "").capitalize())
        url = urls.for_log(source.url)
        outline = etree.SubElement(folders[source.section], "outline", type="rss", text=source.title or url, xmlUrl=url)
        if source.section:
            outline.set("category", f"/{source.section}")
    return _bytes(root)


def write_feeds(title: str, feeds: Iterable[tuple[str, str, str]]) -> bytes:
    """OPML 2.0 of the merged feeds, each as (title, address of the feed, address of its page)."""
    root, body = _document(title)
    for name, feed_url, page_url in feeds:
        name = text.one_line(name)
        etree.SubElement(body, "outline", type="rss", text=name, title=name, xmlUrl=feed_url, htmlUrl=page_url)
    return _bytes(root)


def _document(title: str) -> tuple[etree._Element, etree._Element]:
    root = etree.Element("opml", version="2.0")
    etree.SubElement(etree.SubElement(root, "head"), "title").text = text.one_line(title)
    return root, etree.SubElement(root, "body")


def _bytes(root: etree._Element) -> bytes:
    etree.indent(root)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="utf-8")) + b"\n"
