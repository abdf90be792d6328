"""The daemon of a simulated day: the whole service as `bmn run` builds it, by the simulated clock.

    python -m bench.day.daemon CONFIG CLOCK HOURS EDIT_EVERY

What differs from the real one: the event loop is asyncio's own, as uvloop takes no clock; names under .example lead to
loopback; every answer comes after a latency of the simulated time; the heartbeat, ten looks a second at the lag of the
loop, is left to the clock, which sees each. Talks on stderr, prints one JSON object at the end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import random
import resource
import socket
import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import apscheduler.executors.base
import apscheduler.schedulers.base
import apscheduler.triggers.interval

import aggregator.parts
import aggregator.pipeline
import scheduler
from aggregator import config as configuration
from aggregator.daemon import Notifier, configure_logging, log
from aggregator.ingest.fetch import Fetcher
from aggregator.store import Store
from aggregator.types import FetchOutcome, FetchRequest, ParsedFeed, ParseFailed
from aggregator.workers import Workers
from bench.contest.measure import cpu_of, memory, tree
from bench.day.clock import SharedTime, SkippingLoop

LATENCY, SPREAD, SLOWEST = 0.2, 0.8, 15.0  # seconds: median, of its logarithm, at most
LOOK = 7.3  # seconds between two looks at whether the start is over; no divisor of the time between two passes


class DistantFetcher(Fetcher):
    """Asks origins that are far away by the simulated clock."""

    async def fetch(self, request: FetchRequest, known_body: bytes | None = None) -> FetchOutcome:
        await asyncio.sleep(min(_CHANCE.lognormvariate(math.log(LATENCY), SPREAD), SLOWEST))
        with _loop().outside():
            return await super().fetch(request, known_body)


class SeenWorkers(Workers):
    """Children whose work takes time."""

    async def start(self) -> None:
        with _loop().outside():
            await super().start()

    async def stop(self, grace: float = 5.0) -> None:
        with _loop().outside():
            await super().stop(grace)

    async def parse(self, *arguments: Any) -> ParsedFeed | ParseFailed:
        with _loop().outside():
            return await super().parse(*arguments)


_CHANCE = random.Random(7)
COSTS: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])  # of the store's methods: calls, seconds, longest


class TimedStore(Store):
    """Notes how long each method took."""


def _timed(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            took = time.perf_counter() - began
            cost = COSTS[name]
            cost[0], cost[1], cost[2] = cost[0] + 1, cost[1] + took, max(cost[2], took)

    return call


for _name, _method in list(vars(Store).items()):
    if callable(_method) and not _name.startswith("_"):
        setattr(TimedStore, _name, _timed(_name, _method))


class Lateness:
    """Stands where the metric stands, and keeps every observation (seconds)."""

    def __init__(self, metric: Any) -> None:
        self._metric, self.seen = metric, array("f")

    def observe(self, seconds: float) -> None:
        self._metric.observe(seconds)
        self.seen.append(seconds)


class Day:
    """Watches a service from its start to the end of the day."""

    def __init__(self, clock: SharedTime, hours: int) -> None:
        self._clock, self._hours = clock, hours
        self.said: dict[str, Any] = {"samples": []}

    async def ready(self, service: scheduler.Service) -> None:
        self._watching = asyncio.create_task(self._watch(service))

    async def _watch(self, service: scheduler.Service) -> None:
        try:
            await self._through(service)
        finally:
            service.stop()

    async def _through(self, service: scheduler.Service) -> None:
        pipeline, selector = service.pipeline, _loop().selector
        pipeline.metrics.lateness = late = Lateness(pipeline.metrics.lateness)  # type: ignore[assignment]
        await self._started(pipeline)
        self._sample(pipeline, 0)
        self.said["start"] = {"cpu": _cpu(), "costs": _costs(), **_totals(pipeline)}
        late.seen, selector.held, selector.held_cpu = array("f"), 0.0, 0.0
        COSTS.clear()
        cpu, wall, before, began = _cpu(), time.monotonic(), _totals(pipeline), self._clock()
        for hour in range(1, self._hours + 1):
            await asyncio.sleep(began + hour * 3600 - self._clock())
            self._sample(pipeline, hour)
        after = _totals(pipeline)
        self.said["day"] = {
            "cpu": _cpu() - cpu,
            "wall": time.monotonic() - wall,
            **{name: after[name] - before[name] for name in after},
            "late": _quantiles(sorted(late.seen)),
            "held_ms": selector.held * 1000,
            "held_cpu_ms": selector.held_cpu * 1000,
            "costs": _costs(),
            "publish": _sum(pipeline.metrics.publish_seconds),
            "group": _sum(pipeline.metrics.group_seconds),
        }

    async def _started(self, pipeline: aggregator.pipeline.Pipeline) -> None:
        """Until every source has been asked once and what came is grouped."""
        while True:
            await asyncio.sleep(LOOK)
            found = await pipeline.database(pipeline.store.waiting, pipeline.now())
            new, waiting = found.health.get("new", 0), found.queues["ungrouped"][0]
            print(f"start: {new} sources not yet asked, {waiting} entries ungrouped", file=sys.stderr, flush=True)
            if not new and not waiting:
                return

    def _sample(self, pipeline: aggregator.pipeline.Pipeline, hour: int) -> None:
        pids = tree(os.getpid())
        sizes = [memory(pid) for pid in pids]
        path = pipeline.store.path
        sample = {
            "hour": hour,
            "pss": sum(pss for pss, _ in sizes) / 1e6,
            "rss": sizes[0][1] / 1e6,
            "files": len(os.listdir("/proc/self/fd")),
            "database": pipeline.store.size() / 1e6,
            "log": os.path.getsize(f"{path}-wal") / 1e6,
            "polls": pipeline.poller.tally.totals.polled,
            "entries": pipeline.poller.tally.totals.new_entries,
            "cpu": _cpu(),
        }
        self.said["samples"].append(sample)
        print(json.dumps(sample), file=sys.stderr, flush=True)


def _totals(pipeline: aggregator.pipeline.Pipeline) -> dict[str, int]:
    totals = pipeline.poller.tally.totals
    names = ("polled", "not_modified", "changed", "failed", "new_entries")
    return {name: getattr(totals, name) for name in names}


def _quantiles(ordered: list[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "worst": 1.0}
    return {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in shares.items()}


def _costs() -> dict[str, list[float]]:
    """The store's dearest methods: calls, seconds in all, milliseconds at worst."""
    dearest = sorted(COSTS.items(), key=lambda item: -item[1][1])[:15]
    return {name: [calls, round(took, 2), round(worst * 1000, 1)] for name, (calls, took, worst) in dearest}


