"""Hosts are leased to one poller at a time, so feeds say which host they are asked at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from aggregator.urls import host_key

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ROWS = 10_000  # feeds a statement


def upgrade() -> None:
    op.add_column("hosts", sa.Column("lease_until", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("hosts", sa.Column("lease_owner", sa.Text()))
    op.add_column("feeds", sa.Column("host", sa.Text()))
    connection = op.get_bind()
    feeds = sa.table("feeds", sa.column("feed_id"), sa.column("current_url"), sa.column("host"))
    update = sa.update(feeds).where(feeds.c.feed_id == sa.bindparam("at_feed")).values(host=sa.bindparam("at_host"))
    rows = connection.execute(sa.select(feeds.c.feed_id, feeds.c.current_url)).all()
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        connection.execute(update, [{"at_feed": row.feed_id, "at_host": host_key(row.current_url)} for row in some])
