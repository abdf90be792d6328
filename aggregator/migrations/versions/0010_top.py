"""When a story came into the feed of top stories."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("stories", sa.Column("top_at", sa.BigInteger()))
    where = sa.text("top_at IS NOT NULL")
    op.create_index("ix_stories_top_at", "stories", ["top_at"], sqlite_where=where, postgresql_where=where)
