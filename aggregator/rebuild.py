"""`bmn rebuild`: what readers get, made again from the store and the configuration alone, and compared.

Everything published is a function of the two: nothing that a process remembers, the order of its sets or its age may
show in a byte. This prints with nothing remembered, here and in a process of its own, and asks a running daemon.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from aggregator.config import Config
from aggregator.daemon import Log
from aggregator.errors import AggregatorError
from aggregator.ingest.fetch import Fetcher, FetchPolicy
from aggregator.metrics import Metrics
from aggregator.publish.shelf import Shelf
from aggregator.publisher import Publisher
from aggregator.store import Store
from aggregator.types import FailureReason, Fetched, FetchFailed, FetchRequest, Rendered

Digests = Mapping[str, str]  # of documents, by path; `… for people` is the page at a feed's address

_FEEDS = (".atom", ".rss", ".json")
_TRIES = 4  # a daemon that is just publishing may be a pass behind the store
_PASS = 2.0  # seconds between its passes


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paths that were compared, and those that differ or are on one side only."""

    compared: int
    different: tuple[str, ...]


def printed(store: Store, config: Config, log: Log, now: Callable[[], datetime]) -> Digests:
    """Every document of an edition, printed with nothing remembered."""
    publisher = Publisher(store, Shelf(), Metrics(), log, now)
    try:
        publisher.configure(config)
        publisher.publish()
        return dict(_digests(publisher.shelf.documents))
    finally:
        publisher.close()


def _digests(documents: Mapping[str, Rendered]) -> Iterator[tuple[str, str]]:
    for path, document in sorted(documents.items()):
        yield path, _of(document.body)
        if document.for_people is not None:
            yield f"{path} for people", _of(document.for_people.body)


def _of(body: bytes) -> str:
    return blake2b(body, digest_size=16).hexdigest()


def compared(one: Digests, two: Digests) -> Comparison:
    """Two editions side by side."""
    paths = sorted({*one, *two})
    return Comparison(len(paths), tuple(path for path in paths if one.get(path) != two.get(path)))


def printed_elsewhere(arguments: list[str]) -> Digests:
    """The same by `bmn rebuild --json` in a process of its own, whose sets are in another order."""
    seed = str(random.randrange(1, 2**32))
    command = [sys.executable, "-m", "aggregator.cli", "rebuild", "--print", "--json", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AggregatorError(f"printing in another process failed: {done.stderr.strip()[-400:]}")
    digests: Digests = json.loads(done.stdout)["documents"]
    return digests


async def compared_with_daemon(
    config: Config, prints: Callable[[], Digests], wait: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Comparison | None:
    """The merged feeds as a daemon at `site.listen` serves them beside `prints`; None where nobody answers there.

    While they differ it is asked again: a daemon is behind the store by a pass at most.
    """
    if config.site.listen.host is None:
        return None
    networks = ("127.0.0.0/8", "::1/128", *map(str, config.fetch.allow_networks))
    async with Fetcher(FetchPolicy(timeout=10, contact=config.site.public_url, allow_networks=networks)) as fetcher:
        for left in reversed(range(_TRIES)):
            own = {path: digest for path, digest in prints().items() if path.endswith(_FEEDS)}
            served = await _served(config, fetcher, list(own))
            if served is None:
                return None
            found = compared(own, served)
            if not found.different or not left:
                return found
            await wait(_PASS)
    return None


async def _served(config: Config, fetcher: Fetcher, paths: list[str]) -> Digests | None:
    served: dict[str, str] = {}
    for path in paths:
        outcome = await fetcher.fetch(FetchRequest(f"http://{config.site.listen}{config.site.prefix}{path}"))
        if isinstance(outcome, Fetched):
            served[path] = _of(outcome.body)
        elif isinstance(outcome, FetchFailed) and outcome.reason in (FailureReason.CONNECT, FailureReason.TIMEOUT):
            return None
    return served
