"""Views: the pages and feeds that are not configured but asked for: of a search, a label, a source, a day, and of fewer
stories of these or of a merged feed. Pure.

In: an address. Out: what it asks for, and the head of the page or feed that answers. Which stories are in it says the
store, `edition` prints them, `site` keeps what was printed in its bounded cache. What a query may say: `asking`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from aggregator.publish.asking import BadQuery, Narrowing, address, narrowing, page_number
from aggregator.publish.happened import name_of
from aggregator.publish.settings import FeedSettings, SiteSettings

IN_VIEW = 100  # stories in a feed
ON_VIEW_PAGE = 60  # on one page; the next ones are a link away
MOST_PAGES = 50  # behind one another: what is further back stands in the days' archives
MOST_PAGES_FOUND = 5  # of a search by words: each page costs a look through all before it
MOST = ON_VIEW_PAGE * MOST_PAGES  # stories behind one another in feeds, which have more on a page
MOST_FOUND = ON_VIEW_PAGE * MOST_PAGES_FOUND
SEARCH = "search"  # the slug of the search's page and feeds
Kind = Literal["label", "source", "day", "search", "feed"]
_ADDRESS = re.compile(
    r"/(?:label/(?P<label>[a-z0-9]+(?:-[a-z0-9]+)*)|source/(?P<source>[1-9][0-9]{0,17})|(?P<day>[0-9]{4}/[0-9]{2}/[0-9]{2})"
    r"|(?P<search>search)|(?P<feed>[a-z0-9]+(?:-[a-z0-9]+)*))(?:\.(?P<ending>atom|rss|json))?"
)
_KINDS: tuple[Kind, ...] = ("label", "source", "day", "search", "feed")
_SAID_ALREADY = {"label": ("label",), "source": ("source",), "day": ("since", "until")}  # by the path
_FORM = "Every story whose headline or text holds the words you type, the newest first, and a feed of them."
_ALL_THAT_IS = Narrowing()


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for. `ending` is the feed's format, "" for the page; `page` counts from 1. For a source
    `name` is its id, for a day its date as in 2026/11/24, for a merged feed its slug."""

    kind: Kind
    name: str
    ending: str = ""
    page: int = 1
    only: Narrowing = _ALL_THAT_IS

    @property
    def slug(self) -> str:
        """The address without slash before it and format or query behind it."""
        return f"{self.kind}/{self.name}" if self.kind in ("label", "source") else self.name

    @property
    def fields(self) -> dict[str, str]:
        """The fields of its query in the one way in which they are kept."""
        return self.only.fields | ({"page": str(self.page)} if self.page > 1 else {})


def asked_for(path: str, query: Mapping[str, str]) -> Asked | None:
    """What the address asks for, None if it is no view: also a day that is not in the calendar, and a merged feed of
    which nothing less is asked for. What means nothing at the address is ignored.

    Raises BadQuery for a parameter that means something here and whose value cannot be, or that the path says already.
    """
    match = _ADDRESS.fullmatch(path)
    if match is None:
        return None
    kind = next(kind for kind in _KINDS if match[kind] is not None)
    name, ending = match[kind], match["ending"] or ""
    if kind == "day" and date_of(name) is None:
        return None
    only = narrowing(query)
    for field in _SAID_ALREADY.get(kind, ()):
        if field in only.fields:
            raise BadQuery(f"{field} cannot be asked for here, as the address says it; see /search")
    if kind == "feed" and not only:
        return None
    most = MOST_PAGES_FOUND if only.has_words else MOST_PAGES
    page = page_number(query.get("page") or "1", most)
    return Asked(kind, name, ending, page, only)


def date_of(name: str) -> date | None:
    """`2026/11/24` as a date, None where there is no such day, or none with a day before and after it in every zone."""
    try:
        found = date(*(int(part) for part in name.split("/")))
    except ValueError:
        return None
    return found if date.min < found < date.max else None


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The first moment of the day as the site's readers count it, and that of the next."""
    begin = datetime(day.year, day.month, day.day, tzinfo=zone)
    after = day + timedelta(days=1)
    return begin.astimezone(UTC), datetime(after.year, after.month, after.day, tzinfo=zone).astimezone(UTC)


def day_path(at: datetime, zone: ZoneInfo) -> str:
    """`/2026/11/24`: the archive of the day on which this was."""
    return f"/{at.astimezone(zone):%Y/%m/%d}"


def label_view(label: str, site: SiteSettings) -> FeedSettings:
    """The head of a label's page and feed."""
    about = f"Stories labelled {label}, each once."
    return FeedSettings(f"label/{label}", f"{site.title}: {label}", items=IN_VIEW, about=about, heading=name_of(label))


def source_view(source_id: int, name: str, site: SiteSettings) -> FeedSettings:
    """The head of a source's page and feed."""
    about = f"Every story that {name} tells, each once."
    return FeedSettings(f"source/{source_id}", f"{site.title}: {name}", items=IN_VIEW, about=about, heading=name)


def day_view(day: date, site: SiteSettings) -> FeedSettings:
    """The head of a day's page and feed."""
    said = f"{day:%A}, {day.day} {day:%B %Y}"
    about = f"The stories of {said}, each once."
    return FeedSettings(f"{day:%Y/%m/%d}", f"{site.title}: {said}", items=IN_VIEW, about=about, heading=said)


def search_view(only: Narrowing, site: SiteSettings) -> FeedSettings:
    """The head of a search's page and feed; of the form alone where nothing is asked for."""
    if not only:
        return FeedSettings(
            SEARCH,
            f"{site.title}: search",
            items=IN_VIEW,
            about=_FORM,
            heading="Search",
        )
    heading = f"Search: {', '.join(only.said)}"
    return FeedSettings(
        SEARCH,
        f"{heading} · {site.title}",
        items=IN_VIEW,
        query=address(only.fields),
        about="The newest stories of all that are like that, each once.",
        heading=heading,
        words=only.typed,
    )


def narrowed(feed: FeedSettings, only: Narrowing, site: SiteSettings) -> FeedSettings:
    """The head of the page and feed of fewer stories of another: a feed of its own, with its own id and title."""
    if not only:
        return feed
    parts = f"({', '.join(only.said)})"
    title = f"{feed.full_title(site.title)} {parts}"
    return replace(
        feed,
        title=title,
        query=address(only.fields),
        about=f"Of “{feed.full_title(site.title)}” those stories alone {parts}, each once.",
        heading=f"{feed.heading or feed.title or feed.slug.capitalize()} {parts}",
        words=only.typed,
    )
