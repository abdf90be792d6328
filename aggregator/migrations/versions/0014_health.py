"""What polls did by the hour, and what happened to the health of sources and of ours."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from aggregator.schema import Id

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hours",
        sa.Column("hour", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("new_entries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", name="pk_hours"),
    )
    op.create_table(
        "episodes",
        sa.Column("episode_id", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("feed_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite")),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("url", sa.Text()),
        sa.Column("since", sa.BigInteger()),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("does", sa.Text(), nullable=False),
        sa.Column("fix", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("better_since", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("ending", sa.Text()),
        sa.ForeignKeyConstraint(["feed_id"], ["feeds.feed_id"], name="fk_episodes_feed_id"),
        sa.PrimaryKeyConstraint("episode_id", name="pk_episodes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_episodes_opened_at", "episodes", ["opened_at"])
