"""Merged feeds as JSON Feed 1.1 (https://www.jsonfeed.org/version/1.1/): items in, bytes out.

Three extensions of ours, named with an underscore as the specification asks; docs/http.md describes them for readers:
`_sources` says who tells the story, `_events` what happened, `_comments` where it is discussed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from aggregator.publish.feeds import description_of
from aggregator.publish.item import Item, Outlet
from aggregator.publish.settings import FeedSettings, SiteSettings
from aggregator.types import Event

BETWEEN = b",\n"  # two items
JSON_TYPE = "application/feed+json; charset=utf-8"


def json_feed(
    feed: FeedSettings, site: SiteSettings, items: Sequence[bytes], hubs: Sequence[str] = (), next_url: str = ""
) -> bytes:
    """The feed as a JSON Feed document. `items` come from `json_item`; `hubs` are addresses of WebSub hubs; `next_url`
    is where older items are, if there are any."""
    head: dict[str, Any] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.full_title(site.title),
        "home_page_url": f"{site.public_url}/{feed.slug}{feed.query}",
        "feed_url": f"{site.public_url}/{feed.slug}.json{feed.tail}",
        "description": description_of(feed),
        "favicon": f"{site.public_url}/favicon.ico",
        "authors": [{"name": site.title, "url": f"{site.public_url}/"}],
        "language": "en",
    }
    if hubs:
        head["hubs"] = [{"type": "WebSub", "url": hub} for hub in hubs]
    if next_url:
        head["next_url"] = next_url
    head["items"] = []
    opened = _dumped(head).removesuffix(b"]\n}")
    return b"".join((opened, b"\n" if items else b"", BETWEEN.join(items), b"\n]\n}\n" if items else b"]\n}\n"))


def json_item(item: Item, site: SiteSettings) -> bytes:
    """One item as it stands in every JSON Feed of the site. `url` is the original's page; ours is in `_sources`."""
    values: dict[str, Any] = {
        "id": item.urn,
        "url": item.url,
        "title": item.title,
        "content_html": item.html,
        "summary": item.text,
        "image": item.image_url,
        "date_published": _date(item.published),
        "date_modified": _date(item.updated),
        "authors": [_without_empty({"name": item.lead.byline or item.lead.name, "url": item.lead.site_url})],
        "tags": _tags((*item.sections, *item.labels, *item.categories)),
        "language": item.language,
        "attachments": _attachments(item),
        "_sources": _sources(item, site),
        "_events": [_event(event) for event in item.events],
        "_comments": _without_empty({"url": item.comments_url, "count": item.comment_count}),
    }
    return _dumped(_without_empty(values))


def _event(event: Event) -> dict[str, Any]:
    values = {"label": event.label, "company": event.company, "target": event.target, "amount": event.amount}
    return _without_empty(values | {"currency": event.currency, "round": event.round, "jobs": event.jobs})


def _sources(item: Item, site: SiteSettings) -> dict[str, Any]:
    return {
        "about": f"{site.public_url}/about#json",
        "story_url": item.story_url,
        "lead": _outlet(item.lead),
        "also": [_outlet(outlet) for outlet in item.also],
    }


def _outlet(outlet: Outlet) -> dict[str, Any]:
    return _without_empty(
        {
            "title": outlet.name,
            "url": outlet.url,
            "headline": outlet.headline,
            "home_page_url": outlet.site_url,
            "feed_url": outlet.feed_url,
            "date_published": _date(outlet.published),
        }
    )


def _attachments(item: Item) -> list[dict[str, Any]]:
    """Attached media; the specification demands a type, so what has none is left out."""
    return [
        _without_empty({"url": each.url, "mime_type": each.media_type, "size_in_bytes": each.length})
        for each in item.enclosures
        if each.media_type
    ]


def _tags(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}


def _date(at: datetime) -> str:
    return at.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _dumped(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, indent=1).encode("utf-8")
