"""What befell sources and us as a feed for the operator: episodes in, Atom, RSS or JSON Feed out. Pure.

An episode is one item when it begins and one when it is over, each with an id that never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from uuid import uuid5

from aggregator.publish import feeds as xml
from aggregator.publish import feeds_json
from aggregator.publish.item import Item, Outlet
from aggregator.publish.settings import EMPTY_SINCE, FeedSettings, SiteSettings
from aggregator.publish.shelf import rendered
from aggregator.text import excerpt, one_line
from aggregator.types import Episode, Rendered
from aggregator.urls import story_ref

ITEMS = 100  # in the feed
SLUG = "health"
TITLES = {
    "broken": "{} is broken",
    "blocked": "{} blocks us",
    "gone": "{} is gone",
    "moved": "{} has moved",
    "silent": "{} is silent",
    "found": "{}: a feed was found",
    "mail": "A briefing did not get out",
    "disk": "The disk is nearly full",
    "budget": "The database is over its budget",
    "editor": "The editing was lost",
}
_RECOVERED = {"mail": "", "disk": "There is room on the disk again", "budget": "The database is within its budget"}


def headline(episode: Episode) -> str:
    """`The Herald is broken`"""
    return TITLES.get(episode.kind, "{}: " + episode.kind).format(one_line(episode.title, 120) or "A source")


def items(episodes: Iterable[Episode], site: SiteSettings) -> list[Item]:
    """The newest ITEMS, the newest first: beginnings and endings."""
    found = [item for episode in episodes for item in _of(episode, site)]
    return sorted(found, key=lambda item: (item.published, item.story_id), reverse=True)[:ITEMS]


def _of(episode: Episode, site: SiteSettings) -> Iterator[Item]:
    since = f"Since {_when(episode.since)}." if episode.since else ""
    command = f"<pre>{escape(episode.command)}</pre>" if episode.command else ""
    parts = [episode.reason, since, episode.does, episode.fix]
    body = "\n".join(f"<p>{escape(part)}</p>" for part in parts if part) + command
    yield _item(episode, "", headline(episode), " ".join(part for part in parts if part), body, episode.opened_at, site)
    if episode.ended_at is not None and episode.ending:
        lasted = f"It had begun on {_when(episode.since or episode.opened_at)}."
        title = _RECOVERED.get(episode.kind) or f"{one_line(episode.title, 120)} has recovered"
        body = f"<p>{escape(episode.ending)}</p>\n<p>{escape(lasted)}</p>"
        yield _item(episode, ":over", title, f"{episode.ending} {lasted}", body, episode.ended_at, site)


def _item(episode: Episode, part: str, title: str, text: str, body: str, at: datetime, site: SiteSettings) -> Item:
    item_id = uuid5(site.installation, f"health:{episode.episode_id}{part}")
    where = f"#source-{episode.feed_id}" if episode.feed_id is not None else ""
    query = f"?q={episode.feed_id}" if episode.feed_id is not None else ""
    url = f"{site.public_url}/status{query}{where}"
    return Item(
        story_id=item_id,
        ref=story_ref(item_id),
        title=title,
        url=url,
        story_url=url,
        published=at,
        updated=at,
        lead=Outlet(site.title, title, url, f"{site.public_url}/status", None, None, at),
        also=(),
        text=excerpt(text, 80),
        body=body,
        html=body,
        sections=(),
        categories=("recovered" if part else episode.kind,),
        language="en",
    )


def feed(episodes: Sequence[Episode], site: SiteSettings, ending: str) -> Rendered:
    """The feed in the format that `ending` names: atom, rss, json. `site.public_url` is where the operator asks."""
    title = f"{site.title}: health"
    about = "What befell the sources of this newspaper, and itself, and what to do about it."
    settings = FeedSettings(SLUG, title, sections=(), items=ITEMS, about=about)
    site = replace(site, hubs=())
    told = items(episodes, site)
    updated = max((item.updated for item in told), default=None)
    if ending == "json":
        body = feeds_json.json_feed(settings, site, [feeds_json.json_item(item, site) for item in told])
        content_type = feeds_json.JSON_TYPE
    elif ending == "rss":
        body, content_type = xml.rss(settings, site, [xml.rss_item(item, site) for item in told], updated), xml.RSS_TYPE
    else:
        entries = [xml.atom_item(item, site) for item in told]
        body, content_type = xml.atom(settings, site, entries, updated), xml.ATOM_TYPE
    return rendered(body, content_type, updated or EMPTY_SINCE)


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
