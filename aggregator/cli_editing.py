"""What commands that change stories share: doing it at once where nothing runs, or leaving it to the daemon."""

from __future__ import annotations

from aggregator.cli_common import Console
from aggregator.config import Config
from aggregator.daemon import log
from aggregator.editor import Editor
from aggregator.errors import AlreadyRunning
from aggregator.metrics import Metrics
from aggregator.pipeline import utc_now
from aggregator.store import Store


def editor_here(store: Store, config: Config, console: Console) -> Editor | None:
    """An editor that knows what was learnt, the editing being ours now; None, and a word about it, where a daemon has
    it: what the store remembers it puts in force at its next pass."""
    try:
        store.acquire_lock()
    except AlreadyRunning:
        console.say("the running daemon puts it in force within seconds")
        return None
    editor = Editor(store, Metrics(), log(), utc_now)
    editor.configure(config)
    editor.recall()
    return editor
