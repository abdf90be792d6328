"""When to ask a feed again: the state before and the outcome of a poll come in, the state after comes out.

Pure; the clock and the policy are arguments, the store keeps what is returned. What origins ask of us is read in
`politeness`, what the feed's history says in `rhythm`, whether it has moved in `moves`, what hosts bear in `hosts`.

In order: a failure backs off; the operator's `every` for the source, or the feed's rhythm between `fastest` and
`slowest`, or rarely while a hub pushes it; no sooner than the document and the cache headers wish (rhythm only);
outside skipHours and skipDays (rhythm only); never before Retry-After or the end of a used-up rate limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b

from aggregator.ingest import moves, politeness, rhythm, websub
from aggregator.ingest.politeness import Wish
from aggregator.types import (
    FailureReason,
    FeedChanges,
    FeedHints,
    FeedState,
    Fetched,
    FetchFailed,
    FetchOutcome,
    FetchRequest,
    Health,
    NotModified,
    ParsedFeed,
    ParseFailed,
)

MAX_FRESHNESS = timedelta(hours=6)  # cache headers in the wild claim years, set for pictures
MAX_DEMAND = timedelta(days=3)  # Retry-After and rate limits: longer ones are mistakes, this rare a question no burden
MONTH = timedelta(days=30)
SAFETY_POLL = timedelta(hours=6)  # of a feed that a hub pushes: finds out what the hub forgot
DEAD_AFTER = timedelta(days=1)  # without a document, before we ask the site where it went
BLOCKED_FROM = timedelta(hours=1)
MAX_BACK_OFF = timedelta(hours=24)
JITTER = 0.05
_ZERO = timedelta(0)


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """`every` is the interval of a feed about which nothing is known; `fastest` and `slowest` bound what is
    learned; `source_every` is the operator's word for this one source, None: learn. `per_host` requests at a time to
    one server."""

    every: timedelta = timedelta(minutes=30)
    fastest: timedelta = timedelta(minutes=5)
    slowest: timedelta = timedelta(hours=24)
    per_host: int = 1
    source_every: timedelta | None = None

    def of_source(self, every: timedelta | None) -> PollPolicy:
        return self if every is None else replace(self, source_every=every)


def fetch_request(
    state: FeedState, headers: tuple[tuple[str, str], ...] = (), proxy: str | None = None
) -> FetchRequest:
    """What to ask for this feed. `headers` are the source's secrets: they stay with the host it was configured for."""
    if headers and not _is_same_host(state.url, state.current_url):
        headers = ()
    validated_url = state.memory.get("validated_url")
    return FetchRequest(
        url=state.current_url,
        validators=state.validators,
        headers=headers,
        proxy=proxy,
        validated_url=validated_url if isinstance(validated_url, str) else state.current_url,
        configured_url=state.url,
    )


def first_poll_at(url: str, now: datetime, count: int, policy: PollPolicy) -> datetime:
    """When one of `count` new feeds is asked for the first time: the same at every start, spread so that a short list
    is through in seconds and a long one does not come down as a storm."""
    window = min(policy.every, timedelta(seconds=count / 20))
    return now + window * _share(url, "first")


def arrivals(changes: FeedChanges, now: datetime) -> tuple[datetime, ...]:
    """When the new entries of a poll came, by their own word; `now` where they do not say."""
    return tuple(new.entry.published or new.entry.updated or now for new in changes.new)


def after_poll(
    state: FeedState,
    outcome: FetchOutcome,
    parsed: ParsedFeed | ParseFailed | None,
    policy: PollPolicy,
    now: datetime,
    arrivals: tuple[datetime, ...] = (),
) -> FeedState:
    """The feed after this poll, with its next one. `parsed` goes with a Fetched and is None otherwise; `arrivals` are
    the times of new entries (the module's function of that name).

    Validators and body hash change only with a document that was understood: a failure keeps the old ones, so that
    the next success is judged against what is stored.
    """
    if isinstance(outcome, FetchFailed):
        return _failed(state, outcome, outcome.reason, outcome.detail, policy, now)
    if isinstance(parsed, ParseFailed):
        return _failed(state, outcome, parsed.reason, parsed.detail, policy, now)
    if isinstance(outcome, Fetched) and parsed is None:
        return _failed(state, outcome, FailureReason.INTERNAL, "the document was not read", policy, now)
    return _succeeded(state, outcome, parsed, policy, now, arrivals)


