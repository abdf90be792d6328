"""Pictures, attached files and links of one entry, whichever lane found them."""

from __future__ import annotations

from aggregator.ingest.elements import THREADING, WEB_PAGE, Element, text_of
from aggregator.ingest.raw import RawEntry, RawFeed


class Media:
    """Pictures and attached files of one entry, gathered in document order."""

    def __init__(self) -> None:
        self.enclosures: list[tuple[str, str, str]] = []
        self._contents: list[tuple[int, str]] = []
        self._thumbnails: list[tuple[int, str]] = []
        self._others: list[str] = []
        self.other_link: str | None = None  # an alternate that is no web page

    def enclose(self, url: str | None, media_type: str | None, length: str | None) -> None:
        if url and url.strip():
            self.enclosures.append((url.strip(), (media_type or "").strip(), (length or "").strip()))

    def see(self, name: str, element: Element) -> None:
        url = (element.get("url") or element.get("href") or "").strip()
        if name == "enclosure":
            self.enclose(url, element.get("type"), element.get("length"))
        elif name == "media:content" and url and is_picture(url, element.get("medium"), element.get("type")):
            self._contents.append((_width(element), url))
        elif name == "media:thumbnail" and (url := url or text_of(element)):
            self._thumbnails.append((_width(element), url))
        elif name == "itunes:image" and url:
            self._others.append(url)

    def images(self) -> tuple[str, ...]:
        """Candidates, best first: the widest media:content, the widest thumbnail, itunes:image, an attached picture."""
        if not (self.enclosures or self._contents or self._thumbnails or self._others):
            return ()
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


def _width(element: Element) -> int:
    return width_of(element.get("width"))


def width_of(text: str | None) -> int:
    """The width in pixels that `text` claims, 0 where it claims none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else 0


def entry_link(link: Element, entry: RawEntry, media: Media) -> None:
    """Take what an atom:link says into `entry`, or into `media` what may be needed later."""
    relation, href = link.get("rel", "alternate"), link.get("href", "").strip()
    if not href:
        return
    is_page = link.get("type", "text/html") in WEB_PAGE
    if relation == "alternate" and is_page:
        entry.link = entry.link or href
    elif relation == "alternate":
        media.other_link = media.other_link or href
    elif relation == "enclosure":
        media.enclose(href, link.get("type"), link.get("length"))
    elif relation == "replies" and is_page:
        entry.comments_url = entry.comments_url or href
        entry.comment_count = entry.comment_count or link.get(f"{{{THREADING}}}count")


def feed_link(link: Element, feed: RawFeed) -> None:
    """Take what an atom:link says about the feed."""
    relation, href = link.get("rel", "alternate"), link.get("href", "").strip()
    if not href:
        return
    if relation == "self":
        feed.self_url = feed.self_url or href
    elif relation == "hub":
        feed.hub_urls += (href,)
    elif relation == "alternate" and link.get("type", "text/html") in WEB_PAGE:
        feed.site_url = feed.site_url or href
