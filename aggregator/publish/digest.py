"""The briefing: the stories that mattered since the last one, section by section. Pure: stories in, one value out, and
that value as plain text, as HTML and as an item of a feed.

A digest is a fact once it is made: it keeps what it says of each story, so that page, feed and e-mail say the same
however the stories fare later.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from html import escape
from uuid import uuid5
from zoneinfo import ZoneInfo

from aggregator.publish.item import Item, Outlet, item_of
from aggregator.publish.merge import choose
from aggregator.publish.ranking import Quota, ranked, weight
from aggregator.publish.settings import ContentSettings, FeedSettings, SiteSettings
from aggregator.text import excerpt
from aggregator.types import SECTIONS, Story
from aggregator.urls import story_ref

DAILY, WEEKLY = "daily", "weekly"
KINDS = (DAILY, WEEKLY)
IN_SECTION = {DAILY: 5, WEEKLY: 7}  # stories
SPAN = {DAILY: timedelta(days=1), WEEKLY: timedelta(days=7)}
LATEST = timedelta(hours=6)  # after its time a briefing is no longer made: a morning's paper in the evening is none
_WORDS = 40  # of each story
_WIDTH = 76  # of the plain text (RFC 5322 §2.1.1 asks for 78)


@dataclass(frozen=True, slots=True)
class Told:
    """What a digest says of one story. `url` is the original's page, `story_url` ours."""

    title: str
    url: str
    story_url: str
    source: str
    outlets: int
    text: str


@dataclass(frozen=True, slots=True)
class Digest:
    """One briefing. `day` names it in addresses: 2026-11-24, or 2026-W48 for a week."""

    kind: str
    day: str
    since: datetime
    made_at: datetime
    sections: tuple[tuple[str, tuple[Told, ...]], ...]

    @property
    def stories(self) -> int:
        return sum(len(told) for _, told in self.sections)


def due(kind: str, at: time | None, zone: ZoneInfo, now: datetime) -> str | None:
    """The name of the digest whose time it is, None where it is none's. A weekly one comes on Mondays."""
    local = now.astimezone(zone)
    # Wall clock against wall clock: on the days that lose or repeat an hour it is still the hour people read.
    late = datetime.combine(local.date(), local.time()) - datetime.combine(local.date(), at or time())
    if at is None or not timedelta() <= late < LATEST:
        return None
    if kind == WEEKLY:
        return _week(local.date()) if local.weekday() == 0 else None
    return local.date().isoformat()


def _week(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02}"


def composed(
    kind: str, day: str, since: datetime, now: datetime, stories: Iterable[Story], site: SiteSettings
) -> Digest:
    """The briefing of these stories, which came since then: each stands once, in its first section, heaviest first."""
    recent = [story for story in stories if story.published <= now]
    sections = []
    for section in SECTIONS:
        filed = choose(recent, FeedSettings("", sections=(section,), items=len(recent)))
        mine = [story for story in filed if story.sectioning.section == section]
        top = ranked(mine, IN_SECTION[kind], Quota(per_source=2), by=weight)
        sections.append((section, tuple(told_of(story, site) for story in top)))
    return Digest(kind, day, since, now, tuple(sections))


def told_of(story: Story, site: SiteSettings) -> Told:
    """What a digest says of this story."""
    item = item_of(story, site, ContentSettings(images=False))
    return Told(item.title, item.url, item.story_url, item.lead.name, item.outlets, excerpt(item.text, _WORDS))


# ---------------------------------------------------------------- as something to read


def title_of(digest: Digest, site: SiteSettings) -> str:
    """`Business Monkey News, Tuesday, 24 November 2026`."""
    local = digest.made_at.astimezone(site.zone)
    if digest.kind == WEEKLY:
        return f"{site.title}, week {int(digest.day[-2:])} of {digest.day[:4]}"
    return f"{site.title}, {local:%A}, {local.day} {local:%B %Y}"


def path_of(digest: Digest) -> str:
    """Where its page is."""
    return f"/digest/{digest.day.lower()}"


def as_text(digest: Digest, site: SiteSettings) -> str:
    """The briefing as plain text, at most 76 characters a line but for addresses."""
    return "\n".join(_text_lines(digest, site)) + "\n"


def _text_lines(digest: Digest, site: SiteSettings) -> Iterator[str]:
    yield from textwrap.wrap(title_of(digest, site), _WIDTH)
    for section, told in digest.sections:
        if not told:
            continue
        yield from ("", "", section.upper(), "-" * len(section))
        for each in told:
            yield ""
            yield from textwrap.wrap(each.title, _WIDTH)
            yield from textwrap.wrap(f"{each.source}{_others(each)}", _WIDTH)
            yield from textwrap.wrap(each.text, _WIDTH)
            yield each.story_url
    if not digest.stories:
        yield from ("", "Nothing happened that we know of.")
    yield from ("", "-- ", f"{site.public_url}{path_of(digest)}")


def as_html(digest: Digest) -> str:
    """The briefing as a piece of HTML, for feeds and mail: headings, paragraphs and links alone."""
    parts = []
    for section, told in digest.sections:
        if told:
            parts.append(f"<h2>{section.capitalize()}</h2>")
        for each in told:
            parts.append(f'<h3><a href="{escape(each.story_url)}">{escape(each.title)}</a></h3>')
            parts.append(f'<p><a href="{escape(each.url)}">{escape(each.source)}</a>{_others(each)}</p>')
            parts.append(f"<p>{escape(each.text)}</p>" if each.text else "")
    return "\n".join(part for part in parts if part) or "<p>Nothing happened that we know of.</p>"


def _others(told: Told) -> str:
    more = told.outlets - 1
    return f" and {more} other{'s' if more > 1 else ''}" if more else ""


def as_item(digest: Digest, site: SiteSettings) -> Item:
    """The briefing as one item of the digest's feed."""
    story_id = uuid5(site.installation, f"digest:{digest.kind}:{digest.day}")
    url = f"{site.public_url}{path_of(digest)}"
    titles = [told.title for _, each in digest.sections for told in each]
    return Item(
        story_id=story_id,
        ref=story_ref(story_id),
        title=title_of(digest, site),
        url=url,
        story_url=url,
        published=digest.made_at,
        updated=digest.made_at,
        lead=Outlet(site.title, "", url, f"{site.public_url}/", None, None, digest.made_at),
        also=(),
        text=excerpt("; ".join(titles), 60),
        body=as_html(digest),
        html=as_html(digest),
        sections=(),
        categories=(digest.kind,),
        language="en",
    )


# ---------------------------------------------------------------- as kept


def to_json(digest: Digest) -> str:
    """What the store keeps of it beside its name and times."""
    kept = [[section, [asdict(each) for each in told]] for section, told in digest.sections]
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def from_json(kind: str, day: str, since: datetime, made_at: datetime, content: str) -> Digest:
    """The digest that `to_json` wrote."""
    sections: Sequence[tuple[str, list[dict[str, str]]]] = json.loads(content)
    told = tuple((section, tuple(Told(**each) for each in ones)) for section, ones in sections)  # type: ignore[arg-type]
    return Digest(kind, day, since.astimezone(UTC), made_at.astimezone(UTC), told)
