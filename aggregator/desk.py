"""The desk that files: keeps the model and the operator's policy at hand, and notices when either of them changed.

The deciding is `stories.filing`; here are the effects around it. Everything runs on the thread that owns the store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from aggregator.config import Config
from aggregator.config import Rule as RuleSetting
from aggregator.config_values import compiled
from aggregator.daemon import Log
from aggregator.store import Correction, Store
from aggregator.stories.classify import Sectioner, StoryText, is_english
from aggregator.stories.evidence import Record
from aggregator.stories.features import SUMMARY_CHARACTERS
from aggregator.stories.filing import Filing, FilingPolicy, by_hand, filed, is_certain
from aggregator.stories.head import Head, HeadError
from aggregator.stories.learn import Example
from aggregator.stories.rules import Rule
from aggregator.text import Pattern
from aggregator.types import LABELS, StoredEntry, Story

_RECORDS_FOR = timedelta(hours=1)  # a source's habits change over weeks; counting them reads every story's row
UNCORRECTED = 800  # stories that training looks at beside the corrections
_NOTE = "filing"  # under which the store remembers by what policy stories were filed last


class Desk:
    """Files one story at a time. `configure`, then `heed` before filing, or `recall` where changed rules can wait."""

    def __init__(self, store: Store, log: Log, now: Callable[[], datetime]) -> None:
        self._store, self._log, self._now = store, log, now
        self._known_sectioner: Sectioner | None = None
        self.policy = FilingPolicy()
        self._window = timedelta(0)
        self._fingerprint = ""
        self._is_heeded = False
        self._records: Mapping[int, tuple[int, ...]] = {}
        self._records_at: datetime | None = None

    def configure(self, config: Config) -> None:
        """File by this configuration from the next `heed` on."""
        self.policy = policy_of(config)
        self._window = config.stories.window
        self._fingerprint = fingerprint(config)
        self._is_heeded = False

    def heed(self) -> None:
        """Take up what was learnt meanwhile. Where rules or languages are not those of the last pass, have the stories
        that can still grow filed anew."""
        self.recall()
        if self._is_heeded:
            return
        self._is_heeded = True
        self._known_sectioner = None
        before = self._store.note(_NOTE) or fingerprint(Config())
        if before == self._fingerprint:
            return
        count = self._store.touch(self._now() - self._window, self._now())
        self._store.set_note(_NOTE, self._fingerprint)
        self._log.info("filing_changed", stories=count, rules=len(self.policy.rules))

    @property
    def _sectioner(self) -> Sectioner:
        if self._known_sectioner is None:  # read with the first story: a pass that files nothing needs no model
            self._known_sectioner = learnt_sectioner(self._store, self._log)
        return self._known_sectioner

    def by_hand(self, stories: Iterable[Story]) -> dict[UUID, str]:
        """Where people filed these stories, of those that anybody did."""
        return hand_sections(self._store, stories)

    def file(
        self, told: Sequence[StoredEntry], story: Story | None, by_hand: str | None, labels: Sequence[str]
    ) -> Filing:
        """The filing of a story told by these entries; `story` as it was published, None for a new one."""
        before = story.sectioning if story else None
        return filed(told, self.policy, self._sectioner, before, by_hand, labels, self._record_of(told))

    def recall(self) -> None:
        """Once in a while, count anew what the stories of each source were filed under."""
        now = self._now()
        if self._records_at is None or now - self._records_at >= _RECORDS_FOR:
            counts = self._store.filed_by_feed()
            self._records = {feed: tuple(found.get(label, 0) for label in LABELS) for feed, found in counts.items()}
            self._records_at = now

    def _record_of(self, told: Sequence[StoredEntry]) -> Record | None:
        feeds = {entry.source.feed_id for entry in told}
        own = [self._records[feed] for feed in feeds if feed in self._records]
        if not own:
            return None
        return Record(_sums(own), _sums(self._records.values()))


def _sums(counts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))


def hand_sections(store: Store, stories: Iterable[Story]) -> dict[UUID, str]:
    """The sections that people gave these stories, by id of those that anybody gave one."""
    wanted = [story.story_id for story in stories if story.is_filed_by_hand]
    said = store.filed_by_hand(wanted) if wanted else {}
    return {story_id: correction.section for story_id, correction in said.items() if correction.section is not None}


def file_by_hand(store: Store, story: Story, section: str | None, now: datetime) -> None:
    """Remember that a person files the story under this section (None: takes their hand off it), in force at once.

    Its text is remembered too, as far as the model reads it: retention may take the entries before `bmn train` comes.
    """
    texts = tuple((title, summary[:SUMMARY_CHARACTERS]) for title, summary in StoryText.of(story.told).texts)
    correction = Correction("file", now, (story.story_id,), section=section, texts=texts)
    store.file_by_hand(correction, by_hand(section) if section is not None else None)


def file_named(store: Store, ref: str, section: str | None, now: datetime) -> bool:
    """`file_by_hand` for the story of this id; False where there is none."""
    story = store.story(ref)
    if story is None:
        return False
    file_by_hand(store, story, section, now)
    return True


def learnt_sectioner(store: Store, log: Log) -> Sectioner:
    """The section model with the head that is in use; the shipped one alone where there is none that fits it."""
    kept = store.head()
    if kept is None:
        return Sectioner.load()
    try:
        return Sectioner.load().with_head(Head.load(kept.parameters, kept.head_id))
    except HeadError as error:
        log.warning("corrections_not_heeded", version=kept.head_id, reason=str(error))
        return Sectioner.load()


def examples(store: Store) -> list[Example]:
    """What people filed by hand and the model can read: the last word on each story, with its texts of then."""
    last: dict[UUID, Correction] = {}
    for correction in store.corrections():
        if correction.kind == "file":
            last[correction.story_ids[0]] = correction
    return [
        Example(correction.texts, correction.section)
        for correction in last.values()
        if correction.section is not None and correction.texts and is_english(StoryText(correction.texts))
    ]


def uncorrected(store: Store) -> list[Example]:
    """The newest stories that the model filed and nobody moved."""
    found = [
        StoryText.of(story.told)
        for story in store.stories(limit=UNCORRECTED)
        if not story.is_filed_by_hand and not is_certain(story.sectioning)
    ]
    return [Example(text.texts) for text in found if is_english(text)]


def policy_of(config: Config) -> FilingPolicy:
    """What the configuration says about filing, its patterns compiled."""
    rules = tuple(_rule(number, rule) for number, rule in enumerate(config.rules))
    return FilingPolicy(rules, tuple(config.languages))


def fingerprint(config: Config) -> str:
    """Differs whenever the configuration would file stories differently."""
    said = [[rule.model_dump(mode="json") for rule in config.rules], sorted(config.languages)]
    return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=12).hexdigest()


def _rule(number: int, rule: RuleSetting) -> Rule:
    when, then = rule.when, rule.then
    conditions = when.model_dump(exclude_none=True)
    return Rule(
        number=number,
        said=", ".join(f"{name} {value}" for name, value in conditions.items()),
        fits_title=_pattern(when.title),
        fits_summary=_pattern(when.summary),
        fits_source=_pattern(when.source),
        fits_link=_pattern(when.link),
        on_section=when.section,
        on_label=when.label,
        section=then.section,
        drops=then.drop,
        boost=then.boost,
        label=then.label,
    )


def _pattern(pattern: str | None) -> Pattern | None:
    return compiled(pattern) if pattern is not None else None
