"""Asking real sockets on loopback: what goes out, what comes back, and what an origin can do about it."""

from __future__ import annotations

import asyncio
import gc
import gzip
import hashlib
import logging
import ssl
import subprocess
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from origin import Answer, Asked, Origin, conditional, gzipped, redirect

from aggregator.ingest import names
from aggregator.ingest.coding import STEP, Body, BodyError
from aggregator.ingest.fetch import Fetcher, FetchPolicy
from aggregator.types import FailureReason, Fetched, FetchFailed, FetchOutcome, FetchRequest, NotModified, Validators

LOOPBACK = ("127.0.0.0/8", "::1/128")
RSS = b"<rss version='2.0'><channel><title>Herald</title></channel></rss>"


def run(test: Callable[[Origin, Fetcher], Awaitable[Any]], **policy: Any) -> Any:
    """`test` against an origin and a fetcher that may reach it."""
    policy.setdefault("allow_networks", LOOPBACK)
    policy.setdefault("timeout", 5.0)

    async def main() -> Any:
        async with Origin() as origin, Fetcher(FetchPolicy(**policy)) as fetcher:
            return await test(origin, fetcher)

    return asyncio.run(main())


def outcome(*answers: Any, **policy: Any) -> FetchOutcome:
    """What one fetch of a feed that gives `answers` comes to."""
    return run(lambda origin, fetcher: fetcher.fetch(FetchRequest(origin.script("/feed", *answers))), **policy)


# ---------------------------------------------------------------- what goes out


def test_we_say_who_we_are_and_what_we_read():
    async def test(origin, fetcher):
        await fetcher.fetch(FetchRequest(origin.script("/feed", Answer(body=RSS))))
        return origin.asked[0]

    asked = run(test, contact="https://monkey.example/about")
    assert asked.method == "GET"
    assert asked.header("user-agent") == "BusinessMonkeyNews/0.1 (+https://monkey.example/about)"
    assert asked.header("accept-encoding") == "gzip"
    assert asked.header("accept").startswith("application/atom+xml, application/rss+xml, application/feed+json")
    assert asked.raw("cookie") is None


@pytest.mark.parametrize(
    "etag",
    [
        *(b'"plain"', b'W/"weak"', b"unquoted", b'"with \\"quotes\\""', b'""', b"W/unquoted", b"'single'", b'"a, b"'),
        *('"größe"'.encode(), b'"half', b'"68f7-gzip"', b"0"),
    ],
)
def test_validators_go_back_byte_for_byte(etag):
    date = b"Tue, 3 Mar 2026 9:05:00 +0000"  # no HTTP date, but theirs

    async def test(origin, fetcher):
        url = origin.script("/feed", Answer(headers=(("ETag", etag), ("Last-Modified", date)), body=RSS), Answer(304))
        first = await fetcher.fetch(FetchRequest(url))
        second = await fetcher.fetch(FetchRequest(url, first.validators))
        return second, origin.asked[1]

    second, asked = run(test)
    assert isinstance(second, NotModified)
    assert asked.raw("if-none-match") == etag
    assert asked.raw("if-modified-since") == date


def test_a_validator_that_could_not_go_back_untouched_is_left_out():
    answer = Answer(headers=(("ETag", b'"\xe9\xff"'), ("Last-Modified", "x" * 1001)), body=RSS)
    assert outcome(answer).validators == Validators(None, None)


def test_own_headers_go_to_their_origin_and_may_rename_us():
    async def test(origin, fetcher):
        url = origin.script("/feed", redirect("/elsewhere", 302))
        origin.script("/elsewhere", Answer(body=RSS))
        secrets = (("Authorization", "Basic Zm9vOmJhcg=="), ("user-agent", "Odd/1"), ("Accept-Encoding", "br"))
        await fetcher.fetch(FetchRequest(url, headers=secrets))
        return origin.asked

    for asked in run(test):  # the same origin, so the second hop has them too
        assert asked.header("authorization") == "Basic Zm9vOmJhcg=="
        assert [value for name, value in asked.headers if name.lower() == "user-agent"] == [b"Odd/1"]
        assert asked.header("accept-encoding") == "gzip"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_secrets_stay_when_a_redirect_leaves(status):
    async def test(origin, fetcher):
        async with Origin() as other:
            url = origin.script("/feed", redirect(other.script("/feed", Answer(body=RSS)), status))
            await fetcher.fetch(FetchRequest(url, headers=(("Authorization", "Bearer s3cret"), ("X-Key", "s3cret"))))
            return origin.asked[0], other.asked[0]

    first, second = run(test)
    assert first.header("authorization") == "Bearer s3cret"
    assert b"s3cret" not in b"".join(value for _, value in second.headers)


