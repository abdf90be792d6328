"""Kept connections and what origins can do with them: nothing that reaches another question, or another host's."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from origin import Answer, Origin, redirect

from aggregator.ingest import addresses, connections, names
from aggregator.ingest.exchange import Target, get_head, target_of
from aggregator.ingest.fetch import Fetcher, FetchPolicy
from aggregator.types import FailureReason, Fetched, FetchRequest, NotModified, Validators

RSS = b"<rss version='2.0'><channel><title>Herald</title></channel></rss>"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(RSS) + RSS
OTHER = b"<rss version='2.0'><channel><title>Not asked for</title></channel></rss>"
UNASKED = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(OTHER) + OTHER
KNOWN = Validators('"1"')
INSIDE, STRANGER = "127.0.0.1", "127.0.0.2"


class Wire:
    """A server that sends bytes, one item of `script` for each request it hears; a connection stays open unless an
    item is None, which closes it. `is_closed` of each connection is set when the other side has hung up."""

    def __init__(self, *script: bytes | None) -> None:
        self.script = list(script)
        self.writers: list[asyncio.StreamWriter] = []
        self.is_closed: list[asyncio.Event] = []
        self.requests: list[tuple[int, bytes]] = []  # with the number of the connection

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._serve, INSIDE)
        self.url = f"http://{INSIDE}:{self._server.sockets[0].getsockname()[1]}/feed"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self.writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.writers)
        self.writers.append(writer)
        self.is_closed.append(asyncio.Event())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                self.requests.append((number, await reader.readuntil(b"\r\n\r\n")))
                if (said := self.script.pop(0)) is None:
                    break
                writer.write(said)
        self.is_closed[number].set()
        writer.close()


def over_wire(*script: bytes | None, test: Callable[[Wire, Fetcher], Awaitable[Any]], **policy: Any) -> Any:
    policy = {"allow_networks": ("127.0.0.0/8",), "timeout": 5.0, **policy}

    async def main() -> Any:
        async with Wire(*script) as wire, Fetcher(FetchPolicy(**policy)) as fetcher:
            return await asyncio.wait_for(test(wire, fetcher), 20)

    return asyncio.run(main())


async def twice(wire: Wire, fetcher: Fetcher) -> Any:
    """Both outcomes of asking twice, and on which connection each was asked."""
    outcomes = [await fetcher.fetch(FetchRequest(wire.url, KNOWN)) for _ in range(2)]
    return *outcomes, [number for number, _ in wire.requests]


# ---------------------------------------------------------------- what is kept


@pytest.mark.parametrize(
    "first",
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<rss>\r\n6\r\n</rss>\r\n0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 0\r\n\r\n',
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 6\r\n\r\n<rss/>",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
    ids=["length", "chunked", "304", "304-length", "http-1.0", "interim"],
)
def test_a_connection_whose_answer_is_over_is_asked_again(first):
    one, two, asked = over_wire(first, OK, test=twice)
    assert isinstance(one, Fetched | NotModified)
    assert isinstance(two, Fetched)
    assert asked == [0, 0]


@pytest.mark.parametrize(
    "first",
    [
        OK + b"\n\n<p>one more thing",
        OK + UNASKED,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\n<rss/>",
        b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\n<rss/>",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 100000\r\n\r\nhalf a page",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n<rss/>",
        b"HTTP/1.1 304 Not Modified\r\n\r\n" + UNASKED,
        b"HTTP/1.1 204 No Content\r\n\r\n<rss/>",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x05hello",
        b"HTTP/1.1 302 Found\r\nLocation: ftp://x.example/\r\nContent-Length: 100000\r\n\r\n",
    ],
    ids=[
        *("junk", "second-answer", "close", "http-1.0", "half-a-page", "304-body", "304-answer", "204-body"),
        *("upgrade", "half-a-redirect"),
    ],
)
def test_a_connection_with_anything_left_on_it_is_not_asked_again(first):
    _, two, asked = over_wire(first, OK, test=twice)
    assert isinstance(two, Fetched)
    assert two.body == RSS
    assert asked == [0, 1]


@pytest.mark.parametrize("unasked", [UNASKED, UNASKED[:12], b"\0", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
def test_what_comes_while_nothing_is_asked_answers_nothing(unasked):
    async def test(wire, fetcher):
        await fetcher.fetch(FetchRequest(wire.url))
        wire.writers[0].write(unasked)
        await wire.is_closed[0].wait()
        return await fetcher.fetch(FetchRequest(wire.url)), [number for number, _ in wire.requests]

    two, asked = over_wire(OK, OK, test=test)
    assert two.body == RSS
    assert asked == [0, 1]


def test_of_half_an_answer_too_many_nothing_reaches_the_next_question():
    """The parser that read it is gone with the first answer; where its rest comes later, the next is no HTTP."""
    one, two, _ = over_wire(OK + UNASKED[:20], OK, test=twice)
    assert (one.body, two.body) == (RSS, RSS)
    _, two, _ = over_wire(OK + UNASKED[:20], UNASKED[20:] + OK, test=twice)
    assert two.reason is FailureReason.PROTOCOL


def test_a_question_given_up_leaves_no_connection_behind():
    async def test(wire, fetcher):
        one = await fetcher.fetch(FetchRequest(wire.url))
        await wire.is_closed[0].wait()
        return one, await fetcher.fetch(FetchRequest(wire.url))

    one, two = over_wire(b"HTTP/1.1 200 OK\r\n", OK, test=test, timeout=0.3)
    assert one.reason is FailureReason.TIMEOUT
    assert two.body == RSS


@pytest.mark.parametrize("kept", [1, 3])
def test_connections_closed_while_idle_cost_no_question(kept):
    """However many are found dead, the question goes out on a fresh one; its own failure is one."""

    async def test(wire, fetcher):
        await asyncio.gather(*(fetcher.fetch(FetchRequest(wire.url)) for _ in range(kept)))
        two = await fetcher.fetch(FetchRequest(wire.url))
        return two, await fetcher.fetch(FetchRequest(wire.url)), len(wire.writers)

    # Each kept connection hears a second request and closes instead of answering it.
    two, three, opened = over_wire(*[OK] * kept, *[None] * kept, OK, None, None, test=test)
    assert two.body == RSS
    assert three.reason is FailureReason.CONNECT
    assert opened == kept + 2


def test_idle_connections_are_closed_after_a_while(monkeypatch):
    monkeypatch.setattr(connections, "KEEP_ALIVE", 0.05)

    async def test(wire, fetcher):
        await fetcher.fetch(FetchRequest(wire.url))
        await wire.is_closed[0].wait()
        await fetcher.fetch(FetchRequest(wire.url))
        return [number for number, _ in wire.requests]

    assert over_wire(OK, OK, test=test) == [0, 1]


def test_a_fetcher_that_ends_leaves_no_connection_open():
    async def main() -> None:
        async with Wire(OK) as wire:
            async with Fetcher(FetchPolicy(allow_networks=("127.0.0.0/8",))) as fetcher:
                await fetcher.fetch(FetchRequest(wire.url))
            await asyncio.wait_for(wire.is_closed[0].wait(), 10)

    asyncio.run(main())
    gc.collect()


# ---------------------------------------------------------------- broken HTTP


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Length: 60\r\n\r\n<rss/>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Length: 6\r\n\r\n<rss/>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6, 60\r\n\r\n<rss/>",
        b"HTTP/1.1 200 OK\r\nContent-Length: +6\r\n\r\n<rss/>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n<rss/>",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 129 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 16_385 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"b" * 16_385 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 30 + OK,
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"<html>",
    ],
    ids=[
        *("two-lengths", "same-length-twice", "list-of-lengths", "signed-length", "huge-length", "no-colon", "null"),
        *("fields", "long-field", "long-reason", "endless-interim", "version", "html"),
    ],
)
def test_a_head_that_could_be_read_in_two_ways_or_never_ends_is_refused(raw):
    one, two, asked = over_wire(raw, OK, test=twice)
    assert one.reason is FailureReason.PROTOCOL, one
    assert two.body == RSS
    assert asked == [0, 1]


@pytest.mark.parametrize(
    "body",
    [
        b"xyz\r\n<rss/>\r\n0\r\n\r\n",
        b"-6\r\n<rss/>\r\n0\r\n\r\n",
        b"6\r\n<rss/>junk\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n<rss/>",
        b"6;" + b"x" * 100_000 + b"\r\n<rss/>\r\n0\r\n\r\n",
    ],
    ids=["no-number", "negative", "too-much", "huge", "extension"],
)
def test_broken_chunks_are_no_document(body):
    one, two, asked = over_wire(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body, OK, test=twice)
    assert not isinstance(one, NotModified)
    assert isinstance(two, Fetched)
    assert two.body == RSS
    if isinstance(one, Fetched):  # an extension, however long, is no part of the document
        assert one.body == b"<rss/>"
    else:
        assert one.reason in (FailureReason.TRUNCATED, FailureReason.PROTOCOL, FailureReason.TIMEOUT)
        assert asked == [0, 1]


def test_a_head_that_trickles_for_ever_costs_the_deadline_and_no_more():
    async def test(wire, fetcher):
        async def trickle() -> None:
            while not wire.writers:
                await asyncio.sleep(0.01)
            while True:
                wire.writers[0].write(b"X-Again: and again\r\n")
                await asyncio.sleep(0.02)

        task = asyncio.create_task(trickle())
        outcome = await fetcher.fetch(FetchRequest(wire.url))
        task.cancel()
        return outcome

    outcome = over_wire(b"HTTP/1.1 200 OK\r\n", test=test, timeout=0.4)
    assert outcome.reason in (FailureReason.TIMEOUT, FailureReason.PROTOCOL)


# ---------------------------------------------------------------- where we connect


def resolving(monkeypatch: pytest.MonkeyPatch, **hosts: tuple[str, ...]) -> None:
    """`herald.example` and the like at these addresses, for `herald=(…)`."""

    def look_up(host: str) -> list[Any]:
        found = hosts[host.removesuffix(".example")]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in found]

    monkeypatch.setattr(names, "_look_up", look_up)


async def asked(url: str, origin: Origin, **policy: Any) -> Any:
    async with Fetcher(FetchPolicy(**{"timeout": 5.0, **policy})) as fetcher:
        return await fetcher.fetch(FetchRequest(url)), origin.connections


def test_a_second_address_is_tried_where_the_first_is_dead(monkeypatch):
    resolving(monkeypatch, herald=("127.0.0.3", INSIDE))

    async def main() -> Any:
        async with Origin() as origin:
            origin.script("/feed", Answer(body=RSS))
            return await asked(origin.url("/feed", host="herald.example"), origin, allow_networks=("127.0.0.0/8",))

    fetched, _ = asyncio.run(main())
    assert isinstance(fetched, Fetched)


@pytest.mark.parametrize("allowed", [("127.0.0.3/32",), ()])
def test_of_several_addresses_only_those_allowed_are_connected_to(monkeypatch, allowed):
    resolving(monkeypatch, herald=("127.0.0.3", INSIDE))

    async def main() -> Any:
        async with Origin() as origin:
            return await asked(origin.url("/feed", host="herald.example"), origin, allow_networks=allowed)

    failed, connections_made = asyncio.run(main())
    assert failed.reason is (FailureReason.CONNECT if allowed else FailureReason.ADDRESS)
    assert connections_made == 0


@pytest.mark.parametrize("host", ["127.0.0.1.", "127.1", "0x7f.0.0.1", "0127.0.0.1", "2130706433"])
def test_an_address_oddly_written_is_neither_connected_to_nor_looked_up(monkeypatch, host):
    def look_up(host: str) -> list[Any]:
        raise AssertionError(f"{host} was looked up as a name")

    monkeypatch.setattr(names, "_look_up", look_up)

    async def main() -> Any:
        async with Origin() as origin:
            return await asked(origin.url("/feed", host=host), origin, allow_networks=("127.0.0.0/8",))

    failed, connections_made = asyncio.run(main())
    assert (failed.reason, connections_made) == (FailureReason.BAD_URL, 0)


@pytest.fixture
def one_network_inside(monkeypatch):
    """Nothing but 127.0.0.1 is inside for this test, so that 127.0.0.2 can play a public server."""
    inside = tuple((network, kind) for network, kind in addresses._REFUSED_V4 if kind != "loopback")
    table = ((addresses.IPv4Network(f"{INSIDE}/32"), "loopback"), *inside)
    monkeypatch.setattr(addresses, "_REFUSED_V4", table)


def between(test: Callable[[Origin, Origin, Fetcher], Awaitable[Any]], **policy: Any) -> Any:
    """`test` with an origin that plays a public one, one inside, and a fetcher of which the operator lives inside."""

    async def main() -> Any:
        async with (
            Origin(host=STRANGER) as outside,
            Origin(host=INSIDE) as inside,
            Fetcher(FetchPolicy(timeout=5.0, allow_networks=(f"{INSIDE}/32",), **policy)) as fetcher,
        ):
            inside.script("/feed", Answer(body=RSS))
            return await test(outside, inside, fetcher)

    return asyncio.run(main())


@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "kept"])
def test_a_strangers_redirect_does_not_lead_inside_though_the_operators_sources_live_there(one_network_inside, is_warm):
    async def test(outside, inside, fetcher):
        url = inside.url("/feed")
        own = await fetcher.fetch(FetchRequest(url)) if is_warm else None
        failed = await fetcher.fetch(FetchRequest(outside.script("/feed", redirect(url))))
        return own, failed, len(inside.asked)

    own, failed, asked_inside = between(test)
    assert failed.reason is FailureReason.ADDRESS
    what = "127.0.0.1 is loopback, which fetch.allow_networks opens to its own sources alone"
    assert failed.detail == f"address not allowed: {what}"
    assert (isinstance(own, Fetched), asked_inside) == (is_warm, int(is_warm))


def test_a_source_configured_inside_may_be_led_about_there(one_network_inside):
    async def test(outside, inside, fetcher):
        inside.script("/old", redirect(outside.script("/away", redirect(inside.url("/feed")))))
        return await fetcher.fetch(FetchRequest(inside.url("/old")))

    assert isinstance(between(test), Fetched)


@pytest.mark.parametrize("configured", ["http://stranger.example/feed", f"http://{STRANGER}/", "no address at all"])
def test_what_a_strangers_document_named_is_not_asked_inside(monkeypatch, one_network_inside, configured):
    """A move, a feed that was discovered, a hub: the operator's own address is what counts."""
    resolving(monkeypatch, stranger=(STRANGER,))

    async def test(outside, inside, fetcher):
        request = FetchRequest(inside.url("/feed"), configured_url=configured)
        hub = await fetcher.post(inside.url("/hub"), (), configured_url=configured)
        return await fetcher.fetch(request), hub, inside.connections

    moved, hub, connections_made = between(test)
    assert (moved.reason, hub.reason) == (FailureReason.ADDRESS, FailureReason.ADDRESS)
    assert "to its own sources alone" in hub.detail
    assert connections_made == 0


