"""A story as readers see it: one value that all formats and pages are written from, so that they never disagree.

Every string in it is clean (XML-safe, one line where it is one), every address http(s), every bit of HTML sanitised,
whatever the store held: this is the last door before the public.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from html import escape
from urllib.parse import urlsplit
from uuid import UUID

from aggregator import html, text, urls
from aggregator.publish.merge import sections_of
from aggregator.publish.settings import ContentSettings, SiteSettings
from aggregator.types import Enclosure, Event, SourceRef, StoredEntry, Story

MAX_OUTLETS = 30  # "also reported by" beyond this many is a list nobody reads
MAX_CATEGORIES = 12  # some publishers tag an entry with everything they sell
_LANGUAGE = re.compile(r"^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$")
_MEDIA_TYPE = re.compile(r"^[a-z]+/[a-z0-9][a-z0-9.+-]*$")
_IMAGE = re.compile(r"<(?:img|picture|source|figure|/picture|/figure|figcaption|/figcaption)\b[^>]*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Outlet:
    """One source's telling of a story. `url` is its page, `feed_url` the source's feed where that may be shown;
    `source_id` names our page about the source."""

    name: str
    headline: str
    url: str | None
    site_url: str | None
    feed_url: str | None
    byline: str | None
    published: datetime
    is_copy: bool = False
    source_id: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """What a feed says about one story. `url` is the original's address, `story_url` our page about it; `html` is the
    whole content, `body` its text alone (both sanitised HTML), `text` the excerpt as plain text. `lead` is the outlet
    that speaks, `also` the others, each once."""

    story_id: UUID
    ref: str
    title: str
    url: str
    story_url: str
    published: datetime
    updated: datetime
    lead: Outlet
    also: tuple[Outlet, ...]
    text: str
    body: str
    html: str
    sections: tuple[str, ...]
    labels: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    image_url: str | None = None
    enclosures: tuple[Enclosure, ...] = ()
    comments_url: str | None = None
    comment_count: int | None = None
    language: str | None = None
    events: tuple[Event, ...] = ()

    @property
    def outlets(self) -> int:
        """How many tell it."""
        return 1 + len(self.also)

    @property
    def urn(self) -> str:
        """The id in every format."""
        return f"urn:uuid:{self.story_id}"


def item_of(story: Story, site: SiteSettings, content: ContentSettings) -> Item:
    """The story as its lead entry tells it, within what the operator lets out."""
    lead = story.lead
    outlet = outlet_of(lead)
    also = tuple(other_outlets(story))
    story_url = f"{site.public_url}/story/{story.ref}"
    excerpt = excerpt_of(lead, content)
    image_url = urls.http_url(lead.image_url) if content.images else None
    comments_url = urls.http_url(lead.comments_url)
    comment_count = lead.comment_count if (lead.comment_count or 0) >= 0 else None
    body = _full_html(lead, content) if content.text == "full" else f"<p>{escape(excerpt)}</p>" if excerpt else ""
    picture = _picture(image_url) if "<img" not in body else ""
    parts = (picture, body, _also_html(also, story_url), _comments_html(comments_url, comment_count))
    return Item(
        story_id=story.story_id,
        ref=story.ref,
        title=text.one_line(lead.title) or text.one_line(excerpt, 80) or f"Untitled, from {outlet.name}",
        url=outlet.url or story_url,
        story_url=story_url,
        published=story.published,
        updated=max(story.updated_at, story.published),
        lead=outlet,
        also=also,
        text=excerpt,
        body=text.readable(body),
        html=text.readable("\n".join(part for part in parts if part)) or f"<p>{escape(outlet.name)}</p>",
        sections=sections_of(story),
        labels=_lines(story.labels),
        categories=_lines(lead.categories)[:MAX_CATEGORIES],
        image_url=image_url,
        enclosures=tuple(_enclosures(lead.enclosures)),
        comments_url=comments_url,
        comment_count=comment_count,
        language=lead.language if lead.language and _LANGUAGE.match(lead.language) else None,
        events=tuple(_clean(event) for event in story.events),
    )


def _clean(event: Event) -> Event:
    """The event with its names as one clean line each."""
    return replace(
        event,
        company=text.one_line(event.company or "", 80) or None,
        target=text.one_line(event.target or "", 80) or None,
        round=text.one_line(event.round or "", 40) or None,
    )


def outlet_of(entry: StoredEntry, is_copy: bool = False) -> Outlet:
    """Who tells it in this entry, and where."""
    source = entry.source
    site_url = urls.http_url(source.site_url)
    return Outlet(
        name=text.one_line(source.title, 120) or urls.publisher_key(source.url) or "unnamed source",
        headline=text.one_line(entry.title),
        url=urls.http_url(entry.link) or urls.http_url(entry.canonical_url),
        site_url=site_url,
        feed_url=public_feed_url(source),
        byline=text.one_line(entry.author or "", 120) or None,
        published=entry.dated,
        is_copy=is_copy,
        source_id=source.feed_id,
    )


def other_outlets(story: Story) -> Iterator[Outlet]:
    """Every other source that tells the story, in the story's order, each once, at most MAX_OUTLETS.

    A copy in another feed of a publisher that stands there already is nobody else's telling.
    """
    publishers = {_publisher(story.lead)}
    names = {text.one_line(story.lead.source.title, 120)}
    feeds = {story.lead.source.feed_id}
    told = [(entry, False) for entry in story.entries] + [(entry, True) for entry in story.duplicates]
    for entry, is_copy in told:
        outlet = outlet_of(entry, is_copy)
        if entry.source.feed_id in feeds or outlet.name in names or (is_copy and _publisher(entry) in publishers):
            continue
        publishers.add(_publisher(entry))
        feeds.add(entry.source.feed_id)
        names.add(outlet.name)
        yield outlet
        if len(feeds) > MAX_OUTLETS:
            return


def _publisher(entry: StoredEntry) -> str:
    return urls.publisher_key(entry.canonical_url or entry.link or entry.source.site_url or entry.source.url)


def public_feed_url(source: SourceRef) -> str | None:
    """The feed's address if everybody may know it: one with a token or a password in it stays with us."""
    clean = urls.http_url(source.url)
    return clean if clean and urls.for_log(clean) == clean else None


