"""The wire: what goes over real sockets, and clients that mean no good."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from builders import NOW

from aggregator.errors import ListenError
from aggregator.publish import serve
from aggregator.publish.answers import Answer
from aggregator.publish.serve import Listener, bound_sockets, inherited_sockets, listen
from aggregator.publish.shelf import Shelf, rendered
from aggregator.publish.site import PublicSite

BIG = bytes(range(256)) * 40_000  # 10 MB that do not compress
SHELF = Shelf(
    {
        "/news.atom": rendered(b"<feed/>" * 100, "application/atom+xml; charset=utf-8", NOW),
        "/big": rendered(BIG, "application/octet-stream", NOW),
    }
)


def with_listener(use: Callable[[Listener], Awaitable[Any]], answerer: Any = None, address: str = "127.0.0.1:0") -> Any:
    async def run() -> Any:
        listener = await listen(answerer or PublicSite(SHELF), address)
        try:
            return await asyncio.wait_for(use(listener), 20)
        finally:
            await listener.stop()

    return asyncio.run(run())


async def connected(listener: Listener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = listener.addresses[0].rsplit(":", 1)
    return await asyncio.open_connection(host.strip("[]"), int(port))


async def exchanged(listener: Listener, request: bytes) -> bytes:
    """Everything the server sends until it closes."""
    reader, writer = await connected(listener)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


def get(path: str, method: str = "GET", extra: str = "", close: bool = True) -> bytes:
    end = "Connection: close\r\n" if close else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{extra}{end}\r\n".encode()


def parted(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    return int(status.split()[1]), {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}, body


def test_get_head_and_304_on_the_wire():
    async def use(listener: Listener) -> None:
        status, headers, body = parted(await exchanged(listener, get("/news.atom")))
        assert (status, body) == (200, b"<feed/>" * 100)
        assert headers["content-length"] == str(len(body))
        assert headers["content-type"] == "application/atom+xml; charset=utf-8"
        status, head, body = parted(await exchanged(listener, get("/news.atom", "HEAD")))
        assert (status, body) == (200, b"")
        assert {**head, "date": ""} == {**headers, "date": ""}
        known = f"If-None-Match: {headers['etag']}\r\n"
        status, unchanged, body = parted(await exchanged(listener, get("/news.atom", extra=known)))
        assert (status, body) == (304, b"")
        assert "content-type" not in unchanged
        assert unchanged.get("content-length", "0") == "0"
        assert unchanged["etag"] == headers["etag"]

    with_listener(use)


def test_every_answer_is_counted_the_refusals_of_the_library_too():
    seen: list[int] = []

    async def run() -> None:
        listener = await listen(PublicSite(SHELF), "127.0.0.1:0", counted=seen.append)
        try:
            for request in (
                get("/news.atom"),
                get("/news.atom", extra="If-None-Match: *\r\n"),
                get("/nothing"),
                b"no request\r\n\r\n",
            ):
                await asyncio.wait_for(exchanged(listener, request), 20)
        finally:
            await listener.stop()

    asyncio.run(run())
    assert seen == [200, 304, 404, 400]


def test_a_304_leaves_the_connection_usable():
    async def use(listener: Listener) -> None:
        reader, writer = await connected(listener)
        for extra in ("If-None-Match: *\r\n", "If-None-Match: *\r\n", "Accept-Encoding: gzip\r\n"):
            writer.write(get("/news.atom", extra=extra, close=False))
            head = await reader.readuntil(b"\r\n\r\n")
            status, headers, _ = parted(head)
            if status == 200:
                assert (await reader.readexactly(int(headers["content-length"])))[:2] == b"\x1f\x8b"
        writer.close()

    with_listener(use)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS to a plain port
        (b"nonsense\r\n\r\n", 400),
        (b"GET /news.atom HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(500)) + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\nabc", 405),
    ],
)
def test_what_is_no_request_is_refused_with_all_headers_and_hung_up_on(request_line, status):
    async def use(listener: Listener) -> None:
        got, headers, body = parted(await exchanged(listener, request_line))
        assert got == status
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers.get("connection", "close").lower() == "close"  # an answer to no version is one of 1.0
        assert b"aiohttp" not in body + headers["server"].encode()
        assert (await exchanged(listener, get("/news.atom")))[:15] == b"HTTP/1.1 200 OK"

    with_listener(use)


def test_an_error_of_ours_is_a_500_that_says_nothing_about_us(caplog):
    class Broken:
        def at_once(self, method: str, target: str, headers: Any) -> Answer | None:
            raise RuntimeError("secret detail")

    async def use(listener: Listener) -> None:
        status, headers, body = parted(await exchanged(listener, get("/")))
        assert status == 500
        assert b"secret" not in body
        assert headers["x-content-type-options"] == "nosniff"

    with_listener(use, Broken())
    assert "secret detail" in caplog.text


def test_a_client_that_never_finishes_its_request_is_hung_up_on(monkeypatch):
    monkeypatch.setitem(serve._LIMITS, "keepalive_timeout", 0.3)

    async def use(listener: Listener) -> None:
        reader, writer = await connected(listener)
        for byte in b"GET / HTTP/1.1\r\nHost: slow":
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
            if reader.at_eof():
                return
        assert await asyncio.wait_for(reader.read(), 2) == b""

    with_listener(use)


def test_a_client_that_does_not_take_its_answer_is_cut_off_and_others_are_served(monkeypatch):
    monkeypatch.setattr(serve, "SLOWEST_READER", 0.3)

    async def use(listener: Listener) -> None:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", int(listener.addresses[0].rsplit(":", 1)[1])))
        slow.setblocking(False)
        slow.sendall(get("/big", close=False) * 3)
        await asyncio.sleep(0.1)
        assert (await exchanged(listener, get("/news.atom")))[:15] == b"HTTP/1.1 200 OK"
        await asyncio.sleep(0.6)
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            while part := await asyncio.get_running_loop().sock_recv(slow, 1 << 20):
                taken += len(part)
        assert taken < len(BIG)
        slow.close()

    with_listener(use)


def test_a_client_that_resets_its_connection_in_the_middle_is_no_word_in_the_log(caplog):
    async def use(listener: Listener) -> None:
        leaver = socket.create_connection(("127.0.0.1", int(listener.addresses[0].rsplit(":", 1)[1])))
        leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing sends RST
        leaver.sendall(get("/big"))
        await asyncio.sleep(0.1)
        leaver.close()
        await asyncio.sleep(0.1)
        assert (await exchanged(listener, get("/news.atom")))[:15] == b"HTTP/1.1 200 OK"

    with_listener(use)
    assert [record.getMessage() for record in caplog.records] == []


def test_a_patient_client_gets_a_big_document_whole():
    async def use(listener: Listener) -> None:
        _, _, body = parted(await exchanged(listener, get("/big")))
        assert body == BIG

    with_listener(use)


def test_more_connections_than_allowed_are_closed_and_room_comes_back(monkeypatch):
    monkeypatch.setattr(serve, "MAX_CONNECTIONS", 3)

    async def use(listener: Listener) -> None:
        kept = [await connected(listener) for _ in range(3)]
        await asyncio.sleep(0.05)
        reader, writer = await connected(listener)
        writer.write(get("/news.atom"))
        with pytest.raises((ConnectionError, AssertionError)):
            assert await reader.read()
        for _, other in kept:
            other.close()
        await asyncio.sleep(0.05)
        assert (await exchanged(listener, get("/news.atom")))[:15] == b"HTTP/1.1 200 OK"

    with_listener(use)


def test_a_thousand_connections_at_once():
    async def use(listener: Listener) -> None:
        connections = [await connected(listener) for _ in range(1000)]
        for _, writer in connections:
            writer.write(get("/news.atom", extra="If-None-Match: *\r\n"))
        answers = await asyncio.gather(*(reader.read() for reader, _ in connections))
        assert {answer[:12] for answer in answers} == {b"HTTP/1.1 304"}
        for _, writer in connections:
            writer.close()

    with_listener(use)


def test_stopping_finishes_what_is_under_way_and_hangs_up_on_the_idle():
    class Slow:
        def at_once(self, method: str, target: str, headers: Any) -> None:
            return None

        async def later(self, method: str, target: str, headers: Any) -> Answer:
            await asyncio.sleep(0.3)
            return Answer(200, (("Content-Type", "text/plain"),), b"done")

    async def run() -> None:
        listener = await listen(Slow(), "127.0.0.1:0")
        idle, _ = await connected(listener)
        busy = asyncio.create_task(exchanged(listener, get("/", close=False)))
        await asyncio.sleep(0.1)
        await listener.stop()
        assert (await busy).endswith(b"done")
        assert await idle.read() == b""
        with pytest.raises(ConnectionError):
            await connected(listener)

    asyncio.run(run())


# ---------------------------------------------------------------- addresses


def test_an_address_in_use_is_an_error_that_says_what_to_do():
    (taken,) = bound_sockets("127.0.0.1:0")
    taken.listen()
    address = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ListenError, match=f"cannot listen on {address}: it is in use; stop the other process"):
        bound_sockets(address)
    taken.close()


@pytest.mark.parametrize(
    "address", ["nonsense", "127.0.0.1:http", "127.0.0.1:99999", ":", "203.0.113.7:0", "unix:/no/such/x"]
)
def test_addresses_that_cannot_be_had(address):
    with pytest.raises(ListenError, match="cannot listen on"):
        bound_sockets(address)


def test_ipv6_and_the_address_for_everything():
    async def use(listener: Listener) -> str:
        port = listener.addresses[0].rsplit(":", 1)[1]
        for host in ("127.0.0.1", "::1"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(get("/news.atom"))
            assert (await reader.read())[:15] == b"HTTP/1.1 200 OK"
            writer.close()
        return listener.url

    assert with_listener(use, address="[::]:0").startswith("http://[::]:")


def test_a_unix_socket_is_for_us_and_our_group_and_is_gone_after_us(tmp_path):
    path = tmp_path / "bmn.sock"

    async def use(listener: Listener) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(get("/news.atom"))
        assert (await reader.read())[:15] == b"HTTP/1.1 200 OK"
        writer.close()
        with pytest.raises(ListenError, match="in use"):
            bound_sockets(f"unix:{path}")

    with_listener(use, address=f"unix:{path}")
    assert not path.exists()


def test_a_unix_socket_left_behind_is_taken_over(tmp_path):
    path = tmp_path / "bmn.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    (again,) = bound_sockets(f"unix:{path}")
    again.close()


def test_a_file_in_the_way_is_not_removed(tmp_path):
    path = tmp_path / "bmn.sock"
    path.write_text("precious")
    with pytest.raises(ListenError):
        bound_sockets(f"unix:{path}")
    assert path.read_text() == "precious"


def test_sockets_from_systemd_are_served(tmp_path):
    program = tmp_path / "child.py"
    program.write_text(
        "import asyncio, os\n"
        "from aggregator.publish.serve import inherited_sockets, listen\n"
        "from aggregator.publish.site import PublicSite\n"
        "from aggregator.publish.shelf import Shelf\n"
        "async def main():\n"
        "    sockets = inherited_sockets(dict(os.environ, LISTEN_PID=str(os.getpid())))\n"
        "    assert sorted(sockets) == ['admin', 'public'], sockets\n"
        "    await listen(PublicSite(Shelf()), 'unused:1', sockets['public'])\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.sleep(20)\n"
        "asyncio.run(main())\n"
    )
    admin, public = bound_sockets("127.0.0.1:0")[0], bound_sockets("127.0.0.1:0")[0]
    public.listen()

    def as_systemd_does() -> None:
        for target, given in ((3, os.dup(admin.fileno())), (4, os.dup(public.fileno()))):
            os.dup2(given, target, inheritable=True)

    environment = {**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "admin:public", "PYTHONPATH": os.getcwd()}
    child = subprocess.Popen(
        [sys.executable, program], env=environment, stdout=subprocess.PIPE, close_fds=False, preexec_fn=as_systemd_does
    )
    try:
        assert child.stdout.readline() == b"ready\n"
        with socket.create_connection(public.getsockname(), timeout=5) as client:
            client.sendall(get("/healthz"))
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        admin.close()
        public.close()


def test_the_file_of_an_inherited_socket_stays_for_who_goes_on_listening(tmp_path):
    path = tmp_path / "public.sock"
    (theirs,) = bound_sockets(f"unix:{path}")

    async def serve_and_stop() -> None:
        await (await listen(PublicSite(SHELF), "unused:1", [theirs.dup()])).stop()

    asyncio.run(serve_and_stop())
    assert path.is_socket()


def test_sockets_of_another_process_are_not_ours():
    assert inherited_sockets({}) == {}
    assert inherited_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "2"}) == {}


# ---------------------------------------------------------------- bodies


class Letterbox:
    """Answers a POST to /box with the length of what it got."""

    def __init__(self) -> None:
        self.hold: asyncio.Event | None = None

    def at_once(self, method: str, target: str, headers: Any) -> Answer | None:
        return None if target == "/box" else Answer(404)

    async def later(self, method: str, target: str, headers: Any) -> Answer:
        return Answer(405)

    async def expects(self, target: str, headers: Any) -> int | Answer:
        return Answer(410) if headers.get("X-Gone") else 1000

    async def take(self, target: str, headers: Any, body: bytes) -> Answer:
        if self.hold is not None:
            await self.hold.wait()
        return Answer(202, (), b"%d" % len(body))


def post(length: int, body: bytes, extra: str = "Connection: close\r\n", path: str = "/box") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{extra}\r\n".encode() + body


def answered(request: bytes, taker: bool = True) -> bytes:
    async def run() -> bytes:
        box = Letterbox()
        listener = await listen(box, "127.0.0.1:0", taker=box if taker else None)
        try:
            return await asyncio.wait_for(exchanged(listener, request), 20)
        finally:
            await listener.stop()

    return asyncio.run(run())


CHUNKED = b"POST /box HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "status", "end"),
    [
        (post(5, b"hello"), b" 202 ", b"\r\n5"),
        (post(1000, b"x" * 1000), b" 202 ", b"\r\n1000"),
        (post(1001, b"x" * 1001), b" 413 ", b"bytes here\n"),
        (post(10**12, b""), b" 413 ", b"bytes here\n"),
        (CHUNKED + b"200\r\n" + b"x" * 512 + b"\r\n0\r\n\r\n", b" 202 ", b"\r\n512"),
        (CHUNKED + (b"200\r\n" + b"x" * 512 + b"\r\n") * 3 + b"0\r\n\r\n", b" 413 ", b"bytes here\n"),
        (post(5, b"hello", "X-Gone: 1\r\nConnection: close\r\n"), b" 410 ", b""),
        (post(5, b"hello", "Content-Encoding: gzip\r\nConnection: close\r\n"), b" 415 ", b"coding\n"),
        (post(5, b"hello", path="/else"), b" 404 ", b""),
    ],
    ids=["body", "to the limit", "above", "announced", "chunked", "chunked above", "not wanted", "coded", "elsewhere"],
)
def test_a_body_is_read_for_who_takes_it_and_to_its_limit(request_, status, end):
    answer = answered(request_)
    assert status in answer.splitlines()[0]
    assert answer.endswith(end)


def test_without_a_taker_nothing_is_read():
    assert b" 405 " in answered(post(5, b"hello"), taker=False).splitlines()[0]


def test_a_connection_lives_on_after_a_body_that_was_read():
    first = post(5, b"hello", extra="")
    answers = answered(first + post(3, b"abc"))
    assert answers.count(b" 202 ") == 2


def test_only_so_many_bodies_are_held_at_a_time():
    async def run() -> list[bytes]:
        box = Letterbox()
        box.hold = asyncio.Event()
        listener = await listen(box, "127.0.0.1:0", taker=box)
        try:
            waiting = [asyncio.create_task(exchanged(listener, post(1, b"x"))) for _ in range(serve.BODIES + 3)]
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=20)
            while len(done) < 3:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.ALL_COMPLETED, timeout=0.1)
            box.hold.set()
            return [answer.splitlines()[0] for answer in await asyncio.gather(*waiting)]
        finally:
            await listener.stop()

    lines = asyncio.run(asyncio.wait_for(run(), 30))
    assert sum(b" 202 " in line for line in lines) == serve.BODIES
    assert sum(b" 503 " in line for line in lines) == 3


def test_a_body_that_does_not_come_is_waited_for_and_then_not(monkeypatch):
    monkeypatch.setattr(serve, "BODY_SECONDS", 0.2)
    assert b" 408 " in answered(post(5, b"he")).splitlines()[0]