def is_quiet(before: FeedState, after: FeedState, outcome: FetchOutcome) -> bool:
    """Whether a poll taught nothing but validators, health and times, which is all that is then worth writing."""
    is_same = after.memory == before.memory and after.current_url == before.current_url
    return is_same and isinstance(outcome, NotModified)


def _succeeded(
    state: FeedState,
    outcome: Fetched | NotModified,
    parsed: ParsedFeed | None,
    policy: PollPolicy,
    now: datetime,
    arrivals: tuple[datetime, ...],
) -> FeedState:
    hints = parsed.hints if parsed is not None else state.hints
    memory = _remembered(state, outcome, parsed, now, arrivals)
    is_pushed = state.pushed_until is not None and state.pushed_until > now
    due, why = _next(memory, outcome, policy, hints, state.url, now, is_pushed=is_pushed)
    after = replace(
        state,
        validators=outcome.validators,
        hints=hints,
        health=Health.OK,
        failures=0,
        failure_reason=None,
        failure_detail=None,
        next_poll_at=due,
        next_poll_why=why,
        last_poll_at=now,
        last_success_at=now,
        memory=memory,
    )
    if isinstance(outcome, Fetched) and parsed is not None:
        after = replace(
            after,
            title=parsed.title or state.title,
            site_url=parsed.site_url or state.site_url,
            language=parsed.language or state.language,
            body_hash=outcome.body_hash,
            last_change_at=now,
        )
    if outcome.permanent_url is None and "move" not in memory:
        return after
    # `state` is passed with its old title, which is what the redirect's content is compared with.
    before = replace(after, title=state.title, last_success_at=state.last_success_at)
    moved = moves.after_success(before, outcome, parsed, now)
    return replace(after, current_url=moved.current_url, memory=moved.memory)


def _remembered(
    state: FeedState,
    outcome: Fetched | NotModified,
    parsed: ParsedFeed | None,
    now: datetime,
    arrivals: tuple[datetime, ...],
) -> dict[str, object]:
    """The feed's memory with what this poll taught; the same content after a 304, which therefore costs no write."""
    memory = dict(state.memory)
    memory.pop("discovery", None)
    if isinstance(outcome, Fetched) and parsed is not None:
        offered = websub.offer(outcome.headers, parsed, outcome.final_url)
        memory.pop("push", None)
        if offered is not None:
            memory["push"] = offered.to_json()
    if outcome.final_url != state.current_url:
        memory["validated_url"] = outcome.final_url
    else:
        memory.pop("validated_url", None)
    known = rhythm.from_json(memory.get("rhythm")) if parsed is not None or arrivals else None
    if known is None and parsed is not None:
        dates = arrivals or tuple(entry.published or now for entry in parsed.entries)
        memory["rhythm"] = rhythm.begun(dates, now).to_json()
    elif known is not None and arrivals:
        memory["rhythm"] = rhythm.with_arrivals(known, arrivals, state.last_success_at, now).to_json()
    return memory


def _next(
    memory: dict[str, object],
    outcome: Fetched | NotModified,
    policy: PollPolicy,
    hints: FeedHints,
    url: str,
    now: datetime,
    *,
    is_pushed: bool,
) -> tuple[datetime, str]:
    if policy.source_every is not None:
        best = Wish(policy.source_every, f"every {_span(policy.source_every)}, as configured")
    else:
        best = _learned(memory, policy, url, now)
        safety = min(SAFETY_POLL, policy.slowest)
        if is_pushed and safety >= best.wait:
            best = Wish(safety * (1 - JITTER * _share(url, "safety")), "pushed by its hub, polled to be safe")
        for wish, most in (
            (politeness.document_wish(hints, now), policy.slowest),
            (politeness.freshness(outcome.headers, now), min(MAX_FRESHNESS, policy.slowest)),
        ):
            if wish is not None and min(wish.wait, most) > best.wait:
                best = Wish(min(wish.wait, most), wish.why)
    due, why = now + best.wait, best.why
    if policy.source_every is None and (hints.skip_hours or hints.skip_days):
        later = politeness.after_quiet(hints, due)
        if later > due:
            due, why = later, "skipHours or skipDays of the feed"
    return _no_sooner(due, why, outcome, now)


def _learned(memory: dict[str, object], policy: PollPolicy, url: str, now: datetime) -> Wish:
    known = rhythm.from_json(memory.get("rhythm"))
    if known is None:
        wait, why = policy.every, "rhythm not known yet"
    else:
        level = rhythm.rate(known, now)
        wait = rhythm.wait(known, now, policy.every, policy.slowest, level)
        why = f"rhythm: about {level * 24:.2g} a day"
    if wait <= policy.fastest:
        return Wish(policy.fastest, f"{why}, held to polling.fastest")
    wait = min(wait * (1 + JITTER * _share(url, now.hour)), policy.slowest)
    return Wish(wait, f"{why}, held to polling.slowest" if wait == policy.slowest else why)


