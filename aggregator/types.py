"""The values on the arrows between the stages; nothing here does anything.

    FeedState -> FetchRequest -> Fetched | NotModified | FetchFailed -> ParsedFeed | ParseFailed
              -> FeedChanges -> (store) -> StoredEntry -> Placement, Sectioning -> (store) -> Story -> Rendered

Times are aware datetimes in UTC and end in `_at` (or are the publisher's claims `published`, `updated`).
`_id` is ours, `guid` is theirs, a `_url` is a str with scheme http or https.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

SECTIONS = ("tech", "companies", "economics", "marketing")
UNSURE = "unsure"  # asked for as a section: the stories that have none yet
LABELS = (*SECTIONS, "none")  # what a story can be filed under; `none` stays out of the merged feeds
# What happened, where a headline says so plainly; beside its section a story may carry several of them.
EVENTS = ("funding", "acquisition", "ipo", "earnings", "layoffs", "launch", "regulation", "rates")

# ---------------------------------------------------------------- feeds and asking


class Health(StrEnum):
    """How a source does, as `bmn status` shows it."""

    OK = "ok"
    NEW = "new"  # never polled
    FAILING = "failing"
    BLOCKED = "blocked"  # the origin refuses us: 403, 429, a challenge page
    GONE = "gone"  # 410: retired, asked again rarely
    DISABLED = "disabled"


class FailureReason(StrEnum):
    """Why a poll failed; the label in metrics and status."""

    BAD_URL = "bad_url"
    DNS = "dns"
    ADDRESS = "address"  # resolves to an address we must not connect to
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"  # not HTTP, or broken HTTP
    REDIRECTS = "redirects"  # too many, a loop, or to nowhere
    HTTP = "http"  # a status that is neither success nor one of the two below
    BLOCKED = "blocked"
    GONE = "gone"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    CODING = "coding"  # a content coding we did not ask for, or one that does not decode
    EMPTY = "empty"
    NOT_A_FEED = "not_a_feed"
    MALFORMED = "malformed"
    LIMITS = "limits"  # the parser's child was killed over this document: time or memory
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Validators:
    """What the origin gave to recognise its document by, verbatim, to be sent back untouched (RFC 9110 §8.8)."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class FeedHints:
    """What the document itself says about when to ask again. None or empty: not said.

    `ttl` and `update_every` in seconds (RSS ttl; sy:updatePeriod / sy:updateFrequency), `update_base` the
    anchor of the latter; `skip_hours` 0–23 GMT, `skip_days` 0 (Monday) – 6.
    """

    ttl: int | None = None
    update_every: int | None = None
    update_base: datetime | None = None
    skip_hours: tuple[int, ...] = ()
    skip_days: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedState:
    """One feed as the store remembers it between polls: the whole input of `polling.next_poll`.

    `url` is the configured address and the feed's identity; `current_url` is where it answers since a permanent
    move, equal to `url` otherwise. `body_hash` is of the last body understood. `memory` is what polling keeps for
    itself (rhythm of arrivals, redirects under observation …): plain JSON values, opaque to everyone else.
    """

    feed_id: int
    url: str
    current_url: str
    title: str | None = None  # the feed's own
    site_url: str | None = None
    language: str | None = None
    validators: Validators = Validators()
    body_hash: bytes | None = None
    hints: FeedHints = FeedHints()
    health: Health = Health.NEW
    failures: int = 0  # in a row
    failure_reason: FailureReason | None = None
    failure_detail: str | None = None
    next_poll_at: datetime | None = None  # None: at once
    next_poll_why: str | None = None
    last_poll_at: datetime | None = None
    last_success_at: datetime | None = None
    last_change_at: datetime | None = None
    memory: Mapping[str, object] = field(default_factory=dict)
    pushed_until: datetime | None = None  # until when a hub is trusted to push its news (ingest.websub)
    taken_down_at: datetime | None = None  # since when nothing of it is published or taken in


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """One question to an origin. `headers` (secrets among them) go to the origin (scheme, host, port) of `url` alone,
    never after a redirect elsewhere. `proxy` is a URL or None for a direct connection. `validated_url` is where the
    validators came from if a redirect led there; they are not sent elsewhere (None: they are sent along the way).
    `configured_url` is the operator's address of the source on whose behalf we ask, None where `url` is it."""

    url: str
    validators: Validators = Validators()
    headers: tuple[tuple[str, str], ...] = ()
    proxy: str | None = None
    validated_url: str | None = None
    configured_url: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole document, decoded. Header names are lower case. `permanent_url` is where a chain of nothing but
    permanent redirects (301, 308) led, None if there was none. `took` in seconds."""

    url: str
    final_url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    body_hash: bytes
    validators: Validators
    permanent_url: str | None = None
    took: float = 0.0


@dataclass(frozen=True, slots=True)
class NotModified:
    """304, or 226/200 whose body hash is the one we had. `validators` are those to keep from now on."""

    url: str
    final_url: str
    status: int
    headers: Mapping[str, str]
    validators: Validators
    permanent_url: str | None = None
    took: float = 0.0


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """No document. `detail` is one line for a person; `status` and `headers` where the origin answered at all."""

    url: str
    reason: FailureReason
    detail: str
    final_url: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    permanent_url: str | None = None
    took: float = 0.0


FetchOutcome = Fetched | NotModified | FetchFailed


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back for what we posted or asked, whatever its status. `said` is the start of the body as text."""

    url: str
    final_url: str
    status: int
    headers: Mapping[str, str]
    said: str = ""
    took: float = 0.0


