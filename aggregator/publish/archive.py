"""Which months of a merged feed are to be archived (RFC 5005 §4). Pure: times in, months out.

A story belongs to the month in which it first stood in a feed, so that each is in one archive, and in UTC, so that a
change of the site's time zone moves none. A month of very many stories is several documents: `2026-10` holds the
oldest of them, `2026-10-002` those after.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TypeVar

from aggregator.types import Rendered

T = TypeVar("T")
IN_PART = 1000  # stories in a document: about a megabyte that a reader must take at once

_MONTH = len("2026-10")
_ADDRESS = re.compile(r"/archive/([a-z0-9-]+)/([0-9]{4}-(?:0[1-9]|1[0-2])(?:-[0-9]{3,5})?)\.atom")


def month_of(at: datetime) -> str:
    """`2026-11`"""
    return f"{at.astimezone(UTC):%Y-%m}"


def bounds(month: str) -> tuple[datetime, datetime]:
    """Its first moment and that of the next month."""
    year, number = int(month[:4]), int(month[5:])
    begin = datetime(year, number, 1, tzinfo=UTC)
    return begin, datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def name_of(month: str, part: int) -> str:
    """`2026-10`, from the second part on `2026-10-002`; the later part sorts behind."""
    return month if part == 1 else f"{month}-{part:03}"


def parts(newest_first: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """A month's stories document by document, the oldest first, each with its newest story first; one where there are
    none."""
    ends = range(len(newest_first), 0, -most) or (0,)
    for end in ends:
        yield newest_first[max(0, end - most) : end]


def months_due(first_shown: datetime | None, archived: Iterable[str], now: datetime) -> Iterator[str]:
    """The months that are over, from that of the first story shown on, and later than every month that is archived: a
    chain of documents grows at its end alone. `archived` are documents' names."""
    if first_shown is None:
        return
    newest = max(archived, default="")[:_MONTH]
    month = month_of(first_shown)
    while month < month_of(now):
        if month > newest:
            yield month
        month = month_of(bounds(month)[1])


def asked_for(path: str) -> tuple[str, str] | None:
    """(slug, month) of an archive document's path, None for any other."""
    match = _ADDRESS.fullmatch(path)
    return (match[1], match[2]) if match else None


def ready(document: bytes, updated: datetime) -> Rendered:
    """The stored document (gzip) ready to be sent. It never changes, so its date is that of its newest story."""
    body = gzip.decompress(document)
    return Rendered(
        body=body,
        content_type="application/atom+xml; charset=utf-8",
        etag=blake2b(body, digest_size=12).hexdigest(),
        last_modified=updated.replace(microsecond=0),
        gzip=document,
    )
