"""What `bmn status` and the admin listener say: the contract's JSON, built from the store and the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aggregator import opml, urls
from aggregator.config import Config
from aggregator.errors import StoreError
from aggregator.ingest.websub import PushState, Subscription
from aggregator.metrics import Metrics
from aggregator.store import Store
from aggregator.types import FeedState, Health, Story

FRESHNESS_OVER = timedelta(days=7)
DESK_SHOWN = 100  # stories on the admin's page of stories
UNSURE_SHOWN = 10  # of the stories that wait for a section, the newest


def report(store: Store, config: Config, now: datetime) -> dict[str, Any]:
    """`{"sources": […], "queues": {…}, "freshness": {…}}`; times as RFC 3339, None for never, seconds for delays."""
    counts = store.counts(now)
    states = {feed.url: feed for feed in store.feeds(active_only=False)}
    pushes = {one.feed_id: one for one in store.subscriptions() if one.state is not PushState.LEAVING}
    sources = []
    for source in config.sources:
        state = states.get(source.url)
        title = source.title or (state.title if state else None) or urls.host_key(source.url)
        entries = counts.by_feed.get(state.feed_id, 0) if state else 0
        push = pushes.get(state.feed_id) if state else None
        sources.append(source_report(source.url, title, state, entries, is_enabled=source.enabled, push=push))
    fresh = store.freshness(now - FRESHNESS_OVER)
    oldest = (now - counts.oldest_ungrouped).total_seconds() if counts.oldest_ungrouped else 0.0
    return {
        "sources": sources,
        "queues": {
            "due": counts.due,
            "ungrouped": counts.ungrouped,
            "oldest_ungrouped_seconds": round(max(0.0, oldest), 1),
            "changed": counts.stale,
            "unsure": counts.unsure,
            "withheld": counts.withheld,
        },
        "unsure": [_unsure(story) for story in store.stories("unsure", limit=UNSURE_SHOWN)],
        "entries": counts.entries,
        "stories": counts.stories,
        "freshness": {
            section: {
                "seen_median_seconds": round(seen.median, 1),
                "seen_p90_seconds": round(seen.p90, 1),
                "republished_median_seconds": round(shown.median, 1) if shown else None,
                "republished_p90_seconds": round(shown.p90, 1) if shown else None,
                "entries": seen.count,
            }
            for section, seen in sorted(fresh.seen_by_section.items())
            for shown in (fresh.shown_by_section.get(section),)
        },
    }


def exposed(metrics: Metrics, store: Store, now: datetime) -> bytes:
    """The metrics with what waits in the store now. Without a database the others are there all the same."""
    try:
        waiting = store.waiting(now)
    except StoreError:
        metrics.store_answers.set(0)
        return metrics.expose()
    metrics.store_answers.set(1)
    ages = {
        name: (number, max(0.0, (now - since).total_seconds()) if since else 0.0)
        for name, (number, since) in waiting.queues.items()
    }
    metrics.show_waiting(ages, {str(health): waiting.health.get(health, 0) for health in Health})
    return metrics.expose()


def desk_rows(store: Store, section: str | None) -> list[dict[str, Any]]:
    """The newest stories of a section (None: of all) as the admin's page of stories shows them."""
    return [
        {
            "id": story.ref,
            "title": story.lead.title,
            "source": story.lead.source.title,
            "section": story.sectioning.section,
            "second": story.sectioning.second,
            "confidence": round(story.sectioning.confidence, 4),
            "by_hand": story.is_filed_by_hand,
            "withheld": story.withheld,
        }
        for story in store.stories(section, limit=DESK_SHOWN)
    ]


def _unsure(story: Story) -> dict[str, Any]:
    """A story that waits for a section, with the likeliest."""
    shares = story.sectioning.probabilities
    likeliest = max(shares, key=lambda label: shares[label], default=None)
    return {
        "id": story.ref,
        "title": story.lead.title,
        "url": story.lead.link,
        "likeliest": likeliest,
        "confidence": round(story.sectioning.confidence, 4),
    }


def source_report(
    url: str,
    title: str,
    state: FeedState | None,
    entries: int,
    *,
    is_enabled: bool,
    push: Subscription | None = None,
) -> dict[str, Any]:
    """One source as status shows it; its address without secrets. `push` is its subscription at a hub."""
    is_enabled = is_enabled and not (state and state.taken_down_at)
    health = Health.DISABLED if not is_enabled else state.health if state else Health.NEW
    return {
        "url": urls.for_log(url),
        "title": title,
        "health": str(health),
        "reason": reason(state, health),
        "entries": entries,
        "last_success": _time(state.last_success_at) if state else None,
        "next_poll": _time(state.next_poll_at) if state and is_enabled else None,
        "next_poll_why": state.next_poll_why if state and is_enabled else None,
        "moved_to": urls.for_log(state.current_url) if state and state.current_url != url else None,
        "push": _push_report(push) if push else None,
        "discovery": _discovery(state) if state else None,
    }


def _push_report(push: Subscription) -> dict[str, Any]:
    """How a feed is pushed; neither the callback nor the secret, with which anybody could push."""
    return {
        "state": str(push.state),
        "is_trusted": push.trusted_until is not None,
        "hub": urls.for_log(push.hub_url),
        "topic": urls.for_log(push.topic_url),
        "lease_until": _time(push.lease_until),
        "last_push": _time(push.pushed_at),
        "misses": push.misses,
        "reason": push.reason,
    }


def _discovery(state: FeedState) -> dict[str, Any] | None:
    """What a dead feed's site offered when we asked it, None where we did not."""
    asked = state.memory.get("discovery")
    if not isinstance(asked, dict):
        return None
    at = datetime.fromtimestamp(asked.get("at", 0), UTC)
    return {"asked": _time(at), "found": [urls.for_log(url) for url in asked.get("found", ())]}


def reason(state: FeedState | None, health: Health) -> str:
    """Why the source is as it is, in one line; empty where there is nothing to say."""
    if state is not None and state.taken_down_at is not None:
        undo = f"bmn sources takedown {urls.for_log(state.url)} --restore"
        return f"taken down on {state.taken_down_at:%Y-%m-%d} ('{undo}' puts it back)"
    if health is Health.DISABLED:
        return "disabled in the configuration"
    if state is None or health is Health.NEW:
        return "not polled yet"
    if state.failure_reason is None:
        return ""
    times = f", {state.failures} times in a row" if state.failures > 1 else ""
    found = (_discovery(state) or {}).get("found")
    offer = f"; its site now offers {found[0]}, put it into sources.yaml if it is the same" if found else ""
    return f"{state.failure_reason}: {state.failure_detail or 'no detail'}{times}{offer}"


def sources_opml(config: Config) -> bytes:
    """The configured sources as a subscription list, without secrets."""
    return opml.write_sources(f"{config.site.title}: sources", config.sources)


def health_counts(status: Mapping[str, Any]) -> dict[str, int]:
    """How many sources are in each state of health, those that none is in left out."""
    found: dict[str, int] = {}
    for source in status["sources"]:
        found[source["health"]] = found.get(source["health"], 0) + 1
    return found


def _time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
