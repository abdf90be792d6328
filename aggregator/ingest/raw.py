"""What a document says, word for word: the common shape in which every lane (`fastlane`, `jsonfeed`, feedparser in
`parse`) hands over a feed, so that only extraction differs between them. `clean` makes values of it.

Text constructs (title, summary, content) are HTML source: a lane escapes what its format calls plain text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeVar

from aggregator.types import FeedHints

FINGERPRINT_BYTES = 16
MAX_READ = 10_000  # entries that are looked at; the longest of 203 real feeds has 1,000

T = TypeVar("T")


@dataclass(slots=True)
class RawEntry:
    """One entry before cleaning. `base` is an absolute URL to resolve against where the document names one (xml:base).

    `published` and `updated` are dates as written. `images` are candidates, best first; `enclosures` are
    (url, media type, length), all as written.
    """

    guid: str | None = None
    link: str | None = None
    title: str = ""
    author: str | None = None
    published: str | None = None
    updated: str | None = None
    summary: str | None = None
    content: str | None = None
    categories: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    enclosures: tuple[tuple[str, str, str], ...] = ()
    comments_url: str | None = None
    comment_count: str | None = None
    language: str | None = None
    base: str | None = None
    content_base: str | None = None  # where the content has one of its own
    mark: bytes = b""  # its fingerprint, once `clean` has taken it


@dataclass(slots=True)
class RawFeed:
    """One document before cleaning. `author` speaks for Atom entries without one (RFC 4287 §4.1.1)."""

    format: str
    title: str = ""
    site_url: str | None = None
    self_url: str | None = None
    language: str | None = None
    author: str | None = None
    base: str | None = None
    hub_urls: tuple[str, ...] = ()
    hints: FeedHints = field(default_factory=FeedHints)
    entries: list[RawEntry] = field(default_factory=list)
    complaint: str | None = None


def fingerprint(entry: RawEntry) -> bytes:
    """Sixteen bytes that change when the feed says something else about the entry.

    Of the comment count only the order of magnitude counts (it doubles): every reader's comment would
    otherwise make an entry changed, and none of them would leave the number of 30 days ago on the page.
    """
    digest = blake2b(digest_size=FINGERPRINT_BYTES)
    digest.update(
        "\x1f".join(
            (
                entry.guid or "",
                entry.link or "",
                entry.title,
                entry.author or "",
                entry.published or "",
                entry.updated or "",
                entry.summary or "",
                entry.content or "",
                "\x1e".join(entry.categories),
                "\x1e".join(entry.images),
                "\x1e".join(["\x1d".join(enclosure) for enclosure in entry.enclosures]),
                entry.comments_url or "",
                str(count_of(entry.comment_count).bit_length()),
            )
        ).encode("utf-8", "replace")
    )
    return digest.digest()


def fuller(text: str | None, summary: str | None) -> str | None:
    """The text where it says more than the summary: of two descriptions the longer one is the content."""
    return text if text and summary and len(text) > len(summary) else None


def some(entries: list[T]) -> list[T]:
    """All of them, or the first and the last of absurdly many (a feed's newest are the one or the other)."""
    return entries if len(entries) <= MAX_READ else entries[: MAX_READ // 2] + entries[-MAX_READ // 2 :]


def count_of(text: str | None) -> int:
    """The number of comments that `text` claims; 0 where it claims none that makes sense."""
    return int(text) if text and len(text) <= 7 and text.isascii() and text.isdigit() else 0


def without_mail(author: str) -> str:
    """The name in `mail@host (Name)` or `Name <mail@host>`, else all of it."""
    if "@" not in author or len(author) > 500:
        return author
    match = _NAMED_AFTER_MAIL.match(author) or _NAMED_BEFORE_MAIL.match(author)
    return match[1].strip() if match else author


_NAMED_AFTER_MAIL = re.compile(r"^(?:mailto:)?[^\s@()<>]{1,100}@[^\s@()<>]{1,200}\s*\(([^()]{1,200})\)$")
_NAMED_BEFORE_MAIL = re.compile(r"^([^<>()@]{2,200}?)\s*[<(][^\s@<>()]{1,100}@[^\s@<>()]{1,200}[>)]$")


def mended(text: str) -> str:
    """The text, stripped; UTF-8 that was taken for Latin-1 and encoded again is read as meant ("Ã©" is "é").

    As feedparser does, and for the same reason: it is what a whole class of publishers' pipelines emits.
    """
    text = text.strip()
    # What is mended holds U+0080 to U+00BF, whose UTF-8 begins so: found in a fourth of what a pattern takes.
    if text.isascii() or 0xC2 not in text.encode("utf-8", "replace"):
        return text
    # Not `suppress`, which costs as much again: this is called for every field, and mostly raises.
    try:  # noqa: SIM105
        text = text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        pass
    return text.translate(_WINDOWS_1252) if _C1.search(text) else text


_C1 = re.compile("[\x80-\x9f]")
# Windows' characters written as if they were Latin-1's control characters (as every browser reads them too).
_WINDOWS_1252 = {
    number: bytes([number]).decode("windows-1252")
    for number in range(0x80, 0xA0)
    if number not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}
