"""`bmn sources takedown`, `bmn stories takedown`: out of everything that is published, and back.

Done at once where nothing runs; a running daemon does it at its next pass.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence

from aggregator import urls
from aggregator.cli_common import DONE, Console, load_config, reading, rfc3339
from aggregator.config import Config
from aggregator.daemon import configure_logging, log
from aggregator.errors import AlreadyRunning
from aggregator.pipeline import Pipeline, utc_now
from aggregator.store import Store, Takedown
from aggregator.withdrawals import in_force, of_source, of_story


def source(options: argparse.Namespace, console: Console) -> int:
    """Take a source down with all that it told, or put it back."""
    said = options.name, options.reason
    return _run(options, console, ("source",), lambda store: [of_source(store, *said, utc_now())])


def story(options: argparse.Namespace, console: Console) -> int:
    """Take a story down, or one article out of it, or put it back."""
    said = options.name, options.reason
    return _run(options, console, ("story", "entry"), lambda store: of_story(store, *said, utc_now()))


def _run(
    options: argparse.Namespace, console: Console, kinds: tuple[str, ...], asked: Callable[[Store], list[Takedown]]
) -> int:
    config = load_config(options, console)
    configure_logging(config.log.format, "warning")
    with reading(config) as store:
        if options.name is None:
            return _listed([each for each in store.takedowns() if each.kind in kinds], options, console)
        if options.restore:
            changed = in_force(store, kinds, options.name)
            for each in changed:
                store.lift_takedown(each.takedown_id, utc_now())
        else:
            changed = asked(store)
            for each in changed:
                store.ask_takedown(each)
    is_in_force = asyncio.run(_put_in_force(config))
    if options.json:
        shown = [_row(each) for each in changed]
        console.json({"restored" if options.restore else "taken_down": shown, "in_force": is_in_force})
        return DONE
    for each in changed:
        what = "put back" if options.restore else "took down"
        console.print(f"{what} {each.kind} {urls.for_log(each.subject)} ({each.title})")
    if not is_in_force:
        console.say("the running daemon puts it in force within seconds")
    return DONE


async def _put_in_force(config: Config) -> bool:
    """Do what the store remembers; False where a daemon has the editing and does it."""
    try:
        async with Pipeline.opened(config, log(), parsers=0) as pipeline:
            await pipeline.withdraw()
    except AlreadyRunning:
        return False
    return True


def _listed(found: Sequence[Takedown], options: argparse.Namespace, console: Console) -> int:
    if options.json:
        console.json([_row(each) for each in found])
        return DONE
    rows = [(each.made_at, each.kind, urls.for_log(each.subject), each.title, each.reason) for each in found]
    console.table(rows, ("SINCE", "KIND", "WHAT", "TITLE", "REASON"))
    if not found:
        console.say("nothing is taken down")
    return DONE


def _row(each: Takedown) -> dict[str, object]:
    subject = urls.for_log(each.subject)
    since = rfc3339(each.made_at)
    return {"kind": each.kind, "subject": subject, "title": each.title, "since": since, "reason": each.reason}
