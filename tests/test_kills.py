"""kill -9 at every await, statement and commit of polls, groupings and publishings: nothing is lost, told twice or
comes back, and every id stays.

An origin tells one event more in every generation, through three feeds, one of which edits what it said. Daemons die at
a point that they are told (`mortal`), the next one goes on. Directly after a death the database is looked at, and
whenever a daemon has come round, all that it stored and published. `make soak` kills each database 500 times.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import count
from pathlib import Path

import pytest
from mortal import ANYWHERE, NOWHERE, Mortal
from origin import Answer, Asked, Origin, served
from postgres import Server, a_server
from service import Service, get, wait_for

from aggregator.pipeline import utc_now
from aggregator.store import Store

DEATHS = int(os.environ.get("BMN_DEATHS", "520"))
PART, PARTS = map(int, os.environ.get("BMN_DEATHS_PART", "1/1").split("/"))  # to share them between machines
SHOWN = 8  # items in a merged feed: stories leave it at the lower end, and must not come back
GENERATIONS = 30  # of one database, then a fresh one: later ones cost more to restart and show nothing new
FEEDS = ("/kite", "/heron", "/tern")
DEEDS = ("opens a harbour", "sues its founder", "recalls every kettle", "moves its seat", "hires 900 welders")


def event(number: int) -> str:
    """A headline that shares little with the others."""
    name = "".join(("ka", "mo", "ri", "su", "te", "vo", "li", "ne", "pa", "du")[int(d)] for d in f"{number * 7919:05}")
    town = "".join(
        ("ol", "ar", "em", "ish", "un", "ab", "er", "ost", "iv", "yl")[int(d)] for d in f"{number * 104729:06}"
    )
    return f"{name.title()} {DEEDS[number % len(DEEDS)]} in {town.title()}"


@dataclass
class Newsroom:
    """What three feeds say in which generation; the answers of an origin are made of it."""

    began: datetime
    generation: int = 0

    def items(self, feed: str, generation: int) -> list[tuple[str, int, str]]:
        """(guid, event, title), newest first: /tern has every second event and edits its title a generation later."""
        numbers = range(generation, 0, -1)
        if feed != "/tern":
            return [(f"{feed}/{number}", number, event(number)) for number in numbers]
        late = {number: ", officials say" if number < generation else "" for number in numbers}
        return [(f"/tern/{number}", number, event(number) + late[number]) for number in numbers if number % 2]

    def answer(self, asked: Asked) -> Answer:
        etag = f'"{self.generation}"'
        if asked.header("if-none-match") == etag:
            return Answer(304, (("ETag", etag),))
        items = "".join(
            f"<item><guid isPermaLink='false'>{guid}</guid><link>https://{guid[1:].partition('/')[0]}.example/{number}</link>"
            f"<title>{title}</title><description>{title}, said the company on {guid}.</description>"
            f"<pubDate>{format_datetime(self.began + timedelta(minutes=number))}</pubDate></item>"
            for guid, number, title in self.items(asked.target, self.generation)
        )
        head = f"<rss version='2.0'><channel><title>{asked.target}</title><link>https://x.example/</link>"
        body = f"{head}<description>x</description>{items}</channel></rss>"
        return Answer(headers=(("ETag", etag), ("Content-Type", "application/rss+xml")), body=body.encode())


@dataclass
class Life:
    """One database, the daemons that work on it one after the other, and what is known of it."""

    folder: Path
    origin: Origin
    mortal: Mortal
    database: str
    newsroom: Newsroom = field(default_factory=lambda: Newsroom(utc_now().replace(microsecond=0) - timedelta(hours=2)))
    ids: dict[int, tuple[str, str]] = field(default_factory=dict)  # by event: story id and date, once seen
    newest: int = 0  # event in the merged feed
    store: Store | None = None

    def __post_init__(self) -> None:
        for feed in FEEDS:
            self.origin.script(feed, self.newsroom.answer)
        self.service = Service(
            self.folder,
            [self.origin.url(feed) for feed in FEEDS],
            self.database,
            polling={"every": "1s", "fastest": "1s", "slowest": "1s", "lease": "3s"},
            feeds=[{"slug": "companies", "sections": ["companies"], "items": SHOWN}],
        )

    def close(self) -> None:
        if self.store is not None:
            self.store.close()

    def start(self, place: str = NOWHERE, passes: int = 1) -> None:
        self.mortal.start(self.service.config, place, passes)

    def advance(self) -> None:
        """The origin tells the next event."""
        self.newsroom.generation += 1

    # ------------------------------------------------------------ what must hold

    def look(self) -> bool:
        """Whether the merged feed has come so far; whatever it says now must fit what it said before."""
        try:
            status, _, body = get(f"{self.service.url}/companies.json")
        except OSError:
            return False
        assert status == 200
        items = json.loads(body)["items"]
        told = [int(str(item["url"]).rpartition("/")[2]) for item in items]
        newest = max(told, default=0)
        assert told == list(range(newest, max(0, newest - SHOWN), -1)), "lost, told twice, or come back"
        assert self.newest <= newest <= self.newsroom.generation
        self.newest = newest
        for number, item in zip(told, items, strict=True):
            seen = (str(item["id"]), str(item["date_published"]))
            assert self.ids.setdefault(number, seen) == seen, "an id or a date has changed"
        return newest == self.newsroom.generation

    def is_whole(self) -> bool:
        """Whether every entry is stored once, with its last title, and every event is one story."""
        if not self.look():
            return False
        if self.store is None:
            self.store = Store(self.url)
            self.store.open()
        generation = self.newsroom.generation
        stories = self.store.stories(limit=None)
        told = [(entry.guid, entry.title) for story in stories for entry in (*story.entries, *story.duplicates)]
        items = [item for feed in FEEDS for item in self.newsroom.items(feed, generation)]
        assert max(Counter(guid for guid, _ in told).values()) == 1, "an entry twice"
        if sorted(told) != sorted((guid, title) for guid, _, title in items):
            return False
        assert {str(story.story_id) for story in stories} == {
            seen[0].removeprefix("urn:uuid:") for seen in self.ids.values()
        }
        assert len(stories) == generation
        counts = self.store.counts(utc_now())
        assert (counts.ungrouped, counts.entries) == (0, len(items))
        return True

    def is_not_torn(self) -> None:
        """Directly after a death: an ETag is there with its entries and without those that came later."""
        if self.store is None:
            return
        for feed in self.store.feeds():
            generation = int((feed.validators.etag or '"0"').strip('"'))
            kept = {entry.guid for entry in self.store.known([feed.feed_id])[feed.feed_id]}
            path = "/" + feed.url.rpartition("/")[2]
            assert kept == {guid for guid, _, _ in self.newsroom.items(path, generation)}, feed.url

    @property
    def url(self) -> str:
        return (
            self.database.replace("///", f"///{self.folder}/") if self.database.startswith("sqlite") else self.database
        )

    # ------------------------------------------------------------ living and dying

    def comes_round(self) -> None:
        """Wait until the living daemon has stored and published everything."""

        def look() -> bool:
            assert not self.mortal.is_dead(), "it died by itself"
            return self.is_whole()

        wait_for(look, 60, f"generation {self.newsroom.generation} is whole; {self.mortal.log}")

    def dies(self, patience: float = 20) -> bool:
        """Wait for its death; whether it came by its own hand. Readers keep looking meanwhile."""
        deadline = time.monotonic() + patience
        while not self.mortal.is_dead(0.05):
            self.look()
            if time.monotonic() > deadline:
                self.mortal.kill()
                self.is_not_torn()
                return False
        self.is_not_torn()
        return True


@dataclass(frozen=True)
class Death:
    """`phase`: `fresh` at the first start, `again` at a later one with something new to poll, `run` while it works."""

    phase: str
    place: str
    passes: int = 1


def suffer(life: Life, death: Death) -> bool:
    """Have a daemon die so; whether it came to that. It leaves nobody alive."""
    if death.phase == "run":
        if not life.newsroom.generation:
            life.advance()
        life.start()
        life.comes_round()
        life.mortal.arm(death.place, death.passes)
        life.advance()
    else:
        life.advance()
        life.start(death.place, death.passes)
    return life.dies()


def lives(folder: Path, origin: Origin, mortal: Mortal, server: Server | None) -> Iterator[Life]:
    """One fresh database after the other; an empty one each time."""
    for number in count():
        place = folder / str(number)
        place.mkdir()
        if server is None:
            database = "sqlite:///news.db"
        else:
            server.execute(f"CREATE DATABASE life{number}")
            database = server.url(f"life{number}")
        life = Life(place, origin, mortal, database)
        try:
            yield life
        finally:
            life.close()


def census(life: Life) -> dict[str, list[str]]:
    """The points that an undisturbed daemon passes in each phase."""
    found = {}
    life.advance()
    life.start()
    life.comes_round()
    found["fresh"] = life.mortal.passed()
    life.mortal.arm(NOWHERE, 1)
    life.advance()
    life.comes_round()
    found["run"] = life.mortal.passed()
    life.mortal.kill()
    life.advance()
    life.start()
    life.comes_round()
    found["again"] = life.mortal.passed()
    life.mortal.kill()
    return found


def plan(found: dict[str, list[str]], wanted: int, dice: random.Random) -> list[Death]:
    """Every point of working and of starting again once, at any of its passings; then anything, until it is enough."""
    deaths = [
        Death(phase, place, dice.randint(1, passes))
        for phase in ("run", "again")
        for place, passes in Counter(found[phase]).items()
    ]
    phases = ("run", "run", "again", "again", "fresh")
    while len(deaths) < wanted:
        phase = dice.choice(phases)
        deaths.append(Death(phase, ANYWHERE, dice.randint(1, len(found[phase]))))
    dice.shuffle(deaths)
    return deaths


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    """A server of the test's own; None for SQLite."""
    if request.param == "sqlite":
        yield None
        return
    with a_server() as started:
        yield started


