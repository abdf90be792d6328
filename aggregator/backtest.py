"""`bmn backtest`: stored history told again by a changed configuration, beside how the one in use tells it. Read-only.

Both are told from the same entries by the same steps, grouping, lead and filing, so that whatever differs comes from
the configuration. What the store never kept (a source that is new, titles that `exclude` dropped) cannot come back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from aggregator.config import Config, Source, source_key
from aggregator.corrector import decisions
from aggregator.desk import policy_of
from aggregator.editor import happened, story_id_for
from aggregator.publish.merge import belongs
from aggregator.publisher import settings_of
from aggregator.stories.byhand import ByHand
from aggregator.stories.classify import Sectioner
from aggregator.stories.cluster import StoryIndex, StoryPolicy
from aggregator.stories.compare import Comparer
from aggregator.stories.filing import filed, speaks
from aggregator.stories.rank import lead_entry
from aggregator.types import UNSURE, SourceRef, StoredEntry, Story
from aggregator.urls import story_ref

Told = Mapping[UUID, Story]
Groups = Mapping[UUID, Sequence[StoredEntry]]


@dataclass(frozen=True, slots=True)
class History:
    """What is told again: grouped entries in the order in which they were stored, and people's word on them."""

    entries: tuple[StoredEntry, ...]
    installation: UUID
    byhand: ByHand = field(default_factory=lambda: decisions(()))
    became: Mapping[UUID, UUID] = field(default_factory=dict)
    sections: Mapping[UUID, str] = field(default_factory=dict)  # given by hand, by story


