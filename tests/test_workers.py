"""`workers`: children that may be killed, and a daemon that does not notice. Real processes throughout."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import a_parsed_feed, an_entry
from hypothesis import given
from hypothesis import strategies as st

from aggregator import workers as module
from aggregator.errors import WorkerError
from aggregator.ingest import wire
from aggregator.ingest.parse import parse
from aggregator.types import Enclosure, FailureReason, ParsedEntry, ParsedFeed, ParseFailed
from aggregator.workers import Workers

NOW = datetime(2026, 6, 1, tzinfo=UTC)
URL = "https://feeds.example/feed.xml"
FIXTURES = Path(__file__).parent / "data" / "feeds"
ROOT = Path(__file__).resolve().parent.parent
SMALL = b'<rss version="2.0"><channel><title>t</title><item><title>small</title></item></channel></rss>'
# feedparser's search for a mail address in an author takes a second for 6 kB and grows with the cube.
ENDLESS = SMALL.replace(b"<item>", b"<item><author>" + b"a." * 16_000 + b"</author><x></b>")


def with_workers(work: Callable[[Workers], Awaitable[None]], count: int = 1, **limits: float) -> Workers:
    """Run `work` with children; afterwards none of them may be left."""

    async def run() -> Workers:
        async with Workers(count, **limits) as workers:  # type: ignore[arg-type]
            await work(workers)
        return workers

    workers = asyncio.run(run())
    assert not children()
    return workers


def children() -> list[int]:
    """Processes that run the child's program below this one, zombies among them."""
    found = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in found if b"aggregator.ingest.child" in _cmdline(int(pid)) or _cmdline(int(pid)) == b""]


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b"gone"


async def ask(workers: Workers, document: bytes, known: frozenset[bytes] = frozenset()) -> ParsedFeed | ParseFailed:
    return await workers.parse(document, URL, None, known, NOW)


def test_children_answer_what_parse_answers() -> None:
    documents = [path.read_bytes() for path in sorted(FIXTURES.iterdir())]

    async def work(workers: Workers) -> None:
        answers = await asyncio.gather(*(ask(workers, document) for document in documents))
        assert list(answers) == [parse(document, URL, None, frozenset(), NOW) for document in documents]

    workers = with_workers(work, count=2)
    assert (workers.parsed, workers.kills, workers.started) == (len(documents), 0, 2)


def test_known_entries_travel() -> None:
    async def work(workers: Workers) -> None:
        first = await ask(workers, SMALL)
        assert isinstance(first, ParsedFeed)
        known = frozenset(entry.fingerprint for entry in first.entries) | {bytes(16)}
        again = await ask(workers, SMALL, known)
        assert isinstance(again, ParsedFeed)
        assert (again.entries, again.unchanged) == ((), (first.entries[0].fingerprint,))

    with_workers(work)


@pytest.mark.parametrize(
    ("limits", "detail"),
    [({"cpu_seconds": 1}, "1 s of processor time"), ({"wall_seconds": 0.7}, "took more than 0.7 s")],
    ids=["processor", "wall clock"],
)
def test_endless_document_costs_itself_alone(limits: dict[str, float], detail: str) -> None:
    async def work(workers: Workers) -> None:
        hostile = asyncio.create_task(ask(workers, ENDLESS))
        assert isinstance(await ask(workers, SMALL), ParsedFeed)  # the other child serves on
        failed = await hostile
        assert isinstance(failed, ParseFailed)
        assert failed.reason is FailureReason.LIMITS
        assert detail in failed.detail
        for _ in range(4):
            assert isinstance(await ask(workers, SMALL), ParsedFeed)

    workers = with_workers(work, count=2, **limits)
    assert (workers.kills, workers.started) == (1, 3)