def test_cookies_are_not_kept():
    async def test(origin, fetcher):
        url = origin.script("/feed", Answer(headers=(("Set-Cookie", "id=1; Path=/"),), body=RSS))
        await fetcher.fetch(FetchRequest(url))
        await fetcher.fetch(FetchRequest(url))
        return origin.asked

    assert [asked.raw("cookie") for asked in run(test)] == [None, None]


def test_a_url_goes_out_as_it_was_written():
    target = "/feed/%7Efoo?a=%2Fb&c=d+e&f=[1]&g=%C3%BC"

    async def test(origin, fetcher):
        await fetcher.fetch(FetchRequest(origin.url(target)))
        return origin.asked[0].target

    assert run(test) == target.replace("[1]", "%5B1%5D") or run(test) == target


# ---------------------------------------------------------------- not modified


def test_304_keeps_validators_and_takes_new_ones():
    async def test(origin, fetcher):
        url = origin.script("/feed", Answer(304, (("ETag", '"new"'),)))
        return await fetcher.fetch(FetchRequest(url, Validators('"old"', "Tue, 03 Mar 2026 09:05:00 GMT")))

    assert run(test).validators == Validators('"new"', "Tue, 03 Mar 2026 09:05:00 GMT")


def test_a_304_nobody_asked_for_is_a_failure():
    failed = outcome(Answer(304))
    assert isinstance(failed, FetchFailed)
    assert (failed.reason, failed.status) == (FailureReason.PROTOCOL, 304)


def test_the_same_body_is_not_modified_and_its_new_validators_count():
    async def test(origin, fetcher):
        url = origin.script("/feed", Answer(body=RSS), Answer(headers=(("ETag", '"late"'),), body=RSS))
        first = await fetcher.fetch(FetchRequest(url))
        return first, await fetcher.fetch(FetchRequest(url), first.body_hash)

    first, second = run(test)
    assert isinstance(first, Fetched)
    assert len(first.body_hash) == 16
    assert isinstance(second, NotModified)
    assert (second.status, second.validators.etag) == (200, '"late"')


def test_one_unconditional_question_in_a_life():
    async def test(origin, fetcher):
        url = origin.script("/feed", conditional(RSS))
        validators = Validators()
        for _ in range(5):
            validators = (await fetcher.fetch(FetchRequest(url, validators))).validators
        return origin

    origin = run(test)
    assert [asked.raw("if-none-match") for asked in origin.asked] == [None] + [b'"1"'] * 4
    assert origin.connections == 1


def test_validators_are_kept_from_documents_they_are_not_of():
    async def test(origin, fetcher):
        url = origin.script("/feed", redirect("/new?sig=2", 302))
        origin.script("/new?sig=2", Answer(304))
        of_this = FetchRequest(url, Validators('"1"'), validated_url=origin.url("/new?sig=1"))
        of_other = FetchRequest(url, Validators('"1"'), validated_url=origin.url("/old"))
        outcomes = [await fetcher.fetch(request) for request in (of_this, of_other)]
        return outcomes, [asked.raw("if-none-match") for asked in origin.asked]

    (first, second), sent = run(test)
    assert isinstance(first, NotModified)
    assert isinstance(second, FetchFailed)
    assert sent == [None, b'"1"', None, None]


# ---------------------------------------------------------------- redirects


