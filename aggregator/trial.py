"""`bmn rules test`: what the rules would change about stories that are stored. Nothing is saved.

Each story is filed twice, without the rules and with them; what a rule held for and what changed stands side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from aggregator.editor import happened
from aggregator.stories.classify import Sectioner
from aggregator.stories.filing import Filing, FilingPolicy, filed
from aggregator.types import UNSURE, Story


@dataclass(frozen=True, slots=True)
class Change:
    """One story that a rule holds for, filed without the rules and with all of them."""

    story: Story
    before: Filing
    after: Filing


@dataclass(slots=True)
class Trial:
    """What one rule did: the stories it `matched`, and of these the ones where it `changed` something itself."""

    matched: int = 0
    changed: list[Change] = field(default_factory=list)


def tried(
    stories: Iterable[Story], policy: FilingPolicy, sectioner: Sectioner, by_hand: Mapping[UUID, str]
) -> list[Trial]:
    """One trial for each rule, in their order. `by_hand` are the sections that people gave, by story id."""
    trials = [Trial() for _ in policy.rules]
    without_rules = replace(policy, rules=())
    for story in stories:
        told = story.told
        labels = tuple(event.label for event in happened(story.lead, told))
        hand = by_hand.get(story.story_id)
        after = filed(told, policy, sectioner, story.sectioning, hand, labels)
        if not after.outcome.matched:
            continue
        before = filed(told, without_rules, sectioner, story.sectioning, hand, labels)
        for number in after.outcome.matched:
            trials[number].matched += 1
            if _does(number, policy, before, after):
                trials[number].changed.append(Change(story, before, after))
    return trials


def _does(number: int, policy: FilingPolicy, before: Filing, after: Filing) -> bool:
    """Whether this rule had a part in the difference."""
    rule = policy.rules[number]
    return (
        (after.outcome.given_by == number and after.sectioning.section != before.sectioning.section)
        or (rule.drops and after.withheld != before.withheld)
        or (rule.boost is not None and after.boost != before.boost)
        or (rule.label is not None and rule.label not in before.labels)
    )


def shown(filing: Filing) -> str:
    """A filing in a few words: `companies +ipo ×1.5`, `dropped`."""
    parts = [filing.sectioning.section or UNSURE, *(f"+{label}" for label in filing.labels)]
    parts += [f"×{filing.boost:g}"] if filing.boost != 1 else []
    parts += ["dropped"] if filing.withheld == "rule" else []
    return " ".join(parts)