def test_processor_time_counts_per_document() -> None:
    heavy = SMALL.replace(b"</channel>", b"<item><title>x</title></item>" * 60_000 + b"</channel>")

    async def work(workers: Workers) -> None:
        for _ in range(12):  # more than a second together
            assert isinstance(await ask(workers, heavy), ParsedFeed)

    assert with_workers(work, cpu_seconds=1).kills == 0


def test_greedy_document_is_stopped_by_memory() -> None:
    greedy = SMALL.replace(b"</channel>", b"<item/>" * 1_000_000 + b"</channel>")

    async def work(workers: Workers) -> None:
        failed = await ask(workers, greedy)
        assert isinstance(failed, ParseFailed)
        assert failed.reason is FailureReason.LIMITS, failed
        assert isinstance(await ask(workers, SMALL), ParsedFeed)

    assert with_workers(work, memory_bytes=160 << 20).kills == 1


def test_cancelled_caller_leaves_the_child_in_order() -> None:
    heavy = SMALL.replace(b"</channel>", b"<item><title>heavy</title></item>" * 60_000 + b"</channel>")

    async def work(workers: Workers) -> None:
        for delay in (0.0, 0.001, 0.02):  # at 0.02 of some 0.3 seconds the child reads
            task = asyncio.create_task(ask(workers, heavy))
            await asyncio.sleep(delay)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            answer = await ask(workers, SMALL)
            assert isinstance(answer, ParsedFeed)
            assert [entry.title for entry in answer.entries] == ["small"]

    assert with_workers(work).started == 1


def test_child_that_died_idle_is_replaced_and_no_document_blamed() -> None:
    async def work(workers: Workers) -> None:
        (pid,) = children()
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.1)
        assert isinstance(await ask(workers, SMALL), ParsedFeed)

    workers = with_workers(work)
    assert (workers.kills, workers.started) == (0, 2)


def test_children_ignore_the_signals_that_are_meant_for_the_daemon() -> None:
    async def work(workers: Workers) -> None:
        (pid,) = children()
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        await asyncio.sleep(0.1)
        assert isinstance(await ask(workers, SMALL), ParsedFeed)

    assert with_workers(work).started == 1


def test_children_are_renewed_after_many_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECYCLE_AFTER", 3)

    async def work(workers: Workers) -> None:
        for _ in range(7):
            assert isinstance(await ask(workers, SMALL), ParsedFeed)

    workers = with_workers(work)
    assert (workers.kills, workers.started) == (0, 3)


def test_stopping_waits_for_documents_in_hand_and_takes_no_more() -> None:
    heavy = SMALL.replace(b"</channel>", b"<item><title>heavy</title></item>" * 60_000 + b"</channel>")

    async def run() -> None:
        workers = Workers(1)
        await workers.start()
        in_hand = asyncio.create_task(ask(workers, heavy))
        await asyncio.sleep(0.02)
        await workers.stop()
        assert isinstance(await in_hand, ParsedFeed)
        late = await ask(workers, SMALL)
        assert isinstance(late, ParseFailed)
        assert late.reason is FailureReason.INTERNAL

    asyncio.run(run())
    assert not children()


def test_stopping_does_not_wait_for_ever() -> None:
    async def run() -> float:
        workers = Workers(1)
        await workers.start()
        in_hand = asyncio.create_task(ask(workers, ENDLESS))
        await asyncio.sleep(0.1)
        start = time.monotonic()
        await workers.stop(grace=0.3)
        with pytest.raises(asyncio.CancelledError):
            await in_hand
        return time.monotonic() - start

    assert asyncio.run(run()) < 3
    assert not children()


def test_machine_without_a_python_is_our_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(WorkerError, match="/bin/false"):
        asyncio.run(Workers(1).start())


