"""Words in, stories out: full-text search over titles and the beginnings of texts, the same on both databases.

What is indexed and what is asked for pass through `text.search_words` first, so that SQLite (FTS5) and PostgreSQL
(tsvector) see the same plain words; both then reduce them to English stems. The index belongs to this module alone: it
is no table of the schema's metadata, as SQLAlchemy knows neither kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import sqlalchemy as sa

from aggregator import html
from aggregator.schema import entries, stories, story_labels, texts
from aggregator.store.engine import in_chunks
from aggregator.store.rows import micros
from aggregator.store.stories import WITHHELD, StoryFilter, by_ids
from aggregator.store.stories import select as stories_of
from aggregator.text import search_terms, search_words
from aggregator.types import UNSURE, StoredEntry, Story

MAX_QUERY = 200  # characters
MAX_TERMS = 12  # words and phrases; more cost time and mean nothing
_TEXT = 6000  # characters of markup that are indexed: the beginning, some 600 words of it
_WORDS = 2500  # characters of plain words of it
_STEP = 400  # matching entries looked at in one step
_STEPS = 12  # so that a query nobody can satisfy ends
_UNWANTED = 3
_LATE = timedelta(days=7)  # an entry is in no story published that long after it was first seen
_SPAN = 20_000  # entries of the first look back on PostgreSQL; doubles where it found little


@dataclass(frozen=True, slots=True)
class Query:
    """What must stand in a story and what must not: words, or phrases of several words next to each other, as
    `text.search_words` spells them."""

    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()

    @classmethod
    def of(cls, asked: str, without: str = "") -> Query:
        """`asked` as people type it: words, `"phrases"`, `-words`; `without` are further words that must not occur.
        What is longer than MAX_QUERY or MAX_TERMS is cut."""
        wanted, unwanted = search_terms(asked[:MAX_QUERY], without[:MAX_QUERY])
        return cls(wanted[:MAX_TERMS], unwanted[:MAX_TERMS])

    def __bool__(self) -> bool:
        return bool(self.wanted or self.unwanted)

    def allows(self, story: Story) -> bool:
        """Whether nothing in the story's titles and summaries is unwanted."""
        if not self.unwanted:
            return True
        said = [f" {_said(entry)} " for entry in story.told]
        return not any(f" {term} " in each for term in self.unwanted for each in said)


def _said(entry: StoredEntry) -> str:
    return search_words(f"{entry.title} . {html.to_text((entry.summary or entry.content or '')[:_TEXT])}")


# ---------------------------------------------------------------- writing


def index(connection: sa.Connection, entry_ids: Iterable[int]) -> None:
    """Make these entries found by what they say now."""
    query = sa.select(entries.c.entry_id, entries.c.title, texts.c.summary, texts.c.content)
    query = query.select_from(entries.outerjoin(texts))
    rows = []
    for some in in_chunks(sorted(set(entry_ids))):
        for row in connection.execute(query.where(entries.c.entry_id.in_(some))):
            body = search_words(html.to_text((row.content or row.summary or "")[:_TEXT]))[:_WORDS]
            rows.append({"id": row.entry_id, "title": search_words(row.title), "body": body})
    if rows:
        connection.execute(_INSERT[connection.dialect.name], rows)


def rebuild(connection: sa.Connection) -> int:
    """Index all grouped entries anew; how many."""
    connection.execute(sa.text("DELETE FROM search"))
    ids = list(connection.scalars(sa.select(entries.c.entry_id).where(entries.c.story_id.is_not(None))))
    for some in in_chunks(sorted(ids)):
        index(connection, some)
    return len(ids)


def forget_texts(connection: sa.Connection, entry_ids: Sequence[int]) -> None:
    """Keep of these entries only the words of their titles: retention took the texts."""
    if entry_ids:
        connection.execute(_FORGET[connection.dialect.name], [{"id": entry_id} for entry_id in entry_ids])


_INSERT = {
    "sqlite": sa.text("INSERT OR REPLACE INTO search (rowid, title, body) VALUES (:id, :title, :body)"),
    "postgresql": sa.text(
        "INSERT INTO search (entry_id, words) VALUES (:id, to_tsvector('bmn', :title || ' ' || :body))"
        " ON CONFLICT (entry_id) DO UPDATE SET words = excluded.words"
    ),
}
_FORGET = {
    "sqlite": sa.text("UPDATE search SET body = '' WHERE rowid = :id"),
    "postgresql": sa.text(
        "UPDATE search SET words = to_tsvector('bmn', entries.title_key) FROM entries"
        " WHERE entries.entry_id = search.entry_id AND search.entry_id = :id"
    ),
}


# ---------------------------------------------------------------- reading


def select(connection: sa.Connection, query: Query, wanted: StoryFilter, limit: int, skip: int = 0) -> list[Story]:
    """The newest `limit` stories of that kind behind the first `skip`, in which every wanted term occurs in one entry,
    and no unwanted one in any. Looks back until it has them or has seen `_STEPS` times `_STEP` matching entries; where
    nothing is wanted, among `_UNWANTED` times as many stories."""
    if not query:
        return stories_of(connection, wanted, limit, skip)
    most = limit + skip
    if not query.wanted:
        return [story for story in stories_of(connection, wanted, _UNWANTED * most) if query.allows(story)][skip:most]
    found: list[Story] = []
    seen: set[bytes] = set()
    look = _sqlite_matches if connection.dialect.name == "sqlite" else _postgresql_matches
    for matches in look(connection, query, wanted):
        fresh = [story_id for story_id in dict.fromkeys(matches) if story_id not in seen]
        seen.update(fresh)
        # A story with its texts costs more than all the rest, so no more of them are read than are wanted.
        for some in in_chunks(_of_kind(connection, fresh, wanted), most):
            found += [story for story in by_ids(connection, some) if query.allows(story)]
            if len(found) >= most:
                break
        if len(found) >= most:
            break
    return sorted(found, key=lambda story: story.place)[skip:most]


