"""The origins of a simulated day: every source has its own law of arrivals, its own document, its own validators.

    python -m bench.day.origin CLOCK PORT SOURCES SEED

A source is asked as GET /NUMBER; it knows the simulated time from the file CLOCK. Its document holds what came in the
last day, three entries at least and thirty at most, each of some 350 to 2,600 characters: words of the news, each as
common as it is there, and one in twenty-five that nobody knows. Three entries in ten tell of an event that others tell
of.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
from array import array
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from aggregator.stories.terms import Lexicon
from bench.day.clock import SharedTime
from bench.schedule import DAY, START, arrivals_of

BEGINS = START + 3 * DAY  # a Thursday: three days have come before
# Shares of kinds: a list of 20,000 is mostly small. With `bench.schedule`'s laws some five entries a source and day.
MIX = {"wire": 0.4, "paper": 2.5, "trade": 16, "blog": 67, "daily": 4, "silent": 10}
SHARED = 0.3  # of the entries tell of an event that others tell of
EVENT_EVERY = 240.0  # seconds between two such events
UNKNOWN = 25  # one word in so many is invented: names, mostly
_COMMON = 150  # words that stand in most texts
_FEWEST, _MOST = 3, 30
_LETTERS = ("bcdfghklmnprstvw", "aeiou")


class Law:
    """When each source has something new (seconds since 1970, in order), the same for the same seed."""

    def __init__(self, sources: int, seed: int) -> None:
        chance = random.Random(seed)
        kinds = chance.choices(list(MIX), weights=list(MIX.values()), k=sources)
        self.arrivals = [array("d", sorted(arrivals_of(chance, kind, 1))) for kind in kinds]

    def between(self, since: float, until: float) -> int:
        """How many entries come in that time, of all sources."""
        return sum(bisect_left(each, until) - bisect_left(each, since) for each in self.arrivals)


class Documents:
    """The sources' documents as functions of the time."""

    def __init__(self, law: Law, seed: int) -> None:
        self._law, self._seed = law, seed
        chance = random.Random(f"{seed}/words")
        lexicon = Lexicon.load()
        frequent = [(math.exp(-idf), word) for word, idf in zip(lexicon.words, lexicon.idf, strict=True)]
        common = [word for _, word in sorted(frequent, reverse=True)[:_COMMON]]
        words = chance.choices(lexicon.words, [frequency for frequency, _ in frequent], k=1_000_000)
        words[::2] = chance.choices(common, k=len(words[::2]))  # every second word says nothing
        for place in range(0, len(words), UNKNOWN):
            words[place] = "".join(chance.choice(_LETTERS[turn % 2]) for turn in range(chance.randint(5, 9)))
        self._pool = " ".join(words)

    def known(self, source: int, now: float) -> int:
        """How many entries the source has had by then: its validator."""
        return bisect_right(self._law.arrivals[source], now)

    def render(self, source: int, now: float) -> bytes:
        arrivals = self._law.arrivals[source]
        newest = self.known(source, now)
        oldest = bisect_left(arrivals, now - DAY)
        first = max(0, newest - _MOST, min(oldest, newest - _FEWEST))
        items = "".join(self._item(source, number, arrivals[number]) for number in range(newest - 1, first - 1, -1))
        name = f"Source {source}"
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"'
            ' xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>'
            f"<title>{name}</title><link>http://{host(source)}/</link><description>{name}</description>\n"
            f"{items}</channel></rss>"
        ).encode()

    def _item(self, source: int, number: int, at: float) -> str:
        own = random.Random(f"{self._seed}/{source}/{number}")
        event = f"event {int(at // EVENT_EVERY)}" if own.random() < SHARED else f"{source}/{number}"
        told = random.Random(f"{self._seed}/{event}")
        headline = self._words(told.randrange(len(self._pool) - 4000), 70 + own.randrange(20))
        length = int(min(2600, max(350, own.lognormvariate(7.0, 0.5))))
        text = self._words(told.randrange(len(self._pool) - 4000) + own.randrange(400), length)
        link = f"http://{host(source)}/{source}/post/{number}"
        dated = format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)
        return (
            f"<item><title>{headline.capitalize()}</title><link>{link}</link><guid isPermaLink='false'>{link}</guid>"
            f"<pubDate>{dated}</pubDate><description>{text[:300]}</description>"
            f"<content:encoded><![CDATA[<p>{text}</p>]]></content:encoded></item>\n"
        )

    def _words(self, start: int, length: int) -> str:
        return self._pool[start : start + length].partition(" ")[2].rpartition(" ")[0]


def host(source: int) -> str:
    """One source in five lives on one of the platforms, a hundred of 20,000 on each; the others have their own."""
    return f"platform{source // 5 % 40}.example" if source % 5 == 0 else f"site{source}.example"


class Answering(asyncio.Protocol):
    """HTTP/1.1 as far as the poller speaks it."""

    def __init__(self, documents: Documents, clock: SharedTime) -> None:
        self._documents, self._clock = documents, clock
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._head += data
        while b"\r\n\r\n" in self._head:
            head, _, self._head = self._head.partition(b"\r\n\r\n")
            self._transport.write(self._answer(head))  # type: ignore[attr-defined]

    def _answer(self, head: bytes) -> bytes:
        first, *lines = head.split(b"\r\n")
        source, now = int(first.split(b" ")[1].rpartition(b"/")[2]), self._clock()
        sent = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        tag = b'"%d"' % self._documents.known(source, now)
        date = format_datetime(datetime.fromtimestamp(now, UTC), usegmt=True).encode()
        common = b"Date: %b\r\nETag: %b\r\n" % (date, tag)
        if sent.get(b"if-none-match") == tag:
            return b"HTTP/1.1 304 Not Modified\r\n%b\r\n" % common
        body = self._documents.render(source, now)
        said = b"Content-Type: application/rss+xml\r\nContent-Length: %d\r\n" % len(body)
        return b"HTTP/1.1 200 OK\r\n%b%b\r\n%b" % (common, said, body)


async def serve(clock: SharedTime, port: int, sources: int, seed: int) -> None:
    documents = Documents(Law(sources, seed), seed)
    server = await asyncio.get_running_loop().create_server(lambda: Answering(documents, clock), "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(SharedTime(Path(sys.argv[1])), *map(int, sys.argv[2:])))
