"""Our feeds as topics of WebSub: which hubs they name, which documents are topics, when to tell again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from aggregator.types import Rendered

PATH = "/hub"  # of the hub that we are ourselves
TOLD_FOR = timedelta(seconds=30)  # after telling of a change the next one of that feed waits: news come in flocks
RETRY = timedelta(minutes=1)  # doubled with each failure
MAX_RETRY = timedelta(hours=6)


def addresses(public_url: str, hubs: Sequence[str], is_hub: bool) -> tuple[str, ...]:
    """The hubs that our feeds name; our own first, as it needs nobody to tell it."""
    own = f"{public_url.rstrip('/')}{PATH}"
    return tuple(dict.fromkeys((own, *hubs))) if is_hub else tuple(dict.fromkeys(hubs))


def topics(documents: Mapping[str, Rendered]) -> dict[str, Rendered]:
    """Of the shelf's documents those that name a hub, by the address they call their own (rel=self)."""
    found = {}
    for document in documents.values():
        links = dict(document.links)
        if "hub" in links and "self" in links:
            found[links["self"]] = document
    return found


def retry_after(tries: int) -> timedelta:
    """How long to wait after so many failures in a row, one or more."""
    return min(RETRY * (1 << min(max(tries - 1, 0), 20)), MAX_RETRY)