def _of_kind(connection: sa.Connection, story_ids: list[bytes], wanted: StoryFilter) -> list[bytes]:
    """Those of the stories that are of that kind, the newest first."""
    names = None if wanted.sections is None else set(wanted.sections)
    s = stories.c
    query = sa.select(s.published, s.ref, s.story_id, s.section, s.second, s.withheld)
    query = query.where(*replace(wanted, label=None, feed_id=None).conditions())
    if wanted.label is not None:
        # Asked of each of the few stories, where `conditions` would have all that are labelled so gathered first.
        is_it = (story_labels.c.story_id == s.story_id) & (story_labels.c.label == wanted.label)
        query = query.where(sa.exists().where(is_it))
    kept: list[tuple[int, str, bytes]] = []
    for some in in_chunks(story_ids):
        for row in connection.execute(query.where(s.story_id.in_(some))):
            # Not in SQL: the planner would take the index of sections and walk a quarter of all stories.
            if names is None or names & {row.section or UNSURE, row.second, WITHHELD if row.withheld else None}:
                kept.append((-row.published, row.ref, row.story_id))
    return [story_id for _, _, story_id in sorted(kept)]


def _where(wanted: StoryFilter) -> tuple[str, dict[str, int]]:
    """What of the filter can be asked of the entry that matches, with its parameters: it must be that source's, and
    told by then."""
    asked: list[str] = []
    values: dict[str, int] = {}
    if wanted.feed_id is not None:
        asked.append(" AND entries.feed_id = :feed_id")
        values["feed_id"] = wanted.feed_id
    if wanted.until is not None:
        asked.append(" AND entries.dated < :latest")
        values["latest"] = micros(wanted.until)
    return "".join(asked), values


def _sqlite_matches(connection: sa.Connection, query: Query, wanted: StoryFilter) -> Iterable[list[bytes]]:
    """Stories of matching entries, the newest first, a step at a time."""
    # Quoted, a term is words and nothing else; `search_words` leaves no quote in it.
    asked = " AND ".join(f'"{term}"' for term in query.wanted)
    where, values = _where(wanted)
    statement = sa.text(
        "SELECT search.rowid AS at, story_id, first_seen FROM search JOIN entries ON entry_id = search.rowid"  # noqa: S608 (our own words)
        f" WHERE search MATCH :asked AND search.rowid < :before{where} ORDER BY search.rowid DESC LIMIT :step"
    )
    before = 2**62
    for _ in range(_STEPS):
        rows = connection.execute(statement, values | {"asked": asked, "before": before, "step": _STEP}).all()
        yield [row.story_id for row in rows if row.story_id is not None]
        if len(rows) < _STEP or _is_before(rows[-1].first_seen, wanted):
            return
        before = rows[-1].at


def _is_before(first_seen: int, wanted: StoryFilter) -> bool:
    """Whether entries first seen then, and those before, are too old to be in any story that is asked for."""
    return wanted.since is not None and first_seen < micros(wanted.since - _LATE)


def _postgresql_matches(connection: sa.Connection, query: Query, wanted: StoryFilter) -> Iterable[list[bytes]]:
    """The same. In spans of entries: the planner would sort every match of a common word to give the newest few. Where
    two spans held too little the words are rare, and the index of words is asked for all the rest."""
    asked = " && ".join(f"phraseto_tsquery('bmn', :t{n})" for n in range(len(query.wanted)))
    where, values = _where(wanted)
    spanned = sa.text(
        f"SELECT search.entry_id, story_id, first_seen FROM search JOIN entries USING (entry_id)"  # noqa: S608 (our own words)
        f" WHERE words @@ ({asked}) AND search.entry_id < :before AND search.entry_id >= :least{where}"
        " ORDER BY search.entry_id DESC LIMIT :step"
    )
    # Materialized, so that the planner asks the index of words instead of walking the entries.
    whole = sa.text(
        f"WITH hits AS MATERIALIZED (SELECT entry_id FROM search WHERE words @@ ({asked}))"  # noqa: S608 (our own words)
        " SELECT entry_id, story_id, first_seen FROM hits JOIN entries USING (entry_id)"
        f" WHERE entry_id < :before AND entry_id >= :least{where} ORDER BY entry_id DESC LIMIT :step"
    )
    terms = {f"t{n}": term for n, term in enumerate(query.wanted)}
    before = (connection.scalar(sa.text("SELECT max(entry_id) FROM search")) or 0) + 1
    span, steps = _SPAN, 0
    while before > 0 and steps < _STEPS:
        is_rare = span > 4 * _SPAN
        statement, least = (whole, 0) if is_rare else (spanned, max(0, before - span))
        rows = connection.execute(statement, terms | values | {"before": before, "least": least, "step": _STEP}).all()
        if rows:
            steps += 1
            yield [row.story_id for row in rows if row.story_id is not None]
            if _is_before(rows[-1].first_seen, wanted):
                return
        if len(rows) == _STEP:
            before = rows[-1].entry_id
        else:
            before, span = least, span * 4
