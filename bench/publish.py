"""How long a publishing pass takes in a large store: `python -m bench.publish [STORIES] [--archive] [--database URL]`.

Stories are filled in directly, seven minutes apart, every third told by two sources, with summaries of fifty words.
Then twenty of the newest change before each pass, as after a poll. `--archive` prints a month in which all of them
first stood in a feed, and passes are measured beside that. Prints a Markdown table of milliseconds.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

import sqlalchemy as sa

from aggregator import config as configuration
from aggregator.archivist import Archivist
from aggregator.daemon import configure_logging, log
from aggregator.metrics import Metrics
from aggregator.publish.shelf import Shelf
from aggregator.publisher import Publisher
from aggregator.schema import entries, feeds, stories, texts
from aggregator.store import Store
from aggregator.types import SECTIONS
from aggregator.urls import story_ref

BATCH = 10_000
SOURCES = 200
CHANGED = 20  # stories that change before a pass
PASSES = 9
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
MONTH = datetime(2026, 2, 11, tzinfo=UTC)  # when all first stood in a feed
SPACE = UUID(int=6)
SAID = "The board of company {n} met on Tuesday and said what it would do next about plant {m} and its suppliers. "


def fill(store: Store, count: int) -> None:
    """`count` filed stories; every third has a second entry."""
    with store._database.write() as connection:
        connection.execute(sa.insert(feeds), [_feed(n + 1) for n in range(SOURCES)])
    for start in range(0, count, BATCH):
        numbers = range(start, min(count, start + BATCH))
        told = [(number, second) for number in numbers for second in range(1 + (number % 3 == 0))]
        with store._database.write() as connection:
            connection.execute(sa.insert(stories), [_story(n, count) for n in numbers])
            connection.execute(sa.insert(entries), [_entry(n, second, count) for n, second in told])
            said = [{"entry_id": _entry_id(n, second), "summary": _summary(n)} for n, second in told]
            connection.execute(sa.insert(texts), said)
        print(f"\r{numbers[-1] + 1} stories", end="", file=sys.stderr)
    print(file=sys.stderr)
    if store.is_sqlite:
        store._database.sqlite_script("PRAGMA optimize")
    else:
        with store._database.own_connection() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def _micros(at: datetime) -> int:
    return round(at.timestamp() * 1e6)


def _at(number: int, count: int) -> int:
    return _micros(NOW - timedelta(minutes=7 * (count - number)))


def _entry_id(number: int, second: int) -> int:
    return 2 * number + second + 1


def _story_id(number: int) -> UUID:
    return uuid5(SPACE, str(number))


def _summary(number: int) -> str:
    return f"<p>{SAID.format(n=number, m=number % 977) * 3}</p>"


def _feed(number: int) -> dict[str, object]:
    url = f"https://outlet{number}.example/feed"
    values: dict[str, object] = {"feed_id": number, "url": url, "is_active": True, "is_enabled": True}
    values |= {
        "section_is_final": False,
        "weight": 1.0,
        "current_url": url,
        "health": "ok",
        "title": f"Outlet {number}",
    }
    return values | {"failures": 0, "next_poll_at": 0, "lease_until": 0, "site_url": f"https://outlet{number}.example/"}


def _story(number: int, count: int) -> dict[str, object]:
    story_id, at = _story_id(number), _at(number, count)
    return {
        "story_id": story_id.bytes,
        "ref": story_ref(story_id),
        "published": at,
        "section": SECTIONS[number % 40 % 4] if number % 40 else None,
        "sources": 1 + (number % 3 == 0),
        "updated_at": at,
        "created_at": at,
        "shown_at": _micros(MONTH) + number,
        "top_at": at if number % 150 == 0 else None,
        "lead_entry_id": _entry_id(number, 0),
        "confidence": 0.9,
        "is_filed_by_hand": False,
        "is_grouped_by_hand": False,
        "probabilities": "{}",
    }


def _entry(number: int, second: int, count: int) -> dict[str, object]:
    at, source = _at(number, count), 1 + (number * 7 + second * 31) % SOURCES
    return {
        "entry_id": _entry_id(number, second),
        "feed_id": source,
        "first_seen": at,
        "published": at,
        "dated": at,
        "story_id": _story_id(number).bytes,
        "is_stale": False,
        "fingerprint": b"",
        "link": f"https://outlet{source}.example/{number}",
        "title": f"Company {number * 7919 % 5000} opens plant {number}",
        "title_key": f"company {number} opens plant",
    }


def change(store: Store, count: int, chance: random.Random, at: datetime) -> None:
    """Twenty of the newest stories say something else, and bear this date."""
    some = chance.sample(range(max(0, count - 400), count), min(CHANGED, count))
    with store._database.write() as connection:
        for number in some:
            title = f"Company {number} {chance.randrange(10**6)}"
            entry = entries.c.entry_id == _entry_id(number, 0)
            connection.execute(sa.update(entries).where(entry).values(title=title))
        touched = stories.c.story_id.in_([_story_id(number).bytes for number in some])
        connection.execute(sa.update(stories).where(touched).values(updated_at=_micros(at)))


class Measured:
    """Milliseconds of wall and processor that something took, each time."""

    def __init__(self, name: str) -> None:
        self.name, self.walls, self.busy = name, list[float](), list[float]()

    @contextmanager
    def once(self) -> Iterator[None]:
        began, worked = time.perf_counter(), time.thread_time()
        yield
        self.walls.append((time.perf_counter() - began) * 1000)
        self.busy.append((time.thread_time() - worked) * 1000)

    def __str__(self) -> str:
        middle = len(self.walls) // 2
        walls, busy = sorted(self.walls), sorted(self.busy)
        return f"| {self.name} | {len(walls)} | {walls[middle]:.0f} | {walls[-1]:.0f} | {busy[middle]:.0f} |"


def passes(publisher: Publisher, name: str, prepare: Callable[[], None], is_over: Callable[[], bool]) -> Measured:
    measured = Measured(name)
    while not is_over():
        prepare()
        with measured.once():
            publisher.publish()
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stories", nargs="?", type=int, default=200_000)
    parser.add_argument("--archive", action="store_true", help="also print a month of all of them")
    parser.add_argument("--database", help="an empty database; default: SQLite in a temporary folder")
    options = parser.parse_args()
    configure_logging(level="warning")
    with tempfile.TemporaryDirectory() as folder:
        url = options.database or f"sqlite:///{Path(folder) / 'publish.db'}"
        with Store(url) as store:
            fill(store, options.stories)
            backend = store._database.url.get_backend_name()
            print(f"| {options.stories} stories, {backend} | times | median ms | worst | its thread's processor ms |")
            print("|---|---|---|---|---|")
            measure(store, options.stories, options.archive)


def measure(store: Store, count: int, archive: bool) -> None:
    clock, chance = [NOW], random.Random(1)

    def later() -> datetime:
        clock[0] += timedelta(seconds=2)
        return clock[0]

    publisher = Publisher(store, Shelf(), Metrics(), log(), later)
    publisher.configure(configuration.load(None, {}))
    first = Measured("the first pass")
    with first.once():
        publisher.publish()
    print(first)
    some = iter(range(PASSES + 1))
    change_some = lambda: change(store, count, chance, later())  # noqa: E731 (said once, used twice)
    print(passes(publisher, f"{CHANGED} stories changed", change_some, lambda: next(some) == PASSES))
    some = iter(range(PASSES + 1))
    print(passes(publisher, "nothing changed", lambda: None, lambda: next(some) == PASSES))
    if archive:
        print_month(store, publisher, change_some)
    publisher.close()


def print_month(store: Store, publisher: Publisher, change_some: Callable[[], None]) -> None:
    """A month of the first merged feed, and the passes beside it."""
    archivist = Archivist(store, lambda: publisher.press, log(), lambda: NOW)
    measured = Measured("the month printed")
    documents: list[bytes] = []

    def work() -> None:
        with measured.once():
            documents.extend(each.document for each in archivist.next_month())

    thread = threading.Thread(target=work)
    thread.start()
    beside = passes(publisher, "passes beside it", change_some, lambda: not thread.is_alive())
    thread.join()
    print(measured)
    print(beside)
    largest = max(map(len, documents))
    print(f"\n{len(documents)} documents, {sum(map(len, documents)):,} bytes of gzip, the largest {largest:,}")


if __name__ == "__main__":
    main()