@pytest.mark.parametrize(
    ("statuses", "permanent"),
    [((301,), "/1"), ((308, 301), "/2"), ((302,), None), ((301, 302), "/1"), ((302, 301), None), ((303, 308), None)],
)
def test_permanent_is_the_unbroken_run_from_the_start(statuses, permanent):
    async def test(origin, fetcher):
        for number, status in enumerate(statuses):
            origin.script(f"/{number}", redirect(f"/{number + 1}", status))
        origin.script(f"/{len(statuses)}", Answer(body=RSS))
        return origin, await fetcher.fetch(FetchRequest(origin.url("/0")))

    origin, fetched = run(test)
    assert fetched.final_url == origin.url(f"/{len(statuses)}")
    assert fetched.permanent_url == (permanent and origin.url(permanent))


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("/feed", "circle"),
        ("", "without a Location"),
        ("file:///etc/passwd", "no http(s) address"),
        ("ftp://example.org/", "no http(s) address"),
        ("javascript:alert(1)", "no http(s) address"),
        ("http://user:word@127.0.0.1/", "no http(s) address"),
        ("http://[::1", "no http(s) address"),
    ],
)
def test_redirects_to_nowhere(location, says):
    failed = outcome(redirect(location))
    assert failed.reason is FailureReason.REDIRECTS
    assert says in failed.detail


def test_redirects_have_an_end():
    async def test(origin, fetcher):
        for number in range(10):
            origin.script(f"/{number}", redirect(f"/{number + 1}"))
        return await fetcher.fetch(FetchRequest(origin.url("/0"))), len(origin.asked)

    failed, asked = run(test, max_redirects=3)
    assert (failed.reason, asked) == (FailureReason.REDIRECTS, 4)


@pytest.mark.parametrize(
    ("location", "target"),
    [(b"/caf\xc3\xa9", "/caf%C3%A9"), (b"/caf\xe9", "/caf%E9"), (b"next#top", "/dir/next"), (b"?q=1", "/dir/feed?q=1")],
)
def test_locations_are_read_generously(location, target):
    async def test(origin, fetcher):
        origin.script("/dir/feed", redirect(location))
        origin.script(target, Answer(body=RSS))
        return await fetcher.fetch(FetchRequest(origin.url("/dir/feed"))), origin.asked[-1].target

    fetched, asked = run(test)
    assert isinstance(fetched, Fetched)
    assert asked == target


def test_a_redirect_on_one_host_keeps_the_connection():
    async def test(origin, fetcher):
        url = origin.script("/feed", Answer(302, (("Location", "/there"),), body=b"<a href=/there>moved</a>"))
        origin.script("/there", Answer(body=RSS))
        await fetcher.fetch(FetchRequest(url))
        return origin.connections

    assert run(test) == 1


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "0x7f.1", "127.1", "2130706433", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0"],
)
def test_no_spelling_of_loopback_reaches_a_canary(host):
    async def test(origin, fetcher):
        failed = await fetcher.fetch(FetchRequest(origin.url("/", host=host)))
        return failed, origin.connections

    failed, connections = run(test, allow_networks=())
    assert failed.reason in (FailureReason.ADDRESS, FailureReason.BAD_URL)
    assert connections == 0


def test_redirects_inside_are_refused_and_say_how_to_allow_them():
    async def test(origin, fetcher):
        async with Origin(host="127.0.0.2") as canary:
            failed = await fetcher.fetch(FetchRequest(origin.script("/feed", redirect(canary.url("/")))))
            return failed, canary.connections

    failed, connections = run(test, allow_networks=("127.0.0.1/32",))
    assert failed.reason is FailureReason.ADDRESS
    assert failed.detail == "address not allowed: 127.0.0.2 is loopback, see fetch.allow_networks"
    assert failed.final_url.startswith("http://127.0.0.2")
    assert connections == 0


