"""A day of many sources on one machine, simulated: how late polls are, what it takes of memory, disk and processor.

    python -m bench.day [--sources 500] [--hours 6] [--edit-every 60] [--folder DIR] [--seed 1]
    python -m bench.day --sources 20000 --hours 24

The real daemon (scheduler, poller, editor, publisher, SQLite) polls origins on loopback over HTTP at its adaptive
rhythm; the clock leaves out the time in which nothing is under way (`clock`). Not part of `make bench`: a day of 20,000
sources takes as long as its work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contest.measure import Run, run
from bench.day.clock import SharedTime
from bench.day.origin import BEGINS, DAY, Law, host

HERE = Path(__file__).parent.parent.parent
SHOWN = (0, 1, 6, 12, 24)  # hours


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sources", type=int, default=500)
    options.add_argument("--hours", type=int, default=6)
    options.add_argument("--edit-every", type=int, default=60, help="seconds between passes of editing; really 2")
    options.add_argument("--folder", type=Path, help="keep database and log here")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--port", type=int, default=8740, help="of the origins; the daemon listens on the next two")
    given = options.parse_args()
    if given.hours > 24:
        options.error("--hours: the arrivals are simulated for a day at most")
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        clock = folder / "clock"
        SharedTime(clock, BEGINS)
        config = _configured(folder, given.sources, given.port)
        command = [sys.executable, "-m", "bench.day.daemon", config, clock, given.hours, given.edit_every]
        with _origin(clock, given.port, given.sources, given.seed):
            done = run([str(part) for part in command], folder / "log", _environment(), folder, sample=2.0)
        (folder / "result.json").write_text(json.dumps(done.said))
        print(report(given.sources, given.hours, given.edit_every, given.seed, done))


def _configured(folder: Path, sources: int, port: int) -> Path:
    config = folder / "aggregator.yaml"
    settings = {
        "site": {"listen": f"127.0.0.1:{port + 1}", "public_url": f"http://127.0.0.1:{port + 1}"},
        "admin": {"listen": f"127.0.0.1:{port + 2}"},
        "database": "sqlite:///day.db",
        "fetch": {"allow_networks": ["127.0.0.0/8"]},
        "log": {"level": "warning"},
    }
    config.write_text(json.dumps(settings))
    listed = [{"url": f"http://{host(number)}:{port}/{number}"} for number in range(sources)]
    (folder / "sources.yaml").write_text(json.dumps({"sources": listed}))
    return config


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE)}


@contextmanager
def _origin(clock: Path, port: int, sources: int, seed: int) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.day.origin", clock, port, sources, seed]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, env=_environment())
    try:
        if process.stdout is None or process.stdout.readline() != b"ready\n":
            raise SystemExit("the origins did not start")
        yield
    finally:
        process.terminate()
        process.wait()


def report(sources: int, hours: int, edit_every: int, seed: int, done: Run) -> str:
    """The figures for docs/benchmarks.md."""
    day, samples = done.said["day"], done.said["samples"]
    law = Law(sources, seed)
    late, share = day["late"], 24 / hours
    grown = samples[-1]["database"] - samples[0]["database"]
    entries = max(day["new_entries"], 1)
    lines = [
        (
            f"{sources:,} sources, {hours} simulated hours after the start; the law brings"
            f" {law.between(BEGINS, BEGINS + DAY) / sources:.1f} entries a source and day. Edited every {edit_every} s."
        ),
        "",
        (
            f"- polls: {day['polled']:,} ({day['polled'] / hours / 3600:.1f} a second), {day['changed']:,} changed,"
            f" {day['failed']:,} failed; {day['new_entries']:,} new entries"
        ),
        (
            f"- late, s: median {late['p50']:.2f}, p90 {late['p90']:.2f}, p99 {late['p99']:.2f},"
            f" p99.9 {late['p999']:.2f}, worst {late['worst']:.1f}"
        ),
        (
            f"- CPU: {day['cpu']:.0f} s ({day['cpu'] / hours / 36:.1f} % of a core), in {day['wall']:.0f} s; the start"
            f" {done.said['start']['cpu']:.0f} s CPU for {done.said['start']['new_entries']:,} entries"
        ),
        f"- memory of the tree: {done.pss:.0f} MB at its peak, start included",
        (
            f"- database: {samples[-1]['database']:.0f} MB, {grown * share:.0f} MB more a day,"
            f" {grown * 1000 / entries:.1f} kB an entry"
        ),
        f"- event loop held at worst {day['held_ms']:.0f} ms, {day['held_cpu_ms']:.0f} of its own processor time",
        (
            f"- passes: {day['publish'][0]:.0f} published in {day['publish'][1]:.0f} s, {day['group'][0]:.0f} batches"
            f" grouped in {day['group'][1]:.0f} s"
        ),
        "",
        "| hour | memory of the tree, MB | daemon's RSS, MB | files open | database, MB | polls | entries |",
        "|---|---|---|---|---|---|---|",
    ]
    for sample in samples:
        if sample["hour"] in SHOWN or sample is samples[-1]:
            figures = (f"{sample[name]:.0f}" for name in ("pss", "rss", "files", "database", "polls", "entries"))
            lines.append(f"| {sample['hour']} | {' | '.join(figures)} |")
    lines += ["", "| the store's dearest | calls | seconds | worst, ms |", "|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(map(str, cost))} |" for name, cost in day["costs"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
