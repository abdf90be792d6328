"""What servers bear, and due feeds laid out so that none is asked in a burst."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st

from aggregator.ingest.addresses import networks
from aggregator.ingest.hosts import EASE_AFTER, MAX_SPACING, SPACING, HostState, host_after, spread, turn
from aggregator.ingest.polling import PollPolicy
from aggregator.types import FailureReason, FeedState, FetchFailed, NotModified, Validators

HOST = HostState("a.example")
SECOND = timedelta(seconds=1)


def answer(status=304, headers=None):
    url = "https://a.example/feed"
    if status == 304:
        return NotModified(url, url, 304, headers or {}, Validators())
    return FetchFailed(url, FailureReason.HTTP, "x", status=status, headers=headers or {})


def feed(number, host="a.example", due=0):
    url = f"https://{host}/{number}"
    return FeedState(number, url, url, next_poll_at=NOW + due * SECOND)


@pytest.mark.parametrize(
    ("status", "headers", "spacing", "until"),
    [
        (304, {}, SPACING, None),
        (500, {}, SPACING, None),
        (503, {}, SPACING, None),
        (429, {}, 5.0, 2),
        (429, {"retry-after": "90"}, 5.0, 90),
        (503, {"retry-after": "90"}, 5.0, 90),
        (429, {"retry-after": "99999999"}, 5.0, 3 * 86400),
        (304, {"x-ratelimit-remaining": "10", "x-ratelimit-reset": "600"}, 60.0, None),
        (304, {"x-ratelimit-remaining": "900", "x-ratelimit-reset": "600"}, SPACING, None),
        (304, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "600"}, SPACING, 600),
        (304, {"x-ratelimit-remaining": "1", "x-ratelimit-reset": "999999"}, MAX_SPACING, None),
    ],
)
def test_hosts_teach_us(status, headers, spacing, until):
    after = host_after(HOST, answer(status, headers), NOW)
    assert after.spacing == spacing
    assert after.until == (until and NOW + until * SECOND)


def test_complaints_double_the_spacing_and_time_halves_it():
    host = HOST
    for _ in range(20):
        host = host_after(host, answer(429), NOW)
    assert host.spacing == MAX_SPACING
    assert host_after(host, answer(), NOW + EASE_AFTER / 2).spacing == MAX_SPACING
    for step in range(1, 12):
        host = host_after(host, answer(), NOW + step * EASE_AFTER)
    assert host.spacing == SPACING
    assert host.is_ordinary


def test_no_answer_forgives_nothing():
    host = replace(HOST, spacing=60.0)
    assert host_after(host, FetchFailed("u", FailureReason.DNS, "x"), NOW + 9 * EASE_AFTER).spacing == 60.0


def test_a_host_outlives_a_restart():
    host = host_after(HOST, answer(429, {"retry-after": "90"}), NOW)
    assert HostState.from_json(host.host, host.to_json()) == host
    assert HostState.from_json("a", {"spacing": "x", "until": [], "complained_at": None}) == HostState("a")


def test_feeds_of_one_host_queue_and_others_do_not_wait():
    layout = spread([*(feed(n) for n in range(5)), feed(9, "b.example")], {}, PollPolicy(), NOW)
    assert [(lane.host, len(lane.feeds), lane.gap) for lane in layout.lanes] == [
        ("a.example", 5, SPACING),
        ("b.example", 1, SPACING),
    ]
    assert layout.deferred == ()


def test_what_does_not_fit_is_due_when_its_turn_comes():
    layout = spread([feed(n) for n in range(100)], {}, PollPolicy(), NOW, horizon=9)
    assert [len(lane.feeds) for lane in layout.lanes] == [10]
    assert [one.next_poll_at for one in layout.deferred[:2]] == [NOW + 10 * SECOND, NOW + 11 * SECOND]
    assert len(layout.deferred) == 90
    assert layout.deferred[0].next_poll_why == "spaced, 100 feeds due on a.example"


def test_the_longest_overdue_go_first():
    layout = spread([feed(1, due=0), feed(2, due=-60), replace(feed(3), next_poll_at=None)], {}, PollPolicy(), NOW)
    assert [one.feed_id for one in layout.lanes[0].feeds] == [3, 2, 1]


def test_more_lanes_share_the_same_spacing():
    layout = spread([feed(n) for n in range(6)], {}, PollPolicy(per_host=2), NOW)
    assert [(len(lane.feeds), lane.delay, lane.gap) for lane in layout.lanes] == [(3, 0, 2), (3, 1, 2)]


def test_batches_keep_their_distance_from_one_another():
    first = spread([feed(n) for n in range(3)], {}, PollPolicy(), NOW)
    hosts = {host.host: host for host in first.hosts}
    second = spread([feed(7)], hosts, PollPolicy(), NOW + SECOND)
    assert second.lanes[0].delay == 2.0


def test_a_host_that_wants_peace_has_it():
    host = replace(HOST, until=NOW + timedelta(hours=1))
    layout = spread([feed(1), feed(2)], {HOST.host: host}, PollPolicy(), NOW)
    assert layout.lanes == ()
    assert [one.next_poll_at for one in layout.deferred] == [NOW + 3600 * SECOND, NOW + 3601 * SECOND]
    assert layout.deferred[0].next_poll_why == "a.example asks for patience"


def test_the_operators_own_hosts_are_exempt():
    feeds = [replace(feed(n), current_url=f"http://127.0.0.1:8000/{n}") for n in range(50)]
    layout = spread(feeds, {}, PollPolicy(), NOW, networks(("127.0.0.0/8",)))
    assert len(layout.lanes) == 50
    assert {(lane.delay, lane.gap) for lane in layout.lanes} == {(0.0, 0.0)}
    assert len(spread(feeds, {}, PollPolicy(), NOW).lanes) == 1


@given(
    st.lists(st.sampled_from(["a.example", "b.example", "c.example"]), max_size=60),
    st.integers(1, 4),
    st.floats(1, 100),
    st.floats(0, 100),
)
def test_no_host_is_ever_asked_in_a_burst_and_no_feed_is_lost(hosts, per_host, spacing, horizon):
    feeds = [feed(number, host) for number, host in enumerate(hosts)]
    known = {host: HostState(host, spacing) for host in set(hosts)}
    layout = spread(feeds, known, PollPolicy(per_host=per_host), NOW, horizon=horizon)
    laid = [one.feed_id for lane in layout.lanes for one in lane.feeds] + [one.feed_id for one in layout.deferred]
    assert sorted(laid) == list(range(len(hosts)))
    for host in set(hosts):
        starts = sorted(
            lane.delay + position * lane.gap
            for lane in layout.lanes
            if lane.host == host
            for position in range(len(lane.feeds))
        )
        assert all(later - earlier >= spacing * 0.999 for earlier, later in pairwise(starts))
        assert all(start <= horizon + 0.001 for start in starts)
        assert sum(lane.host == host for lane in layout.lanes) <= per_host


@pytest.mark.parametrize(
    ("host", "wait"),
    [
        (HOST, 0),
        (replace(HOST, last_at=NOW), SPACING),
        (replace(HOST, last_at=NOW - 5 * SECOND), 0),
        (replace(HOST, last_at=NOW - 5 * SECOND, spacing=60.0), 55),
        (replace(HOST, last_at=NOW, until=NOW + 90 * SECOND), 90),
    ],
)
def test_a_question_beside_the_polls_waits_for_its_turn_and_takes_it(host, wait):
    waited, after = turn(host, NOW)
    assert waited == wait
    assert turn(after, NOW)[0] == wait + host.spacing
