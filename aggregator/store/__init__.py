"""The store: every query and transaction, behind one class. Values in, values out; SQL stays in here and in `schema`.

One thread writes. Any thread may read: each reading method sees one snapshot, whatever is being written. What cannot be
done raises StoreError and leaves everything as it was. See docs/decisions/store.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from aggregator.errors import AlreadyRunning, StoreError
from aggregator.ingest.websub import Subscription
from aggregator.schema import meta
from aggregator.store import (
    archives,
    budget,
    corrections,
    digests,
    entries,
    feeds,
    filing,
    hub,
    keep,
    leases,
    numbers,
    polls,
    push,
    search,
    stories,
    subscribers,
    takedowns,
    upgrade,
    watch,
)
from aggregator.store.archives import Archive
from aggregator.store.budget import Budget
from aggregator.store.corrections import Correction
from aggregator.store.digests import KeptDigest, Letter
from aggregator.store.engine import Database, insert_new, upsert
from aggregator.store.feeds import ConfiguredSource, LastDocument, Synced
from aggregator.store.filing import Head, Touched
from aggregator.store.hub import Ping
from aggregator.store.keep import Pruned, Retention, Shrunk
from aggregator.store.leases import Claimed, Lease, LeasedHost
from aggregator.store.lock import EditorLock
from aggregator.store.numbers import TAKEN_MOST, Counts, Delay, Freshness, Taken, Waiting, delay_of
from aggregator.store.polls import Applied
from aggregator.store.push import Decide
from aggregator.store.rows import StoryRecord, StoryTombstone
from aggregator.store.search import Query
from aggregator.store.stories import Saved, StoryFilter
from aggregator.store.subscribers import Delivery, HubRequest, Room
from aggregator.store.takedowns import Gone, Takedown
from aggregator.store.watch import Hour
from aggregator.types import (
    Episode,
    FeedState,
    KnownEntry,
    ParsedFeed,
    Placement,
    PollResult,
    Pushed,
    Sectioning,
    SourceRef,
    StoredEntry,
    Story,
)

__all__ = [
    "TAKEN_MOST",
    "Applied",
    "Archive",
    "Budget",
    "Claimed",
    "ConfiguredSource",
    "Correction",
    "Counts",
    "Delay",
    "Delivery",
    "Freshness",
    "Gone",
    "Head",
    "Hour",
    "HubRequest",
    "KeptDigest",
    "LastDocument",
    "Lease",
    "LeasedHost",
    "Letter",
    "Ping",
    "Pruned",
    "Query",
    "Retention",
    "Room",
    "Saved",
    "Shrunk",
    "Store",
    "StoryFilter",
    "StoryRecord",
    "StoryTombstone",
    "Synced",
    "Takedown",
    "Taken",
    "Touched",
    "delay_of",
]

FEEDS_AT_ONCE = 1_000  # read by `each_feed`


class Store:
    """Owns the connections to one database. `open` before anything else, `close` at the end, or use `with`."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._lock = EditorLock(self._database)
        self._installation: UUID | None = None

    def open(self) -> None:
        """Make the database if there is none and bring its tables up to date. Raises StoreError."""
        upgrade.to_newest(self._database)
        value = self._meta("installation")
        if value is None:
            with self._database.write() as connection:
                connection.execute(insert_new(connection, meta), {"name": "installation", "value": str(uuid4())})
            value = self._meta("installation")
        assert value is not None
        self._installation = UUID(value)

    def close(self) -> None:
        self._lock.release()
        self._database.dispose()

    def __enter__(self) -> Store:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_sqlite(self) -> bool:
        return self._database.is_sqlite

    @property
    def shown_url(self) -> str:
        """The database's address without a password."""
        return self._database.shown_url

    @property
    def path(self) -> Path | None:
        """The database's file, None where it is a server."""
        return self._database.path

    def installation_id(self) -> UUID:
        """What the ids of this installation's stories are made of."""
        if self._installation is None:
            raise StoreError("the store is not open")
        return self._installation

    def acquire_lock(self) -> None:
        """Be the one process that groups and publishes (on SQLite: that works here). Raises AlreadyRunning."""
        self._lock.acquire()

    def holds_lock(self) -> bool:
        """Whether we still are; a PostgreSQL server that was restarted has forgotten it."""
        return self._lock.is_held()

    def keep_lock(self) -> str | None:
        """The term of our editing: as before while the lock stayed ours, a new one where we took it over just now, None
        while another process has it."""
        try:
            self._lock.acquire()
        except AlreadyRunning:
            return None
        return self._lock.term

    def release_lock(self) -> None:
        self._lock.release()

    @contextmanager
    def _edit(self) -> Iterator[sa.Connection]:
        """A transaction of the editor's. Raises NotEditor where we held the lock and another process has it by now."""
        with self._database.write() as connection:
            self._lock.fence(connection)
            yield connection

    def server_time(self) -> datetime | None:
        """What the database server's clock says, None where there is no server."""
        if self.is_sqlite:
            return None
        with self._database.read() as connection:
            moment: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
            return moment

    def note(self, name: str) -> str | None:
        """What was remembered under this name by `set_note`."""
        return self._meta(f"note:{name}")

    def _meta(self, name: str) -> str | None:
        with self._database.read() as connection:
            return connection.scalar(sa.select(meta.c.value).where(meta.c.name == name))

    def set_note(self, name: str, value: str) -> None:
        """Remember a small fact over restarts."""
        with self._database.write() as connection:
            connection.execute(upsert(connection, meta, "name"), {"name": f"note:{name}", "value": value})

    # ------------------------------------------------------------ feeds

    def sync_feeds(self, sources: Sequence[ConfiguredSource], now: datetime) -> Synced:
        """Make the active feeds those of the configuration, by URL; what is known of a feed stays for its return."""
        with self._edit() as connection:
            return feeds.sync(connection, sources)

    def feeds(self, active_only: bool = True) -> list[FeedState]:
        with self._database.read() as connection:
            return feeds.states(connection, active_only)

    def each_feed(self) -> Iterator[FeedState]:
        """The configured feeds by id, for looking at one after the other: 20,000 at once are 80 MB. Each thousand is as
        of the moment in which it is read."""
        last: int | None = None
        while some := self._feeds_after(last):
            yield from some
            last = some[-1].feed_id

    def _feeds_after(self, feed_id: int | None) -> list[FeedState]:
        with self._database.read() as connection:
            return feeds.states(connection, True, feed_id, FEEDS_AT_ONCE)

    def feed(self, url: str) -> FeedState | None:
        """The feed configured at this URL, or answering there now."""
        with self._database.read() as connection:
            return feeds.by_url(connection, url)

    def due_feeds(self, now: datetime, limit: int) -> list[FeedState]:
        """The most overdue feeds, those never polled first. They stay due until their result is applied."""
        with self._database.read() as connection:
            return feeds.due(connection, now, limit)

    def claim_due(self, now: datetime, limit: int, lease: Lease, but_not: Collection[int] = ()) -> Claimed:
        """The most overdue feeds that nobody has, but for those of these ids, ours until their result is applied or the
        lease is over; and their hosts."""
        with self._database.write() as connection:
            return leases.claim_due(connection, now, limit, lease, but_not)

    def claim(self, now: datetime, feed_ids: Iterable[int], lease: Lease) -> Claimed:
        """Those of these feeds that nobody has, due or not."""
        with self._database.write() as connection:
            return leases.claim(connection, now, feed_ids, lease)

    def lease_host(self, now: datetime, host: str, lease: Lease) -> LeasedHost | None:
        """One host without a feed, ours now; None while another worker has it."""
        with self._database.write() as connection:
            return leases.lease_host(connection, now, host, lease)

    def renew(
        self, now: datetime, feed_ids: Iterable[int], hosts: Iterable[str], lease: Lease
    ) -> tuple[set[int], set[str]]:
        """Begin these leases anew; those of the feeds and hosts that are still ours."""
        with self._database.write() as connection:
            return leases.renew(connection, now, feed_ids, hosts, lease)

    def release(self, now: datetime, feed_ids: Iterable[int], hosts: Iterable[str], worker: str) -> int:
        """Give a worker's feeds back unpolled, and hosts that it asks no more; how many feeds."""
        with self._database.write() as connection:
            return leases.release(connection, now, feed_ids, hosts, worker)

    def poll_at(self, feed_ids: Sequence[int] | None, at: datetime | None, why: str | None = None) -> int:
        """Make these feeds (None: all) due at that time (None: at once); how many."""
        with self._database.write() as connection:
            return feeds.poll_at(connection, feed_ids, at, why)

    def defer(self, states: Sequence[FeedState]) -> None:
        """Put feeds off to the `next_poll_at` that these states name, with its reason; nothing else of them changes."""
        with self._database.write() as connection:
            feeds.defer(connection, states)

    def bring_forward(self, now: datetime) -> int:
        """Make feeds due that were polled by a clock ahead of `now`, or they would wait until it is that late again."""
        with self._database.write() as connection:
            return feeds.bring_forward(connection, now)

    def sources(self) -> dict[int, SourceRef]:
        """All feeds by id as later stages see them, those taken out of the configuration too."""
        with self._database.read() as connection:
            return feeds.source_refs(connection)

    def source(self, feed_id: int) -> SourceRef | None:
        """The source as later stages see it, one taken out of the configuration too."""
        with self._database.read() as connection:
            return feeds.source_refs(connection, [feed_id]).get(feed_id)

    def source_of_url(self, url: str) -> SourceRef | None:
        """The source configured at this URL, or answering there now."""
        with self._database.read() as connection:
            state = feeds.by_url(connection, url)
            return feeds.source_refs(connection, [state.feed_id])[state.feed_id] if state else None

    def host_memory(self) -> dict[str, dict[str, object]]:
        """What politeness remembers of hosts over restarts: plain JSON values by `urls.host_key`."""
        with self._database.read() as connection:
            return feeds.host_memory(connection)

    def save_host_memory(self, memory: Mapping[str, Mapping[str, object]]) -> None:
        """Replace what is remembered of these hosts; an empty memory forgets the host."""
        with self._database.write() as connection:
            feeds.save_host_memory(connection, memory)

    def failing_feeds(self) -> list[FeedState]:
        """The enabled feeds whose last poll failed."""
        with self._database.read() as connection:
            return feeds.failing(connection)

    def remember(self, feed_id: int, change: Callable[[FeedState], Mapping[str, object] | None]) -> FeedState | None:
        """Replace a feed's memory by what `change` makes of its state; the state after, None for nothing to change."""
        with self._database.write() as connection:
            return feeds.remember(connection, feed_id, change)

    # ------------------------------------------------------------ push

    def subscription(self, token: str) -> Subscription | None:
        """The subscription whose callback ends in `token`, also one that is over."""
        with self._database.read() as connection:
            return push.one(connection, token)

    def subscriptions(self) -> list[Subscription]:
        """All that are not over."""
        with self._database.read() as connection:
            return push.everyone(connection)

    def subscriptions_to_ask(self, now: datetime, limit: int) -> list[Subscription]:
        """Those whose hub is to be asked by now, and those whose lease ran out."""
        with self._database.read() as connection:
            return push.to_ask(connection, now, limit)

    def subscriptions_of(self, feed_id: int) -> list[Subscription]:
        """Those of one feed, also those that are over."""
        with self._database.read() as connection:
            return push.of_feed(connection, feed_id)

    def subscription_counts(self) -> dict[str, int]:
        """How many subscriptions are in each state."""
        with self._database.read() as connection:
            return push.counts(connection)

    def begin_subscription(self, subscription: Subscription) -> bool:
        """Add it unless its feed has one of that hub and topic; whether it was added."""
        with self._database.write() as connection:
            return push.begin(connection, subscription)

    def change_subscription(
        self, token: str, decide: Decide, now: datetime, due_at: datetime | None = None
    ) -> tuple[Subscription, Subscription] | None:
        """Before and after, in one transaction; None where there is none or `decide` says None: nothing changes.

        A feed that is no longer pushed is due at `due_at` (None: at once).
        """
        with self._database.write() as connection:
            return push.change(connection, token, decide, now, due_at)

    def forget_left(self, now: datetime) -> int:
        """Take out subscriptions that have been over for a month; how many."""
        with self._database.write() as connection:
            return push.forget_left(connection, now)

    def put_push(self, token: str, decide: Decide, content_type: str | None, body: bytes, now: datetime) -> bool | None:
        """Keep what a hub brought until it is read; None where `decide` does not want it, False where too many wait."""
        with self._database.write() as connection:
            return push.put(connection, token, decide, content_type, body, now)

    def waiting_pushes(self, now: datetime, limit: int) -> list[tuple[int, int]]:
        """(push id, feed id) of what can be read now, the oldest first, one of a feed."""
        with self._database.read() as connection:
            return push.waiting(connection, now, limit)

    def claim_pushes(
        self, push_ids: Sequence[int], now: datetime, lease: timedelta, worker_id: str | None
    ) -> list[tuple[Pushed, FeedState]]:
        """Those that nobody else has, with their feeds, both ours until applied or `lease` is over."""
        with self._database.write() as connection:
            return push.claim(connection, push_ids, now, lease, worker_id)

    def give_up_push(self, push_id: int, feed_id: int) -> None:
        """Take out a push that cannot be read, and give its feed back."""
        with self._database.write() as connection:
            push.give_up(connection, push_id, feed_id)

    # ------------------------------------------------------------ our feeds as topics

    def note_topics(self, etags: Mapping[str, str], hubs: Sequence[str], now: datetime) -> list[str]:
        """Have the topics be these, by URL, and `hubs` be told of what changed; the topics that did."""
        with self._edit() as connection:
            return hub.note(connection, etags, hubs, now)

    def due_pings(self, now: datetime, limit: int) -> list[Ping]:
        """What hubs are to be told by now, the longest waiting first."""
        with self._database.read() as connection:
            return hub.due_pings(connection, now, limit)

    def told(self, ping: Ping) -> None:
        """Remember that the hub was told of this version; of a later one it is not told before `ping.next_at`."""
        with self._edit() as connection:
            hub.told(connection, ping)

    def not_told(self, ping: Ping) -> None:
        """Remember that the hub did not take it: it is told nothing before `ping.next_at`, of no topic."""
        with self._edit() as connection:
            hub.not_told(connection, ping)

    def put_hub_request(self, request: HubRequest, room: Room) -> str | None:
        """Have its callback asked whether it is meant; None, or for want of what room it is not: `host`, `hub`."""
        with self._database.write() as connection:
            return subscribers.put(connection, request, room)

    def due_hub_requests(self, now: datetime, limit: int, but_not: Collection[str] = ()) -> list[HubRequest]:
        """Those whose callback is to be asked by now, but for those of these hosts; the longest waiting first."""
        with self._database.read() as connection:
            return subscribers.due_requests(connection, now, limit, but_not)

    def confirm_hub_request(self, request: HubRequest, now: datetime) -> None:
        """Do what was asked for, now that the callback confirmed it."""
        with self._edit() as connection:
            subscribers.confirmed(connection, request, now)

    def drop_hub_request(self, request: HubRequest) -> None:
        """Forget it, unless another took its place meanwhile."""
        with self._edit() as connection:
            subscribers.drop_request(connection, request)

    def put_off_hub_request(self, request: HubRequest, tries: int, until: datetime) -> None:
        """Ask its callback again then."""
        with self._edit() as connection:
            subscribers.put_off_request(connection, request, tries, until)

    def due_deliveries(self, now: datetime, limit: int, but_not: Collection[str] = ()) -> list[Delivery]:
        """What subscribers are to get by now, but for those of these hosts; the longest waiting first."""
        with self._database.read() as connection:
            return subscribers.due_deliveries(connection, now, limit, but_not)

    def delivered(self, delivery: Delivery, next_at: datetime) -> None:
        """Remember that the subscriber has this version; a later one is not brought before `next_at`."""
        with self._edit() as connection:
            subscribers.delivered(connection, delivery, next_at)

    def not_delivered(self, delivery: Delivery, tries: int, until: datetime, *, of_host: bool = False) -> None:
        """Bring it again then; `of_host`: nothing to others of its host before either."""
        with self._edit() as connection:
            subscribers.not_delivered(connection, delivery, tries, until, of_host=of_host)

    def drop_subscriber(self, callback_url: str, topic_url: str) -> None:
        """End a subscription at our own hub."""
        with self._edit() as connection:
            subscribers.drop(connection, callback_url, topic_url)

    def expire_subscribers(self, now: datetime) -> int:
        """End the subscriptions whose lease is over, forget requests too old to be asked about; how many."""
        with self._edit() as connection:
            return subscribers.expire(connection, now)

    def hub_counts(self) -> tuple[int, int]:
        """(subscriptions in force, requests that wait) at our own hub."""
        with self._database.read() as connection:
            return subscribers.counts(connection)

    # ------------------------------------------------------------ entries

    def known(self, feed_ids: Iterable[int]) -> dict[int, tuple[KnownEntry, ...]]:
        """Everything known of these feeds, tombstones among it. Grows with retention: see `known_for`."""
        with self._database.read() as connection:
            return entries.known(connection, feed_ids)

    def known_for(self, documents: Mapping[int, ParsedFeed]) -> dict[int, tuple[KnownEntry, ...]]:
        """What is known that could be entries of these documents, by feed id.

        With that and what stands (see `last_documents`), `feed_changes` gives the same as with all of `known`.
        """
        with self._database.read() as connection:
            return entries.known_for(connection, documents)

    def fingerprints(self, feed_ids: Iterable[int]) -> dict[int, frozenset[bytes]]:
        """What the last document of each feed consisted of: entries that the parser need not read again."""
        with self._database.read() as connection:
            return {feed_id: frozenset(ones) for feed_id, ones in entries.standing(connection, feed_ids).items()}

    def last_documents(self, feed_ids: Iterable[int]) -> dict[int, LastDocument]:
        """What the parser need not read again: see `LastDocument`."""
        wanted = list(feed_ids)
        with self._database.read() as connection:
            standing, marks = entries.standing(connection, wanted), feeds.marks(connection, wanted)
        return {feed_id: LastDocument(standing[feed_id], marks.get(feed_id, b"")) for feed_id in wanted}

    def apply(self, results: Sequence[PollResult], now: datetime, worker_id: str | None = None) -> Applied:
        """Commit many polls in one transaction, each as one unit: its entries and the state that vouches for them.

        Results of feeds that were taken out of the configuration, or (given a worker) lost to another worker, are
        skipped. Of several polls of one feed the last counts. Ends the feeds' leases.
        """
        with self._database.write() as connection:
            return polls.apply(connection, results, now, worker_id)

    def ungrouped(self, limit: int) -> list[StoredEntry]:
        """The entries that no story tells yet, the oldest first."""
        with self._database.read() as connection:
            return entries.ungrouped(connection, limit)

    def stale(self, limit: int) -> list[StoredEntry]:
        """Grouped entries whose feed says something else since, until `save_grouping` settles them."""
        with self._database.read() as connection:
            return entries.stale(connection, limit)

    def twins(self, wanted: Sequence[StoredEntry]) -> dict[int, tuple[StoredEntry, ...]]:
        """By entry id, other entries that an exact key says are the same article, the oldest first, grouped or not."""
        with self._database.read() as connection:
            return entries.twins(connection, wanted)

    def window(self, since: datetime, last: int | None = None) -> Iterator[StoredEntry]:
        """The grouped entries dated `since` or later in order of time; or the `last` of them to come, in the order in
        which they came."""
        with self._database.read() as connection:
            yield from entries.window(connection, since, last)

    def entries(self, entry_ids: Iterable[int]) -> list[StoredEntry]:
        """These entries in order of id, without those that do not exist."""
        with self._database.read() as connection:
            return entries.by_ids(connection, entry_ids)

    def entries_of_url(self, url: str) -> list[StoredEntry]:
        """The entries whose page this is, however the address is spelt, the oldest first."""
        with self._database.read() as connection:
            return entries.of_page(connection, url)

    # ------------------------------------------------------------ stories

    def save_grouping(
        self,
        placements: Sequence[Placement],
        stories_: Sequence[StoryRecord],
        now: datetime,
        merged: Mapping[UUID, UUID] | None = None,
        settled: Iterable[int] = (),
    ) -> Saved:
        """Commit a grouping pass in one transaction: where entries went, what their stories became.

        `published` of a story that exists already stays. A story left without entries becomes a redirect to where they
        went (or as `merged` says). `settled` are stale entries that were looked at. Raises StoreError, with nothing
        saved, if a story would have no entries or a lead that is not its own.
        """
        with self._edit() as connection:
            settled = tuple(settled)
            saved = stories.save_grouping(connection, placements, stories_, now, merged or {}, settled)
            search.index(connection, (*(placement.entry_id for placement in placements), *settled))
            return saved

    def mark_shown(self, story_ids: Iterable[UUID], now: datetime) -> list[float]:
        """Note that these stories stand in a published feed; the first time counts. The seconds from first seeing the
        lead until then, for each that is new here."""
        with self._edit() as connection:
            return stories.mark_shown(connection, story_ids, now)

    def stories(
        self,
        section: str | None = None,
        since: datetime | None = None,
        limit: int | None = 100,
        min_sources: int = 1,
        label: str | None = None,
        source: int | None = None,
        until: datetime | None = None,
    ) -> list[Story]:
        """The newest stories of that kind, by `published`, then ref. `source` is a feed id, `until` excluded."""
        wanted = StoryFilter((section,) if section else None, since, until, min_sources, label, source)
        with self._database.read() as connection:
            return stories.select(connection, wanted, limit)

    def newest_of_each(self, wanted: Iterable[tuple[StoryFilter, int]]) -> list[Story]:
        """The newest so many stories of each of these kinds, each story once, from one snapshot."""
        with self._database.read() as connection:
            return stories.newest_of_each(connection, wanted)

    def shown_between(
        self, sections: Iterable[str], since: datetime, until: datetime, min_sources: int = 1, is_top: bool = False
    ) -> list[UUID]:
        """The stories of these sections that first stood in a feed in that time, by `published`, the newest first.
        Their ids: a month of stories is more than memory holds. `is_top`: those alone that came among the top ones."""
        top_since = since if is_top else None
        wanted = StoryFilter(
            tuple(sections), min_sources=min_sources, shown_since=since, shown_until=until, top_since=top_since
        )
        with self._database.read() as connection:
            return stories.ids(connection, wanted)

    def search(
        self, query: Query, wanted: StoryFilter, limit: int, skip: int = 0, seconds: float | None = None
    ) -> list[Story]:
        """The newest stories of that kind behind the first `skip`, with every wanted word or phrase, no unwanted one;
        without a wanted one, those among the newest that have no unwanted one. Raises StoreOverdue after `seconds`."""
        with self._database.read(seconds) as connection:
            return search.select(connection, query, wanted, limit, skip)

    def most_told(
        self, section: str, limit: int, *, oldest: datetime, shown_since: datetime, shown_until: datetime
    ) -> list[Story]:
        """Of the section's stories that first stood in a feed in that time and were published since `oldest`, those
        that most sources tell, with the boost of the operator's rules."""
        wanted = StoryFilter((section,), oldest, shown_since=shown_since, shown_until=shown_until)
        with self._database.read() as connection:
            return stories.most_told(connection, wanted, limit)

    def first_shown(self) -> datetime | None:
        """When the oldest story that is still here was first shown; None before the first."""
        with self._database.read() as connection:
            return archives.first_shown(connection)

    def save_archives(self, printed: Iterable[Archive]) -> int:
        """Keep the documents of a month of a merged feed, all or none, but for those that are there already; how many
        were kept."""
        with self._edit() as connection:
            return sum(archives.save(connection, each) for each in printed)

    def archive(self, slug: str, month: str) -> Archive | None:
        """That month of a merged feed as it was printed."""
        with self._database.read() as connection:
            return archives.get(connection, slug, month)

    def archive_months(self) -> dict[str, tuple[str, ...]]:
        """The names of the archive documents of each merged feed, the oldest first."""
        with self._database.read() as connection:
            return archives.months(connection)

    def save_digest(self, digest: KeptDigest, recipients: Iterable[str] = ()) -> bool:
        """Keep a briefing with a letter to each recipient, unless there is one of that day; whether it was kept."""
        with self._edit() as connection:
            return digests.save(connection, digest, recipients)

    def latest_digests(self, kind: str | None, limit: int) -> list[KeptDigest]:
        """The newest briefings of a kind (None: of both), the newest first."""
        with self._database.read() as connection:
            return digests.latest(connection, kind, limit)

    def digest(self, day: str) -> KeptDigest | None:
        """The briefing of that day (2026-11-24) or week (2026-W48)."""
        with self._database.read() as connection:
            return digests.of_day(connection, day)

    def take_letter(self, now: datetime) -> Letter | None:
        """The next letter whose time has come; nobody takes it again until `settle_letter` says what became of it."""
        with self._edit() as connection:
            return digests.take_letter(connection, now)

    def settle_letter(self, letter: Letter, state: str, next_try_at: datetime | None = None) -> None:
        """What became of a letter that was taken: sent, refused, unknown, or waiting until `next_try_at`."""
        with self._edit() as connection:
            digests.settle_letter(connection, letter, state, next_try_at)

    def unsettled_letters(self) -> list[Letter]:
        """Letters in the middle of whose sending a process died."""
        with self._database.read() as connection:
            return digests.unsettled(connection)

    def beside(self, since: datetime, until: datetime) -> tuple[datetime | None, datetime | None]:
        """When the last filed story before that time and the first after it were published; None: there is none."""
        with self._database.read() as connection:
            return stories.beside(connection, since, until)

    def is_label(self, label: str) -> bool:
        """Whether any story carries it."""
        with self._database.read() as connection:
            return stories.is_label(connection, label)

    def is_buried(self, since: datetime, until: datetime) -> bool:
        """Whether retention took a story published in that time."""
        with self._database.read() as connection:
            return stories.is_buried(connection, since, until)

    def mark_top(self, story_ids: Iterable[UUID], now: datetime) -> None:
        """Note that these stories came among the top ones; the first time counts."""
        with self._edit() as connection:
            stories.mark_top(connection, story_ids, now)

    def stories_changed_since(self, since: datetime) -> list[Story]:
        """The stories whose `updated_at` is `since` or later, by `published`, the newest first."""
        with self._database.read() as connection:
            return stories.changed_since(connection, since)

    def publishing_stamp(self) -> tuple[object, ...]:
        """A value that differs whenever something that readers may see changed: stories, and the names of sources."""
        with self._database.read() as connection:
            return numbers.publishing_stamp(connection)

    def stories_by_id(self, story_ids: Iterable[UUID]) -> list[Story]:
        """These stories in this order, without those that do not exist or were merged away."""
        with self._database.read() as connection:
            return stories.by_ids(connection, [story_id.bytes for story_id in story_ids])

    def story(self, name: str | UUID) -> Story | None:
        """The story of this ref or id. Where it was merged away: the one it is part of now, whose ref differs."""
        with self._database.read() as connection:
            return stories.story(connection, name)

    def story_of_url(self, url: str) -> Story | None:
        """The story told by an entry whose page this is, however the address is spelt."""
        with self._database.read() as connection:
            return stories.of_url(connection, url)

    def buried_story(self, name: str | UUID) -> StoryTombstone | None:
        """What retention left of a story, None for one that is there or never was."""
        with self._database.read() as connection:
            return stories.buried(connection, name)

    def story_records(self, story_ids: Iterable[UUID]) -> dict[UUID, StoryRecord]:
        """What grouping saved of these stories, without their entries."""
        with self._database.read() as connection:
            return stories.records(connection, story_ids)

    def placements(self, story_id: UUID) -> list[Placement]:
        """Why each entry of a story is in it, the oldest first."""
        with self._database.read() as connection:
            return stories.placements(connection, story_id)

    def correct(self, *made: Correction) -> None:
        """Remember what a person put right: all of it or nothing."""
        with self._database.write() as connection:
            for correction in made:
                corrections.add(connection, correction)

    def corrections(self, after: int = 0) -> list[Correction]:
        """All of them made after that one, the oldest first."""
        with self._database.read() as connection:
            return corrections.all_of(connection, after)

    def redirects(self, story_ids: Iterable[UUID]) -> dict[UUID, UUID]:
        """Those of the stories that were merged away, and the one that each is part of now."""
        with self._database.read() as connection:
            return stories.redirects(connection, story_ids)

    def oldest_first(self, story_ids: Iterable[UUID]) -> list[UUID]:
        """The stories that exist, merged away or not, in the order in which we began them."""
        with self._database.read() as connection:
            return stories.oldest_first(connection, story_ids)

    # ------------------------------------------------------------ filing

    def touch(self, since: datetime | None, now: datetime) -> int:
        """Have the stories published since then (None: all) filed anew by whoever files; how many."""
        with self._database.write() as connection:
            return filing.touch(connection, since, now)

    def touched(self, limit: int) -> list[Touched]:
        """Stories that wait to be filed anew, the longest waiting first."""
        with self._database.read() as connection:
            return filing.touched(connection, limit)

    def settle(self, filed: Sequence[tuple[StoryRecord, datetime]]) -> None:
        """Save how touched stories were filed, each with its `touched_at`: one touched again since stays touched."""
        with self._edit() as connection:
            filing.settle(connection, filed)

    def file_by_hand(self, correction: Correction, verdict: Sectioning | None) -> None:
        """Remember a correction of kind file and put it in force; `verdict` None: the model's word counts again."""
        with self._database.write() as connection:
            filing.by_hand(connection, correction, verdict)

    def filed_by_hand(self, story_ids: Iterable[UUID]) -> dict[UUID, Correction]:
        """The last word by hand on where these stories belong, without those that were taken back."""
        with self._database.read() as connection:
            return filing.said(connection, story_ids)

    def head(self) -> Head | None:
        """What the section model learnt from corrections, None where the shipped one is in use."""
        with self._database.read() as connection:
            return filing.head(connection)

    def add_head(self, parameters: bytes, report: Mapping[str, Any], now: datetime) -> int:
        """Keep a newly learnt version and use it from now on; its number."""
        with self._database.write() as connection:
            return filing.add_head(connection, parameters, report, now)

    def roll_back_head(self) -> tuple[Head | None, Head | None]:
        """Use the version before the one in use, or the shipped model; (what was in use, what is)."""
        with self._database.write() as connection:
            return filing.roll_back(connection)

    # ------------------------------------------------------------ taking down

    def ask_takedown(self, wanted: Takedown) -> int:
        """Remember it; a source brings nothing more from now on. Whoever edits takes away what is there."""
        with self._database.write() as connection:
            return takedowns.ask(connection, wanted)

    def lift_takedown(self, takedown_id: int, now: datetime) -> None:
        """Have it taken back by whoever edits."""
        with self._database.write() as connection:
            takedowns.lift(connection, takedown_id, now)

    def takedowns(self, in_force: bool = True) -> list[Takedown]:
        """Those in force, or all that ever were; the oldest first."""
        with self._database.read() as connection:
            return takedowns.everything(connection, in_force)

    def waiting_takedowns(self) -> list[Takedown]:
        """Those to be put into effect or taken back."""
        with self._database.read() as connection:
            return takedowns.waiting(connection)

    def take_down(self, takedown: Takedown, now: datetime) -> int:
        """Move all its entries aside, in transactions short enough for polls to get between; how many."""
        taken = 0
        while True:
            with self._edit() as connection:
                some = takedowns.take_some(connection, takedown, now)
            taken += some
            if not some:
                return taken

    def put_back(self, takedown: Takedown, now: datetime) -> int:
        """Put back what a lifted takedown took; how many entries."""
        with self._edit() as connection:
            takedowns.reopen(connection, takedown)
            return takedowns.put_back(connection, takedown, now)

    def settle_takedown(self, takedown: Takedown, now: datetime) -> None:
        """It is in effect, or taken back, in archives and briefings too."""
        with self._edit() as connection:
            takedowns.settle(connection, takedown, now)

    def is_taken_down(self, feed_id: int) -> bool:
        """Whether a source is."""
        with self._database.read() as connection:
            return takedowns.is_shut(connection, feed_id)

    def gone(self) -> Gone:
        """What takedowns in force have changed."""
        with self._database.read() as connection:
            return takedowns.gone(connection)

    def revise_archive(self, archive: Archive, document: bytes, now: datetime) -> None:
        """Have another document (gzip) in its place; the first one printed is remembered."""
        with self._edit() as connection:
            archives.revise(connection, archive, document, now)

    def revise_digest(self, digest: KeptDigest, content: str) -> None:
        """Have a briefing say something else; what it said first is remembered."""
        with self._edit() as connection:
            digests.revise(connection, digest, content)

    # ------------------------------------------------------------ watching

    def hours(self, since: datetime, now: datetime) -> list[Hour]:
        """What polls did in every hour since then."""
        with self._database.read() as connection:
            return watch.hours(connection, since, now)

    def open_episodes(self) -> list[Episode]:
        """Troubles that are not over."""
        with self._database.read() as connection:
            return watch.open_ones(connection)

    def latest_episodes(self, limit: int) -> list[Episode]:
        """Troubles that began or ended last, the newest first."""
        with self._database.read() as connection:
            return watch.latest(connection, limit)

    def save_episodes(self, begun: Iterable[Episode], changed: Iterable[Episode] = ()) -> None:
        """Remember troubles that began, and what became of others."""
        with self._database.write() as connection:
            watch.add(connection, begun)
            watch.change(connection, changed)

    def stuck_letters(self, since: datetime) -> list[Letter]:
        """Letters of briefings made since then that did not get out: refused, unknown, or tried in vain."""
        with self._database.read() as connection:
            return digests.stuck(connection, since)

    # ------------------------------------------------------------ upkeep

    def counts(self, now: datetime) -> Counts:
        """How much there is and how much waits."""
        with self._database.read() as connection:
            return numbers.counts(connection, now)

    def waiting(self, now: datetime) -> Waiting:
        """What waits and since when, and sources by health: cheap enough to be asked all the time."""
        with self._database.read() as connection:
            return numbers.waiting(connection, now)

    def filed_by_feed(self) -> dict[int, dict[str, int]]:
        """How many stories led by an entry of each feed were filed under each label; unsure ones do not count."""
        with self._database.read() as connection:
            return numbers.filed_by_feed(connection)

    def freshness(self, since: datetime) -> Freshness:
        """How long entries dated since then took to be seen, and their stories to be shown."""
        with self._database.read() as connection:
            return numbers.freshness(connection, since)

    def taken(self, since: datetime) -> list[Taken]:
        """What the entries dated since then took, to be seen and to be shown; of the newest 50,000."""
        with self._database.read() as connection:
            return numbers.taken(connection, since)

    def prune(self, retention: Retention, now: datetime, dry_run: bool = False) -> Pruned:
        """Take what is over its time, or only count it. Other writers get in between."""
        if dry_run:
            with self._database.read() as connection:
                return keep.count(connection, retention, now)
        pruned = keep.prune(self._database, retention, now)
        with self._database.write() as connection:
            takedowns.forget_old(connection, retention.entries, now)
            watch.forget_old(connection, now)
            leases.forget_hosts(connection, now - leases.FORGOTTEN_AFTER)
        if self.is_sqlite:
            self._database.give_space_back()
        return pruned

    def reindex(self) -> int:
        """Make the index for searching anew; of how many entries."""
        with self._edit() as connection:
            return search.rebuild(connection)

    def would_shrink(self, allowed: Budget, retention: Retention, now: datetime) -> Shrunk:
        """What `shrink` would take behind `prune` while the database holds more than is allowed; estimated."""
        with self._database.read() as connection:
            return budget.would_shrink(connection, allowed, retention, now)

    def shrink(self, allowed: Budget, now: datetime, goes_on: bool = False) -> Shrunk:
        """One step: take some of the oldest where the database holds more than is allowed, see `budget.shrink`."""
        shrunk = budget.shrink(self._database, allowed, now, goes_on)
        if self.is_sqlite and shrunk.texts + shrunk.entries:
            self._database.give_space_back()
        return shrunk

    def size(self) -> int:
        """Bytes the database takes, free pages among them."""
        with self._database.read() as connection:
            if self.is_sqlite:
                pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
                return pages * (connection.exec_driver_sql("PRAGMA page_size").scalar() or 0)
            return connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar() or 0
