"""`bmn rebuild [--verify]`: what is derived made anew, and proof that what readers get depends on nothing else."""

from __future__ import annotations

import argparse
import asyncio
import time
from functools import partial

from aggregator.cli_common import DONE, FAILED, Console, counted, load_config, reading
from aggregator.config import Config
from aggregator.daemon import configure_logging, log
from aggregator.pipeline import utc_now
from aggregator.rebuild import Comparison, compared, compared_with_daemon, printed, printed_elsewhere
from aggregator.store import Store

_SHOWN = 20  # paths named
_TRIES = 5


def rebuild(options: argparse.Namespace, console: Console) -> int:
    """Make the index for searching anew and print everything; with --verify only print, twice, and compare."""
    config = load_config(options, console)
    configure_logging(config.log.format, "warning")
    with reading(config) as store:
        if options.verify:
            return _verify(store, config, options, console)
        began = time.perf_counter()
        indexed = None
        if not options.print:
            store.acquire_lock()
            indexed = store.reindex()
        documents = printed(store, config, log(), utc_now)
    seconds = round(time.perf_counter() - began, 3)
    if options.json:
        console.json({"indexed": indexed, "documents": documents, "seconds": seconds})
        return DONE
    if indexed is not None:
        console.print(f"indexed {counted(indexed, 'entry', 'entries')} for searching anew")
    console.print(f"printed {counted(len(documents), 'document')} from the store")
    return DONE


def _verify(store: Store, config: Config, options: argparse.Namespace, console: Console) -> int:
    prints = partial(printed, store, config, log(), utc_now)
    arguments = ["--config", str(config.files[0])] if not config.is_packaged else []
    for _ in range(_TRIES):
        stamp = store.publishing_stamp()
        again = compared(prints(), printed_elsewhere(arguments))
        if (
            not again.different or stamp == store.publishing_stamp()
        ):  # what a daemon changed in between is no difference
            break
    served = asyncio.run(compared_with_daemon(config, prints))
    different = [*again.different, *(served.different if served else ())]
    if options.json:
        console.json({"same": not different, "printings": _row(again), "daemon": _row(served) if served else None})
        return FAILED if different else DONE
    _say("a second printing", again, console)
    if served is not None:
        _say(f"the daemon at {config.site.listen}", served, console)
    else:
        console.say(f"no daemon answers at {config.site.listen}: only the printings were compared")
    return FAILED if different else DONE


def _say(what: str, found: Comparison, console: Console) -> None:
    same = found.compared - len(found.different)
    console.print(f"{what}: {same} of {counted(found.compared, 'document')} the same, byte for byte")
    for path in found.different[:_SHOWN]:
        console.print(f"  differs: {path}")


def _row(found: Comparison) -> dict[str, object]:
    return {"compared": found.compared, "different": found.different}
