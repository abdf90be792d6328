"""Full-text search: FTS5 on SQLite, a tsvector with stems but without stop words on PostgreSQL."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SQLITE = (
    "CREATE VIRTUAL TABLE search USING fts5(title, body, tokenize = 'porter unicode61')",
    "CREATE TRIGGER search_follows AFTER DELETE ON entries BEGIN DELETE FROM search WHERE rowid = old.entry_id; END",
    # What is there already is found by its titles; new entries and those that change bring their texts.
    "INSERT INTO search (rowid, title, body) SELECT entry_id, title_key, '' FROM entries",
)
_POSTGRESQL = (
    "CREATE TEXT SEARCH DICTIONARY bmn_stems (TEMPLATE = snowball, Language = english)",
    "CREATE TEXT SEARCH CONFIGURATION bmn (COPY = simple)",
    "ALTER TEXT SEARCH CONFIGURATION bmn ALTER MAPPING FOR asciiword, word WITH bmn_stems",
    "CREATE TABLE search (entry_id bigint PRIMARY KEY REFERENCES entries ON DELETE CASCADE, words tsvector NOT NULL)",
    "INSERT INTO search SELECT entry_id, to_tsvector('bmn', title_key) FROM entries",
    "CREATE INDEX ix_search_words ON search USING gin (words)",
)


def upgrade() -> None:
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
