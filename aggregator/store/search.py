"""Words in, stories out: full-text search over titles and the beginnings of texts, the same on both databases.

What is indexed and what is asked for pass through `text.search_words` first, so that SQLite (FTS5) and PostgreSQL
(tsvector) see the same plain words; both then reduce them to English stems. The index belongs to this module alone: it
is no table of the schema's metadata, as SQLAlchemy knows neither kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from aggregator import html
from aggregator.schema import entries, stories, texts
from aggregator.store.engine import in_chunks
from aggregator.store.rows import Values, micros
from aggregator.store.stories import WITHHELD, StoryFilter, by_ids
from aggregator.store.stories import select as stories_of
from aggregator.text import search_terms, search_words
from aggregator.types import UNSURE, StoredEntry, Story

MAX_QUERY = 200  # characters
MAX_TERMS = 12  # words and phrases; more cost time and mean nothing
_TEXT = 6000  # characters of markup that are indexed: the beginning, some 600 words of it
_WORDS = 2500  # characters of plain words of it
_STEP = 400  # matching entries looked at in one step
_STEPS = (100, *(_STEP for _ in range(12)))  # fewer first, as most readers want few; a query nobody can satisfy ends
_UNWANTED = 3
_LATE = timedelta(days=7)  # an entry is in no story published that long after it was first seen
_OF_SOURCE = (_STEP, 4 * _STEP, 16 * _STEP, 64 * _STEP)  # entries of one source
_TWO_STEPS = (_STEP, 12 * _STEP)  # where each look costs as much as the first
_SPAN = 20_000  # entries of the first look back for common words on PostgreSQL
_RARE = 5_000  # entries that hold the words: the index brings so many in some 20 ms
_SAMPLE = 1000  # entries told just before the end of the time asked for
_IN_TIME = 0.95  # of these came in their time; the others were found long after


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
    and no unwanted one in any. Looks back until it has them or has seen as many matching entries as `_STEPS` say; where
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
    kept: list[tuple[int, str, bytes]] = []
    for some in in_chunks(story_ids):
        for row in connection.execute(query.where(s.story_id.in_(some))):
            # Not in SQL: the planner would take the index of sections and walk a quarter of all stories.
            if names is None or names & {row.section or UNSURE, row.second, WITHHELD if row.withheld else None}:
                kept.append((-row.published, row.ref, row.story_id))
    return [story_id for _, _, story_id in sorted(kept)]


def _where(wanted: StoryFilter) -> tuple[str, Values]:
    """What of the filter can be asked of the entry that matches, with its parameters: it must be that source's, told
    by then, of a story with that label."""
    asked: list[str] = []
    values: Values = {}
    if wanted.feed_id is not None:
        asked.append(" AND entries.feed_id = :feed_id")
        values["feed_id"] = wanted.feed_id
    if wanted.until is not None:
        asked.append(" AND entries.dated < :latest")
        values["latest"] = micros(wanted.until)
    if wanted.label is not None:
        # A question for each entry, which no planner turns into gathering all that are labelled so.
        asked.append(
            " AND (SELECT count(*) FROM story_labels"
            " WHERE story_labels.story_id = entries.story_id AND story_labels.label = :label) > 0"
        )
        values["label"] = wanted.label
    return "".join(asked), values


def _ranges(connection: sa.Connection, wanted: StoryFilter) -> list[tuple[int, int]]:
    """Ids of entries, from the first up to and without the second, in the order in which they are to be looked through.

    Ids grow with time, so that what was told by `until` begins far down. Only what came late, such as the old entries
    of a new source, has higher ones; it is looked for where the rest was too little.
    """
    top = (connection.scalar(sa.select(sa.func.max(entries.c.entry_id))) or 0) + 1
    if wanted.until is None:
        return [(0, top)]
    newest = sa.select(entries.c.entry_id).where(entries.c.dated < micros(wanted.until))
    ids = sorted(connection.scalars(newest.order_by(entries.c.dated.desc()).limit(_SAMPLE)))
    begin = ids[int(len(ids) * _IN_TIME)] + 1 if ids else 0
    return [(0, begin), (begin, top)] if ids else []


class _Look:
    """A look through the entries that hold what is wanted: the stories they are in, the newest first, a step at a time.
    `matches` says in SQL that an entry of the index holds the words."""

    def __init__(self, connection: sa.Connection, wanted: StoryFilter, matches: str, values: Values) -> None:
        self._connection, self._wanted, self._matches = connection, wanted, matches
        self._where, more = _where(wanted)
        self._values = values | more

    def directly(self, least: int, before: int, index_id: str = "entry_id") -> Iterator[list[bytes]]:
        """Through the index as the database sees fit; on SQLite that is in the order of ids."""
        statement = (
            f"SELECT {index_id} AS at, story_id, first_seen, true AS is_match"  # noqa: S608 (our own words)
            f" FROM search JOIN entries ON entries.entry_id = {index_id} WHERE {self._matches}"
            f" AND {index_id} < :before AND {index_id} >= :least{self._where}"
        )
        return self._stepped(statement, least, before, _STEPS)

    def rare(self, least: int, before: int) -> Iterator[list[bytes]]:
        """All that the index of words knows; materialized, so that the planner does not walk the entries."""
        statement = (
            f"WITH hits AS MATERIALIZED (SELECT entry_id AS at FROM search WHERE {self._matches})"  # noqa: S608 (our own words)
            " SELECT at, story_id, first_seen, true AS is_match FROM hits JOIN entries ON entry_id = at"
            f" WHERE at < :before AND at >= :least{self._where}"
        )
        return self._stepped(statement, least, before, _TWO_STEPS)

    def of_source(self, least: int, before: int) -> Iterator[list[bytes]]:
        """Through the entries of the one source that is asked for, whether they hold the words or not."""
        statement = (
            "WITH told AS MATERIALIZED (SELECT entry_id AS at, story_id, first_seen FROM entries"  # noqa: S608 (our own words)
            f" WHERE entry_id < :before AND entry_id >= :least{self._where} ORDER BY entry_id DESC LIMIT :step)"
            f" SELECT at, story_id, first_seen, {self._matches} AS is_match FROM told LEFT JOIN search ON entry_id = at"
        )
        return self._stepped(statement, least, before, _OF_SOURCE)

    def common(self, least: int, before: int) -> Iterator[list[bytes]]:
        """Through spans of entries: the planner would bring and sort half of all to give the newest few. Where two
        spans were not enough, the words are not that common."""
        for span in (_SPAN, 4 * _SPAN):
            low = max(least, before - span)
            yield from self.directly(low, before, "search.entry_id")
            before = low
        yield from self.rare(least, before)

    def estimate(self) -> int:
        """How many entries hold the words, by PostgreSQL's statistics: that takes a fraction of a millisecond, where
        counting would take as long as the search."""
        query = sa.text(f"EXPLAIN (FORMAT JSON) SELECT 1 FROM search WHERE {self._matches}")  # noqa: S608 (our own words)
        plan: Any = self._connection.scalar(query, self._values)
        return int(plan[0]["Plan"]["Plan Rows"])

    def _stepped(self, statement: str, least: int, before: int, steps: Iterable[int]) -> Iterator[list[bytes]]:
        query = sa.text(f"{statement} ORDER BY at DESC LIMIT :step")
        for step in steps:
            here = {"least": least, "before": before, "step": step}
            rows = self._connection.execute(query, self._values | here).all()
            yield [row.story_id for row in rows if row.story_id is not None and row.is_match]
            if len(rows) < step or self._is_before(rows[-1].first_seen):
                return
            before = rows[-1].at

    def _is_before(self, first_seen: int) -> bool:
        """Whether entries first seen then, and those before, are too old to be in any story that is asked for."""
        return self._wanted.since is not None and first_seen < micros(self._wanted.since - _LATE)


def _sqlite_matches(connection: sa.Connection, query: Query, wanted: StoryFilter) -> Iterator[list[bytes]]:
    # Quoted, a term is words and nothing else; `search_words` leaves no quote in it.
    asked = " AND ".join(f'"{term}"' for term in query.wanted)
    look = _Look(connection, wanted, "search MATCH :asked", {"asked": asked})
    for least, before in _ranges(connection, wanted):
        yield from look.directly(least, before, "search.rowid")


def _postgresql_matches(connection: sa.Connection, query: Query, wanted: StoryFilter) -> Iterator[list[bytes]]:
    terms = {f"t{n}": term for n, term in enumerate(query.wanted)}
    asked = " && ".join(f"phraseto_tsquery('bmn', :{name})" for name in terms)
    look = _Look(connection, wanted, f"words @@ ({asked})", {**terms})
    is_rare = look.estimate() < _RARE
    for least, before in _ranges(connection, wanted):
        if is_rare:
            yield from look.rare(least, before)
        elif wanted.feed_id is not None:
            yield from look.of_source(least, before)
        else:
            yield from look.common(least, before)