@dataclass(frozen=True, slots=True)
class Pushed:
    """A document that a hub brought: not what the feed's address answers, so it says nothing about validators nor about
    entries it does not hold. `push_id` is the store's, taken off with the result."""

    push_id: int
    feed_id: int
    url: str
    content_type: str | None
    body: bytes
    received_at: datetime


# ---------------------------------------------------------------- documents


@dataclass(frozen=True, slots=True)
class Enclosure:
    """Attached media (RSS enclosure, Atom rel=enclosure, JSON Feed attachments); `length` in bytes."""

    url: str
    media_type: str | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class ParsedEntry:
    """One entry as its feed gives it, cleaned: plain-text title, author and categories; sanitised HTML in `summary`
    and `content` (None where the feed has none); http(s) URLs only. `published` and `updated` are None where missing,
    unreadable or outside 1990 … now + 24 h.

    `fingerprint` (16 bytes) is of everything the feed said about the entry before cleaning, so that an entry that
    the last poll knew costs nothing more.
    """

    fingerprint: bytes
    guid: str | None = None
    link: str | None = None
    title: str = ""
    author: str | None = None
    published: datetime | None = None
    updated: datetime | None = None
    summary: str | None = None
    content: str | None = None
    categories: tuple[str, ...] = ()
    image_url: str | None = None
    enclosures: tuple[Enclosure, ...] = ()
    comments_url: str | None = None
    comment_count: int | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedFeed:
    """A document understood. `entries` are those not known before, in document order; `unchanged` the fingerprints
    of the others. `lane` is which parser read it; `complaint` what was wrong with it, None if well-formed."""

    title: str | None
    site_url: str | None
    entries: tuple[ParsedEntry, ...]
    unchanged: tuple[bytes, ...] = ()
    language: str | None = None
    hints: FeedHints = FeedHints()
    hub_urls: tuple[str, ...] = ()
    self_url: str | None = None
    format: str = ""  # rss20, rss10, rss09x, atom10, atom03, json1, json11
    lane: Literal["fast", "feedparser", "json"] = "fast"
    complaint: str | None = None
    marks: bytes = b""  # of `ingest.spans`: by which the next poll knows entries without reading them


@dataclass(frozen=True, slots=True)
class ParseFailed:
    """A body that is no feed, or one that cost too much to find out."""

    reason: FailureReason
    detail: str


# ---------------------------------------------------------------- what is new


