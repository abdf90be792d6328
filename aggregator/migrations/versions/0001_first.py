"""The first schema: feeds, entries, stories and what is remembered of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "corrections",
        sa.Column("correction_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("story_ids", sa.Text(), nullable=False),
        sa.Column("entry_ids", sa.Text(), nullable=False),
        sa.Column("section", sa.Text()),
        sa.PrimaryKeyConstraint("correction_id", name="pk_corrections"),
    )
    op.create_table(
        "feeds",
        sa.Column("feed_id", ID, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("title_override", sa.Text()),
        sa.Column("section", sa.Text()),
        sa.Column("section_is_final", sa.Boolean(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("current_url", sa.Text(), nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("site_url", sa.Text()),
        sa.Column("language", sa.Text()),
        sa.Column("etag", sa.Text()),
        sa.Column("last_modified", sa.Text()),
        sa.Column("body_hash", sa.LargeBinary()),
        sa.Column("hints", sa.Text()),
        sa.Column("health", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failure_reason", sa.Text()),
        sa.Column("failure_detail", sa.Text()),
        sa.Column("next_poll_at", sa.BigInteger(), nullable=False),
        sa.Column("next_poll_why", sa.Text()),
        sa.Column("last_poll_at", sa.BigInteger()),
        sa.Column("first_success_at", sa.BigInteger()),
        sa.Column("last_success_at", sa.BigInteger()),
        sa.Column("last_change_at", sa.BigInteger()),
        sa.Column("memory", sa.Text()),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.Text()),
        sa.PrimaryKeyConstraint("feed_id", name="pk_feeds"),
        sa.UniqueConstraint("url", name="uq_feeds_url"),
    )
    op.create_index("ix_feeds_next_poll_at", "feeds", ["next_poll_at"])
    op.create_table(
        "hosts",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("memory", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("host", name="pk_hosts"),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
    )
    op.create_table(
        "stories",
        sa.Column("story_id", sa.LargeBinary(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("published", sa.BigInteger(), nullable=False),
        sa.Column("section", sa.Text()),
        sa.Column("sources", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("shown_at", sa.BigInteger()),
        sa.Column("redirect_to", sa.LargeBinary()),
        sa.Column("lead_entry_id", ID, nullable=False),
        sa.Column("second", sa.Text()),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("is_filed_by_hand", sa.Boolean(), nullable=False),
        sa.Column("is_grouped_by_hand", sa.Boolean(), nullable=False),
        sa.Column("probabilities", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text()),
        sa.Column("labels", sa.Text()),
        sa.Column("related", sa.Text()),
        sa.PrimaryKeyConstraint("story_id", name="pk_stories"),
    )
    op.create_index("ix_stories_published", "stories", ["published", "sources"])
    op.create_index("ix_stories_ref", "stories", ["ref"])
    op.create_index("ix_stories_section_published", "stories", ["section", "published", "sources"])
    op.create_index("ix_stories_updated_at", "stories", ["updated_at"])
    op.create_table(
        "story_tombstones",
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("story_id", sa.LargeBinary(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("link", sa.Text()),
        sa.Column("published", sa.BigInteger(), nullable=False),
        sa.Column("buried_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ref", name="pk_story_tombstones"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entries",
        sa.Column("entry_id", ID, nullable=False),
        sa.Column("feed_id", ID, nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("left_at", sa.BigInteger()),
        sa.Column("published", sa.BigInteger()),
        sa.Column("dated", sa.BigInteger(), nullable=False),
        sa.Column("story_id", sa.LargeBinary()),
        sa.Column("duplicate_of", ID),
        sa.Column("is_stale", sa.Boolean(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("guid_key", sa.BigInteger()),
        sa.Column("page_key", sa.BigInteger()),
        sa.Column("title_day_key", sa.BigInteger()),
        sa.Column("guid", sa.Text()),
        sa.Column("link", sa.Text()),
        sa.Column("canonical_url", sa.Text()),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_key", sa.Text(), nullable=False),
        sa.Column("author", sa.Text()),
        sa.Column("updated", sa.BigInteger()),
        sa.Column("categories", sa.Text()),
        sa.Column("image_url", sa.Text()),
        sa.Column("enclosures", sa.Text()),
        sa.Column("comments_url", sa.Text()),
        sa.Column("comment_count", sa.Integer()),
        sa.Column("language", sa.Text()),
        sa.Column("score", sa.Double()),
        sa.Column("reasons", sa.Text()),
        sa.ForeignKeyConstraint(["feed_id"], ["feeds.feed_id"], name="fk_entries_feed_id"),
        sa.ForeignKeyConstraint(["story_id"], ["stories.story_id"], name="fk_entries_story_id"),
        sa.PrimaryKeyConstraint("entry_id", name="pk_entries"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_entries_dated", "entries", ["dated"])
    op.create_index("ix_entries_feed_id", "entries", ["feed_id", "left_at"])
    op.create_index("ix_entries_guid_key", "entries", ["guid_key"])
    op.create_index(
        "ix_entries_is_stale",
        "entries",
        ["entry_id"],
        sqlite_where=sa.text("is_stale = 1"),
        postgresql_where=sa.text("is_stale"),
    )
    op.create_index(
        "ix_entries_left_at",
        "entries",
        ["left_at"],
        sqlite_where=sa.text("left_at IS NOT NULL"),
        postgresql_where=sa.text("left_at IS NOT NULL"),
    )
    op.create_index("ix_entries_page_key", "entries", ["page_key"])
    op.create_index("ix_entries_story_id", "entries", ["story_id", "dated"])
    op.create_index("ix_entries_title_day_key", "entries", ["title_day_key"])
    op.create_table(
        "story_labels",
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("story_id", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["story_id"], ["stories.story_id"], name="fk_story_labels_story_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("label", "story_id", name="pk_story_labels"),
    )
    op.create_index("ix_story_labels_story_id", "story_labels", ["story_id"])
    op.create_table(
        "tombstones",
        sa.Column("feed_id", ID, nullable=False),
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("buried_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["feed_id"], ["feeds.feed_id"], name="fk_tombstones_feed_id"),
        sa.PrimaryKeyConstraint("feed_id", "key", name="pk_tombstones"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "texts",
        sa.Column("entry_id", ID, autoincrement=False, nullable=False),
        sa.Column("summary", sa.Text()),
        sa.Column("content", sa.Text()),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.entry_id"], name="fk_texts_entry_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("entry_id", name="pk_texts"),
    )
