"""What one command costs: processor time of its whole process tree, wall time, peak memory. Linux only."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAMPLE = 0.1  # seconds between two looks at the tree's memory


@dataclass(frozen=True, slots=True)
class Run:
    """One finished command. Seconds and MB (10⁶ bytes); `said` is the JSON object on the last line of its output, the
    figures a driver gives of its pass without its start: empty where it gave none."""

    cpu: float
    wall: float
    pss: float
    rss: float
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def pass_cpu(self) -> float:
        """Processor seconds of the pass alone; of the whole command where it does not tell them apart."""
        return float(self.said.get("cpu", self.cpu))

    @property
    def pass_wall(self) -> float:
        return float(self.said.get("wall", self.wall))


def run(
    command: Sequence[str],
    log: Path,
    env: dict[str, str] | None = None,
    folder: Path | None = None,
    sample: float = SAMPLE,
) -> Run:
    """Run `command` to its end, its talk going to the file `log`. Raises SystemExit where it fails."""
    began = time.monotonic()
    with log.open("ab") as talk:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=talk, env=env, cwd=folder)
        peak = _Peak(process.pid, sample)
        peak.start()
        assert process.stdout is not None
        output = process.stdout.read()
        # wait4 instead of Popen.wait: its usage has all the descendants that were waited for in it.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    peak.stop()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}, see {log}")
    return Run(usage.ru_utime + usage.ru_stime, wall, peak.pss / 1e6, peak.rss / 1e6, _last_object(output))


def _last_object(output: bytes) -> dict[str, Any]:
    lines = output.strip().splitlines()
    with suppress(ValueError, IndexError):
        value = json.loads(lines[-1])
        return value if isinstance(value, dict) else {}
    return {}


class _Peak(threading.Thread):
    """Looks at the memory of a process and its descendants until stopped; the highest sums seen, in bytes."""

    def __init__(self, root: int, sample: float) -> None:
        super().__init__(daemon=True)
        self._root, self._sample, self._done = root, sample, threading.Event()
        self.pss = self.rss = 0

    def run(self) -> None:
        while not self._done.wait(self._sample):
            sums = [memory(pid) for pid in tree(self._root)]
            self.pss = max(self.pss, sum(pss for pss, _ in sums))
            self.rss = max(self.rss, sum(rss for _, rss in sums))

    def stop(self) -> None:
        self._done.set()
        self.join()


def tree(root: int) -> list[int]:
    """The ids of a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat") as stat:
                # The command's name stands in brackets and may hold anything, brackets too.
                children.setdefault(int(stat.read().rpartition(")")[2].split()[1]), []).append(int(name))
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found


def memory(pid: int) -> tuple[int, int]:
    """Proportional and resident set size in bytes, zeros for a process that has gone."""
    sizes = {"Pss": 0, "Rss": 0}
    with suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as rollup:
        for line in rollup:
            name, _, rest = line.partition(":")
            if name in sizes:
                sizes[name] = int(rest.split()[0]) * 1024
    return sizes["Pss"], sizes["Rss"]


def cpu_of(pids: Sequence[int]) -> float:
    """Processor seconds that these single-threaded processes have used, to the nanosecond."""
    total = 0
    for pid in pids:
        with suppress(OSError), open(f"/proc/{pid}/schedstat") as stat:
            total += int(stat.read().split()[0])
    return total / 1e9
