"""What makes a program a service: log lines, the notes to systemd (sd_notify, watchdog), the lag of the event loop."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

import structlog

Log = structlog.typing.FilteringBoundLogger

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_NEEDS_QUOTES = frozenset(' "=\\')


def configure_logging(form: str = "logfmt", level: str = "info", stream: TextIO | None = None) -> None:
    """Send log lines to stderr: `LEVEL event key=value …` (logfmt) or one JSON object a line (json).

    Lines carry the time only where nobody else adds it: not under the journal.
    """
    stream = stream or sys.stderr
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
    ]
    if form == "json":
        processors += [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _plain_values,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        processors += [structlog.processors.format_exc_info, _plain_values, _Line(with_time=not _under_journal(stream))]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    # Libraries that log by the standard module (APScheduler, aiohttp) keep to what may need a person.
    logging.basicConfig(stream=stream, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", force=True)


def log() -> Log:
    """The logger of this process."""
    logger: Log = structlog.get_logger()
    return logger


def _under_journal(stream: TextIO) -> bool:
    """Whether stderr is the journal's own stream (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _plain_values(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, datetime):
            event[key] = clock(value)
        elif isinstance(value, timedelta):
            event[key] = round(value.total_seconds(), 3)
        elif isinstance(value, float):
            event[key] = round(value, 3)
    return event


def clock(moment: datetime) -> str:
    """A time as log lines show it: `11:45Z` within a day of now, else with its date."""
    moment = moment.astimezone(UTC)
    near = abs(moment - datetime.now(UTC)) < timedelta(hours=20)
    return moment.strftime("%H:%MZ" if near else "%Y-%m-%dT%H:%MZ")


class _Line:
    """Renders `LEVEL event key=value …`; a value cannot forge another line or key."""

    def __init__(self, *, with_time: bool) -> None:
        self._with_time = with_time

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        level = str(event.pop("level", "info")).upper()
        name = event.pop("event", "")
        trace = event.pop("exception", None)
        parts = [level, str(name), *(f"{key}={_value(value)}" for key, value in event.items() if value is not None)]
        if self._with_time:
            parts.insert(0, datetime.now(UTC).strftime("%H:%M:%SZ"))
        line = " ".join(parts)
        return f"{line}\n{trace}" if trace else line


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if text and not _NEEDS_QUOTES.intersection(text) and text.isprintable():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in escaped)
    return f'"{printable}"'


def settle() -> None:
    """Leave what is there after the start out of garbage collection, collect the rest less often, open as many files
    as the system lets us: idle connections to hosts just asked are some hundred more than the usual 1,024.

    Modules, models and configuration are some 120,000 objects that never become garbage: walking them takes 0.09 s, in
    which the event loop stands still, and took a sixth of the processor time of a pass of 304s.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


_FILES = 65_536


def give_memory_back() -> bool:
    """Give the system what the C library's heaps hold unused (malloc_trim(3)); whether anything went, False where the
    library knows no such thing. Texts of a first poll of 20,000 feeds pass through and leave 75 MB so. Takes some 10 ms
    without the interpreter's lock: for a thread."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))


# ---------------------------------------------------------------- systemd


class Notifier:
    """Speaks sd_notify(3) to the service manager; silent where there is none."""

    def __init__(self, address: str | None = None) -> None:
        address = address if address is not None else os.environ.get("NOTIFY_SOCKET")
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        usec = os.environ.get("WATCHDOG_USEC", "")
        own = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog = timedelta(microseconds=int(usec)) if usec.isdigit() and own and self._address else None

    def send(self, *lines: str) -> None:
        """Send assignments such as `READY=1`; a manager that does not listen is not our trouble."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.connect(self._address)
                out.sendall("\n".join(lines).encode())
        except OSError:
            return

    def ready(self, status: str) -> None:
        self.send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self.send("STOPPING=1")

    def alive(self, status: str | None = None) -> None:
        self.send("WATCHDOG=1", *([f"STATUS={status}"] if status else []))


class Heartbeat:
    """Measures the event loop's lag and feeds the watchdog while `is_healthy` says that the stages progress."""

    def __init__(
        self,
        notifier: Notifier,
        is_healthy: Callable[[], bool],
        on_lag: Callable[[float], None],
        status: Callable[[], str],
    ) -> None:
        self._notifier, self._is_healthy, self._on_lag, self._status = notifier, is_healthy, on_lag, status

    async def run(self) -> None:
        """Until cancelled: ten looks a second, a minute's worst lag reported, the watchdog fed thrice in its time."""
        step = 0.1
        every = min(10.0, self._notifier.watchdog.total_seconds() / 3) if self._notifier.watchdog else 10.0
        worst, since_report, since_beat = 0.0, 0.0, every
        while True:
            before = time.monotonic()
            await asyncio.sleep(step)
            lag = max(0.0, time.monotonic() - before - step)
            worst = max(worst, lag)
            since_report += step + lag
            since_beat += step + lag
            if lag >= worst or since_report >= 60:
                self._on_lag(worst)
            if since_report >= 60:
                worst, since_report = 0.0, 0.0
            if since_beat >= every:
                since_beat = 0.0
                if self._is_healthy():
                    self._notifier.alive(self._status())