def test_killed_here_and_there_nothing_is_lost_told_twice_or_comes_back(tmp_path, server):
    deaths = [Death("fresh", ANYWHERE, 400), Death("run", ANYWHERE, 25)]
    with (
        served(Origin()) as origin,
        closing(Mortal(tmp_path)) as mortal,
        closing(lives(tmp_path, origin, mortal, server)) as some,
    ):
        life = next(some)
        for death in deaths:
            assert suffer(life, death), death
        life.start()
        life.comes_round()


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_killed_at_every_await_statement_and_commit(tmp_path, server):
    dice = random.Random(int(os.environ.get("BMN_DEATHS_SEED", "1")))
    reached: Counter[str] = Counter()
    missed: list[Death] = []
    began = time.monotonic()
    with (
        served(Origin()) as origin,
        closing(Mortal(tmp_path)) as mortal,
        closing(lives(tmp_path, origin, mortal, server)) as some,
    ):
        life = next(some)
        found = census(life)
        print(
            {phase: f"{len(set(passed))} points, {len(passed)} passings" for phase, passed in found.items()}, flush=True
        )
        for done, death in enumerate(plan(found, DEATHS, dice)[PART - 1 :: PARTS]):
            if death.phase == "fresh" or life.newsroom.generation >= GENERATIONS:
                life.start()
                life.comes_round()
                mortal.kill()
                life.close()
                life = next(some)
            if suffer(life, death):
                reached[mortal.passed()[-1]] += 1
            else:
                missed.append(death)
            if done % 20 == 19:
                print(f"{done + 1} deaths, {time.monotonic() - began:.0f} s", flush=True)
        life.start()
        life.comes_round()
    kinds = Counter(place.split()[0] for place in reached)
    awaits = {place for phase in ("run", "again") for place in found[phase]}
    print(f"{reached.total()} kills at {len(reached)} points {dict(kinds)} of {len(awaits)}, {len(missed)} not reached")
    print("never died at:", *sorted(awaits - set(reached)), sep="\n  ")
    assert reached.total() >= DEATHS // PARTS * 0.95, missed
