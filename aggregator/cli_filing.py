"""`bmn rules test|apply` and `bmn stories file`: the operator's word on where stories belong."""

from __future__ import annotations

import argparse
from typing import Any

from aggregator.cli_common import DONE, Console, counted, load_config, reading, since
from aggregator.cli_editing import editor_here
from aggregator.config import Config
from aggregator.corrector import named
from aggregator.daemon import configure_logging, log
from aggregator.desk import file_by_hand, hand_sections, learnt_sectioner, policy_of
from aggregator.editor import GroupTotals
from aggregator.pipeline import utc_now
from aggregator.store import Store
from aggregator.stories.filing import Filing
from aggregator.trial import Change, Trial, shown, tried


def test(options: argparse.Namespace, console: Console) -> int:
    """Which stored stories each rule of the configuration would change; nothing is saved."""
    config = load_config(options, console)
    configure_logging(config.log.format, "warning")
    policy = policy_of(config)
    with reading(config) as store:
        start = since(options.since, utc_now())
        stories = [*store.stories(None, start, None), *store.stories("withheld", start, None)]
        trials = tried(stories, policy, learnt_sectioner(store, log()), hand_sections(store, stories))
    if options.json:
        rows = zip(config.rules, trials, strict=True)
        console.json({"stories": len(stories), "rules": [_trial_row(i, *row) for i, row in enumerate(rows)]})
        return DONE
    for rule, trial in zip(policy.rules, trials, strict=True):
        for change in trial.changed:
            moved = f"{shown(change.before)} → {shown(change.after)}"
            console.print(f"rules[{rule.number}]\t{change.story.ref}\t{moved}\t{change.story.lead.title}")
        done = f"{counted(trial.matched, 'story', 'stories')} matched, {len(trial.changed)} changed"
        console.say(f"rules[{rule.number}] ({rule.said}): {done}")
    console.say(f"{counted(len(stories), 'story', 'stories')} looked at, {counted(len(policy.rules), 'rule')}")
    return DONE


def _trial_row(number: int, rule: Any, trial: Trial) -> dict[str, Any]:
    return {
        "rule": number,
        "when": rule.when.model_dump(exclude_none=True),
        "then": rule.then.model_dump(exclude_none=True, exclude_defaults=True),
        "matched": trial.matched,
        "changed": [_change_row(change) for change in trial.changed],
    }


def _change_row(change: Change) -> dict[str, Any]:
    return {
        "id": change.story.ref,
        "title": change.story.lead.title,
        "url": change.story.lead.link,
        "before": _filing_row(change.before),
        "after": _filing_row(change.after),
    }


def _filing_row(filing: Filing) -> dict[str, Any]:
    return {
        "section": filing.sectioning.section,
        "labels": list(filing.labels),
        "boost": filing.boost,
        "dropped": filing.withheld == "rule",
    }


def apply(options: argparse.Namespace, console: Console) -> int:
    """Have stored stories filed anew by the configured rules."""
    config = load_config(options, console)
    configure_logging(config.log.format, "warning")
    with reading(config) as store:
        now = utc_now()
        count = store.touch(since(options.since, now), now)
        totals = _put_in_force(store, config, console)
    if options.json:
        console.json({"stories": count, "in_force": totals is not None, "changed": totals.moved if totals else None})
        return DONE
    if totals is None:
        console.print(f"{counted(count, 'story', 'stories')} to be filed anew")
    else:
        console.print(f"filed {counted(count, 'story', 'stories')} anew, {totals.moved} changed")
    return DONE


def file(options: argparse.Namespace, console: Console) -> int:
    """File a story by hand, or take the hand off it; remembered, and heeded by all later filing."""
    config = load_config(options, console)
    configure_logging(config.log.format, "warning")
    section = None if options.section == "forget" else options.section
    with reading(config) as store:
        story = named(store, options.id)
        file_by_hand(store, story, section, utc_now())
        is_in_force = _put_in_force(store, config, console) is not None
        after = named(store, options.id).sectioning
    before = story.sectioning.section
    if options.json:
        found = {"kind": "file", "story": story.ref, "before": before, "section": section or after.section}
        console.json({**found, "by_hand": section is not None, "in_force": section is not None or is_in_force})
        return DONE
    if section is None:
        console.print(f"took the hand off {story.ref} ({story.lead.title}): {before} → {after.section or 'unsure'}")
    else:
        console.print(f"filed {story.ref} ({story.lead.title}): {before or 'unsure'} → {section}")
    return DONE


def _put_in_force(store: Store, config: Config, console: Console) -> GroupTotals | None:
    """File the touched stories anew; None where that is left to the daemon."""
    editor = editor_here(store, config, console)
    if editor is None:
        return None
    totals = GroupTotals()
    while editor.refile_batch(totals):
        pass
    return totals
