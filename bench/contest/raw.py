"""The floor: a bare loop over the HTTP library that we use, which reads the bodies and drops them.

python -m bench.contest.raw URLS VALIDATORS        VALIDATORS is a file that it writes and reads again
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import aiohttp
import uvloop

AT_A_TIME = 64


async def one_pass(urls: list[str], validators: dict[str, dict[str, str]]) -> dict[str, object]:
    left = iter(urls)
    statuses: list[int] = []

    async def worker(session: aiohttp.ClientSession) -> None:
        for url in left:
            async with session.get(url, headers=validators.get(url), allow_redirects=False) as answer:
                await answer.read()
                statuses.append(answer.status)
                sent = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
                validators[url] = {ask: answer.headers[name] for ask, name in sent.items() if name in answer.headers}

    wall, cpu = time.monotonic(), time.process_time()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(worker(session) for _ in range(AT_A_TIME)))
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return {"cpu": cpu, "wall": wall, "polled": len(statuses), "not_modified": statuses.count(304)}


def main() -> None:
    listing, memory = map(Path, sys.argv[1:])
    validators = json.loads(memory.read_text()) if memory.exists() else {}
    result = uvloop.run(one_pass(listing.read_text().split(), validators))
    memory.write_text(json.dumps(validators))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
