"""Grouping and filing: ungrouped entries in, stories out. The effects around the pure stages of `stories/`.

Everything here runs on the thread that owns the store. What is to do is a query (`story_id IS NULL`), so a pass that
dies half-way is simply done again: story ids hang on the entries, not on the pass.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID, uuid5

from aggregator import html
from aggregator.config import Config
from aggregator.corrector import decisions, moves, regrouped
from aggregator.daemon import Log
from aggregator.desk import Desk
from aggregator.metrics import Metrics
from aggregator.store import Correction, Saved, Store, StoryRecord
from aggregator.stories.cluster import KEPT_LONGER, StoryIndex, StoryPolicy
from aggregator.stories.compare import Comparer
from aggregator.stories.filing import speaks
from aggregator.stories.labels_events import events_of
from aggregator.stories.rank import lead_entry
from aggregator.types import Event, Placement, StoredEntry, Story
from aggregator.urls import story_ref

_HEEDED = "corrections_heeded"
_BATCH = 200  # entries a transaction: a fraction of a second's work, so that polls are not kept from committing


@dataclass(slots=True)
class GroupTotals:
    """What a pass did."""

    entries: int = 0
    new_stories: int = 0
    duplicates: int = 0
    changed_stories: int = 0
    refiled: int = 0  # looked at again because somebody asked; of these, so many readers will see a change of:
    moved: int = 0
    sections: Counter[str] = field(default_factory=Counter)


def story_id_for(installation: UUID, entry: StoredEntry) -> UUID:
    """The id of the story that begins with this entry (version 5, RFC 9562 §5.5).

    Of the installation's own UUID and the entry's identity: neither a new host name nor a second installation, nor a
    pass done twice, can give it another id or somebody else's.
    """
    identity = entry.guid or entry.canonical_url or entry.link or f"{entry.title_key}\n{entry.dated.isoformat()}"
    return uuid5(installation, f"{entry.source.url}\n{identity}")


class Editor:
    """Owns the index of the stories that can still grow, and the desk that files them."""

    def __init__(
        self, store: Store, metrics: Metrics, log: Log, now: Callable[[], datetime], comparer: Comparer | None = None
    ) -> None:
        self._comparer = comparer
        self._store, self._metrics, self._log, self._now = store, metrics, log, now
        self._desk = Desk(store, log, now)
        self._policy = StoryPolicy()
        self._built: StoryIndex | None = None
        self._heeded: int | None = None  # the last correction looked at

    def configure(self, config: Config) -> None:
        """Group and file by this configuration; a new window takes effect when the index is built anew."""
        self._policy = StoryPolicy(window=config.stories.window)
        self._desk.configure(config)

    def heed(self) -> None:
        """Before a pass: see whether the rules of filing changed since the last one."""
        self._desk.heed()

    def recall(self) -> None:
        """Before a correction is put in force outside a pass: file as passes do, and leave changed rules to them."""
        self._desk.recall()

    def begin(self) -> None:
        """Take over from whoever edited before: what the store has is read anew, once there is something to group."""
        self._built = self._heeded = None

    @property
    def _index(self) -> StoryIndex:
        # Not before it is needed: the models and the window's entries are most of a process's memory, and one that
        # only polls or serves, or a pass that brings nothing new, has no use for them.
        return self._rebuilt() if self._built is None else self._built

    def _rebuilt(self) -> StoryIndex:
        """The index, built from what the store has grouped within the time that it remembers."""
        began = time.perf_counter()
        index = StoryIndex(self._policy, self._new_id, self._comparer or Comparer.load())
        index.load(self._store.window(self._now() - self._policy.window - KEPT_LONGER, self._policy.most))
        self._tell(index, self._store.corrections())
        self._built = index
        if len(index):
            took = round((time.perf_counter() - began) * 1000)
            self._log.info("index_rebuilt", entries=len(index), took_ms=took)
        return index

    def group_batch(self, totals: GroupTotals) -> bool:
        """Place one batch of ungrouped or changed entries; whether there was one. One transaction.

        What people corrected since the last is put in force first.
        """
        self.heed_corrections()
        fresh = self._store.ungrouped(_BATCH)
        stale = self._store.stale(_BATCH)
        if not fresh and not stale:
            return False
        began = time.perf_counter()
        now = self._now()
        self._index.expire(now)
        twins = self._store.twins(fresh)
        placements = [self._index.place(entry, twins.get(entry.entry_id, ())) for entry in fresh]
        # A later entry of the batch may have shown that stories of earlier ones are one.
        placements = [replace(each, story_id=self._index.keeper(each.story_id)) for each in placements]
        changed = {self._index.keeper(entry.story_id) for entry in stale if entry.story_id is not None}
        touched = dict.fromkeys([*(placement.story_id for placement in placements), *changed])
        known = {story.story_id: story for story in self._store.stories_by_id(touched)}
        merged, moved, joining = self._absorbed(placements, known)
        related: dict[UUID, tuple[UUID, ...]] = {}
        for entry, placement in zip(fresh, placements, strict=True):
            placed = replace(entry, story_id=placement.story_id, duplicate_of=placement.duplicate_of)
            joining.setdefault(placement.story_id, []).append(placed)
            related[placement.story_id] = (*related.get(placement.story_id, ()), *placement.related)
        hand = self._desk.by_hand(known.values())
        records = [
            self._record(
                story_id,
                story,
                (*(story.told if story else ()), *joining.get(story_id, ())),
                related.get(story_id, ()),
                now,
                hand.get(story_id),
            )
            for story_id in touched
            for story in (known.get(story_id),)
        ]
        placements += moved
        saved = self._store.save_grouping(placements, records, now, merged, [entry.entry_id for entry in stale])
        self._account(totals, placements[: len(fresh)], records, known, saved)
        self._metrics.group_seconds.observe(time.perf_counter() - began)
        return True

    def refile_batch(self, totals: GroupTotals) -> bool:
        """File one batch of touched stories anew; whether there was one. What looks the same to readers stays as old
        as it was."""
        waiting = self._store.touched(_BATCH)
        if not waiting:
            return False
        now = self._now()
        hand = self._desk.by_hand(each.story for each in waiting)
        filed = []
        for each in waiting:
            story = each.story
            record = self._record(story.story_id, story, story.told, (), now, hand.get(story.story_id))
            has_changed = _looks(record) != _looks(story)
            totals.moved += has_changed
            filed.append((record if has_changed else replace(record, updated_at=story.updated_at), each.touched_at))
        self._store.settle(filed)
        totals.refiled += len(filed)
        self._log.info("refile", stories=len(filed))
        return True

    def _absorbed(
        self, placements: Iterable[Placement], known: Mapping[UUID, Story]
    ) -> tuple[dict[UUID, UUID], list[Placement], dict[UUID, list[StoredEntry]]]:
        """Stories that these entries showed to be others': where each goes, and its entries, moved there."""
        merged = {gone: self._index.keeper(gone) for placement in placements for gone in placement.absorbs}
        moved: list[Placement] = []
        joining: dict[UUID, list[StoredEntry]] = {}
        for story in self._store.stories_by_id(merged):
            kept = merged[story.story_id]
            moved += moves(self._store, story, kept, "found to be one story")
            joining.setdefault(kept, []).extend(replace(entry, story_id=kept) for entry in story.told)
            self._log.info("stories_joined", story=story_ref(kept), gone=story.ref)
        return merged, moved, joining

    # ------------------------------------------------------------ by hand

    def heed_corrections(self) -> int:
        """Put in force what people merged and split since the last time; how many corrections. The index follows."""
        if self._heeded is None:
            self._heeded = int(self._store.note(_HEEDED) or 0)
        since = self._store.corrections(self._heeded)
        fresh = [each for each in since if each.kind in ("merge", "split")]
        for correction in fresh:
            self._heed(correction)
        if fresh:
            if self._built is not None:
                self._tell(self._built, self._store.corrections())
            self._store.set_note(_HEEDED, str(fresh[-1].correction_id))
        if since:
            self._heeded = since[-1].correction_id
        return len(fresh)

    def _heed(self, correction: Correction) -> None:
        now = self._now()
        found = regrouped(self._store, correction)
        shown = ",".join(map(story_ref, correction.story_ids))
        if found is None:  # done before we could note it, or retention was quicker
            self._log.info("correction_done_before", kind=correction.kind, stories=shown)
            return
        known = {story.story_id: story for story in self._store.stories_by_id(found.told)}
        hand = self._desk.by_hand(known.values())
        records = [
            replace(self._record(story_id, known.get(story_id), told, (), now, hand.get(story_id)), updated_at=now)
            for story_id, told in found.told.items()
        ]
        self._store.save_grouping(found.placements, records, now, found.merged)
        if self._built is not None:
            self._built.regroup(found.placements, found.merged)
        self._log.info("corrected", kind=correction.kind, stories=shown)

    def _tell(self, index: StoryIndex, corrections: Iterable[Correction]) -> None:
        byhand = decisions(corrections)
        index.heed(byhand, self._store.redirects(byhand.story_ids))

    # ------------------------------------------------------------ records

    def _new_id(self, entry: StoredEntry) -> UUID:
        return story_id_for(self._store.installation_id(), entry)

    def _record(
        self,
        story_id: UUID,
        story: Story | None,
        told: Sequence[StoredEntry],
        near: Iterable[UUID],
        now: datetime,
        by_hand: str | None,
    ) -> StoryRecord:
        """The story as these entries tell it: who leads, where it is filed, when readers see a change."""
        understood = [entry for entry in told if speaks(entry, self._desk.policy.languages)]
        lead = lead_entry(understood or told, story.lead if story else None)
        events = happened(lead, told)
        filing = self._desk.file(told, story, by_hand, tuple(event.label for event in events))
        related = tuple(dict.fromkeys((*(story.related if story else ()), *near)))[-_RELATED:]
        if story is None:
            # A story's place in the feeds hangs on the entry that began it, never on when we grouped it.
            began = min(told, key=lambda entry: (entry.first_seen, entry.entry_id))
            published, changed = min(began.dated, now), max(entry.first_seen for entry in told)
        else:
            published, changed = story.published, now
        return StoryRecord(
            story_id,
            lead.entry_id,
            published,
            changed,
            filing.sectioning,
            filing.labels,
            related,
            is_filed_by_hand=by_hand is not None,
            language=filing.language,
            withheld=filing.withheld,
            boost=filing.boost,
            events=events,
        )

    def _account(
        self,
        totals: GroupTotals,
        placements: Sequence[Placement],
        records: Sequence[StoryRecord],
        known: Iterable[UUID],
        saved: Saved,
    ) -> None:
        before = set(known)
        new = [record for record in records if record.story_id not in before]
        duplicates = sum(1 for placement in placements if placement.duplicate_of is not None)
        totals.entries += len(placements)
        totals.new_stories += len(new)
        totals.duplicates += duplicates
        totals.changed_stories += saved.changed_stories
        for record in new:
            section = record.sectioning.section or "unsure"
            totals.sections[section] += 1
            self._metrics.stories.labels(section).inc()
        self._metrics.last_progress.labels("group").set_to_current_time()
        self._log.info(
            "group", entries=len(placements), stories=len(new), grown=saved.changed_stories, duplicates=duplicates
        )


_RELATED = 12  # near stories remembered per story: twice what a page shows, as some will be pruned


def happened(lead: StoredEntry, told: Sequence[StoredEntry]) -> tuple[Event, ...]:
    """What the lead's headline, or several of the others, say happened. A copy is no second witness."""
    others = [entry for entry in told if entry is not lead and entry.duplicate_of is None]
    return events_of([(entry.title, html.to_text(entry.summary or entry.content or "")) for entry in (lead, *others)])


def _looks(story: Story | StoryRecord) -> tuple[object, ...]:
    """What readers see of a filing."""
    lead = story.lead.entry_id if isinstance(story, Story) else story.lead_entry_id
    verdict = story.sectioning
    return lead, verdict.section, verdict.second, story.labels, story.withheld, story.events