@dataclass(frozen=True, slots=True)
class FeedChange:
    """One merged feed over the time looked at: how many stories it had and would have, which come and go."""

    slug: str
    before: int
    after: int
    gained: tuple[Story, ...]
    lost: tuple[Story, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What differs. `merged`: a story of the new telling with those of the old that it gathers; `split`: the other way
    round; `refiled` and `led_anew`: before and after."""

    entries: int
    stories_before: int
    stories_after: int
    feeds: tuple[FeedChange, ...]
    merged: tuple[tuple[Story, tuple[Story, ...]], ...]
    split: tuple[tuple[Story, tuple[Story, ...]], ...]
    refiled: tuple[tuple[Story, Story], ...]
    led_anew: tuple[tuple[Story, Story], ...]


def backtest(
    old: Config,
    new: Config,
    history: History,
    sectioner: Sectioner,
    comparer: Callable[[], Comparer] = Comparer.load,
    progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Tell history by both configurations and compare. `progress` is given the entries placed and stories filed."""
    sides = [_as_configured(history.entries, config) for config in (old, new)]
    is_grouped_alike = old.stories.window == new.stories.window and _ids(sides[0]) == _ids(sides[1])
    told: list[Told] = []
    done = 0
    for entries, config in zip(sides, (old, new), strict=True):
        # Grouping that cannot differ need not be done again: it stands in the store.
        groups = _stored(entries) if is_grouped_alike else _grouped(entries, config, history, comparer())
        told.append(_filed(groups, config, history, sectioner))
        done += len(entries)
        progress(done)
    return _compared(old, new, len(history.entries), *told)


def _ids(entries: Iterable[StoredEntry]) -> list[int]:
    return [entry.entry_id for entry in entries]


def _as_configured(entries: Iterable[StoredEntry], config: Config) -> list[StoredEntry]:
    """The entries that would have been kept, with their sources as this configuration has them."""
    sources = {source_key(source.url): source for source in config.sources if source.enabled}
    kept = []
    for entry in entries:
        source = sources.get(source_key(entry.source.url))
        if source is not None and source.accepts(entry.title):
            kept.append(replace(entry, source=_ref(entry, source)))
    return kept


def _ref(entry: StoredEntry, source: Source) -> SourceRef:
    return replace(
        entry.source,
        title=source.title or entry.source.title,
        section=source.section,
        section_is_final=source.section_is == "final",
        weight=source.weight,
    )


# ---------------------------------------------------------------- telling


def _stored(entries: Iterable[StoredEntry]) -> Groups:
    groups: dict[UUID, list[StoredEntry]] = {}
    for entry in entries:
        if entry.story_id is not None:
            groups.setdefault(entry.story_id, []).append(entry)
    return groups


def _grouped(entries: Sequence[StoredEntry], config: Config, history: History, comparer: Comparer) -> Groups:
    policy = StoryPolicy(config.stories.window)
    index = StoryIndex(policy, lambda entry: story_id_for(history.installation, entry), comparer)
    index.heed(history.byhand, history.became)
    placed = []
    for entry in entries:
        index.expire(entry.first_seen)
        fresh = replace(entry, story_id=None, duplicate_of=None)
        placement = index.place(fresh)
        placed.append((fresh, placement))
    groups: dict[UUID, list[StoredEntry]] = {}
    for entry, placement in placed:
        story_id = index.keeper(placement.story_id)
        grouped = replace(entry, story_id=story_id, duplicate_of=placement.duplicate_of)
        groups.setdefault(story_id, []).append(grouped)
    return groups


def _filed(groups: Groups, config: Config, history: History, sectioner: Sectioner) -> Told:
    policy = policy_of(config)
    told: dict[UUID, Story] = {}
    for story_id, entries in groups.items():
        understood = [entry for entry in entries if speaks(entry, policy.languages)]
        lead = lead_entry(understood or entries)
        labels = tuple(event.label for event in happened(lead, entries))
        filing = filed(entries, policy, sectioner, None, history.sections.get(story_id), labels)
        began = min(entries, key=lambda entry: (entry.first_seen, entry.entry_id))
        originals = tuple(each for each in entries if each.duplicate_of is None and each is not lead)
        told[story_id] = Story(
            story_id,
            story_ref(story_id),
            lead,
            (lead, *originals),
            began.dated,
            began.first_seen,
            filing.sectioning,
            tuple(each for each in entries if each.duplicate_of is not None and each is not lead),
            filing.labels,
            language=filing.language,
            withheld=filing.withheld,
            boost=filing.boost,
        )
    return told


# ---------------------------------------------------------------- comparing


def _compared(old: Config, new: Config, entries: int, before: Told, after: Told) -> Outcome:
    was, now = _by_entry(before), _by_entry(after)
    pairs = [(story, now[_began(story)]) for story in before.values() if _began(story) in now]
    return Outcome(
        entries,
        len(before),
        len(after),
        tuple(_feeds(old, new, before, after, was, now)),
        tuple((story, others) for story in after.values() if len(others := _told_in(story, was)) > 1),
        tuple((story, others) for story in before.values() if len(others := _told_in(story, now)) > 1),
        tuple((one, two) for one, two in pairs if filing_of(one) != filing_of(two)),
        tuple((one, two) for one, two in pairs if one.lead.entry_id != two.lead.entry_id),
    )


def filing_of(story: Story) -> str:
    """Where a story stands, in words."""
    if story.withheld is not None:
        return f"withheld by {story.withheld}"
    shown = story.sectioning.section or UNSURE
    return f"{shown}, {story.sectioning.second}" if story.sectioning.second else shown


def _feeds(
    old: Config,
    new: Config,
    before: Told,
    after: Told,
    was: Mapping[int, Story],
    now: Mapping[int, Story],
) -> Iterable[FeedChange]:
    for slug in dict.fromkeys(feed.slug for feed in (*old.feeds, *new.feeds)):
        held, holds = _held(old, slug, before.values()), _held(new, slug, after.values())
        old_ids, new_ids = {story.story_id for story in held}, {story.story_id for story in holds}
        gained = [s for s in holds if not any(each.story_id in old_ids for each in _told_in(s, was))]
        lost = [s for s in held if not any(each.story_id in new_ids for each in _told_in(s, now))]
        yield FeedChange(slug, len(held), len(holds), _newest_first(gained), _newest_first(lost))


def _held(config: Config, slug: str, stories: Iterable[Story]) -> list[Story]:
    """The stories that would have come into the feed, however many it shows at a time."""
    feed = config.merged_feed(slug)
    if feed is None:
        return []
    settings = settings_of(feed)
    return [story for story in stories if belongs(story, settings)]


def _newest_first(stories: Iterable[Story]) -> tuple[Story, ...]:
    return tuple(sorted(stories, key=lambda story: story.place))


def _by_entry(told: Told) -> dict[int, Story]:
    return {entry.entry_id: story for story in told.values() for entry in story.told}


def _began(story: Story) -> int:
    return min(story.told, key=lambda entry: (entry.first_seen, entry.entry_id)).entry_id


def _told_in(story: Story, others: Mapping[int, Story]) -> tuple[Story, ...]:
    """The stories of the other telling that have entries of this one, each once."""
    found = {others[e.entry_id].story_id: others[e.entry_id] for e in story.told if e.entry_id in others}
    return tuple(found.values())


def newest(entries: Iterable[StoredEntry], limit: int) -> tuple[list[StoredEntry], datetime | None]:
    """The last so many of entries in order of time, sorted as they were stored; the date of the first where some had
    to be left out, else None."""
    kept: list[StoredEntry] = []
    is_cut = False
    for entry in entries:
        kept.append(entry)
        if len(kept) >= 2 * limit:
            kept, is_cut = kept[-limit:], True
    is_cut = is_cut or len(kept) > limit
    kept = kept[-limit:]
    return sorted(kept, key=lambda entry: entry.entry_id), kept[0].dated if is_cut and kept else None
