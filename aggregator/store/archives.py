"""Archive documents: printed once at a month's end and never changed (RFC 5005 §4)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from aggregator.schema import archives, stories
from aggregator.store.engine import insert_new
from aggregator.store.rows import maybe_moment, micros, moment


@dataclass(frozen=True, slots=True)
class Archive:
    """One month of a merged feed, or a part of it where there is much: `month` is its name, such as 2026-10 or
    2026-10-002. `document` is Atom compressed by gzip; `updated` is that of its newest story. `original` is the
    document as it was printed first, where something of it was taken down since."""

    slug: str
    month: str
    made_at: datetime
    updated: datetime
    stories: int
    document: bytes
    original: bytes | None = None


def save(connection: sa.Connection, archive: Archive) -> bool:
    """Keep it, unless that month is there already: what was published stays. Whether it was kept."""
    values = {
        "slug": archive.slug,
        "month": archive.month,
        "made_at": micros(archive.made_at),
        "updated": micros(archive.updated),
        "stories": archive.stories,
        "document": archive.document,
    }
    return connection.execute(insert_new(connection, archives).returning(archives.c.month), values).first() is not None


def revise(connection: sa.Connection, archive: Archive, document: bytes, now: datetime) -> None:
    """Have another document in its place, remembering the first; its own again, and nothing is remembered."""
    mine = archives.c.slug == archive.slug, archives.c.month == archive.month
    first = archive.original or archive.document
    values = {"document": document, "original": None if document == first else first, "updated": micros(now)}
    connection.execute(sa.update(archives).where(*mine).values(**values))


def get(connection: sa.Connection, slug: str, month: str) -> Archive | None:
    """The document of that month, None if there is none."""
    query = sa.select(archives).where(archives.c.slug == slug, archives.c.month == month)
    row = connection.execute(query).first()
    if row is None:
        return None
    original = None if row.original is None else bytes(row.original)
    made_at, updated = moment(row.made_at), moment(row.updated)
    return Archive(slug, month, made_at, updated, row.stories, bytes(row.document), original)


def months(connection: sa.Connection) -> dict[str, tuple[str, ...]]:
    """The names of each merged feed's documents, the oldest first."""
    found: dict[str, list[str]] = defaultdict(list)
    query = sa.select(archives.c.slug, archives.c.month).order_by(archives.c.slug, archives.c.month)
    for slug, month in connection.execute(query):
        found[slug].append(month)
    return {slug: tuple(each) for slug, each in found.items()}


def first_shown(connection: sa.Connection) -> datetime | None:
    """When the oldest story that is still here was first shown; None before the first."""
    return maybe_moment(connection.scalar(sa.select(sa.func.min(stories.c.shown_at))))
