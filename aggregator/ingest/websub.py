"""Push instead of polling: the subscriber's half of W3C WebSub, as decisions. Pure.

A feed's document names hubs and its topic; a Subscription goes through its states by what the hub says and does. The
clock, random tokens and secrets are arguments. `subscriber` asks hubs, `callbacks` answers them, the store remembers.

    asked -> active (verified) -> active (renewed) …      denied, or not verified: asked again, ever more rarely
    any -> leaving -> left (the callback answers 410)
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from aggregator.ingest import politeness
from aggregator.types import Answered, FetchFailed, NewEntry, ParsedFeed
from aggregator.urls import http_url

LEASE = timedelta(days=10)  # what we ask for; the hub decides
MAX_LEASE = timedelta(days=30)  # of longer ones we make sure in between
MIN_RENEWAL = timedelta(minutes=5)  # a hub cannot make us ask more often than that
RENEW_AT = 0.75  # of the lease: leaves days for a hub that is down
VERIFY_WITHIN = timedelta(minutes=10)  # before we ask again; doubled each time
REFUSED_FOR = timedelta(days=1)  # a hub that says no; doubled each time
MAX_BACK_OFF = timedelta(days=7)
LEAVE_TRIES = 3  # questions to be let go, then we are gone
MISSES = 3  # polls in one lease that found what no push had brought: then the feed is polled as ever
LATE = timedelta(minutes=10)  # a push may take so long; only older entries count as missed
MAX_PUSH = 8 << 20  # bytes; judged before anything is hashed
RECENT = 32  # pushes whose repetition we notice
MAX_CHALLENGE = 2048  # characters we are willing to echo
_MAX_HEADER = 8192
_LINK = re.compile(
    r"""<([^<>\s]{1,2000})>((?:\s*;\s*[\w*-]{1,40}(?:\s*=\s*(?:"[^"<>]{0,400}"|[^\s",;<>]{1,400}))?)*)"""
)
_PARAMETER = re.compile(r';\s*([\w*-]+)\s*=\s*(?:"([^"]*)"|([^\s",;]+))')
_HASHES = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


class PushState(StrEnum):
    """Where a subscription stands."""

    ASKED = "asked"  # the hub has been asked, or will be at `ask_at`, and has not verified
    ACTIVE = "active"  # verified; the hub pushes until `lease_until`
    DENIED = "denied"  # the hub does not want us; asked again at `ask_at`
    LEAVING = "leaving"  # no longer wanted; the hub has yet to hear or to verify it
    LEFT = "left"  # over


@dataclass(frozen=True, slots=True)
class Offer:
    """What a document says about push: hubs in its order of preference, and the topic to name to them."""

    hub_urls: tuple[str, ...]
    topic_url: str

    def to_json(self) -> dict[str, object]:
        return {"hubs": list(self.hub_urls), "topic": self.topic_url}

    @classmethod
    def from_json(cls, value: object) -> Offer | None:
        """What `to_json` gave; None for anything else."""
        match value:
            case {"hubs": [*hubs], "topic": str(topic)} if hubs and all(isinstance(hub, str) for hub in hubs):
                return cls(tuple(hubs), topic)
        return None


@dataclass(frozen=True, slots=True)
class Subscription:
    """One feed's subscription at one hub. `token` is the unguessable end of its callback, `secret` what the hub signs
    with. `ask_at` is when to ask the hub next, None while there is nothing to ask; `asked_at` the last time we did.
    `reason` is one line for a person. `recent` are hashes of the last pushes. `misses` counts polls of this lease that
    found what no push had brought."""

    token: str
    feed_id: int
    topic_url: str
    hub_url: str
    secret: str
    state: PushState = PushState.ASKED
    ask_at: datetime | None = None
    asked_at: datetime | None = None
    verified_at: datetime | None = None
    lease_until: datetime | None = None
    failures: int = 0
    reason: str | None = None
    pushed_at: datetime | None = None
    recent: tuple[str, ...] = ()
    misses: int = 0

    @property
    def trusted_until(self) -> datetime | None:
        """Until when the feed need not be polled for news; None where push is not to be relied upon."""
        return self.lease_until if self.state is PushState.ACTIVE and self.misses < MISSES else None


# ---------------------------------------------------------------- discovery


def offer(headers: Mapping[str, str], parsed: ParsedFeed, url: str) -> Offer | None:
    """The hubs and the topic of a document fetched from `url`, None where it does not name both.

    Link headers win over the document's own links (WebSub §4). The topic is rel=self as given, because hubs compare
    strings; never `url` itself, which may carry a reader's secret. Only http(s) addresses count. Header names are lower
    case.
    """
    links = link_header(headers.get("link", ""), url)
    hubs = tuple(dict.fromkeys(target for rel, target in links if rel == "hub"))
    topic = http_url(next((target for rel, target in links if rel == "self"), None) or parsed.self_url)
    hubs = hubs or tuple(dict.fromkeys(hub for hub in map(http_url, parsed.hub_urls) if hub))
    return Offer(hubs[:5], topic) if hubs and topic else None


def link_header(value: str, base: str) -> list[tuple[str, str]]:
    """(rel, absolute URL) of a Link header in order (RFC 8288); what is no http(s) address is left out."""
    found = []
    for target, parameters in _LINK.findall(value[:_MAX_HEADER]):
        url = http_url(target, base)
        named = [quoted or bare for name, quoted, bare in _PARAMETER.findall(parameters) if name.lower() == "rel"]
        if url is not None and named:  # of several the first counts
            found += [(rel, url) for rel in named[0].lower().split()]
    return found


# ---------------------------------------------------------------- asking a hub


def begun(feed_id: int, offered: Offer, token: str, secret: str, now: datetime) -> Subscription:
    """A subscription to be asked for at once, at the hub that the document names first."""
    return Subscription(token, feed_id, offered.topic_url, offered.hub_urls[0], secret, ask_at=now)


def form(subscription: Subscription, callback_url: str) -> tuple[tuple[str, str], ...]:
    """The question to the hub (WebSub §5.1). The secret goes to http hubs too: without it anybody could push."""
    common = (("hub.callback", callback_url), ("hub.topic", subscription.topic_url))
    if subscription.state is PushState.LEAVING:
        return (("hub.mode", "unsubscribe"), *common)
    lease = str(int(LEASE.total_seconds()))
    return (("hub.mode", "subscribe"), *common, ("hub.lease_seconds", lease), ("hub.secret", subscription.secret))


def asking(subscription: Subscription, now: datetime) -> Subscription:
    """Before the question goes out: a hub may verify before it answers, and we may die before it does."""
    wait = min(VERIFY_WITHIN * 2**subscription.failures, MAX_BACK_OFF)
    state = PushState.ASKED if subscription.state is PushState.DENIED else subscription.state
    return replace(
        subscription,
        state=state,
        asked_at=now,
        ask_at=_within_lease(subscription, now + wait, now),
        failures=min(subscription.failures + 1, 20),
        reason="waits for the hub to verify",
    )


def _within_lease(subscription: Subscription, ask_at: datetime, now: datetime) -> datetime:
    """`ask_at`, but no later than the end of a lease that is not over: what happens then must not be missed."""
    end = subscription.lease_until if subscription.state is PushState.ACTIVE else None
    return min(ask_at, end) if end is not None and end > now else ask_at


def not_asked(subscription: Subscription, before: Subscription, now: datetime) -> Subscription:
    """After `asking` where the question could not go out, as its host wants patience: as `before`, in a minute."""
    if subscription.asked_at != now or subscription.verified_at != before.verified_at:
        return subscription
    return replace(
        subscription,
        state=before.state,
        asked_at=before.asked_at,
        failures=before.failures,
        reason=before.reason,
        ask_at=_within_lease(subscription, now + timedelta(minutes=1), now),
    )


def after_answer(subscription: Subscription, answer: Answered | FetchFailed, now: datetime) -> Subscription:
    """After the hub's answer to `asking`. Acceptance changes nothing, only verification does."""
    if subscription.asked_at is None or (subscription.verified_at or subscription.asked_at) > subscription.asked_at:
        return subscription  # verified meanwhile
    if isinstance(answer, Answered) and 200 <= answer.status < 300:
        return subscription
    if subscription.state is PushState.LEAVING:
        is_over = subscription.failures >= LEAVE_TRIES
        return replace(subscription, state=PushState.LEFT, ask_at=None) if is_over else subscription
    if isinstance(answer, FetchFailed):
        wait, said = VERIFY_WITHIN * 2 ** min(subscription.failures, 12), f"{answer.reason}: {answer.detail}"
    else:
        wait, said = VERIFY_WITHIN * 2 ** min(subscription.failures, 12), f"the hub answers {answer.status}"
        if 400 <= answer.status < 500 and answer.status not in (408, 429):
            wait = REFUSED_FOR * 2 ** min(subscription.failures - 1, 5)
            said = " ".join(f"the hub refuses: {answer.status} {_discreet(subscription, answer.said)}".split())[:200]
    demand = politeness.retry_after(answer.headers, now)
    wait = min(max(wait, demand.wait if demand else wait), MAX_BACK_OFF)
    if subscription.lease_until is not None and subscription.state is PushState.ACTIVE:
        # A renewal: several tries before the lease is over, whatever the reason.
        wait = min(wait, max((subscription.lease_until - now) / 3, MIN_RENEWAL))
        return replace(subscription, ask_at=_within_lease(subscription, now + wait, now), reason=f"not renewed, {said}")
    is_denied = isinstance(answer, Answered) and 400 <= answer.status < 500
    state = PushState.DENIED if is_denied else PushState.ASKED
    return replace(subscription, state=state, ask_at=now + wait, reason=said)


