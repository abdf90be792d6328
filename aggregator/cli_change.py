"""`bmn config diff` and `bmn backtest`: what a new configuration would change, before it is in use."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aggregator import config as configuration
from aggregator.backtest import History, Outcome, backtest, filing_of, newest
from aggregator.cli_common import DONE, Console, counted, load_config, reading, rfc3339, since
from aggregator.config_diff import Change, Difference, difference
from aggregator.corrector import decisions
from aggregator.daemon import configure_logging, log
from aggregator.desk import hand_sections, learnt_sectioner
from aggregator.pipeline import utc_now
from aggregator.types import Story

_SHOWN = 20  # stories named per list; --json has all


def diff(options: argparse.Namespace, console: Console) -> int:
    """What taking over another configuration would change."""
    old, new = load_config(options, console), configuration.load(Path(options.file), os.environ)
    found = difference(old, new)
    if options.json:
        console.json(_diff_row(found))
        return DONE
    for url in found.added:
        console.print(f"source added\t{url}")
    for url in found.removed:
        console.print(f"source removed\t{url}")
    for url, changes in found.changed:
        for change in changes:
            console.print(f"source changed\t{url}\t{_said(change)}")
    for change in found.settings:
        console.print(f"setting\t{_said(change)}{' (needs a restart)' if change.needs_restart else ''}")
    for slug, reasons in found.feeds:
        for reason in reasons:
            console.print(f"feed {slug}\t{reason}")
    if not found:
        console.say("nothing would change")
    return DONE


def _said(change: Change) -> str:
    before, after = (json.dumps(value, ensure_ascii=False) for value in (change.before, change.after))
    return f"{change.key}: {before} → {after}"


def _diff_row(found: Difference) -> dict[str, Any]:
    return {
        "sources": {
            "added": found.added,
            "removed": found.removed,
            "changed": [{"url": url, "keys": [_key_row(each) for each in keys]} for url, keys in found.changed],
        },
        "settings": [asdict(change) for change in found.settings],
        "feeds": [{"slug": slug, "why": reasons} for slug, reasons in found.feeds],
        "needs_restart": [change.key for change in found.settings if change.needs_restart],
    }


def _key_row(change: Change) -> dict[str, Any]:
    return {"key": change.key, "before": change.before, "after": change.after}


def try_out(options: argparse.Namespace, console: Console) -> int:
    """Tell stored history by another configuration and show what the merged feeds would gain and lose."""
    old, new = load_config(options, console), configuration.load(Path(options.file), os.environ)
    configure_logging(old.log.format, "warning")
    start = since(options.since, utc_now()) or utc_now()
    with reading(old) as store:
        entries, cut = newest(store.window(start), options.limit)
        stories = store.stories_by_id({entry.story_id for entry in entries if entry.story_id is not None})
        corrections = decisions(store.corrections())
        history = History(
            tuple(entries),
            store.installation_id(),
            corrections,
            store.redirects(corrections.story_ids),
            hand_sections(store, stories),
        )
        sectioner = learnt_sectioner(store, log())
    with console.progress("telling again", 2 * len(entries)) as advance:
        outcome = backtest(old, new, history, sectioner, progress=advance)
    found = difference(old, new)
    if options.json:
        console.json({"since": rfc3339(cut or start), "is_cut": cut is not None, **_outcome_row(outcome)})
    else:
        _print(outcome, console)
    if cut is not None:
        console.say(f"only the newest {options.limit} entries were looked at, from {rfc3339(cut)} on: see --limit")
    if found.added:
        console.say(f"{counted(len(found.added), 'new source')} without history: what they would bring is not known")
    return DONE


def _print(outcome: Outcome, console: Console) -> None:
    for feed in outcome.feeds:
        console.print(f"{feed.slug}: {feed.before} → {feed.after} stories, +{len(feed.gained)} −{len(feed.lost)}")
        for sign, stories in (("+", feed.gained), ("−", feed.lost)):
            for story in stories[:_SHOWN]:
                console.print(f"  {sign} {story.ref}\t{filing_of(story)}\t{story.lead.title}")
            if len(stories) > _SHOWN:
                console.print(f"  {sign} and {len(stories) - _SHOWN} more (--json has all)")
    for name, groups in (("merged", outcome.merged), ("split", outcome.split)):
        for story, others in groups[:_SHOWN]:
            console.print(f"{name}\t{story.ref}\t{story.lead.title}\t{' | '.join(each.lead.title for each in others)}")
    for one, two in outcome.refiled[:_SHOWN]:
        console.print(f"refiled\t{one.ref}\t{filing_of(one)} → {filing_of(two)}\t{one.lead.title}")
    for one, two in outcome.led_anew[:_SHOWN]:
        console.print(f"led anew\t{one.ref}\t{one.lead.source.title} → {two.lead.source.title}\t{two.lead.title}")
    console.say(
        f"{counted(outcome.entries, 'entry', 'entries')}: {outcome.stories_before} → {outcome.stories_after} stories, "
        f"{len(outcome.merged)} merged, {len(outcome.split)} split, {len(outcome.refiled)} refiled, "
        f"{len(outcome.led_anew)} led by another entry"
    )


def _outcome_row(outcome: Outcome) -> dict[str, Any]:
    return {
        "entries": outcome.entries,
        "stories": {"before": outcome.stories_before, "after": outcome.stories_after},
        "feeds": [
            {
                "slug": feed.slug,
                "before": feed.before,
                "after": feed.after,
                "gained": [_story_row(story) for story in feed.gained],
                "lost": [_story_row(story) for story in feed.lost],
            }
            for feed in outcome.feeds
        ],
        "merged": [{**_story_row(story), "of": [_story_row(each) for each in of]} for story, of in outcome.merged],
        "split": [{**_story_row(story), "into": [_story_row(each) for each in to]} for story, to in outcome.split],
        "refiled": [{**_story_row(one), "after": filing_of(two)} for one, two in outcome.refiled],
        "led_anew": [{**_story_row(one), "after": _story_row(two)} for one, two in outcome.led_anew],
    }


def _story_row(story: Story) -> dict[str, Any]:
    return {"id": story.ref, "title": story.lead.title, "url": story.lead.link, "filed": filing_of(story)}
