"""What is wrong with sources and with us, when that is worth telling, and when it is over. Pure.

A source is asked often and fails now and then; the operator hears of it once when it has failed for long, and once when
it has been well for long enough to believe it. What we look at is what polls leave in the store, so a restart forgets
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from aggregator import urls
from aggregator.ingest import rhythm
from aggregator.types import Episode, FailureReason, FeedState, Health

BROKEN_AFTER = timedelta(hours=6)  # without a document: shorter is a deployment on their side
BROKEN_FROM = 3  # failures in a row
BLOCKED_AFTER = timedelta(hours=2)  # they answer, and mean it
BLOCKED_FROM = 2
WELL_FOR = timedelta(hours=1)  # before we believe that it is over: what flaps is one trouble
MISSED = 10.0  # entries that its rhythm promised and that did not come
SILENT_AFTER = timedelta(hours=36)
KNOWN_BY = 8.0  # entries that its rhythm is learned from, at least
DISK_LOW, DISK_WELL = 0.05, 0.08  # of the disk, free
DISK_ROOM = 512 << 20  # bytes free at least
OURS = "ours"  # the subject of what befell us and no source


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong now. `group` and `feed_id` name it: the same again is the same trouble, whatever its
    kind. The rest is as in `Episode`."""

    kind: str
    group: str
    reason: str
    does: str
    fix: str
    command: str = ""
    since: datetime | None = None
    feed_id: int | None = None
    title: str = OURS
    url: str | None = None

    @property
    def name(self) -> tuple[str, int | None]:
        return self.group, self.feed_id


@dataclass(frozen=True, slots=True)
class Changes:
    """What to save: episodes that begin, and those that changed."""

    begun: tuple[Episode, ...]
    changed: tuple[Episode, ...]


def changes(known: Sequence[Episode], found: Iterable[Trouble], now: datetime) -> Changes:
    """What became of the open episodes, given what is wrong now."""
    troubles = {trouble.name: trouble for trouble in found}
    changed: list[Episode] = []
    going_on: set[tuple[str, int | None]] = set()
    for episode in known:
        name = episode.group, episode.feed_id
        trouble = troubles.get(name)
        if trouble is not None and (trouble.kind == episode.kind or _FINAL not in (trouble.kind, episode.kind)):
            going_on.add(name)
            if episode.better_since is not None:
                changed.append(replace(episode, better_since=None))
        elif trouble is not None:  # worse, or better, in a way that is another story
            changed.append(replace(episode, ended_at=now))
        else:
            after = _better(episode, now)
            going_on.update({name} if after.ended_at is None else ())
            changed += [after] if after != episode else []
    begun = tuple(_begun(trouble, now) for name, trouble in troubles.items() if name not in going_on)
    return Changes(begun, tuple(changed))


_FINAL = "gone"
_OVER = {
    "broken": "It answers again.",
    "blocked": "It lets us in again.",
    "gone": "It answers again.",
    "silent": "It publishes again.",
    "disk": "There is room again.",
    "budget": "The database is within its budget again.",
}
_AT_ONCE = ("silent", "moved", "found")  # one new entry is proof enough; a changed configuration as well


def _better(episode: Episode, now: datetime) -> Episode:
    better_since = episode.better_since or now
    if episode.kind in _AT_ONCE or now - better_since >= WELL_FOR:
        return replace(episode, better_since=better_since, ended_at=now, ending=_OVER.get(episode.kind))
    return replace(episode, better_since=better_since)


def _begun(trouble: Trouble, now: datetime) -> Episode:
    return Episode(
        trouble.kind,
        trouble.group,
        trouble.feed_id,
        trouble.title,
        trouble.url,
        trouble.since,
        now,
        trouble.reason,
        trouble.does,
        trouble.fix,
        trouble.command,
    )


# ---------------------------------------------------------------- sources


def of_feed(state: FeedState, title: str, now: datetime) -> list[Trouble]:
    """What is wrong with a source; nothing of one that is disabled, and what a few failures mean is nothing yet."""
    if state.health is Health.DISABLED:
        return []
    found = (_down(state, now), _moved(state), _silent(state, now), _found(state))
    url = urls.for_log(state.url)
    return [replace(each, feed_id=state.feed_id, title=title, url=url) for each in found if each is not None]


def _down(state: FeedState, now: datetime) -> Trouble | None:
    away = now - state.last_success_at if state.last_success_at else BROKEN_AFTER
    url = urls.for_log(state.url)
    said = f"{state.failure_reason}: {state.failure_detail or 'no detail'}"
    times = f"{said}, {state.failures} times in a row"
    asked = f"It is asked again {_at(state.next_poll_at)}: {state.next_poll_why}."
    if state.health is Health.GONE:
        fix = "Take it out; what it told stays."
        return Trouble("gone", "down", said, asked, fix, f"bmn sources remove {url}", state.last_success_at)
    if state.health is Health.BLOCKED and state.failures >= BLOCKED_FROM and away >= BLOCKED_AFTER:
        fix = (
            "Say who asks (fetch.contact in aggregator.yaml) and ask more rarely (every, below its url in"
            " sources.yaml); if they do not want to be read, take it out."
        )
        return Trouble("blocked", "down", times, asked, fix, f"- url: {url}\n  every: 12h", state.last_success_at)
    if state.health is Health.FAILING and state.failures >= BROKEN_FROM and away >= BROKEN_AFTER:
        fix = _FIXES.get(state.failure_reason or FailureReason.INTERNAL, "Look whether its site still offers a feed.")
        return Trouble("broken", "down", times, asked, fix, _look(state), state.last_success_at)
    return None