def test_a_name_with_addresses_inside_and_out_of_bounds_is_refused_as_a_whole_or_reached_outside(monkeypatch):
    """What counts is the address a socket is made for, not what a look-up said a moment ago."""
    answers = iter(["127.0.0.1", "127.0.0.2"])
    monkeypatch.setattr(names, "_look_up", lambda host: [(2, 1, 6, "", (next(answers), 0))])

    async def test(origin, fetcher):
        origin.script("/", Answer(body=RSS, close=True))
        first = await fetcher.fetch(FetchRequest(origin.url("/", host="rebind.example")))
        fetcher._names.forget()
        async with Origin(host="127.0.0.2", port=origin.port) as canary:
            second = await fetcher.fetch(FetchRequest(origin.url("/", host="rebind.example")))
            return first, second, canary.connections

    first, second, connections = run(test, allow_networks=("127.0.0.1/32",))
    assert isinstance(first, Fetched)
    assert second.reason is FailureReason.ADDRESS
    assert connections == 0


@pytest.mark.parametrize(
    "url", ["", "example.org/feed", "ftp://example.org/", "file:///etc/passwd", "http://", "http://u:p@example.org/"]
)
def test_what_is_no_web_address_is_said_so(url):
    failed = run(lambda _, fetcher: fetcher.fetch(FetchRequest(url)))
    assert failed.reason is FailureReason.BAD_URL


# ---------------------------------------------------------------- bodies


def test_gzip_is_decoded():
    fetched = outcome(gzipped(RSS))
    assert fetched.body == RSS


def test_chunked_and_unbounded_bodies_are_whole():
    assert outcome(Answer(body=RSS * 50, chunked=True)).body == RSS * 50
    assert outcome(Answer(body=RSS, length=None)).body == RSS


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=RSS, length=len(RSS) + 10, close=True),
        Answer(body=RSS * 100, cut=500),
        Answer(body=RSS * 100, chunked=True, cut=500),
        Answer(headers=(("Content-Encoding", "gzip"),), body=gzip.compress(RSS)[:-9]),
        Answer(headers=(("Content-Encoding", "gzip"),), body=gzip.compress(RSS)[:-9], length=None),
        Answer(headers=(("Content-Encoding", "gzip"),), body=gzip.compress(RSS)[:1]),
        Answer(headers=(("Content-Encoding", "gzip"),), body=gzip.compress(RSS) + gzip.compress(RSS)[:-1]),
    ],
    ids=["length", "cut", "chunked", "gzip", "gzip-unbounded", "gzip-one-byte", "second-member"],
)
def test_a_body_cut_short_is_a_failure(answer):
    failed = outcome(answer)
    assert (failed.reason, failed.status) == (FailureReason.TRUNCATED, 200)


def test_gzip_in_members_and_with_padding_is_read():
    parts = gzip.compress(b"<rss>") + gzip.compress(b"</rss>") + b"\0" * 20
    assert outcome(Answer(headers=(("Content-Encoding", "x-gzip"),), body=parts)).body == b"<rss></rss>"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("br", RSS),
        ("deflate", zlib.compress(RSS)),
        ("gzip, gzip", RSS),
        ("gzip", RSS),
        ("gzip", b"\x1f\x8b\x08garbage!"),
    ],
)
def test_other_codings_are_refused(coding, body):
    assert outcome(Answer(headers=(("Content-Encoding", coding),), body=body)).reason is FailureReason.CODING


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"x" * 20_001),
        Answer(body=b"x", length=20_001),
        Answer(body=b"x" * 20_001, chunked=True),
        gzipped(b" " * 50_000_000),
        Answer(headers=(("Content-Encoding", "gzip"),), body=gzip.compress(b"") * 2_000),
    ],
    ids=["sent", "announced", "chunked", "bomb", "empty-members"],
)
def test_what_is_too_large_is_not_taken_in(answer):
    failed = outcome(answer, max_body=20_000)
    assert failed.reason in (FailureReason.TOO_LARGE, FailureReason.CODING)
    assert failed.took < 2


