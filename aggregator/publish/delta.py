"""What is new in a feed since the version a reader has (RFC 3229, its `feed` manipulation). Pure: bytes in, bytes out.

A document remembers in which of its versions each item first stood; a reader names its version by ETag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from aggregator.types import FeedParts, Rendered

_REMEMBERED = 64  # versions; a reader that comes after more of them gets the whole feed


@dataclass(frozen=True, slots=True)
class Past:
    """What the next version of a document must know of those before: no bytes, so that many of them fit into memory.
    `stood` says in which version each item, by its hash, first stood as it was in the last."""

    etag: str
    stood: Mapping[int, int]
    version: int
    versions: Mapping[str, int]


def past_of(document: Rendered | None) -> Past | None:
    """What is to be known of a document once it is replaced; None where it has no items."""
    if document is None or document.parts is None:
        return None
    parts = document.parts
    stood = dict(zip(map(hash, parts.items), parts.since, strict=True))
    return Past(document.etag, stood, parts.version, parts.versions)


def parts_of(
    body: bytes, items: Sequence[bytes], separator: bytes, past: Past | None, etag: str = ""
) -> FeedParts | None:
    """The pieces of a document that holds these items; None where it holds none. With the `etag` of the version before
    it is that version once more."""
    if not items:
        return None
    head, _, tail = body.partition(separator.join(items))
    if past is None:
        return FeedParts(head, tuple(items), separator, tail, (0,) * len(items), 0, {})
    version, versions = past.version, past.versions
    if etag != past.etag:
        version, versions = version + 1, _newest({past.etag: version, **versions})
    since = tuple(past.stood.get(hash(item), version) for item in items)
    return FeedParts(head, tuple(items), separator, tail, since, version, versions)


def changed_since(parts: FeedParts, etag: str) -> bytes | None:
    """The document with only the items that are new or changed since that version. None where that is not known, where
    nothing but the head changed, or where it would be the whole document."""
    version = parts.versions.get(etag)
    if version is None:
        return None
    fresh = [item for item, since in zip(parts.items, parts.since, strict=True) if since > version]
    if not fresh or len(fresh) == len(parts.items):
        return None
    return parts.head + parts.separator.join(fresh) + parts.tail


def _newest(versions: Mapping[str, int]) -> Mapping[str, int]:
    return dict(islice(versions.items(), _REMEMBERED))
