"""Leases of feeds and hosts: what one poller has no other gets, until it is given back, applied or over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from builders import NOW, a_fetch_failed
from store_writer import ASource, Keep

from aggregator.errors import AlreadyRunning, NotEditor
from aggregator.schema import hosts
from aggregator.store import Claimed, Lease, Store, leases
from aggregator.types import FeedState, PollResult

MINUTE = timedelta(minutes=1)


def a_lease(worker: str, *exempt: str) -> Lease:
    return Lease(worker, MINUTE, lambda host: host not in exempt)


def filled(store: Store, *urls: str) -> dict[str, FeedState]:
    store.sync_feeds([ASource(url) for url in urls], NOW)
    return {feed.url: feed for feed in store.feeds()}


def urls_of(claimed: Claimed) -> list[str]:
    return sorted(feed.url for feed in claimed.feeds)


A1, A2, B1 = "https://a.example/1", "https://a.example/2", "https://b.example/1"


def test_a_claimed_feed_is_nobody_elses_until_its_lease_ends(store):
    filled(store, A1, B1)
    first = store.claim_due(NOW, 1, a_lease("one"))
    second = store.claim_due(NOW, 5, a_lease("two"))
    assert sorted(urls_of(first) + urls_of(second)) == [A1, B1]
    assert store.claim_due(NOW + MINUTE / 2, 5, a_lease("three")) == Claimed()
    assert store.due_feeds(NOW + MINUTE / 2, 5) == []
    assert urls_of(store.claim_due(NOW + MINUTE, 5, a_lease("three"))) == [A1, B1]


def test_a_host_is_claimed_with_its_feeds_and_the_others_of_it_wait_for_its_poller(store):
    feeds = filled(store, A1, A2, B1)
    assert urls_of(store.claim(NOW, [feeds[A1].feed_id], a_lease("one"))) == [A1]
    assert urls_of(store.claim_due(NOW, 5, a_lease("two"))) == [B1]
    assert urls_of(store.claim_due(NOW, 5, a_lease("one"))) == [A2]


def test_a_host_that_needs_no_spacing_is_shared(store):
    feeds = filled(store, A1, A2)
    one, two = a_lease("one", "a.example"), a_lease("two", "a.example")
    assert urls_of(store.claim(NOW, [feeds[A1].feed_id], one)) == [A1]
    assert urls_of(store.claim_due(NOW, 5, two)) == [A2]


def test_a_result_ends_the_lease_of_its_feed_but_not_of_its_host(store):
    filled(store, A1)
    (feed,) = store.claim_due(NOW, 1, a_lease("one")).feeds
    store.apply([PollResult(replace(feed, next_poll_at=NOW), a_fetch_failed())], NOW, "one")
    assert store.claim_due(NOW, 1, a_lease("two")) == Claimed()
    assert urls_of(store.claim_due(NOW, 1, a_lease("one"))) == [A1]


def test_a_lost_lease_loses_the_result(store):
    filled(store, A1)
    (feed,) = store.claim_due(NOW, 1, a_lease("one")).feeds
    store.claim_due(NOW + MINUTE, 1, a_lease("two"))
    late = store.apply([PollResult(replace(feed, failures=7), a_fetch_failed())], NOW, "one")
    assert (late.polls, late.skipped) == (0, 1)
    assert store.feeds()[0].failures == 0
    assert store.apply([PollResult(replace(feed, failures=1), a_fetch_failed())], NOW, "two").polls == 1


def test_the_next_poller_of_a_host_learns_its_memory_and_when_it_was_left(store):
    filled(store, A1)
    (feed,) = store.claim_due(NOW, 1, a_lease("one")).feeds
    store.save_host_memory({"a.example": {"spacing": 8.0}})
    store.apply([PollResult(replace(feed, next_poll_at=NOW), a_fetch_failed())], NOW, "one")
    again = store.claim_due(NOW, 1, a_lease("one")).hosts["a.example"]
    assert (again.memory, again.left_at) == ({"spacing": 8.0}, None)
    other = store.claim_due(NOW + 2 * MINUTE, 1, a_lease("two")).hosts["a.example"]
    assert (other.memory, other.left_at) == ({"spacing": 8.0}, NOW + MINUTE)


def test_what_is_given_back_is_free_at_once_and_says_when(store):
    filled(store, A1)
    claimed = store.claim_due(NOW, 2, a_lease("one"))
    ids = [feed.feed_id for feed in claimed.feeds]
    assert store.release(NOW, ids, claimed.hosts, "two") == 0
    later = NOW + timedelta(seconds=5)
    assert store.release(later, ids, claimed.hosts, "one") == 1
    taken = store.claim_due(later, 2, a_lease("two"))
    assert urls_of(taken) == [A1]
    assert taken.hosts["a.example"].left_at == later


def test_renewing_keeps_what_is_ours_and_says_what_is_not(store):
    filled(store, A1, B1)
    mine = store.claim_due(NOW, 5, a_lease("one"))
    ids = {feed.feed_id for feed in mine.feeds}
    assert store.renew(NOW + MINUTE / 2, ids, mine.hosts, a_lease("one")) == (ids, {"a.example", "b.example"})
    assert store.claim_due(NOW + MINUTE, 5, a_lease("two")) == Claimed()
    assert len(store.claim_due(NOW + 2 * MINUTE, 5, a_lease("two")).feeds) == 2
    assert store.renew(NOW + 2 * MINUTE, ids, mine.hosts, a_lease("one")) == (set(), set())


def test_a_feed_put_off_is_nobodys(store):
    filled(store, A1)
    (feed,) = store.claim_due(NOW, 1, a_lease("one")).feeds
    store.defer([replace(feed, next_poll_at=NOW + timedelta(seconds=9), next_poll_why="spaced")])
    assert urls_of(store.claim_due(NOW + timedelta(seconds=9), 1, a_lease("one"))) == [A1]


def test_sources_that_a_poller_does_not_know_are_left_to_others(store):
    feeds = filled(store, A1, B1)
    assert urls_of(store.claim_due(NOW, 5, a_lease("one"), but_not=[feeds[A1].feed_id])) == [B1]


def test_a_feed_that_moved_is_asked_at_its_new_host(store):
    filled(store, A1, B1)
    (feed,) = (f for f in store.claim_due(NOW, 5, a_lease("one")).feeds if f.url == A1)
    moved = replace(feed, current_url="https://c.example/1", next_poll_at=NOW)
    store.apply([PollResult(moved, a_fetch_failed())], NOW, "one")
    assert list(store.claim_due(NOW, 1, a_lease("two")).hosts) == ["c.example"]


def test_forgetting_a_host_keeps_its_lease(store):
    filled(store, A1)
    store.claim_due(NOW, 1, a_lease("one"))
    store.save_host_memory({"a.example": {"spacing": 8.0}})
    store.save_host_memory({"a.example": {}})
    assert store.host_memory() == {}
    assert store.claim_due(NOW, 1, a_lease("two")) == Claimed()


def test_hosts_that_nobody_asks_any_more_are_forgotten_by_retention(store):
    feeds = filled(store, A1, B1, "https://c.example/1")
    store.claim_due(NOW, 3, a_lease("one"))
    store.save_host_memory({"b.example": {"spacing": 8.0}})
    later = NOW + leases.FORGOTTEN_AFTER
    store.claim(later, [feeds[A1].feed_id], a_lease("two"))
    store.prune(Keep(), later + MINUTE / 2)
    assert hosts_of(store) == {
        "a.example",
        "b.example",
        "c.example",
    }  # c's lease ended a little too late to be forgotten
    store.prune(Keep(), later + MINUTE * 3 / 2)
    assert hosts_of(store) == {"a.example", "b.example"}  # the one has a younger lease, of the other something is known


def hosts_of(store: Store) -> set[str]:
    with store._database.read() as connection:
        return set(connection.scalars(sa.select(hosts.c.host)))


# ---------------------------------------------------------------- who edits


def test_an_editor_that_was_replaced_can_write_no_more(postgres_url):
    with Store(postgres_url) as first, Store(postgres_url) as second:
        term = first.keep_lock()
        assert term is not None
        assert (first.keep_lock(), second.keep_lock()) == (term, None)
        first.sync_feeds([ASource(A1)], NOW)
        first.release_lock()  # as when its connection broke and it does not know
        assert second.keep_lock() not in (None, term)
        with pytest.raises(NotEditor):
            first.sync_feeds([], NOW)
        assert len(second.feeds()) == 1
        assert first.keep_lock() is None
        second.release_lock()
        assert first.keep_lock() not in (None, term)
        assert first.sync_feeds([], NOW).removed == 1


def test_the_servers_clock_is_asked(postgres_url):
    with Store(postgres_url) as store:
        before, after = store.server_time(), store.server_time()
    assert before is not None
    assert after is not None
    assert timedelta() < after - before < timedelta(minutes=1)


def test_sqlite_has_no_clock_of_its_own_and_one_editor(tmp_path):
    with Store(f"sqlite:///{tmp_path}/a.db") as first, Store(f"sqlite:///{tmp_path}/a.db") as second:
        assert first.server_time() is None
        term = first.keep_lock()
        assert term is not None
        assert (first.keep_lock(), second.keep_lock()) == (term, None)
        with pytest.raises(AlreadyRunning):
            second.acquire_lock()
