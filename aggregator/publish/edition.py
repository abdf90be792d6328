"""One publish pass: stories in, every document of the site out, rendering only what is new.

`Press` remembers what it printed. A story whose visible part is as it was keeps its bytes in every format, and a
document whose bytes are as they were stays the very same object, with its Last-Modified and its compressed forms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from aggregator import opml
from aggregator.publish import feeds as xml
from aggregator.publish import feeds_json
from aggregator.publish.cache import Recent
from aggregator.publish.delta import Past, parts_of, past_of
from aggregator.publish.digest import Digest, as_item
from aggregator.publish.item import Item, item_of
from aggregator.publish.merge import belongs, choose, sections_of
from aggregator.publish.pages import HTML_TYPE, LEADS, Pages, Way, Why, static_files
from aggregator.publish.ranking import Quota, ranked
from aggregator.publish.ranking import why as weighs
from aggregator.publish.settings import EMPTY_SINCE, ContentSettings, FeedSettings, SiteSettings
from aggregator.publish.shelf import rendered
from aggregator.publish.site import NOT_FOUND
from aggregator.publish.views import SEARCH, label_view
from aggregator.text import one_line
from aggregator.types import SECTIONS, Rendered, Story
from aggregator.urls import http_url

OPML_TYPE = "text/x-opml; charset=utf-8"
OPENSEARCH_TYPE = "application/opensearchdescription+xml; charset=utf-8"
LEAD_QUOTA = Quota(per_source=2, per_section=2)  # of the five leads
ON_PAGE = 60  # stories on a section's page
IN_FEED_PAGE = 30  # stories on the page that a browser gets at a feed's address
DIGEST = "digest"  # the slug of the briefings' feed
VIEWS = 256  # feeds made when asked for whose versions are known to readers that ask for deltas; some 16 kB each
RELATED = 6  # stories under "you may also like"


@dataclass(frozen=True, slots=True)
class Cooked:
    """A story ready to be joined into documents of the formats it was cooked for."""

    seen: object  # what it was cooked from, see `_visible`
    item: Item
    atom: bytes = b""
    rss: bytes = b""
    json: bytes = b""


_WRITERS: Mapping[str, Callable[[Item, SiteSettings], bytes]] = {
    "atom": xml.atom_item,
    "rss": xml.rss_item,
    "json": feeds_json.json_item,
}


@dataclass(frozen=True, slots=True)
class ArchivePrint:
    """A month of a merged feed or a part of it, printed: Atom, the date of its newest story, how many there are."""

    body: bytes
    updated: datetime
    stories: int


class Press:
    """Prints editions of one site. One thread prints at a time; `story_page` may be asked from others meanwhile."""

    def __init__(
        self,
        site: SiteSettings,
        feeds: Sequence[FeedSettings],
        content: ContentSettings,
        previous: Mapping[str, Rendered] | None = None,
        pages: Pages | None = None,
    ) -> None:
        self.site, self.feeds, self.content = site, tuple(feeds), content
        self.pages = pages or Pages(site, self.feeds, content)
        self._cooked: dict[UUID, Cooked] = {}
        self._documents: Mapping[str, Rendered] = previous or {}
        self._pasts: Recent[Past] = Recent(VIEWS)
        self._latest: dict[str, tuple[Item, ...]] = {}
        self._changed_at = EMPTY_SINCE  # when the last edition was printed, which is when something had changed
        self._static = static_files()
        self.archived: Mapping[str, tuple[str, ...]] = {}  # months by slug, see `publish.archive`
        self.digests: tuple[Digest, ...] | None = None  # the newest first; None where there are to be none
        self.unprintable: set[str] = set()  # refs of stories left out because they could not be written

    @property
    def wanted(self) -> Mapping[str, tuple[tuple[str, ...], int, int]]:
        """What an edition needs of the store: feed slug to (sections, stories, least sources)."""
        wanted = {feed.slug: (feed.sections, max(feed.items, ON_PAGE), feed.min_sources) for feed in self.feeds}
        for section in SECTIONS:
            wanted.setdefault(section, ((section,), ON_PAGE, 1))
        return wanted

    def edition(self, stories: Iterable[Story], now: datetime) -> Mapping[str, Rendered]:
        """Every document, by path, of a site that knows these stories (each feed takes its own of them).

        `now` becomes the Last-Modified of what changed since the last edition, and appears nowhere else.
        """
        stories = tuple({story.story_id: story for story in stories}.values())
        is_first = not self._documents
        documents: dict[str, Rendered] = {}
        used: dict[UUID, Cooked] = {}

        def changed_at(updated: datetime | None) -> datetime:
            # After a start nothing is known to have changed now: the content's own date is the honest one.
            return (updated or EMPTY_SINCE) if is_first else now

        def add(path: str, body: bytes, content_type: str, updated: datetime | None) -> None:
            documents[path] = rendered(body, content_type, changed_at(updated), self._documents.get(path))

        for feed in self.feeds:
            chosen = self._cook(choose(stories, feed), used)
            updated = max((each.item.updated for each in chosen), default=None)
            documents |= self._feed(feed, chosen, updated, changed_at(updated))
        latest = {}
        for feed in self._listed():
            items = tuple(each.item for each in self._cook(choose(stories, feed), used))
            latest[feed.slug] = items
            add(f"/{feed.slug}", self.pages.listing(feed, items), HTML_TYPE, _newest(items))
        filed = choose(stories, self._everything())
        everything = tuple(each.item for each in self._cook(filed, used))
        leads = tuple(each.item for each in self._cook(ranked(filed, LEADS, LEAD_QUOTA), used))
        add("/", self.pages.front(leads, everything), HTML_TYPE, _newest(everything))
        if self.digests is not None:
            documents |= self._briefings(self.digests, changed_at)
        add("/about", self.pages.about(), HTML_TYPE, None)
        add(NOT_FOUND, self.pages.not_found(), HTML_TYPE, None)
        add("/feeds.opml", self._opml(), OPML_TYPE, None)
        add("/opensearch.xml", self.pages.opensearch(), OPENSEARCH_TYPE, None)
        robots = f"User-agent: *\nDisallow: {self.site.prefix}/{SEARCH}\nAllow: /\n"  # every query would be a page
        add("/robots.txt", robots.encode(), "text/plain; charset=utf-8", None)
        for path, (body, content_type) in self._static.items():
            add(path, body, content_type, None)
        self._cooked, self._documents, self._latest = used, documents, latest
        self._changed_at = max(document.last_modified for document in documents.values()) if is_first else now
        return documents

    def _feed(
        self, feed: FeedSettings, chosen: Sequence[Cooked], updated: datetime | None, changed_at: datetime
    ) -> dict[str, Rendered]:
        """A merged feed in its three formats; each has the page that a browser gets at a feed's address."""
        atom, rss, as_json = ([getattr(each, kind) for each in chosen] for kind in ("atom", "rss", "json"))
        hubs = [("hub", hub) for hub in self.site.hubs]
        in_atom = xml.atom(feed, self.site, atom, updated, hubs + self._links(feed))
        in_json = feeds_json.json_feed(feed, self.site, as_json, self.site.hubs)
        formats = (
            ("atom", in_atom, xml.ATOM_TYPE, atom, xml.BETWEEN),
            ("rss", xml.rss(feed, self.site, rss, updated, hubs), xml.RSS_TYPE, rss, xml.BETWEEN),
            ("json", in_json, feeds_json.JSON_TYPE, as_json, feeds_json.BETWEEN),
        )
        page = self.pages.feed(feed, [each.item for each in chosen[:IN_FEED_PAGE]])
        printed = self._documents.get(f"/{feed.slug}.atom")
        for_people = rendered(page, HTML_TYPE, changed_at, printed.for_people if printed else None)
        documents = {}
        for ending, body, content_type, items, between in formats:
            path = f"/{feed.slug}.{ending}"
            before = self._documents.get(path)
            parts = parts_of(body, items, between, past_of(before))
            links = (*hubs, ("self", f"{self.site.public_url}{path}")) if hubs else ()
            documents[path] = rendered(body, content_type, changed_at, before, links, for_people, parts)
        return documents

    def view(
        self, feed: FeedSettings, stories: Iterable[Story], ending: str = "", ways: Sequence[Way] = ()
    ) -> Rendered:
        """A view as a page, or as a feed in the format that `ending` names (atom, rss, json), with the `ways` that have
        a relation leading on from it. May be asked for while an edition is printed."""
        chosen = self._cook(stories, {}, (ending,) if ending else ())
        items = [each.item for each in chosen]
        updated = _newest(items)
        changed_at = self._asked_for_at(updated or EMPTY_SINCE)
        if not ending:
            return rendered(self.pages.listing(feed, items, ways), HTML_TYPE, changed_at)
        for_people = rendered(self.pages.feed(feed, items[:IN_FEED_PAGE]), HTML_TYPE, changed_at)
        links = [(rel, f"{self.site.public_url}{path}") for rel, path, _ in ways if rel]
        written = [getattr(each, ending) for each in chosen]
        body, content_type, between = self._format(feed, written, updated, ending, links)
        document = rendered(body, content_type, changed_at, for_people=for_people)
        return self._with_versions(f"{feed.slug}.{ending}{feed.tail}", document, written, between)

    def _format(
        self,
        feed: FeedSettings,
        written: Sequence[bytes],
        updated: datetime | None,
        ending: str,
        links: Sequence[tuple[str, str]],
    ) -> tuple[bytes, str, bytes]:
        """The feed in one format, with its content type and what stands between items."""
        if ending == "json":
            body = feeds_json.json_feed(feed, self.site, written, next_url=dict(links).get("next", ""))
            return body, feeds_json.JSON_TYPE, feeds_json.BETWEEN
        if ending == "rss":
            return xml.rss(feed, self.site, written, updated, links), xml.RSS_TYPE, xml.BETWEEN
        return xml.atom(feed, self.site, written, updated, links), xml.ATOM_TYPE, xml.BETWEEN

    def _with_versions(self, key: str, document: Rendered, items: Sequence[bytes], between: bytes) -> Rendered:
        """The view with what readers may have had of it before, as far as that is known."""
        parts = parts_of(document.body, items, between, self._pasts.get(key), document.etag)
        document = replace(document, parts=parts)
        if (past := past_of(document)) is not None:
            self._pasts.put(key, past)
        return document

    def _links(self, feed: FeedSettings) -> list[tuple[str, str]]:
        """Where a merged feed goes on: to the newest month in the archive."""
        months = self.archived.get(feed.slug)
        return [("prev-archive", xml.archive_url(feed, self.site, months[-1]))] if months else []

    def archive(self, feed: FeedSettings, stories: Iterable[Story], month: str, before: str | None) -> ArchivePrint:
        """A document of a merged feed's archive, named `month`, of these stories, the newest first; `before` is the
        document that came before it. Takes one story at a time and keeps only its bytes."""
        items, updated = [], EMPTY_SINCE
        for story in stories:
            cooked = self._cooked_anew(story, ("atom",)) if belongs(story, feed) else None
            if cooked is not None:
                items.append(cooked.atom)
                updated = max(updated, cooked.item.updated)
        return ArchivePrint(xml.archive(feed, self.site, items, updated, month, before), updated, len(items))

    def atom_item(self, story: Story, slug: str) -> bytes | None:
        """The story as it stands in that feed's Atom documents; None where it does not."""
        feed = next((feed for feed in self.feeds if feed.slug == slug), None)
        if not (belongs(story, feed) if feed is not None else sections_of(story) and story.withheld is None):
            return None
        cooked = self._cooked_anew(story, ("atom",))
        return cooked.atom if cooked is not None else None

    def _briefings(
        self, kept: Sequence[Digest], changed_at: Callable[[datetime | None], datetime]
    ) -> dict[str, Rendered]:
        """The feed of the digests, and the newest of them as a page."""
        feed = FeedSettings(DIGEST, f"{self.site.title}: briefing", sections=(), items=len(kept))
        chosen = [self._cooked_digest(each) for each in kept]
        updated = max((each.made_at for each in kept), default=None)
        documents = self._feed(feed, chosen, updated, changed_at(updated))
        body = self.pages.digest(kept[0] if kept else None, kept)
        path = f"/{DIGEST}"
        documents[path] = rendered(body, HTML_TYPE, changed_at(updated), self._documents.get(path))
        return documents

    def _cooked_digest(self, kept: Digest) -> Cooked:
        item = as_item(kept, self.site)
        return Cooked(None, item, **{kind: write(item, self.site) for kind, write in _WRITERS.items()})

    def digest_page(self, kept: Digest) -> Rendered:
        """`/digest/{day}`"""
        body = self.pages.digest(kept, self.digests or ())
        return rendered(body, HTML_TYPE, self._asked_for_at(kept.made_at))

    def story_page(self, story: Story, related: Sequence[Story] = (), why: Sequence[Why] = ()) -> Rendered:
        """`/story/{ref}`. Without related stories the latest of its section stand there, and the page says so."""
        item = self._item(story)
        # Two that became one since they were found near are named twice.
        once = {other.story_id: other for other in related if other.story_id != story.story_id}
        near = [self._item(other) for other in once.values()][:RELATED]
        others = near or [each for each in self._latest.get((*item.sections, "")[0], ()) if each.ref != item.ref]
        sectioning = replace(story.sectioning, reasons=_lines(story.sectioning.reasons))
        said = [(one_line(name), _lines(reasons)) for name, reasons in why]
        body = self.pages.story(item, sectioning, others[:RELATED], said, weighs(story), similar=bool(near))
        shown = (item, *others[:RELATED])
        return rendered(body, HTML_TYPE, self._asked_for_at(max(each.updated for each in shown)))

    def _asked_for_at(self, updated: datetime) -> datetime:
        """When a document that is made when asked for may have changed last. What left it took its date along: when
        that was, the edition says."""
        return max(updated, self._changed_at)

    def complaint(self, why: str) -> Rendered:
        """For an address that asks for what there is not."""
        return rendered(self.pages.complaint(why), HTML_TYPE, EMPTY_SINCE)

    def gone_page(self, title: str, url: str | None, ref: str) -> Rendered:
        """`/story/{ref}` of a story that retention took."""
        return rendered(self.pages.gone(one_line(title), http_url(url), ref), HTML_TYPE, EMPTY_SINCE)

    def taken_down_page(self, path: str) -> Rendered:
        """For a story or source that the operator took down: says no more than that."""
        return rendered(self.pages.taken_down(path), HTML_TYPE, EMPTY_SINCE)

    def gone_day(self, feed: FeedSettings) -> Rendered:
        """A day's page when retention took all of its stories."""
        return rendered(self.pages.gone_day(feed), HTML_TYPE, EMPTY_SINCE)

    def _cook(
        self, stories: Iterable[Story], used: dict[UUID, Cooked], kinds: Iterable[str] = tuple(_WRITERS)
    ) -> list[Cooked]:
        """The stories as items, in formats of these kinds at least; what was cooked before and looks the same is not
        cooked again."""
        cooked = []
        for story in stories:
            each = used.get(story.story_id)
            if each is None:
                each = self._cooked.get(story.story_id)
                if each is None or each.seen != _visible(story):
                    made = self._cooked_anew(story, kinds)
                    if made is None:
                        continue
                    each = made
                used[story.story_id] = each
            cooked.append(each)
        return cooked

    def _cooked_anew(self, story: Story, kinds: Iterable[str]) -> Cooked | None:
        try:
            item = item_of(story, self.site, self.content)
            return Cooked(_visible(story), item, **{kind: _WRITERS[kind](item, self.site) for kind in kinds})
        except ValueError:
            # `item_of` lets nothing through that cannot be written. Should it ever, one story is missing, not the feed.
            self.unprintable.add(story.ref)
            return None

    def _item(self, story: Story) -> Item:
        cooked = self._cooked.get(story.story_id)
        if cooked is not None and cooked.seen == _visible(story):
            return cooked.item
        return item_of(story, self.site, self.content)

    def _listed(self) -> list[FeedSettings]:
        """The feeds that have a page: those configured, and every section whether it has a feed or not."""
        slugs = {feed.slug for feed in self.feeds}
        sections = [FeedSettings(name, sections=(name,)) for name in SECTIONS if name not in slugs]
        return [_with_items(feed, ON_PAGE) for feed in (*self.feeds, *sections)]

    def _everything(self) -> FeedSettings:
        return FeedSettings("", sections=SECTIONS, items=400)

    def _opml(self) -> bytes:
        url, title = self.site.public_url, self.site.title
        listed = [(feed.full_title(title), f"{url}/{feed.slug}.atom", f"{url}/{feed.slug}") for feed in self.feeds]
        views = [label_view(label, self.site) for label in self.site.labels]
        listed += [(view.title, f"{url}/{view.slug}.atom", f"{url}/{view.slug}") for view in views]
        return opml.write_feeds(title, listed)


def _with_items(feed: FeedSettings, items: int) -> FeedSettings:
    return replace(feed, items=items)


def _lines(said: Iterable[str]) -> tuple[str, ...]:
    """Reasons quote headlines: clean, one line each."""
    return tuple(one_line(line) for line in said)


def _newest(items: Sequence[Item]) -> datetime | None:
    return max((item.updated for item in items), default=None)


def _visible(story: Story) -> object:
    """Whatever can change a story's item: its own change date, its filing, and its sources' names and addresses, which
    the operator may change without touching the story."""
    told = tuple((entry.entry_id, entry.source.title, entry.source.site_url, entry.source.url) for entry in story.told)
    filed = sections_of(story), story.labels, story.events, story.withheld
    return story.updated_at, story.lead.entry_id, filed, told