@dataclass(frozen=True, slots=True)
class KnownEntry:
    """What the store knows of one of a feed's entries, tombstones included: the input of `changes.feed_changes`.

    A tombstone has an id of 0, no texts and one `key`, a hash of what the entry was known by (`changes.Keys`).
    """

    entry_id: int
    guid: str | None
    canonical_url: str | None
    title_key: str
    fingerprint: bytes
    published: datetime | None
    first_seen: datetime
    is_tombstone: bool = False
    key: int = 0


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be stored for the first time. `canonical_url` names its page (`urls.canonical_url`), `title_key`
    its normalised title (`text.title_key`)."""

    entry: ParsedEntry
    canonical_url: str | None
    title_key: str


@dataclass(frozen=True, slots=True)
class UpdatedEntry:
    """A stored entry whose feed now says something else."""

    entry_id: int
    entry: ParsedEntry
    canonical_url: str | None
    title_key: str


@dataclass(frozen=True, slots=True)
class FeedChanges:
    """What one poll changes in one feed. `seen` are the ids of known entries that still stand in the document
    (the updated ones among them); `repeats` counts entries that another of the same document made superfluous."""

    new: tuple[NewEntry, ...] = ()
    updated: tuple[UpdatedEntry, ...] = ()
    seen: tuple[int, ...] = ()
    repeats: int = 0
    buried: int = 0  # entries that came back after retention had taken them: not new


@dataclass(frozen=True, slots=True)
class PollResult:
    """One poll, to be committed as one unit: the entries and the state (with the validators) that vouches for them."""

    state: FeedState
    outcome: FetchOutcome | ParseFailed | Pushed
    changes: FeedChanges = FeedChanges()
    polled_at: datetime | None = None
    last_success_at: datetime | None = None  # of the poll before
    marks: bytes = b""  # `ParsedFeed.marks`
    size: int = 0  # of the document in bytes; `outcome` comes without it, as results wait for their turn
    is_quiet: bool = False  # the poll changed nothing but validators, health and times (`polling.is_quiet`)


# ---------------------------------------------------------------- stories


@dataclass(frozen=True, slots=True)
class SourceRef:
    """The source an entry came from, as stages after ingest need it."""

    feed_id: int
    url: str
    title: str
    site_url: str | None = None
    section: str | None = None  # the operator's hint
    section_is_final: bool = False
    weight: float = 1.0
    language: str | None = None


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as kept, with its source. `duplicate_of` is the entry it repeats, None for an original;
    `story_id` None until grouped. `text` is plain text of content or summary."""

    entry_id: int
    source: SourceRef
    title: str
    first_seen: datetime
    last_seen: datetime
    guid: str | None = None
    link: str | None = None
    canonical_url: str | None = None
    title_key: str = ""
    author: str | None = None
    published: datetime | None = None
    updated: datetime | None = None
    summary: str | None = None
    content: str | None = None
    categories: tuple[str, ...] = ()
    image_url: str | None = None
    enclosures: tuple[Enclosure, ...] = ()
    comments_url: str | None = None
    comment_count: int | None = None
    language: str | None = None
    story_id: UUID | None = None
    duplicate_of: int | None = None

    @property
    def dated(self) -> datetime:
        """The publisher's date, or when we first saw it where there is none."""
        return self.published or self.first_seen


