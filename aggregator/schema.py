"""The tables, the same for SQLite and PostgreSQL. Queries: `store/`; the way here from older ones: `migrations/`.

Times are whole microseconds since 1970 UTC and ids of stories are 16 bytes: equal, sortable and quick on both. JSON is
text, read only by us. `*_key` are the hashes of `ingest.changes.Keys`: eight bytes to look for instead of a long text.
"""

from __future__ import annotations

import sqlalchemy as sa

REVISION = "0014"  # the newest of `migrations/versions`

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives rowids out automatically only to a column of type INTEGER.
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time = sa.BigInteger
Hash = sa.BigInteger
StoryId = sa.LargeBinary
Json = sa.Text

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

feeds = sa.Table(
    "feeds",
    metadata,
    sa.Column("feed_id", Id, primary_key=True),
    sa.Column("url", sa.Text, nullable=False, unique=True),
    # As configured; `is_active` is false once the source was taken out of the configuration.
    sa.Column("is_active", sa.Boolean, nullable=False),
    sa.Column("is_enabled", sa.Boolean, nullable=False),
    sa.Column("title_override", sa.Text),
    sa.Column("section", sa.Text),
    sa.Column("section_is_final", sa.Boolean, nullable=False),
    sa.Column("weight", sa.Double, nullable=False),
    # What the polls found: types.FeedState.
    sa.Column("current_url", sa.Text, nullable=False),
    sa.Column("title", sa.Text),
    sa.Column("site_url", sa.Text),
    sa.Column("language", sa.Text),
    sa.Column("etag", sa.Text),
    sa.Column("last_modified", sa.Text),
    sa.Column("body_hash", sa.LargeBinary),
    sa.Column("marks", sa.LargeBinary),  # of the last document's entries (`ingest.spans`), None: to be read as a whole
    sa.Column("hints", Json),
    sa.Column("health", sa.Text, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("failure_reason", sa.Text),
    sa.Column("failure_detail", sa.Text),
    sa.Column("next_poll_at", Time, nullable=False, index=True),  # 0: at once
    sa.Column("next_poll_why", sa.Text),
    sa.Column("last_poll_at", Time),
    sa.Column("first_success_at", Time),  # entries first seen by then are the backlog of the first poll
    sa.Column("last_success_at", Time),
    sa.Column("last_change_at", Time),
    sa.Column("memory", Json),
    sa.Column("lease_until", Time, nullable=False),  # 0: nobody's
    sa.Column("lease_owner", sa.Text),
    sa.Column("host", sa.Text),  # `urls.host_key` of `current_url`
    sa.Column("pushed_until", Time),  # until when the safety poll is enough; written by subscriptions alone
    sa.Column("taken_down_at", Time),  # since when nothing of it is shown nor taken in; None: it is a source as others
)

hosts = sa.Table(
    "hosts",
    metadata,
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("memory", Json, nullable=False),
    sa.Column("lease_until", Time, nullable=False, server_default="0"),  # once over: when its poller last asked it
    sa.Column("lease_owner", sa.Text),
)

# ingest.websub.Subscription. Several of one feed: the one in use, and those that a hub has yet to let go.
subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("token", sa.Text, primary_key=True),
    sa.Column("feed_id", sa.ForeignKey(feeds.c.feed_id), nullable=False, index=True),
    sa.Column("topic_url", sa.Text, nullable=False),
    sa.Column("hub_url", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ask_at", Time, index=True),
    sa.Column("asked_at", Time),
    sa.Column("verified_at", Time),
    sa.Column("lease_until", Time),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("pushed_at", Time),
    sa.Column("recent", Json),
    sa.Column("misses", sa.Integer, nullable=False),
)

# What hubs brought and nobody has read yet. The answer to the hub is given when it stands here.
pushes = sa.Table(
    "pushes",
    metadata,
    sa.Column("push_id", Id, primary_key=True),
    sa.Column("feed_id", sa.ForeignKey(feeds.c.feed_id), nullable=False),
    sa.Column("topic_url", sa.Text, nullable=False),
    sa.Column("received_at", Time, nullable=False),
    sa.Column("content_type", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("lease_until", Time, nullable=False),  # 0: nobody's
)

stories = sa.Table(
    "stories",
    metadata,
    sa.Column("story_id", StoryId, primary_key=True),
    # Not unique: 50 bits will collide one day, and that must cost one page's name, not every later pass.
    sa.Column("ref", sa.Text, nullable=False, index=True),
    sa.Column("published", Time, nullable=False),
    sa.Column("section", sa.Text),  # None while unsure
    sa.Column("sources", sa.Integer, nullable=False),
    sa.Column("updated_at", Time, nullable=False, index=True),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("shown_at", Time),  # when it first stood in a published feed
    sa.Column("top_at", Time),  # when it came into the feed of top stories
    sa.Column("redirect_to", StoryId),  # the story it was merged into; then it has no entries
    # No foreign key: the two would point at each other. `save_grouping` checks it.
    sa.Column("lead_entry_id", Id, nullable=False),
    sa.Column("second", sa.Text),
    sa.Column("confidence", sa.Double, nullable=False),
    sa.Column("is_filed_by_hand", sa.Boolean, nullable=False),
    sa.Column("is_grouped_by_hand", sa.Boolean, nullable=False),
    sa.Column("probabilities", Json, nullable=False),
    sa.Column("reasons", Json),
    sa.Column("labels", Json),
    sa.Column("related", Json),
    sa.Column("language", sa.Text),  # as the feed says or the words show; None where neither does
    sa.Column("withheld", sa.Text),  # what keeps it out of every feed and page: rule, language; None: nothing
    sa.Column("boost", sa.Double, nullable=False),  # what the operator's rules multiply its rank by
    sa.Column("touched_at", Time),  # when it was asked to be filed anew; None: it is settled
    sa.Column("events", Json),
    # `sources` behind the order, so that a minimum of them is judged within the index.
    sa.Index("ix_stories_section_published", "section", "published", "sources"),
    sa.Index("ix_stories_published", "published", "sources"),
    sa.Index(
        "ix_stories_top_at",
        "top_at",
        sqlite_where=sa.text("top_at IS NOT NULL"),
        postgresql_where=sa.text("top_at IS NOT NULL"),
    ),
    sa.Index(
        "ix_stories_redirect_to",
        "redirect_to",
        sqlite_where=sa.text("redirect_to IS NOT NULL"),
        postgresql_where=sa.text("redirect_to IS NOT NULL"),
    ),
    sa.Index(
        "ix_stories_second_published",
        "second",
        "published",
        "sources",
        sqlite_where=sa.text("second IS NOT NULL"),
        postgresql_where=sa.text("second IS NOT NULL"),
    ),
    sa.Index(
        "ix_stories_touched_at",
        "touched_at",
        sqlite_where=sa.text("touched_at IS NOT NULL"),
        postgresql_where=sa.text("touched_at IS NOT NULL"),
    ),
)

story_labels = sa.Table(
    "story_labels",
    metadata,
    sa.Column("label", sa.Text, primary_key=True),
    sa.Column("story_id", sa.ForeignKey(stories.c.story_id, ondelete="CASCADE"), primary_key=True, index=True),
)

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("entry_id", Id, primary_key=True),
    sa.Column("feed_id", sa.ForeignKey(feeds.c.feed_id), nullable=False),
    sa.Column("first_seen", Time, nullable=False),
    sa.Column("left_at", Time),  # when it last stood in its feed; None while it does
    sa.Column("published", Time),
    sa.Column("dated", Time, nullable=False),  # `published`, or `first_seen` where that is missing or was in the future
    sa.Column("story_id", sa.ForeignKey(stories.c.story_id)),
    sa.Column("duplicate_of", Id),
    sa.Column("is_stale", sa.Boolean, nullable=False),  # its feed says something else since it was grouped
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("guid_key", Hash),  # with the feed's id in it
    sa.Column("page_key", Hash),
    sa.Column("title_day_key", Hash),
    sa.Column("guid", sa.Text),
    sa.Column("link", sa.Text),
    sa.Column("canonical_url", sa.Text),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("title_key", sa.Text, nullable=False),
    sa.Column("author", sa.Text),
    sa.Column("updated", Time),
    sa.Column("categories", Json),
    sa.Column("image_url", sa.Text),
    sa.Column("enclosures", Json),
    sa.Column("comments_url", sa.Text),
    sa.Column("comment_count", sa.Integer),
    sa.Column("language", sa.Text),
    sa.Column("score", sa.Double),
    sa.Column("reasons", Json),  # why it is in its story
    sa.Index("ix_entries_feed_id", "feed_id", "left_at"),
    sa.Index("ix_entries_story_id", "story_id", "dated"),
    sa.Index("ix_entries_dated", "dated"),
    sa.Index("ix_entries_guid_key", "guid_key"),
    sa.Index("ix_entries_page_key", "page_key"),
    sa.Index("ix_entries_title_day_key", "title_day_key"),
    sa.Index(
        "ix_entries_left_at",
        "left_at",
        sqlite_where=sa.text("left_at IS NOT NULL"),
        postgresql_where=sa.text("left_at IS NOT NULL"),
    ),
    sa.Index(
        "ix_entries_is_stale",
        "entry_id",
        sqlite_where=sa.text("is_stale = 1"),
        postgresql_where=sa.text("is_stale"),
    ),
    sqlite_autoincrement=True,  # an id that was pruned is never given again
)

# Apart, because most queries never look at it and it is most of the database.
texts = sa.Table(
    "texts",
    metadata,
    sa.Column(
        "entry_id",
        sa.ForeignKey(entries.c.entry_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("summary", sa.Text),
    sa.Column("content", sa.Text),
)

# What retention leaves of an entry: so that one that comes back is not new.
tombstones = sa.Table(
    "tombstones",
    metadata,
    sa.Column("feed_id", sa.ForeignKey(feeds.c.feed_id), primary_key=True),
    sa.Column("key", Hash, primary_key=True, autoincrement=False),
    sa.Column("buried_at", Time, nullable=False),
    sqlite_with_rowid=False,
)

# … and of a story: so that its page can say what it was.
story_tombstones = sa.Table(
    "story_tombstones",
    metadata,
    sa.Column("ref", sa.Text, primary_key=True),
    sa.Column("story_id", StoryId, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("link", sa.Text),
    sa.Column("published", Time, nullable=False, index=True),
    sa.Column("buried_at", Time, nullable=False),
    sa.Column("is_taken_down", sa.Boolean, nullable=False, server_default=sa.false()),  # then without title and link
    sqlite_with_rowid=False,
)

# What the operator had taken out of everything that is published, in force until `lifted_at`. Whoever edits does it
# (`done_at`) and takes it back (`undone_at`).
takedowns = sa.Table(
    "takedowns",
    metadata,
    sa.Column("takedown_id", Id, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),  # source, story, entry
    sa.Column("feed_id", sa.ForeignKey(feeds.c.feed_id)),
    sa.Column("story_id", StoryId),
    sa.Column("entry_id", Id),
    sa.Column("subject", sa.Text, nullable=False),  # what it was named by: address, id
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("made_at", Time, nullable=False),
    sa.Column("done_at", Time),
    sa.Column("lifted_at", Time),
    sa.Column("undone_at", Time),
    sqlite_autoincrement=True,
)

# … and the rows that were taken: no query of what is published can find them here.
withdrawn = sa.Table(
    "withdrawn",
    metadata,
    sa.Column("takedown_id", sa.ForeignKey(takedowns.c.takedown_id), primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),  # entry, story
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("story_id", StoryId),  # that it was, or was told by
    sa.Column("taken_at", Time, nullable=False),
    sa.Column("content", Json, nullable=False),
)

# What polls did, by the hour since 1970: all that is kept of polls that are over.
hours = sa.Table(
    "hours",
    metadata,
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("polls", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
    sa.Column("new_entries", sa.Integer, nullable=False),
)

# Troubles of sources, and ours, as the operator was told of them (types.Episode).
episodes = sa.Table(
    "episodes",
    metadata,
    sa.Column("episode_id", Id, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("group", sa.Text, nullable=False),
    sa.Column("feed_id", sa.ForeignKey(feeds.c.feed_id)),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("url", sa.Text),
    sa.Column("since", Time),
    sa.Column("opened_at", Time, nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("does", sa.Text, nullable=False),
    sa.Column("fix", sa.Text, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("better_since", Time),
    sa.Column("ended_at", Time),
    sa.Column("ending", sa.Text),
    sqlite_autoincrement=True,
)

# Months of merged feeds as they were printed at the month's end: facts, which no later change touches.
archives = sa.Table(
    "archives",
    metadata,
    sa.Column("slug", sa.Text, primary_key=True),
    sa.Column("month", sa.Text, primary_key=True),  # 2026-11, its second part 2026-11-002
    sa.Column("made_at", Time, nullable=False),
    sa.Column("updated", Time, nullable=False),  # of its newest story
    sa.Column("stories", sa.Integer, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),  # Atom, gzip
    sa.Column("original", sa.LargeBinary),  # before something was taken down; None: it is as it was printed
)

# Briefings as they were made, and the letters that carry them.
digests = sa.Table(
    "digests",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),  # daily, weekly
    sa.Column("day", sa.Text, primary_key=True),  # 2026-11-24, 2026-W48
    sa.Column("since", Time, nullable=False),
    sa.Column("made_at", Time, nullable=False),
    sa.Column("content", Json, nullable=False),
    sa.Column("original", Json),  # before something was taken down; None: it is as it was made
)

letters = sa.Table(
    "letters",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),  # waiting, sending, sent, refused, unknown
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_try_at", Time, nullable=False),
)

# Our feeds as subscribers know them. `version` grows whenever the document does not match `etag` any more; whoever was
# told of a lower one, hub or subscriber, has to hear of it.
hub_topics = sa.Table(
    "hub_topics",
    metadata,
    sa.Column("topic_url", sa.Text, primary_key=True),
    sa.Column("etag", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("changed_at", Time, nullable=False),
)

hub_pings = sa.Table(
    "hub_pings",
    metadata,
    sa.Column("hub_url", sa.Text, primary_key=True),
    sa.Column("topic_url", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),  # that the hub was told of
    sa.Column("tries", sa.Integer, nullable=False),  # in vain since
    sa.Column("next_at", Time, nullable=False),  # not before
)

# What callbacks asked of our own hub and have yet to confirm, …
hub_requests = sa.Table(
    "hub_requests",
    metadata,
    sa.Column("callback_url", sa.Text, primary_key=True),
    sa.Column("topic_url", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),  # `urls.host_key` of the callback
    sa.Column("mode", sa.Text, nullable=False),  # subscribe, unsubscribe
    sa.Column("secret", sa.Text),
    sa.Column("lease_seconds", sa.Integer, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),  # of the topic when it was asked for
    sa.Column("made_at", Time, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_at", Time, nullable=False, index=True),
)

# … and those that did.
hub_subscribers = sa.Table(
    "hub_subscribers",
    metadata,
    sa.Column("callback_url", sa.Text, primary_key=True),
    sa.Column("topic_url", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False, index=True),
    sa.Column("secret", sa.Text),
    sa.Column("since", Time, nullable=False),
    sa.Column("lease_until", Time, nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=False),  # that was delivered last
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_at", Time, nullable=False),
)

# What people put right, in order: grouping and filing heed it, a rebuild does it again.
corrections = sa.Table(
    "corrections",
    metadata,
    sa.Column("correction_id", Id, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),  # merge, split, file
    sa.Column("made_at", Time, nullable=False),
    sa.Column("story_ids", Json, nullable=False),
    sa.Column("entry_ids", Json, nullable=False),
    sa.Column("section", sa.Text),
    sa.Column("texts", Json),  # what a story said when it was filed by hand: what `bmn train` learns from
)

# What the section model learnt from corrections, the newest last; at most one is in use.
heads = sa.Table(
    "heads",
    metadata,
    sa.Column("head_id", Id, primary_key=True),
    sa.Column("made_at", Time, nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False),
    sa.Column("report", Json, nullable=False),
    sa.Column("parameters", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
