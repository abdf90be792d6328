"""Our polling alone: every source asked once, what is new stored and sanitised, nothing grouped or published.

    python -m bench.contest.ours CONFIG

Prints one JSON object: processor seconds of the pass without the start (children included), its wall time, what it did,
and how long the event loop was held at worst, by a timer of 5 ms: `late_ms` by the clock, which on a busy machine has
other programs' turns in it, and `held_ms` in processor time of the loop's own thread between two looks.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

import uvloop

from aggregator import config as configuration
from aggregator.daemon import configure_logging, log, settle
from aggregator.pipeline import Pipeline
from aggregator.tally import PollTotals
from bench.contest.measure import cpu_of, tree

EVERYBODY = 1e9  # seconds: no host's turn is put off to a later pass
PROBE = 0.005


async def one_pass(config: configuration.Config) -> dict[str, object]:
    async with Pipeline.opened(config, log()) as pipeline:
        settle()
        late: list[float] = [0.0]
        held: list[float] = [0.0]
        probe = asyncio.create_task(_watch(late, held))
        await asyncio.sleep(0)
        wall, cpu = time.monotonic(), _cpu()
        pipeline.poller.tally.totals = totals = PollTotals()
        feeds = await pipeline.feeds_to_poll((), everything=True)
        await pipeline.poller.start(feeds, horizon=EVERYBODY)
        await pipeline.poller.wait()
        wall, cpu = time.monotonic() - wall, _cpu() - cpu
        probe.cancel()
        await pipeline.stop()
    return {
        "cpu": cpu,
        "wall": wall,
        "polled": totals.polled,
        "not_modified": totals.not_modified,
        "changed": totals.changed,
        "failed": totals.failed,
        "new_entries": totals.new_entries,
        "late_ms": max(late) * 1000,
        "late_over_50_ms": sum(one > 0.05 for one in late),
        "held_ms": max(held) * 1000,
    }


def _cpu() -> float:
    """Processor seconds of ours and of our children, of those too that made room for others meanwhile."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = cpu_of([pid for pid in tree(os.getpid()) if pid != os.getpid()])
    return time.process_time() + ended.ru_utime + ended.ru_stime + living


async def _watch(late: list[float], held: list[float]) -> None:
    while True:
        due, worked = time.monotonic() + PROBE, time.thread_time()
        await asyncio.sleep(PROBE)
        late.append(time.monotonic() - due)
        held.append(time.thread_time() - worked)


def main() -> None:
    config = configuration.load(Path(sys.argv[1]), os.environ)
    configure_logging("logfmt", config.log.level)
    print(json.dumps(uvloop.run(one_pass(config))))


if __name__ == "__main__":
    main()
