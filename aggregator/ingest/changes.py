"""What one poll changes in one feed: a parsed document and what we know of the feed in, `FeedChanges` out. Pure.

Which entry is which is decided by the strongest evidence first (guid, then the page's address, then title and day) and
one to one: a known entry can be met by one entry of the document only. Evidence that two entries share proves nothing,
so a feed that gives every item the same guid or the same link loses none. The store does the rest; folding the same
article of two feeds is `stories.dedupe`'s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from aggregator.text import title_key
from aggregator.types import FeedChanges, KnownEntry, NewEntry, ParsedEntry, ParsedFeed, UpdatedEntry
from aggregator.urls import canonical_url

# A live page or a daily bulletin at one address gets a new guid, a new title and a new date: a new entry. Publishers
# who put a revision number into the guid (BBC) change guid and title too, but within hours.
REUSED_PAGE_AFTER = timedelta(days=3)
_OLDEST = datetime(1, 1, 1, tzinfo=UTC)
_NOTHING: Mapping[bytes, int] = MappingProxyType({})


class Keys(NamedTuple):
    """Signed 64-bit hashes of what an entry is known by; None where it has nothing of the kind.

    They are what a tombstone keeps, and what the store finds candidates by. `page` is None for a site's home page.
    """

    guid: int | None
    page: int | None
    title: int | None

    def present(self) -> tuple[int, ...]:
        return tuple(key for key in self if key is not None)


def keys_of(guid: str | None, canonical_url: str | None, title_key: str, published: datetime | None) -> Keys:
    """The keys of an entry; the title's is of title and UTC day, or of the title alone where there is no date."""
    return Keys(
        key_of("guid", guid) if guid else None,
        page_key(canonical_url),
        title_day_key(title_key, published),
    )


def page_key(canonical_url: str | None) -> int | None:
    """The key of a page's address, None for none and for a home page, which names no entry."""
    return key_of("page", canonical_url) if canonical_url and not is_home_page(canonical_url) else None


def title_day_key(title_key: str, published: datetime | None) -> int | None:
    """The key of a title on a UTC day (or undated), None for a title too short to mean anything."""
    return key_of("title", f"{published.date() if published else ''} {title_key}") if title_key else None


def key_of(kind: str, value: str) -> int:
    """Eight bytes of hash as a signed number, which both databases sort as an integer."""
    text = f"{kind} {value}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), signed=True)


def is_home_page(url: str) -> bool:
    """Whether the address is a whole site's, which some feeds give every entry as its link."""
    host, _, rest = url.partition("://")[2].partition("/")
    return not rest and "?" not in host and "#" not in host


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """An entry of the document with what it may be known by."""

    entry: ParsedEntry
    canonical_url: str | None
    title_key: str

    @property
    def age_key(self) -> tuple[datetime, datetime, bytes]:
        """What makes the latest of several versions the greatest, whatever their order in the document."""
        entry = self.entry
        return (entry.updated or entry.published or _OLDEST, entry.published or _OLDEST, entry.fingerprint)


One = TypeVar("One", bound=_Item | KnownEntry)


def feed_changes(
    known: Sequence[KnownEntry], parsed: ParsedFeed, now: datetime, standing: Mapping[bytes, int] = _NOTHING
) -> FeedChanges:
    """What the document brings that we did not know: new and updated entries, in document order.

    `known` are the feed's entries and tombstones, or at least those that share evidence with an entry of the document.
    `standing` are ids by fingerprint of what stood in its last document: all that matters of what is there unchanged.
    `now` dates undated entries: without guid, page and date, an equal title counts for the day it was first seen.
    """
    alive = [entry for entry in known if not entry.is_tombstone]
    matching = _Matching(alive, standing)
    items, repeats = matching.take_unchanged(parsed)
    items, folded = _without_repeats(items, matching.taken())
    for item, entry in _matches(items, matching, now):
        matching.take(item, entry)
    updated = tuple(
        UpdatedEntry(matching.entry_of[item].entry_id, item.entry, item.canonical_url, item.title_key)
        for item in items
        if item in matching.entry_of
    )
    strangers = [item for item in items if item not in matching.entry_of]
    tombstones = frozenset(entry.key for entry in known if entry.is_tombstone)
    new = tuple(
        NewEntry(item.entry, item.canonical_url, item.title_key)
        for item in strangers
        if not _is_buried(item, tombstones)
    )
    return FeedChanges(new, updated, tuple(sorted(matching.seen)), repeats + folded, buried=len(strangers) - len(new))


