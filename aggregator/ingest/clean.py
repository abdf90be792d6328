"""Raw fields (`raw`) become the values of `types`: text plain, HTML safe, addresses absolute, dates read.

The same code for every lane. Entries whose fingerprint is known are not touched at all: that is what makes a
poll that found one new entry cheap.
"""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from functools import lru_cache

from aggregator.html import first_image, sanitise, to_text
from aggregator.ingest.dates import parse_date
from aggregator.ingest.raw import MAX_READ, RawEntry, RawFeed, count_of, fingerprint, without_mail
from aggregator.text import one_line, xml_safe
from aggregator.types import Enclosure, ParsedEntry, ParsedFeed
from aggregator.urls import http_url as address

MAX_ENTRIES = 2000  # the longest of 203 real feeds has 1,000
MAX_GUID = 1024  # characters
MAX_CATEGORIES = 30
MAX_ENCLOSURES = 20
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

# Names of elements that a title may hold as markup. Others (`<section>`, `<T>`) are text that was not escaped twice.
_TITLE_MARKUP = re.compile(
    r"</?(?:a|abbr|acronym|b|big|blockquote|br|cite|code|del|dfn|div|em|font|h[1-6]|hr|i|img|ins|kbd|li|mark|ol|p|pre|q|s|samp"
    r"|script|small|span|strike|strong|style|sub|sup|svg|tt|u|ul|var|wbr)(?=[\s/>])|<!--",
    re.IGNORECASE,
)
_LANGUAGE = re.compile(r"^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*$")


def clean_feed(raw: RawFeed, url: str, known: frozenset[bytes], now: datetime, lane: str) -> ParsedFeed:
    """The document's values. Entries that `known` holds the fingerprints of are only listed in `unchanged`."""
    base = address(raw.base, url) or url
    site_url = address(raw.site_url, base)
    entries, complaint = _bounded(raw, now)
    new: list[ParsedEntry] = []
    unchanged: list[bytes] = []
    for entry in entries:
        if not (entry.title or entry.link or entry.guid or entry.summary or entry.content):
            continue  # `<item/>`: nothing to show and nothing to know it by
        mark = entry.mark = fingerprint(entry)
        if mark in known:
            unchanged.append(mark)
        else:
            new.append(clean_entry(entry, mark, raw, site_url or base, now))
    return ParsedFeed(
        title=plain(raw.title) or None,
        site_url=site_url,
        entries=tuple(new),
        unchanged=tuple(unchanged),
        language=language_tag(raw.language),
        hints=raw.hints,
        hub_urls=tuple(dict.fromkeys(hub for hub in (address(h, base) for h in raw.hub_urls[:10]) if hub)),
        self_url=address(raw.self_url, base),
        format=raw.format,
        lane=lane,  # type: ignore[arg-type]
        complaint=complaint,
    )


def _bounded(raw: RawFeed, now: datetime) -> tuple[list[RawEntry], str | None]:
    """At most MAX_ENTRIES entries, the newest, in document order; and the feed's complaint with that added."""
    if len(raw.entries) <= MAX_ENTRIES:
        return raw.entries, raw.complaint
    dated = [parse_date(entry.published or entry.updated, now) or _LONG_AGO for entry in raw.entries]
    newest = sorted(range(len(dated)), key=lambda index: dated[index], reverse=True)[:MAX_ENTRIES]
    count = len(raw.entries)
    cut = f"{count:,}{' or more' if count >= MAX_READ else ''} entries, the newest {MAX_ENTRIES:,} kept"
    complaint = f"{raw.complaint}; {cut}" if raw.complaint else cut
    return [raw.entries[index] for index in sorted(newest)], complaint


def clean_entry(entry: RawEntry, mark: bytes, feed: RawFeed, base: str, now: datetime) -> ParsedEntry:
    """One entry's values; `base` is what relative addresses are seen from where the entry names nothing itself.

    Relative addresses inside its HTML are seen from xml:base, else from its own page, which is where they worked.
    """
    if entry.base:
        base = address(entry.base, base) or base
    link = address(entry.link, base)
    markup_base = base if entry.base else link or base
    summary = _markup(entry.summary, markup_base)
    content_base = (address(entry.content_base, base) if entry.content_base else None) or markup_base
    content = _markup(entry.content, content_base)
    published = parse_date(entry.published, now)
    updated = parse_date(entry.updated, now)
    return ParsedEntry(
        fingerprint=mark,
        guid=_guid(entry.guid),
        link=link,
        title=plain(entry.title),
        author=author_name(entry.author or feed.author),
        published=published or updated,
        updated=updated,
        summary=summary,
        content=content,
        categories=_categories(entry.categories),
        image_url=_image(entry, base, content, summary, markup_base),
        enclosures=_enclosures(entry.enclosures, base),
        comments_url=address(entry.comments_url, base),
        comment_count=count_of(entry.comment_count) if entry.comment_count else None,
        language=language_tag(entry.language) or language_tag(feed.language),
    )


def plain(markup: str, limit: int = 500) -> str:
    """A title, name or category as one line of plain text."""
    if "<" in markup and _TITLE_MARKUP.search(markup):
        markup = to_text(markup)
    elif "&" in markup:
        markup = html.unescape(markup)
    return one_line(markup, limit)


def author_name(author: str | None) -> str | None:
    """The author's name as one line, without the mail address where there is a name; None where nothing is left."""
    return without_mail(plain(author, 200)) or None if author else None


@lru_cache(maxsize=256)
def language_tag(language: str | None) -> str | None:
    """The tag as RFC 5646 writes it (`en-US`, `pt`), or None where it is not shaped like one."""
    if not language:
        return None
    language = language.strip().replace("_", "-")
    if len(language) > 35 or not _LANGUAGE.match(language):
        return None
    first, *rest = language.split("-")
    return "-".join([first.lower(), *(part.upper() if len(part) == 2 else part for part in rest)])


def _guid(guid: str | None) -> str | None:
    """The guid untouched but for what no store and no document can carry."""
    return xml_safe(guid).strip()[:MAX_GUID] or None if guid else None


def _markup(markup: str | None, base: str) -> str | None:
    return (sanitise(markup, base).strip() or None) if markup else None


def _categories(categories: tuple[str, ...]) -> tuple[str, ...]:
    if not categories:
        return ()
    names = (plain(category, 100) for category in categories[: 4 * MAX_CATEGORIES])
    # Addresses as terms are other programs' kinds (Blogger's schemas), nothing that a reader would be told.
    return tuple(dict.fromkeys(name for name in names if name and not name.startswith("http")))[:MAX_CATEGORIES]


def _image(entry: RawEntry, base: str, content: str | None, summary: str | None, markup_base: str) -> str | None:
    for image in entry.images:
        if found := address(image, base):
            return found
    for markup in (content, summary):
        if markup and (found := first_image(markup, markup_base)):
            return found
    return None


def _enclosures(enclosures: tuple[tuple[str, str, str], ...], base: str) -> tuple[Enclosure, ...]:
    if not enclosures:
        return ()
    found: dict[str, Enclosure] = {}
    for url, media_type, length in enclosures[: 4 * MAX_ENCLOSURES]:
        if place := address(url, base):
            octets = int(length) if length.isascii() and length.isdigit() and len(length) <= 15 else 0
            found.setdefault(place, Enclosure(place, one_line(media_type, 100) or None, octets or None))
    return tuple(found.values())[:MAX_ENCLOSURES]
