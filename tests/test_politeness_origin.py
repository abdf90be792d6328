"""Politeness as an origin meets it: the real fetcher, parser and scheduler against a scripted one, weeks in seconds.

The rules themselves stand in tables in test_ingest_polling, test_ingest_politeness and test_ingest_hosts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from builders import NOW
from origin import Answer, Asked, Origin, conditional, redirect
from service import Service, an_rss

from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.ingest.changes import feed_changes
from aggregator.ingest.fetch import Fetcher, FetchPolicy
from aggregator.ingest.parse import parse
from aggregator.ingest.polling import MAX_DEMAND, PollPolicy, after_poll, arrivals, fetch_request
from aggregator.pipeline import Pipeline
from aggregator.types import FailureReason, FeedState, Fetched, Health, ParsedFeed

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
IN_TWO_HOURS = "Wed, 04 Mar 2026 14:00:00 GMT"
SIX_A_DAY = "<sy:updatePeriod>daily</sy:updatePeriod><sy:updateFrequency>6</sy:updateFrequency>"
POLICY = PollPolicy()


@dataclass(slots=True)
class Life:
    """One feed from its first poll on, by our clock. `seen` are the fingerprints of its last document."""

    origin: Origin
    fetcher: Fetcher
    state: FeedState
    policy: PollPolicy = POLICY
    now: datetime = NOW
    seen: dict[bytes, int] = field(default_factory=dict)
    polls: list[datetime] = field(default_factory=list)

    async def poll(self) -> FeedState:
        """One poll at once."""
        self.polls.append(self.now)
        outcome = await self.fetcher.fetch(fetch_request(self.state), self.state.body_hash)
        parsed, new = None, ()
        if isinstance(outcome, Fetched):
            kind = outcome.headers.get("content-type")
            parsed = parse(outcome.body, outcome.final_url, kind, frozenset(self.seen), self.now)
        if isinstance(parsed, ParsedFeed):
            changes = feed_changes((), replace(parsed, unchanged=()), self.now)
            new = arrivals(changes, self.now)
            for entry in parsed.entries:
                self.seen.setdefault(entry.fingerprint, len(self.seen))
        self.state = after_poll(self.state, outcome, parsed, self.policy, self.now, new)
        return self.state

    async def on(self, until: datetime) -> None:
        """Poll whenever it is due."""
        while (due := self.state.next_poll_at or self.now) <= until:
            self.now = max(due, self.now)
            await self.poll()

    @property
    def wait(self) -> timedelta:
        assert self.state.next_poll_at is not None
        return self.state.next_poll_at - self.now


def lived(test: Callable[[Life], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with Origin() as origin, Fetcher(FetchPolicy(allow_networks=("127.0.0.0/8",), timeout=5)) as fetcher:
            url = origin.url("/feed")
            return await test(Life(origin, fetcher, FeedState(1, url, url)))

    return asyncio.run(run())


def rss(inside: str = "") -> bytes:
    names = 'xmlns:sy="http://purl.org/rss/1.0/modules/syndication/"'
    return f"<rss version='2.0' {names}><channel><title>Herald</title>{inside}</channel></rss>".encode()


def an_item(number: int, at: datetime) -> tuple[str, str]:
    return f"g{number}", f"Number {number} of {at:%d %B}"


# ---------------------------------------------------------------- validators


@pytest.mark.parametrize(
    "headers",
    [
        (("ETag", '"v1"'), ("Last-Modified", "Tue, 03 Mar 2026 09:00:00 GMT")),
        (("ETag", 'W/"v1"'),),
        (("ETag", "unquoted-v1"),),
        (("ETag", '"two" "words"'),),
        (("ETag", "W/'single'"),),
        (("Last-Modified", "yesterday, about noon"),),
        (("Last-Modified", "Tue, 03 Mar 2026 09:00:00 +0100"),),
    ],
    ids=["both", "weak", "unquoted", "odd quotes", "single quotes", "no date", "odd date"],
)
def test_validators_come_back_to_the_letter(headers):
    async def test(life: Life) -> Asked:
        life.origin.script("/feed", Answer(headers=headers, body=rss()), Answer(304))
        await life.poll()
        await life.poll()
        return life.origin.asked[1]

    asked, sent = lived(test), dict(headers)
    assert asked.header("if-none-match") == sent.get("ETag")
    assert asked.header("if-modified-since") == sent.get("Last-Modified")


def test_a_304_refreshes_both_validators():
    async def test(life: Life) -> list[tuple[str | None, str | None]]:
        first = (("ETag", '"1"'), ("Last-Modified", "Mon, 02 Mar 2026 09:00:00 GMT"))
        second = (("ETag", '"2"'), ("Last-Modified", "Tue, 03 Mar 2026 09:00:00 GMT"))
        life.origin.script("/feed", Answer(headers=first, body=rss()), Answer(304, second), Answer(304))
        for _ in range(4):
            await life.poll()
        return [(asked.header("if-none-match"), asked.header("if-modified-since")) for asked in life.origin.asked]

    after_first, after_304, later = lived(test)[1:]
    assert after_first == ('"1"', "Mon, 02 Mar 2026 09:00:00 GMT")
    assert after_304 == later == ('"2"', "Tue, 03 Mar 2026 09:00:00 GMT")


def test_a_feed_is_asked_unconditionally_once_in_its_life():
    """Whatever happens in between: changes, failures, an answer cut short, a page, a move that is not permanent."""

    async def test(life: Life) -> list[bool]:
        script = [conditional(rss("<ttl>5</ttl>"), '"1"')]
        for number in range(2, 40):
            script += {
                0: [Answer(503, (("Retry-After", "60"),))],
                1: [Answer(headers=(("ETag", '"lies"'),), body=rss("<description>cut</description>"), cut=40)],
                2: [Answer(headers=(("ETag", '"page"'),), body=b"<html><body>Sorry</body></html>")],
                3: [Answer(404)],
                4: [Answer(410)],
                5: [Answer(403, (("cf-mitigated", "challenge"),))],
            }.get(number % 7, [])
            script.append(conditional(rss(f"<description>{number}</description>"), f'"{number}"'))
        life.origin.script("/feed", *script)
        for _ in script:
            await life.poll()
        assert life.state.health is Health.OK
        return [asked.header("if-none-match") is None for asked in life.origin.asked]

    unconditional = lived(test)
    assert unconditional[0]
    assert sum(unconditional) == 1


def test_without_validators_the_body_tells():
    async def test(life: Life) -> tuple[list[datetime | None], datetime | None]:
        same, other = Answer(body=rss()), Answer(body=rss("<description>new</description>"))
        life.origin.script("/feed", same, same, same, other)
        changed = []
        for _ in range(4):
            life.now += HOUR
            changed.append((await life.poll()).last_change_at)
        return changed, life.now

    changed, last = lived(test)
    assert changed == [last - 3 * HOUR] * 3 + [last]


# ---------------------------------------------------------------- wishes


@pytest.mark.parametrize(
    ("headers", "inside", "wait", "why"),
    [
        ({"Cache-Control": "max-age=7200"}, "", 2 * HOUR, "cache-control max-age=7200"),
        ({"Cache-Control": "max-age=9000", "Age": "1800"}, "", 2 * HOUR, "cache-control max-age=9000"),
        ({"Cache-Control": "max-age=31536000"}, "", 6 * HOUR, "cache-control max-age=31536000"),
        ({"Expires": IN_TWO_HOURS}, "", 2 * HOUR, "expires header"),
        ({"Expires": IN_TWO_HOURS, "Date": "Wed, 04 Mar 2026 11:00:00 GMT"}, "", 3 * HOUR, "expires header"),
        ({"Cache-Control": "no-cache", "Expires": IN_TWO_HOURS}, "<ttl>90</ttl>", 90 * MINUTE, "ttl 90 min"),
        ({}, "<ttl>180</ttl>", 3 * HOUR, "ttl 180 min"),
        ({}, "<ttl>20160</ttl>", DAY, "ttl 20160 min"),
        (
            {},
            SIX_A_DAY,
            4 * HOUR,
            "sy:updatePeriod 240 min",
        ),
        (
            {},
            f"{SIX_A_DAY}<sy:updateBase>2000-01-01T14:30+00:00</sy:updateBase>",
            2.5 * HOUR,
            "sy:updatePeriod 240 min",
        ),
        ({}, "<skipHours><hour>12</hour><hour>13</hour></skipHours>", 2 * HOUR, "skipHours or skipDays of the feed"),
        ({}, "<skipDays><day>Wednesday</day></skipDays>", 12 * HOUR, "skipHours or skipDays of the feed"),
        ({"Retry-After": "7200"}, "", 2 * HOUR, "retry-after 7200"),
        ({"Retry-After": IN_TWO_HOURS, "Date": "Wed, 04 Mar 2026 12:00:00 GMT"}, "", 2 * HOUR, "retry-after Wed"),
        ({"Retry-After": "9999999"}, "", MAX_DEMAND, "retry-after 9999999"),
        ({"RateLimit": '"default";r=0;t=7200'}, "", 2 * HOUR, "rate limit used up"),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "7200"}, "", 2 * HOUR, "rate limit used up"),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7200"}, "", 2 * HOUR, "rate limit used up"),
        ({"X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "7200"}, "", 30 * MINUTE, "rhythm"),
    ],
)
@pytest.mark.parametrize("is_later", [False, True], ids=["document", "304"])
def test_what_headers_and_document_wish_is_kept_and_named(headers, inside, wait, why, is_later):
    async def test(life: Life) -> tuple[timedelta, str | None]:
        sent = (*headers.items(), ("ETag", '"1"'))
        life.origin.script("/feed", Answer(headers=sent, body=rss(inside)), Answer(304, sent))
        await life.poll()
        if is_later:
            await life.poll()
        return life.wait, life.state.next_poll_why

    waited, said = lived(test)
    assert why in said
    assert abs(waited - wait) <= wait * 0.06  # a rhythm spreads by a twentieth


@pytest.mark.parametrize("status", [200, 304, 403, 404, 410, 429, 500, 503])
@pytest.mark.parametrize("value", ["172800", "Fri, 06 Mar 2026 12:00:00 GMT"], ids=["seconds", "date"])
def test_retry_after_is_kept_on_any_status(status, value):
    async def test(life: Life) -> timedelta:
        asked = (("Retry-After", value), ("Date", "Wed, 04 Mar 2026 12:00:00 GMT"))
        first = Answer(headers=(("ETag", '"1"'),), body=rss())
        body = rss("<description>new</description>") if status == 200 else b""
        life.origin.script("/feed", first, Answer(status, asked, body=body))
        await life.poll()
        await life.poll()
        return life.wait

    waited = lived(test)
    assert waited >= 2 * DAY if status != 410 else waited > 28 * DAY


def test_every_of_the_operator_wins_over_wishes_and_not_over_demands():
    async def test(life: Life) -> list[timedelta]:
        life.policy = POLICY.of_source(15 * MINUTE)
        wishes = (("Cache-Control", "max-age=86400"),)
        life.origin.script(
            "/feed", Answer(headers=wishes, body=rss("<ttl>600</ttl>")), Answer(200, (("Retry-After", "3600"),), rss())
        )
        waits = []
        for _ in range(2):
            await life.poll()
            waits.append(life.wait)
        return waits

    assert lived(test) == [15 * MINUTE, HOUR]


# ---------------------------------------------------------------- rhythm


def test_a_feed_is_asked_by_its_own_week():
    """Hourly in office hours, nothing at night and at week-ends: after three weeks the polls lie where the news is."""

    async def test(life: Life) -> list[datetime]:
        published: list[datetime] = []

        def answer(_: Asked) -> Answer:
            while (at := (published[-1] if published else NOW - DAY) + HOUR) <= life.now:
                published.append(at)
            items = [
                f"<item><guid>{at:%d%H}</guid><title>At {at:%d %H}</title><pubDate>{at:%a, %d %b %Y %H:%M:%S GMT}"
                "</pubDate></item>"
                for at in published[-400:]
                if at.weekday() < 5 and 8 <= at.hour < 18
            ]
            return conditional(rss("".join(items[-30:])), f'"{len(items)}-{items[-1][:30] if items else 0}"')(_)

        life.origin.script("/feed", answer)
        await life.on(NOW + 28 * DAY)
        return [at for at in life.polls if at > NOW + 21 * DAY]

    polls = lived(test)
    office = [at for at in polls if at.weekday() < 5 and 8 <= at.hour < 18]
    weekend = [at for at in polls if at.weekday() >= 5]
    night = [at for at in polls if at.weekday() < 5 and not 6 <= at.hour < 20]
    assert len(office) / 50 > 3 * len(night) / 50
    assert len(office) / 50 > 3 * len(weekend) / 48
    gaps = [later - earlier for earlier, later in pairwise(polls)]
    assert min(gaps) >= POLICY.fastest
    assert max(gaps) <= POLICY.slowest


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("answer", "health", "reason"),
    [
        (Answer(403), Health.BLOCKED, FailureReason.BLOCKED),
        (Answer(429), Health.BLOCKED, FailureReason.BLOCKED),
        (Answer(503, (("cf-mitigated", "challenge"),)), Health.BLOCKED, FailureReason.BLOCKED),
        (
            Answer(headers=(("Content-Type", "text/html"),), body=b"<html><title>Just a moment...</title></html>"),
            Health.BLOCKED,
            FailureReason.BLOCKED,
        ),
        (Answer(404), Health.FAILING, FailureReason.HTTP),
        (Answer(500), Health.FAILING, FailureReason.HTTP),
        (Answer(body=b"<html><body>Hello</body></html>"), Health.FAILING, FailureReason.NOT_A_FEED),
        (Answer(raw=b"what is HTTP?"), Health.FAILING, FailureReason.PROTOCOL),
        (Answer(body=rss(), cut=9), Health.FAILING, FailureReason.TRUNCATED),
        (Answer(410), Health.GONE, FailureReason.GONE),
    ],
)
def test_blocked_broken_and_gone_are_told_apart_and_none_is_dead_for_ever(answer, health, reason):
    async def test(life: Life) -> tuple[list[Any], list[timedelta], Health]:
        life.origin.script("/feed", answer)
        kinds, waits = [], []
        for _ in range(12):
            await life.poll()
            kinds.append((life.state.health, life.state.failure_reason))
            waits.append(life.wait)
            life.now += life.wait
        life.origin.script("/feed", Answer(body=rss()))
        await life.poll()
        return kinds, waits, life.state.health

    kinds, waits, in_the_end = lived(test)
    assert set(kinds) == {(health, reason)}
    assert in_the_end is Health.OK
    if health is Health.GONE:
        assert all(28 * DAY <= wait <= 30 * DAY for wait in waits)
    else:
        assert waits[0] <= (HOUR if health is Health.BLOCKED else 30 * MINUTE)
        assert all(later > earlier for earlier, later in pairwise(waits[:5]))
        assert all(19 * HOUR < wait <= DAY for wait in waits[-4:])


def test_what_cannot_be_reached_is_broken():
    async def test(life: Life) -> list[FailureReason | None]:
        await life.origin.stop()
        reasons = [(await life.poll()).failure_reason]
        life.state = replace(life.state, current_url=life.state.current_url.replace("http:", "https:"))
        await life.origin.start()
        reasons.append((await life.poll()).failure_reason)
        return reasons

    assert lived(test) == [FailureReason.CONNECT, FailureReason.TLS]


@pytest.mark.parametrize("status", [301, 308])
def test_a_move_is_adopted_after_days_and_taken_back_when_it_was_wrong(status):
    async def test(life: Life) -> tuple[list[str], str, str]:
        new = life.origin.script("/new", conditional(rss()))
        life.origin.script("/feed", conditional(rss()))
        await life.poll()
        life.origin.script("/feed", redirect("/new", status))
        addresses = []
        for _ in range(6):
            life.now += 18 * HOUR
            addresses.append((await life.poll()).current_url)
        before = len(life.origin.asked_for("/feed"))
        await life.poll()
        assert len(life.origin.asked_for("/feed")) == before  # asked where it is now
        life.origin.script("/new", Answer(404))
        life.origin.script("/feed", conditional(rss()))
        for _ in range(3):
            await life.poll()
        back = life.state.current_url
        assert (await life.poll()).health is Health.OK
        assert life.state.memory["moved"]["why"] == "the new address fails"
        return addresses, back, new

    addresses, back, new = lived(test)
    assert addresses == [back] * 3 + [new] * 3
    assert back.endswith("/feed")


@pytest.mark.parametrize(
    "answer",
    [redirect("/new", 302), redirect("/new", 307), redirect("/", 301)],
    ids=["302", "307", "to the home page"],
)
def test_a_redirect_that_is_not_a_move_is_not_believed(answer):
    async def test(life: Life) -> tuple[str, str]:
        life.origin.script("/new", conditional(rss()))
        life.origin.script("/", Answer(body=b"<html><body>Welcome</body></html>"))
        life.origin.script("/feed", answer)
        for _ in range(20):
            life.now += DAY
            await life.poll()
        return life.state.current_url, life.state.url

    now_at, configured = lived(test)
    assert now_at == configured


# ---------------------------------------------------------------- hosts


def through_a_proxy(folder: Path, script: Mapping[str, Answer], test: Callable[..., Awaitable[Any]]) -> Any:
    """`test` with a function that opens a pipeline on feeds of public names, all of them answered by one proxy on
    loopback: hosts of our own networks would be exempt."""

    async def run() -> Any:
        async with Origin() as origin:
            times: list[tuple[str, float]] = []

            def timed(answer: Answer) -> Callable[[Asked], Answer]:
                def note(asked: Asked) -> Answer:
                    times.append((asked.target, monotonic()))
                    return answer

                return note

            for url, answer in script.items():
                origin.script(url, timed(answer))
            polling = {"every": "30m", "fastest": "5m", "slowest": "24h", "per_host": 4}
            service = Service(folder, list(script), polling=polling, fetch={"proxy": origin.url("")})
            config = configuration.load(service.config, {})
            return await test(lambda: Pipeline.opened(config, log(), parsers=1), times)

    return asyncio.run(run())


def test_feeds_of_one_host_are_asked_a_second_apart_and_others_at_once(tmp_path):
    script = {f"http://busy.example/{n}": Answer(body=an_rss((f"b{n}", f"Busy {n}"))) for n in range(3)}
    script["http://calm.example/feed"] = Answer(body=an_rss(("c", "Calm")))

    async def test(opened: Any, times: list[tuple[str, float]]) -> list[tuple[str, float]]:
        async with opened() as pipeline:
            await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))
            await pipeline.stop()
        return times

    times = through_a_proxy(tmp_path, script, test)
    busy = [at for url, at in times if "busy" in url]
    assert len(busy) == 3
    assert min(later - earlier for earlier, later in pairwise(busy)) > 0.9
    assert times.index(next(one for one in times if "calm" in one[0])) < 2


def test_a_429_slows_a_host_down_and_a_restart_does_not_forget_it(tmp_path):
    script = {f"http://strict.example/{n}": Answer(429, (("Retry-After", "3600"),)) for n in range(3)}

    async def test(opened: Any, times: list[tuple[str, float]]) -> tuple[int, list[Any], Any]:
        async with opened() as pipeline:
            await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))
            await pipeline.stop()
        first = len(times)
        async with opened() as pipeline:
            memory = pipeline.store.host_memory()
            await pipeline.poll_due()
            await pipeline.poller.wait()
            feeds = pipeline.store.feeds()
            await pipeline.stop()
        return first, [feed.next_poll_why for feed in feeds] + [len(times)], memory["strict.example"]

    first, (*whys, asked), memory = through_a_proxy(tmp_path, script, test)
    assert first == asked == 1  # the first 429 is the last question for an hour
    assert memory["spacing"] == 5.0
    assert sorted(whys) == ["retry-after 3600", *["strict.example asks for patience"] * 2]
