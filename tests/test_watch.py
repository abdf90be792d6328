"""Troubles: what is worth telling, told once, over when it is believed to be; as a feed and on the page of status."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import feedparser
import pytest
from builders import NOW, Clock, a_feed_state, ago, an_entry
from postgres import postgres_server, postgres_url, sqlite_template, store, store_url  # noqa: F401
from service import Service
from store_writer import ASource
from test_store import feeds_of, group, poll

from aggregator import config as configuration
from aggregator import health
from aggregator.daemon import log
from aggregator.dashboard import Dashboard
from aggregator.health import changes, of_budget, of_disk, of_feed, of_letters
from aggregator.ingest import rhythm
from aggregator.publish import charts
from aggregator.store import Store
from aggregator.types import Episode, FailureReason, FeedState, Health
from aggregator.watch import Watch

HOUR = timedelta(hours=1)


def failing(
    reason: FailureReason, failures: int, hours: float, state: Health = Health.FAILING, **more: Any
) -> FeedState:
    more |= {"failure_reason": reason, "failure_detail": "no luck", "last_success_at": ago(hours=hours)}
    if not hours:
        more["last_success_at"] = None
    return a_feed_state(health=state, failures=failures, **more)


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        (a_feed_state(), []),
        (a_feed_state(health=Health.NEW, last_success_at=None), []),
        (failing(FailureReason.TIMEOUT, 1, 30), []),  # a slow feed that failed once
        (failing(FailureReason.TIMEOUT, 5, 2), []),  # a fast one, for an afternoon
        (failing(FailureReason.TIMEOUT, 3, 7), ["broken"]),
        (failing(FailureReason.DNS, 3, 0), ["broken"]),  # never anything else
        (failing(FailureReason.BLOCKED, 1, 9, Health.BLOCKED), []),
        (failing(FailureReason.BLOCKED, 2, 3, Health.BLOCKED), ["blocked"]),
        (failing(FailureReason.GONE, 1, 1, Health.GONE), ["gone"]),
        (failing(FailureReason.GONE, 9, 99, Health.DISABLED), []),
        (a_feed_state(current_url="https://new.example/feed", memory={"moved": {"at": 1}}), ["moved"]),
        (failing(FailureReason.DNS, 4, 50, memory={"discovery": {"at": 5, "found": ["https://a.example/f"]}}),
         ["broken", "found"]),
    ],
)  # fmt: skip
def test_what_is_worth_telling_of_a_source(state, kinds):
    found = of_feed(state, "The Herald", NOW)
    assert [each.kind for each in found] == kinds
    assert all(each.reason and each.does and each.fix and each.command for each in found)


def hourly(days: int, silent_hours: float, every: float = 1.0) -> FeedState:
    last = ago(hours=silent_hours)
    dates = [last - timedelta(hours=every * n) for n in range(int(days * 24 / every))]
    known = rhythm.begun(dates, last + timedelta(minutes=1))
    return a_feed_state(memory={"rhythm": known.to_json()})


@pytest.mark.parametrize(
    ("state", "is_silent"),
    [
        (hourly(14, 3), False),
        (hourly(14, 30), False),  # a long night
        (hourly(14, 40), True),
        (hourly(28, 5 * 24, every=24), False),  # one a day, five days late
        (hourly(28, 14 * 24, every=24), True),
        (hourly(1, 24 * 30, every=12), False),  # two entries are no rhythm
    ],
)
def test_silent_is_what_its_own_rhythm_would_not_do(state, is_silent):
    assert [each.kind for each in of_feed(state, "x", NOW)] == (["silent"] if is_silent else [])


def lived(states: list[list[health.Trouble]], step: timedelta = timedelta(minutes=30)) -> list[Episode]:
    """The episodes after looks at these troubles, one after the other."""
    kept: dict[int, Episode] = {}
    at = NOW
    for found in states:
        known = [each for each in kept.values() if each.ended_at is None]
        seen = changes(known, found, at)
        for changed in seen.changed:
            kept[changed.episode_id] = changed
        for begun in seen.begun:
            kept[len(kept) + 1] = replace(begun, episode_id=len(kept) + 1)
        at += step
    return list(kept.values())


def test_a_trouble_is_told_once_and_over_when_it_has_been_well_for_an_hour():
    down = of_feed(failing(FailureReason.TIMEOUT, 3, 7), "x", NOW)
    (flapping,) = lived([down, [], down, [], down, [down[0]], []])
    assert (flapping.kind, flapping.ended_at) == ("broken", None)
    (over,) = lived([down, [], [], []])
    assert (over.ended_at, over.ending) == (NOW + 3 * timedelta(minutes=30), "It answers again.")
    blocked = of_feed(failing(FailureReason.BLOCKED, 2, 9, Health.BLOCKED), "x", NOW)
    assert [each.kind for each in lived([down, blocked, down])] == ["broken"]
    gone = of_feed(failing(FailureReason.GONE, 3, 9, Health.GONE), "x", NOW)
    assert [(each.kind, each.ended_at is None) for each in lived([down, gone])] == [("broken", False), ("gone", True)]
    silent = of_feed(hourly(14, 40), "x", NOW)
    assert lived([silent, []])[0].ending == "It publishes again."


def test_what_befalls_us():
    assert [each.kind for each in of_disk(90 << 30, 100 << 30, is_open=False)] == []
    assert [each.kind for each in of_disk(4 << 30, 100 << 30, is_open=False)] == ["disk"]
    assert [each.kind for each in of_disk(6 << 30, 100 << 30, is_open=True)] == ["disk"]  # ends a little later
    assert of_disk(6 << 30, 100 << 30, is_open=False) == []
    assert of_budget(10, None) == of_budget(10, 10) == []
    assert [each.kind for each in of_budget(11 << 20, 10 << 20)] == ["budget"]
    letters = [("2026-03-04", "a@b.example", "refused", 1), ("2026-03-04", "c@d.example", "unknown", 1)]
    assert [each.group for each in of_letters(letters)] == ["mail 2026-03-04"]


class Desk:
    """Two sources, a watch over them and what the operator sees."""

    def __init__(self, kept: Store, folder: Path) -> None:
        self.store, self.clock = kept, Clock()
        self.config = configuration.load(Service(folder, []).config, {})
        sources = (
            ASource("https://herald.example/feed?key=s3cret", title="The <Herald>"),
            ASource("https://b.example/f"),
        )
        self.herald, self.other = feeds_of(kept, *sources)
        self.board = Dashboard(kept, lambda: self.config, self.clock, "http://127.0.0.1:8081")

    def look(self) -> int:
        async def database(call: Any, /, *arguments: object) -> Any:
            return call(*arguments)

        return asyncio.run(Watch(self.store, database, log(), self.clock).look())

    def fail(self, failures: int, at: datetime) -> None:
        reason, detail = FailureReason.TIMEOUT, "no answer within 30 s"
        fields = {"failures": failures, "failure_reason": reason, "failure_detail": detail, "last_success_at": NOW}
        poll(self.store, self.herald, now=at, health=Health.FAILING, last_poll_at=at, **fields)


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Iterator[Desk]:  # noqa: F811
    return Desk(store, tmp_path)


def test_the_operator_subscribes_to_their_own_service(desk: Desk) -> None:
    poll(desk.store, desk.herald, an_entry())
    assert desk.look() == 0
    desk.clock.at += 8 * HOUR
    desk.fail(4, desk.clock.at)
    assert [desk.look(), desk.look()] == [1, 0]  # as after a restart, each time
    (item,) = feedparser.parse(desk.board.feed("atom", "").body).entries
    assert item.title in ("The <Herald> is broken", "The &lt;Herald&gt; is broken")
    assert "timeout: no answer within 30 s, 4 times in a row" in item.content[0].value
    assert "Since 2026-03-04 12:00 UTC" in item.content[0].value
    assert "s3cret" not in desk.board.feed("atom", "").body.decode()
    assert item.link == f"http://127.0.0.1:8081/status?q={desk.herald.feed_id}#source-{desk.herald.feed_id}"
    poll(desk.store, desk.herald, an_entry(), now=desk.clock.at)
    assert desk.look() == 0
    desk.clock.at += 2 * HOUR
    assert desk.look() == 1
    for ending, count in (("atom", b"<entry"), ("rss", b"<item>"), ("json", b'"id":')):
        document = desk.board.feed(ending, "https://desk.example")
        assert document.body.count(count) == 2
        assert document.body == desk.board.feed(ending, "https://desk.example").body
    newest, first = feedparser.parse(desk.board.feed("atom", "").body).entries
    assert (first.id, "has recovered" in newest.title) == (item.id, True)
    page = desk.board.board({})
    assert [row["state"] for row in page["sources"]] == ["recovered", "new"]


def test_the_page_of_status_finds_sorts_and_turns(desk: Desk) -> None:
    others = [ASource(f"https://h{n:03}.example/f", title=f"Number {n:03}") for n in range(120)]
    feeds = feeds_of(desk.store, *others)
    ids = poll(desk.store, feeds[0], an_entry("First", published=ago(hours=1)), now=ago(minutes=30))
    ids += poll(
        desk.store, feeds[0], an_entry("First", published=ago(hours=1)), an_entry("Then", published=ago(minutes=20))
    )
    group(desk.store, *ids, section="tech")
    desk.store.mark_shown([story.story_id for story in desk.store.stories()], NOW + timedelta(seconds=40))
    seen = desk.board.board({})
    assert (seen["total"], len(seen["sources"]), [words for _, words in seen["pages"]]) == (120, 100, ["More"])
    seen = desk.board.board({"page": "2", "sort": "title"})
    assert [row["title"] for row in seen["sources"]][:2] == ["Number 100", "Number 101"]
    assert [row["title"] for row in desk.board.board({"q": "numBER 00", "show": "ok"})["sources"]] == ["Number 000"]
    assert desk.board.board({"page": "99999", "sort": "nonsense", "q": "\x00"})["found"] == 0
    assert desk.board.board({"q": str(feeds[7].feed_id)})["sources"][0]["title"] == "Number 007"
    (fresh,) = [row["day"] for row in desk.board.board({"q": "Number 000"})["sources"]]
    assert (fresh["seen"], fresh["count"]) == ("20 min, p90 20 min", 1)
    tech = seen["sections"][0]
    assert (tech["name"], tech["week"]["count"]) == ("tech", 1)
    hours = [(each.polls, each.failed, each.new_entries) for each in seen["hours"]]
    assert (len(hours), hours[-1], hours[-2]) == (48, (1, 0, 1), (1, 0, 1))


def test_hours_are_those_of_all_batches_and_old_ones_go(desk: Desk) -> None:
    desk.fail(1, NOW)
    poll(desk.store, desk.other, an_entry("A"), an_entry("B"))
    assert [(h.polls, h.failed, h.new_entries) for h in desk.store.hours(NOW, NOW)] == [(2, 1, 2)]
    desk.store.prune(desk.config.retention, NOW + timedelta(days=40))
    assert [h.polls for h in desk.store.hours(NOW, NOW)] == [0]


def test_charts_say_in_words_what_they_show():
    drawn = charts.columns("x", "Polls & more", "12 polls", [0, 3, 12], ["a", "<b>", "c"])
    assert drawn.count("<rect") == 2
    assert '<title id="x-t">Polls &amp; more</title><desc id="x-d">12 polls</desc>' in drawn
    assert "&lt;b&gt;" in drawn
    assert ">20<" in drawn  # the scale ends where its half is a number one likes to read
    assert charts.columns("x", "", "", [], []).count("<rect") == 0
