"""What headers and documents ask of us, and what we make of those that make no sense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from builders import NOW

from aggregator.ingest.politeness import after_quiet, document_wish, freshness, quota, quota_wish, retry_after
from aggregator.types import FeedHints

HTTP_NOW = "Wed, 04 Mar 2026 12:00:00 GMT"
IN_AN_HOUR = "Wed, 04 Mar 2026 13:00:00 GMT"


def seconds(wish):
    return wish and wish.wait.total_seconds()


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"cache-control": "max-age=600"}, 600),
        ({"cache-control": "public, Max-Age = 600, must-revalidate"}, 600),
        ({"cache-control": 'max-age="600"'}, 600),
        ({"cache-control": "max-age=600", "age": "200"}, 400),
        ({"cache-control": "max-age=600", "age": "900"}, None),
        ({"cache-control": "max-age=600", "expires": "Thu, 05 Mar 2026 12:00:00 GMT"}, 600),
        ({"cache-control": "max-age=0", "expires": IN_AN_HOUR}, None),
        ({"cache-control": "no-cache, max-age=600"}, None),
        ({"cache-control": "no-store", "expires": IN_AN_HOUR}, None),
        ({"cache-control": "s-maxage=600"}, None),
        ({"cache-control": "max-age=soon", "expires": IN_AN_HOUR}, 3600),
        ({"cache-control": "max-age=-1"}, None),
        ({"expires": IN_AN_HOUR}, 3600),
        ({"expires": IN_AN_HOUR, "date": "Wed, 04 Mar 2026 12:30:00 GMT"}, 1800),
        ({"expires": IN_AN_HOUR, "date": "rubbish"}, 3600),
        ({"expires": "Wednesday, 04-Mar-26 13:00:00 GMT"}, 3600),
        ({"expires": "0"}, None),
        ({"expires": "-1"}, None),
        ({"expires": "Wed, 04 Mar 2026 11:00:00 GMT"}, None),
        ({"expires": "Wed, 99 Foo 99999 99:99:99 GMT"}, None),
        ({}, None),
    ],
)
def test_freshness(headers, wait):
    assert seconds(freshness(headers, NOW)) == wait


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": " 120 "}, 120),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": IN_AN_HOUR}, 3600),
        ({"retry-after": IN_AN_HOUR, "date": "Wed, 04 Mar 2026 12:59:00 GMT"}, 60),
        ({"retry-after": HTTP_NOW}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": "9" * 400}, None),
        ({}, None),
    ],
)
def test_retry_after(headers, wait):
    assert seconds(retry_after(headers, NOW)) == wait


EPOCH = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("headers", "left", "reset"),
    [
        ({"ratelimit-remaining": "3", "ratelimit-reset": "60"}, 3, 60),
        ({"x-ratelimit-remaining": "98.0", "x-ratelimit-reset": "301"}, 98, 301),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 90)}, 0, 90),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str((EPOCH + 90) * 1000)}, 0, 90),
        ({"x-rate-limit-remaining": "1", "x-rate-limit-reset": "5"}, 1, 5),
        ({"ratelimit": "limit=100, remaining=7, reset=30"}, 7, 30),
        ({"ratelimit": '"default";r=2;t=15'}, 2, 15),
        ({"ratelimit-remaining": "0", "ratelimit-reset": IN_AN_HOUR}, 0, 3600),
    ],
)
def test_quota(headers, left, reset):
    assert quota(headers, NOW) == (left, timedelta(seconds=reset))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ratelimit-remaining": "3"},
        {"x-ratelimit-reset": "5"},
        {"ratelimit-remaining": "x", "ratelimit-reset": "5"},
    ],
)
def test_half_a_quota_is_none(headers):
    assert quota(headers, NOW) is None


def test_only_a_quota_used_up_makes_us_wait():
    assert seconds(quota_wish({"ratelimit-remaining": "0", "ratelimit-reset": "60"}, NOW)) == 60
    assert quota_wish({"ratelimit-remaining": "1", "ratelimit-reset": "60"}, NOW) is None


@pytest.mark.parametrize(
    ("hints", "wait"),
    [
        (FeedHints(), None),
        (FeedHints(ttl=3600), 3600),
        (FeedHints(ttl=0), None),
        (FeedHints(update_every=7200), 7200),
        (FeedHints(ttl=3600, update_every=7200), 7200),
        (FeedHints(update_every=3600, update_base=datetime(2000, 1, 1, 12, 20, tzinfo=UTC)), 1200),
        (FeedHints(update_every=3600, update_base=datetime(2027, 1, 1, 12, 20, tzinfo=UTC)), 1200),
    ],
)
def test_the_document_asks(hints, wait):
    assert seconds(document_wish(hints, NOW)) == wait


@pytest.mark.parametrize(
    ("hours", "days", "due", "expected"),
    [
        ((), (), "2026-03-04T12:10", "2026-03-04T12:10"),
        ((13,), (), "2026-03-04T12:10", "2026-03-04T12:10"),
        ((12,), (), "2026-03-04T12:10", "2026-03-04T13:00"),
        ((22, 23, 0, 1), (), "2026-03-04T22:10", "2026-03-05T02:00"),
        ((), (2,), "2026-03-04T12:10", "2026-03-05T00:00"),
        ((0, 1), (5, 6), "2026-03-07T12:10", "2026-03-09T02:00"),  # a Saturday
        (tuple(range(24)), (), "2026-03-04T12:10", "2026-03-04T12:10"),
        ((), tuple(range(7)), "2026-03-04T12:10", "2026-03-04T12:10"),
    ],
)
def test_quiet_hours_and_days_are_kept(hours, days, due, expected):
    moment = datetime.fromisoformat(due).replace(tzinfo=UTC)
    later = after_quiet(FeedHints(skip_hours=hours, skip_days=days), moment)
    assert later.strftime("%Y-%m-%dT%H:%M") == expected
