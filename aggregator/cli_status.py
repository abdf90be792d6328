"""`bmn status`: how sources, queues and freshness are."""

from __future__ import annotations

import argparse

from aggregator import status as reports
from aggregator.cli_common import DONE, Console, counted, joined, load_config, reading
from aggregator.pipeline import utc_now


def status(options: argparse.Namespace, console: Console) -> int:
    """Everything on a terminal's screen, or the contract's JSON."""
    config = load_config(options, console)
    with reading(config) as store:
        report = reports.report(store, config, utc_now())
    if options.json:
        console.json(report)
        return DONE
    rows = [
        (
            source["health"],
            source["entries"],
            source["last_success"],
            source["next_poll"],
            source["title"],
            _why(source),
        )
        for source in sorted(report["sources"], key=lambda source: (source["health"] == "ok", source["title"].lower()))
    ]
    console.table(rows, ("HEALTH", "ENTRIES", "LAST SUCCESS", "NEXT POLL", "TITLE", "REASON"))
    health = reports.health_counts(report)
    queues = report["queues"]
    console.say(
        joined(
            [
                counted(len(report["sources"]), "source"),
                *(f"{number} {state}" for state, number in sorted(health.items())),
                counted(report["entries"], "entry", "entries"),
                counted(report["stories"], "story", "stories"),
                f"{queues['due']} due",
                f"{queues['ungrouped']} ungrouped",
                f"{queues['unsure']} unsure (run 'bmn stories --section unsure')" if queues["unsure"] else "",
                f"{queues['withheld']} withheld" if queues["withheld"] else "",
            ]
        )
    )
    return DONE


def _why(source: dict[str, object]) -> str:
    return str(source["reason"] or "")