def excerpt_of(entry: StoredEntry, content: ContentSettings) -> str:
    """The first words of the summary, or of the text where there is none; plain text."""
    plain = html.to_text(text.xml_safe(entry.summary or "")) or html.to_text(text.xml_safe(entry.content or ""))
    return text.excerpt(text.readable(plain), content.excerpt_words)


def origin_of(url: str | None) -> str | None:
    """`https://host/` of an address."""
    if not url:
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/"


def _full_html(entry: StoredEntry, content: ContentSettings) -> str:
    base_url = urls.http_url(entry.link) or entry.source.site_url or ""
    clean = html.sanitise(text.xml_safe(entry.content or entry.summary or ""), base_url)
    if not content.images:
        # Sanitised again: a tag cut out of the middle may have held another one in an attribute.
        clean = html.sanitise(_IMAGE.sub("", clean), base_url)
    return html.as_valid(clean)


def _picture(image_url: str | None) -> str:
    return f'<p><img src="{escape(image_url)}" alt=""></p>' if image_url else ""


def _also_html(also: tuple[Outlet, ...], story_url: str) -> str:
    if not also:
        return ""
    names = [_linked(outlet.name, outlet.url) for outlet in also]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f'<p>Also reported by {listed}. <a href="{escape(story_url)}">All coverage</a></p>'


def _comments_html(url: str | None, count: int | None) -> str:
    if url is None:
        return ""
    label = "Comments" if count is None else "1 comment" if count == 1 else f"{count} comments"
    return f"<p>{_linked(label, url)}</p>"


def _linked(label: str, url: str | None) -> str:
    return f'<a href="{escape(url)}">{escape(label)}</a>' if url else escape(label)


def _lines(names: Iterable[str]) -> tuple[str, ...]:
    """The names clean, in order, each once whatever its case."""
    clean = {line.casefold(): line for name in reversed(tuple(names)) if (line := text.one_line(name, 80))}
    return tuple(reversed(clean.values()))


def _enclosures(enclosures: Iterable[Enclosure]) -> Iterator[Enclosure]:
    for enclosure in enclosures:
        if url := urls.http_url(enclosure.url):
            media_type = (enclosure.media_type or "").strip().lower()
            length = enclosure.length if enclosure.length is not None and enclosure.length >= 0 else None
            yield Enclosure(url, media_type if _MEDIA_TYPE.match(media_type) else None, length)