def test_a_bomb_goes_off_in_small_steps():
    body, steps = Body("gzip", 10_000_000), 0
    for _ in body.steps(gzip.compress(b" " * 5_000_000)):
        steps += 1
    assert steps >= 5_000_000 // STEP
    assert body.whole() == b" " * 5_000_000
    assert body.digest() == hashlib.blake2b(body.whole(), digest_size=16).digest()


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_body_that_ends_on_a_step_is_whole(extra):
    document = bytes(2 * STEP + extra)
    body = Body("gzip", 10_000_000)
    body.add(gzip.compress(document))
    assert body.whole() == document


def test_a_failed_body_is_let_go_at_once():
    async def test(origin, fetcher):
        url = origin.script("/feed", gzipped(b" " * 50_000_000))
        await fetcher.fetch(FetchRequest(url))
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            failed = await fetcher.fetch(FetchRequest(url))
            return failed, tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
            gc.enable()

    failed, kept = run(test)
    assert failed.reason is FailureReason.TOO_LARGE
    assert kept < 2_000_000


def test_large_bodies_wait_for_one_another_and_all_come_through():
    async def test(origin, fetcher):
        url = origin.script("/feed", Answer(body=b"<rss/>" + b"x" * 2_000_000))
        return await asyncio.gather(*(fetcher.fetch(FetchRequest(url)) for _ in range(20)))

    assert {len(one.body) for one in run(test)} == {2_000_006}


def test_a_body_of_exactly_the_cap_fits():
    body = b"x" * 20_000
    assert outcome(Answer(body=body), max_body=20_000).body == body
    assert outcome(gzipped(body), max_body=20_000).body == body


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_gzip_decodes_however_it_is_cut_into_chunks(size):
    data, body = gzip.compress(RSS * 20) + gzip.compress(RSS), Body("gzip", 100_000)
    for start in range(0, len(data), size):
        body.add(data[start : start + size])
    assert body.whole() == RSS * 21


def test_a_flood_of_members_is_a_bomb():
    body = Body("gzip", 10_000_000)
    with pytest.raises(BodyError, match="members"):
        body.add(gzip.compress(b"") * 200)


@pytest.mark.parametrize("body", [b"", b"  \n", gzip.compress(b"", mtime=0)])
def test_nothing_is_no_document(body):
    headers = (("Content-Encoding", "gzip"),) if body.startswith(b"\x1f") else ()
    assert outcome(Answer(headers=headers, body=body)).reason is FailureReason.EMPTY


# ---------------------------------------------------------------- refusals and breakage


@pytest.mark.parametrize(
    ("answer", "reason", "says"),
    [
        (Answer(410), FailureReason.GONE, "410"),
        (Answer(403), FailureReason.BLOCKED, "403"),
        (Answer(429, (("Retry-After", "60"),)), FailureReason.BLOCKED, "slow down"),
        (Answer(404), FailureReason.HTTP, "404: no feed at this address"),
        (Answer(401), FailureReason.HTTP, "auth"),
        (Answer(500, reason="Oh  dear"), FailureReason.HTTP, "500: Oh dear"),
        (Answer(503), FailureReason.HTTP, "503"),
        (Answer(503, (("cf-mitigated", "challenge"),)), FailureReason.BLOCKED, "Cloudflare"),
        (Answer(503, body=b"<html><title>Just a moment...</title>"), FailureReason.BLOCKED, "Cloudflare"),
        (Answer(403, body=b"<script src=https://x.captcha-delivery.com/c.js>"), FailureReason.BLOCKED, "DataDome"),
        (Answer(202, (("x-amzn-waf-action", "challenge"),)), FailureReason.BLOCKED, "AWS WAF"),
        (Answer(206, body=RSS), FailureReason.HTTP, "206"),
        (Answer(200, body=b"<!DOCTYPE html><script id='anubis_challenge'>"), FailureReason.BLOCKED, "Anubis"),
    ],
)
def test_refusals_are_told_apart(answer, reason, says):
    failed = outcome(answer)
    assert (failed.reason, failed.status) == (reason, answer.status)
    assert says in failed.detail


def test_headers_of_a_refusal_reach_the_scheduler():
    assert outcome(Answer(429, (("Retry-After", "60"),))).headers["retry-after"] == "60"


