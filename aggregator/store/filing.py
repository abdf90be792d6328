"""Filing anew: stories that wait for it, verdicts by hand, and the heads that learnt from those.

A person's correction is in force at once; it also marks the story as touched, so that the process that files looks at
it again. A pass takes the mark away only if it is still the one it saw: what was corrected meanwhile waits for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.schema import corrections, heads, stories
from aggregator.store.corrections import Correction, add
from aggregator.store.engine import in_chunks
from aggregator.store.rows import StoryRecord, Values, dump, dump_events, load, micros, moment, section_values, uuids
from aggregator.store.stories import by_ids, save_labels
from aggregator.types import Sectioning, Story

HEADS_KEPT = 8  # versions to roll back to


@dataclass(frozen=True, slots=True)
class Touched:
    """A story that waits to be filed anew since `touched_at`."""

    story: Story
    touched_at: datetime


@dataclass(frozen=True, slots=True)
class Head:
    """One version of what the section model learnt: its parameters, and the report that let it in."""

    head_id: int
    made_at: datetime
    is_active: bool
    parameters: bytes
    report: Mapping[str, Any] = field(default_factory=dict)


# ---------------------------------------------------------------- what waits


def touch(connection: sa.Connection, since: datetime | None, now: datetime) -> int:
    """Have the stories published since then (None: all) filed anew; how many."""
    where: list[sa.ColumnElement[bool]] = [stories.c.redirect_to.is_(None)]
    if since is not None:
        where.append(stories.c.published >= micros(since))
    return connection.execute(sa.update(stories).where(*where).values(touched_at=micros(now))).rowcount


def touched(connection: sa.Connection, limit: int) -> list[Touched]:
    """Stories that wait to be filed anew, the longest waiting first."""
    waits = stories.c.touched_at.is_not(None), stories.c.redirect_to.is_(None)
    query = sa.select(stories.c.story_id, stories.c.touched_at).where(*waits)
    rows = connection.execute(query.order_by(stories.c.touched_at).limit(limit))
    marks: dict[bytes, int] = {row.story_id: row.touched_at for row in rows}
    return [Touched(story, moment(marks[story.story_id.bytes])) for story in by_ids(connection, list(marks))]


def settle(connection: sa.Connection, filed: Sequence[tuple[StoryRecord, datetime]]) -> None:
    """Save how touched stories were filed; one that was touched again since stays touched."""
    if not filed:
        return
    at = stories.c.story_id == sa.bindparam("at_story")
    rows = [{"at_story": record.story_id.bytes, **_values(record)} for record, _ in filed]
    columns: dict[str, sa.BindParameter[Any]] = {name: sa.bindparam(name) for name in rows[0] if name != "at_story"}
    connection.execute(sa.update(stories).where(at).values(**columns), rows)
    save_labels(connection, [record for record, _ in filed])
    marks = [{"at_story": record.story_id.bytes, "mark": micros(mark)} for record, mark in filed]
    same = stories.c.touched_at == sa.bindparam("mark")
    connection.execute(sa.update(stories).where(at, same).values(touched_at=None), marks)


def _values(record: StoryRecord) -> Values:
    return {
        "lead_entry_id": record.lead_entry_id,
        "updated_at": micros(record.updated_at),
        "labels": dump(record.labels),
        "language": record.language,
        "withheld": record.withheld,
        "boost": record.boost,
        "events": dump_events(record.events),
        **section_values(record.sectioning),
    }


# ---------------------------------------------------------------- by hand


def by_hand(connection: sa.Connection, correction: Correction, verdict: Sectioning | None) -> None:
    """File one story as a person says, from now on (`verdict` None: as the model says again). In force at once."""
    add(connection, correction)
    (asked,) = correction.story_ids
    # It may have been merged away since it was looked up.
    went = sa.select(stories.c.redirect_to).where(stories.c.story_id == asked.bytes)
    story_id = connection.scalar(went) or asked.bytes
    now = micros(correction.made_at)
    values: Values = {"is_filed_by_hand": verdict is not None, "touched_at": now, "updated_at": now}
    if verdict is not None:
        values |= {**section_values(verdict), "withheld": None}
    connection.execute(sa.update(stories).where(stories.c.story_id == story_id).values(**values))


def said(connection: sa.Connection, story_ids: Iterable[UUID]) -> dict[UUID, Correction]:
    """The last word by hand on where these stories, or others now part of them, belong; not what was taken back."""
    now = {story_id: story_id for story_id in story_ids}
    merged = sa.select(stories.c.story_id, stories.c.redirect_to)
    for some in in_chunks([story_id.bytes for story_id in now]):
        for row in connection.execute(merged.where(stories.c.redirect_to.in_(some))):
            now[UUID(bytes=row.story_id)] = UUID(bytes=row.redirect_to)
    query = sa.select(corrections).where(corrections.c.kind == "file").order_by(corrections.c.correction_id)
    found: dict[UUID, Correction] = {}
    for row in connection.execute(query) if now else ():
        for story_id in now.keys() & set(uuids(row.story_ids)):
            found[now[story_id]] = Correction("file", moment(row.made_at), (story_id,), (), row.section)
    return {story_id: correction for story_id, correction in found.items() if correction.section is not None}


# ---------------------------------------------------------------- heads


def add_head(connection: sa.Connection, parameters: bytes, report: Mapping[str, Any], now: datetime) -> int:
    """Keep a new version and use it from now on; its number. The oldest ones go."""
    connection.execute(sa.update(heads).values(is_active=False))
    values = {"made_at": micros(now), "is_active": True, "report": dump(dict(report)) or "{}", "parameters": parameters}
    head_id = connection.execute(sa.insert(heads).values(**values).returning(heads.c.head_id)).scalar_one()
    newest_first = sa.select(heads.c.head_id).order_by(heads.c.head_id.desc())
    for old in list(connection.scalars(newest_first))[HEADS_KEPT:]:
        connection.execute(sa.delete(heads).where(heads.c.head_id == old))
    return int(head_id)


def head(connection: sa.Connection) -> Head | None:
    """The version in use, None where it is the shipped model alone."""
    row = connection.execute(sa.select(heads).where(heads.c.is_active).order_by(heads.c.head_id.desc())).first()
    return None if row is None else _head(row)


def roll_back(connection: sa.Connection) -> tuple[Head | None, Head | None]:
    """Use the version before the one in use, or the shipped model; (what was in use, what is)."""
    before = head(connection)
    if before is None:
        return None, None
    connection.execute(sa.update(heads).values(is_active=False))
    earlier = sa.select(heads).where(heads.c.head_id < before.head_id).order_by(heads.c.head_id.desc())
    row = connection.execute(earlier).first()
    connection.execute(sa.delete(heads).where(heads.c.head_id == before.head_id))
    if row is None:
        return before, None
    connection.execute(sa.update(heads).where(heads.c.head_id == row.head_id).values(is_active=True))
    return before, _head(row)


def _head(row: Any) -> Head:
    return Head(row.head_id, moment(row.made_at), row.is_active, row.parameters, load(row.report) or {})
