"""`bmn train`: let the section model learn from corrections, or forget the last it learnt."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from aggregator.cli_common import DONE, FAILED, Console, counted, load_config, reading
from aggregator.daemon import configure_logging
from aggregator.desk import examples, uncorrected
from aggregator.errors import AggregatorError
from aggregator.pipeline import utc_now
from aggregator.stories.classify import Sectioner
from aggregator.stories.learn import LEAST, Report, learnt

_TAKEN_UP = (
    "a running daemon takes it up on reload (SIGHUP); stories filed before stay where they are until they grow: "
    "'bmn rules apply --since 7d' files those of a week anew, and moves what is clearly better elsewhere"
)


def train(options: argparse.Namespace, console: Console) -> int:
    """Learn from corrections, or go back; 1 where that would make things worse."""
    config = load_config(options, console)
    configure_logging(config.log.format, "warning")
    with reading(config) as store:
        if options.rollback:
            if options.dry_run:
                raise AggregatorError("--dry-run goes with --corrections: nothing was rolled back")
            before, now = store.roll_back_head()
            if before is None:
                raise AggregatorError("there is nothing to roll back: the shipped section model is in use")
            found = {"rolled_back": before.head_id, "in_use": now.head_id if now else None}
            text = f"rolled back version {before.head_id}: {_named(now.head_id if now else None)} is in use"
            return _answer(console, options, found, text)
        corrected = examples(store)
        if len(corrected) < LEAST:
            raise AggregatorError(
                f"{counted(len(corrected), 'correction')} of English stories, and {LEAST} are needed to learn from: "
                "file more with 'bmn stories file' or on the admin's page of stories"
            )
        with console.progress("learning", 1):
            head, report = learnt(corrected, uncorrected(store), Sectioner.load())
        version = None
        if report.refusal is None and not options.dry_run:
            version = store.add_head(head.dump(), asdict(report), utc_now())
    code = _answer(console, options, {**asdict(report), "version": version}, _lines(report, version, options.dry_run))
    return code if report.refusal is None else FAILED


def _answer(console: Console, options: argparse.Namespace, found: dict[str, Any], text: str) -> int:
    if options.json:
        console.json(found)
    else:
        console.print(text)
        if "rolled_back" in found or found["version"] is not None:
            console.say(_TAKEN_UP)
    return DONE


def _lines(report: Report, version: int | None, is_dry: bool) -> str:
    held = f"of {report.corrections} corrections, each held back once, {report.right_before} come out right without"
    said = [
        f"{held} and {report.right_after} with what is learnt (loss {report.loss_before:.3f}, {report.loss_after:.3f})",
        f"of {counted(report.elsewhere, 'other story', 'other stories')}, {report.moved} would move",
    ]
    if report.refusal is not None:
        return "\n".join([*said, f"not taken up: {report.refusal}"])
    return "\n".join([*said, "nothing was saved (--dry-run)" if is_dry else f"{_named(version)} is in use"])


def _named(version: int | None) -> str:
    return f"version {version}" if version is not None else "the shipped section model alone"
