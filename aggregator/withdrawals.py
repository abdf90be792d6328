"""Takedowns put into effect, and taken back: rows in the store first, then what was printed once and is kept.

Commands only ask (`asked`); whoever edits does it at its next pass, so that nothing is grouped or published meanwhile.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime

from aggregator import briefing, urls
from aggregator.claims import Database
from aggregator.corrector import named
from aggregator.daemon import Log
from aggregator.editor import Editor
from aggregator.errors import NotFound
from aggregator.publish import digest as digests
from aggregator.publish.withdrawn import TakenDown, archive_without, digest_without
from aggregator.publisher import Publisher
from aggregator.store import Archive, Gone, KeptDigest, Store, Takedown

_DIGESTS = 10_000  # all of them: two a day for years


# ---------------------------------------------------------------- asking


def of_source(store: Store, url: str, reason: str | None, now: datetime) -> Takedown:
    """What takes a source down. NotFound where there is none of this address, or it is down already."""
    state = store.feed(url)
    if state is None:
        raise NotFound(f"{urls.for_log(url)} is no source here (see 'bmn sources list')")
    if state.taken_down_at is not None:
        raise NotFound(f"{urls.for_log(url)} was taken down on {state.taken_down_at:%Y-%m-%d} already")
    source = store.source(state.feed_id)
    return Takedown("source", state.url, source.title if source else state.url, now, reason, feed_id=state.feed_id)


def of_story(store: Store, name: str, reason: str | None, now: datetime) -> list[Takedown]:
    """What takes a story down, or, by the address of an article, what tells it there; NotFound where nothing does."""
    if "://" in name and "/story/" not in name:
        entries = store.entries_of_url(name)
        if not entries:
            raise NotFound(f"{urls.for_log(name)} is told by nobody here (see 'bmn explain')")
        return [Takedown("entry", name, e.title, now, reason, e.source.feed_id, entry_id=e.entry_id) for e in entries]
    story = named(store, name)
    return [Takedown("story", story.ref, story.lead.title, now, reason, story_id=story.story_id)]


def in_force(store: Store, kinds: tuple[str, ...], name: str) -> list[Takedown]:
    """The takedowns that this address or id names; NotFound where there is none."""
    bare = name.strip().removeprefix("urn:uuid:")
    ref = bare.rstrip("/").rpartition("/")[2] if "/story/" in bare else bare
    found = [each for each in store.takedowns() if each.kind in kinds and each.subject in (bare, ref)]
    if not found:
        raise NotFound(f"{urls.for_log(name)} is not taken down (see what is: the same command without a name)")
    return found


# ---------------------------------------------------------------- doing


class Withdrawals:
    """Does what was asked. `printer` is the thread that prints."""

    def __init__(
        self,
        store: Store,
        database: Database,
        editor: Editor,
        publisher: Publisher,
        printer: Executor,
        log: Log,
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._database, self._printer = store, database, printer
        self._editor, self._publisher, self._log, self._now = editor, publisher, log, now
        self._has_looked = False

    async def heed(self) -> int:
        """Put into effect, or take back, what waits for it; how many takedowns. Cut short, it is begun again."""
        waiting = await self._database(self._store.waiting_takedowns)
        for takedown in waiting:
            is_over = takedown.lifted_at is not None
            move = self._store.put_back if is_over else self._store.take_down
            entries = await self._database(move, takedown, self._now())
            self._editor.begin()  # its index knows entries that are gone, or lacks some that are back
            what = {"kind": takedown.kind, "subject": urls.for_log(takedown.subject), "entries": entries}
            self._log.info("put_back" if is_over else "taken_down", **what)
        # Once after a start as well: a month may have been printed before a takedown and kept after it.
        is_first, self._has_looked = not self._has_looked, True
        if waiting or (is_first and await self._database(self._store.takedowns)):
            await self.revise()
            for takedown in waiting:
                await self._database(self._store.settle_takedown, takedown, self._now())
        return len(waiting)

    async def revise(self) -> None:
        """Archives and briefings, each from what it was at first."""
        gone = await self._database(self._store.gone)
        months = await self._database(self._store.archive_months)
        call = asyncio.get_running_loop().run_in_executor
        for slug, month in ((slug, month) for slug, ones in months.items() for month in ones):
            revised = await call(self._printer, self._archive, slug, month, gone)
            if revised is not None:
                await self._database(self._store.revise_archive, *revised, self._now())
        for kept in await self._database(self._store.latest_digests, None, _DIGESTS):
            content = await call(self._printer, self._digest, kept, gone)
            if content != kept.content:
                await self._database(self._store.revise_digest, kept, content)

    def _archive(self, slug: str, month: str, gone: Gone) -> tuple[Archive, bytes] | None:
        """The month as it is to be, None where it is so already."""
        kept = self._store.archive(slug, month)
        if kept is None:
            return None
        press, first = self._publisher.press, kept.original or kept.document
        body = gzip.decompress(first)
        down = TakenDown.of(gone.stories, gone.sources)

        def anew(story_id: object) -> bytes | None:
            found = self._store.stories_by_id([story_id])  # type: ignore[list-item]
            return press.atom_item(found[0], slug) if found else None

        revised = archive_without(body, down, anew)
        document = first if revised == body else gzip.compress(revised, 6, mtime=0)
        return None if document == kept.document else (kept, document)

    def _digest(self, kept: KeptDigest, gone: Gone) -> str:
        first = KeptDigest(kept.kind, kept.day, kept.since, kept.made_at, kept.original or kept.content)
        site = self._publisher.press.site

        def anew(ref: str) -> digests.Told | None:
            story = self._store.story(ref)
            return digests.told_of(story, site) if story is not None and story.withheld is None else None

        made = briefing.read(first)
        revised = digest_without(made, TakenDown.of(gone.stories, gone.sources), anew)
        return first.content if revised == made else digests.to_json(revised)