def test_a_program_replaced_under_the_daemon_blames_no_feed_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(workers: Workers) -> None:
        monkeypatch.setattr(wire, "VERSION", wire.VERSION + 1)  # of the daemon; children begun from now on do not know
        os.kill(children()[0], signal.SIGKILL)
        await asyncio.sleep(0.1)
        failed = await ask(workers, SMALL)
        assert isinstance(failed, ParseFailed)
        assert failed.reason is FailureReason.INTERNAL
        assert "replaced under the running daemon, restart it" in failed.detail
        monkeypatch.undo()
        assert isinstance(await ask(workers, SMALL), ParsedFeed)

    assert with_workers(work).kills == 0


def test_large_document_does_not_hold_up_the_event_loop() -> None:
    text = b"<description>" + b"Pumps &lt;b&gt;rise&lt;/b&gt; again. " * 120 + b"</description>"
    large = SMALL.replace(b"</channel>", b"<item><title>x</title>" + text + b"</item>" * 1 + b"</channel>")
    large = large.replace(b"</channel>", (b"<item><title>x</title>" + text + b"</item>") * 1800 + b"</channel>")
    assert 7 << 20 < len(large) < 9 << 20

    async def work(workers: Workers) -> None:
        longest = 0.0
        answer = asyncio.create_task(ask(workers, large))
        while not answer.done():
            start = time.thread_time()  # ours alone: a busy machine must not fail this
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - start)
        result = answer.result()
        assert isinstance(result, ParsedFeed)
        assert len(result.entries) == 1802
        assert longest < 0.05

    with_workers(work)


def test_children_die_with_the_daemon() -> None:
    program = (
        "import asyncio, sys\n"
        "from aggregator.workers import Workers\n"
        "async def main():\n"
        "    workers = Workers(2)\n"
        "    await workers.start()\n"
        "    print(*(child._process.pid for child in workers._children), flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    daemon = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert daemon.stdout is not None
    pids = [int(pid) for pid in daemon.stdout.readline().split()]
    assert len(pids) == 2
    daemon.kill()
    daemon.wait()
    daemon.stdout.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(b"ingest.child" in _cmdline(pid) for pid in pids):
        time.sleep(0.02)
    assert not [pid for pid in pids if b"ingest.child" in _cmdline(pid)]


def test_child_loads_little_and_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEED_PASSWORD", "hunter2")
    code = (
        "import sys, aggregator.ingest.child\n"
        "heavy = {'numpy', 'sqlalchemy', 'aiohttp', 'pydantic', 'feedgen', 'jinja2', 'asyncio', 'feedparser'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)

    async def work(workers: Workers) -> None:
        (pid,) = children()
        assert b"hunter2" not in Path(f"/proc/{pid}/environ").read_bytes()

    with_workers(work)


# ---------------------------------------------------------------- the wire

ENTRIES = st.lists(
    st.builds(
        an_entry,
        title=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        content=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
        published=st.none()
        | st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)).map(
            lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
        ),
        comment_count=st.none() | st.integers(0, 10**6),
        categories=st.lists(st.text("abcé", max_size=5), max_size=3).map(tuple),
    ),
    max_size=5,
)


def received(frames: list[bytes]) -> ParsedFeed | ParseFailed:
    answer = wire.Answer()
    for frame in frames:
        assert not answer.is_complete
        answer.add(frame[wire.LENGTH_BYTES :])
    assert answer.is_complete
    return answer.result()


@given(ENTRIES)
def test_answers_arrive_as_they_were_sent(entries: list[ParsedEntry]) -> None:
    feed = a_parsed_feed(
        *entries, unchanged=(bytes(16), bytes(range(16))), complaint="x", hub_urls=("https://hub.example/",)
    )
    assert received(list(wire.pack_answer(feed))) == feed


def test_long_answers_come_in_several_frames() -> None:
    feed = a_parsed_feed(*(an_entry(title=str(number), content="x" * 50_000) for number in range(10)))
    frames = list(wire.pack_answer(feed))
    assert len(frames) == 4
    assert max(map(len, frames)) < 200_000
    assert received(frames) == feed


