"""Views on request: what the page and feed of a search, a label, a source or a day hold, and of fewer stories of these
or of a merged feed. The effects around `publish.views`.

Everything here reads the store and blocks: the publisher calls it on a reader's thread, and `publish.site` keeps what
comes out for a while, so that many readers of one view cost one query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from aggregator.errors import StoreOverdue
from aggregator.publish.asking import BadQuery, Narrowing, address
from aggregator.publish.edition import Press
from aggregator.publish.merge import choose
from aggregator.publish.pages import Way
from aggregator.publish.settings import FeedSettings
from aggregator.publish.site import Page
from aggregator.publish.views import (
    MOST,
    MOST_FOUND,
    ON_VIEW_PAGE,
    Asked,
    date_of,
    day_bounds,
    day_path,
    day_view,
    label_view,
    narrowed,
    search_view,
    source_view,
)
from aggregator.store import Query, Store, StoryFilter
from aggregator.types import SECTIONS, Story

SECONDS = 2.0  # that a view may take of the database; a thousand times what it takes when all is well
TOP_AGE = timedelta(days=14)  # how far back the feed of top stories goes
_FILED = StoryFilter(filed=True)


def view_page(store: Store, press: Press, asked: Asked, now: datetime) -> Page | None:
    """The page or feed asked for; None: there is no such feed, label, source or day, or not so many pages. 503 where
    the database did not have it in time. Raises BadQuery for a section that is none of the feed's."""
    try:
        match asked.kind:
            case "search":
                return _search(store, press, asked)
            case "feed":
                return _merged(store, press, asked, now)
            case "label":
                return _label(store, press, asked)
            case "source":
                return _source(store, press, asked)
            case "day":
                return _day(store, press, asked, now)
    except StoreOverdue:
        return Page(503, said="this took too long: ask for rarer words or a shorter time, or again in a minute")


def complaint(press: Press, path: str, why: str) -> Page:
    """The answer to an address that nobody can understand: a line for readers of feeds, a page for people."""
    if path.endswith((".atom", ".rss", ".json")):
        return Page(400, said=why)
    return Page(400, press.complaint(why))


def _search(store: Store, press: Press, asked: Asked) -> Page | None:
    feed = search_view(asked.only, press.site)
    if asked.only:
        return _printed(press, asked, feed, _stories(store, press, asked, feed, _FILED))
    if asked.ending:
        raise BadQuery(f"say what to search for, such as /search.{asked.ending}?q=funding")
    return _printed(press, asked, feed, [])


def _merged(store: Store, press: Press, asked: Asked, now: datetime) -> Page | None:
    """Those of a merged feed's stories that are asked for; of a section's where no feed is called so."""
    feed = next((feed for feed in press.feeds if feed.slug == asked.name), None)
    if feed is None and asked.name in SECTIONS and not asked.ending:
        feed = FeedSettings(asked.name, sections=(asked.name,))
    if feed is None:
        return None
    section = asked.only.section
    if section and section not in feed.sections:
        raise BadQuery(f"section must be one of this feed's: {', '.join(feed.sections)}")
    if feed.only_top:
        of_feed = replace(_FILED, top_since=now - TOP_AGE)
    else:
        of_feed = StoryFilter(feed.sections, min_sources=feed.min_sources)
    stories = _stories(store, press, asked, feed, of_feed)
    stories = choose(stories, replace(feed, items=len(stories)))
    return _printed(press, asked, narrowed(feed, asked.only, press.site), stories)


def _label(store: Store, press: Press, asked: Asked) -> Page | None:
    if asked.name not in press.site.labels and not store.is_label(asked.name):
        return None
    feed = narrowed(label_view(asked.name, press.site), asked.only, press.site)
    return _printed(press, asked, feed, _stories(store, press, asked, feed, replace(_FILED, label=asked.name)))


def _source(store: Store, press: Press, asked: Asked) -> Page | None:
    source = store.source(int(asked.name))
    if source is None:
        return None
    if store.is_taken_down(source.feed_id):
        return Page(410, None if asked.ending else press.taken_down_page(f"/{asked.slug}"), said="taken down")
    feed = narrowed(source_view(source.feed_id, source.title, press.site), asked.only, press.site)
    return _printed(press, asked, feed, _stories(store, press, asked, feed, replace(_FILED, feed_id=source.feed_id)))


def _day(store: Store, press: Press, asked: Asked, now: datetime) -> Page | None:
    """Today has a page whatever happened. A day of the past has one while there are stories of it, and is gone (410)
    when retention took them."""
    day, zone = date_of(asked.name), press.site.zone
    if day is None:
        return None
    begin, end = day_bounds(day, zone)
    if begin > now:
        return None
    feed = narrowed(day_view(day, press.site), asked.only, press.site)
    stories = _stories(store, press, asked, feed, replace(_FILED, since=begin, until=end))
    if not stories and not asked.only and asked.page == 1 and end <= now:
        if not store.is_buried(begin, end):
            return None
        return Page(
            410, None if asked.ending else press.gone_day(feed), said="the stories of this day have left the archive"
        )
    before, after = store.beside(begin, end)
    days = [("", day_path(at, zone), words) for at, words in ((before, "Earlier"), (after, "Later")) if at is not None]
    return _printed(press, asked, feed, stories, days)


def _stories(store: Store, press: Press, asked: Asked, feed: FeedSettings, of_view: StoryFilter) -> Sequence[Story]:
    """The stories of the page, and one more where there is another page; none behind the last page there may be."""
    most = _most(asked, feed)
    if (asked.page - 1) * most >= _most_of_all(asked):
        return []
    query, wanted = Query(asked.only.wanted, asked.only.unwanted), _fewer(of_view, asked.only, press.site.zone)
    return store.search(query, wanted, most + 1, (asked.page - 1) * most, SECONDS)


def _fewer(of_view: StoryFilter, only: Narrowing, zone: ZoneInfo) -> StoryFilter:
    """Those of a view's stories that are asked for."""
    return replace(
        of_view,
        sections=(only.section,) if only.section else of_view.sections,
        feed_id=of_view.feed_id if only.source is None else only.source,
        label=only.label or of_view.label,
        since=day_bounds(only.since, zone)[0] if only.since else of_view.since,
        until=day_bounds(only.until, zone)[1] if only.until else of_view.until,
        min_sources=max(only.min_sources, of_view.min_sources),
        language=only.language or of_view.language,
    )


def _most(asked: Asked, feed: FeedSettings) -> int:
    return feed.items if asked.ending else ON_VIEW_PAGE


def _most_of_all(asked: Asked) -> int:
    return MOST_FOUND if asked.only.has_words else MOST


def _printed(
    press: Press, asked: Asked, feed: FeedSettings, stories: Sequence[Story], ways: Sequence[Way] = ()
) -> Page | None:
    if asked.page > 1 and not stories:
        return None
    most = _most(asked, feed)
    turns = []
    if asked.page > 1:
        if asked.ending:
            turns.append(("first", _page_path(asked, 1), ""))
        # RFC 5005 says `previous` where HTML says `prev`.
        turns.append(("previous" if asked.ending else "prev", _page_path(asked, asked.page - 1), "Newer stories"))
    if len(stories) > most and asked.page * most < _most_of_all(asked):
        turns.append(("next", _page_path(asked, asked.page + 1), "Older stories"))
    here = replace(feed, page=asked.page)
    return Page(200, press.view(here, stories[:most], asked.ending, (*turns, *ways)))


def _page_path(asked: Asked, page: int) -> str:
    ending = f".{asked.ending}" if asked.ending else ""
    return f"/{asked.slug}{ending}{address(replace(asked, page=page).fields)}"
