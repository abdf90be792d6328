"""What can go wrong with *us*. What goes wrong with one feed is a value: see `types.FetchFailed`, `types.ParseFailed`.

Exit codes of the command line hang on these classes (`cli.main`): 78 for ConfigError, 1 for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass


class AggregatorError(Exception):
    """Anything we raise on purpose; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a configuration file: `FILE:LINE: key.path: what, remedy`. `line` from 1; 0 is the whole file."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigError(AggregatorError):
    """The configuration cannot be used. `problems` holds every fault found, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class StoreError(AggregatorError):
    """The database cannot be used: unreachable, read-only, full, of a newer version, or not ours."""


class StoreOverdue(StoreError):
    """A question took the database longer than whoever asked wanted to wait."""


class BadValue(StoreError):
    """The database is well and will not take what we want to write: tried again as it is, it fails again."""


class AlreadyRunning(StoreError):
    """Another process serves this SQLite database; `holder` is its process id, None if unknown."""

    def __init__(self, message: str, holder: int | None = None) -> None:
        self.holder = holder
        super().__init__(message)


class NotEditor(StoreError):
    """Another process took the editing over; nothing of what we tried was kept."""


class ListenError(AggregatorError):
    """An address we were told to listen on cannot be had."""


class WorkerError(AggregatorError):
    """Child processes cannot be started at all (one that dies over a document is a ParseFailed)."""


class NotFound(AggregatorError):
    """Something named on the command line or in a URL does not exist."""