_FIXES = {
    FailureReason.DNS: "Its name is not known any more: look whether the site has moved. If all sources fail so, it is"
    " our resolver.",
    FailureReason.CONNECT: "Its server does not answer. If many sources fail so, it is our line.",
    FailureReason.TLS: "Its certificate does not hold: usually theirs to mend. If many fail so, look at our clock.",
    FailureReason.ADDRESS: "It resolves to an inside address: name its network in fetch.allow_networks if it is yours.",
    FailureReason.TOO_LARGE: "Its document is over fetch.max_body: raise that, or take the source out.",
    FailureReason.LIMITS: "Its document takes too much to read: disable it (enabled: false).",
    FailureReason.INTERNAL: "This is our fault: the journal has the trace; please report it.",
}


def _moved(state: FeedState) -> Trouble | None:
    if state.current_url == state.url:
        return None
    new = urls.for_log(state.current_url)
    moved = state.memory.get("moved")
    at = moved.get("at") if isinstance(moved, dict) else None
    return Trouble(
        "moved",
        "moved",
        f"It has redirected us for good to {new}, with its own content behind it, for days.",
        "We ask at the new address; its entries and stories stay.",
        "Write the new address into sources.yaml, before the redirect ends.",
        f"- url: {new}",
        datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else None,
    )


def _silent(state: FeedState, now: datetime) -> Trouble | None:
    known = rhythm.from_json(state.memory.get("rhythm"))
    if state.health is not Health.OK or known is None or known.slow < KNOWN_BY:
        return None
    last = datetime.fromtimestamp(known.last, UTC)
    if now - last < SILENT_AFTER or (missed := rhythm.missed(known, now)) < MISSED:
        return None
    should = f"by its rhythm some {missed:.0f} entries should have come"
    said = f"It answers, and has brought nothing since {_at(last)}; {should}."
    asked = f"It is asked again {_at(state.next_poll_at)}: {state.next_poll_why}."
    fix = "Look whether the site still publishes, or in another feed."
    return Trouble("silent", "silent", said, asked, fix, _look(state), last)


def _look(state: FeedState) -> str:
    site = state.site_url
    return f"bmn sources discover {urls.for_log(site)}" if site else f"bmn explain {urls.for_log(state.url)}"


def _found(state: FeedState) -> Trouble | None:
    asked = state.memory.get("discovery")
    found = asked.get("found") if isinstance(asked, dict) else None
    if not isinstance(asked, dict) or not found:
        return None
    new = urls.for_log(found[0])
    others = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return Trouble(
        "found",
        "found",
        f"The source is dead; its site now offers {new}{others}.",
        "We adopt nothing: it may be somebody else's feed.",
        "Look at it, and put it in the place of the old one if it is the same.",
        f"bmn sources add {new} && bmn sources remove {urls.for_log(state.url)}",
        datetime.fromtimestamp(asked.get("at", 0), UTC),
    )


# ---------------------------------------------------------------- ours


def of_letters(stuck: Iterable[tuple[str, str, str, int]]) -> list[Trouble]:
    """What is wrong with briefings on their way: (day, address, state, tries) of letters that did not get out."""
    found: dict[str, Trouble] = {}
    for day, recipient, state, tries in stuck:
        said = {"refused": "was refused", "unknown": "may or may not have arrived"}.get(state, f"failed {tries} times")
        does = "We try again for some six hours." if state == "waiting" else "It is not sent again."
        fix = "See digest.smtp in aggregator.yaml; the journal has what the mail server said."
        reason = f"The briefing of {day} to {recipient} {said}."
        found.setdefault(day, Trouble("mail", f"mail {day}", reason, does, fix, "journalctl -u bmn | grep digest_"))
    return list(found.values())


def of_disk(free: int, total: int, *, is_open: bool) -> list[Trouble]:
    """Whether the disk of the database is nearly full; `is_open`: that was said already, and ends a little later."""
    share = DISK_WELL if is_open else DISK_LOW
    if free >= min(max(share * total, DISK_ROOM), total / 2):
        return []
    reason = f"{free / (1 << 20):,.0f} MiB of {total / (1 << 30):,.1f} GiB are free where the database lies."
    does = "When it is full, results wait and nothing is lost, and nothing new is published."
    fix = "Free some space, or set retention.size in aggregator.yaml."
    return [Trouble("disk", "disk", reason, does, fix, "bmn prune --dry-run")]


def of_budget(used: int, allowed: int | None) -> list[Trouble]:
    """Whether the database holds more than `retention.size`, after all that may go went."""
    if allowed is None or used <= allowed:
        return []
    reason = f"The database holds {used / (1 << 20):,.0f} MiB, {allowed / (1 << 20):,.0f} are allowed."
    fix = "Raise retention.size, or shorten stories.window and retention.text in aggregator.yaml."
    return [Trouble("budget", "budget", reason, "Only what is young is left; it stays.", fix, "bmn prune --dry-run")]


def lost_editing(now: datetime) -> Episode:
    """That another process took over the editing from this one. An event, and over at once."""
    return replace(
        _begun(
            Trouble(
                "editor",
                f"editor {now:%Y%m%d%H%M%S}",
                "This process lost the editing to another: its connection to the database broke, or it stood still.",
                "It polls and serves on, and takes over again when the other is gone.",
                "If it happens often, look at the line to the database, and at the load of this machine.",
                "journalctl -u 'bmn*' | grep editor_",
                now,
            ),
            now,
        ),
        ended_at=now,
    )


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "at once"
