"""The order of the stages, and who owns what while they run: poll_due, group_new, publish, prune.

    async with Pipeline.opened(config, …) as pipeline:
        await pipeline.poll(pipeline.feeds())

One thread owns the store's writing connection; polls are coroutines; parsing happens in child processes; pages are
made on reader threads. The database is the only queue between them, so each stage may die and simply begin again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from aggregator.config import Config
from aggregator.daemon import Log
from aggregator.editor import GroupTotals
from aggregator.errors import NotEditor, NotFound
from aggregator.parts import Parts, assembled
from aggregator.roles import Role
from aggregator.store import Budget, Pruned, Shrunk
from aggregator.tally import PollTotals
from aggregator.types import FeedState

_NO_HORIZON = 1e9  # seconds: one pass asks everybody, however long a host's turns take
_LOOKS = 0.9  # seconds in which a look is followed by others: then the next beat looks
_CLOCK_BACK = timedelta(minutes=1)  # what NTP corrects in steps is less
_CLOCK_OFF = timedelta(seconds=5)  # by which our clock may differ from the database's before we say so


def utc_now() -> datetime:
    """The clock; the one place from which every stage gets it."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class PassReport:
    """What `bmn poll` did: the contract's JSON is made of it."""

    polls: PollTotals
    grouped: GroupTotals
    seconds: float


