"""How high a story stands where not all can stand first. Pure: stories in, order out, with the reasons.

A story's weight halves with every `HALF_LIFE` that passes. As it does so for all alike, their order never changes by
waiting alone: the logarithm of the weight plus the age in half-lives is a number that stays, and with it the bytes of
the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import log2

from aggregator.types import StoredEntry, Story
from aggregator.urls import publisher_key

HALF_LIFE = timedelta(hours=8)  # a front page is new in the morning, at noon and in the evening
COPY = 0.25  # what a publisher adds that only reprints; wire copy on forty sites is no forty witnesses
TOP_PER_DAY = 12  # stories that come among the top ones in any 24 hours
TOP_AT_ONCE = 3  # of them in any two hours: the morning must not use up the day
TOP_WEIGHT = 2.0  # two publishers, or one that the operator's rules or weights call as good
_LEAST = 1e-6  # of a source that the operator weighs nothing
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Quota:
    """How many of those chosen may be led by one source or filed in one section. None: any number."""

    per_source: int | None = None
    per_section: int | None = None


def rank(story: Story) -> float:
    """The higher, the more it matters; differences count in half-lives. Another outlet never lowers it, nor does time
    change who is before whom."""
    return log2(max(_LEAST, weight(story))) + (story.published - _EPOCH) / HALF_LIFE


def weight(story: Story) -> float:
    """The publishers that tell it, each once with the weight of its best source, times what the rules boost it by."""
    return sum(_publishers(story).values()) * story.boost


def why(story: Story) -> str:
    """The weight in words."""
    told = _publishers(story)
    originals = {_publisher(entry) for entry in story.entries}
    copies = len(told) - len(originals)
    parts = [_counted(len(originals), "publisher")]
    if copies:
        parts.append(f"{_counted(copies, 'more publisher')} of copies, each counting {COPY:g}")
    if story.boost != 1:
        parts.append(f"boosted by {story.boost:g}")
    return f"Weighs {weight(story):.3g}: {', '.join(parts)}; halves every {HALF_LIFE // timedelta(hours=1)} hours."


def ranked(
    stories: Iterable[Story], count: int, quota: Quota = Quota(), by: Callable[[Story], float] = rank
) -> list[Story]:
    """The `count` highest within the quotas, the highest first; where those leave room, the highest of the others.

    `by` says how high: `rank` for what is read now, `weight` for what looks back on a time, where the last hours are no
    better than the first. Of equals the newer is first.
    """

    def place(story: Story) -> tuple[float, tuple[float, str]]:
        return -by(story), story.place

    order = sorted(stories, key=place)
    chosen = within(order, count, quota)
    if len(chosen) < count:
        taken = {story.story_id for story in chosen}
        chosen += [story for story in order if story.story_id not in taken][: count - len(chosen)]
        chosen.sort(key=place)
    return chosen


def risen(stories: Iterable[Story], top: Iterable[Story], now: datetime) -> list[Story]:
    """The stories that come among the top ones now, the highest first: of the last day, heavy enough, within the
    quotas. `top` are those that came in the last day. Once in, a story stays: readers have seen it."""
    already = [story for story in top if story.top_at is not None and now - story.top_at < timedelta(days=1)]
    lately = sum(1 for story in already if story.top_at is not None and now - story.top_at < timedelta(hours=2))
    room = min(TOP_PER_DAY - len(already), TOP_AT_ONCE - lately)
    if room <= 0:
        return []
    fit = [s for s in stories if s.top_at is None and now - s.published < timedelta(days=1) and weight(s) >= TOP_WEIGHT]
    order = sorted(fit, key=lambda story: (-rank(story), story.ref))
    return within(order, room, Quota(per_source=TOP_PER_DAY // 4, per_section=TOP_PER_DAY // 2), already)


def within(order: Sequence[Story], count: int, quota: Quota, already: Iterable[Story] = ()) -> list[Story]:
    """The first `count` of `order` that the quotas allow; `already` are chosen before and use them up."""
    sources, sections = Counter[int](), Counter[str | None]()
    for story in already:
        sources[story.lead.source.feed_id] += 1
        sections[story.sectioning.section] += 1
    chosen: list[Story] = []
    for story in order:
        source, section = story.lead.source.feed_id, story.sectioning.section
        if len(chosen) == count:
            break
        if quota.per_source is not None and sources[source] >= quota.per_source:
            continue
        if quota.per_section is not None and sections[section] >= quota.per_section:
            continue
        sources[source] += 1
        sections[section] += 1
        chosen.append(story)
    return chosen


def _publishers(story: Story) -> dict[str, float]:
    """What each publisher adds."""
    told: dict[str, float] = {}
    for entries, share in ((story.entries, 1.0), (story.duplicates, COPY)):
        for entry in entries:
            name = _publisher(entry)
            told[name] = max(told.get(name, 0.0), share * entry.source.weight)
    return told


def _publisher(entry: StoredEntry) -> str:
    source = entry.source
    return publisher_key(source.site_url or source.url) or source.url


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
