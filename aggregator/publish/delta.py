"""What is new in a feed since the version a reader has (RFC 3229, its `feed` manipulation). Pure: bytes in, bytes out.

A document remembers in which of its versions each item first stood; a reader names its version by ETag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from aggregator.types import FeedParts, Rendered

_REMEMBERED = 64  # versions; a reader that comes after more of them gets the whole feed


def parts_of(body: bytes, items: Sequence[bytes], separator: bytes, previous: Rendered | None) -> FeedParts | None:
    """The pieces of a document that holds these items; None where it holds none. `previous` is the version before."""
    if not items:
        return None
    head, _, tail = body.partition(separator.join(items))
    before = previous.parts if previous is not None else None
    if before is None or previous is None:
        return FeedParts(head, tuple(items), separator, tail, (0,) * len(items), 0, {})
    stood = dict(zip(before.items, before.since, strict=True))
    version = before.version + 1
    versions = {previous.etag: before.version, **before.versions}
    since = tuple(stood.get(item, version) for item in items)
    return FeedParts(head, tuple(items), separator, tail, since, version, _newest(versions))


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
