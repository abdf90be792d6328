"""What the operator takes out of everything that is published: sources, stories, single entries. Durable, reversible.

The rows themselves move aside, into `withdrawn`, and leave the tombstones that retention leaves. So no query of today's
or tomorrow's finds them, an entry that still stands in its feed is not new, and a story's page answers 410. What was
told by others goes on with what is left. Lifting a takedown puts the rows back as they were.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast
from uuid import UUID

import sqlalchemy as sa

from aggregator.ingest.changes import keys_of
from aggregator.schema import entries, feeds, stories, story_labels, story_tombstones, takedowns, texts, tombstones
from aggregator.schema import withdrawn as cellar
from aggregator.store import keep, search
from aggregator.store.engine import in_chunks
from aggregator.store.rows import Values, load, maybe_moment, micros, moment

Kind = Literal["source", "story", "entry"]
_EMPTY = "{}"
AT_ONCE = 300  # entries moved in a transaction: a fraction of a second, so that polls get in between


@dataclass(frozen=True, slots=True)
class Takedown:
    """One decision of the operator's. `subject` is the address or id it was asked by, `title` what that was called.

    It is in force until `lifted_at`; `done_at` and `undone_at` say when whoever edits had put that into effect.
    """

    kind: Kind
    subject: str
    title: str
    made_at: datetime
    reason: str | None = None
    feed_id: int | None = None
    story_id: UUID | None = None
    entry_id: int | None = None
    takedown_id: int = 0
    done_at: datetime | None = None
    lifted_at: datetime | None = None
    undone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """What is not to be told of any more: `stories` lost entries or ended, `sources` (id, title, address, address of
    the site) are told of nowhere."""

    stories: frozenset[UUID]
    sources: tuple[tuple[int, str, str, str | None], ...]


# ---------------------------------------------------------------- asking


def ask(connection: sa.Connection, wanted: Takedown) -> int:
    """Remember it, in force from now on: a source brings nothing more. Whoever edits takes away what is there."""
    values = {
        "kind": wanted.kind,
        "feed_id": wanted.feed_id,
        "story_id": wanted.story_id.bytes if wanted.story_id else None,
        "entry_id": wanted.entry_id,
        "subject": wanted.subject,
        "title": wanted.title,
        "reason": wanted.reason,
        "made_at": micros(wanted.made_at),
    }
    takedown_id = connection.execute(sa.insert(takedowns).values(**values).returning(takedowns.c.takedown_id))
    if wanted.kind == "source":
        shut = {"taken_down_at": micros(wanted.made_at), "is_enabled": False}
        connection.execute(sa.update(feeds).where(feeds.c.feed_id == wanted.feed_id).values(**shut))
    return int(takedown_id.scalar_one())


def lift(connection: sa.Connection, takedown_id: int, now: datetime) -> None:
    """Have it taken back by whoever edits."""
    mine = takedowns.c.takedown_id == takedown_id
    connection.execute(sa.update(takedowns).where(mine).values(lifted_at=micros(now)))


def everything(connection: sa.Connection, in_force: bool = True) -> list[Takedown]:
    """Those in force, or all that ever were; the oldest first."""
    query = sa.select(takedowns).order_by(takedowns.c.takedown_id)
    if in_force:
        query = query.where(takedowns.c.lifted_at.is_(None))
    return [_takedown(row) for row in connection.execute(query)]


def waiting(connection: sa.Connection) -> list[Takedown]:
    """Those that are to be put into effect or taken back; the oldest first."""
    is_new = takedowns.c.done_at.is_(None) & takedowns.c.lifted_at.is_(None)
    is_over = takedowns.c.lifted_at.is_not(None) & takedowns.c.undone_at.is_(None)
    query = sa.select(takedowns).where(is_new | is_over).order_by(takedowns.c.takedown_id)
    return [_takedown(row) for row in connection.execute(query)]


def settle(connection: sa.Connection, takedown: Takedown, now: datetime) -> None:
    """It is in effect, or taken back: all of it, archives too."""
    column = "undone_at" if takedown.lifted_at else "done_at"
    mine = takedowns.c.takedown_id == takedown.takedown_id
    connection.execute(sa.update(takedowns).where(mine).values({column: micros(now)}))


def is_shut(connection: sa.Connection, feed_id: int) -> bool:
    """Whether a source is taken down."""
    return connection.scalar(sa.select(feeds.c.taken_down_at).where(feeds.c.feed_id == feed_id)) is not None


def gone(connection: sa.Connection) -> Gone:
    """What takedowns in force have changed."""
    mine = cellar.join(takedowns, takedowns.c.takedown_id == cellar.c.takedown_id)
    query = sa.select(cellar.c.story_id).select_from(mine).distinct()
    where = takedowns.c.lifted_at.is_(None), cellar.c.story_id.is_not(None)
    changed = frozenset(UUID(bytes=story_id) for story_id in connection.scalars(query.where(*where)))
    shut = sa.select(feeds).where(feeds.c.taken_down_at.is_not(None)).order_by(feeds.c.feed_id)
    rows = connection.execute(shut)
    return Gone(changed, tuple((r.feed_id, r.title_override or r.title or "", r.url, r.site_url) for r in rows))


def _takedown(row: Any) -> Takedown:
    return Takedown(
        kind=cast(Kind, row.kind),
        subject=row.subject,
        title=row.title,
        made_at=moment(row.made_at),
        reason=row.reason,
        feed_id=row.feed_id,
        story_id=UUID(bytes=row.story_id) if row.story_id else None,
        entry_id=row.entry_id,
        takedown_id=row.takedown_id,
        done_at=maybe_moment(row.done_at),
        lifted_at=maybe_moment(row.lifted_at),
        undone_at=maybe_moment(row.undone_at),
    )


# ---------------------------------------------------------------- taking away


def take_some(connection: sa.Connection, takedown: Takedown, now: datetime) -> int:
    """Move some of its entries aside; how many, 0 once there are none left. Done again it takes what is left."""
    ids = list(connection.scalars(_meant(takedown).order_by(entries.c.entry_id).limit(AT_ONCE)))
    if not ids:
        return 0
    touched = _stories_of(connection, ids)
    query = sa.select(entries.c.story_id).where(entries.c.story_id.in_(touched), entries.c.entry_id.not_in(ids))
    whole = sorted(set(touched).difference(connection.scalars(query)))
    _put_aside(connection, takedown.takedown_id, ids, whole, now)
    keep.take(connection, ids, now)
    nameless = {"is_taken_down": True, "title": "", "link": None}
    for some in in_chunks(_with_redirects(connection, takedown.takedown_id, whole)):
        grave = story_tombstones.c.story_id.in_(some)
        connection.execute(sa.update(story_tombstones).where(grave).values(**nameless))
    # What is left is told by others: who leads, and where it belongs, is for the desk to say.
    staying = sorted(set(touched).difference(whole))
    connection.execute(sa.update(stories).where(stories.c.story_id.in_(staying)).values(touched_at=micros(now)))
    return len(ids)


def _meant(takedown: Takedown) -> sa.Select[Any]:
    query = sa.select(entries.c.entry_id)
    if takedown.kind == "source":
        return query.where(entries.c.feed_id == takedown.feed_id)
    if takedown.kind == "entry":
        return query.where(entries.c.entry_id == takedown.entry_id)
    assert takedown.story_id is not None
    # It may have become part of another since it was asked for.
    went = sa.select(stories.c.redirect_to).where(stories.c.story_id == takedown.story_id.bytes)
    mine = (entries.c.story_id == takedown.story_id.bytes) | entries.c.story_id.in_(went)
    return query.where(mine)


def _stories_of(connection: sa.Connection, ids: list[int]) -> list[bytes]:
    query = sa.select(entries.c.story_id).where(entries.c.entry_id.in_(ids), entries.c.story_id.is_not(None))
    return sorted(connection.scalars(query.distinct()))


def _put_aside(connection: sa.Connection, takedown_id: int, ids: list[int], whole: list[bytes], now: datetime) -> None:
    rows: list[Values] = []
    said = {row.entry_id: row for row in connection.execute(sa.select(texts).where(texts.c.entry_id.in_(ids)))}
    leads = set(connection.scalars(sa.select(stories.c.lead_entry_id).where(stories.c.lead_entry_id.in_(ids))))
    copies: dict[int, list[int]] = {}
    for entry_id, original in connection.execute(
        sa.select(entries.c.entry_id, entries.c.duplicate_of).where(entries.c.duplicate_of.in_(ids))
    ):
        copies.setdefault(original, []).append(entry_id)
    for row in connection.execute(sa.select(entries).where(entries.c.entry_id.in_(ids))).mappings():
        content: Values = {"row": _packed(row), "leads": row["entry_id"] in leads}
        content["copies"] = copies.get(row["entry_id"], [])
        if (text := said.get(row["entry_id"])) is not None:
            content["text"] = [text.summary, text.content]
        rows.append(_aside(takedown_id, "entry", str(row["entry_id"]), row["story_id"], now, content))
    for some in in_chunks(whole):
        mine = stories.c.story_id.in_(some) | stories.c.redirect_to.in_(some)
        for row in connection.execute(sa.select(stories).where(mine)).mappings():
            key = row["story_id"].hex()
            rows.append(_aside(takedown_id, "story", key, row["story_id"], now, {"row": _packed(row)}))
    connection.execute(sa.insert(cellar), rows)


def _aside(
    takedown_id: int, kind: str, key: str, story_id: bytes | None, now: datetime, content: Mapping[str, Any]
) -> Values:
    said = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    at = micros(now)
    return {
        "takedown_id": takedown_id, "kind": kind, "key": key, "story_id": story_id, "taken_at": at, "content": said,
    }  # fmt: skip


def _with_redirects(connection: sa.Connection, takedown_id: int, whole: list[bytes]) -> list[bytes]:
    """The stories that ended, and those that had become part of them."""
    mine = cellar.c.takedown_id == takedown_id, cellar.c.kind == "story"
    return sorted({*whole, *connection.scalars(sa.select(cellar.c.story_id).where(*mine))})


def forget_old(connection: sa.Connection, kept: timedelta, now: datetime) -> int:
    """Empty what was taken longer ago than entries are kept: it can be put back no more. That it is gone stays known,
    so that archives and briefings stay without it. How many rows."""
    old = cellar.c.taken_at < micros(now - kept), cellar.c.content != _EMPTY
    return connection.execute(sa.update(cellar).where(*old).values(content=_EMPTY)).rowcount


# ---------------------------------------------------------------- putting back


def reopen(connection: sa.Connection, takedown: Takedown) -> None:
    """Let a source be one as others again, due at once; whether it is enabled the configuration says."""
    if takedown.kind == "source":
        again = {"taken_down_at": None, "next_poll_at": 0, "next_poll_why": None}
        connection.execute(sa.update(feeds).where(feeds.c.feed_id == takedown.feed_id).values(**again))


def put_back(connection: sa.Connection, takedown: Takedown, now: datetime) -> int:
    """Put back everything that it took, but for what another takedown in force would take; how many entries."""
    mine = sa.select(cellar).where(cellar.c.takedown_id == takedown.takedown_id).order_by(cellar.c.key)
    rows = connection.execute(mine).all()
    others = [other for other in everything(connection) if other.takedown_id != takedown.takedown_id]
    told = {row: _unpacked(entries, load(row.content).get("row", {})) for row in rows if row.kind == "entry"}
    held = {row: _still_down(others, row, values) for row, values in told.items()}
    ended = {row: _unpacked(stories, load(row.content).get("row", {})) for row in rows if row.kind == "story"}
    held |= {row: _held_with(row, values, others, told, held) for row, values in ended.items()}
    for row, other in held.items():
        change = sa.delete(cellar) if other is None else sa.update(cellar).values(takedown_id=other)
        connection.execute(change.where(*_is(row)))
    revived = [row for row, values in ended.items() if values and held[row] is None]
    for row in revived:
        _revive(connection, ended[row])
    back = {row: load(row.content) for row, values in told.items() if values and held[row] is None}
    for row, content in back.items():
        _return(connection, told[row], content)
    _mend(connection, {int(row.key): content for row, content in back.items()}, now)
    return len(back)


def _is(row: Any) -> tuple[sa.ColumnElement[bool], ...]:
    return cellar.c.takedown_id == row.takedown_id, cellar.c.kind == row.kind, cellar.c.key == row.key


def _still_down(others: Iterable[Takedown], row: Any, values: Values) -> int | None:
    """The takedown that keeps this entry where it is, None where nothing does."""
    for other in others:
        is_source = other.kind == "source" and values.get("feed_id") == other.feed_id
        is_story = other.story_id is not None and row.story_id == other.story_id.bytes
        if is_source or is_story or int(row.key) == other.entry_id:
            return other.takedown_id
    return None


def _held_with(
    row: Any, values: Values, others: Iterable[Takedown], told: Mapping[Any, Values], held: Mapping[Any, int | None]
) -> int | None:
    """The takedown that keeps a story where it is: with all the entries that this one took of it."""
    root = values.get("redirect_to") or row.story_id
    for other in others:
        if other.story_id is not None and root == other.story_id.bytes:
            return other.takedown_id
    mine = [held[each] for each in told if each.story_id == root]
    return None if not mine or None in mine else mine[0]


def _revive(connection: sa.Connection, values: Values) -> None:
    mine = stories.c.story_id == values["story_id"]
    connection.execute(sa.delete(story_tombstones).where(story_tombstones.c.story_id == values["story_id"]))
    if connection.scalar(sa.select(stories.c.story_id).where(mine)) is not None:
        return
    connection.execute(sa.insert(stories).values(**values))
    if values["redirect_to"] is None:
        labels = dict.fromkeys(load(values["labels"]) or ())
        rows = [{"label": label, "story_id": values["story_id"]} for label in labels]
        if rows:
            connection.execute(sa.insert(story_labels), rows)


def _return(connection: sa.Connection, values: Values, content: Mapping[str, Any]) -> None:
    """The entry into its story, or into the one that became of that; where there is none it is grouped anew."""
    values = {**values, "story_id": _home(connection, values["story_id"])}
    if values["story_id"] is None:
        values |= {"duplicate_of": None, "is_stale": False}
    connection.execute(sa.insert(entries).values(**values))
    if (said := content.get("text")) is not None:
        connection.execute(sa.insert(texts).values(entry_id=values["entry_id"], summary=said[0], content=said[1]))
    published = maybe_moment(values["published"])
    keys = keys_of(values["guid"], values["canonical_url"], values["title_key"], published).present()
    graves = tombstones.c.feed_id == values["feed_id"], tombstones.c.key.in_(list(keys))
    connection.execute(sa.delete(tombstones).where(*graves))


def _home(connection: sa.Connection, story_id: bytes | None) -> bytes | None:
    if story_id is None:
        return None
    query = sa.select(stories.c.story_id, stories.c.redirect_to).where(stories.c.story_id == story_id)
    row = connection.execute(query).first()
    return None if row is None else row.redirect_to or row.story_id


def _mend(connection: sa.Connection, back: Mapping[int, Any], now: datetime) -> None:
    """Leads, copies and numbers of sources as they were before; what is found by words."""
    for entry_id, content in back.items():
        home = connection.scalar(sa.select(entries.c.story_id).where(entries.c.entry_id == entry_id))
        if home is None:
            continue
        if content["leads"]:
            connection.execute(sa.update(stories).where(stories.c.story_id == home).values(lead_entry_id=entry_id))
        for some in in_chunks(content["copies"]):
            ours = entries.c.entry_id.in_(some), entries.c.story_id == home
            connection.execute(sa.update(entries).where(*ours).values(duplicate_of=entry_id))
    ids = sorted(back)
    touched: set[bytes] = set()
    for some in in_chunks(ids):
        touched.update(_stories_of(connection, some))
    for story_id in sorted(touched):
        keep.mend(connection, story_id, now)
    for some in in_chunks(sorted(touched)):
        connection.execute(sa.update(stories).where(stories.c.story_id.in_(some)).values(touched_at=micros(now)))
    search.index(connection, ids)


# ---------------------------------------------------------------- rows as text


def _packed(row: sa.RowMapping) -> Values:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}


def _unpacked(table: sa.Table, values: Mapping[str, Any]) -> Values:
    """The row for a table that may have got or lost columns since."""
    found: Values = {}
    for column in table.c:
        if column.name in values:
            value = values[column.name]
            is_bytes = isinstance(column.type, sa.LargeBinary) and value is not None
            found[column.name] = bytes.fromhex(value) if is_bytes else value
    return found