def leaving(subscription: Subscription, now: datetime) -> Subscription:
    """No longer wanted: the hub is told at once, if it ever heard of us."""
    if subscription.state in (PushState.LEAVING, PushState.LEFT):
        return subscription
    if subscription.asked_at is None:
        return replace(subscription, state=PushState.LEFT, ask_at=None)
    return replace(subscription, state=PushState.LEAVING, ask_at=now, failures=0, reason="no longer wanted")


def lapsed(subscription: Subscription, now: datetime) -> Subscription:
    """After a lease that was not renewed in time: as if never verified."""
    if subscription.state is not PushState.ACTIVE or subscription.lease_until is None or subscription.lease_until > now:
        return subscription
    reason = f"the lease ran out; {subscription.reason}" if subscription.reason else "the lease ran out"
    return replace(subscription, state=PushState.ASKED, lease_until=None, reason=reason)


def gives_up_leaving(subscription: Subscription) -> Subscription:
    """LEFT once the hub had its chances to verify that we leave."""
    if subscription.state is PushState.LEAVING and subscription.failures >= LEAVE_TRIES:
        return replace(subscription, state=PushState.LEFT, ask_at=None, reason="the hub did not confirm")
    return subscription


# ---------------------------------------------------------------- answering a hub


def verified(subscription: Subscription, query: Mapping[str, str], now: datetime) -> Subscription | None:
    """After the hub's verification of intent (WebSub §5.3), None where it asks for what we did not want: 404 then.

    The topic must be ours to the letter, the mode what we asked for last.
    """
    if query.get("hub.topic") != subscription.topic_url or not is_challenge(query.get("hub.challenge")):
        return None
    match query.get("hub.mode"), subscription.state:
        case "unsubscribe", PushState.LEAVING | PushState.LEFT:
            return replace(subscription, state=PushState.LEFT, ask_at=None, lease_until=None, reason=None)
        case "subscribe", PushState.ASKED | PushState.ACTIVE if subscription.asked_at is not None:
            lease = _lease(query.get("hub.lease_seconds"))
            return replace(
                subscription,
                state=PushState.ACTIVE,
                verified_at=now,
                lease_until=now + lease,
                ask_at=now + max(lease * RENEW_AT, MIN_RENEWAL),
                failures=0,
                reason=None,
                misses=0,
            )
    return None


