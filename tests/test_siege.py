"""Twenty hostile sources beside fifty good ones, and a thousand slow readers, all at once: `make soak`.

The daemon's own memory stays below 400 MB, good sources are polled on time, each hostile one fails with its reason, and
readers are answered. Prints what it measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from origin import Answer, Asked, Origin, gzipped, redirect, served
from service import Service, an_rss, get, wait_for
from test_ingest_hostile import DEADLY, REFUSED, SURVIVED

SECONDS = float(os.environ.get("BMN_SIEGE_SECONDS", "120"))
EVERY = 15.0  # seconds between polls of a good source
GOOD = 50
CLIENTS = 1000
MEMORY = 400 << 20
HEAVY = ("items with titles", "items of JSON", "title", "names")  # read within the limits, at some cost


def hostile(origin: Origin) -> dict[str, Answer]:
    """What each hostile source answers; all of them must fail."""
    good = an_rss(("k1", "Kestrel buys Heron"))
    answers = {name: Answer(body=body) for name, (body, _) in REFUSED.items()}
    answers |= {name: Answer(body=body) for name, body in DEADLY.items()}
    answers |= {
        "a coded bomb": gzipped(b"\0" * 200_000_000),
        "nested codings": Answer(headers=(("Content-Encoding", "gzip, gzip"),), body=good),
        "too large": Answer(body=an_rss(("k1", "x" * 9_000_000))),
        "trickling": Answer(body=good, trickle=(1, 1.0)),
        "silent": Answer(body=good, delay=60),
        "in circles": redirect("/hostile/in-circles"),
        "a flood of headers": Answer(headers=tuple((f"X-{number}", "y" * 100) for number in range(5000)), body=good),
        "no HTTP": Answer(raw=b"\x00\x01SSH-2.0\r\n" * 1000),
    }
    return answers


class Growing:
    """A good source: an entry more in every answer, so that each poll has work to do. Remembers when it was asked."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.asked_at: list[float] = []

    def __call__(self, asked: Asked) -> Answer:
        self.asked_at.append(time.monotonic())
        newest = len(self.asked_at)
        items = [(f"{self._name}-{number}", f"{self._name} opens gate {number}") for number in range(newest, 0, -1)]
        return Answer(body=an_rss(*items[:20]))


class SlowReaders(threading.Thread):
    """Connections that ask a byte at a time, or ask for all there is and take nothing; hung up on, they come back."""

    def __init__(self, port: int) -> None:
        super().__init__(name="slow readers", daemon=True)
        self._address = ("127.0.0.1", port)
        self.is_over = threading.Event()
        self.refused = self.hung_up = 0

    def run(self) -> None:
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
            live: dict[int, socket.socket] = {}
            stack.callback(lambda: [each.close() for each in live.values()])
            while not self.is_over.wait(1.0):
                for number in range(CLIENTS):
                    if number not in live and (connection := self._connected(number)) is not None:
                        live[number] = connection
                        if number % 2:
                            selector.register(connection, selectors.EVENT_READ, number)
                for number in [key.data for key, _ in selector.select(0)]:
                    selector.unregister(live[number])
                    live.pop(number).close()
                    self.hung_up += 1
                for number in list(live):
                    try:
                        live[number].send(b"a" if number % 2 else b"GET /news.atom HTTP/1.1\r\nHost: x\r\n\r\n")
                    except BlockingIOError:
                        pass
                    except OSError:
                        if number % 2:
                            selector.unregister(live[number])
                        live.pop(number).close()
                        self.hung_up += 1

    def _connected(self, number: int) -> socket.socket | None:
        try:
            connection = socket.create_connection(self._address, timeout=1)
            connection.send(b"GET /news.atom HTTP/1.1\r\nX: " if number % 2 else b"")
        except OSError:
            self.refused += 1
            return None
        connection.setblocking(False)
        return connection


def peak(pid: int) -> int:
    """Bytes of memory that a process held at most."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def held(pid: int) -> int:
    """Bytes that a process and its children hold now."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    total = 0
    for each in (pid, *children):
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{each}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


@contextlib.contextmanager
def slow_readers(port: int) -> Iterator[SlowReaders]:
    readers = SlowReaders(port)
    readers.start()
    try:
        yield readers
    finally:
        readers.is_over.set()
        readers.join(10)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_hostile_sources_and_slow_readers_cost_the_others_nothing(tmp_path):
    with served(Origin("0.0.0.0")) as origin:  # each hostile source on a host of its own
        good = {f"/good/{number}": Growing(f"Quillon{number}") for number in range(GOOD)}
        for path, source in good.items():
            origin.script(path, source)
        bad = hostile(origin)
        bad_urls = {}
        for number, (name, answer) in enumerate(bad.items(), 1):
            path = "/hostile/" + name.replace(" ", "-")
            origin.script(path, answer)
            bad_urls[origin.url(path, f"127.0.1.{number}")] = name
        heavy = []
        for number, name in enumerate(HEAVY, 1):
            origin.script(f"/heavy/{number}", Answer(body=SURVIVED[name]))
            heavy.append(origin.url(f"/heavy/{number}", f"127.0.2.{number}"))
        assert len(bad_urls) == 20
        urls = [*(origin.url(path, "127.0.0.1") for path in good), *bad_urls, *heavy]
        polling = {"every": f"{EVERY:g}s", "fastest": f"{EVERY:g}s", "slowest": "30s"}
        service = Service(tmp_path, urls, polling=polling)
        with service.running() as process, slow_readers(service.port) as readers:
            wait_for(lambda: all(source.asked_at for source in good.values()), 60, "every good source was asked")
            most, waits = 0, []
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                began = time.monotonic()
                assert get(f"{service.url}/companies.json")[0] == 200
                waits.append(time.monotonic() - began)
                most = max(most, held(process.pid))
                time.sleep(0.5)
            status = json.loads(get(f"{service.admin_url}/status.json")[2])["sources"]
            metrics = get(f"{service.admin_url}/metrics")[2].decode()
            main = peak(process.pid)
    kills = next(line.split()[1] for line in metrics.splitlines() if line.startswith("bmn_parser_kills"))
    gaps = sorted(b - a for source in good.values() for a, b in pairwise(source.asked_at))
    print(f"\nmain {main >> 20} MB at most, with children {most >> 20} MB; parser kills {kills}")
    print(f"good sources asked every {statistics.median(gaps):.1f} s, p99 {gaps[len(gaps) * 99 // 100]:.1f} s")
    print(f"a reader waited {statistics.median(waits) * 1000:.0f} ms, at most {max(waits):.2f} s")
    print(f"{CLIENTS} slow readers: hung up on {readers.hung_up} times, refused {readers.refused} times")
    reasons = {bad_urls[each["url"]]: each["reason"] for each in status if each["url"] in bad_urls}
    for name, reason in sorted(reasons.items()):
        print(f"  {name}: {reason}")
    assert all(reasons.values()), reasons
    others = {each["url"]: each["health"] for each in status if each["url"] not in bad_urls}
    assert set(others.values()) == {"ok"}, others
    assert main < MEMORY
    assert gaps[len(gaps) * 99 // 100] < 2 * EVERY
    assert "Traceback" not in service.log()
