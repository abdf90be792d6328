"""What was taken down, the rows taken with it, and what archives and briefings were before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from aggregator.schema import Id

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("feeds", sa.Column("taken_down_at", sa.BigInteger()))
    op.add_column(
        "story_tombstones", sa.Column("is_taken_down", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("archives", sa.Column("original", sa.LargeBinary()))
    op.add_column("digests", sa.Column("original", sa.Text()))
    op.create_table(
        "takedowns",
        sa.Column("takedown_id", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("feed_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite")),
        sa.Column("story_id", sa.LargeBinary()),
        sa.Column("entry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite")),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger()),
        sa.Column("lifted_at", sa.BigInteger()),
        sa.Column("undone_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["feed_id"], ["feeds.feed_id"], name="fk_takedowns_feed_id"),
        sa.PrimaryKeyConstraint("takedown_id", name="pk_takedowns"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "withdrawn",
        sa.Column("takedown_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("story_id", sa.LargeBinary()),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["takedown_id"], ["takedowns.takedown_id"], name="fk_withdrawn_takedown_id"),
        sa.PrimaryKeyConstraint("takedown_id", "kind", "key", name="pk_withdrawn"),
    )