@pytest.mark.parametrize("configured", ["http://own.example/feed", f"http://{INSIDE}/", "http://localhost/"])
def test_what_the_operators_own_document_named_is_asked_inside(monkeypatch, one_network_inside, configured):
    resolving(monkeypatch, own=(INSIDE,))

    async def test(outside, inside, fetcher):
        inside.script("/hub", Answer(202))
        hub = await fetcher.post(inside.url("/hub"), (), configured_url=configured)
        return await fetcher.fetch(FetchRequest(inside.url("/feed"), configured_url=configured)), hub

    moved, hub = between(test)
    assert isinstance(moved, Fetched)
    assert hub.status == 202


def test_a_proxy_is_not_asked_for_what_is_inside_on_a_strangers_behalf(one_network_inside):
    async def test(outside, proxy, fetcher):
        url = "http://127.0.0.1/feed"
        proxy.script(url, Answer(body=RSS))
        stranger = FetchRequest(url, proxy=proxy.url(), configured_url="http://stranger.example/feed")
        return await fetcher.fetch(stranger), await fetcher.fetch(FetchRequest(url, proxy=proxy.url()))

    stranger, own = between(test)
    assert stranger.reason is FailureReason.ADDRESS
    assert isinstance(own, Fetched)


# ---------------------------------------------------------------- what goes out


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://a.example/", Target(False, "a.example", 80, "/", "a.example")),
        ("https://a.example/b?c=d", Target(True, "a.example", 443, "/b?c=d", "a.example")),
        ("http://a.example:8080/b#c", Target(False, "a.example", 8080, "/b", "a.example:8080")),
        ("http://a.example/?b=//c:1/", Target(False, "a.example", 80, "/?b=//c:1/", "a.example")),
        ("http://a.example.:81/", Target(False, "a.example.", 81, "/", "a.example:81")),
        ("https://[::1]:444/b", Target(True, "::1", 444, "/b", "[::1]:444")),
        ("http://[2001:db8::1]/", Target(False, "2001:db8::1", 80, "/", "[2001:db8::1]")),
    ],
)
def test_addresses_are_taken_apart(url, target):
    assert target_of(url) == target


def test_a_head_is_written_as_it_was_meant():
    head = get_head(target_of("http://a.example:81/b?c"), {"Accept": "*/*", "If-None-Match": '"größe"'})
    assert head == 'GET /b?c HTTP/1.1\r\nHost: a.example:81\r\nAccept: */*\r\nIf-None-Match: "größe"\r\n\r\n'.encode()


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "a\r\n\r\nGET / HTTP/1.1"])
def test_no_value_ends_its_line(value):
    with pytest.raises(ValueError, match="line break"):
        get_head(target_of("http://a.example/"), {"X-Key": value})
    with pytest.raises(ValueError, match="line break"):
        get_head(target_of("http://a.example/"), {value: "x"})
