"""Briefings as they were made, and which of their letters were sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from aggregator.schema import digests, letters
from aggregator.store.engine import insert_new
from aggregator.store.rows import micros, moment

WAITING, SENDING, SENT, REFUSED = "waiting", "sending", "sent", "refused"
UNKNOWN = "unknown"  # nobody can know whether it arrived: it was sent, and no answer came


@dataclass(frozen=True, slots=True)
class KeptDigest:
    """A briefing; `content` is JSON that `publish.digest` reads, `original` the same before something of it was taken
    down, None where nothing was."""

    kind: str
    day: str
    since: datetime
    made_at: datetime
    content: str
    original: str | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A digest on its way to one address. `state` is waiting, sending, sent, refused or unknown; `tries`
    count from 0."""

    kind: str
    day: str
    recipient: str
    state: str
    tries: int
    next_try_at: datetime


def save(connection: sa.Connection, digest: KeptDigest, recipients: Iterable[str]) -> bool:
    """Keep it with a letter to each recipient, unless it is there already; whether it was kept. One transaction, so
    that a digest never lacks its letters nor gets them twice."""
    values = {
        "kind": digest.kind,
        "day": digest.day,
        "since": micros(digest.since),
        "made_at": micros(digest.made_at),
        "content": digest.content,
    }
    made = connection.execute(insert_new(connection, digests).returning(digests.c.day), values).first()
    if made is None:
        return False
    rows = [
        {
            "kind": digest.kind,
            "day": digest.day,
            "recipient": recipient,
            "state": WAITING,
            "tries": 0,
            "next_try_at": micros(digest.made_at),
        }
        for recipient in dict.fromkeys(recipients)
    ]
    if rows:
        connection.execute(sa.insert(letters), rows)
    return True


def latest(connection: sa.Connection, kind: str | None, limit: int) -> list[KeptDigest]:
    """The newest of a kind (None: of both), the newest first."""
    query = sa.select(digests).order_by(digests.c.made_at.desc(), digests.c.kind).limit(limit)
    if kind is not None:
        query = query.where(digests.c.kind == kind)
    return [_digest(row) for row in connection.execute(query)]


def of_day(connection: sa.Connection, day: str) -> KeptDigest | None:
    """The digest of that day or week, whatever the case of its name."""
    row = connection.execute(sa.select(digests).where(digests.c.day == day.upper())).first()
    return _digest(row) if row else None


def _digest(row: sa.Row[tuple[object, ...]]) -> KeptDigest:
    return KeptDigest(row.kind, row.day, moment(row.since), moment(row.made_at), row.content, row.original)


def revise(connection: sa.Connection, digest: KeptDigest, content: str) -> None:
    """Have it say something else, remembering what it said first; that again, and nothing is remembered."""
    mine = digests.c.kind == digest.kind, digests.c.day == digest.day
    first = digest.original or digest.content
    values = {"content": content, "original": None if content == first else first}
    connection.execute(sa.update(digests).where(*mine).values(**values))


def count(connection: sa.Connection) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(digests)) or 0


def take_letter(connection: sa.Connection, now: datetime) -> Letter | None:
    """The next letter whose time has come, from now on `sending`: nobody else takes it, not even after a crash, as
    nobody could know whether it went out."""
    due = sa.select(letters).where(letters.c.state == WAITING, letters.c.next_try_at <= micros(now))
    query = due.order_by(letters.c.next_try_at, letters.c.recipient).limit(1)
    row = connection.execute(query.with_for_update(skip_locked=True)).first()
    if row is None:
        return None
    _set(connection, row.kind, row.day, row.recipient, state=SENDING)
    return Letter(row.kind, row.day, row.recipient, SENDING, row.tries, moment(row.next_try_at))


def settle_letter(connection: sa.Connection, letter: Letter, state: str, next_try_at: datetime | None = None) -> None:
    """What became of a letter that was taken: SENT, REFUSED, UNKNOWN, or WAITING until `next_try_at`."""
    values: dict[str, object] = {"state": state, "tries": letter.tries + 1}
    if next_try_at is not None:
        values["next_try_at"] = micros(next_try_at)
    _set(connection, letter.kind, letter.day, letter.recipient, **values)


def unsettled(connection: sa.Connection) -> list[Letter]:
    """Letters in the middle of whose sending a process died."""
    return _letters(connection, sa.select(letters).where(letters.c.state == SENDING))


def stuck(connection: sa.Connection, since: datetime) -> list[Letter]:
    """Letters of digests made since then that were refused, of which nobody knows, or that failed several times."""
    is_lost = letters.c.state.in_((REFUSED, UNKNOWN))
    query = (
        sa.select(letters)
        .join(digests, (digests.c.kind == letters.c.kind) & (digests.c.day == letters.c.day))
        .where(digests.c.made_at >= micros(since), is_lost | ((letters.c.state == WAITING) & (letters.c.tries >= 2)))
        .order_by(letters.c.day, letters.c.recipient)
    )
    return _letters(connection, query)


def _letters(connection: sa.Connection, query: sa.Select[Any]) -> list[Letter]:
    rows = connection.execute(query)
    return [Letter(r.kind, r.day, r.recipient, r.state, r.tries, moment(r.next_try_at)) for r in rows]


def _set(connection: sa.Connection, kind: str, day: str, recipient: str, **values: object) -> None:
    mine = letters.c.kind == kind, letters.c.day == day, letters.c.recipient == recipient
    connection.execute(sa.update(letters).where(*mine).values(**values))
