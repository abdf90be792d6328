"""Which entry speaks for its story.

In: the entries of one story. Out: its lead. Original reporting goes first: who others link to, who does not
reprint an agency, whom the operator weighs more, who was first. A lead once published stays unless clearly
bettered, because readers have seen its title.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from aggregator.types import StoredEntry

CLEARLY_BETTER = 1.0  # what a newcomer must be ahead by to take the lead from a published one
LINKED_TO = 1.0  # per other outlet that links to it, for at most two
AGENCY_CREDIT = -0.5
NO_PICTURE = -0.1
HEAD_START = 0.5  # lost over the first six hours after the story's first entry
SLOW = timedelta(hours=6)
# The agency is named as author, in the dateline or in the last line.
_AGENCY = re.compile(
    r"\b(?:Reuters|Associated Press|AP|AFP|Agence France-Presse|Bloomberg News|PA Media|DPA|Xinhua|ANI|PTI|IANS)\b"
)
_DATELINE_LENGTH = 80


def lead_entry(entries: Sequence[StoredEntry], current: StoredEntry | None = None) -> StoredEntry:
    """The entry that speaks for the story. `current` is the published lead, None before publication.

    Duplicates lead only where there is nothing else. Ties go to the smaller entry_id. ValueError for no entries.
    """
    originals = [entry for entry in entries if entry.duplicate_of is None] or list(entries)
    if not originals:
        raise ValueError("a story has at least one entry")
    best = max(originals, key=lambda entry: (lead_score(entry, entries), -entry.entry_id))
    held = next((entry for entry in originals if current and entry.entry_id == current.entry_id), None)
    if held is None:
        return best
    ahead = lead_score(best, entries) - lead_score(held, entries)
    return best if ahead >= CLEARLY_BETTER else held


def lead_score(entry: StoredEntry, entries: Sequence[StoredEntry]) -> float:
    """How fit an entry is to speak for these entries, around 1 for an ordinary one."""
    score = entry.source.weight
    score += LINKED_TO * min(2, _links_to(entry, entries))
    score += AGENCY_CREDIT if credits_agency(entry) else 0.0
    score += NO_PICTURE if entry.image_url is None else 0.0
    began = min(other.first_seen for other in entries)
    return score + HEAD_START * max(0.0, 1 - (entry.first_seen - began) / SLOW)


def credits_agency(entry: StoredEntry) -> bool:
    """Whether author, dateline or sign-off name a news agency: the text is not the outlet's own."""
    text = (entry.content or entry.summary or "").strip()
    places = (entry.author or "", text[:_DATELINE_LENGTH], text[-_DATELINE_LENGTH:])
    return any(_AGENCY.search(place) for place in places)


def _links_to(entry: StoredEntry, entries: Sequence[StoredEntry]) -> int:
    """How many other outlets link to the entry's page."""
    address = entry.canonical_url or entry.link
    if not address:
        return 0
    bare = address.split("://", 1)[-1].rstrip("/")
    pattern = re.compile(re.escape(bare) + r"/?(?![\w/-])")
    outlets = {
        other.source.feed_id
        for other in entries
        if other.source.feed_id != entry.source.feed_id
        and pattern.search(f"{other.summary or ''} {other.content or ''}")
    }
    return len(outlets)
