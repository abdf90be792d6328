"""When a feed is asked again: one table per rule, then whole lives of feeds."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, an_entry
from hypothesis import given
from hypothesis import strategies as st
from origin import Answer, Origin, redirect

from aggregator.ingest import moves, rhythm
from aggregator.ingest.fetch import Fetcher, FetchPolicy
from aggregator.ingest.polling import (
    MAX_DEMAND,
    PollPolicy,
    after_poll,
    fetch_request,
    first_poll_at,
    is_quiet,
    wants_discovery,
    with_discovery,
)
from aggregator.types import (
    FailureReason,
    FeedHints,
    FeedState,
    Fetched,
    FetchFailed,
    Health,
    NotModified,
    ParsedFeed,
    ParseFailed,
    Validators,
)

URL = "https://herald.example/feed"
STATE = FeedState(1, URL, URL)
POLICY = PollPolicy()
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def fetched(headers=None, **fields):
    values = {"url": URL, "final_url": URL, "status": 200, "headers": headers or {}, "body": b"<rss/>"}
    return Fetched(**{**values, "body_hash": b"h" * 16, "validators": Validators('"2"'), **fields})


def unmodified(headers=None, **fields):
    return NotModified(
        **{
            "url": URL,
            "final_url": URL,
            "status": 304,
            "headers": headers or {},
            "validators": Validators('"1"'),
            **fields,
        }
    )


def failed(reason=FailureReason.TIMEOUT, headers=None, status=None):
    return FetchFailed(URL, reason, "what happened", headers=headers or {}, status=status)


def parsed(*entries, **fields):
    return ParsedFeed(title="Herald", site_url="https://herald.example/", entries=entries, **fields)


def wait(state):
    return state.next_poll_at - NOW


# ---------------------------------------------------------------- what a success leaves behind


def test_a_document_understood_vouches_for_its_validators():
    hints = FeedHints(ttl=60)
    after = after_poll(
        replace(STATE, failures=3, failure_reason=FailureReason.DNS, failure_detail="x", health=Health.FAILING),
        fetched(),
        parsed(an_entry(), hints=hints, language="en"),
        POLICY,
        NOW,
    )
    assert (after.validators, after.body_hash) == (Validators('"2"'), b"h" * 16)
    assert (after.health, after.failures, after.failure_reason, after.failure_detail) == (Health.OK, 0, None, None)
    assert (after.title, after.site_url, after.language) == ("Herald", "https://herald.example/", "en")
    assert after.hints == hints
    assert (after.last_poll_at, after.last_success_at, after.last_change_at) == (NOW, NOW, NOW)


def test_not_modified_refreshes_validators_and_keeps_the_rest():
    before = replace(STATE, title="Herald", body_hash=b"b" * 16, last_change_at=NOW - DAY, hints=FeedHints(ttl=7200))
    after = after_poll(before, unmodified(), None, POLICY, NOW)
    assert after.validators == Validators('"1"')
    assert (after.title, after.body_hash, after.last_change_at) == ("Herald", b"b" * 16, NOW - DAY)
    assert wait(after) == 2 * HOUR  # the hints of the last document hold


@pytest.mark.parametrize(
    ("outcome", "document"),
    [
        (failed(), None),
        (failed(FailureReason.TRUNCATED, status=200), None),
        (fetched(), ParseFailed(FailureReason.NOT_A_FEED, "a page")),
        (fetched(), None),
    ],
)
def test_a_failure_keeps_validators_and_hash(outcome, document):
    before = replace(STATE, validators=Validators('"0"'), body_hash=b"b" * 16, last_success_at=NOW - DAY)
    after = after_poll(before, outcome, document, POLICY, NOW)
    assert (after.validators, after.body_hash, after.last_success_at) == (Validators('"0"'), b"b" * 16, NOW - DAY)
    assert (after.health, after.failures) == (Health.FAILING, 1)
    assert after.failure_detail


def test_validators_from_behind_a_redirect_are_sent_there_alone():
    after = after_poll(STATE, fetched(final_url="https://cdn.example/f"), parsed(), POLICY, NOW)
    assert fetch_request(after).validated_url == "https://cdn.example/f"
    again = after_poll(after, unmodified(), None, POLICY, NOW)
    assert fetch_request(again).validated_url == URL


def test_secrets_do_not_follow_a_move():
    secrets = (("Authorization", "Bearer x"),)
    assert fetch_request(STATE, secrets).headers == secrets
    assert fetch_request(replace(STATE, current_url="https://herald.example/new"), secrets).headers == secrets
    assert fetch_request(replace(STATE, current_url="https://other.example/feed"), secrets).headers == ()


# ---------------------------------------------------------------- what origins ask


@pytest.mark.parametrize(
    ("headers", "hints", "expected", "why"),
    [
        ({"cache-control": "max-age=7200"}, {}, 2 * HOUR, "cache-control max-age=7200"),
        ({"cache-control": "max-age=31536000"}, {}, 6 * HOUR, "cache-control max-age=31536000"),
        ({"expires": "Wed, 04 Mar 2026 14:00:00 GMT"}, {}, 2 * HOUR, "expires header"),
        ({}, {"ttl": 10800}, 3 * HOUR, "ttl 180 min"),
        ({}, {"ttl": 10**9}, DAY, "ttl"),
        ({}, {"update_every": 14400}, 4 * HOUR, "sy:updatePeriod 240 min"),
        ({"cache-control": "max-age=7200"}, {"ttl": 10800}, 3 * HOUR, "ttl"),
        ({"cache-control": "no-cache, max-age=7200"}, {"ttl": 3600}, HOUR, "ttl"),
        ({"retry-after": "28800"}, {"ttl": 10800}, 8 * HOUR, "retry-after 28800"),
        ({"retry-after": "Wed, 04 Mar 2026 20:00:00 GMT"}, {}, 8 * HOUR, "retry-after"),
        ({"retry-after": "999999999"}, {}, MAX_DEMAND, "retry-after"),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "7200"}, {}, 2 * HOUR, "rate limit used up"),
        ({}, {"skip_hours": (12, 13, 14)}, 3 * HOUR, "skipHours"),
        ({}, {"skip_days": (2,)}, 12 * HOUR, "skipHours or skipDays"),
    ],
)
@pytest.mark.parametrize("is_modified", [True, False])
def test_the_longest_wish_wins_and_is_named(headers, hints, expected, why, is_modified):
    if is_modified:
        after = after_poll(STATE, fetched(headers), parsed(hints=FeedHints(**hints)), POLICY, NOW)
    else:
        after = after_poll(replace(STATE, hints=FeedHints(**hints)), unmodified(headers), None, POLICY, NOW)
    assert wait(after) == expected
    assert why in after.next_poll_why


@pytest.mark.parametrize(
    ("headers", "expected", "why"),
    [
        ({}, 15 * MINUTE, "every 15m, as configured"),
        ({"cache-control": "max-age=7200"}, 15 * MINUTE, "as configured"),
        ({"retry-after": "3600"}, HOUR, "retry-after 3600"),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "3600"}, HOUR, "rate limit"),
    ],
)
def test_the_operators_every_wins_but_for_what_an_origin_demands(headers, expected, why):
    policy = POLICY.of_source(15 * MINUTE)
    hints = FeedHints(ttl=10800, skip_hours=(12,))
    after = after_poll(STATE, fetched(headers), parsed(hints=hints), policy, NOW)
    assert wait(after) == expected
    assert why in after.next_poll_why


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(("failures", "least", "most"), [(0, 24, 30), (1, 48, 60), (3, 192, 240), (40, 1152, 1440)])
def test_back_off_doubles_up_to_a_day(failures, least, most):
    after = after_poll(replace(STATE, failures=failures), failed(), None, POLICY, NOW)
    assert least * MINUTE <= wait(after) <= most * MINUTE
    assert after.next_poll_why.endswith(": timeout")
    assert after == after_poll(replace(STATE, failures=failures), failed(), None, POLICY, NOW)


def test_back_off_spreads_feeds_that_failed_together():
    waits = {
        wait(after_poll(replace(STATE, url=f"{URL}/{n}", current_url=f"{URL}/{n}"), failed(), None, POLICY, NOW))
        for n in range(50)
    }
    assert max(waits) - min(waits) > 4 * MINUTE


def test_a_slow_source_is_not_hurried_by_failing():
    after = after_poll(replace(STATE, failures=9), failed(), None, POLICY.of_source(timedelta(days=7)), NOW)
    assert wait(after) > 5 * DAY


@pytest.mark.parametrize(
    ("outcome", "health", "least", "most"),
    [
        (failed(FailureReason.BLOCKED, status=403), Health.BLOCKED, 48 * MINUTE, HOUR),
        (failed(FailureReason.BLOCKED, {"retry-after": "14400"}, 429), Health.BLOCKED, 4 * HOUR, 4 * HOUR),
        (failed(FailureReason.HTTP, {"retry-after": "7200"}, 503), Health.FAILING, 2 * HOUR, 2 * HOUR),
        (failed(FailureReason.HTTP, {"retry-after": "5"}, 503), Health.FAILING, 24 * MINUTE, 30 * MINUTE),
        (failed(FailureReason.GONE, status=410), Health.GONE, 28 * DAY, 30 * DAY),
    ],
)
def test_blocked_broken_and_gone_are_three_things(outcome, health, least, most):
    after = after_poll(STATE, outcome, None, POLICY, NOW)
    assert after.health is health
    assert least <= wait(after) <= most


def test_gone_comes_back_to_life():
    gone = after_poll(STATE, failed(FailureReason.GONE), None, POLICY, NOW)
    assert after_poll(gone, fetched(), parsed(), POLICY, NOW).health is Health.OK


# ---------------------------------------------------------------- first polls


def test_first_polls_are_spread_and_stay_where_they_were():
    urls = [f"https://{n}.example/feed" for n in range(400)]
    times = [first_poll_at(url, NOW, len(urls), POLICY) for url in urls]
    assert times == [first_poll_at(url, NOW, len(urls), POLICY) for url in urls]
    seconds = [int((time - NOW).total_seconds()) for time in times]
    assert min(seconds) >= 0
    assert max(seconds) < 20
    assert max(seconds.count(second) for second in range(20)) < 50
    assert first_poll_at(URL, NOW, 10**6, POLICY) <= NOW + POLICY.every


# ---------------------------------------------------------------- the rhythm of a feed


def lived(gaps_hours, policy=POLICY, days=28):
    """A feed polled hourly for `days` up to NOW, with an entry whenever `gaps_hours(hour since the start)` says so."""
    state = after_poll(STATE, fetched(), parsed(), policy, NOW - days * DAY)
    for hour in range(1, days * 24 + 1):
        now = NOW - days * DAY + hour * HOUR
        arrivals = tuple(now - timedelta(minutes=50 - 5 * n) for n in range(gaps_hours(now)))
        outcome, document = (fetched(), parsed(an_entry())) if arrivals else (unmodified(), None)
        state = after_poll(state, outcome, document, policy, now, arrivals)
    return state


def test_busy_feeds_are_asked_more_often():
    busy = lived(lambda now: 1)
    rare = lived(lambda now: int(now.hour % 12 == 0))
    ratio = wait(rare) / wait(busy)
    assert 25 * MINUTE < wait(busy) < 35 * MINUTE  # one an hour: `every`
    assert 3 < ratio < 12  # 12 times fewer entries: 9.4 by the law, less with an entry just in
    assert busy.next_poll_why.startswith("rhythm: about 24 a day")


def test_a_silent_feed_is_left_alone_but_never_longer_than_slowest():
    state = lived(lambda now: int(now < NOW - 26 * DAY))
    assert wait(state) > 4 * HOUR
    for week in range(1, 30):
        now = NOW + week * timedelta(days=7)
        state = after_poll(state, unmodified(), None, POLICY, now)
    assert state.next_poll_at - now == POLICY.slowest
    assert "polling.slowest" in state.next_poll_why


def test_a_burst_is_followed_closely():
    calm = lived(lambda now: int(now.hour == 6))
    lively = lived(lambda now: int(now.hour == 6) or int(now > NOW - 6 * HOUR))
    assert wait(lively) < wait(calm) * 0.7


def test_entries_of_one_stroke_count_once():
    state = after_poll(STATE, fetched(), parsed(), POLICY, NOW - DAY)
    one = after_poll(state, fetched(), parsed(), POLICY, NOW, (NOW - HOUR,))
    many = after_poll(state, fetched(), parsed(), POLICY, NOW, (NOW - HOUR,) * 30)
    assert wait(one) == wait(many)


def test_office_hours_are_learned():
    state = lived(lambda now: int(8 <= now.hour < 18 and now.weekday() < 5), days=56)
    known = rhythm.from_json(state.memory["rhythm"])
    by_day = rhythm.wait(known, NOW.replace(hour=10), POLICY.every, POLICY.slowest)  # Wednesday
    by_night = rhythm.wait(known, NOW.replace(hour=22), POLICY.every, POLICY.slowest)
    on_sunday = rhythm.wait(known, NOW.replace(day=8, hour=10), POLICY.every, POLICY.slowest)
    assert by_day < by_night / 2
    assert by_day < on_sunday / 2


def test_a_first_document_is_a_history():
    busy = parsed(*(an_entry(f"n{n}", published=NOW - n * 20 * MINUTE) for n in range(40)))
    rare = parsed(*(an_entry(f"n{n}", published=NOW - n * 2 * DAY) for n in range(40)))
    undated = parsed(*(an_entry(f"n{n}", published=None) for n in range(40)))
    waits = [wait(after_poll(STATE, fetched(), document, POLICY, NOW)) for document in (busy, undated, rare)]
    assert waits == sorted(waits)
    assert waits[2] > 4 * waits[0]
    assert 25 * MINUTE < waits[1] < 35 * MINUTE


def test_fastest_is_a_floor():
    state = lived(lambda now: 9, PollPolicy(every=10 * MINUTE, fastest=10 * MINUTE), days=3)
    assert wait(state) == 10 * MINUTE
    assert "polling.fastest" in state.next_poll_why


def test_a_304_costs_no_new_memory():
    before = lived(lambda now: int(now.hour == 6), days=2)
    assert after_poll(before, unmodified(), None, POLICY, NOW).memory == before.memory


def test_memory_is_json_and_small():
    memory = lived(lambda now: 1).memory
    assert json.loads(json.dumps(memory)) == memory
    assert len(json.dumps(memory)) < 500


@pytest.mark.parametrize(
    "rubbish", [None, [], {"rhythm": 5}, {"rhythm": {"at": 1}}, {"rhythm": {"slow": 1, "fast": 2}}, {"move": "x"}]
)
def test_a_memory_that_cannot_be_read_is_none(rubbish):
    state = replace(STATE, memory=rubbish if isinstance(rubbish, dict) else {})
    assert after_poll(state, unmodified(), None, POLICY, NOW).next_poll_at > NOW


@given(
    st.lists(st.floats(-1e7, 1e7), max_size=20),
    st.floats(-1e7, 1e7),
    st.dictionaries(
        st.sampled_from(["cache-control", "age", "expires", "retry-after", "ratelimit"]), st.text(max_size=30)
    ),
)
def test_whatever_comes_the_next_poll_is_within_bounds(offsets, gap, headers):
    first = after_poll(STATE, fetched(headers), parsed(), POLICY, NOW)
    later = NOW + timedelta(seconds=gap)  # clocks are set back, too
    arrivals = tuple(NOW + timedelta(seconds=offset) for offset in offsets)
    after = after_poll(first, fetched(headers), parsed(), POLICY, later, arrivals)
    assert POLICY.fastest <= after.next_poll_at - later <= MAX_DEMAND


# ---------------------------------------------------------------- moves

NEW = "https://new.example/feed"


def seen_redirect(state, now, **fields):
    return after_poll(state, unmodified(permanent_url=NEW, final_url=NEW, **fields), None, POLICY, now)


def test_a_move_is_believed_after_days_of_the_same_content():
    state = replace(STATE, title="Herald", last_success_at=NOW)
    for step in range(moves.CONFIRMATIONS):
        assert state.current_url == URL
        state = seen_redirect(state, NOW + step * DAY)
    assert state.current_url == NEW
    assert state.url == URL
    assert state.memory["moved"]["from"] == URL
    assert fetch_request(state).url == NEW


def test_many_sightings_in_an_hour_are_one():
    state = replace(STATE, last_success_at=NOW)
    for minute in range(50):
        state = seen_redirect(state, NOW + minute * MINUTE)
    assert state.current_url == URL
    assert state.memory["move"]["times"] == 1


@pytest.mark.parametrize(
    "spoiler",
    [
        lambda state, now: after_poll(state, unmodified(), None, POLICY, now),
        lambda state, now: after_poll(state, unmodified(permanent_url="https://else.example/"), None, POLICY, now),
        lambda state, now: after_poll(
            state, fetched(permanent_url=NEW), replace(parsed(an_entry()), title="Parked domain"), POLICY, now
        ),
    ],
    ids=["none", "other target", "other content"],
)
def test_a_doubt_starts_the_count_anew(spoiler):
    state = replace(STATE, title="Herald", last_success_at=NOW)
    for step in range(3):
        state = seen_redirect(state, NOW + step * DAY)
    state = spoiler(state, NOW + 3 * DAY)
    state = seen_redirect(state, NOW + 4 * DAY)
    assert state.current_url == URL


def test_new_content_with_known_entries_confirms():
    state = replace(STATE, title="Herald", last_success_at=NOW)
    for step in range(moves.CONFIRMATIONS):
        document = replace(parsed(an_entry(), unchanged=(b"1" * 16,)), title="Herald (new design)")
        state = after_poll(state, fetched(permanent_url=NEW, final_url=NEW), document, POLICY, NOW + step * DAY)
    assert state.current_url == NEW


def test_a_move_is_taken_back_when_the_new_address_fails():
    state = replace(STATE, current_url=NEW, validators=Validators('"1"'), last_success_at=NOW)
    for _ in range(moves.DOUBTS):
        assert state.current_url == NEW
        state = after_poll(state, failed(FailureReason.HTTP), None, POLICY, NOW)
    assert state.current_url == URL
    assert fetch_request(state).validated_url == NEW


# ---------------------------------------------------------------- asking the site again


def test_dead_feeds_make_us_ask_their_site_weekly():
    state = replace(
        STATE,
        site_url="https://herald.example/",
        failures=5,
        failure_reason=FailureReason.HTTP,
        health=Health.FAILING,
        last_success_at=NOW - DAY,
    )
    assert wants_discovery(state, NOW)
    asked = with_discovery(state, (URL, NEW), NOW)
    assert asked.memory["discovery"]["found"] == [NEW]
    assert not wants_discovery(asked, NOW + 6 * DAY)
    assert wants_discovery(asked, NOW + 8 * DAY)
    assert not wants_discovery(replace(state, site_url=None), NOW)
    assert not wants_discovery(replace(state, failures=1), NOW)
    assert not wants_discovery(replace(state, failure_reason=FailureReason.TIMEOUT), NOW)
    assert not wants_discovery(replace(state, last_success_at=NOW - 23 * HOUR), NOW)
    gone = replace(state, failure_reason=FailureReason.GONE, failures=1, last_success_at=NOW)
    assert wants_discovery(gone, NOW)


def test_a_finding_is_dropped_when_the_feed_is_back():
    asked = with_discovery(replace(STATE, failures=5, failure_reason=FailureReason.HTTP), (NEW,), NOW)
    assert "discovery" in after_poll(asked, failed(FailureReason.HTTP), None, POLICY, NOW).memory
    assert "discovery" not in after_poll(asked, unmodified(), None, POLICY, NOW).memory


# ---------------------------------------------------------------- against an origin


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(headers=(("Cache-Control", "max-age=7200"),), body=b"<rss/>"), "cache-control max-age=7200"),
        (Answer(headers=(("Retry-After", "7200"),), body=b"<rss/>"), "retry-after 7200"),
        (Answer(429, (("Retry-After", "7200"),)), "retry-after 7200"),
        (Answer(503, (("Retry-After", "7200"),)), "retry-after 7200"),
        (Answer(403, (("cf-mitigated", "challenge"),)), "blocked, back-off after 1 failure: blocked"),
        (Answer(410), "gone (410): asked again once a month"),
        (Answer(headers=(("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "7200")), body=b"<rss/>"), "rate limit"),
        (redirect("/other", 410), "gone"),
    ],
)
def test_what_an_origin_says_decides(answer, why):
    async def poll():
        async with Origin() as origin, Fetcher(FetchPolicy(allow_networks=("127.0.0.0/8",))) as fetcher:
            url = origin.script("/feed", answer)
            state = FeedState(1, url, url)
            outcome = await fetcher.fetch(fetch_request(state))
            return after_poll(state, outcome, parsed() if isinstance(outcome, Fetched) else None, POLICY, NOW)

    after = asyncio.run(poll())
    assert why in after.next_poll_why
    assert wait(after) >= 48 * MINUTE


# ---------------------------------------------------------------- what is worth writing


@pytest.mark.parametrize(
    ("outcome", "memory", "quiet"),
    [
        (unmodified(), {"rhythm": {"at": 1}}, True),
        (unmodified(validators=Validators('"3"')), {}, True),
        (unmodified(), {"discovery": {"at": 1}}, False),  # the feed is back: what its site offered is forgotten
        (unmodified(final_url="https://cdn.example/f"), {}, False),
        (unmodified(permanent_url="https://new.example/f", final_url="https://new.example/f"), {}, False),
        (failed(), {}, False),
    ],
)
def test_a_poll_is_quiet_that_taught_nothing_but_times(outcome, memory, quiet):
    before = replace(STATE, memory=memory)
    after = after_poll(before, outcome, None, POLICY, NOW)
    assert is_quiet(before, after, outcome) is quiet


def test_who_asks_for_a_feed_that_has_moved_is_its_configured_source():
    request = fetch_request(replace(STATE, current_url="http://10.0.0.1/feed"))
    assert (request.url, request.configured_url) == ("http://10.0.0.1/feed", URL)
