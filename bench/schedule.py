"""When to poll, replayed: our rule beside others' on the same arrivals, at the same number of requests.

    python bench/schedule.py [--feeds 150] [--seed 1] [--shared FOLDER]      writes docs/benchmarks-schedule.md
    python bench/schedule.py --try KEENNESS=2 --seed 911                      tries a constant, writes nothing

Two traces: invented feeds (rhythms of hour and week, bursts, silence; seeded) and, where the shared data is, the
publication times of a real three-week stream. Each rule learns over the first part and is measured on the rest. Every
rule has one knob that makes it ask more or less; it is turned so that all are compared at equal requests, and at equal
median delay. Rules of others are written from their documented formulas, with their documented bounds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import statistics
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from aggregator.ingest import rhythm

HOUR, DAY = 3600.0, 86400.0
WEEK = 7 * DAY
START = datetime(2026, 1, 5, tzinfo=UTC).timestamp()  # a Monday
Trace = list[list[float]]


@dataclass(frozen=True)
class Result:
    """Of the measured part: requests per feed and day, delays in minutes over all entries."""

    requests: float
    median: float
    p90: float
    mean: float


# ---------------------------------------------------------------- rules: knob -> (known, new, now) -> seconds

Rule = Callable[[list[float], int, float], float]


def fixed(knob: float) -> Rule:
    """Every feed every `knob` minutes."""
    return lambda known, new, now: knob * 60


def entry_frequency(knob: float) -> Rule:
    """Miniflux's entry_frequency: a week divided by the last week's entries times a factor, in 5 min to 24 h."""

    def wait(known: list[float], new: int, now: float) -> float:
        weekly = len(known) - bisect_right(known, now - WEEK)
        minutes = round(7 * 24 * 60 / (weekly * knob)) if weekly else 24 * 60
        return min(max(minutes, 5), 24 * 60) * 60

    return wait


def mean_gap(knob: float) -> Rule:
    """CommaFeed's rule: half the mean gap between the document's entries, less and less after a week of silence, within
    5 min and 4 h. A document is taken to hold 30 entries; `knob` 1 is the documented half."""

    def wait(known: list[float], new: int, now: float) -> float:
        longest = 4 * HOUR
        silence = (now - known[-1]) / DAY if known else 99
        document = known[-30:]
        if silence >= 30 or len(document) < 2:
            seconds = longest
        elif silence >= 14:
            seconds = longest / 2
        elif silence >= 7:
            seconds = longest / 4
        else:
            seconds = (document[-1] - document[0]) / (len(document) - 1) / 2 / knob
        return min(max(seconds, 5 * 60), longest)

    return wait


def ours(knob: float) -> Rule:
    """`rhythm` as the daemon uses it, `polling.every` at `knob` minutes, within 5 min and 24 h."""
    every, slowest = timedelta(minutes=knob), timedelta(hours=24)
    memory: rhythm.Rhythm | None = None
    last: datetime | None = None

    def wait(known: list[float], new: int, now: float) -> float:
        nonlocal memory, last
        moment = datetime.fromtimestamp(now, UTC)
        if memory is None:
            memory = rhythm.begun((datetime.fromtimestamp(one, UTC) for one in known[-30:]), moment)
        elif new:
            arrived = (datetime.fromtimestamp(one, UTC) for one in known[-new:])
            memory = rhythm.with_arrivals(memory, arrived, last, moment)
        last = moment
        return max(rhythm.wait(memory, moment, every, slowest).total_seconds(), 300.0)

    return wait


def bound(trace: Trace, measure: float, end: float) -> Callable[[float], Rule]:
    """No rule, a bound: our price law (exponent 2) told each feed's true rate by hour of the week, of the very weeks
    that are measured (smoothed over three hours). No learning of such rates can save more. One replay each."""
    feeds = iter(trace)

    def rule(knob: float) -> Rule:
        counts = [0.0] * 168
        for one in next(feeds):
            if measure <= one < end:
                counts[int((one - START) % WEEK // HOUR)] += 1
        weeks = (end - measure) / WEEK
        rates = [max((counts[i - 1] + counts[i] + counts[(i + 1) % 168]) / 3 / weeks, 1e-4) for i in range(168)]
        price = (knob / 60) ** 2 / 2

        def wait(known: list[float], new: int, now: float) -> float:
            elapsed = expected = cost = 0.0
            while elapsed < 24:
                moment = now + elapsed * HOUR
                step = 1 - moment % HOUR / HOUR
                here = rates[int((moment - START) % WEEK // HOUR)] ** 2
                if cost + expected * step + here * step * step / 2 >= price:
                    elapsed += (math.sqrt(expected**2 + 2 * here * (price - cost)) - expected) / here
                    break
                cost += expected * step + here * step * step / 2
                expected += here * step
                elapsed += step
            return max(min(elapsed, 24.0) * HOUR, 300.0)

        return wait

    return rule


RULES: dict[str, tuple[Callable[[float], Rule], list[float]]] = {
    "ours": (ours, [5, 8, 12, 18, 25, 35, 50, 75, 110]),
    "entry_frequency (Miniflux)": (entry_frequency, [8, 5, 3, 2, 1.4, 1, 0.7, 0.5, 0.35, 0.25]),
    "mean gap (CommaFeed)": (mean_gap, [4, 2.8, 2, 1.4, 1, 0.7, 0.5, 0.35, 0.25, 0.15]),
    "fixed interval": (fixed, [2.5, 5, 8, 12, 18, 25, 35, 50, 75, 110, 160, 240]),
}


# ---------------------------------------------------------------- replay


def replay(
    trace: Trace, rule: Callable[[float], Rule], knob: float, begin: float, measure: float, end: float
) -> Result:
    """Poll every feed from `begin`; count what happens from `measure` to `end` (seconds since 1970)."""
    requests, delays = 0, []
    for number, arrivals in enumerate(trace):
        wait = rule(knob)
        now = begin + (number * 0.618 % 1) * HOUR
        seen = bisect_right(arrivals, now)
        first = True
        while now < end:
            upto = bisect_right(arrivals, now)
            if now >= measure:
                requests += 1
                delays += [now - arrivals[i] for i in range(seen, upto) if arrivals[i] >= measure]
            known = arrivals[max(0, upto - 1500) : upto]
            seconds = wait(known, 0 if first else upto - seen, now)
            first, seen = False, upto
            now += seconds
    delays.sort()
    days = (end - measure) / DAY * len(trace)
    middle, ninth = delays[len(delays) // 2] / 60, delays[int(len(delays) * 0.9)] / 60
    return Result(requests / days, middle, ninth, statistics.fmean(delays) / 60)


def at_requests(results: list[Result], requests: float) -> Result | None:
    """A rule's figures at exactly so many requests, between its two nearest knobs (log-log); None beyond its range."""
    ordered = sorted(results, key=lambda one: one.requests)
    for low, high in pairwise(ordered):
        if low.requests <= requests <= high.requests and high.requests > low.requests:
            share = math.log(requests / low.requests) / math.log(high.requests / low.requests)

            def between(a: float, b: float, share: float = share) -> float:
                return math.exp(math.log(a) + share * (math.log(b) - math.log(a)))

            return Result(
                requests,
                between(low.median, high.median),
                between(low.p90, high.p90),
                between(low.mean, high.mean),
            )
    return None


