"""Subscriptions at hubs, and what the hubs brought."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("feeds", sa.Column("pushed_until", sa.BigInteger()))
    op.create_table(
        "subscriptions",
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("feed_id", ID, nullable=False),
        sa.Column("topic_url", sa.Text(), nullable=False),
        sa.Column("hub_url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ask_at", sa.BigInteger()),
        sa.Column("asked_at", sa.BigInteger()),
        sa.Column("verified_at", sa.BigInteger()),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("pushed_at", sa.BigInteger()),
        sa.Column("recent", sa.Text()),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["feed_id"], ["feeds.feed_id"], name="fk_subscriptions_feed_id"),
        sa.PrimaryKeyConstraint("token", name="pk_subscriptions"),
    )
    op.create_index("ix_subscriptions_ask_at", "subscriptions", ["ask_at"])
    op.create_index("ix_subscriptions_feed_id", "subscriptions", ["feed_id"])
    op.create_table(
        "pushes",
        sa.Column("push_id", ID, nullable=False),
        sa.Column("feed_id", ID, nullable=False),
        sa.Column("topic_url", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("content_type", sa.Text()),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["feed_id"], ["feeds.feed_id"], name="fk_pushes_feed_id"),
        sa.PrimaryKeyConstraint("push_id", name="pk_pushes"),
    )
