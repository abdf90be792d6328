"""The marks by which a feed's next document is read in part (`ingest.spans`)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("feeds", sa.Column("marks", sa.LargeBinary()))
