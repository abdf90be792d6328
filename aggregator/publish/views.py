"""Views: the pages and feeds that are not configured but asked for: of a label, a source, a day. Pure.

In: an address. Out: what it asks for, and the head of the page or feed that answers. Which stories are in it says the
store, `edition` prints them, `site` keeps what was printed in its bounded cache.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from aggregator.publish.happened import name_of
from aggregator.publish.settings import FeedSettings, SiteSettings

IN_VIEW = 100  # stories in a feed
ON_VIEW_PAGE = 60  # on one page; the next ones are a link away
MOST_PAGES = 50  # behind one another: what is further back stands in the days' archives
_ADDRESS = re.compile(
    r"/(?:label/(?P<label>[a-z0-9]+(?:-[a-z0-9]+)*)|source/(?P<source>[1-9][0-9]{0,17})|(?P<day>[0-9]{4}/[0-9]{2}/[0-9]{2}))"
    r"(?:\.(?P<ending>atom|rss|json))?"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for. `ending` is the feed's format, "" for the page; `page` counts from 1. For a source
    `name` is its id, for a day its date as in 2026/11/24."""

    kind: Literal["label", "source", "day"]
    name: str
    ending: str = ""
    page: int = 1

    @property
    def slug(self) -> str:
        """The address without slash before it and format behind it."""
        return self.name if self.kind == "day" else f"{self.kind}/{self.name}"


def asked_for(path: str, query: Mapping[str, str]) -> Asked | None:
    """What the address asks for, None if it is none of ours: a day that is not in the calendar, a parameter but `page`,
    a page of a feed or one beyond MOST_PAGES."""
    match = _ADDRESS.fullmatch(path)
    if match is None:
        return None
    ending = match["ending"] or ""
    page = query.get("page", "1")
    if set(query) - {"page"} or not re.fullmatch("[1-9][0-9]?", page) or int(page) > MOST_PAGES:
        return None
    if ending and query:
        return None
    for kind in ("label", "source", "day"):
        if (name := match[kind]) is not None:
            if kind == "day" and date_of(name) is None:
                return None
            return Asked(kind, name, ending, int(page))
    return None


def parameters(path: str) -> frozenset[str]:
    """The query's parameters that say something at this address. Any other is as good as not there: what campaigns and
    networks append to links they share must neither hide a page nor make another one of it."""
    match = _ADDRESS.fullmatch(path)
    return frozenset({"page"}) if match is not None and not match["ending"] else frozenset()


def date_of(name: str) -> date | None:
    """`2026/11/24` as a date, None where there is no such day."""
    try:
        return date(*(int(part) for part in name.split("/")))
    except ValueError:
        return None


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
