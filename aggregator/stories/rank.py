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
    score += LINKED_TO * min(2, len({other.source.feed_id for other in _links_to(entry, entries)}))
    score += AGENCY_CREDIT if credits_agency(entry) else 0.0
    score += NO_PICTURE if entry.image_url is None else 0.0
    began = min(other.first_seen for other in entries)
    return score + HEAD_START * max(0.0, 1 - (entry.first_seen - began) / SLOW)


def why_lead(lead: StoredEntry, entries: Sequence[StoredEntry]) -> tuple[str, ...]:
    """What speaks for the lead and against it, in words, the weightiest first; for `bmn explain`."""
    others = [entry for entry in entries if entry.duplicate_of is None and entry.entry_id != lead.entry_id]
    if not others:
        return ("the only entry that is not a copy",)
    lines = []
    if linking := dict.fromkeys(other.source.title for other in _links_to(lead, entries)):
        lines.append(f"linked to by {', '.join(linking)}")
    if lead.source.weight != 1.0 or any(other.source.weight != lead.source.weight for other in others):
        lines.append(f"its source weighs {lead.source.weight:g}")
    agencies = [other.source.title for other in others if credits_agency(other)]
    if credits_agency(lead):
        lines.append("reprints an agency")
    elif agencies:
        lines.append(f"reports itself where {', '.join(dict.fromkeys(agencies))} reprints an agency")
    first = min(others, key=lambda other: (other.first_seen, other.entry_id))
    is_first = (lead.first_seen, lead.entry_id) < (first.first_seen, first.entry_id)
    lines.append("seen first" if is_first else f"seen after {first.source.title}")
    if lead.image_url is None and any(other.image_url for other in others):
        lines.append("has no picture")
    best = max(others, key=lambda other: (lead_score(other, entries), -other.entry_id))
    mine, theirs = lead_score(lead, entries), lead_score(best, entries)
    lines.append(f"scores {mine:.2f}, the next, {best.source.title}, {theirs:.2f}")
    if theirs > mine:
        lines.append(f"kept, as readers know it: {CLEARLY_BETTER:g} more would take the lead")
    return tuple(lines)


def credits_agency(entry: StoredEntry) -> bool:
    """Whether author, dateline or sign-off name a news agency: the text is not the outlet's own."""
    text = (entry.content or entry.summary or "").strip()
    places = (entry.author or "", text[:_DATELINE_LENGTH], text[-_DATELINE_LENGTH:])
    return any(_AGENCY.search(place) for place in places)


def _links_to(entry: StoredEntry, entries: Sequence[StoredEntry]) -> list[StoredEntry]:
    """The entries of other outlets that link to the entry's page."""
    address = entry.canonical_url or entry.link
    if not address:
        return []
    bare = address.split("://", 1)[-1].rstrip("/")
    pattern = re.compile(r"//(?:www\.)?" + re.escape(bare.removeprefix("www.")) + r"/?(?![\w/-])")
    return [
        other
        for other in entries
        if other.source.feed_id != entry.source.feed_id
        and pattern.search(f"{other.summary or ''} {other.content or ''}")
    ]
