"""Daemons that kill themselves with SIGKILL at the n-th passing of a point: an await, a statement, a commit.

    python tests/mortal.py REPORT        then on stdin: `start CONFIG PLACE N`, `arm PLACE N`, `kill`

Every task's step is a point (an await that is over), every statement before and after it, every commit before it, and
the shelf's swap. `start` forks a daemon from this process, which has everything imported; PLACE is where it dies (`*`:
anywhere, `-`: nowhere) once that was passed N times since it was armed. What was passed is appended to REPORT, a line
each; stdout says `pid N` and `died N`. `Mortal` is the other side, for tests.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import sqlalchemy as sa
import uvloop

import scheduler
from aggregator import config as configuration
from aggregator.publish.shelf import Shelf
from aggregator.stories import classify
from aggregator.stories.compare import Comparer

ROOT = Path(__file__).resolve().parent.parent
OURS = (str(ROOT / "aggregator"), str(ROOT / "scheduler.py"))
ANYWHERE, NOWHERE = "*", "-"


class Countdown:
    """Counts points and dies at one. `_order` is shared with the process that forked us, and set by it."""

    def __init__(self, order: mmap.mmap, report: int) -> None:
        self._order, self._report = order, report
        self._heard = b""
        self._place, self._left = NOWHERE, 0
        self._lock = threading.Lock()

    def passes(self, place: str) -> None:
        """Write this point down, and die here if it is the one."""
        with self._lock:
            heard = self._order[:]
            if heard != self._heard:
                self._heard = heard
                self._place, left = heard.rstrip(b"\0").decode().split("\t")
                self._left = int(left)
            os.write(self._report, place.encode() + b"\n")
            if self._place in (place, ANYWHERE):
                self._left -= 1
                if self._left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)


def ours(frame: FrameType | None) -> str | None:
    """`module.function:line` of a frame of the product's own code."""
    if frame is None or not frame.f_code.co_filename.startswith(OURS):
        return None
    return f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}:{frame.f_lineno}"