@dataclass(frozen=True, slots=True)
class Placement:
    """Where grouping put one entry: in `story_id`, which begins with it where `begins`. `duplicate_of` is set for the
    same article again. `score` in 0…1 is how sure we are; `reasons` are lines for `bmn explain`; `related` are stories
    near it that are not the same event; `absorbs` are stories that this entry showed to be the same one: they end."""

    entry_id: int
    story_id: UUID
    begins: bool = False
    duplicate_of: int | None = None
    score: float = 1.0
    reasons: tuple[str, ...] = ()
    related: tuple[UUID, ...] = ()
    absorbs: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Sectioning:
    """How likely each label is (sums to 1) and why. `section` is the verdict, None while unsure;
    `second` a section nearly as likely, None where there is none."""

    probabilities: Mapping[str, float]
    reasons: tuple[str, ...] = ()
    section: str | None = None
    second: str | None = None

    @property
    def confidence(self) -> float:
        """The probability of the verdict, or of the likeliest label while unsure."""
        if self.section is not None:
            return self.probabilities.get(self.section, 0.0)
        return max(self.probabilities.values(), default=0.0)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as a headline says it; None where it does not say.

    `label` is one of EVENTS. `company` is whom it is about (the buyer; the firm that raises, lists, reports, lays off,
    launches or is regulated; the central bank), `target` what an acquisition buys. `amount` in units of `currency`
    (ISO 4217): 12e6 and USD for "$12M". `round` as in "Series A"; `jobs` that go. `words` are those that decided.
    """

    label: str
    company: str | None = None
    target: str | None = None
    amount: float | None = None
    currency: str | None = None
    round: str | None = None
    jobs: int | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """One event as told by its entries; `lead` speaks for it, `entries` are all that are not duplicates, lead first,
    `duplicates` the copies. `published` is fixed when the story begins and decides its place in the feeds;
    `updated_at` moves only when something that readers see changed. `withheld` says what keeps it out of every feed
    and page (`rule`, `language`), None: nothing; `boost` is what the operator's rules multiply its rank by; `language`
    is None where neither feed nor words tell. `labels` are those of its `events` and whatever the rules add;
    `top_at` is when it came among the top stories, None where it did not."""

    story_id: UUID
    ref: str
    lead: StoredEntry
    entries: tuple[StoredEntry, ...]
    published: datetime
    updated_at: datetime
    sectioning: Sectioning
    duplicates: tuple[StoredEntry, ...] = ()
    labels: tuple[str, ...] = ()
    related: tuple[UUID, ...] = ()
    language: str | None = None
    withheld: str | None = None
    boost: float = 1.0
    is_filed_by_hand: bool = False
    events: tuple[Event, ...] = ()
    top_at: datetime | None = None

    @property
    def told(self) -> tuple[StoredEntry, ...]:
        """Every entry that tells it, lead first, copies last."""
        return (*self.entries, *self.duplicates)

    @property
    def place(self) -> tuple[float, str]:
        """What stories are sorted by: the newest first, those of one second by their refs, the same every time."""
        return -self.published.timestamp(), self.ref

    @property
    def sources(self) -> tuple[SourceRef, ...]:
        """Every source that tells it, lead first, each once."""
        seen: dict[int, SourceRef] = {}
        for entry in self.told:
            seen.setdefault(entry.source.feed_id, entry.source)
        return tuple(seen.values())


# ---------------------------------------------------------------- output


@dataclass(frozen=True, slots=True)
class FeedParts:
    """A feed document in pieces, so that a reader may be sent only what is new to it: `head`, `items` with `separator`
    between them, `tail`. `since` says for each item in which version of the document it first stood as it is now;
    `versions` are those that readers may still have, by etag. The version at hand is `version`."""

    head: bytes
    items: tuple[bytes, ...]
    separator: bytes
    tail: bytes
    since: tuple[int, ...]
    version: int
    versions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Bytes ready to be sent. `etag` is strong, without quotes; `last_modified` has whole seconds. `for_people` is the
    page that a browser gets at a feed's address, `parts` what a feed was joined from."""

    body: bytes
    content_type: str
    etag: str
    last_modified: datetime
    gzip: bytes | None = None
    brotli: bytes | None = None
    links: tuple[tuple[str, str], ...] = ()  # (rel, url) for the Link header
    for_people: Rendered | None = None
    parts: FeedParts | None = None


@dataclass(frozen=True, slots=True)
class Episode:
    """One trouble from its beginning to its end. `group` says what of a source it is about, so that one trouble is not
    told twice; `title` and `url` what it befell (the address without secrets); `since` when that went well last, None:
    never. `reason`, `does` (what we do about it), `fix` (what to do) and `command` (how) are said when it opens.

    `better_since` is when it seemed over first; `ended_at` when it was, and `ending` what is to be said of that, None
    where nobody needs to hear of it."""

    kind: str
    group: str
    feed_id: int | None
    title: str
    url: str | None
    since: datetime | None
    opened_at: datetime
    reason: str
    does: str
    fix: str
    command: str = ""
    better_since: datetime | None = None
    ended_at: datetime | None = None
    ending: str | None = None
    episode_id: int = 0
