"""Indexes on where merged stories went and when buried ones were published: both were found by reading every row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("redirect_to IS NOT NULL")
    op.create_index("ix_stories_redirect_to", "stories", ["redirect_to"], sqlite_where=where, postgresql_where=where)
    op.create_index("ix_story_tombstones_published", "story_tombstones", ["published"])