def denied(subscription: Subscription, query: Mapping[str, str], now: datetime) -> Subscription | None:
    """After hub.mode=denied (WebSub §5.2), None where it is about another topic."""
    if query.get("hub.mode") != "denied" or query.get("hub.topic") != subscription.topic_url:
        return None
    if subscription.state in (PushState.LEAVING, PushState.LEFT):
        return replace(subscription, state=PushState.LEFT, ask_at=None)
    failures = min(subscription.failures + 1, 20)
    said = " ".join(_discreet(subscription, query.get("hub.reason", "")).split())[:160]
    return replace(
        subscription,
        state=PushState.DENIED,
        lease_until=None,
        failures=failures,
        ask_at=now + min(REFUSED_FOR * 2 ** (failures - 1), MAX_BACK_OFF),
        reason=f"the hub denies it: {said}" if said else "the hub denies it",
    )


def _discreet(subscription: Subscription, said: str) -> str:
    """What a hub says, fit for logs: some repeat the callback's address and the secret."""
    return said.replace(subscription.token, "***").replace(subscription.secret, "***")


def is_challenge(value: str | None) -> bool:
    """Whether this is a challenge that we are willing to echo."""
    return bool(value) and len(value or "") <= MAX_CHALLENGE


def _lease(value: str | None) -> timedelta:
    """The lease that the hub grants; ours where it does not say, as hubs of PubSubHubbub 0.3 do not."""
    seconds = int(value) if value and value.isascii() and value.isdigit() and len(value) < 12 else 0
    return min(timedelta(seconds=seconds), MAX_LEASE) if seconds else LEASE


