"""Queries on entries: what is known of a feed's, what waits for grouping, which are the same article."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa

from aggregator.ingest.changes import keys_of, page_key
from aggregator.schema import entries, feeds, texts, tombstones
from aggregator.store import feeds as feed_queries
from aggregator.store.engine import in_chunks
from aggregator.store.rows import guid_key, known_entry, micros, stored_entry, tombstone, twin_title_keys
from aggregator.text import title_key
from aggregator.types import KnownEntry, ParsedFeed, StoredEntry
from aggregator.urls import canonical_url, publisher_key

# ---------------------------------------------------------------- what is known

_KNOWN: sa.Select[Any] = sa.select(
    entries.c.entry_id,
    entries.c.feed_id,
    entries.c.guid,
    entries.c.canonical_url,
    entries.c.title_key,
    entries.c.fingerprint,
    entries.c.published,
    entries.c.first_seen,
)


_FEEDS: sa.BindParameter[Any] = sa.bindparam("feeds", expanding=True)
_KEYS: sa.BindParameter[Any] = sa.bindparam("keys", expanding=True)
_ALL = _KNOWN.where(entries.c.feed_id.in_(_FEEDS))
_STANDING = sa.select(entries.c.feed_id, entries.c.fingerprint, entries.c.entry_id).where(
    entries.c.feed_id.in_(_FEEDS), entries.c.left_at.is_(None)
)
_OF_GUIDS = entries.c.guid_key.in_(sa.bindparam("guids", expanding=True))
_BY_KEY = _KNOWN.where(_OF_GUIDS | entries.c.page_key.in_(_KEYS) | entries.c.title_day_key.in_(_KEYS))
_GRAVES = sa.select(tombstones).where(tombstones.c.feed_id.in_(_FEEDS))
_GRAVES_BY_KEY = _GRAVES.where(tombstones.c.key.in_(_KEYS))
_NOBODYS = 0  # an empty IN would be a subquery, for which SQLite forgets its indexes


def known(connection: sa.Connection, feed_ids: Iterable[int]) -> dict[int, tuple[KnownEntry, ...]]:
    """Everything known of these feeds, tombstones last. Grows with retention: see `known_for`."""
    found: dict[int, list[KnownEntry]] = {feed_id: [] for feed_id in feed_ids}
    for some in in_chunks(list(found)):
        for row in connection.execute(_ALL, {"feeds": some}):
            found[row[1]].append(known_entry(row))
        for feed_id, key, at in connection.execute(_GRAVES, {"feeds": some}):
            found[feed_id].append(tombstone(key, at))
    return {feed_id: tuple(ones) for feed_id, ones in found.items()}


def known_for(connection: sa.Connection, documents: Mapping[int, ParsedFeed]) -> dict[int, tuple[KnownEntry, ...]]:
    """What is known that shares a key with one of these documents' entries: all that could be one of them.

    Its cost grows neither with retention nor with what stands in a document unchanged.
    """
    found: dict[int, dict[int, KnownEntry]] = {feed_id: {} for feed_id in documents}
    keys = sorted({key for parsed in documents.values() for key in _keys_in(parsed)})
    guids = sorted(guid_key(f, e.guid) for f, parsed in documents.items() for e in parsed.entries if e.guid)
    for some_keys, some_guids in zip_longest(in_chunks(keys), in_chunks(guids), fillvalue=[_NOBODYS]):
        for row in connection.execute(_BY_KEY, {"keys": some_keys, "guids": some_guids}).all():
            if (of_feed := found.get(row[1])) is not None:
                of_feed[row[0]] = known_entry(row)
    graves: dict[int, list[KnownEntry]] = defaultdict(list)
    for some_keys in in_chunks(keys):
        for some in in_chunks(list(documents)):
            for feed_id, key, at in connection.execute(_GRAVES_BY_KEY, {"feeds": some, "keys": some_keys}):
                graves[feed_id].append(tombstone(key, at))
    return {feed_id: (*ones.values(), *graves.get(feed_id, ())) for feed_id, ones in found.items()}


def _keys_in(parsed: ParsedFeed) -> set[int]:
    return {
        key
        for entry in parsed.entries
        for key in keys_of(entry.guid, canonical_url(entry.link), title_key(entry.title), entry.published).present()
    }


def standing(connection: sa.Connection, feed_ids: Iterable[int]) -> dict[int, dict[bytes, int]]:
    """By feed, the fingerprints and ids of what stood in its last document."""
    found: dict[int, dict[bytes, int]] = {feed_id: {} for feed_id in feed_ids}
    for some in in_chunks(list(found)):
        # .all(): a result walked row by row costs three times as much.
        for feed_id, fingerprint, entry_id in connection.execute(_STANDING, {"feeds": some}).all():
            found[feed_id][fingerprint] = entry_id
    return found


# ---------------------------------------------------------------- reading

_INNER = ("fingerprint", "guid_key", "page_key", "title_day_key", "is_stale", "dated", "score", "reasons")
STORED = sa.select(
    *(column for column in entries.c if column.name not in _INNER),
    texts.c.summary,
    texts.c.content,
    feeds.c.last_success_at,
).select_from(entries.join(feeds).outerjoin(texts))


def stored(connection: sa.Connection, query: sa.Select[Any]) -> list[StoredEntry]:
    """The entries of a query made from `STORED`, with their sources."""
    rows = connection.execute(query).all()
    if not rows:
        return []
    sources = feed_queries.source_refs(connection, {row.feed_id for row in rows})
    return [stored_entry(row, sources) for row in rows]


def by_ids(connection: sa.Connection, ids: Iterable[int]) -> list[StoredEntry]:
    found: list[StoredEntry] = []
    for some in in_chunks(sorted(ids)):
        found += stored(connection, STORED.where(entries.c.entry_id.in_(some)).order_by(entries.c.entry_id))
    return found


def ungrouped(connection: sa.Connection, limit: int) -> list[StoredEntry]:
    """The entries that no story tells yet, the oldest first, so that a story begins with its first."""
    query = STORED.where(entries.c.story_id.is_(None)).order_by(entries.c.dated, entries.c.entry_id).limit(limit)
    return stored(connection, query)


def stale(connection: sa.Connection, limit: int) -> list[StoredEntry]:
    """Grouped entries whose feed says something else since; `save_grouping` settles them."""
    return stored(connection, STORED.where(entries.c.is_stale).order_by(entries.c.entry_id).limit(limit))


def window(connection: sa.Connection, since: datetime, last: int | None = None) -> Iterator[StoredEntry]:
    """The grouped entries from `since` on, in order of time; or the `last` of them to come, in the order in which they
    came: what the index of stories is built from."""
    is_in = entries.c.dated >= micros(since), entries.c.story_id.is_not(None)
    query, order = STORED.where(*is_in), [entries.c.dated, entries.c.entry_id]
    if last is not None:
        newest = sa.select(entries.c.entry_id).where(*is_in).order_by(entries.c.entry_id.desc()).limit(last)
        query, order = STORED.where(entries.c.entry_id.in_(newest)), [entries.c.entry_id]
    sources = feed_queries.source_refs(connection)
    # Some hundred thousand entries with their texts are more than memory is meant to hold at once.
    rows = connection.execution_options(yield_per=500).execute(query.order_by(*order))
    for row in rows:
        yield stored_entry(row, sources)


def of_page(connection: sa.Connection, url: str) -> list[StoredEntry]:
    """The entries whose page this is, however the address is spelt."""
    canonical = canonical_url(url)
    key = page_key(canonical)
    if key is None:
        return []
    found = stored(connection, STORED.where(entries.c.page_key == key).order_by(entries.c.dated, entries.c.entry_id))
    return [entry for entry in found if entry.canonical_url == canonical]


# ---------------------------------------------------------------- the same article


def twins(connection: sa.Connection, wanted: Sequence[StoredEntry]) -> dict[int, tuple[StoredEntry, ...]]:
    """By id of each wanted entry that has any, the other entries that an exact key says are the same article:

    the same page told by another feed, or the same title from the same publisher on the same UTC day. A home page and
    an address that one feed gave to several titles are no keys. Ungrouped entries are among the answers, oldest first.
    """
    pages = {key for entry in wanted if (key := page_key(entry.canonical_url)) is not None}
    titles = {key for entry in wanted for key in twin_title_keys(entry)}
    candidates: dict[int, StoredEntry] = {}
    for column, keys in ((entries.c.page_key, pages), (entries.c.title_day_key, titles)):
        for some in in_chunks(sorted(keys)):
            for entry in stored(connection, STORED.where(column.in_(some))):
                candidates[entry.entry_id] = entry
    by_page: dict[str, list[StoredEntry]] = defaultdict(list)
    by_title: dict[tuple[str, str, object], list[StoredEntry]] = defaultdict(list)
    for entry in sorted(candidates.values(), key=lambda one: (one.dated, one.entry_id)):
        if entry.canonical_url:
            by_page[entry.canonical_url].append(entry)
        if entry.title_key:
            by_title[_title_key(entry)].append(entry)
    shared = {url for url, ones in by_page.items() if _names_several(ones)}
    found: dict[int, tuple[StoredEntry, ...]] = {}
    for entry in wanted:
        same: dict[int, StoredEntry] = {}
        if entry.canonical_url not in shared and page_key(entry.canonical_url) is not None:
            others = by_page.get(entry.canonical_url or "", ())
            same |= {one.entry_id: one for one in others if one.source.feed_id != entry.source.feed_id}
        if entry.title_key:
            same |= {one.entry_id: one for one in by_title.get(_title_key(entry), ())}
        same.pop(entry.entry_id, None)
        if same:
            found[entry.entry_id] = tuple(sorted(same.values(), key=lambda one: (one.dated, one.entry_id)))
    return found


def _title_key(entry: StoredEntry) -> tuple[str, str, object]:
    publisher = publisher_key(entry.canonical_url or entry.link or entry.source.site_url or entry.source.url)
    return (entry.title_key, publisher, entry.dated.date())


def _names_several(ones: list[StoredEntry]) -> bool:
    titles: dict[int, set[str]] = defaultdict(set)
    for entry in ones:
        titles[entry.source.feed_id].add(entry.title_key)
    return any(len(of_feed) > 1 for of_feed in titles.values())
