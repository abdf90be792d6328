"""Feeds per second of 1, 2 and 4 poller processes on one PostgreSQL, against origins that take 200 ms to answer.

    python bench/pollers.py [--feeds 2400] [--concurrency 16] [--delay 0.2] [--processes 1 2 4]

Every feed has a host of its own, reached through a proxy on loopback that answers for all of them after `delay`
seconds. With few requests under way at once it is the waiting that is measured, not the machine: what more processes
gain shows how well they share. The time runs from the first request to the last of one round, in which every feed
answers 304.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "tests")]

import psycopg  # noqa: E402
from origin import Answer, Asked, Origin, conditional, served  # noqa: E402
from postgres import Server, a_server  # noqa: E402
from service import Service, an_rss, wait_for  # noqa: E402
from test_roles import Fleet  # noqa: E402


class Round:
    """Origins for every feed, and one fleet after the other that polls them from one database."""

    def __init__(
        self, folder: Path, server: Server, origin: Origin, feeds: int, concurrency: int, delay: float
    ) -> None:
        self.asked: list[float] = []
        self.feeds, self.dsn = feeds, server.dsn("pollers")
        server.execute("CREATE DATABASE pollers")
        urls = [f"http://h{number}.example/feed" for number in range(feeds)]
        document = conditional(an_rss(("k1", "Kestrel opens a harbour in Gdansk")))

        def answer(asked: Asked) -> Answer:
            self.asked.append(time.monotonic())
            return replace(document(asked), delay=delay)

        for url in urls:
            origin.script(url, answer)
        self.service = Service(
            folder,
            [{"url": url, "every": "12h"} for url in urls],
            server.url("pollers"),
            polling={"every": "12h", "fastest": "1h", "slowest": "24h", "concurrency": concurrency, "per_host": 1},
            fetch={"proxy": f"http://127.0.0.1:{origin.port}", "timeout": "30s", "allow_networks": []},
        )

    def first(self) -> None:
        """Every feed polled once, so that what is measured are conditional requests that answer 304."""
        fleet = Fleet(self.service)
        fleet.start("both", "all")
        try:
            fleet.ready()
            wait_for(lambda: self._done() == self.feeds, 900, "the first round")
        finally:
            fleet.stop()

    def measured(self, processes: int) -> tuple[float, int]:
        """Seconds for one round by so many pollers, and how many requests beyond one each there were."""
        fleet = Fleet(self.service)
        for number in range(processes):
            fleet.start(f"poller{number}", "poll")
        try:
            fleet.ready()
            self.asked.clear()
            before = self._execute("UPDATE feeds SET next_poll_at = 0, last_poll_at = NULL")
            wait_for(lambda: self._done() == self.feeds, 900, f"a round of {before} feeds")
            return max(self.asked) - min(self.asked), len(self.asked) - self.feeds
        finally:
            fleet.stop()

    def _done(self) -> int:
        return self._execute("SELECT count(*) FROM feeds WHERE last_poll_at IS NOT NULL AND lease_owner IS NULL")

    def _execute(self, statement: str) -> int:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            done = connection.execute(statement)  # type: ignore[call-overload]
            return int(done.fetchone()[0]) if done.description else done.rowcount


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--feeds", type=int, default=2400)
    options.add_argument("--concurrency", type=int, default=16)
    options.add_argument("--delay", type=float, default=0.2)
    options.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    given = options.parse_args()
    one = 0.0
    with tempfile.TemporaryDirectory() as folder, a_server() as server, served(Origin()) as origin:
        rounds = Round(Path(folder), server, origin, given.feeds, given.concurrency, given.delay)
        rounds.first()
        for processes in given.processes:
            seconds, more = rounds.measured(processes)
            rate = given.feeds / (seconds + given.delay)
            one = one or rate / processes
            most = processes * given.concurrency / given.delay
            print(
                f"{processes} processes: {rate:7.1f} feeds/s, {rate / one:4.2f} times one,"
                f" {rate / most:4.0%} of what waiting allows, {more} asked twice",
                flush=True,
            )


if __name__ == "__main__":
    main()
