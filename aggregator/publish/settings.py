"""What publishing needs to know of the configuration, as small values that a test can write in one line.

The scheduler builds them from `config.Config`; nothing below publish/ sees a configuration file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from aggregator.types import EVENTS, SECTIONS

# When an empty feed last changed: some valid date that is never now. Ours is the day RFC 4287 was published.
EMPTY_SINCE = datetime(2005, 12, 1, tzinfo=UTC)
NO_INSTALLATION = UUID(int=0)


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """Who publishes. `public_url` is what readers see, without a slash at its end; `installation` is the store's own
    UUID, which the feeds' ids hang on; `notice` stands on every page where it is not empty (the demo says so there);
    `labels` are those that have a page and a feed though no story may carry them yet; `hubs` are the WebSub hubs that
    our feeds name."""

    title: str = "Business Monkey News"
    public_url: str = "http://127.0.0.1:8080"
    timezone: str = "UTC"
    installation: UUID = NO_INSTALLATION
    notice: str = ""
    labels: tuple[str, ...] = EVENTS
    hubs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "public_url", self.public_url.rstrip("/"))

    @property
    def prefix(self) -> str:
        """The path of `public_url`: "" or "/news-desk"."""
        return urlsplit(self.public_url).path

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that pages show."""
        return ZoneInfo(self.timezone)

    def feed_id(self, slug: str) -> str:
        """The id of a merged feed: the same whatever the host is called, another one in every installation."""
        return f"urn:uuid:{uuid5(self.installation, f'feed:{slug}')}"


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """One merged feed: the newest `items` stories of `sections` that at least `min_sources` sources tell. `query` is
    what its address ends in where a reader asked for less of it, empty for the feed itself; `words` are those they
    searched for, `page` the part of a view that is at hand, from 1. Where `about` is not empty it says what else chose
    them (`publish.views`); `heading` stands above its page, else title or slug."""

    slug: str
    title: str = ""
    sections: tuple[str, ...] = SECTIONS
    items: int = 100
    min_sources: int = 1
    query: str = ""
    about: str = ""
    heading: str = ""
    only_top: bool = False
    words: str = ""
    page: int = 1

    @property
    def tail(self) -> str:
        """What the address of the part at hand ends in."""
        if self.page == 1:
            return self.query
        return f"{self.query}{'&' if self.query else '?'}page={self.page}"

    def full_title(self, site_title: str) -> str:
        """The title readers see; without one of its own the section or slug says what is in it."""
        return self.title or f"{site_title}: {self.slug}"


@dataclass(frozen=True, slots=True)
class ContentSettings:
    """What of the publishers' text and pictures goes out."""

    text: Literal["excerpt", "full"] = "excerpt"
    excerpt_words: int = 80
    images: bool = True


DEFAULT_FEEDS = (
    FeedSettings("news", "Business Monkey News"),
    *(FeedSettings(name, sections=(name,)) for name in SECTIONS),
)