def requests_at_median(results: list[Result], median: float) -> float | None:
    """How many requests a rule needs for this median delay; None beyond its range."""
    ordered = sorted(results, key=lambda one: one.median)
    for low, high in pairwise(ordered):
        if low.median <= median <= high.median and high.median > low.median:
            share = math.log(median / low.median) / math.log(high.median / low.median)
            return math.exp(math.log(low.requests) + share * (math.log(high.requests) - math.log(low.requests)))
    return None


# ---------------------------------------------------------------- traces


def invented(feeds: int, seed: int, weeks: int) -> Trace:
    """Feeds of six kinds. Rates, hours, week-ends, bursts and silences are drawn per feed."""
    chance = random.Random(seed)
    return [sorted(arrivals_of(chance, kind, weeks)) for kind, _ in zip(_kinds(chance), range(feeds), strict=False)]


def _kinds(chance: random.Random) -> Iterator[str]:
    while True:
        yield chance.choices(["wire", "paper", "trade", "blog", "daily", "silent"], weights=[10, 25, 25, 25, 10, 5])[0]


def arrivals_of(chance: random.Random, kind: str, weeks: int) -> Iterator[float]:
    """When a feed of this kind has something new, from START on; not all in order."""
    if kind == "daily":  # the same hour every working day, give or take
        hour = chance.uniform(4, 20)
        for day in range(weeks * 7):
            if day % 7 < 5:
                yield START + day * DAY + hour * HOUR + chance.gauss(0, 900)
        return
    a_day = {"wire": (40, 200), "paper": (10, 80), "trade": (2, 15), "blog": (0.1, 2), "silent": (1, 20)}[kind]
    rate = math.exp(chance.uniform(math.log(a_day[0]), math.log(a_day[1]))) / DAY
    profile = _profile(chance, 0.7 if kind == "wire" else 0.05)
    children = {"wire": 0.2, "paper": 0.4, "trade": 0.3}.get(kind, 0.1)
    stop = START + weeks * WEEK * (chance.uniform(0.2, 0.8) if kind == "silent" else 1)
    now = START
    top = max(profile)
    while (now := now + chance.expovariate(rate * top)) < stop:
        if chance.random() * top < profile[int((now - START) % WEEK // HOUR)]:
            yield now
            child = now
            while chance.random() < children:  # a story develops
                child += chance.expovariate(1 / 1500)
                yield child


def _profile(chance: random.Random, night: float) -> list[float]:
    """168 factors with mean 1: an editorial day somewhere on the globe, and its week-end."""
    peak, width, weekend = chance.uniform(0, 24), chance.uniform(3, 6), chance.uniform(0.1, 0.9)
    factors = []
    for hour in range(168):
        distance = abs((hour % 24 - peak + 12) % 24 - 12)
        factors.append((night + math.exp(-((distance / width) ** 2))) * (weekend if hour >= 120 else 1))
    mean = statistics.fmean(factors)
    return [factor / mean for factor in factors]


def real(folder: Path) -> tuple[Trace, float, float, float]:
    """Publication times by outlet, and (begin, measure, end). The stream was crawled a few times a day, so that its
    first-seen times are the crawler's; what the publishers say is as near as it gets to when entries appeared."""
    by_source: dict[str, set[float]] = {}
    with gzip.open(folder / "data" / "rss_stream_2026.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            if row.get("published"):
                moment = datetime.fromisoformat(row["published"].replace("Z", "+00:00")).timestamp()
                by_source.setdefault(row["source"], set()).add(moment)
    begin, end = (datetime(2026, 6, day, tzinfo=UTC).timestamp() for day in (1, 21))
    return [sorted(times) for _, times in sorted(by_source.items())], begin, begin + WEEK, end


# ---------------------------------------------------------------- report


def curves(trace: Trace, begin: float, measure: float, end: float) -> dict[str, list[Result]]:
    """Every rule, and the bound, at all its knobs."""
    found = {
        rule: [replay(trace, make, knob, begin, measure, end) for knob in knobs]
        for rule, (make, knobs) in RULES.items()
    }
    knobs = RULES["ours"][1]
    known = [replay(trace, bound(trace, measure, end), knob, begin, measure, end) for knob in knobs]
    return found | {"bound: hours known beforehand": known}


def table(
    name: str,
    trace: Trace,
    results: dict[str, list[Result]],
    begin: float,
    measure: float,
    end: float,
    anchor: float,
) -> list[str]:
    """Markdown: all rules at the requests that ours makes with `every` = `anchor` minutes."""
    entries = sum(measure <= one < end for arrivals in trace for one in arrivals)
    mine = replay(trace, ours, anchor, begin, measure, end)
    learned, measured = (measure - begin) / DAY, (end - measure) / DAY
    scope = f"{len(trace)} feeds, {entries} entries in {measured:.0f} days after {learned:.0f} days of learning; "
    scope += f"{mine.requests:.1f} requests per feed and day."
    lines = [
        f"### {name}",
        "",
        scope,
        "",
        "| rule | median delay, min | 90th percentile, min | mean, min | requests at our median | we need |",
        "|---|---|---|---|---|---|",
    ]
    for rule, found in results.items():
        same = mine if rule == "ours" else at_requests(found, mine.requests)
        needs = mine.requests if rule == "ours" else requests_at_median(found, mine.median)
        figures = f"{same.median:.1f} | {same.p90:.1f} | {same.mean:.1f}" if same else "out of its range | | "
        asks = f"{needs:.1f} | {(mine.requests / needs - 1) * 100:+.0f} %" if needs else "out of its range | "
        lines.append(f"| {rule} | {figures} | {asks} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feeds", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "benchmarks-schedule.md"
    )
    parser.add_argument(
        "--try",
        dest="trials",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="with this constant of rhythm.py, as KEENNESS=2; nothing is written",
    )
    options = parser.parse_args()
    for name, _, number in (trial.partition("=") for trial in options.trials):
        if not isinstance(getattr(rhythm, name, None), float):
            parser.error(f"--try {name}: no such constant in rhythm.py")
        setattr(rhythm, name, float(number))
    started = time.perf_counter()
    weeks, learned = 7, 4
    lines: list[str] = []
    trace = invented(options.feeds, options.seed, weeks)
    times = START, START + learned * WEEK, START + weeks * WEEK
    found = curves(trace, *times)
    for anchor in (15.0, 30.0, 60.0):
        lines += table(f"Invented feeds, every = {anchor:g}m", trace, found, *times, anchor)
    if options.shared.is_dir():
        stream, begin, measure, end = real(options.shared)
        found = curves(stream, begin, measure, end)
        for anchor in (15.0, 30.0, 60.0):
            lines += table(f"A real stream, every = {anchor:g}m", stream, found, begin, measure, end, anchor)
    text = "\n".join(lines)
    print(text)
    print(f"{time.perf_counter() - started:.0f} s")
    head, mark, _ = options.out.read_text().partition("<!-- figures -->") if options.out.exists() else ("", "", "")
    if mark and not options.trials:
        options.out.write_text(f"{head}{mark}\n\n{text}")


if __name__ == "__main__":
    main()
