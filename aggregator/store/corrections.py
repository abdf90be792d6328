"""What people put right by hand, kept in order so that later passes heed it and a rebuild does it again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, cast
from uuid import UUID

import sqlalchemy as sa

from aggregator.schema import corrections as table
from aggregator.store.rows import dump, dump_uuids, load, micros, moment, uuids

Kind = Literal["merge", "split", "file"]


@dataclass(frozen=True, slots=True)
class Correction:
    """merge: `story_ids` are one story, the first. split: the first of them goes on from the first of `entry_ids`, the
    other entries leave it and go on as the last; all of `story_ids` stay apart. file: the first is `section`'s, or the
    model's again where that is None; `texts` are the (title, summary)s it had then, for the model to learn from.

    `correction_id` grows from one to the next; 0 before it was stored."""

    kind: Kind
    made_at: datetime
    story_ids: tuple[UUID, ...]
    entry_ids: tuple[int, ...] = ()
    section: str | None = None
    texts: tuple[tuple[str, str], ...] = ()
    correction_id: int = field(default=0, compare=False)


def add(connection: sa.Connection, correction: Correction) -> None:
    if connection.dialect.name == "postgresql":
        # In turn: who heeds goes by rising ids, and would never see one that was given out early and committed late.
        connection.execute(sa.text("LOCK TABLE corrections IN SHARE ROW EXCLUSIVE MODE"))
    connection.execute(
        sa.insert(table).values(
            kind=correction.kind,
            made_at=micros(correction.made_at),
            story_ids=dump_uuids(correction.story_ids) or "[]",
            entry_ids=str(list(correction.entry_ids)),
            section=correction.section,
            texts=dump(correction.texts),
        )
    )


def all_of(connection: sa.Connection, after: int = 0) -> list[Correction]:
    query = sa.select(table).where(table.c.correction_id > after).order_by(table.c.correction_id)
    return [
        Correction(
            cast(Kind, row.kind),
            moment(row.made_at),
            uuids(row.story_ids),
            tuple(load(row.entry_ids)),
            row.section,
            tuple((title, summary) for title, summary in load(row.texts) or ()),
            row.correction_id,
        )
        for row in connection.execute(query)
    ]
