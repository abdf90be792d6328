"""A hub on loopback that does as a test tells it: it verifies what is asked of it and pushes, well or badly.

    with running_hub() as hub:
        hub.lease = 3600
        feed = an_rss(…, hub=hub.url, topic=…)
        hub.wait_for_subscriber(topic)
        assert hub.push(topic, body, "sha256") == 202

It runs in threads of its own, because whom it asks back waits for its answer.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode
from urllib.request import Request, urlopen

SECONDS = 40  # until a test gives up waiting


@dataclass(slots=True)
class Hub:
    """`answer` is what a question gets (202: it is verified then, unless `verifies` is false); `lease` in seconds;
    `deny` a reason to send instead of a verification; `moved_to` an address to redirect questions to (307).
    `asked` are the forms that came in, `confirmed` the (mode, topic) that the subscriber confirmed."""

    url: str = ""
    answer: int = 202
    lease: int = 864000
    verifies: bool = True
    deny: str | None = None
    moved_to: str | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    confirmed: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str, int]] = field(default_factory=list)
    callbacks: dict[str, tuple[str, str]] = field(default_factory=dict)  # topic: (callback, secret)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_until(self, condition: Any, about: str = "") -> None:
        """Until `condition()` holds; looked at whenever something came in."""
        with self._changed:
            if not self._changed.wait_for(condition, SECONDS):
                raise AssertionError(f"did not come true in {SECONDS} s: {about} {self.asked} {self.confirmed}")

    def wait_for_subscriber(self, topic: str) -> None:
        self.wait_until(lambda: topic in self.callbacks, f"a subscriber of {topic}")

    def questions(self, mode: str) -> list[dict[str, str]]:
        return [form for form in self.asked if form["hub.mode"] == mode]

    def push(
        self, topic: str, body: bytes, algorithm: str | None = "sha256", secret: str | None = None, **headers: str
    ) -> int:
        """Send `body` to the subscriber of `topic`, signed; its status."""
        callback, real_secret = self.callbacks[topic]
        sent = {"Content-Type": "application/rss+xml", "Link": f'<{self.url}>; rel="hub", <{topic}>; rel="self"'}
        if algorithm is not None:
            digest = hmac.new((secret or real_secret).encode(), body, algorithm).hexdigest()
            sent["X-Hub-Signature"] = f"{algorithm}={digest}"
        return status_of(Request(callback, body, sent | {k.replace("_", "-"): v for k, v in headers.items()}))

    def ask_back(self, form: dict[str, str], mode: str | None = None) -> int:
        """Ask the callback whether this was meant, or tell it that it is denied; the status."""
        mode = mode or form["hub.mode"]
        query = {"hub.mode": mode, "hub.topic": form["hub.topic"]}
        if mode == "denied":
            query["hub.reason"] = self.deny or ""
        else:
            query["hub.challenge"] = "does it echo? & exactly"
            if mode == "subscribe":
                query["hub.lease_seconds"] = str(self.lease)
        status, body = fetched(f"{form['hub.callback']}?{urlencode(query)}")
        is_confirmed = status == 200 and body == b"does it echo? & exactly"
        with self._changed:
            if mode == "denied":
                pass
            elif not is_confirmed:
                self.refused.append((mode, form["hub.topic"], status))
            else:
                self.confirmed.append((mode, form["hub.topic"]))
                if mode == "subscribe":
                    self.callbacks[form["hub.topic"]] = form["hub.callback"], form.get("hub.secret", "")
            self._changed.notify_all()
        return status

    def take(self, form: dict[str, str]) -> tuple[int, str | None]:
        with self._changed:
            self.asked.append(form)
            self._changed.notify_all()
        if self.moved_to is not None:
            return 307, self.moved_to
        if self.answer == 202 and (self.verifies or self.deny is not None):
            mode = "denied" if self.deny is not None else None
            threading.Thread(target=self.ask_back, args=(form, mode), daemon=True).start()
        return self.answer, None


def fetched(url: str) -> tuple[int, bytes]:
    """Status and body; 0 where nobody answers, as a subscriber may end before its hub."""
    try:
        with urlopen(url, timeout=SECONDS) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def status_of(request: Request) -> int:
    try:
        with urlopen(request, timeout=SECONDS) as answer:
            status: int = answer.status
            return status
    except HTTPError as error:
        return error.code


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            form = {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}
            status, location = hub.take(form)
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: tests assert."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
