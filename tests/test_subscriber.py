"""Subscriptions from a poll to a push and back, in one process: real sockets, a hub that does as told, our clock."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import datetime, timedelta
from typing import Any

import pytest
from builders import NOW
from hub import running_hub
from origin import Answer
from push_desk import ONE, THREE, TWO, Desk, at_a_desk
from service import an_rss

from aggregator.config import Config
from aggregator.errors import StoreError
from aggregator.ingest import websub
from aggregator.ingest.websub import Offer, PushState
from aggregator.store import push as store_push
from aggregator.subscriber import obstacle

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


# ---------------------------------------------------------------- what pushes bring


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_a_push_is_stored_and_the_next_poll_stays_conditional(tmp_path, algorithm):
    async def test(desk: Desk) -> None:
        await desk.subscribed(ONE)
        before = desk.feed()
        assert await desk.push(TWO, algorithm=algorithm) == 202
        await desk.until(lambda: TWO[1] in desk.titles())
        after = desk.feed()
        assert (after.validators, after.body_hash) == (before.validators, before.body_hash)
        assert (after.next_poll_at, after.last_poll_at) == (before.next_poll_at, before.last_poll_at)
        assert after.last_change_at == NOW
        # The feed's own document brings both: nothing is new, and nothing counts as missed.
        desk.clock.at += 6 * HOUR
        await desk.poll(TWO, ONE, etag='"2"')
        assert desk.origin.asked[-1].header("if-none-match") == '"1"'
        assert len(desk.titles()) == 2
        assert desk.subscription().misses == 0

    at_a_desk(tmp_path, test)


def test_entries_that_a_push_does_not_hold_still_stand_in_their_feed(tmp_path):
    async def test(desk: Desk) -> list[Any]:
        await desk.subscribed(ONE)
        await desk.push(TWO)
        await desk.until(lambda: TWO[1] in desk.titles())
        with sqlite3.connect(tmp_path / "news.db") as connection:
            return connection.execute("SELECT left_at FROM entries").fetchall()

    assert at_a_desk(tmp_path, test) == [(None,), (None,)]


def test_a_changed_entry_is_changed_by_a_push(tmp_path):
    async def test(desk: Desk) -> set[str]:
        await desk.subscribed(ONE)
        await desk.push((ONE[0], "Quillon opens two plants in Brno"))
        await desk.until(lambda: desk.metric("read"))
        return desk.titles()

    assert at_a_desk(tmp_path, test) == {"Quillon opens two plants in Brno"}


@pytest.mark.parametrize(
    ("how", "result"),
    [
        ({"secret": "guessed"}, "forged"),
        ({"algorithm": None}, "forged"),
        ({"algorithm": "md5"}, "forged"),
        ({"Link": "<https://else.example/feed>; rel=self"}, "other_topic"),
    ],
)
def test_what_is_not_believed_is_answered_kindly_and_left(tmp_path, how, result):
    async def test(desk: Desk) -> tuple[int, float, set[str]]:
        await desk.subscribed(ONE)
        status = await desk.push(TWO, **how)
        await desk.pipeline.push_due()
        await desk.pipeline.poller.wait()
        return status, desk.metric(result), desk.titles()

    assert at_a_desk(tmp_path, test) == (202, 1, {ONE[1]})


def test_a_replay_costs_nothing_more(tmp_path):
    async def test(desk: Desk) -> tuple[list[int], float, float]:
        await desk.subscribed(ONE)
        statuses = [await desk.push(TWO), await desk.push(THREE), await desk.push(TWO)]
        await desk.until(lambda: desk.titles() == {ONE[1], TWO[1], THREE[1]})
        return statuses, desk.metric("kept"), desk.metric("repeat")

    assert at_a_desk(tmp_path, test) == ([202] * 3, 2, 1)


def test_too_large_a_push_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(websub, "MAX_PUSH", 2000)

    async def test(desk: Desk) -> tuple[int, int]:
        await desk.subscribed(ONE)
        return await desk.push(*[(f"x{n}", "Long " * 30) for n in range(20)]), await desk.push(TWO)

    assert at_a_desk(tmp_path, test) == (413, 202)


def test_a_hub_that_pushes_faster_than_we_read_is_told_to_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(store_push, "WAITING_PER_FEED", 2)

    async def test(desk: Desk) -> list[int]:
        await desk.subscribed(ONE)
        return [await desk.push((f"n{number}", f"Number {number} of a flood of news")) for number in range(4)]

    assert at_a_desk(tmp_path, test) == [202, 202, 503, 503]


def test_a_push_that_cannot_be_read_makes_us_ask_the_feed(tmp_path):
    async def test(desk: Desk) -> Any:
        await desk.subscribed(ONE)
        desk.clock.at += timedelta(minutes=10)
        assert await asyncio.to_thread(desk.hub.push, desk.topic, b"there is news") == 202
        await desk.until(lambda: desk.metric("unreadable"))
        return desk.feed()

    feed = at_a_desk(tmp_path, test)
    assert (feed.next_poll_at, feed.next_poll_why) == (NOW + timedelta(minutes=10), "a push that cannot be read")
    assert feed.health == "ok"


# ---------------------------------------------------------------- callbacks


def test_callbacks_that_nobody_gave_out_are_not_there(tmp_path):
    async def test(desk: Desk) -> list[int]:
        await desk.subscribed(ONE)
        callback, secret = desk.hub.callbacks[desk.topic]
        statuses = []
        for wrong in (
            callback[:-1] + ("A" if callback[-1] != "A" else "B"),
            callback[:-1],
            callback.rsplit("/", 1)[0] + "/",
        ):
            desk.hub.callbacks["wrong"] = wrong, secret
            statuses.append(await asyncio.to_thread(desk.hub.push, "wrong", an_rss(TWO)))
            form = {"hub.mode": "subscribe", "hub.topic": desk.topic, "hub.callback": wrong}
            statuses.append(await asyncio.to_thread(desk.hub.ask_back, form))
        return statuses

    assert at_a_desk(tmp_path, test) == [404] * 6


def test_nobody_but_us_can_end_a_subscription_or_turn_it(tmp_path):
    async def test(desk: Desk) -> tuple[list[int], PushState | None]:
        await desk.subscribed(ONE)
        form = dict(desk.hub.asked[0])
        statuses = [
            await asyncio.to_thread(desk.hub.ask_back, form, "unsubscribe"),
            await asyncio.to_thread(desk.hub.ask_back, form | {"hub.topic": "https://else.example/feed"}),
            await asyncio.to_thread(desk.hub.ask_back, form | {"hub.topic": "https://else.example/feed"}, "denied"),
        ]
        return statuses, desk.state()

    assert at_a_desk(tmp_path, test) == ([404, 404, 404], PushState.ACTIVE)


# ---------------------------------------------------------------- hubs that do not want us


@pytest.mark.parametrize(
    ("setting", "state", "reason"),
    [
        ({"deny": "not here"}, "denied", "the hub denies it: not here"),
        ({"answer": 404}, "denied", "the hub refuses: 404"),
        ({"answer": 500}, "asked", "the hub answers 500"),
        ({"moved_to": "http://10.255.255.1/hub"}, "asked", "address: address not allowed"),
        ({"verifies": False}, "asked", "waits for the hub to verify"),
    ],
    ids=["denies", "refuses", "fails", "redirects inside", "never verifies"],
)
def test_a_hub_that_does_not_want_us_is_left_alone_and_the_feed_polled_as_ever(tmp_path, setting, state, reason):
    async def test(desk: Desk) -> tuple[int, Any]:
        for name, value in setting.items():
            setattr(desk.hub, name, value)
        await desk.poll(ONE)
        await desk.until(lambda: desk.state() == state and reason in (desk.subscription().reason or ""))
        for _ in range(3):
            desk.clock.at += timedelta(minutes=1)
            await desk.pipeline.push_due()
        return len(desk.hub.asked), desk.feed()

    asked, feed = at_a_desk(tmp_path, test)
    assert asked == 1
    assert feed.pushed_until is None
    assert feed.next_poll_at - NOW < 2 * HOUR


def test_a_hub_inside_our_network_is_not_asked(tmp_path):
    async def test(desk: Desk) -> str:
        await desk.poll(ONE, hub="http://10.1.2.3/hub")
        await desk.until(lambda: "address not allowed" in (desk.subscription().reason or ""))
        return desk.subscription().hub_url

    assert at_a_desk(tmp_path, test) == "http://10.1.2.3/hub"


def test_a_hub_is_asked_on_behalf_of_the_source_that_named_it(tmp_path, monkeypatch):
    """What the fetcher lets such a question reach is tested with it (test_ingest_connections)."""

    async def test(desk: Desk) -> list[Any]:
        fetcher, asked = desk.pipeline.poller._fetcher, []
        post = fetcher.post

        async def watched(url: str, form: Any, proxy: Any, configured_url: str) -> Any:
            asked.append((url == desk.hub.url, configured_url == desk.topic))
            return await post(url, form, proxy, configured_url)

        monkeypatch.setattr(fetcher, "post", watched)
        await desk.subscribed(ONE)
        return asked

    assert at_a_desk(tmp_path, test) == [(True, True)]


# ---------------------------------------------------------------- the life of a subscription


def test_a_pushed_feed_is_polled_every_six_hours_only(tmp_path):
    async def test(desk: Desk) -> Any:
        await desk.subscribed(ONE)
        await desk.poll(ONE)
        return desk.feed()

    feed = at_a_desk(tmp_path, test)
    assert 5.6 * HOUR < feed.next_poll_at - NOW <= 6 * HOUR
    assert feed.next_poll_why == "pushed by its hub, polled to be safe"


def test_a_lease_is_renewed_before_it_ends(tmp_path):
    async def test(desk: Desk) -> tuple[int, datetime | None]:
        desk.hub.lease = 4 * 3600
        await desk.subscribed(ONE)
        desk.clock.at += timedelta(hours=2, minutes=59)
        await desk.pipeline.push_due()
        assert len(desk.hub.asked) == 1
        desk.clock.at += timedelta(minutes=1)
        await desk.until(lambda: len(desk.hub.confirmed) == 2)
        await desk.until(lambda: desk.feed().pushed_until == desk.clock.at + 4 * HOUR)
        return len(desk.hub.callbacks), desk.feed().next_poll_at

    callbacks, due = at_a_desk(tmp_path, test)
    assert callbacks == 1
    assert due > NOW


def test_a_lease_that_ends_brings_polling_back_at_once(tmp_path):
    async def test(desk: Desk) -> Any:
        await desk.subscribed(ONE)
        await desk.poll(ONE)
        desk.hub.answer = 503
        desk.clock.at += 10 * DAY
        await desk.until(lambda: desk.state() is PushState.ASKED)
        return desk.feed()

    feed = at_a_desk(tmp_path, test)
    assert feed.pushed_until is None
    assert feed.next_poll_at <= NOW + 10 * DAY


def test_a_hub_that_forgets_to_push_is_no_longer_relied_upon(tmp_path):
    items = [(f"m{number}", f"Number {number} that no hub told us of") for number in range(9)]

    async def test(desk: Desk) -> list[tuple[int, datetime | None]]:
        await desk.subscribed(ONE)
        desk.clock.at += HOUR
        await desk.poll(ONE)  # what comes after this one came after the verification
        seen = []
        for number in range(1, 4):
            desk.clock.at += 6 * HOUR
            await desk.poll(*items[:number], ONE, etag=f'"{number}"')
            await desk.until(lambda wanted=number: desk.subscription().misses == wanted)
            seen.append((desk.subscription().misses, desk.feed().pushed_until))
        seen.append((desk.feed().next_poll_at - desk.clock.at, desk.feed().next_poll_why))
        return seen

    *misses, (wait, why) = at_a_desk(tmp_path, test)
    assert misses == [(1, NOW + 10 * DAY), (2, NOW + 10 * DAY), (3, None)]
    assert wait <= timedelta(minutes=30)
    assert why == "no longer pushed: 3 polls found what was not pushed"


def test_a_feed_that_names_another_hub_is_subscribed_there_and_not_here(tmp_path):
    async def test(desk: Desk) -> tuple[list[Any], int]:
        await desk.subscribed(ONE)
        first = desk.subscription()
        with running_hub() as other:
            desk.clock.at += HOUR
            await desk.poll(ONE, TWO, etag='"2"', hub=other.url)
            await desk.until(lambda: ("subscribe", desk.topic) in other.confirmed)
            await desk.until(lambda: ("unsubscribe", desk.topic) in desk.hub.confirmed)
        desk.clock.at += 40 * DAY
        left = desk.pipeline.store.subscription(first.token).state
        forgotten = desk.pipeline.store.forget_left(desk.clock.at)
        return [left, await desk.push(THREE)], forgotten

    (state, status), forgotten = at_a_desk(tmp_path, test)
    assert state is PushState.LEFT
    assert forgotten == 1
    assert status == 404  # 410 for a month, see below


@pytest.mark.parametrize("change", ["removed", "disabled", "turned off", "no hub any more"])
def test_what_is_no_longer_wanted_is_unsubscribed(tmp_path, change):
    async def test(desk: Desk) -> tuple[int, Any]:
        await desk.subscribed(ONE)
        if change == "removed":
            await desk.reconfigure(sources=[])
        elif change == "disabled":
            await desk.reconfigure(sources=[{"url": desk.topic, "enabled": False}])
        elif change == "turned off":
            await desk.reconfigure(websub={"subscribe": False})
        else:
            desk.origin.script("/feed", Answer(body=an_rss(ONE, TWO)))
            await desk.pipeline.poll(await desk.pipeline.feeds_to_poll((), everything=True))
        await desk.until(lambda: ("unsubscribe", desk.topic) in desk.hub.confirmed)
        return await desk.push(THREE), desk.pipeline.store.feeds(active_only=False)[0]

    status, feed = at_a_desk(tmp_path, test)
    assert status == 410
    assert feed.pushed_until is None


@pytest.mark.parametrize("call", ["subscriptions", "feeds", "subscriptions_of", "begin_subscription"])
def test_a_store_that_is_away_for_a_beat_costs_no_subscription(tmp_path, monkeypatch, call):
    async def test(desk: Desk) -> PushState | None:
        await desk.poll(ONE)
        await desk.reconfigure(websub={"subscribe": True})
        desk.pipeline.parts.subscriber._unsettled[desk.feed().feed_id] = Offer((desk.hub.url,), desk.topic)

        def away(*_: Any) -> None:
            raise StoreError("news.db: away")

        with monkeypatch.context() as patch:
            patch.setattr(desk.pipeline.store, call, away)
            with pytest.raises(StoreError):
                await desk.pipeline.push_due()
        await desk.until(lambda: desk.topic in desk.hub.callbacks)
        return desk.state()

    assert at_a_desk(tmp_path, test) is PushState.ACTIVE


def test_a_reload_asks_the_store_for_no_feed_that_has_what_it_wants(tmp_path, monkeypatch):
    async def test(desk: Desk) -> list[int]:
        await desk.subscribed(ONE)
        asked: list[int] = []
        monkeypatch.setattr(desk.pipeline.store, "subscriptions_of", asked.append)
        await desk.reconfigure()
        await desk.pipeline.push_due()
        return asked

    assert at_a_desk(tmp_path, test) == []


def test_pushes_that_wait_when_their_source_is_removed_are_dropped(tmp_path):
    async def test(desk: Desk) -> int:
        await desk.subscribed(ONE)
        await desk.push(TWO)
        await desk.reconfigure(sources=[])
        await desk.pipeline.push_due()
        await desk.pipeline.push_due()
        with sqlite3.connect(tmp_path / "news.db") as connection:
            return connection.execute("SELECT count(*) FROM pushes").fetchone()[0]

    assert at_a_desk(tmp_path, test) == 0


def test_a_push_that_was_kept_survives_the_death_of_who_read_it(tmp_path):
    async def test(desk: Desk) -> set[str]:
        await desk.subscribed(ONE)
        await desk.push(TWO)
        store, now = desk.pipeline.store, desk.clock.at
        ((push_id, _),) = store.waiting_pushes(now, 10)
        assert len(store.claim_pushes([push_id], now, timedelta(minutes=5), "who dies")) == 1
        assert store.waiting_pushes(now, 10) == []
        desk.clock.at += timedelta(minutes=6)
        await desk.until(lambda: TWO[1] in desk.titles())
        return desk.titles()

    assert at_a_desk(tmp_path, test) == {ONE[1], TWO[1]}


# ---------------------------------------------------------------- whether hubs can reach us


@pytest.mark.parametrize(
    ("public_url", "allowed", "word"),
    [
        ("https://news.example.org", (), None),
        ("https://news.example.org/desk", (), None),
        ("http://93.184.215.14", (), None),
        ("http://127.0.0.1:8080", (), "loopback"),
        ("http://localhost:8080", (), "loopback"),
        ("http://[::1]:8080", (), "loopback"),
        ("http://192.168.1.5", (), "private"),
        ("http://192.168.1.5", ("192.168.0.0/16",), None),
        ("http://127.0.0.1:8080", ("127.0.0.0/8",), None),
        ("http://newsbox", (), "a name that is not public"),
        ("http://newsbox.local", (), "a name that is not public"),
    ],
)
def test_whether_a_hub_can_reach_us_is_judged_by_the_address(public_url, allowed, word):
    config = Config(site={"public_url": public_url}, fetch={"allow_networks": allowed})
    said = obstacle(config)
    assert (said is None) if word is None else word in said
