"""Publishing: the store's newest stories in, the shelf's documents out. The effects around `publish/`.

A pass reads the store on a thread of its own and swaps the shelf at its end; story pages are made when asked for.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import UUID

from aggregator import briefing
from aggregator.config import Config, MergedFeed
from aggregator.daemon import Log
from aggregator.metrics import Metrics
from aggregator.publish import archive, hub, views
from aggregator.publish.asking import BadQuery
from aggregator.publish.edition import Press
from aggregator.publish.merge import sections_of
from aggregator.publish.pages import Pages, Why
from aggregator.publish.ranking import risen
from aggregator.publish.settings import ContentSettings, FeedSettings, SiteSettings
from aggregator.publish.shelf import Shelf
from aggregator.publish.site import SEARCHES, Page
from aggregator.store import Store, StoryFilter
from aggregator.stories.cluster import NOTHING_NEAR
from aggregator.types import EVENTS, Story
from aggregator.views import TOP_AGE, complaint, view_page

_STORY = re.compile(r"/story/([a-z2-7]{10})")
_DIGEST = re.compile(r"/digest/([0-9]{4}-(?:[0-9]{2}-[0-9]{2}|w[0-9]{2}))")
_DIGESTS = 30  # in the feed of briefings
_TOP = 60  # stories in the feed of top stories
_RELATED = 6


def settings_of(feed: MergedFeed) -> FeedSettings:
    """A configured merged feed as `publish/` knows it."""
    return FeedSettings(feed.slug, feed.title or "", tuple(feed.sections), feed.items, feed.min_sources)


class Publisher:
    """Owns the shelf and the press that fills it."""

    def __init__(
        self, store: Store, shelf: Shelf, metrics: Metrics, log: Log, now: Callable[[], datetime], notice: str = ""
    ) -> None:
        self._store, self.shelf = store, shelf
        self._metrics, self._log, self._now, self._notice = metrics, log, now, notice
        self._reader = ThreadPoolExecutor(2, thread_name_prefix="pages")
        self._searcher = ThreadPoolExecutor(SEARCHES, thread_name_prefix="search")  # pages wait for no search
        self._press: Press | None = None
        self._published_stamp: object = None
        self._shown: set[UUID] = set()
        self.newly_top: tuple[UUID, ...] = ()  # to come among the top stories; its reader empties it
        self.newly_shown: tuple[UUID, ...] = ()  # in the feeds by now and not before; its reader empties it

    def configure(self, config: Config) -> None:
        """Print what this configuration says from the next pass on; what looks the same keeps its bytes."""
        site = SiteSettings(
            config.site.title,
            config.site.public_url,
            config.site.timezone,
            self._store.installation_id(),
            self._notice,
            tuple(dict.fromkeys((*EVENTS, *(rule.then.label for rule in config.rules if rule.then.label)))),
            hub.addresses(config.site.public_url, config.websub.hubs, config.websub.builtin_hub),
        )
        feeds = [settings_of(feed) for feed in config.feeds]
        feeds.append(FeedSettings("top", f"{config.site.title}: top stories", items=_TOP, only_top=True))
        content = ContentSettings(config.content.text, config.content.excerpt_words, config.content.images)
        self._press = Press(site, feeds, content, self.shelf.documents)
        self._has_digests = config.digest.at is not None
        self._published_stamp = None

    @property
    def press(self) -> Press:
        """The press as configured last."""
        if self._press is None:
            raise RuntimeError("configure first")
        return self._press

    @property
    def pages(self) -> Pages:
        return self.press.pages

    def stories(self) -> tuple[Story, ...]:
        """What an edition is printed from: the newest stories of every merged feed and section."""
        wanted = [(StoryFilter(top_since=self._now() - TOP_AGE), _TOP)]
        for sections, limit, min_sources in self.press.wanted.values():
            wanted.append((StoryFilter(sections, min_sources=min_sources), limit))
        return tuple(self._store.newest_of_each(wanted))

    def publish(self) -> bool:
        """Print an edition if anything changed since the last; whether it did. Blocks: call it on a thread."""
        press = self.press
        stamp = self._store.publishing_stamp()
        if stamp == self._published_stamp:
            return False
        began = time.perf_counter()
        stories = self.stories()
        press.archived = self._store.archive_months()
        if self._has_digests:
            press.digests = tuple(briefing.read(kept) for kept in self._store.latest_digests(None, _DIGESTS))
        documents = press.edition(stories, self._now())
        for ref in tuple(press.unprintable):  # other threads may add to it
            self._log.error("story_unprintable", story=ref, remedy="left out of the feeds; please report it")
        before = self.shelf.documents
        changed = sum(1 for path, document in documents.items() if before.get(path) is not document)
        self.shelf.replace(documents)
        self._note_shown(stories)
        self._published_stamp = stamp
        took = time.perf_counter() - began
        self._metrics.publish_seconds.observe(took)
        self._metrics.last_progress.labels("publish").set_to_current_time()
        if changed:
            self._log.info("publish", stories=len(stories), documents=changed, took_ms=round(took * 1000))
        return changed > 0

    def look(self) -> bool:
        """What `publish` does where nobody is served: only note which stories stand in the feeds now."""
        stamp = self._store.publishing_stamp()
        if stamp == self._published_stamp:
            return False
        self._note_shown(self.stories())
        self._published_stamp = stamp
        return True

    def _note_shown(self, stories: tuple[Story, ...]) -> None:
        filed = [story for story in stories if sections_of(story) and story.withheld is None]
        self.newly_top = tuple(story.story_id for story in risen(filed, filed, self._now()))
        new = (story.story_id for story in stories if story.story_id not in self._shown)
        self.newly_shown = (*self.newly_shown, *new)
        self._shown = {story.story_id for story in stories}

    def forget_shown(self) -> None:
        """Have the next pass name every story in the feeds as newly shown: who marked them before us may be gone."""
        self._shown, self.newly_shown = set(), ()
        self._published_stamp = None

    async def page(self, path: str, query: Mapping[str, str]) -> Page | None:
        """What is not on the shelf: a story by its ref, also one that moved or was pruned; archives; views."""
        if self._press is None:
            return None
        call = asyncio.get_running_loop().run_in_executor
        try:
            view = views.asked_for(path, query)
            if view is not None:
                pool = self._searcher if view.only.has_words else self._reader
                return await call(pool, view_page, self._store, self.press, view, self._now())
        except BadQuery as error:
            return await call(self._reader, complaint, self.press, path, str(error))
        if query:
            return None
        if (asked := archive.asked_for(path)) is not None:
            return await call(self._reader, self._archived, *asked)
        if (match := _DIGEST.fullmatch(path)) is not None:
            return await call(self._reader, self._digest_page, match[1])
        match = _STORY.fullmatch(path)
        if not match:
            return None
        return await call(self._reader, self._story_page, match[1])

    def _digest_page(self, day: str) -> Page | None:
        kept = self._store.digest(day)
        return Page(200, self.press.digest_page(briefing.read(kept))) if kept else None

    def _archived(self, slug: str, month: str) -> Page | None:
        found = self._store.archive(slug, month)
        if found is None:
            return None
        return Page(200, archive.ready(found.document, found.updated))

    def _story_page(self, ref: str) -> Page | None:
        press = self.press
        found = self._store.story(ref)
        if found is None:
            grave = self._store.buried_story(ref)
            if grave is not None and grave.is_taken_down:
                return Page(410, press.taken_down_page(f"/story/{ref}"))
            return Page(410, press.gone_page(grave.title, grave.link, grave.ref)) if grave else None
        if found.ref != ref:
            return Page(308, location=f"/story/{found.ref}")
        if found.withheld is not None:
            return None
        near = found.related[:_RELATED]
        became = self._store.redirects(near)
        now = self._store.stories_by_id(dict.fromkeys(became.get(story_id, story_id) for story_id in near))
        related = [story for story in now if story.withheld is None]
        return Page(200, press.story_page(found, related, self._why(found)))

    def _why(self, story: Story) -> list[Why]:
        """Why its entries are together, and what the first of them was near to without being the same, by outlet."""
        titles = {entry.entry_id: entry.source.title for entry in story.told}
        placements = self._store.placements(story.story_id)
        told = [
            (titles[placement.entry_id], [reason for reason in placement.reasons if reason not in NOTHING_NEAR])
            for placement in placements
            if placement.entry_id in titles
        ]
        return [(title, reasons) for title, reasons in told if reasons]

    def close(self) -> None:
        for pool in (self._reader, self._searcher):
            pool.shutdown(wait=True, cancel_futures=True)
