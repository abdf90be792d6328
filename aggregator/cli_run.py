"""`bmn run, poll, check, init, export, demo, prune`: the commands that work the pipeline or its configuration."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import uvloop

import scheduler
from aggregator import config as configuration
from aggregator import demo as demonstration
from aggregator.cli_common import DONE, Console, counted, joined, load_config
from aggregator.config import Config
from aggregator.daemon import configure_logging, log, settle
from aggregator.errors import AggregatorError
from aggregator.pipeline import PassReport, Pipeline, utc_now
from aggregator.publish.export import export as write_site
from aggregator.roles import Role
from aggregator.store import Pruned
from aggregator.subscriber import obstacle


def run(options: argparse.Namespace, console: Console) -> int:
    """The daemon, or its part in one, until SIGTERM."""
    role = Role(options.role)
    if options.listen and not role.serves:
        raise AggregatorError(f"--listen: --role {role} serves nobody; its metrics are at --admin-listen")
    setting = scheduler.Setting(
        load=lambda: load_config(options), role=role, public=options.listen, admin=options.admin_listen
    )
    return scheduler.run(setting)


def poll(options: argparse.Namespace, console: Console) -> int:
    """One pass; 0 when it was completed, whatever single sources did."""
    config = load_config(options, console)
    configure_logging(config.log.format, config.log.level if not console.err.isatty() else "error")
    report = uvloop.run(_poll(config, options, console))
    polls, grouped = report.polls, report.grouped
    if options.json:
        console.json(
            {
                "polled": polls.polled,
                "not_modified": polls.not_modified,
                "changed": polls.changed,
                "failed": polls.failed,
                "new_entries": polls.new_entries,
                "new_stories": grouped.new_stories,
                "seconds": round(report.seconds, 3),
            }
        )
        return DONE
    console.print(
        joined(
            [
                f"{counted(polls.polled, 'feed')} polled",
                f"{polls.changed} changed",
                f"{polls.not_modified} not modified",
                f"{polls.failed} failed" + (" (run 'bmn status')" if polls.failed else ""),
                counted(polls.new_entries, "new entry", "new entries"),
                counted(grouped.new_stories, "new story", "new stories"),
                f"{report.seconds:.1f} s",
            ]
        )
    )
    return DONE


async def _poll(config: Config, options: argparse.Namespace, console: Console) -> PassReport:
    async with Pipeline.opened(config, log()) as pipeline:
        settle()
        feeds = await pipeline.feeds_to_poll(options.urls, everything=options.all)
        with console.progress("polling", len(feeds)) as advance:
            report = await pipeline.poll(feeds, advance)
        await pipeline.stop()
        return report


def check(options: argparse.Namespace, console: Console) -> int:
    """Every fault with its place on stderr and exit 78, or a line that says what was read."""
    config = load_config(options)
    for remark in configuration.remarks(config):
        console.say(remark)
    if config.websub.subscribe and (hindrance := obstacle(config)):
        console.say(f"websub.subscribe: {hindrance}: nothing is subscribed")
    enabled = sum(1 for source in config.sources if source.enabled)
    files = joined(str(file) for file in config.files) or "the packaged defaults"
    console.print(
        f"ok: {counted(len(config.sources), 'source')} ({enabled} enabled), "
        f"{counted(len(config.feeds), 'merged feed')}, read from {files}"
    )
    return DONE


def init(options: argparse.Namespace, console: Console) -> int:
    """The commented defaults, copied to a folder of the operator's. Files that are there stay."""
    target = Path(options.directory)
    origin = configuration.packaged_file().parent
    there = [target / name for name in _STARTER if (target / name).exists()]
    if there:
        raise AggregatorError(f"{there[0]} exists already: nothing was written; choose another folder or remove it")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in _STARTER:
            shutil.copyfile(origin / name, target / name)
        # Editors find the schemas by the first line of the YAML files.
        shutil.copytree(origin / "schema", target / "schema", dirs_exist_ok=True)
    except OSError as error:
        raise AggregatorError(f"{target}: cannot be written: {error.strerror}") from error
    console.print(f"wrote {joined(str(target / name) for name in _STARTER)}")
    console.say(f"edit them, then: bmn check --config {target / _STARTER[0]}; bmn run --config {target / _STARTER[0]}")
    return DONE


_STARTER = ("aggregator.yaml", "sources.yaml")


def export(options: argparse.Namespace, console: Console) -> int:
    """Every merged feed and page as static files."""
    config = load_config(options, console)
    configure_logging(config.log.format, "warning")
    names = asyncio.run(_export(config, Path(options.directory)))
    console.print(f"wrote {counted(len(names), 'file')} to {options.directory}")
    return DONE


async def _export(config: Config, directory: Path) -> list[str]:
    async with Pipeline.opened(config, log(), parsers=0, is_alone=False) as pipeline:
        stories = pipeline.publisher.stories()
        try:
            return write_site(pipeline.publisher.press, stories, directory, utc_now())
        except OSError as error:
            raise AggregatorError(f"{directory}: cannot be written: {error.strerror}") from error


def prune(options: argparse.Namespace, console: Console) -> int:
    """Take out what retention has ended, or only say what would go."""
    config = load_config(options, console)
    configure_logging(config.log.format, "warning")
    pruned = asyncio.run(_prune(config, dry_run=options.dry_run))
    shrunk = pruned.shrunk
    if options.json:
        told = {"entries": pruned.entries, "texts": pruned.texts, "stories": pruned.stories}
        console.json({**told, "for_size": asdict(shrunk) if shrunk else None})
        return DONE
    verb = "would take" if options.dry_run else "took"
    console.print(
        f"{verb} {counted(pruned.entries, 'entry', 'entries')}, {counted(pruned.texts, 'text')}, "
        f"{counted(pruned.stories, 'story', 'stories')}"
    )
    if shrunk:
        console.print(
            f"for retention.size {verb} the oldest {counted(shrunk.texts, 'text')} and "
            f"{counted(shrunk.entries, 'entry', 'entries')}: {shrunk.before / (1 << 20):.1f} MiB in use, "
            f"then {'about ' if options.dry_run else ''}{shrunk.after / (1 << 20):.1f} MiB"
        )
    return DONE


async def _prune(config: Config, *, dry_run: bool) -> Pruned:
    async with Pipeline.opened(config, log(), parsers=0, is_alone=not dry_run) as pipeline:
        return await pipeline.prune(dry_run=dry_run)


def demo(options: argparse.Namespace, console: Console) -> int:
    """The daemon against an invented newsroom on loopback; everything it keeps goes with it."""
    with tempfile.TemporaryDirectory(prefix="bmn-demo-") as folder:
        newsroom = demonstration.Demo(Path(folder), options.listen, options.speed)
        setting = scheduler.Setting(lambda: newsroom.config, newsroom.notice)

        async def say(service: scheduler.Service) -> None:
            url = service.listeners["public"].url
            console.say(f"\n  {newsroom.notice}\n  Open {url}/ and end it with Ctrl-C.\n")

        return scheduler.run(setting, on_ready=say, beside=newsroom.serve)