class _Matching:
    """Which known entries the document has met so far."""

    def __init__(self, alive: Sequence[KnownEntry], standing: Mapping[bytes, int]) -> None:
        self.alive, self._standing = alive, standing
        self.seen: set[int] = set()
        self.entry_of: dict[_Item, KnownEntry] = {}

    def take_unchanged(self, parsed: ParsedFeed) -> tuple[list[_Item], int]:
        """Takes what the document says word for word as before; the other entries, and how many were repeats."""
        ids = {**self._standing, **{entry.fingerprint: entry.entry_id for entry in self.alive}}
        items: list[_Item] = []
        repeats = 0
        met: set[bytes] = set()
        for fingerprint in parsed.unchanged:
            repeats += fingerprint in met
            met.add(fingerprint)
        for entry in parsed.entries:
            if entry.fingerprint in met:
                repeats += 1
                continue
            met.add(entry.fingerprint)
            if entry.fingerprint not in ids:
                items.append(_Item(entry, canonical_url(entry.link), title_key(entry.title)))
        self.seen.update(ids[fingerprint] for fingerprint in met if fingerprint in ids)
        return items, repeats

    def taken(self) -> tuple[KnownEntry, ...]:
        return tuple(entry for entry in self.alive if entry.entry_id in self.seen)

    def take(self, item: _Item, entry: KnownEntry) -> None:
        self.seen.add(entry.entry_id)
        self.entry_of[item] = entry

    def free(self) -> list[KnownEntry]:
        return [entry for entry in self.alive if entry.entry_id not in self.seen]


# ---------------------------------------------------------------- repeats within the document


def _without_repeats(items: list[_Item], taken: Sequence[KnownEntry]) -> tuple[list[_Item], int]:
    """One item of each that the document repeats, the latest version, and how many were left out.

    The same guid with the same page or the same title is a repeat; without a guid, page, title and date must agree.
    An item that repeats an entry already met is left out altogether.
    """
    if not items:
        return [], 0
    groups: dict[Hashable, list[_Item | KnownEntry]] = {_repeat_key(item): [] for item in items}
    if len(groups) == len(items) and not any(_repeat_key(one) in groups for one in taken):
        return items, 0
    everything: list[_Item | KnownEntry] = [*taken, *items]
    for one in everything:
        if (members := groups.get(_repeat_key(one))) is not None:
            members.append(one)
    kept: set[_Item] = set()
    for key, members in groups.items():
        for component in _components(members) if isinstance(key, str) else [members]:
            candidates = [one for one in component if isinstance(one, _Item)]
            if candidates and len(candidates) == len(component):
                kept.add(max(candidates, key=lambda item: item.age_key))
    return [item for item in items if item in kept], len(items) - len(kept)


def _repeat_key(one: _Item | KnownEntry) -> Hashable:
    """A guid, or (page, title, date) without one, or the object itself where even these say nothing."""
    source = _source(one)
    if source.guid:
        return source.guid
    if one.title_key and one.canonical_url:
        return (one.canonical_url, one.title_key, source.published)
    return id(one), one


def _components(members: list[_Item | KnownEntry]) -> Iterable[list[_Item | KnownEntry]]:
    """Those of the same guid, apart where neither page nor title connects them."""
    if len(members) == 1:
        return [members]
    root: dict[Hashable, Hashable] = {}

    def find(node: Hashable) -> Hashable:
        while (parent := root.setdefault(node, node)) != node:
            root[node] = root[parent]
            node = parent
        return node

    for one in members:
        page, title = ("page", one.canonical_url), ("title", one.title_key)
        if one.canonical_url and one.title_key:
            root[find(page)] = find(title)
    components: dict[Hashable, list[_Item | KnownEntry]] = defaultdict(list)
    for one in members:
        node = ("page", one.canonical_url) if one.canonical_url else ("title", one.title_key)
        components[find(node)].append(one)
    return components.values()


# ---------------------------------------------------------------- the same entry as last time