# ---------------------------------------------------------------- pushes


def is_signed(secret: str, signature: str | None, body: bytes) -> bool:
    """Whether X-Hub-Signature (`sha256=` and hex digits) is of this body by this secret (WebSub §7.1)."""
    method, _, digits = (signature or "").strip().partition("=")
    algorithm = _HASHES.get(method.lower())
    if algorithm is None or len(body) > MAX_PUSH or not digits.isascii():
        return False
    return hmac.compare_digest(hmac.new(secret.encode(), body, algorithm).hexdigest(), digits.lower())


def is_of_topic(subscription: Subscription, headers: Mapping[str, str]) -> bool:
    """Whether a push says that it is of another topic than ours; one that does not say is ours by its callback."""
    links = link_header(headers.get("link", ""), subscription.topic_url)
    named = [url for rel, url in links if rel == "self"]
    return not named or http_url(subscription.topic_url) in named


def after_push(subscription: Subscription, body_hash: str, now: datetime) -> Subscription | None:
    """After a push that was signed, None for one that was here lately: a repetition, or a replay."""
    if body_hash in subscription.recent:
        return None
    return replace(subscription, pushed_at=now, recent=(*subscription.recent[1 - RECENT :], body_hash))


def after_poll(
    subscription: Subscription, new: tuple[NewEntry, ...], last_success_at: datetime | None, now: datetime
) -> Subscription:
    """After a poll that found `new` although the hub should have pushed it: one more miss, if it could have known.

    `last_success_at` is of the poll before. What came before verification, or is younger than a push may take, is none.
    """
    if subscription.state is not PushState.ACTIVE or subscription.verified_at is None:
        return subscription
    since = max(subscription.verified_at, last_success_at or now)
    if not any(_is_missed(entry, since, subscription.verified_at, now) for entry in new):
        return subscription
    misses = subscription.misses + 1
    reason = f"{misses} polls found what was not pushed" if misses >= MISSES else subscription.reason
    return replace(subscription, misses=misses, reason=reason)


def _is_missed(new: NewEntry, since: datetime, verified_at: datetime, now: datetime) -> bool:
    dated = new.entry.updated or new.entry.published
    if dated is not None:
        return verified_at < dated < now - LATE
    # Undated: it came after the poll before, which must itself be after the verification.
    return since > verified_at
