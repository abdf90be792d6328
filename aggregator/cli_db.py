"""`bmn db copy`: the store from the database in use into another one."""

from __future__ import annotations

import argparse
import time

from aggregator.cli_common import DONE, Console, counted, load_config
from aggregator.store import transfer
from aggregator.store.engine import Database


def copy(options: argparse.Namespace, console: Console) -> int:
    """Copy everything into an empty database and compare it; the one in use stays as it is."""
    config = load_config(options, console)
    began = time.perf_counter()
    source, target = Database(config.database), Database(options.url)
    try:
        with console.progress("copying", transfer.size(source) if console.err.isatty() else 0) as advance:
            copied = transfer.copy(source, target, advance)
    finally:
        source.dispose()
        target.dispose()
    seconds = round(time.perf_counter() - began, 3)
    if options.json:
        tables = {name: {"rows": each.rows, "digest": each.digest} for name, each in copied.items()}
        console.json({"source": source.shown_url, "target": target.shown_url, "tables": tables, "seconds": seconds})
        return DONE
    rows = sum(each.rows for each in copied.values())
    console.print(
        f"copied {counted(rows, 'row')} of {len(copied)} tables to {target.shown_url}, read back and the same"
    )
    console.say("to work with it: set database: in aggregator.yaml and start the daemon again")
    return DONE
