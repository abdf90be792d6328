"""`bmn explain`: what the store remembers of a decision, as one JSON-ready value and as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from aggregator import explain_near
from aggregator.config import Config
from aggregator.ingest.websub import PushState
from aggregator.status import source_report
from aggregator.store import Store
from aggregator.stories.rank import why_lead
from aggregator.types import Event, FeedState, Sectioning, StoredEntry, Story


def explain(store: Store, config: Config, what: str, now: datetime) -> dict[str, Any] | None:
    """A story (by id or address), an entry (by its page's address) or a feed explained; None if it is none of them.

    `kind` says which: story, entry (one that no story tells yet) or feed.
    """
    name = what.strip()
    public = f"{config.site.public_url.rstrip('/')}/story/"
    if name.startswith(public):
        name = name[len(public) :].strip("/")
    if "://" in name:
        return _of_address(store, config, name, now)
    story = store.story(name.removeprefix("urn:uuid:"))
    if story is not None:
        return _of_story(store, story, name)
    grave = store.buried_story(name)
    if grave is not None and grave.is_taken_down:
        return _taken_down(store, grave.ref)
    return _buried(grave.ref, grave.title, grave.link) if grave else None


def _of_address(store: Store, config: Config, url: str, now: datetime) -> dict[str, Any] | None:
    source = config.source(url)
    state = store.feed(source.url if source else url)
    if state is not None:
        return _of_feed(store, state, source is not None and source.enabled, now)
    entries = store.entries_of_url(url)
    story = store.story_of_url(url)
    if story is not None:
        here = (entry for entry in entries if entry.story_id == story.story_id and entry.duplicate_of is None)
        return _of_story(store, story, story.ref, next(here, None))
    return {"kind": "entry", "entries": [_entry(entry) for entry in entries]} if entries else None


def _of_feed(store: Store, state: FeedState, is_enabled: bool, now: datetime) -> dict[str, Any]:
    entries = store.counts(now).by_feed.get(state.feed_id, 0)
    title = state.title or state.url
    known = store.subscriptions_of(state.feed_id)
    push = next((one for one in known if one.state not in (PushState.LEAVING, PushState.LEFT)), None)
    report = source_report(state.url, title, state, entries, is_enabled=is_enabled, push=push)
    return {
        "kind": "feed",
        **report,
        "last_poll": _time(state.last_poll_at),
        "last_change": _time(state.last_change_at),
        "validators": {"etag": state.validators.etag, "last_modified": state.validators.last_modified},
        "hints": {
            "ttl_seconds": state.hints.ttl,
            "update_every_seconds": state.hints.update_every,
            "skip_hours": state.hints.skip_hours,
            "skip_days": state.hints.skip_days,
        },
        "memory": dict(state.memory),
    }


def _of_story(store: Store, story: Story, asked: str, entry: StoredEntry | None = None) -> dict[str, Any]:
    placements = {placement.entry_id: placement for placement in store.placements(story.story_id)}
    verdict = story.sectioning
    return {
        "kind": "story",
        "id": story.ref,
        "uuid": str(story.story_id),
        "merged_from": asked if asked not in (story.ref, str(story.story_id)) and len(asked) == 10 else None,
        "title": story.lead.title,
        "section": verdict.section,
        "second": verdict.second,
        "confidence": round(verdict.confidence, 4),
        "probabilities": dict(verdict.probabilities),
        "section_reasons": list(verdict.reasons),
        "runner_up": runner_up(verdict),
        "filed_by_hand": story.is_filed_by_hand,
        "language": story.language,
        "labels": list(story.labels),
        "withheld": story.withheld,
        "boost": story.boost,
        "events": [_event(event) for event in story.events],
        "published": _time(story.published),
        "updated": _time(story.updated_at),
        "lead": _entry(story.lead),
        "lead_reason": "; ".join(why_lead(story.lead, story.told)),
        "entries": [
            _entry(entry)
            | {
                "duplicate_of": entry.duplicate_of,
                "score": placements[entry.entry_id].score if entry.entry_id in placements else None,
                "reasons": list(placements[entry.entry_id].reasons) if entry.entry_id in placements else [],
            }
            for entry in story.told
        ],
        "related": [str(story_id) for story_id in story.related],
        "near": explain_near.nearest(store, story, entry),
    }


def runner_up(verdict: Sectioning) -> str | None:
    """The label that came next; None where one was given and not judged."""
    others = {label: share for label, share in verdict.probabilities.items() if label != verdict.section and share > 0}
    return max(others, key=lambda label: others[label]) if others else None


def _event(event: Event) -> dict[str, Any]:
    """What happened, without what the headline does not say."""
    return {name: value for name, value in asdict(event).items() if value}


def _buried(ref: str, title: str, link: str | None) -> dict[str, Any]:
    return {"kind": "gone", "id": ref, "title": title, "url": link, "reason": "retention took it"}


def _taken_down(store: Store, ref: str) -> dict[str, Any]:
    found = next((each for each in store.takedowns() if each.subject == ref), None)
    title, since = (found.title, found.made_at) if found else ("a story of a source", None)
    reason = f"taken down by hand{f' on {since:%Y-%m-%d}' if since else ''}"
    if found and found.reason:
        reason = f"{reason}: {found.reason}"
    return {"kind": "gone", "id": ref, "title": title, "url": None, "reason": reason}


def _entry(entry: StoredEntry) -> dict[str, Any]:
    return {
        "title": entry.title,
        "url": entry.link,
        "source": entry.source.title,
        "published": _time(entry.published),
        "first_seen": _time(entry.first_seen),
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The same for a person."""
    yield from {"story": _story_lines, "feed": _feed_lines}.get(found["kind"], _plain_lines)(found)


def _story_lines(found: dict[str, Any]) -> Iterator[str]:
    yield found["title"]
    yield f"  id {found['id']}, published {found['published']}, changed {found['updated']}"
    if found["merged_from"]:
        yield f"  {found['merged_from']} was found to be the same story"
    likely = sorted(found["probabilities"].items(), key=lambda pair: -pair[1])
    yield "section"
    yield f"  {found['section'] or 'unsure'}: " + ", ".join(f"{label} {share:.0%}" for label, share in likely[:3])
    if found["second"]:
        yield f"  nearly as likely: {found['second']}, so it stands in both"
    yield from (f"  {reason}" for reason in found["section_reasons"])
    if found["withheld"]:
        yield f"  in no feed and on no page: {_WITHHELD.get(found['withheld'], found['withheld'])}"
    if found["boost"] != 1:
        yield f"  rank multiplied by {found['boost']:g}"
    yield f"  language: {found['language'] or 'nobody can tell'}"
    if found["labels"]:
        yield "labels"
        yield from _label_lines(found)
    yield "lead"
    yield f"  {found['lead']['source']}: {found['lead_reason']}"
    yield "entries"
    for entry in found["entries"]:
        role = "copy, " if entry["duplicate_of"] else ""
        yield f"  {entry['source']}: {entry['title']} ({role}{entry['url'] or 'no address'})"
        yield from (f"    {reason}" for reason in entry["reasons"])
    if found["near"]:
        yield "near, and not the same"
    for near in found["near"]:
        yield from explain_near.lines(near)


_WITHHELD = {"rule": "a rule drops it", "language": "none of its entries is in one of the languages"}


def _label_lines(found: dict[str, Any]) -> Iterator[str]:
    """Each label with the words of the headline that gave it, and who and how much they name."""
    events = {event["label"]: event for event in found["events"]}
    for label in found["labels"]:
        event = events.get(label)
        if event is None:
            yield f"  {label}: by a rule"
            continue
        facts = [f"{name} {event[name]}" for name in ("company", "target", "round", "jobs") if name in event]
        if "amount" in event:
            facts.append(f"amount {event['amount']:,.0f} {event['currency']}")
        said = " … ".join(f"“{words}”" for words in event.get("words", ()))
        yield f"  {label}: {said}" + (f" ({', '.join(facts)})" if facts else "")


def _feed_lines(found: dict[str, Any]) -> Iterator[str]:
    yield found["title"]
    yield f"  {found['url']}" + (f", now at {found['moved_to']}" if found["moved_to"] else "")
    yield f"  health {found['health']}" + (f": {found['reason']}" if found["reason"] else "")
    yield f"  {found['entries']} entries, last success {found['last_success'] or 'never'}"
    yield f"  next poll {found['next_poll'] or 'at once'}: {found['next_poll_why'] or 'not polled yet'}"
    if push := found["push"]:
        until = f" until {push['lease_until']}" if push["lease_until"] else ""
        yield f"  pushed by {push['hub']}: {push['state']}{until}, last push {push['last_push'] or 'never'}"
        if push["reason"]:
            yield f"    {push['reason']}"


def _plain_lines(found: dict[str, Any]) -> Iterator[str]:
    for entry in found.get("entries", []):
        yield f"{entry['source']}: {entry['title']} ({entry['url']}) is stored and waits to be grouped"
    if found["kind"] == "gone":
        yield f"{found['title']} ({found['url'] or 'no address'}): {found['reason']}"


def _time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