def _no_sooner(due: datetime, why: str, outcome: FetchOutcome, now: datetime) -> tuple[datetime, str]:
    """Put off until the origin says we may; what it demands of everybody it demands of every policy."""
    for wish in (politeness.retry_after(outcome.headers, now), politeness.quota_wish(outcome.headers, now)):
        if wish is not None and now + min(wish.wait, MAX_DEMAND) > due:
            due, why = now + min(wish.wait, MAX_DEMAND), wish.why
    return due, why


def _failed(
    state: FeedState,
    outcome: FetchOutcome,
    reason: FailureReason,
    detail: str,
    policy: PollPolicy,
    now: datetime,
) -> FeedState:
    failures = state.failures + 1
    wait, what = _back_off(reason, failures, policy, state.url)
    due, why = now + wait, f"{what} after {failures} failure{'s' if failures > 1 else ''}: {reason}"
    if reason is FailureReason.GONE:
        why = "gone (410): asked again once a month"
    due, why = _no_sooner(due, why, outcome, now)
    after = replace(
        state,
        health=_HEALTH.get(reason, Health.FAILING),
        failures=failures,
        failure_reason=reason,
        failure_detail=detail,
        next_poll_at=due,
        next_poll_why=why,
        last_poll_at=now,
    )
    return moves.after_failure(after, now)


_HEALTH = {FailureReason.BLOCKED: Health.BLOCKED, FailureReason.GONE: Health.GONE}


def _back_off(reason: FailureReason, failures: int, policy: PollPolicy, url: str) -> tuple[timedelta, str]:
    """How long to leave a failing feed alone: doubling, up to a day (or its own longer interval), never for ever."""
    if reason is FailureReason.GONE:
        return MONTH * (1 - JITTER * _share(url, "gone")), "gone"
    base = policy.source_every or policy.every
    what = "back-off"
    if reason is FailureReason.BLOCKED:
        base, what = max(base, BLOCKED_FROM), "blocked, back-off"
    wait = min(base * 2 ** min(failures - 1, 20), max(base, MAX_BACK_OFF))
    return wait * (1 - 4 * JITTER * _share(url, failures)), what


def after_push(state: FeedState, arrivals: tuple[datetime, ...], now: datetime) -> FeedState:
    """The feed after a push that brought new entries at these times. Its next poll, its validators and all that an
    answer of its own address vouches for stay as they are, so that the next conditional GET remains honest."""
    known = rhythm.from_json(state.memory.get("rhythm"))
    if known is None or not arrivals:
        return replace(state, last_change_at=now)
    learned = rhythm.with_arrivals(known, arrivals, state.last_success_at, now).to_json()
    return replace(state, last_change_at=now, memory={**state.memory, "rhythm": learned})


def wants_discovery(state: FeedState, now: datetime) -> bool:
    """Whether to ask the feed's site where its feed is now: no document for long, and we have not asked this week."""
    is_long = now - (state.last_success_at or now) >= DEAD_AFTER
    is_dead = is_long and state.failures >= 3 and state.failure_reason in _DEAD
    is_dead = is_dead or state.failure_reason is FailureReason.GONE
    if state.site_url is None or not is_dead:
        return False
    asked = state.memory.get("discovery")
    last = asked.get("at", 0) if isinstance(asked, dict) else 0
    return now.timestamp() - last >= timedelta(days=7).total_seconds()


_DEAD = (FailureReason.NOT_A_FEED, FailureReason.HTTP, FailureReason.DNS, FailureReason.REDIRECTS)


def with_discovery(state: FeedState, found: tuple[str, ...], now: datetime) -> FeedState:
    """`state` with what its site offered (feed URLs), for status to show."""
    finding = {"at": int(now.timestamp()), "found": [url for url in found if url != state.current_url][:5]}
    return replace(state, memory={**state.memory, "discovery": finding})


def _share(*parts: object) -> float:
    """A number in [0, 1) that stays the same for the same parts."""
    return int.from_bytes(blake2b("\0".join(map(str, parts)).encode(), digest_size=4).digest(), "big") / 2**32


def _is_same_host(one: str, other: str) -> bool:
    return one.split("/")[:3] == other.split("/")[:3]


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for size, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{letter}"
    return f"{seconds}s"
