"""Our feeds as topics of W3C WebSub, and the rules of the hub that we may be ourselves. Pure.

Which hubs feeds name and which documents are topics; what is asked of our hub and what of it is too much; how a
callback is asked back and how a delivery is signed. `announcer` tells other hubs, `reception` and `distributor` are
our own.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

from aggregator.types import Rendered
from aggregator.urls import http_url

PATH = "/hub"  # of the hub that we are ourselves
TOLD_FOR = timedelta(seconds=30)  # after telling of a change the next one of that feed waits: news come in flocks
RETRY = timedelta(minutes=1)  # doubled with each failure
MAX_RETRY = timedelta(hours=6)

LEASE = timedelta(days=10)  # where nobody says how long
LEASES = timedelta(minutes=5), timedelta(days=30)  # what is asked for is brought within
MAX_FORM = 8192  # bytes
MAX_CALLBACK = 1024  # characters
MAX_SECRET = 200  # bytes (WebSub §5.1)
CONFIRM_TRIES = 3  # of a callback that does not answer; one that says no is asked once
DELIVERY_TRIES = 11  # in a row, over some fourteen hours; then the subscription is over
_FORM = "application/x-www-form-urlencoded"
_FIELDS = 30  # of a form; extensions may bring their own


# ---------------------------------------------------------------- what we publish


def addresses(public_url: str, hubs: Sequence[str], is_hub: bool) -> tuple[str, ...]:
    """The hubs that our feeds name; our own first, as it needs nobody to tell it."""
    own = own_address(public_url)
    return tuple(dict.fromkeys((own, *hubs))) if is_hub else tuple(dict.fromkeys(hubs))


def own_address(public_url: str) -> str:
    """Where our own hub is."""
    return f"{public_url.rstrip('/')}{PATH}"


def topics(documents: Mapping[str, Rendered]) -> dict[str, Rendered]:
    """Of the shelf's documents those that name a hub, by the address they call their own (rel=self)."""
    found = {}
    for document in documents.values():
        links = dict(document.links)
        if "hub" in links and "self" in links:
            found[links["self"]] = document
    return found


# ---------------------------------------------------------------- what is asked of our hub


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks of our hub: to `subscribe` or `unsubscribe` a callback. Nothing of it is believed yet."""

    mode: str
    callback_url: str
    topic_url: str
    lease: timedelta
    secret: str | None


@dataclass(frozen=True, slots=True)
class Unacceptable:
    """Why a request is none: a status, and a line for whoever wrote the subscriber."""

    status: int
    why: str


def read_request(content_type: str, body: bytes, topics: Collection[str]) -> Wanted | Unacceptable:
    """The request in a form (WebSub §5.1), or what is wrong with it. `topics` are those we can be asked for."""
    if content_type.partition(";")[0].strip().lower() != _FORM:
        return Unacceptable(415, f"send {_FORM}")
    try:
        fields = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
    except ValueError:
        return Unacceptable(400, "that is no form in UTF-8 of a reasonable size")
    given = {name: value for name, value in fields if name.startswith("hub.")}
    if len(given) < sum(name.startswith("hub.") for name, _ in fields):
        return Unacceptable(400, "a field is given twice")
    mode, callback, topic = (given.get(f"hub.{name}", "") for name in ("mode", "callback", "topic"))
    if mode not in ("subscribe", "unsubscribe"):
        return Unacceptable(400, "hub.mode must be subscribe or unsubscribe: this hub serves its own feeds alone")
    if (why := _wrong_callback(callback)) is not None:
        return Unacceptable(400, f"hub.callback {why}")
    if topic not in topics:
        return Unacceptable(404, "hub.topic is none of ours: take the feed's rel=self, letter by letter")
    lease = _lease(given.get("hub.lease_seconds", ""))
    if lease is None:
        return Unacceptable(400, "hub.lease_seconds must be a whole number of seconds")
    secret = given.get("hub.secret") or None
    if secret is not None and len(secret.encode()) > MAX_SECRET:
        return Unacceptable(400, f"hub.secret must not be longer than {MAX_SECRET} bytes")
    return Wanted(mode, callback, topic, lease, secret)


def _wrong_callback(url: str) -> str | None:
    if len(url) > MAX_CALLBACK:
        return f"must not be longer than {MAX_CALLBACK} characters"
    if not url.isascii() or http_url(url) is None or any(character.isspace() for character in url):
        return "must be an http(s) address in ASCII, without a user or password"
    if "#" in url:
        return "must have no fragment"
    port = urlsplit(url).port
    if port is not None and port < 1024 and port not in (80, 443):
        return "must be at port 80, 443 or above 1023"  # no mail server is asked what it thinks of HTTP
    return None


def _lease(said: str) -> timedelta | None:
    """The lease that we grant; None for what is no number."""
    if not said:
        return LEASE
    if not (said.isascii() and said.isdigit()):
        return None
    shortest, longest = LEASES
    return min(max(timedelta(seconds=int(said[:9])), shortest), longest) if len(said) < 10 else longest


# ---------------------------------------------------------------- what our hub asks and brings


def question(wanted: Wanted, challenge: str) -> str:
    """The address at which the callback has to answer `challenge` to confirm the request (WebSub §5.3)."""
    asked = {"hub.mode": wanted.mode, "hub.topic": wanted.topic_url, "hub.challenge": challenge}
    if wanted.mode == "subscribe":
        asked["hub.lease_seconds"] = str(int(wanted.lease.total_seconds()))
    joint = "&" if urlsplit(wanted.callback_url).query else "" if wanted.callback_url.endswith("?") else "?"
    return f"{wanted.callback_url}{joint}{urlencode(asked)}"


def delivery_headers(document: Rendered, hub_url: str, topic_url: str, secret: str | None) -> dict[str, str]:
    """What goes with a document to a subscriber: its type, where it is from, and our signature (WebSub §7)."""
    headers = {
        "Content-Type": document.content_type,
        "Link": f'<{hub_url}>; rel="hub", <{topic_url}>; rel="self"',
    }
    if secret is not None:
        headers["X-Hub-Signature"] = f"sha256={hmac.new(secret.encode(), document.body, 'sha256').hexdigest()}"
    return headers


def retry_after(tries: int) -> timedelta:
    """How long to wait after so many failures in a row, one or more."""
    return min(RETRY * (1 << min(max(tries - 1, 0), 20)), MAX_RETRY)