def awaits_at(coroutine: Any) -> str | None:
    """Where the innermost of our coroutines below this one is suspended; None where none of them is ours."""
    found = None
    while coroutine is not None:
        for frame, inside in (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await")):
            if hasattr(coroutine, frame):
                found = ours(getattr(coroutine, frame)) or found
                coroutine = getattr(coroutine, inside)
                break
        else:
            coroutine = getattr(coroutine, "inside", None)
    return found


class Stepped(Coroutine[Any, Any, Any]):
    """A coroutine whose every step is a point."""

    def __init__(self, inside: Coroutine[Any, Any, Any], countdown: Countdown) -> None:
        self.inside, self._countdown = inside, countdown

    def _step(self) -> None:
        if (place := awaits_at(self.inside)) is not None:
            self._countdown.passes(f"await {place}")

    def send(self, value: Any) -> Any:
        self._step()
        return self.inside.send(value)

    def throw(self, *error: Any) -> Any:
        self._step()
        return self.inside.throw(*error)

    def close(self) -> None:
        self.inside.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # type: ignore[return-value]

    def __iter__(self) -> Stepped:
        return self

    def __next__(self) -> Any:
        return self.send(None)


def store_place(kind: str) -> str:
    """`kind` and the function of the store that this thread is in."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        place = ours(frame)
        if place is not None and not place.startswith(("engine.", "env.")):
            return f"{kind} {place}"
        frame = frame.f_back
    return f"{kind} elsewhere"


def watch_the_store(countdown: Countdown) -> None:
    """Make points of what every engine does from now on."""

    def before(*_: object) -> None:
        countdown.passes(store_place("before"))

    def after(*_: object) -> None:
        countdown.passes(store_place("after"))

    def commit(*_: object) -> None:
        countdown.passes(store_place("commit"))

    for name, heard in (("before_cursor_execute", before), ("after_cursor_execute", after), ("commit", commit)):
        sa.event.listen(sa.Engine, name, heard)


def watch_the_shelf(countdown: Countdown) -> None:
    """Make points of the moments before and after a new edition is on the shelf."""
    real: Callable[..., None] = Shelf.replace

    def replace(self: Shelf, documents: Any) -> None:
        countdown.passes("shelf before")
        real(self, documents)
        countdown.passes("shelf after")

    Shelf.replace = replace  # type: ignore[method-assign]


def live(config: str, log: int, countdown: Countdown) -> None:
    """Run the daemon in this process, until it dies."""
    for stream in (1, 2):
        os.dup2(log, stream)
    watch_the_store(countdown)
    watch_the_shelf(countdown)

    def run(work: Coroutine[Any, Any, int]) -> int:
        def loop() -> Any:
            made = uvloop.new_event_loop()

            def task(loop: Any, coroutine: Any, **options: Any) -> Any:
                return asyncio.Task(Stepped(coroutine, countdown), loop=loop, **options)

            made.set_task_factory(task)
            return made

        return uvloop.run(work, loop_factory=loop)

    scheduler.uvloop = SimpleNamespace(run=run)  # type: ignore[assignment]
    scheduler.TICK = scheduler.EDIT = 0.25  # type: ignore[assignment]  # a thousand deaths are waited for
    setting = scheduler.Setting(load=lambda: configuration.load(Path(config), {}))
    scheduler.run(setting)


def main(report: str) -> None:
    Comparer.load(), classify.load()  # once, not in every daemon
    order = mmap.mmap(-1, 512)
    lines = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = os.open(f"{report}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    pid: int = 0
    death: int | None = None  # readable once it has died

    def arm(place: str, passes: str) -> None:
        order[:] = f"{place}\t{passes}".encode().ljust(512, b"\0")

    def obey(command: str, *words: str) -> None:
        nonlocal pid, death
        match command:
            case "start":
                config, *place = words
                arm(*place)
                pid = os.fork()
                if pid == 0:
                    try:
                        live(config, log, Countdown(order, lines))
                    except BaseException:
                        os.write(log, traceback.format_exc().encode())
                    finally:
                        os._exit(1)
                death = os.pidfd_open(pid)
                print(f"pid {pid}", flush=True)
            case "arm":
                arm(*words)
            case "kill" if death is not None:
                os.kill(pid, signal.SIGKILL)

    print("ready", flush=True)
    # No threads here: what forks must not hold somebody's lock.
    while True:
        watched = [0] if death is None else [0, death]
        heard, _, _ = select.select(watched, [], [])
        if death in heard:
            _, status = os.waitpid(pid, 0)
            os.close(death)
            death = None
            print(f"died {os.waitstatus_to_exitcode(status)}", flush=True)
        elif not (said := os.read(0, 65536).decode()):
            return
        else:
            for line in said.splitlines():
                obey(*line.split("\t"))


class Mortal:
    """Starts daemons, one after the other, and says when they died."""

    def __init__(self, folder: Path) -> None:
        self.report = folder / "points"
        self.log = folder / "points.log"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.report)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._answers = self._process.stdin, self._process.stdout
        assert self._answers.readline() == "ready\n"
        self._death: str | None = None
        self._has_died = threading.Event()

    def start(self, config: Path, place: str = NOWHERE, passes: int = 1) -> int:
        """A new daemon, which dies at the n-th passing of `place`; its process."""
        self.report.write_text("")
        self._say("start", str(config), place, str(passes))
        word, pid = self._answers.readline().split()
        assert word == "pid"
        self._has_died.clear()
        threading.Thread(target=self._wait, daemon=True).start()
        return int(pid)

    def _wait(self) -> None:
        self._death = self._answers.readline().strip()
        self._has_died.set()

    def arm(self, place: str, passes: int) -> None:
        """Have the living daemon die at the n-th passing of `place` from now on."""
        self.report.write_text("")
        self._say("arm", place, str(passes))

    def is_dead(self, within: float = 0.0) -> bool:
        """Whether it has died, by its own hand or `kill`'s. AssertionError where it ended otherwise."""
        if not self._has_died.wait(within):
            return False
        assert self._death == f"died {-signal.SIGKILL}", f"{self._death}: {self.log.read_text()[-3000:]}"
        return True

    def kill(self) -> None:
        """End the living daemon wherever it is."""
        self._say("kill")
        assert self.is_dead(10)

    def passed(self) -> list[str]:
        """The points passed since the last start or arming, in order."""
        return self.report.read_text().splitlines()

    def close(self) -> None:
        if not self._has_died.is_set():
            self.kill()
        self._commands.close()
        self._process.wait(10)
        self._answers.close()

    def _say(self, *words: str) -> None:
        self._commands.write("\t".join(words) + "\n")
        self._commands.flush()


if __name__ == "__main__":
    main(sys.argv[1])
