"""A farm of feeds polled by ours, by its peers and by a bare loop, side by side in one run: a Markdown table.

    python -m bench.farm [--feeds 1000] [--rounds 3] [--peers reader,newsboat] [--tool ../shared/tools/feedfarm.py]

Three phases: every feed new, every feed answers 304, a fifth of the feeds has one or two new entries. Each contender
keeps its own database over them. Ours is polling alone (fetched, parsed, sanitised, committed: what the peers do), and
with --whole also `bmn poll --all` (grouped into stories, filed and published as well). Needs the generator of the farm,
nginx, and for the peers newsboat and a virtual environment with `reader`, which is made in the cache folder.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.contest.contenders import Contender, Newsboat, OurPass, OurPolling, Raw, Reader
from bench.contest.measure import Run

HERE = Path(__file__).parent.parent
PHASES = {"first": "first poll, all new", "same": "all answer 304", "some": "20 % changed by 1–2 entries"}
AIMS = {"first": (15.0, 0.22), "same": (0.4, 0.10), "some": (1.2, 0.075)}  # CPU s a 1,000 feeds; share of reader's
MB_AIMS = {1000: 250, 20_000: 400}

Results = dict[tuple[str, str], list[Run]]


def main() -> None:
    options = _options()
    tool = _tool(options.tool)
    if tool is None or shutil.which("nginx") is None:
        # Said, not failed: the generator is no part of the repository.
        print(f"skipped: {'no nginx' if tool else 'no feedfarm.py (--tool PATH)'}", file=sys.stderr)
        return
    cache = Path(options.cache)
    work = cache / f"run-{options.feeds}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    farm = Farm(tool, cache / f"farm-{options.feeds}", options.feeds, options.port)
    contenders = _contenders(options, cache, work, farm)
    with farm.served():
        results = contest(farm, contenders, options.rounds, options.peer_rounds)
    print(report(options.feeds, contenders, results))
    shutil.rmtree(work, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feeds", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3, help="of ours and the bare loop, in each phase")
    parser.add_argument("--peer-rounds", type=int, default=1, help="of each peer and of the whole pass, in each phase")
    parser.add_argument("--peers", default="reader,newsboat", help="which of reader, newsboat; '' for none")
    parser.add_argument("--whole", action="store_true", help="also `bmn poll --all`: grouped, filed and published")
    parser.add_argument("--tool", help="feedfarm.py (default: shared/tools beside the repository)")
    parser.add_argument("--cache", default=os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")) + "/bmn-bench")
    parser.add_argument("--port", type=int, default=8100, help="first of the three that the farm's server takes")
    return parser.parse_args()


def _tool(given: str | None) -> Path | None:
    places = [Path(given)] if given else [HERE / ".." / "shared" / "tools" / "feedfarm.py"]
    return next((place.resolve() for place in places if place.exists()), None)


def _contenders(options: argparse.Namespace, cache: Path, work: Path, farm: Farm) -> list[Contender]:
    chosen: list[Contender] = [Raw(work, farm.urls), OurPolling(work, farm.sources)]
    if options.whole:
        chosen.append(OurPass(work, farm.sources))
    for name in filter(None, options.peers.split(",")):
        peer = {"reader": Reader, "newsboat": Newsboat}[name](work, farm.urls, cache)
        if why := peer.missing():
            print(f"without {name}: {why}", file=sys.stderr)
        else:
            chosen.append(peer)
    return chosen


class Farm:
    """The feeds, made once and kept in the cache: a farm that was moved on is as good as a new one."""

    def __init__(self, tool: Path, folder: Path, feeds: int, port: int) -> None:
        self._tool, self._folder = tool, folder
        self.urls, self.sources = folder / "urls", folder / "feeds.yaml"
        self._feeds, self._port = feeds, port

    def _do(self, verb: str, *arguments: str) -> None:
        command = [sys.executable, str(self._tool), verb, "--dir", str(self._folder), *arguments]
        subprocess.run(command, check=True, stdout=sys.stderr)

    @contextmanager
    def served(self) -> Iterator[None]:
        if not (self._folder / "state.json").exists():
            corpus = self._folder.parent / "corpus"  # the tool leaves a file in it, so it gets one of its own
            if not corpus.exists():
                shutil.copytree(self._tool.parent.parent / "feeds", corpus)
                corpus.chmod(0o755)
            self._do("make", "--feeds", str(self._feeds), "--port", str(self._port), "--corpus", str(corpus))
        self._do("serve")
        try:
            yield
        finally:
            self._do("stop")

    def advance(self) -> None:
        self._do("advance", "--fraction", "0.2")


def contest(farm: Farm, contenders: list[Contender], rounds: int, peer_rounds: int) -> Results:
    """Every contender through every phase, in turn within each round, so that all meet the same machine."""
    results: Results = {}
    for phase in PHASES:
        for number in range(rounds):
            if phase == "some":
                farm.advance()
            for one in contenders:
                if number >= (peer_rounds if one.is_slow else rounds):
                    continue
                if phase == "first":
                    one.begin()
                run = one.poll()
                results.setdefault((one.name, phase), []).append(run)
                print(f"{phase:6}{one.name:14}{run.cpu:9.2f} s CPU {run.wall:8.1f} s  {run.said}", file=sys.stderr)
    return results


# ---------------------------------------------------------------- the report


def report(feeds: int, contenders: list[Contender], results: Results) -> str:
    """The tables for docs/benchmarks.md."""
    names = [one.name for one in contenders]
    said = (
        f"{feeds:,} feeds. CPU seconds (user + system, children included), median of the rounds (least–most): the pass "
        "alone, and in brackets the whole process with its start."
    )
    lines = [_machine(), "", said, ""]
    lines += [_row(["CPU seconds", *names]), _row(["---"] * (len(names) + 1))]
    for phase, title in PHASES.items():
        lines.append(_row([title, *(_cpu(results.get((name, phase), [])) for name in names)]))
    lines += ["", _row(["wall seconds, peak MB", *names]), _row(["---"] * (len(names) + 1))]
    for phase, title in PHASES.items():
        lines.append(_row([title, *(_size(results.get((name, phase), [])) for name in names)]))
    return "\n".join([*lines, "", *_ratios(feeds, names, results)])


def _cpu(runs: list[Run]) -> str:
    if not runs:
        return ""
    passes = sorted(run.pass_cpu for run in runs)
    spread = f" ({passes[0]:.2f}–{passes[-1]:.2f})" if len(passes) > 1 else ""
    return f"{median(passes):.2f}{spread} [{median(run.cpu for run in runs):.2f}]"


def _size(runs: list[Run]) -> str:
    return f"{median(run.pass_wall for run in runs):.1f} s, {max(run.pss for run in runs):.0f}" if runs else ""


def _ratios(feeds: int, names: list[str], results: Results) -> Iterator[str]:
    heads = ["CPU s a 1,000 feeds", "aim", "× bare loop", "share of reader's", "aim", "loop late (held), ms"]
    yield _row(["ours, polling", *heads])
    yield _row(["---"] * 7)
    for phase, title in PHASES.items():
        runs = results[OurPolling.name, phase]
        cpu = median(run.pass_cpu for run in runs)
        shares = {}
        for other in (Raw.name, Reader.name):
            if theirs := results.get((other, phase)):
                shares[other] = cpu / median(run.pass_cpu for run in theirs)
        aim, share_aim = AIMS[phase]
        late, held = (max(run.said[name] for run in runs) for name in ("late_ms", "held_ms"))
        yield _row(
            [
                title,
                f"{cpu / feeds * 1000:.2f}",
                f"≤ {aim}",
                f"{shares[Raw.name]:.1f}",
                f"{shares[Reader.name]:.3f}" if Reader.name in shares else "not run",
                f"≤ {share_aim}",
                f"{late:.0f} ({held:.0f})",
            ]
        )
    yield ""
    for name in names:
        if name.startswith("ours"):
            peak = max(run.pss for phase in PHASES for run in results[name, phase])
            aim_mb = MB_AIMS.get(feeds)
            yield f"Peak memory of {name}, all processes: {peak:.0f} MB" + (f" (aim ≤ {aim_mb})." if aim_mb else ".")


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _machine() -> str:
    processor = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line for line in processor if line.startswith("model name")), ": unknown processor")
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {model.partition(':')[2].strip()}, "
        f"CPython {platform.python_version()}, load average {load:.1f} at the end."
    )


if __name__ == "__main__":
    main()
