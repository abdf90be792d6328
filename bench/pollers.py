"""Feeds per second of 1, 2 and 4 poller processes on one PostgreSQL, against origins that take 200 ms to answer.

    python bench/pollers.py [--feeds 2400] [--concurrency 16] [--delay 0.2] [--processes 1 2 4]

Every feed has a host of its own, reached through a proxy on loopback that answers for all of them after `delay`
seconds. With few requests under way at once it is the waiting that is measured, not the machine: what more processes
gain shows how well they share. The time runs from the first request to the last of one round over all feeds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "tests")]

from origin import Answer, Asked, Origin, served  # noqa: E402
from postgres import Server, a_server  # noqa: E402
from service import Service, an_rss, wait_for  # noqa: E402
from test_roles import Fleet  # noqa: E402


def measured(server: Server, processes: int, feeds: int, concurrency: int, delay: float) -> tuple[float, int]:
    """Seconds for one round over `feeds`, and how many requests beyond one each there were."""
    name = f"pollers{processes}"
    server.execute(f"CREATE DATABASE {name}")
    asked: list[float] = []

    def answer(_: Asked) -> Answer:
        asked.append(time.monotonic())
        return body

    body = Answer(delay=delay, headers=(("ETag", '"1"'),), body=an_rss(("k1", "Kestrel opens a harbour in Gdansk")))
    with tempfile.TemporaryDirectory() as folder, served(Origin()) as origin:
        urls = [f"http://h{number}.example/feed" for number in range(feeds)]
        for url in urls:
            origin.script(url, answer)
        service = Service(
            Path(folder),
            [{"url": url, "every": "12h"} for url in urls],
            server.url(name),
            polling={"every": "12h", "fastest": "1h", "slowest": "24h", "concurrency": concurrency, "per_host": 1},
            fetch={"proxy": f"http://127.0.0.1:{origin.port}", "timeout": "30s", "allow_networks": []},
            log={"level": "warning"},
        )
        fleet = Fleet(service)
        try:
            for number in range(processes):
                fleet.start(f"poller{number}", "poll")
            time.sleep(4 + 2 * processes)  # all of them wait for feeds before there are any
            fleet.start("editor", "edit")
            wait_for(lambda: len(asked) >= feeds, 600, "every feed asked")
        finally:
            fleet.stop()
    return asked[feeds - 1] - asked[0] + delay, len(asked) - feeds


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--feeds", type=int, default=2400)
    options.add_argument("--concurrency", type=int, default=16)
    options.add_argument("--delay", type=float, default=0.2)
    options.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    given = options.parse_args()
    one = 0.0
    with a_server() as server:
        for processes in given.processes:
            seconds, more = measured(server, processes, given.feeds, given.concurrency, given.delay)
            rate = given.feeds / seconds
            one = one or rate / processes
            most = processes * given.concurrency / given.delay
            print(
                f"{processes} processes: {rate:7.1f} feeds/s, {rate / one:4.2f} times one,"
                f" {rate / most:4.0%} of what waiting allows, {more} asked twice",
                flush=True,
            )


if __name__ == "__main__":
    main()