def test_what_is_written_changes_with_the_version_alone() -> None:
    feed = a_parsed_feed(
        an_entry(
            published=datetime(2026, 5, 1, tzinfo=UTC),
            updated=datetime(2026, 5, 2, tzinfo=UTC),
            fingerprint=bytes(16),
            enclosures=(Enclosure("https://herald.example/a.mp3", "audio/mpeg", 7),),
        ),
        unchanged=(bytes(16),),
    )
    request = b"".join(wire.pack_request(b"<rss/>", "https://herald.example/", None, frozenset(), NOW, b"m"))
    written = b"".join([*wire.pack_answer(feed), *wire.pack_answer(ParseFailed(FailureReason.LIMITS, "x")), request])
    assert (wire.VERSION, hashlib.sha256(written).hexdigest()[:16]) == (1, "417a75613c56b273"), "raise wire.VERSION"


def framed(said: bytes, texts: bytes = b"") -> bytes:
    """The body of a frame as `wire.Answer` takes it, whatever is said in it."""
    return len(said).to_bytes(wire.LENGTH_BYTES, "big") + said + texts


FEED = b'"feed": ["t", null, null, null, "rss20", "fast", null], "hub_urls": [], "unchanged": "", "marks": ""'
HINTS = b'"hints": [null, null, null, [], []]'
ROW = b'["%s", null, null, "", null, null, null, %%s, null, [], null, [], null, null, null]' % (b"00" * 16)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        framed(b""),
        framed(b"null"),
        framed(b"[]"),
        framed(b"{"),
        framed(b'[{"failed": ["no such reason", "x"]}, []]'),
        framed(b'[{"failed": ["limits", 5]}, []]'),
        framed(b'[{"feed": [], "entries": 0}, []]'),
        framed(b'[{"feed": [1,2,3,4,5,6,7], "entries": 0, "hub_urls": [], "unchanged": "", ' + HINTS + b"}, []]"),
        framed(b'[{"entries": 0, ' + HINTS + b", " + FEED.replace(b"fast", b"slow") + b"}, []]"),
        framed(b"[" * 100_000),
        framed(b'[{"entries": 1e999}, []]'),
        framed(b"\xff\xfe"),
        b"\xff\xff\xff\xff" + b"[null, []]",
        framed(b'[{"entries": 0, ' + HINTS + b", " + FEED + b"}, []]", b"nobody's"),
        *(
            framed(b'[{"entries": 1, ' + HINTS + b", " + FEED + b"}, [" + ROW % size + b"]]", b"four")
            for size in (b"3", b"5", b"-4", b"null", b'"4"', b"4.0", b"true", b"1e999", b"99999999999999999999")
        ),
        framed(b'[{"entries": 1, ' + HINTS + b", " + FEED + b"}, [" + ROW % b"1" + b"]]", b"\xff"),
    ],
    ids=range(25),
)
def test_a_child_that_talks_nonsense_is_found_out(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        received([bytes(wire.LENGTH_BYTES) + body])


def test_nonsense_is_close_to_sense() -> None:
    body = framed(b'[{"entries": 1, ' + HINTS + b", " + FEED + b"}, [" + ROW % b"4" + b"]]", b"four")
    feed = received([bytes(wire.LENGTH_BYTES) + body])
    assert isinstance(feed, ParsedFeed)
    assert [entry.summary for entry in feed.entries] == ["four"]


@given(st.lists(st.none() | st.integers() | st.text(max_size=4) | st.lists(st.integers(), max_size=3), max_size=16))
def test_an_entry_of_wrong_types_is_found_out(row: list[object]) -> None:
    answer = wire.Answer()
    head = {"feed": ["t", None, None, None, "rss20", "fast", None], "entries": 1}
    answer.add(wire.frame([head, []])[wire.LENGTH_BYTES :])
    with pytest.raises(wire.WireError):
        answer.add(wire.frame([None, [row]])[wire.LENGTH_BYTES :])