def _sum(histogram: Any) -> list[float]:
    """Of a metric: how often, and seconds in all."""
    samples = {sample.name.rpartition("_")[2]: sample.value for sample in histogram.collect()[0].samples}
    return [samples["count"], samples["sum"]]


def _cpu() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = cpu_of([pid for pid in tree(os.getpid()) if pid != os.getpid()])
    return time.process_time() + ended.ru_utime + ended.ru_stime + living


def _loop() -> SkippingLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop)
    return loop


def _loopback(name: object, *arguments: Any, **named: Any) -> list[Any]:
    return _getaddrinfo("127.0.0.1" if str(name).endswith(".example") else name, *arguments, **named)


_getaddrinfo: Callable[..., list[Any]] = socket.getaddrinfo


async def _no_heartbeat(_: object) -> None:
    return None


def main() -> None:
    path, clock = Path(sys.argv[1]), SharedTime(Path(sys.argv[2]))
    hours, edit_every = int(sys.argv[3]), int(sys.argv[4])
    environment: Mapping[str, str] = os.environ
    clock.stand_in_for(apscheduler.schedulers.base, apscheduler.triggers.interval, apscheduler.executors.base)
    socket.getaddrinfo = _loopback
    scheduler.EDIT = edit_every
    for name, stand_in in (("Fetcher", DistantFetcher), ("Workers", SeenWorkers), ("Store", TimedStore)):
        setattr(aggregator.parts, name, stand_in)
    scheduler.Heartbeat.run = _no_heartbeat  # type: ignore[method-assign]
    config = configuration.load(path, environment)
    configure_logging(config.log.format, config.log.level)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a beat left out while the one before works is no news
    day = Day(clock, hours)
    setting = scheduler.Setting(lambda: config)
    service = scheduler.Service(setting, config, log(), Notifier(), clock.now)
    with asyncio.Runner(loop_factory=lambda: SkippingLoop(clock)) as runner:
        code = runner.run(service.run(day.ready))
    day.said["simulated_hours"] = timedelta(hours=hours) / timedelta(hours=1)
    print(json.dumps(day.said))
    sys.exit(code)


if __name__ == "__main__":
    main()
