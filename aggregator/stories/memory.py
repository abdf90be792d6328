"""What the index of stories remembers of the window: its entries, which story each is in, by what they are recognised.

In: placed entries with their articles. Out: the members of a story, the beginnings it goes on from, entries with a key
in common. What people decided (`byhand`) and joins move members between stories; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import TypeVar
from uuid import UUID

from aggregator.stories.byhand import ByHand, Pair
from aggregator.stories.compare import Article
from aggregator.stories.dedupe import title_day_key
from aggregator.stories.index import Member, Window
from aggregator.stories.packed import Packed
from aggregator.types import StoredEntry

K = TypeVar("K")


class Memory:
    """The entries of the window. `new_id` gives the id of the story that an entry would begin."""

    def __init__(self, new_id: Callable[[StoredEntry], UUID]) -> None:
        self.window = Window()
        self._new_id = new_id
        self._stories: dict[UUID, tuple[int, ...]] = {}  # the entries of each, in the order placed
        self._by_url: dict[str, tuple[int, ...]] = {}
        self._by_title: dict[tuple[str, str, date], tuple[int, ...]] = {}
        self._became: dict[UUID, UUID] = {}  # stories that were joined to others
        self._byhand = ByHand()
        self._apart: frozenset[Pair] = frozenset()

    def remember(self, entry: StoredEntry, article: Article) -> None:
        """Add an entry that has its story."""
        assert entry.story_id is not None
        own = self._new_id(entry)
        kept = _trimmed(entry)
        packed = Packed.of(article, kept.title, kept.title_key)
        member = Member(kept, packed, entry.story_id if own == entry.story_id else own)
        self.window.add(member, article.subject.terms)
        _add(self._stories, entry.story_id, entry.entry_id)
        if entry.canonical_url:
            _add(self._by_url, entry.canonical_url, entry.entry_id)
        key = title_day_key(member.entry)
        if key is not None:
            _add(self._by_title, key, entry.entry_id)

    def forget(self, member: Member) -> None:
        """Take an entry out."""
        entry = member.entry
        self.window.drop(entry.entry_id)
        if entry.story_id is not None:
            _drop(self._stories, entry.story_id, entry.entry_id)
        _drop(self._by_url, entry.canonical_url or "", entry.entry_id)
        key = title_day_key(entry)
        if key is not None:
            _drop(self._by_title, key, entry.entry_id)

    def expire(self, before: datetime) -> list[int]:
        """Forget the entries dated before then; which."""
        old = self.window.dated_before(before)
        self._forget_all(old)
        return old

    def shed(self, most: int) -> list[int]:
        """Forget the entries that came first, as many as there are more than `most`; which."""
        shed = []
        while len(self.window) > most:
            shed.append(self.window.eldest())
            self._forget_all(shed[-1:])
        return shed

    def _forget_all(self, entry_ids: list[int]) -> None:
        for member in self._members(tuple(entry_ids)):
            self.forget(member)
        if entry_ids and self._became:
            self._became = {gone: kept for gone, kept in self._became.items() if kept in self._stories}

    # ------------------------------------------------------------ answers

    def keyed_alike(self, entry: StoredEntry) -> Iterator[Member]:
        """The members with the same address, or the same title of one publisher on one day."""
        key = title_day_key(entry)
        ids = self._by_url.get(entry.canonical_url or "", ()) + (self._by_title.get(key, ()) if key else ())
        return self._members(ids)

    def members(self, story_id: UUID) -> list[Member]:
        """The entries of the window in this story, copies among them, in the order placed."""
        return list(self._members(self._stories.get(story_id, ())))

    def originals(self, story_id: UUID) -> list[Member]:
        """Those that are no copies."""
        return [member for member in self.members(story_id) if member.entry.duplicate_of is None]

    def beginnings(self, story_id: UUID) -> list[Member]:
        """The entries that a story goes on from, the first seen first: the one that began it, and what began the
        stories that people merged into it. None of them in the window: the story is too old to grow."""
        found = [member for member in self.originals(story_id) if self._begins(member, story_id)]
        return sorted(found, key=lambda member: (member.entry.first_seen, member.entry.entry_id))

    def _begins(self, member: Member, story_id: UUID) -> bool:
        own = self._byhand.begins.get(member.entry.entry_id, member.own)
        return own == story_id or (own in self._byhand.merged and self.keeper(own) == story_id)

    def keeper(self, story_id: UUID) -> UUID:
        """The story that this one is part of now: itself, unless it was joined to another."""
        return self._became.get(story_id, story_id)

    def are_apart(self, one: UUID, other: UUID) -> bool:
        """Whether people said that these are two."""
        return (one, other) in self._apart

    def _members(self, entry_ids: tuple[int, ...]) -> Iterator[Member]:
        return (member for entry_id in entry_ids if (member := self.window.get(entry_id)) is not None)

    # ------------------------------------------------------------ moving

    def heed(self, byhand: ByHand, became: Mapping[UUID, UUID]) -> None:
        """Go by these decisions from now on; `became` says where the stories they name have gone."""
        self._byhand = byhand
        for gone, kept in became.items():
            self._note(gone, kept)
        self._apart = byhand.apart(self._became)

    def join(self, gone: UUID, kept: UUID) -> None:
        """Make one story part of another."""
        for member in self.members(gone):
            self._put(member, kept, member.entry.duplicate_of)
        self._note(gone, kept)
        self._apart = self._byhand.apart(self._became)

    def move(self, entry_id: int, story_id: UUID, duplicate_of: int | None) -> None:
        """Put an entry into a story, which lives (again). Nothing happens to one outside the window."""
        self._became.pop(story_id, None)
        member = self.window.get(entry_id)
        if member is not None:
            self._put(member, story_id, duplicate_of)

    def _put(self, member: Member, story_id: UUID, duplicate_of: int | None) -> None:
        before = member.entry.story_id
        if before is not None and before != story_id:
            _drop(self._stories, before, member.entry.entry_id)
            _add(self._stories, story_id, member.entry.entry_id)
        self.window.replace(replace(member.entry, story_id=story_id, duplicate_of=duplicate_of))

    def _note(self, gone: UUID, kept: UUID) -> None:
        kept = self.keeper(kept)
        self._became |= {old: kept for old, new in self._became.items() if new == gone}
        self._became[gone] = kept


def _trimmed(entry: StoredEntry) -> StoredEntry:
    """What later entries are compared with, without what only pages show."""
    return replace(
        entry,
        last_seen=entry.first_seen,
        published=entry.first_seen if entry.published == entry.first_seen else entry.published,
        guid=None,
        link=None if entry.canonical_url else entry.link,
        author=None,
        updated=None,
        summary=None,
        content=None,
        categories=(),
        image_url=None,
        enclosures=(),
        comments_url=None,
    )


def _add(index: dict[K, tuple[int, ...]], key: K, entry_id: int) -> None:
    index[key] = (*index.get(key, ()), entry_id)


def _drop(index: dict[K, tuple[int, ...]], key: K, entry_id: int) -> None:
    left = tuple(each for each in index.get(key, ()) if each != entry_id)
    if left:
        index[key] = left
    else:
        index.pop(key, None)
