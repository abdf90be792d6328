"""The documents we serve, ready in memory: path to bytes, compressed once, replaced all together after a pass."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from types import MappingProxyType

import brotli

from aggregator.types import FeedParts, Rendered

_WORTH_COMPRESSING = 256  # bytes; below it the headers weigh more
_COMPRESSED = ("text/", "application/atom+xml", "application/rss+xml", "application/feed+json", "application/json")
_COMPRESSED_TOO = ("application/xml", "image/svg+xml", "text/x-opml")


class Shelf:
    """What is published now. Any thread may read; `replace` swaps the map at once, so that nobody sees half a pass."""

    def __init__(self, documents: Mapping[str, Rendered] | None = None) -> None:
        self._documents: Mapping[str, Rendered] = {}
        self.replace(documents or {})

    @property
    def documents(self) -> Mapping[str, Rendered]:
        """Everything, by path below the site's prefix (`/news.atom`)."""
        return self._documents

    def get(self, path: str) -> Rendered | None:
        """The document at `path`, None if there is none in memory."""
        return self._documents.get(path)

    def replace(self, documents: Mapping[str, Rendered]) -> None:
        """Publish these and nothing else."""
        self._documents = MappingProxyType(dict(documents))


def rendered(
    body: bytes,
    content_type: str,
    changed_at: datetime,
    previous: Rendered | None = None,
    links: tuple[tuple[str, str], ...] = (),
    for_people: Rendered | None = None,
    parts: FeedParts | None = None,
) -> Rendered:
    """The bytes ready to be sent. `previous` itself where it holds the same: what did not change keeps its
    Last-Modified and is not compressed again. The ETag follows from the bytes alone, so it survives a restart."""
    if previous is not None and (previous.body, previous.content_type, previous.links) == (body, content_type, links):
        return previous if previous.for_people is for_people else replace(previous, for_people=for_people)
    is_text = content_type.startswith((*_COMPRESSED, *_COMPRESSED_TOO)) and len(body) >= _WORTH_COMPRESSING
    return Rendered(
        body=body,
        content_type=content_type,
        etag=blake2b(body, digest_size=12).hexdigest(),
        last_modified=changed_at.astimezone(UTC).replace(microsecond=0),
        gzip=coded(body, "gzip") if is_text else None,
        brotli=coded(body, "br") if is_text else None,
        links=links,
        for_people=for_people,
        parts=parts,
    )


def coded(body: bytes, coding: str) -> bytes:
    """The body in this coding (br, gzip, identity): the same bytes every time."""
    if coding == "br":
        return bytes(brotli.compress(body, quality=5))
    return gzip.compress(body, 6, mtime=0) if coding == "gzip" else body
