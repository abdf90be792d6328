"""`bmn sources …`: list and edit the sources.

Edits go into the YAML itself, comments kept; a running daemon is told by SIGHUP.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from aggregator import config_edit, opml, status, urls
from aggregator.cli_common import DONE, FAILED, Console, counted, load_config, reading
from aggregator.config import Config, source_key
from aggregator.errors import AggregatorError, NotFound
from aggregator.ingest.discover import FoundFeed, feed_links, guesses
from aggregator.ingest.fetch import Fetcher
from aggregator.parts import fetch_policy
from aggregator.pipeline import utc_now
from aggregator.types import Fetched, FetchFailed, FetchRequest, ParsedFeed
from aggregator.workers import Workers


def list_(options: argparse.Namespace, console: Console) -> int:
    """Every source with its health, next poll and why then."""
    config = load_config(options, console)
    with reading(config) as store:
        report = status.report(store, config, utc_now())
    if options.json:
        console.json(report["sources"])
        return DONE
    sections = {urls.for_log(source.url): source.section for source in config.sources}
    rows = [
        (
            source["health"],
            sections.get(source["url"]) or "-",
            source["next_poll"],
            _why(source),
            source["url"],
            source["title"],
            source["reason"] or "",
        )
        for source in report["sources"]
    ]
    console.table(rows, ("HEALTH", "SECTION", "NEXT POLL", "WHY THEN", "URL", "TITLE", "REASON"))
    return DONE


def _why(source: dict[str, Any]) -> str:
    """Why the next poll is when it is, and whether a hub pushes the feed meanwhile."""
    why, push = source["next_poll_why"] or "-", source["push"]
    is_new = push and push["is_trusted"] and not why.startswith("pushed")
    return f"{why}; pushed until {push['lease_until']}" if is_new else why


def add(options: argparse.Namespace, console: Console) -> int:
    config = load_config(options, console)
    keys = {
        name: value
        for name in ("title", "section", "weight", "every")
        if (value := getattr(options, name, None)) is not None
    }
    config_edit.add_source(_file(config), options.url, **keys)
    console.say(f"added {urls.for_log(options.url)} to {_file(config)} ({_RELOAD})")
    return DONE


def remove(options: argparse.Namespace, console: Console) -> int:
    config = load_config(options, console)
    config_edit.remove_source(_file(config), options.url)
    console.say(f"removed {urls.for_log(options.url)} from {_file(config)} ({_RELOAD}); its stories stay")
    return DONE


def import_(options: argparse.Namespace, console: Console) -> int:
    """Every feed of an OPML list that is not a source yet."""
    config = load_config(options, console)
    data = _read(options.file)
    reading_ = opml.read_opml(data)
    listed = {source_key(source.url) for source in config.sources}
    fresh: list[dict[str, Any]] = []
    for found in reading_.feeds:
        if source_key(found.url) in listed:
            continue
        listed.add(source_key(found.url))
        section = found.section or options.section
        fresh.append({"url": found.url} | ({"title": found.title} if found.title else {}) | _given("section", section))
    for remark in reading_.skipped:
        console.say(f"skipped: {remark}")
    if fresh:
        config_edit.add_sources(_file(config), fresh)
    already = len(reading_.feeds) - len(fresh)
    console.say(f"added {counted(len(fresh), 'source')} to {_file(config)}, {already} already there ({_RELOAD})")
    return DONE


def export(options: argparse.Namespace, console: Console) -> int:
    document = status.sources_opml(load_config(options, console))
    if options.file:
        Path(options.file).write_bytes(document)
    else:
        console.out.flush()
        sys.stdout.buffer.write(document)
    return DONE


def discover(options: argparse.Namespace, console: Console) -> int:
    """The feeds that a page offers, best first."""
    config = load_config(options, console)
    url = options.url if "://" in options.url else f"https://{options.url}"
    found = asyncio.run(_found(config, url))
    if not found:
        console.say(f"no feed found at {urls.for_log(url)} (the page names none and the usual addresses have none)")
        return FAILED
    if options.json:
        console.json([{"url": feed.url, "title": feed.title, "type": feed.media_type} for feed in found])
    else:
        console.table(
            [(feed.url, feed.media_type or "-", feed.title or "-") for feed in found], ("URL", "TYPE", "TITLE")
        )
    if options.add:
        options.url, options.title = found[0].url, found[0].title
        options.section = options.weight = options.every = None
        return add(options, console)
    return DONE


async def _found(config: Config, url: str) -> tuple[FoundFeed, ...]:
    async with Fetcher(fetch_policy(config)) as fetcher, Workers(1) as workers:
        page = await fetcher.fetch(FetchRequest(url))
        if isinstance(page, FetchFailed):
            raise NotFound(f"{urls.for_log(url)}: {page.reason}: {page.detail}")
        if not isinstance(page, Fetched):
            raise NotFound(f"{urls.for_log(url)}: nothing came back")
        if (feed := await _as_feed(workers, page)) is not None:
            return (feed,)
        if declared := feed_links(page.body, page.final_url):
            return declared
        for guess in guesses(page.final_url):
            answer = await fetcher.fetch(FetchRequest(guess, configured_url=url))
            if isinstance(answer, Fetched) and (feed := await _as_feed(workers, answer)) is not None:
                return (feed,)
        return ()


async def _as_feed(workers: Workers, document: Fetched) -> FoundFeed | None:
    """The document as a feed, None if it is none."""
    media_type = document.headers.get("content-type")
    parsed = await workers.parse(document.body, document.final_url, media_type, frozenset(), utc_now())
    return FoundFeed(document.final_url, parsed.title, media_type) if isinstance(parsed, ParsedFeed) else None


_RELOAD = "a running daemon reads it at SIGHUP"


def _file(config: Config) -> Path:
    if config.is_packaged:
        raise AggregatorError("these are the packaged defaults, which are not edited: run 'bmn init DIR' first")
    return config.files[-1]


def _given(name: str, value: object) -> dict[str, Any]:
    return {} if value is None else {name: value}


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise NotFound(f"{file}: cannot be read: {error.strerror}") from error