def _matches(items: list[_Item], matching: _Matching, now: datetime) -> Iterable[tuple[_Item, KnownEntry]]:
    """Pairs of an item and the known entry it is, strongest evidence first; the caller takes each before the next."""
    pages = _shared_pages(matching.alive)

    def page(one: _Item | KnownEntry) -> Hashable:
        url = one.canonical_url
        return url if url and url not in pages and not is_home_page(url) else None

    def title_and_day(one: _Item | KnownEntry) -> Hashable:
        published = _source(one).published
        return (one.title_key, published.date()) if one.title_key and published else None

    def undated_title(one: _Item | KnownEntry) -> Hashable:
        return one.title_key if one.title_key and _source(one).published is None else None

    passes: list[tuple[Callable[[_Item | KnownEntry], Hashable], Callable[[_Item, KnownEntry], bool]]] = [
        (lambda one: _both(_source(one).guid, one.canonical_url, one.title_key), lambda item, entry: True),
        (lambda one: _both(_source(one).guid, one.canonical_url), lambda item, entry: True),
        (lambda one: _both(_source(one).guid, one.title_key), lambda item, entry: True),
        (lambda one: _source(one).guid, lambda item, entry: not _contradicts(item, entry)),
        (page, lambda item, entry: not _reuses_page(item, entry)),
        (title_and_day, lambda item, entry: not _is_elsewhere(item, entry)),
        (undated_title, lambda item, entry: not _is_elsewhere(item, entry) and _is_recent(entry, now)),
    ]
    for key, may_be in passes:
        left = [item for item in items if item not in matching.entry_of]
        free = matching.free()
        if not left or not free:
            return
        entries = _by_key(free, key)
        for value, candidates in _by_key(left, key).items():
            met = entries.get(value, ())
            if len(candidates) == len(met) == 1 and may_be(candidates[0], met[0]):
                yield candidates[0], met[0]


def _source(one: _Item | KnownEntry) -> ParsedEntry | KnownEntry:
    return one.entry if isinstance(one, _Item) else one


def _both(*parts: str | None) -> Hashable:
    return parts if all(parts) else None


def _by_key(ones: Iterable[One], key: Callable[[_Item | KnownEntry], Hashable]) -> dict[Hashable, list[One]]:
    found: dict[Hashable, list[One]] = defaultdict(list)
    for one in ones:
        if (value := key(one)) is not None:
            found[value].append(one)
    return found


def _shared_pages(alive: Sequence[KnownEntry]) -> frozenset[str]:
    """Addresses that several entries of the feed have given as theirs: they name none of them."""
    counts: dict[str, int] = defaultdict(int)
    for entry in alive:
        if entry.canonical_url:
            counts[entry.canonical_url] += 1
    return frozenset(url for url, count in counts.items() if count > 1)


def _differ(one: object, other: object) -> bool:
    return bool(one) and bool(other) and one != other


def _contradicts(item: _Item, entry: KnownEntry) -> bool:
    """Whether page and title (or date, where a title is too short) say that the equal guid means nothing.

    An entry whose title and address were edited together keeps its date to the second.
    """
    published = item.entry.published
    if published and published == entry.published:
        return False
    if not _differ(item.canonical_url, entry.canonical_url):
        return False
    if item.title_key or entry.title_key:
        return _differ(item.title_key, entry.title_key)
    return _differ(published, entry.published)


def _reuses_page(item: _Item, entry: KnownEntry) -> bool:
    published = item.entry.published
    if item.entry.guid == entry.guid or item.title_key == entry.title_key:
        return False
    return (
        published is not None and entry.published is not None and (abs(published - entry.published) > REUSED_PAGE_AFTER)
    )


def _is_elsewhere(item: _Item, entry: KnownEntry) -> bool:
    """Whether guid and page both say that the equal title is another entry's; an equal date outweighs it."""
    if item.entry.published and item.entry.published == entry.published:
        return False
    return _differ(item.entry.guid, entry.guid) and _differ(item.canonical_url, entry.canonical_url)


def _is_recent(entry: KnownEntry, now: datetime) -> bool:
    return entry.first_seen.date() == now.date()


def _is_buried(item: _Item, tombstones: frozenset[int]) -> bool:
    """Whether retention took this entry: two of guid, page and title must say so, or all that it has."""
    if not tombstones:
        return False
    entry = item.entry
    keys = keys_of(entry.guid, item.canonical_url, item.title_key, entry.published).present()
    return bool(keys) and sum(key in tombstones for key in keys) >= min(2, len(keys))
