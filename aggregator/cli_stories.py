"""`bmn stories, explain, evaluate`: what the stories are, why they are so, how good our judgement is."""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aggregator import explain as explanations
from aggregator import explain_near, urls
from aggregator.cli_common import DONE, Console, load_config, reading, rfc3339, since
from aggregator.errors import NotFound
from aggregator.pipeline import utc_now
from aggregator.store import Query, StoryFilter
from aggregator.stories import evaluate as scores
from aggregator.stories import evaluate_pairs
from aggregator.types import Story


def list_(options: argparse.Namespace, console: Console) -> int:
    """The newest stories."""
    config = load_config(options, console)
    start = since(options.since, utc_now())
    wanted = StoryFilter((options.section,) if options.section else None, start, label=options.label)
    with reading(config) as store:
        stories = store.search(Query.of(options.search or ""), wanted, options.limit)
    if options.json:
        console.json([_row(story) for story in stories])
        return DONE
    rows = [
        (
            story.ref,
            story.sectioning.section or "unsure",
            f"{story.sectioning.confidence:.2f}",
            len(story.sources),
            story.published,
            story.lead.title,
            story.lead.link or "",
        )
        for story in stories
    ]
    console.table(rows, ("ID", "SECTION", "CONF", "SOURCES", "PUBLISHED", "TITLE", "URL"))
    return DONE


def _row(story: Story) -> dict[str, Any]:
    return {
        "id": story.ref,
        "uuid": str(story.story_id),
        "section": story.sectioning.section,
        "confidence": round(story.sectioning.confidence, 4),
        "labels": list(story.labels),
        "title": story.lead.title,
        "url": story.lead.link,
        "sources": [source.title for source in story.sources],
        "published": rfc3339(story.published),
    }


def explain(options: argparse.Namespace, console: Console) -> int:
    """Why a story is filed, grouped and led as it is; why a feed is polled when it is."""
    config = load_config(options, console)
    with reading(config) as store:
        found = (
            explanations.explain(store, config, options.what, utc_now())
            if options.other is None
            else explain_near.pair(store, options.what, options.other)
        )
    if found is None:
        raise NotFound(
            f"{urls.for_log(options.what)} is no story, entry or source here (see 'bmn stories', 'bmn sources list')"
        )
    if options.json:
        console.json(found)
        return DONE
    for line in explain_near.pair_lines(found) if found["kind"] == "pair" else explanations.lines(found):
        console.print(line)
    return DONE


def evaluate(options: argparse.Namespace, console: Console) -> int:
    """Score our models on labelled JSONL, plain or gz."""
    rows = list(_rows(Path(options.file)))
    scorers: dict[str, Callable[[list[dict[str, Any]]], Mapping[str, Any]]] = {
        "sections": scores.sections,
        "pairs": evaluate_pairs.pairs,
        "stories": evaluate_pairs.stories,
    }
    found = scorers[options.kind](rows)
    if options.json:
        console.json(found)
        return DONE
    for name, value in found.items():
        shown = ", ".join(f"{k} {v:.3f}" for k, v in value.items()) if isinstance(value, dict) else value
        console.print(f"{name}\t{shown:.4f}" if isinstance(shown, float) else f"{name}\t{shown}")
    return DONE


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _parsed(line, file, number)
    except (OSError, EOFError) as error:
        raise NotFound(f"{file}: cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise NotFound(f"{file}: is not UTF-8: {error.reason}") from error


def _parsed(line: str, file: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise NotFound(f"{file}:{number}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise NotFound(f"{file}:{number}: not a JSON object")
    return row
