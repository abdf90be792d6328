"""`bmn backup`, `bmn restore`: the database into one file and back."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from aggregator.cli_common import DONE, Console, counted, load_config
from aggregator.pipeline import utc_now
from aggregator.store import backup
from aggregator.store.backup import Backup
from aggregator.store.engine import Database


def back_up(options: argparse.Namespace, console: Console) -> int:
    """Write the database to a file, as it is at this moment, and read the file back."""
    config = load_config(options, console)
    began = time.perf_counter()
    database = Database(config.database)
    try:
        made = backup.make(database, Path(options.file), overwrite=options.force)
    finally:
        database.dispose()
    if options.json:
        console.json({**_row(made), "seconds": round(time.perf_counter() - began, 3)})
        return DONE
    console.print(f"wrote {made.path}: {_said(made)}, read back and whole")
    return DONE


def restore(options: argparse.Namespace, console: Console) -> int:
    """Put a backup in the place of the database; what was there is kept."""
    config = load_config(options, console)
    began = time.perf_counter()
    database = Database(config.database)
    try:
        restored = backup.restore(database, Path(options.file), utc_now())
    finally:
        database.dispose()
    if options.json:
        kept = str(restored.kept) if restored.kept else None
        told = {**_row(restored.backup), "database": database.shown_url, "kept": kept}
        console.json({**told, "seconds": round(time.perf_counter() - began, 3)})
        return DONE
    console.print(f"restored {database.shown_url} from {restored.backup.path}: {_said(restored.backup)}")
    if restored.kept:
        console.say(f"what was there before: {restored.kept}; remove it once all is well")
    return DONE


def _row(made: Backup) -> dict[str, object]:
    return {"file": str(made.path), "bytes": made.size, "schema": made.revision, "rows": made.rows}


def _said(made: Backup) -> str:
    size = f"{made.size / (1 << 20):.1f} MiB"
    if not made.rows:
        return size
    rows = made.rows
    stories = counted(rows.get("stories", 0), "story", "stories")
    return f"{size}, {counted(rows.get('entries', 0), 'entry', 'entries')}, {stories}"
