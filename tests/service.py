"""A configuration in a folder and the `bmn` that runs on it: what end-to-end tests start, ask and stop.

service = Service(tmp_path, [origin.url("/feed")])
assert service.bmn("poll", "--all", "--json").returncode == 0
with service.running() as address: get(f"{address}/news.atom")
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BMN = [sys.executable, "-m", "aggregator.cli"]
ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A port that nobody listens at; none of those that the kernel gives to outgoing connections, which could take it
    before a daemon does."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(min(10_000, first - 5000), first)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def an_rss(*items: tuple[str, str], title: str = "The Quarterly Kite") -> bytes:
    """An RSS document with (guid, title) items, newest first, on pages of example.org."""
    parts = [
        f"<item><title>{text}</title><link>https://example.org/{guid}</link><guid isPermaLink='false'>{guid}</guid>"
        f"<description>{text}, said the company, and gave no reason for it.</description></item>"
        for guid, text in items
    ]
    head = f"<rss version='2.0'><channel><title>{title}</title><link>https://example.org/</link>"
    return f"{head}<description>x</description>{''.join(parts)}</channel></rss>".encode()


class Service:
    """One installation in `folder`."""

    def __init__(
        self, folder: Path, sources: Sequence[str | dict[str, Any]], database: str = "sqlite:///news.db", **extra: Any
    ) -> None:
        self.folder = folder
        self.port, self.admin_port = free_port(), free_port()
        self.config = folder / "aggregator.yaml"
        settings: dict[str, Any] = {
            "site": {"listen": f"127.0.0.1:{self.port}", "public_url": f"http://127.0.0.1:{self.port}"},
            "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
            "database": database,
            "fetch": {"allow_networks": ["127.0.0.0/8"], "timeout": "5s"},
            "polling": {"every": "1s", "fastest": "1s", "slowest": "2s", "per_host": 8},
        }
        for key, value in extra.items():
            settings[key] = {**settings.get(key, {}), **value} if isinstance(value, dict) else value
        self.config.write_text(json.dumps(settings))
        self.write_sources(sources)

    def write_sources(self, sources: Sequence[str | dict[str, Any]]) -> None:
        listed = [
            {"url": s, "section": "companies", "section_is": "final"} if isinstance(s, str) else s for s in sources
        ]
        (self.folder / "sources.yaml").write_text(json.dumps({"sources": listed}))

    def bmn(self, *arguments: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [*BMN, *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=self.folder,
            env=_environment(environment),
        )

    def poll(self) -> dict[str, Any]:
        """`bmn poll --all --json`, read."""
        done = self.bmn("poll", "--all", "--json")
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """The daemon, once it serves. The caller ends it."""
        log = (self.folder / "daemon.log").open("a")
        process = subprocess.Popen(
            [*BMN, "run", "--config", str(self.config)],
            stderr=log,
            stdout=log,
            text=True,
            cwd=self.folder,
            env=_environment(environment),
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError(f"bmn run ended with {process.returncode}: {self.log()[-2000:]}")
            try:
                get(f"{self.url}/healthz")
                return process
            except OSError:
                time.sleep(0.05)
        process.kill()
        raise AssertionError(f"bmn run does not serve: {self.log()[-2000:]}")

    @contextmanager
    def running(self, **environment: str) -> Iterator[subprocess.Popen[str]]:
        process = self.start(**environment)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    def log(self) -> str:
        return (self.folder / "daemon.log").read_text()


def _environment(extra: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BMN_CONFIG", "COV"))}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(ROOT), kept.get("PYTHONPATH", "")]), **extra}


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower case) and body; an HTTP error status is an answer like another."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def wait_for(condition: Any, seconds: float = 15, about: str = "") -> Any:
    """Ask until the answer is true; it. AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"did not come true in {seconds} s: {about}")
