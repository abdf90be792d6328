"""What every command shares: where to talk, which configuration, how to show a table, a duration, a progress bar."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aggregator import config as configuration
from aggregator.config import Config
from aggregator.errors import NotFound
from aggregator.store import Store

DONE, FAILED, BAD_CONFIGURATION = 0, 1, 78  # 2, misuse, is argparse's own


class Advance(Protocol):
    """Sets how many units of work are done."""

    def __call__(self, done: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Console:
    """Results go to `out`, talk to `err`."""

    out: TextIO
    err: TextIO

    def print(self, line: str = "") -> None:
        self.out.write(line + "\n")

    def say(self, line: str) -> None:
        self.err.write(line + "\n")
        self.err.flush()

    def json(self, value: object) -> None:
        json.dump(value, self.out, ensure_ascii=False, indent=2 if self.out.isatty() else None, default=_plain)
        self.out.write("\n")

    def table(self, rows: Sequence[Sequence[object]], heads: Sequence[str]) -> None:
        """Columns for a person; the last one may be as long as it likes. On a pipe: tabs, no heads."""
        if not self.out.isatty():
            for row in rows:
                self.print("\t".join(_cell(value) for value in row))
            return
        cells = [list(heads), *([_cell(value) for value in row] for row in rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(heads) - 1)]
        for line in cells:
            self.print("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]))

    @contextmanager
    def progress(self, about: str, total: int) -> Iterator[Advance]:
        """A progress bar on a terminal, nothing elsewhere."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        bar = Progress(
            *columns, console=RichConsole(file=self.err), transient=True, disable=not self.err.isatty() or total < 2
        )
        with bar:
            task = bar.add_task(about, total=total)
            yield lambda done: bar.update(task, completed=done)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", str(value))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


def rfc3339(moment: datetime | None) -> str | None:
    """`2026-11-24T07:45:17Z`, None for None."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def load_config(options: argparse.Namespace, console: Console | None = None) -> Config:
    """The configuration this command works with; ConfigError with every fault. The console is told which database that
    means where nobody named a configuration: it is hardly that of a daemon with one of its own."""
    where = configuration.find(options.config, os.environ, Path.cwd())
    config = configuration.load(where, os.environ)
    if config.is_packaged and console is not None:
        console.say(
            f"the packaged defaults, with {config.database}: --config or BMN_CONFIG names another configuration"
        )
    return config


def since(text: str | None, now: datetime) -> datetime | None:
    """`24h`, `3d` back from now, or an ISO date or time (UTC where it names no zone). NotFound for anything else."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)\s*([smhdw])", text.strip())
    if match:
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[match[2]]
        return now - timedelta(**{unit: int(match[1])})
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise NotFound(f"--since {text!r}: write a duration such as 24h or a date such as 2026-11-24") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 feed`, `3 feeds`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def joined(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part)


@contextmanager
def reading(config: Config) -> Iterator[Store]:
    """The store, to look things up beside a running daemon. Raises StoreError."""
    with Store(config.database) as store:
        yield store
