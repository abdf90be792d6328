"""`bmn stories merge` and `split`: what people put right about grouping, remembered in the store.

In force at once where nothing runs; a running daemon finds it in the store and puts it in force at its next pass.
"""

from __future__ import annotations

import argparse
from typing import Any

from aggregator.cli_common import DONE, Console, counted, load_config, reading
from aggregator.cli_editing import editor_here
from aggregator.config import Config
from aggregator.corrector import merging, named, splitting
from aggregator.daemon import configure_logging
from aggregator.editor import story_id_for
from aggregator.pipeline import utc_now
from aggregator.store import Store
from aggregator.urls import story_ref


def merge(options: argparse.Namespace, console: Console) -> int:
    """Make several stories one, the one begun first; the others redirect to it."""
    config = load_config(options, console)
    configure_logging(config.log.format, "warning")
    with reading(config) as store:
        correction = merging(store, [options.id, *options.ids], utc_now())
        kept, *others = map(story_ref, correction.story_ids)
        title = named(store, kept).lead.title
        store.correct(correction)
        is_in_force = _put_in_force(store, config, console)
    if options.json:
        console.json({"kind": "merge", "story": kept, "merged": others, "in_force": is_in_force})
        return DONE
    console.print(f"merged {', '.join(others)} into {kept} ({title})")
    return DONE


def split(options: argparse.Namespace, console: Console) -> int:
    """Take a story apart, wholly or only the entries named; what is taken out is never joined with it again."""
    config = load_config(options, console)
    configure_logging(config.log.format, "warning")
    with reading(config) as store:
        corrections = splitting(
            store, options.id, options.urls, lambda entry: story_id_for(store.installation_id(), entry), utc_now()
        )
        entries = {entry.entry_id: entry for each in corrections for entry in store.entries(each.entry_ids)}
        store.correct(*corrections)
        is_in_force = _put_in_force(store, config, console)
    kept = story_ref(corrections[0].story_ids[0])
    begun: list[dict[str, Any]] = [
        {
            "id": story_ref(each.story_ids[-1]),
            "title": entries[each.entry_ids[1]].title,
            "entries": [entries[entry_id].link for entry_id in each.entry_ids[1:]],
        }
        for each in corrections
    ]
    if options.json:
        console.json({"kind": "split", "story": kept, "begun": begun, "in_force": is_in_force})
        return DONE
    for story in begun:
        taken = counted(len(story["entries"]), "entry", "entries")
        console.print(f"took {taken} out of {kept}: {story['id']} ({story['title']})")
    return DONE


def _put_in_force(store: Store, config: Config, console: Console) -> bool:
    """Do what the store remembers; whether that was us, or is left to the daemon."""
    editor = editor_here(store, config, console)
    if editor is None:
        return False
    editor.heed_corrections()
    return True
