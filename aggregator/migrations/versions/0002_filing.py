"""Filing: languages, what is withheld, boosts, second sections by index, corrections with their texts, learnt heads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("stories", sa.Column("language", sa.Text()))
    op.add_column("stories", sa.Column("withheld", sa.Text()))
    op.add_column("stories", sa.Column("boost", sa.Double(), nullable=False, server_default="1"))
    op.add_column("stories", sa.Column("touched_at", sa.BigInteger()))
    for name, columns in (
        ("ix_stories_second_published", ["second", "published", "sources"]),
        ("ix_stories_touched_at", ["touched_at"]),
    ):
        where = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(name, "stories", columns, sqlite_where=where, postgresql_where=where)
    op.add_column("corrections", sa.Column("texts", sa.Text()))
    op.create_table(
        "heads",
        sa.Column("head_id", ID, nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("parameters", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("head_id", name="pk_heads"),
        sqlite_autoincrement=True,
    )
