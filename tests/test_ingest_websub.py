"""The subscriber's decisions, one table for each thing that a hub or a document can do."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, a_parsed_feed, ago, an_entry
from hypothesis import given
from hypothesis import strategies as st

from aggregator.ingest import websub
from aggregator.ingest.websub import Offer, PushState, Subscription
from aggregator.types import Answered, FailureReason, FetchFailed, NewEntry

TOPIC, HUB = "https://herald.example/feed.xml", "https://hub.example/"
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
FRESH = websub.begun(7, Offer((HUB,), TOPIC), "t0ken", "s3cret", NOW)
ASKED = websub.asking(FRESH, NOW)
LEASE = timedelta(days=10)


def query(mode="subscribe", topic=TOPIC, challenge="c1", lease="864000", **more):
    named = {"mode": mode, "topic": topic, "challenge": challenge, "lease_seconds": lease, **more}
    return {f"hub.{name}": value for name, value in named.items() if value is not None}


ACTIVE = websub.verified(ASKED, query(), NOW)
assert ACTIVE is not None


def answered(status, said="", **headers):
    return Answered(HUB, HUB, status, {name.replace("_", "-"): value for name, value in headers.items()}, said)


FAILED = FetchFailed(HUB, FailureReason.TIMEOUT, "no whole answer within 30 s")

# ---------------------------------------------------------------- discovery


@pytest.mark.parametrize(
    ("link", "body_hubs", "body_self", "expected"),
    [
        ("", (), TOPIC, None),
        ("", (HUB,), TOPIC, Offer((HUB,), TOPIC)),
        ("", (HUB,), None, None),
        ('<https://h2.example/>; rel="hub"', (HUB,), TOPIC, Offer(("https://h2.example/",), TOPIC)),
        (
            '<https://h2.example/>; rel="hub", <https://herald.example/t>; rel="self"',
            (HUB,),
            TOPIC,
            Offer(("https://h2.example/",), "https://herald.example/t"),
        ),
        ("<https://herald.example/t>; rel=self", (HUB,), TOPIC, Offer((HUB,), "https://herald.example/t")),
        ('</hub>; title="a, b; rel=x"; rel="alternate HUB"', (), TOPIC, Offer(("https://herald.example/hub",), TOPIC)),
        ("<javascript:alert(1)>; rel=hub", ("data:x",), TOPIC, None),
        ("<https://u:p@hub.example/>; rel=hub", (), TOPIC, None),
        ("rel=hub; <", (), TOPIC, None),
        ("<https://h2.example/>; rel=preload", (), TOPIC, None),
    ],
)
def test_headers_win_over_the_document(link, body_hubs, body_self, expected):
    parsed = a_parsed_feed(hub_urls=body_hubs, self_url=body_self)
    assert websub.offer({"link": link} if link else {}, parsed, "https://herald.example/asked") == expected


def test_an_offer_survives_as_json_and_rubbish_is_none():
    offered = Offer((HUB, "https://h2.example/"), TOPIC)
    assert Offer.from_json(offered.to_json()) == offered
    assert [
        Offer.from_json(value) for value in (None, 5, {}, {"hubs": [], "topic": "x"}, {"hubs": [1], "topic": "x"})
    ] == [None] * 5


@given(st.text(max_size=400))
def test_no_link_header_is_too_odd(value):
    for rel, url in websub.link_header(value, "https://herald.example/"):
        assert url.startswith(("http://", "https://"))
        assert rel == rel.lower()


# ---------------------------------------------------------------- asking


def test_the_forms():
    common = (("hub.callback", "https://us.example/websub/t0ken"), ("hub.topic", TOPIC))
    subscribe = websub.form(FRESH, "https://us.example/websub/t0ken")
    assert subscribe == (("hub.mode", "subscribe"), *common, ("hub.lease_seconds", "864000"), ("hub.secret", "s3cret"))
    leave = websub.leaving(ACTIVE, NOW)
    assert websub.form(leave, "https://us.example/websub/t0ken") == (("hub.mode", "unsubscribe"), *common)


def test_a_hub_that_accepts_and_never_verifies_is_asked_ever_more_rarely():
    subscription, waits = FRESH, []
    for _ in range(14):
        subscription = websub.asking(subscription, NOW)
        subscription = websub.after_answer(subscription, answered(202), NOW)
        waits.append((subscription.ask_at - NOW) / MINUTE)
    assert waits[:4] == [10, 20, 40, 80]
    assert waits[-1] == websub.MAX_BACK_OFF / MINUTE
    assert subscription.state is PushState.ASKED
    assert subscription.trusted_until is None


@pytest.mark.parametrize(
    ("answer", "state", "wait", "reason"),
    [
        (answered(202), PushState.ASKED, 10 * MINUTE, "waits for the hub to verify"),
        (answered(400, "bad\n topic"), PushState.DENIED, DAY, "the hub refuses: 400 bad topic"),
        (answered(404), PushState.DENIED, DAY, "the hub refuses: 404"),
        (answered(302), PushState.ASKED, 20 * MINUTE, "the hub answers 302"),
        (answered(503), PushState.ASKED, 20 * MINUTE, "the hub answers 503"),
        (answered(503, retry_after="7200"), PushState.ASKED, 2 * HOUR, "the hub answers 503"),
        (answered(400, retry_after="172800"), PushState.DENIED, 2 * DAY, "the hub refuses: 400"),
        (answered(503, retry_after="99999999"), PushState.ASKED, websub.MAX_BACK_OFF, "the hub answers 503"),
        (FAILED, PushState.ASKED, 20 * MINUTE, "timeout: no whole answer within 30 s"),
    ],
)
def test_what_a_hub_answers_to_the_first_question(answer, state, wait, reason):
    after = websub.after_answer(ASKED, answer, NOW)
    assert (after.state, after.ask_at - NOW, after.reason) == (state, wait, reason)


def test_a_hub_that_refuses_is_asked_after_one_two_four_days():
    subscription, waits = FRESH, []
    for _ in range(5):
        subscription = websub.after_answer(websub.asking(subscription, NOW), answered(403), NOW)
        waits.append((subscription.ask_at - NOW) / DAY)
    assert waits == [1, 2, 4, 7, 7]


def test_a_refused_renewal_keeps_the_lease_and_tries_again_within_it():
    now = NOW + 8 * DAY
    after = websub.after_answer(websub.asking(ACTIVE, now), answered(400), now)
    assert after.state is PushState.ACTIVE
    assert after.trusted_until == NOW + LEASE
    assert after.ask_at < NOW + LEASE
    assert after.reason == "not renewed, the hub refuses: 400"


@pytest.mark.parametrize("answer", [answered(202), answered(500), FAILED], ids=["accepted", "refused", "failed"])
def test_the_end_of_a_lease_is_not_slept_through(answer):
    """However long a renewal is left alone: from then on the feed is polled as ever."""
    now = NOW + LEASE - MINUTE
    after = websub.after_answer(websub.asking(ACTIVE, now), answer, now)
    assert after.ask_at == NOW + LEASE
    assert websub.lapsed(after, after.ask_at).trusted_until is None


def test_what_a_hub_says_is_told_without_our_secrets():
    said = "cannot reach https://us.example/websub/t0ken (s3cret)"
    refused = websub.after_answer(websub.asking(FRESH, NOW), answered(400, said), NOW)
    denied = websub.denied(ASKED, query("denied", reason=said), NOW)
    assert denied is not None
    for reason in (refused.reason, denied.reason):
        assert reason.endswith("cannot reach https://us.example/websub/*** (***)")


def test_an_answer_that_comes_after_the_verification_changes_nothing():
    asked = websub.asking(FRESH, NOW)
    verified = websub.verified(asked, query(), NOW + timedelta(seconds=1))
    assert websub.after_answer(verified, answered(500), NOW + timedelta(seconds=2)) == verified


def test_a_question_that_could_not_go_out_counts_for_nothing():
    before = websub.after_answer(ASKED, answered(403), NOW)
    later = NOW + DAY
    after = websub.not_asked(websub.asking(before, later), before, later)
    assert after == replace(before, ask_at=later + MINUTE)
    verified = websub.verified(websub.asking(ASKED, later), query(), later + MINUTE)
    assert websub.not_asked(verified, ASKED, later) == verified


# ---------------------------------------------------------------- verification


@pytest.mark.parametrize(
    ("subscription", "asked", "state"),
    [
        (ASKED, query(), PushState.ACTIVE),
        (ACTIVE, query(), PushState.ACTIVE),
        (websub.leaving(ACTIVE, NOW), query("unsubscribe"), PushState.LEFT),
        (FRESH, query(), None),
        (ASKED, query(topic="https://herald.example/other"), None),
        (ASKED, query(topic=TOPIC + "/"), None),
        (ASKED, query(topic=None), None),
        (ASKED, query(challenge=None), None),
        (ASKED, query(challenge="x" * 3000), None),
        (ASKED, query("unsubscribe"), None),
        (ACTIVE, query("unsubscribe"), None),
        (websub.leaving(ACTIVE, NOW), query(), None),
        (websub.denied(ACTIVE, query("denied"), NOW), query(), None),
        (ACTIVE, query("publish"), None),
    ],
)
def test_only_what_we_wanted_is_confirmed(subscription, asked, state):
    after = websub.verified(subscription, asked, NOW)
    assert (after and after.state) == state


@pytest.mark.parametrize(
    ("lease", "until", "renewal"),
    [
        ("864000", LEASE, 7.5 * DAY),
        ("3600", HOUR, 45 * MINUTE),
        ("10", timedelta(seconds=10), 5 * MINUTE),
        ("99999999", 30 * DAY, 22.5 * DAY),
        (None, LEASE, 7.5 * DAY),
        ("0", LEASE, 7.5 * DAY),
        ("-5", LEASE, 7.5 * DAY),
        ("soon", LEASE, 7.5 * DAY),
        ("٣", LEASE, 7.5 * DAY),
        ("9" * 400, LEASE, 7.5 * DAY),
    ],
)
def test_a_lease_is_renewed_at_three_quarters_and_never_in_a_hurry(lease, until, renewal):
    after = websub.verified(ASKED, query(lease=lease), NOW)
    assert (after.lease_until - NOW, after.ask_at - NOW) == (until, renewal)


def test_a_lease_that_ran_out_is_as_if_never_given():
    assert websub.lapsed(ACTIVE, NOW + 9 * DAY) == ACTIVE
    after = websub.lapsed(ACTIVE, NOW + 10 * DAY)
    assert (after.state, after.trusted_until, after.reason) == (PushState.ASKED, None, "the lease ran out")


def test_a_denial_is_believed_for_our_topic_alone_and_counts_up():
    assert websub.denied(ACTIVE, query("denied", topic="https://else.example/"), NOW) is None
    assert websub.denied(ACTIVE, query("subscribe"), NOW) is None
    first = websub.denied(ACTIVE, query("denied", reason="not\r\nyours"), NOW)
    assert (first.state, first.reason, first.ask_at - NOW) == (PushState.DENIED, "the hub denies it: not yours", DAY)
    assert first.trusted_until is None
    second = websub.denied(websub.asking(first, NOW), query("denied"), NOW)
    assert second.ask_at - NOW == 4 * DAY  # asking counts too


def test_leaving():
    assert websub.leaving(FRESH, NOW).state is PushState.LEFT  # no hub ever heard of it
    going = websub.leaving(ACTIVE, NOW)
    assert (going.state, going.ask_at) == (PushState.LEAVING, NOW)
    assert going.trusted_until is None
    assert websub.leaving(going, NOW + HOUR) == going


def test_a_hub_that_does_not_let_go_is_left_after_three_questions():
    for answer in (FAILED, answered(500), answered(202)):
        going = websub.leaving(ACTIVE, NOW)
        for _ in range(websub.LEAVE_TRIES):
            assert going.state is PushState.LEAVING
            going = websub.after_answer(websub.asking(going, NOW), answer, NOW)
        assert websub.gives_up_leaving(going).state is PushState.LEFT


# ---------------------------------------------------------------- pushes

BODY = b"<feed/>"


def signature(name, body=BODY, secret=b"s3cret"):
    return f"{name}={hmac.new(secret, body, name).hexdigest()}"


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha384", "sha512"])
def test_every_algorithm_of_the_standard_is_checked(name):
    assert websub.is_signed("s3cret", signature(name), BODY)
    assert websub.is_signed("s3cret", signature(name).upper(), BODY)
    assert not websub.is_signed("s3cret", signature(name), BODY + b" ")
    assert not websub.is_signed("other", signature(name), BODY)
    assert not websub.is_signed("s3cret", signature(name)[:-1], BODY)


@pytest.mark.parametrize(
    "value", [None, "", "sha256", "sha256=", "md5=" + "0" * 32, "=", signature("md5"), "sha256=é", "none="]
)
def test_what_is_no_signature(value):
    assert not websub.is_signed("s3cret", value, BODY)


def test_size_is_judged_before_anything_is_hashed(monkeypatch):
    monkeypatch.setattr(hmac, "new", lambda *_: pytest.fail("hashed"))
    assert not websub.is_signed("s3cret", "sha256=" + "0" * 64, b"x" * (websub.MAX_PUSH + 1))


@pytest.mark.parametrize(
    ("link", "is_ours"),
    [
        (None, True),
        (f"<{TOPIC}>; rel=self", True),
        (f'<{HUB}>; rel="hub", <{TOPIC}>; rel="self"', True),
        (f"<{HUB}>; rel=hub", True),
        ("<https://herald.example/other>; rel=self", False),
    ],
)
def test_a_push_of_another_topic_is_not_ours(link, is_ours):
    assert websub.is_of_topic(ACTIVE, {"link": link} if link else {}) is is_ours


def test_a_replay_is_noticed():
    def push(subscription: Subscription, number: int) -> Subscription:
        after = websub.after_push(subscription, hashlib.sha256(bytes([number])).hexdigest(), NOW)
        assert after is not None
        return after

    subscription = ACTIVE
    for number in range(websub.RECENT):
        subscription = push(subscription, number)
    assert subscription.pushed_at == NOW
    assert websub.after_push(subscription, hashlib.sha256(bytes([0])).hexdigest(), NOW) is None
    subscription = push(subscription, 99)
    assert len(subscription.recent) == websub.RECENT


# ---------------------------------------------------------------- missed pushes


def new(**fields):
    return NewEntry(an_entry(**fields), None, "x")


LATER = NOW + DAY


@pytest.mark.parametrize(
    ("entry", "last_success", "is_miss"),
    [
        (new(published=LATER - HOUR), LATER - 6 * HOUR, True),
        (new(published=LATER - MINUTE), LATER - 6 * HOUR, False),  # the push may be on its way
        (new(published=NOW - HOUR), NOW - 2 * HOUR, False),  # older than the subscription
        (new(published=ago(days=90), updated=LATER - HOUR), LATER - 6 * HOUR, True),
        (new(published=None), LATER - 6 * HOUR, True),
        (new(published=None), NOW - HOUR, False),  # may be older than the subscription
        (new(published=None), None, True),
    ],
)
def test_what_counts_as_missed(entry, last_success, is_miss):
    assert websub.after_poll(ACTIVE, (entry,), last_success, LATER).misses == int(is_miss)
    assert websub.after_poll(ASKED, (entry,), last_success, LATER).misses == 0


def test_after_misses_the_feed_is_polled_as_ever_until_the_next_lease():
    subscription = ACTIVE
    for count in range(1, websub.MISSES + 1):
        assert subscription.trusted_until == NOW + LEASE
        subscription = websub.after_poll(subscription, (new(published=LATER - HOUR),), NOW, LATER)
        assert subscription.misses == count
    assert subscription.trusted_until is None
    assert subscription.reason == "3 polls found what was not pushed"
    renewed = websub.verified(websub.asking(subscription, LATER), query(), LATER)
    assert renewed.trusted_until == LATER + LEASE


def test_a_poll_without_news_is_no_miss():
    assert websub.after_poll(ACTIVE, (), NOW, LATER) == ACTIVE


def test_states_are_frozen_values():
    assert replace(ACTIVE, misses=1) != ACTIVE