def test_a_feed_that_writes_about_challenges_is_no_challenge():
    body = b"<?xml version='1.0'?><rss><title>Just a moment...</title>/cdn-cgi/challenge-platform</rss>"
    assert isinstance(outcome(Answer(headers=(("Content-Type", "text/html"),), body=body)), Fetched)


@pytest.mark.parametrize(
    ("raw", "reasons"),
    [
        (b"", {FailureReason.CONNECT}),
        (b"SSH-2.0-OpenSSH_9.2\r\n", {FailureReason.PROTOCOL}),
        (b"HTTP/1.1 twohundred OK\r\n\r\n", {FailureReason.PROTOCOL}),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", {FailureReason.PROTOCOL}),
        (b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 5000 + b"\r\n", {FailureReason.PROTOCOL}),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", {FailureReason.PROTOCOL}),
        (b"HTTP/1.1 200 OK\r\nContent-Len", {FailureReason.CONNECT, FailureReason.PROTOCOL}),
        (b"\x16\x03\x01\x02\x00", {FailureReason.PROTOCOL}),
    ],
    ids=["nothing", "ssh", "status", "long-header", "many-headers", "negative", "half-a-head", "tls"],
)
def test_broken_http_is_a_value(raw, reasons):
    failed = outcome(Answer(raw=raw))
    assert isinstance(failed, FetchFailed)
    assert failed.reason in reasons, failed


@pytest.mark.parametrize(
    "answer",
    [Answer(delay=10), Answer(body=RSS * 100, trickle=(10, 0.05)), Answer(302, (("Location", "/b"),), delay=0.25)],
    ids=["silent", "trickle", "slow-redirects"],
)
def test_one_deadline_over_everything(answer):
    async def test(origin, fetcher):
        origin.script("/b", redirect("/c", 302), Answer(delay=0.3))
        origin.script("/c", Answer(302, (("Location", "/d"),), delay=0.3))
        return await fetcher.fetch(FetchRequest(origin.script("/feed", answer)))

    failed = run(test, timeout=0.4)
    assert failed.reason is FailureReason.TIMEOUT
    assert failed.detail == "no whole answer within 0.4 s"
    assert 0.3 < failed.took < 1.5


def test_nobody_there():
    async def test(origin, fetcher):
        await origin.stop()
        return await fetcher.fetch(FetchRequest(origin.url("/")))

    assert run(test).reason is FailureReason.CONNECT


def test_no_such_name():
    failed = run(lambda _, fetcher: fetcher.fetch(FetchRequest("http://nowhere.invalid/feed")), timeout=20)
    assert failed.reason is FailureReason.DNS


def test_a_connection_closed_while_idle_is_no_failure():
    async def test(origin, fetcher):
        url = origin.script("/feed", Answer(body=RSS))
        await fetcher.fetch(FetchRequest(url))
        for task in tuple(origin._tasks):
            task.cancel()  # the server forgets the connection that the client keeps
        await asyncio.sleep(0)
        return await fetcher.fetch(FetchRequest(url))

    assert isinstance(run(test), Fetched)


def test_waiting_for_a_place_does_not_eat_the_deadline():
    async def test(origin, fetcher):
        url = origin.script("/feed", Answer(body=RSS, delay=0.2))
        return await asyncio.gather(*(fetcher.fetch(FetchRequest(url)) for _ in range(6)))

    assert all(isinstance(one, Fetched) for one in run(test, concurrency=2, timeout=0.5))


def test_cancelling_is_passed_on():
    async def test(origin, fetcher):
        task = asyncio.create_task(fetcher.fetch(FetchRequest(origin.script("/feed", Answer(delay=10)))))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(test)


def test_it_runs_on_uvloop():
    async def test() -> FetchOutcome:
        async with Origin() as origin, Fetcher(FetchPolicy(allow_networks=LOOPBACK)) as fetcher:
            first = await fetcher.fetch(FetchRequest(origin.script("/feed", gzipped(RSS))))
            async with Fetcher(FetchPolicy()) as guarded:
                return first, await guarded.fetch(FetchRequest(origin.url("/feed")))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        first, second = runner.run(test())
    assert isinstance(first, Fetched)
    assert second.reason is FailureReason.ADDRESS


