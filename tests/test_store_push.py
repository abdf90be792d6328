"""Subscriptions and pushes in the store, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, a_fetched, a_parsed_feed, an_entry
from store_writer import ASource

from aggregator.ingest import websub
from aggregator.ingest.changes import feed_changes
from aggregator.ingest.websub import Offer, PushState
from aggregator.store import Lease, Store
from aggregator.store import push as store_push
from aggregator.types import FeedState, PollResult, Validators

HUB, TOPIC = "https://hub.example/", "https://herald.example/feed.xml"
LEASE, HOUR = timedelta(minutes=5), timedelta(hours=1)


HERALD, GAZETTE = ASource(TOPIC), ASource("https://gazette.example/rss")


def feeds_of(store: Store, *sources: ASource) -> list[FeedState]:
    store.sync_feeds(sources or (HERALD,), NOW)
    return store.feeds()


def subscribed(store: Store, feed, token: str = "t", until: timedelta = HOUR):
    """An active subscription of the feed."""
    asked = websub.asking(websub.begun(feed.feed_id, Offer((HUB,), TOPIC), token, "s", NOW), NOW)
    active = replace(asked, state=PushState.ACTIVE, verified_at=NOW, lease_until=NOW + until, ask_at=NOW + until * 0.75)
    assert store.begin_subscription(asked)
    assert store.change_subscription(token, lambda _: active, NOW) is not None
    return active


def put(store: Store, number: int, token: str = "t", size: int = 10) -> bool | None:
    return store.put_push(
        token, lambda one: websub.after_push(one, f"{number}", NOW), "text/xml", b"%d" % number * size, NOW
    )


def test_a_subscription_comes_back_as_it_went_in(store):
    (feed,) = feeds_of(store)
    active = subscribed(store, feed)
    whole = replace(active, reason="odd \0 reason \ud800", pushed_at=NOW, recent=("a", "b"), misses=2, failures=3)
    store.change_subscription("t", lambda _: whole, NOW)
    assert store.subscription("t") == replace(whole, reason="odd  reason ?")
    assert store.subscription("other") is None
    assert store.subscription_counts() == {"active": 1}


def test_two_processes_begin_one_subscription(store):
    (feed,) = feeds_of(store)
    one, two = (websub.begun(feed.feed_id, Offer((HUB,), TOPIC), token, "s", NOW) for token in "ab")
    assert store.begin_subscription(one)
    assert not store.begin_subscription(two)
    assert store.begin_subscription(replace(two, topic_url=TOPIC + "2"))
    store.change_subscription("a", lambda old: websub.leaving(websub.asking(old, NOW), NOW), NOW)
    assert store.begin_subscription(replace(one, token="c"))


def test_the_feed_knows_until_when_it_is_pushed(store):
    (feed,) = feeds_of(store)
    store.apply([PollResult(replace(feed, next_poll_at=NOW + 6 * HOUR), a_fetched())], NOW)
    subscribed(store, feed)
    assert store.feeds()[0].pushed_until == NOW + HOUR
    # A poll that was under way does not undo it.
    store.apply([PollResult(replace(feed, next_poll_at=NOW + 6 * HOUR), a_fetched())], NOW)
    assert store.feeds()[0].pushed_until == NOW + HOUR
    store.change_subscription("t", lambda old: replace(old, state=PushState.DENIED, reason="no"), NOW, NOW + HOUR)
    after = store.feeds()[0]
    assert (after.pushed_until, after.next_poll_at, after.next_poll_why) == (None, NOW + HOUR, "no longer pushed: no")


def test_one_that_leaves_does_not_end_the_trust_in_another(store):
    (feed,) = feeds_of(store)
    subscribed(store, feed, "old")
    store.change_subscription("old", lambda old: replace(old, topic_url="https://herald.example/old"), NOW)
    subscribed(store, feed, "new", 2 * HOUR)
    store.change_subscription("old", lambda old: websub.leaving(old, NOW), NOW)
    assert store.feeds()[0].pushed_until == NOW + 2 * HOUR


def test_whose_hub_is_to_be_asked(store):
    feeds = feeds_of(store, HERALD, GAZETTE)
    subscribed(store, feeds[0], "a", HOUR)
    subscribed(store, feeds[1], "b", 8 * HOUR)
    assert store.subscriptions_to_ask(NOW + 0.7 * HOUR, 9) == []
    assert [one.token for one in store.subscriptions_to_ask(NOW + 0.75 * HOUR, 9)] == ["a"]
    store.change_subscription("a", lambda old: replace(old, state=PushState.LEFT, ask_at=None), NOW)
    assert store.subscriptions_to_ask(NOW + HOUR, 9) == []


def test_a_push_is_claimed_by_one_and_gone_when_applied(store):
    (feed,) = feeds_of(store)
    subscribed(store, feed)
    assert put(store, 1) is True
    assert put(store, 1) is None
    assert put(store, 2) is True
    ((first, feed_id),) = store.waiting_pushes(NOW, 9)
    assert feed_id == feed.feed_id
    ((pushed, state),) = store.claim_pushes([first], NOW, LEASE, "one")
    assert (pushed.body, pushed.content_type, pushed.url, pushed.received_at) == (b"1" * 10, "text/xml", TOPIC, NOW)
    assert state.pushed_until == NOW + HOUR
    # Nobody else gets it, nor the next of the feed, nor the feed itself.
    assert store.claim_pushes([first], NOW, LEASE, "two") == []
    assert store.waiting_pushes(NOW, 9) == []
    assert store.claim_due(NOW, 9, Lease("two", LEASE)).feeds == ()
    parsed = a_parsed_feed(an_entry())
    changes = feed_changes((), parsed, NOW)
    assert store.apply([PollResult(state, pushed, changes, NOW)], NOW, "one").new_entries == 1
    assert [push_id for push_id, _ in store.waiting_pushes(NOW, 9)] == [first + 1]


def test_a_push_that_was_read_twice_stores_its_entries_once(store):
    (feed,) = feeds_of(store)
    subscribed(store, feed)
    put(store, 1)
    ((push_id, _),) = store.waiting_pushes(NOW, 9)
    changes = feed_changes((), a_parsed_feed(an_entry()), NOW)
    for _ in range(2):
        later = NOW + LEASE if _ else NOW
        for pushed, state in store.claim_pushes([push_id], later, LEASE, None):
            store.apply([PollResult(state, pushed, changes, NOW)], NOW)
    assert len(store.ungrouped(9)) == 1


def test_a_push_leaves_validators_and_what_stands_alone(store):
    (feed,) = feeds_of(store)
    old, fresh = an_entry("Quillon opens a plant"), an_entry("Fernbank buys Otterly")
    polled = replace(feed, validators=Validators('"1"'), body_hash=b"h", next_poll_at=NOW + HOUR, last_success_at=NOW)
    store.apply([PollResult(polled, a_fetched(), feed_changes((), a_parsed_feed(old), NOW), NOW)], NOW)
    before = store.feeds()[0]
    subscribed(store, feed)
    put(store, 1)
    ((push_id, _),) = store.waiting_pushes(NOW, 9)
    ((pushed, state),) = store.claim_pushes([push_id], NOW, LEASE, None)
    wrong = replace(state, validators=Validators('"2"'), next_poll_at=NOW + 9 * HOUR, last_change_at=NOW)
    known = store.known([feed.feed_id])[feed.feed_id]
    store.apply([PollResult(wrong, pushed, feed_changes(known, a_parsed_feed(fresh), NOW), NOW)], NOW)
    after = store.feeds()[0]
    assert (after.validators, after.body_hash, after.next_poll_at) == (before.validators, b"h", NOW + HOUR)
    assert after.last_change_at == NOW
    assert store.fingerprints([feed.feed_id])[feed.feed_id] == {old.fingerprint, fresh.fingerprint}


def test_a_poll_wins_over_a_push_of_the_same_batch_which_is_read_again(store):
    (feed,) = feeds_of(store)
    subscribed(store, feed)
    put(store, 1)
    ((push_id, _),) = store.waiting_pushes(NOW, 9)
    ((pushed, state),) = store.claim_pushes([push_id], NOW, LEASE, None)
    poll = PollResult(replace(state, title="From the poll"), a_fetched())
    store.apply([poll, PollResult(replace(state, title="From the push"), pushed)], NOW)
    assert store.feeds()[0].title == "From the poll"
    assert [push_id for push_id, _ in store.waiting_pushes(NOW + LEASE, 9)] == [push_id]


def test_only_so_much_waits(store, monkeypatch):
    feeds = feeds_of(store, HERALD, GAZETTE)
    subscribed(store, feeds[0], "a")
    subscribed(store, feeds[1], "b")
    monkeypatch.setattr(store_push, "WAITING_PER_FEED", 2)
    assert [put(store, number, "a") for number in range(4)] == [True, True, False, False]
    monkeypatch.setattr(store_push, "WAITING_BYTES", 100)
    assert [put(store, number, "b", 50) for number in range(3)] == [True, False, False]
    assert store.subscription("b").recent == ("0",)  # what was not kept may come again


def test_an_unreadable_push_gives_its_feed_back(store):
    (feed,) = feeds_of(store)
    subscribed(store, feed)
    put(store, 1)
    ((push_id, _),) = store.waiting_pushes(NOW, 9)
    store.claim_pushes([push_id], NOW, LEASE, "one")
    store.give_up_push(push_id, feed.feed_id)
    assert store.waiting_pushes(NOW + LEASE, 9) == []
    assert len(store.claim_due(NOW, 9, Lease("two", LEASE)).feeds) == 1


@pytest.mark.parametrize("days", [29, 31])
def test_who_left_is_remembered_for_a_month(store, days):
    (feed,) = feeds_of(store)
    subscribed(store, feed)
    store.change_subscription("t", lambda old: replace(old, state=PushState.LEFT, ask_at=None), NOW)
    assert store.subscriptions() == []
    assert store.forget_left(NOW + timedelta(days=days)) == int(days > 30)


def test_a_memory_is_changed_where_there_is_something_to_change(store):
    (feed,) = feeds_of(store)
    assert store.remember(feed.feed_id, lambda state: None) is None
    assert store.remember(99, lambda state: {"a": 1}) is None
    assert store.remember(feed.feed_id, lambda state: {**state.memory, "a": 1}).memory == {"a": 1}
    assert store.feeds()[0].memory == {"a": 1}
    assert store.failing_feeds() == []
