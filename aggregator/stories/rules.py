"""The operator's rules on stories: which hold, and what follows.

In: entries and the verdict so far. Out: an `Outcome`. Rules are read from top to bottom, those that ask for the section
or a label after the model, the others before it. Of the sections that they give the first counts; one `drop` is enough;
boosts multiply, labels add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from aggregator import html
from aggregator.text import Pattern
from aggregator.types import UNSURE, StoredEntry

LEAST_BOOST, MOST_BOOST = 0.01, 100.0  # of all rules together


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `fits_*` and `on_*` are its conditions, all of which must hold: the patterns on one and the same entry,
    section (`unsure` among them) and label on the story so far. The rest is what it does; `said` shows it to people."""

    number: int  # its place in the file, from 0
    said: str
    fits_title: Pattern | None = None
    fits_summary: Pattern | None = None
    fits_source: Pattern | None = None
    fits_link: Pattern | None = None
    on_section: str | None = None
    on_label: str | None = None
    section: str | None = None
    drops: bool = False
    boost: float | None = None
    label: str | None = None

    @property
    def is_after(self) -> bool:
        """Whether it asks for what only the model can say."""
        return self.on_section is not None or self.on_label is not None

    def fits(self, entry: StoredEntry) -> bool:
        """Whether the patterns fit this entry."""
        source = entry.source
        return (
            (self.fits_title is None or bool(self.fits_title.search(entry.title)))
            and (self.fits_link is None or bool(self.fits_link.search(entry.link or "")))
            and (
                self.fits_source is None
                or bool(self.fits_source.search(source.url) or self.fits_source.search(source.title))
            )
            and (self.fits_summary is None or bool(self.fits_summary.search(plain(entry))))
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the rules say so far. `section` is given by rule number `given_by`; `matched` are the rules that held."""

    section: str | None = None
    given_by: int | None = None
    is_dropped: bool = False
    boost: float = 1.0
    labels: tuple[str, ...] = ()
    matched: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()


def before_model(rules: Iterable[Rule], entries: Sequence[StoredEntry]) -> Outcome:
    """What the rules say that need no verdict of the model."""
    outcome = Outcome()
    for rule in rules:
        if not rule.is_after and _holds(rule, entries):
            outcome = _with(outcome, rule)
    return outcome


def after_model(
    rules: Iterable[Rule], entries: Sequence[StoredEntry], so_far: Outcome, section: str | None, labels: Sequence[str]
) -> Outcome:
    """… and those that ask for the verdict: `section` (None: unsure) and the story's own labels. Each rule sees what
    the ones above it made of them."""
    outcome = so_far
    for rule in rules:
        if not rule.is_after:
            continue
        now = outcome.section or section or UNSURE
        if rule.on_section is not None and rule.on_section != now:
            continue
        if rule.on_label is not None and rule.on_label not in (*labels, *outcome.labels):
            continue
        if _holds(rule, entries):
            outcome = _with(outcome, rule)
    return outcome


def _holds(rule: Rule, entries: Sequence[StoredEntry]) -> bool:
    has_patterns = rule.fits_title or rule.fits_summary or rule.fits_source or rule.fits_link
    return not has_patterns or any(rule.fits(entry) for entry in entries)


def _with(outcome: Outcome, rule: Rule) -> Outcome:
    gives = rule.section is not None and outcome.section is None
    labels = outcome.labels if rule.label is None else tuple(dict.fromkeys((*outcome.labels, rule.label)))
    return replace(
        outcome,
        section=rule.section if gives else outcome.section,
        given_by=rule.number if gives else outcome.given_by,
        is_dropped=outcome.is_dropped or rule.drops,
        boost=min(MOST_BOOST, max(LEAST_BOOST, outcome.boost * (rule.boost or 1.0))),
        labels=labels,
        matched=(*outcome.matched, rule.number),
        reasons=(*outcome.reasons, f"rules[{rule.number}]: {rule.said} → {_done(rule, gives)}"),
    )


def _done(rule: Rule, gives: bool) -> str:
    parts = [f"section {rule.section}" if gives else "", "drop" if rule.drops else ""]
    parts += [f"boost {rule.boost:g}" if rule.boost else "", f"label {rule.label}" if rule.label else ""]
    return ", ".join(part for part in parts if part) or "nothing more: a rule above gave the section"


def plain(entry: StoredEntry) -> str:
    """What an entry says beside its title, without markup."""
    return html.to_text(entry.summary or entry.content or "")