# ---------------------------------------------------------------- proxies and TLS


def test_a_proxy_is_used_where_configured_even_inside():
    async def test(proxy, fetcher):
        proxy.script("http://herald.example/feed", Answer(body=RSS))
        return await fetcher.fetch(FetchRequest("http://herald.example/feed", proxy=proxy.url())), proxy.asked

    fetched, asked = run(test, allow_networks=())
    assert isinstance(fetched, Fetched)
    assert asked[0].target == "http://herald.example/feed"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "169.254.169.254", "[::1]"])
def test_a_proxy_is_not_asked_for_what_is_inside(host):
    async def test(proxy, fetcher):
        return await fetcher.fetch(FetchRequest(f"http://{host}/", proxy=proxy.url())), proxy.connections

    failed, connections = run(test, allow_networks=())
    assert failed.reason is FailureReason.ADDRESS
    assert connections == 0


def test_proxies_of_the_environment_are_ignored(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert isinstance(outcome(Answer(body=RSS)), Fetched)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that nobody has heard of: (certificate and key in one file)."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=origin"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def over_tls(certificate, test: Callable[[Origin], Awaitable[Any]]) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    async def main() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of a refused handshake
        async with Origin(tls=context) as origin:
            return await test(origin)

    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    return asyncio.run(main())


def test_certificates_are_verified(certificate):
    async def test(origin):
        origin.script("/feed", Answer(body=RSS))
        async with Fetcher(FetchPolicy(allow_networks=LOOPBACK)) as fetcher:
            refused = await fetcher.fetch(FetchRequest(origin.url("/feed")))
        async with Fetcher(FetchPolicy(allow_networks=LOOPBACK, ca_file=certificate / "cert.pem")) as fetcher:
            accepted = await fetcher.fetch(FetchRequest(origin.url("/feed")))
            other_name = await fetcher.fetch(FetchRequest(origin.url("/feed", host="localhost")))
        return refused, accepted, other_name

    refused, accepted, other_name = over_tls(certificate, test)
    assert refused.reason is FailureReason.TLS
    assert "self-signed" in refused.detail
    assert isinstance(accepted, Fetched)
    assert other_name.reason is FailureReason.TLS


def test_a_downgrade_is_followed_without_secrets_and_never_adopted(certificate):
    async def test(origin):
        async with (
            Origin() as plain,
            Fetcher(FetchPolicy(allow_networks=LOOPBACK, ca_file=certificate / "cert.pem")) as fetcher,
        ):
            url = origin.script("/feed", redirect(plain.script("/feed", Answer(body=RSS)), 301))
            fetched = await fetcher.fetch(FetchRequest(url, headers=(("Authorization", "Bearer s3cret"),)))
            return fetched, origin.asked[0], plain.asked[0]

    fetched, first, second = over_tls(certificate, test)
    assert isinstance(fetched, Fetched)
    assert fetched.permanent_url is None
    assert (first.header("authorization"), second.header("authorization")) == ("Bearer s3cret", None)


def test_plain_http_on_a_tls_port_is_said_so():
    async def test(origin, fetcher):
        return await fetcher.fetch(FetchRequest(origin.url("/").replace("http:", "https:")))

    assert run(test, timeout=2).reason in (FailureReason.TLS, FailureReason.CONNECT)


def test_the_origin_of_these_tests_tells_what_it_saw():
    asked = Asked("GET", "/", (("If-None-Match", b'"1"'),), 1)
    assert conditional(RSS)(asked).status == 304


# ---------------------------------------------------------------- posting a form

FORM = (("hub.mode", "subscribe"), ("hub.topic", "https://herald.example/feed?a=1&b=ü"))


def posted(*answers, target="/hub", **policy):
    async def test(origin, fetcher):
        return await fetcher.post(origin.script(target, *answers), FORM), origin.asked

    return run(test, **policy)


def test_a_form_is_posted_and_any_status_is_an_answer():
    answer, asked = posted(Answer(422, body=b"no such topic"))
    assert (answer.status, answer.said) == (422, "no such topic")
    assert asked[0].method == "POST"
    assert asked[0].header("content-type") == "application/x-www-form-urlencoded"
    assert asked[0].body == b"hub.mode=subscribe&hub.topic=https%3A%2F%2Fherald.example%2Ffeed%3Fa%3D1%26b%3D%C3%BC"


@pytest.mark.parametrize("status", [307, 308])
def test_redirects_that_keep_a_post_are_followed_with_the_form(status):
    async def test(origin, fetcher):
        origin.script("/new", Answer(202))
        answer = await fetcher.post(origin.script("/hub", redirect("/new", status)), FORM)
        return answer, [(asked.method, asked.target, asked.body != b"") for asked in origin.asked]

    answer, asked = run(test)
    assert answer.status == 202
    assert asked == [("POST", "/hub", True), ("POST", "/new", True)]


@pytest.mark.parametrize("status", [301, 302, 303])
def test_redirects_that_would_drop_the_form_are_the_answer(status):
    answer, asked = posted(redirect("/new", status))
    assert answer.status == status
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/hub", FailureReason.ADDRESS),
        ("http://[::ffff:10.0.0.1]/hub", FailureReason.ADDRESS),
        ("http://169.254.169.254/latest", FailureReason.ADDRESS),
        ("ftp://hub.example/", FailureReason.BAD_URL),
    ],
)
def test_a_hub_cannot_send_a_post_inside(url, reason):
    answer = run(lambda origin, fetcher: fetcher.post(url, FORM), allow_networks=())
    assert answer.reason is reason


