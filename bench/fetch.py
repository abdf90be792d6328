"""CPU per conditional request that answers 304: ours beside a raw loop with the same library, which is the limit.

    python bench/fetch.py [--feeds 1000] [--rounds 5]

nginx serves one file over loopback from a temporary folder; both ask it `feeds` times per round, 64 at a time, on
uvloop.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import uvloop

from aggregator.ingest.fetch import Fetcher, FetchPolicy
from aggregator.types import FetchRequest, NotModified

PORT = 18763
CONF = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; root {folder}; }} }}
"""


async def many(ask: Callable[[], Awaitable[None]], count: int) -> float:
    """CPU microseconds per call of `ask`, `count` of them, 64 at a time."""
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            await ask()

    started = time.process_time()
    await asyncio.gather(*(worker() for _ in range(64)))
    return (time.process_time() - started) / count * 1e6


async def measure(feeds: int, rounds: int) -> None:
    url = f"http://127.0.0.1:{PORT}/feed.xml"
    async with (
        Fetcher(FetchPolicy(allow_networks=("127.0.0.0/8",))) as fetcher,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False) as session,
    ):
        first = await fetcher.fetch(FetchRequest(url))
        request = FetchRequest(url, first.validators)  # type: ignore[union-attr]
        headers = {"If-None-Match": request.validators.etag or ""}

        async def ours() -> None:
            assert isinstance(await fetcher.fetch(request), NotModified)

        async def raw() -> None:
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                assert response.status == 304

        figures = [(await many(raw, feeds), await many(ours, feeds)) for _ in range(rounds + 1)][1:]
    base, mine = (sorted(column)[len(figures) // 2] for column in zip(*figures, strict=True))
    print(f"304 over loopback, median of {rounds} × {feeds}, CPU per request:")
    print(f"raw aiohttp {base:.0f} µs, ours {mine:.0f} µs, × {mine / base:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--feeds", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "feed.xml").write_bytes(b"<rss/>" * 1000)
        (folder / "nginx.conf").write_text(CONF.format(folder=folder, port=PORT))
        nginx = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
        try:
            time.sleep(0.5)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(measure(options.feeds, options.rounds))
        finally:
            nginx.terminate()
            nginx.wait()


if __name__ == "__main__":
    main()