class Pipeline:
    """Everything that works while the service runs. Made by `opened`."""

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config, self.parts, self.role = config, parts, parts.role
        self.store, self.database = parts.store, parts.database
        self.poller, self.editor, self.publisher = parts.poller, parts.editor, parts.publisher
        self.announcer = parts.announcer
        self.metrics, self.log, self.now = parts.metrics, parts.log, parts.now
        self._editing = asyncio.Lock()
        self.progress: dict[str, datetime] = {}
        self._term: str | None = None  # of our editing; None while another process edits
        self._looked_at: datetime | None = None  # for what is due

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        config: Config,
        log: Log,
        *,
        notice: str = "",
        now: Callable[[], datetime] | None = None,
        parsers: int | None = None,
        is_alone: bool = True,
        role: Role | None = None,
    ) -> AsyncIterator[Pipeline]:
        """Open the store (migrating it), start the parsers, hand the sources to the store; close all at the end.

        `role` is a daemon's; on PostgreSQL it then shares the work with other processes and waits for the editing where
        another has it. None: a command that does everything once. `is_alone` False: only to read beside a running
        daemon, the sources in the store stay as they are. `now` None: the clock that all processes share. `parsers`
        None: a child process for each processor, four at most.

        Raises StoreError, AlreadyRunning (another process edits, or works on this SQLite database) or WorkerError.
        """
        async with assembled(
            config, log, notice=notice, now=now, parsers=parsers, is_alone=is_alone, role=role
        ) as parts:
            pipeline = cls(config, parts)
            await pipeline.configure(config)
            if is_alone and parts.role.edits and not await pipeline.takes_over():
                log.info("editor_waits", database=parts.store.shown_url)
            if parts.role.polls:
                await parts.poller.remember()
            yield pipeline

    async def configure(self, config: Config) -> None:
        """Work by this configuration from now on. Sources taken out keep their entries and are asked no more.

        The one that edits hands the sources to the store; the others take them from there.
        """
        if self.is_editor:
            await self.database(self.store.sync_feeds, config.sources, self.now())
        self.config = config
        self.parts.configure(config)

    # ------------------------------------------------------------ who edits

    @property
    def is_editor(self) -> bool:
        """Whether this process groups, files, prunes and hands the sources on, as far as it knows."""
        return self._term is not None

    async def takes_over(self) -> bool:
        """Whether the editing is ours, now that we have looked: still, or just taken over from one that is gone."""
        term = await self.database(self.store.keep_lock) if self.role.edits else None
        if term != self._term:
            was, self._term = self._term, None
            if term is None:
                self.log.warning("editor_lost", remedy="another process edits; this one waits")
                await self.parts.watch.lost_editing()
                return False
            await self.database(self.store.sync_feeds, self.config.sources, self.now())
            self.editor.begin()
            self.publisher.forget_shown()
            self.announcer.forget()
            self._term = term
            self.log.info("editor_begins", again=True if was else None)
        return term is not None

    async def edit(self) -> bool:
        """Group what is new, if the editing is ours; whether it is."""
        try:
            if is_ours := await self.takes_over():
                await self.group_new()
        except NotEditor as error:
            self._term = None
            self.log.warning("editor_lost", error=str(error))
            return False
        self._progressed("group")
        return is_ours

    async def set_clock(self) -> None:
        """Ask the database server for the time again."""
        off = await self.database(self.parts.clock.set, self.store.server_time)
        if abs(off) > _CLOCK_OFF:
            self.log.warning("clock_is_off", seconds=off, remedy="the database's time counts; set this machine's clock")

    # ------------------------------------------------------------ stages

    async def poll_due(self) -> int:
        """Begin the polls that are due; how many. They end in their own time.

        Where several processes share them, each takes few at a time and looks again when it runs out of them.
        """
        await self._heed_clock(self.now())
        until = asyncio.get_running_loop().time() + _LOOKS
        begun = await self.poller.start_due()
        self._progressed("poll")
        while await self.poller.runs_dry(until):
            if (more := await self.poller.start_due()) == 0:
                break
            begun += more
        return begun

    async def _heed_clock(self, now: datetime) -> None:
        """At the start and where the clock has gone back: let no feed wait for a time that was."""
        if self._looked_at is None or now < self._looked_at - _CLOCK_BACK:
            feeds = await self.database(self.store.bring_forward, now)
            if feeds:
                self.log.warning("clock_went_back", feeds=feeds, remedy="they are polled now")
        self._looked_at = now

    async def push_due(self) -> int:
        """Ask the hubs that are due and begin to read what hubs brought; how many pushes."""
        await self.parts.subscriber.tick()
        return await self.parts.pushes.read()

    async def rediscover(self) -> int:
        """Ask the sites of dead feeds for their feeds, each once a week; how many."""
        return await self.parts.rediscovery.tick()

    async def group_new(self) -> GroupTotals:
        """Put every ungrouped entry into a story and file the stories touched."""
        async with self._editing:
            totals = GroupTotals()
            await self._withdraw()
            await self.database(self.editor.heed)
            # A batch at a time, so that the writer can commit polls in between.
            while await self.database(self.editor.group_batch, totals):
                pass
            while await self.database(self.editor.refile_batch, totals):
                pass
            self._progressed("group")
            return totals

    async def withdraw(self) -> int:
        """Put into effect, or take back, what people had taken down; how many takedowns."""
        async with self._editing:
            return await self._withdraw()

    async def _withdraw(self) -> int:
        heeded = await self.parts.withdrawals.heed()
        if heeded:  # a source that is back is enabled as the configuration says
            await self.database(self.store.sync_feeds, self.config.sources, self.now())
        return heeded

    async def publish(self) -> bool:
        """Put the current state of the stories on the shelf; whether anything changed for readers."""
        async with self._editing:
            # Whoever tells hubs of changes has to print, also where nobody is served.
            prints = self.role.serves or self.announcer.is_on
            work = self.publisher.publish if prints else self.publisher.look
            changed = await self.parts.print(work)
            if self.is_editor and (shown := self.publisher.newly_shown):
                for delay in await self.database(self.store.mark_shown, shown, self.now()):
                    self.metrics.freshness.labels("republished").observe(delay)
            self.publisher.newly_shown = ()
            if self.is_editor:
                await self.announcer.note(self.publisher.shelf.documents)
            if self.is_editor and (risen := self.publisher.newly_top):
                await self.database(self.store.mark_top, risen, self.now())
            self.publisher.newly_top = ()
            self._progressed("publish")
            return changed

    async def look_after(self) -> int:
        """See what is wrong with sources and with us; how many troubles began or ended."""
        return await self.parts.watch.look()

    async def brief(self) -> int:
        """Make the briefings whose time has come and send what waits to be sent; how many were made."""
        made = await self.parts.briefing.make_due()
        await self.parts.briefing.send_waiting()
        return made

    async def announce(self) -> int:
        """Begin to tell hubs and subscribers which of our feeds changed; of how many feeds hubs are told."""
        await self.parts.distributor.tick()
        return await self.announcer.tick()

    async def archive(self) -> int:
        """Print the months of merged feeds that are over and keep them for good; how many documents."""
        made, down = 0, await self.database(self.store.takedowns, False)
        while printed := await asyncio.to_thread(self.parts.archivist.next_month):
            made += await self.database(self.store.save_archives, printed)
        if made and await self.database(self.store.takedowns, False) != down:
            async with self._editing:  # what was taken down while they were printed
                await self.parts.withdrawals.revise()
        return made

    async def prune(self, *, dry_run: bool = False) -> Pruned:
        """Take out what retention has ended, then the oldest while the database is over its budget."""
        retention, now = self.config.retention, self.now()
        pruned = await self.database(self.store.prune, retention, now, dry_run)
        if retention.size is not None:
            budget = Budget(retention.size, self.config.stories.window)
            if dry_run:
                return replace(pruned, shrunk=await self.database(self.store.would_shrink, budget, retention, now))
            pruned = replace(pruned, shrunk=await self._shrink(budget, now))
        elif not dry_run:
            self.parts.watch.pruned(0, None)
        if pruned.entries or pruned.texts:
            self.log.info("prune", entries=pruned.entries, texts=pruned.texts, stories=pruned.stories)
        return pruned

    async def _shrink(self, budget: Budget, now: datetime) -> Shrunk:
        # A step at a time, so that the writer can commit polls in between.
        total = step = await self.database(self.store.shrink, budget, now)
        while step.texts or step.entries:
            step = await self.database(self.store.shrink, budget, now, True)
            total = total.then(step)
        if total.texts or total.entries:
            taken = {"texts": total.texts, "entries": total.entries, "stories": total.stories}
            self.log.warning("over_budget", bytes=total.before, allowed=budget.size, **taken, left=total.after)
        self.parts.watch.pruned(total.after, budget.size)
        if total.after > budget.size:
            remedy = "only what is young is left: raise retention.size or shorten stories.window"
            self.log.error("over_budget_still", bytes=total.after, allowed=budget.size, remedy=remedy)
        return total

    async def feeds_to_poll(self, urls: Iterable[str], *, everything: bool) -> list[FeedState]:
        """Those named, all that are enabled, or those due. NotFound names a URL that is no source."""
        feeds = await self.database(self.store.feeds)
        wanted = tuple(urls)
        if wanted:
            by_url = {feed.url: feed for feed in feeds}
            for url in wanted:
                if url not in by_url:
                    raise NotFound(f"{url} is not an enabled source (see 'bmn sources list')")
                if by_url[url].taken_down_at is not None:
                    raise NotFound(f"{url} is taken down (see 'bmn sources takedown')")
            return [by_url[url] for url in dict.fromkeys(wanted)]
        if everything:
            return [feed for feed in feeds if feed.taken_down_at is None]
        return await self.database(self.store.due_feeds, self.now(), len(feeds) + 1)

    async def poll(self, feeds: list[FeedState], on_progress: Callable[[int], None] | None = None) -> PassReport:
        """One pass over these feeds through grouping to publishing."""
        began = time.monotonic()
        before = self.poller.tally.totals
        self.poller.tally.totals = totals = PollTotals()
        feeds = await self.poller.claim(feeds)
        await self.poller.start(feeds, horizon=_NO_HORIZON)
        await self.poller.wait((lambda left: on_progress(len(feeds) - left)) if on_progress else None)
        grouped = await self.group_new()
        await self.publish()
        self.poller.tally.totals = before
        return PassReport(totals, grouped, time.monotonic() - began)

    async def stop(self, patience: timedelta = timedelta(seconds=6)) -> None:
        """Let polls in flight end and commit what they found."""
        self.parts.archivist.stop()
        await self.poller.stop(patience)

    def _progressed(self, stage: str) -> None:
        self.progress[stage] = utc_now()