def test_nor_can_its_redirect():
    answer, _ = posted(redirect("http://10.1.2.3/hub", 307))
    assert answer.reason is FailureReason.ADDRESS


def test_a_hub_that_does_not_answer_costs_the_timeout_and_no_more():
    answer, _ = posted(Answer(202, delay=30), timeout=0.3)
    assert answer.reason is FailureReason.TIMEOUT


def test_a_hub_that_talks_without_end_is_heard_briefly():
    answer, _ = posted(Answer(400, body=b"x" * 3_000_000))
    assert answer.said == "x" * 500


# ---------------------------------------------------------------- callbacks of subscribers


def test_a_document_is_brought_with_its_headers():
    async def test(origin, fetcher):
        headers = {"Content-Type": "application/atom+xml", "X-Hub-Signature": "sha256=00"}
        answer = await fetcher.bring(origin.script("/cb", Answer(204)), b"x" * 3_000_000, headers)
        return answer, origin.asked

    answer, (asked,) = run(test)
    assert answer.status == 204
    assert (asked.method, asked.body) == ("POST", b"x" * 3_000_000)
    assert asked.header("content-length") == "3000000"
    assert (asked.header("content-type"), asked.header("x-hub-signature")) == ("application/atom+xml", "sha256=00")


def test_a_question_hears_the_answer_whatever_its_status():
    async def test(origin, fetcher):
        return await fetcher.ask(origin.script("/cb?a=1", Answer(404, body=b"not me"))), origin.asked

    answer, (asked,) = run(test)
    assert (answer.status, answer.said) == (404, "not me")
    assert (asked.method, asked.target, asked.body) == ("GET", "/cb?a=1", b"")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_leads_a_callback_elsewhere(status):
    async def test(origin, fetcher):
        url = origin.script("/cb", redirect("/else", status))
        return await fetcher.ask(url), await fetcher.bring(url, b"x", {}), len(origin.asked)

    asked, brought, requests = run(test)
    assert (asked.status, brought.status, requests) == (status, status, 2)


def test_a_callback_inside_is_neither_asked_nor_brought_anything():
    async def test(origin, fetcher):
        answers = await fetcher.ask(origin.url("/cb")), await fetcher.bring(origin.url("/cb"), b"x", {})
        return answers, origin.connections

    answers, connections = run(test, allow_networks=())
    assert [answer.reason for answer in answers] == [FailureReason.ADDRESS] * 2
    assert connections == 0
