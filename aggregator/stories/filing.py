"""Where a story is filed, all things considered: a person's word, the operator's rules, the model, what readers saw.

In: the entries that tell the story, the policy, what was decided before. Out: a `Filing`. A person's word beats every
rule, a rule beats the model, and the model moves a published story only where another section is clearly ahead.
`classify` has the model's part, `rules` the operator's; the effects are the desk's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from aggregator.stories import rules
from aggregator.stories.classify import Sectioner, StoryText, certain, language
from aggregator.stories.evidence import Record
from aggregator.stories.languages import language_of
from aggregator.stories.rules import Outcome, Rule
from aggregator.types import SECTIONS, Sectioning, StoredEntry

CLEARLY = 0.15  # of probability, by which another section must be ahead to move a published story
BY_RULE, BY_LANGUAGE = "rule", "language"  # what withholds a story


@dataclass(frozen=True, slots=True)
class FilingPolicy:
    """The operator's rules in order, and the languages to publish (empty: all)."""

    rules: tuple[Rule, ...] = ()
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Filing:
    """What was decided; `withheld`, `boost`, `language` as in `types.Story`, `labels` those of events and rules."""

    sectioning: Sectioning
    labels: tuple[str, ...] = ()
    withheld: str | None = None
    boost: float = 1.0
    language: str | None = None
    outcome: Outcome = field(default_factory=Outcome)


def filed(
    told: Sequence[StoredEntry],
    policy: FilingPolicy,
    sectioner: Sectioner,
    before: Sectioning | None = None,
    hand: str | None = None,
    labels: Sequence[str] = (),
    record: Record | None = None,
) -> Filing:
    """The filing of a story told by these entries. `before` is the published verdict, None for a new story; `hand` is
    the section that a person gave it; `labels` those of its events; `record` how its sources were filed so far."""
    text = StoryText.of(told, record)
    # Under a person's word no rule gives a section, so none may judge by one that another gave.
    heeded = policy.rules if hand is None else tuple(replace(rule, section=None) for rule in policy.rules)
    at_first = rules.before_model(heeded, told)
    if hand is not None:
        verdict = by_hand(hand)
    elif at_first.section is not None:
        verdict = Sectioning(certain(at_first.section), (), at_first.section)
    else:
        verdict = settled(sectioner.section_of(text), before)
    outcome = rules.after_model(heeded, told, at_first, verdict.section, labels)
    if at_first.section is None and outcome.section is not None:
        verdict = Sectioning(certain(outcome.section), verdict.reasons, outcome.section)
    return Filing(
        replace(verdict, reasons=tuple(dict.fromkeys((*verdict.reasons, *outcome.reasons)))),
        tuple(dict.fromkeys((*labels, *outcome.labels))),
        None if hand is not None else _withheld(told, policy, outcome),
        outcome.boost,
        language(text).code,
        outcome,
    )


def by_hand(section: str) -> Sectioning:
    """The verdict of a person."""
    return Sectioning(certain(section), (f"filed under {section} by hand: no rule moves or drops it",), section)


def settled(verdict: Sectioning, before: Sectioning | None) -> Sectioning:
    """The verdict to publish: a story once filed stays where readers found it unless clearly bettered, that is while
    its section is now less than CLEARLY behind the likeliest, or none is likely enough.

    What a person, a rule or a source's configuration had settled is no verdict of the model's and holds nothing back.
    """
    if before is None or before.section is None or verdict.section == before.section or is_certain(before):
        return verdict
    if verdict.section is None:
        return before
    left = verdict.probabilities.get(before.section, 0.0)
    if verdict.confidence >= left + CLEARLY:
        return verdict
    why = f"stays under {before.section}: {verdict.section} at {verdict.confidence:.0%} is not clearly ahead"
    second = verdict.section if verdict.section in SECTIONS and before.section in SECTIONS else None
    return Sectioning(verdict.probabilities, (*verdict.reasons, why), before.section, second)


def is_certain(verdict: Sectioning) -> bool:
    """Whether it was given and not judged: one label has it all."""
    return sum(1 for share in verdict.probabilities.values() if share > 0) == 1


def speaks(entry: StoredEntry, languages: Sequence[str]) -> bool:
    """Whether an entry is in one of these languages (empty: any). One whose language nobody can tell is."""
    if not languages:
        return True
    code = language_of((entry.title, rules.plain(entry)), entry.language or entry.source.language).code
    return code is None or code in languages


def _withheld(told: Sequence[StoredEntry], policy: FilingPolicy, outcome: Outcome) -> str | None:
    if outcome.is_dropped:
        return BY_RULE
    originals = [entry for entry in told if entry.duplicate_of is None] or told
    return None if any(speaks(entry, policy.languages) for entry in originals) else BY_LANGUAGE
