"""Views on request: what a label's, a source's or a day's page and feed hold. The effects around `publish.views`.

Everything here reads the store and blocks: the publisher calls it on a reader's thread, and `publish.site` keeps what
comes out for a while, so that many readers of one view cost one query.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aggregator.publish.edition import Press
from aggregator.publish.pages import Way
from aggregator.publish.settings import FeedSettings
from aggregator.publish.site import Page
from aggregator.publish.views import (
    IN_VIEW,
    MOST_PAGES,
    ON_VIEW_PAGE,
    Asked,
    date_of,
    day_bounds,
    day_path,
    day_view,
    label_view,
    source_view,
)
from aggregator.store import Store
from aggregator.types import Story


def view_page(store: Store, press: Press, asked: Asked, now: datetime) -> Page | None:
    """The page or feed asked for; None: there is no such label, source or day, or not so many pages."""
    if asked.kind == "label":
        return _label(store, press, asked)
    return _source(store, press, asked) if asked.kind == "source" else _day(store, press, asked, now)


def _label(store: Store, press: Press, asked: Asked) -> Page | None:
    if asked.name not in press.site.labels and not store.is_label(asked.name):
        return None
    return _printed(press, asked, label_view(asked.name, press.site), _stories(store, asked, label=asked.name))


def _source(store: Store, press: Press, asked: Asked) -> Page | None:
    source = store.source(int(asked.name))
    if source is None:
        return None
    feed = source_view(source.feed_id, source.title, press.site)
    return _printed(press, asked, feed, _stories(store, asked, source=source.feed_id))


def _day(store: Store, press: Press, asked: Asked, now: datetime) -> Page | None:
    """Today has a page whatever happened. A day of the past has one while there are stories of it, and is gone (410)
    when retention took them."""
    day, zone = date_of(asked.name), press.site.zone
    if day is None:
        return None
    begin, end = day_bounds(day, zone)
    if begin > now:
        return None
    feed = day_view(day, press.site)
    stories = _stories(store, asked, since=begin, until=end)
    if not stories and asked.page == 1 and end <= now:
        return Page(410, press.gone_day(feed)) if store.is_buried(begin, end) else None
    before, after = store.beside(begin, end)
    days = [("", day_path(at, zone), words) for at, words in ((before, "Earlier"), (after, "Later")) if at is not None]
    return _printed(press, asked, feed, stories, days)


def _stories(store: Store, asked: Asked, **where: Any) -> list[Story]:
    """The stories of the page, and one more where there is another page."""
    return store.view(**where, limit=_most(asked) + 1, skip=(asked.page - 1) * ON_VIEW_PAGE)


def _most(asked: Asked) -> int:
    return IN_VIEW if asked.ending else ON_VIEW_PAGE


def _printed(
    press: Press, asked: Asked, feed: FeedSettings, stories: Sequence[Story], ways: Sequence[Way] = ()
) -> Page | None:
    if asked.page > 1 and not stories:
        return None
    shown = stories[: _most(asked)]
    turns = []
    if asked.page > 1:
        turns.append(("prev", _page_path(feed, asked.page - 1), "Newer stories"))
    if len(stories) > len(shown) and asked.page < MOST_PAGES:
        turns.append(("next", _page_path(feed, asked.page + 1), "Older stories"))
    return Page(200, press.view(feed, shown, asked.ending, (*turns, *ways), asked.page))


def _page_path(feed: FeedSettings, page: int) -> str:
    return f"/{feed.slug}" if page == 1 else f"/{feed.slug}?page={page}"
