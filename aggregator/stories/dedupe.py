"""The same article again: what two entries must share to be one article.

In: an entry and the entries that share an exact key with it (the store's twins at any age, the index's own
within the window), or the fingerprints of two texts. Out: the entry it repeats and why, or whether one copies
the other.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlsplit

from rensa import RMinHash

from aggregator.text import words
from aggregator.types import StoredEntry
from aggregator.urls import publisher_key

MAX_TITLES_OF_A_PAGE = 3  # a page re-titled has a few; a home page used as link has one per entry
SAME_FEED_OVERLAP = 0.5  # share of the shorter title's words that a re-titled page of one feed keeps

SHINGLE = 3  # words
PERMUTATIONS = 128  # the estimate's standard error is .04 at the threshold
SEED = 20260601  # any; the same for ever, or a restart would not recognise what came before
COPIED = 0.72  # share of common shingles; see docs/heuristics-stories.md
FEW_SHINGLES = 8  # a text this short shares its shingles by chance
FEW_WORDS = 6  # a title this short may name two articles of two outlets
SAME_TITLE_WITHIN = timedelta(hours=36)  # of two outlets: a wire story's own headline
COLUMN_EVERY = timedelta(hours=20)  # one outlet's same title after this long is its column's next instalment


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What recognises a copy: the normalised title, its number of words, how many shingles title and text have, and
    their MinHash (four bytes a permutation)."""

    title_key: str
    words: int
    shingles: int
    minhash: bytes


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The entry that is repeated and the reason in words."""

    of: StoredEntry
    reason: str


def title_day_key(entry: StoredEntry) -> tuple[str, str, date] | None:
    """Publisher, normalised title and UTC day; None where the title is too short to name an article."""
    address = entry.canonical_url or entry.link or entry.source.site_url or entry.source.url
    if not entry.title_key:
        return None
    return publisher_key(address), entry.title_key, entry.dated.date()


def exact_duplicate(entry: StoredEntry, twins: Sequence[StoredEntry]) -> Duplicate | None:
    """The first of the entries with an exact key of this one that it repeats, or None.

    `twins` may hold more than true twins; an entry that is itself a copy still counts, the caller follows
    `duplicate_of` to the original.
    """
    others = sorted((twin for twin in twins if twin.entry_id != entry.entry_id), key=_age)
    page = [twin for twin in others if entry.canonical_url and twin.canonical_url == entry.canonical_url]
    if entry.canonical_url and page:
        titles = {twin.title_key for twin in page if twin.title_key} | {entry.title_key}
        is_page = names_a_page(entry.canonical_url) and len(titles) <= MAX_TITLES_OF_A_PAGE
        for twin in page:
            if twin.title_key == entry.title_key or (is_page and _could_be_retitled(entry, twin)):
                return Duplicate(twin, "same address")
    key = title_day_key(entry)
    for twin in others:
        if key is not None and title_day_key(twin) == key:
            return Duplicate(twin, "same title, publisher and day")
    return None


def fingerprint(title_key: str, text: str) -> Fingerprint:
    """What recognises copies of an article; `text` is plain."""
    title_words = title_key.split()
    spoken = title_words + words(text)
    shingles = {" ".join(spoken[at : at + SHINGLE]) for at in range(max(1, len(spoken) - SHINGLE + 1))}
    sketch = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    sketch.update(sorted(shingles))
    return Fingerprint(title_key, len(title_words), len(shingles), array("I", sketch.digest()).tobytes())


def likeness(one: Fingerprint, other: Fingerprint) -> float:
    """The estimated share of common shingles (Jaccard)."""
    mine, theirs = memoryview(one.minhash).cast("I"), memoryview(other.minhash).cast("I")
    equal: int = sum(map(operator.eq, mine, theirs))
    return equal / PERMUTATIONS


def is_copy(one: Fingerprint, other: Fingerprint, gap: timedelta, is_one_outlet: bool) -> bool:
    """Whether two texts are one article: nearly the same shingles, or a long title word for word.

    Headlines that differ in a number are the caller's to veto.
    """
    if is_one_outlet and gap > COLUMN_EVERY:
        return False
    if one.title_key and one.title_key == other.title_key and one.words >= FEW_WORDS and gap <= SAME_TITLE_WITHIN:
        return True
    return min(one.shingles, other.shingles) >= FEW_SHINGLES and likeness(one, other) >= COPIED


def names_a_page(canonical_url: str) -> bool:
    """Whether an address can be one article's: the root of a site is everybody's."""
    parts = urlsplit(canonical_url)
    return parts.path not in {"", "/"} or bool(parts.query)


def _could_be_retitled(entry: StoredEntry, twin: StoredEntry) -> bool:
    """Whether one address under two titles is still one article.

    Two feeds that give one address mean one page; one feed that gives it to two entries may list many things on
    that page, unless the titles say the same.
    """
    if entry.source.feed_id != twin.source.feed_id:
        return True
    mine, theirs = set(words(entry.title)), set(words(twin.title))
    return len(mine & theirs) >= SAME_FEED_OVERLAP * max(1, min(len(mine), len(theirs)))


def _age(entry: StoredEntry) -> tuple[object, int]:
    return entry.first_seen, entry.entry_id
