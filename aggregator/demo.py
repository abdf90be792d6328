"""`bmn demo`: the newsroom on loopback and a configuration that polls it every few seconds."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

from aggregator import config as configuration
from aggregator.config import Config
from aggregator.newsroom import Newsroom
from aggregator.pipeline import utc_now
from aggregator.publish.answers import SECURITY, Answer
from aggregator.publish.serve import listen

_NOTICE = "This is a demonstration: every outlet, company and story on this site is invented."
_EVERY = timedelta(seconds=3)  # what a real source would rightly call rude

_SETTINGS = """\
site: {{public_url: "http://{address}", listen: "{address}"}}
admin: {{listen: "127.0.0.1:0"}}
database: sqlite:///demo.db
polling: {{every: 3s, fastest: 3s, slowest: 30s, per_host: 32}}
fetch: {{timeout: 5s, allow_networks: [127.0.0.0/8]}}
log: {{level: warning}}
"""


class Demo:
    """One demonstration, kept in `folder`. `speed` 2 makes the news come twice as fast."""

    notice = _NOTICE

    def __init__(self, folder: Path, listen_on: str, speed: float = 1.0) -> None:
        self._speed = max(0.1, speed)
        self._began = utc_now()
        # Bound now: the configuration must name the newsroom's address before it is served.
        self._socket = socket.create_server(("127.0.0.1", 0))
        port = self._socket.getsockname()[1]
        self._newsroom = Newsroom(f"http://127.0.0.1:{port}", self._began)
        self.config = self._configured(folder, listen_on)

    def _configured(self, folder: Path, address: str) -> Config:
        (folder / "aggregator.yaml").write_text(_SETTINGS.format(address=address), encoding="utf-8")
        every = f"{_EVERY.seconds}s"
        sources = {"sources": [source | {"every": every} for source in self._newsroom.sources()]}
        (folder / "sources.yaml").write_text(json.dumps(sources), encoding="utf-8")  # JSON is YAML
        return configuration.load(folder / "aggregator.yaml", {})

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Have the newsroom answer while inside."""
        self._socket.setblocking(False)
        listener = await listen(self, "", [self._socket])
        try:
            yield
        finally:
            await listener.stop()

    def at_once(self, method: str, target: str, headers: Mapping[str, str]) -> Answer | None:
        return None

    async def later(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        """What the newsroom says now; some of it takes its time."""
        elapsed = (utc_now() - self._began) * self._speed
        found = self._newsroom.document(target, self._began + elapsed, headers.get("If-None-Match"))
        if found.delay:
            await asyncio.sleep(found.delay)
        dated = (("Date", format_datetime(utc_now(), usegmt=True)),)
        return Answer(found.status, (*SECURITY, *dated, *found.headers.items()), found.body)
