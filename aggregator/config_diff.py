"""What a new configuration would change: sources, keys, and which merged feeds notice. Pure; no secret is shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel

from aggregator.config import Config, changed_keys, needs_restart
from aggregator.config_models import MergedFeed
from aggregator.config_source import Source, source_key

_HIDDEN = "***"
_SECRET = frozenset({"admin.token", "fetch.proxy", "digest.smtp", "auth", "headers", "proxy"})
_EVERYWHERE = ("rules", "languages", "stories.", "content.", "site.public_url", "retention.entries")
# What of a source decides which entries there are and where their stories stand; the rest is how it is asked.
_NOTICED = frozenset({"title", "section", "section_is", "weight", "include", "exclude", "enabled"})


@dataclass(frozen=True, slots=True)
class Change:
    """One key, before and after as YAML would show them; None where it is not set, secrets as `***`."""

    key: str
    before: object
    after: object
    needs_restart: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """Sources by address, `changed` ones with their keys; settings; and by slug why a merged feed may change."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[tuple[str, tuple[Change, ...]], ...]
    settings: tuple[Change, ...]
    feeds: tuple[tuple[str, tuple[str, ...]], ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.settings or self.feeds)


def difference(old: Config, new: Config) -> Difference:
    """What taking over `new` instead of `old` means."""
    before = {source_key(source.url): source for source in old.sources}
    after = {source_key(source.url): source for source in new.sources}
    added = [source for key, source in after.items() if key not in before]
    removed = [source for key, source in before.items() if key not in after]
    changed = [
        (source, changes) for key, source in after.items() if key in before and (changes := _keys(before[key], source))
    ]
    return Difference(
        tuple(source.url for source in added),
        tuple(source.url for source in removed),
        tuple((source.url, changes) for source, changes in changed),
        _settings(old, new),
        tuple(_feeds(old, new, added, removed, [(before[source_key(s.url)], s, c) for s, c in changed])),
    )


def _keys(old: Source, new: Source) -> tuple[Change, ...]:
    keys = [key for key in type(new).model_fields if key != "url" and getattr(old, key) != getattr(new, key)]
    return tuple(_change(key, old, new, key) for key in keys)


def _settings(old: Config, new: Config) -> tuple[Change, ...]:
    changes = []
    for key in changed_keys(old, new):
        if key in ("sources", "feeds"):
            continue
        part, _, name = key.partition(".")
        one, two = (getattr(old, part), getattr(new, part)) if name else (old, new)
        changes.append(_change(key, one, two, name or part))
    return tuple(changes)


def _change(key: str, old: BaseModel, new: BaseModel, field: str) -> Change:
    if key in _SECRET:
        before, after = (_HIDDEN if getattr(model, field) else None for model in (old, new))
    else:
        before, after = (model.model_dump(mode="json", include={field})[field] for model in (old, new))
    return Change(key, before, after, needs_restart=not isinstance(old, Source) and needs_restart(key))


def _feeds(
    old: Config,
    new: Config,
    added: Iterable[Source],
    removed: Iterable[Source],
    changed: Iterable[tuple[Source, Source, tuple[Change, ...]]],
) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Every merged feed that readers may see change, with the reasons."""
    everywhere = [key for key in changed_keys(old, new) if key.startswith(_EVERYWHERE)]
    touched: list[tuple[str, tuple[str | None, ...]]] = [
        (f"source added: {each.url}", (each.section,)) for each in added
    ]
    touched += [(f"source removed: {each.url}", (each.section,)) for each in removed]
    for was, now, changes in changed:
        if keys := [change.key for change in changes if change.key in _NOTICED]:
            touched.append((f"source changed: {now.url} ({', '.join(keys)})", (was.section, now.section)))
    for slug in dict.fromkeys(feed.slug for feed in (*old.feeds, *new.feeds)):
        one, two = old.merged_feed(slug), new.merged_feed(slug)
        if two is None:
            yield slug, ("is taken away: its addresses answer 404",)
            continue
        reasons = ["is new"] if one is None else _own_changes(one, two)
        reasons += everywhere
        reasons += [why for why, hints in touched if any(_may_hold(two, hint) for hint in hints)]
        if reasons:
            yield slug, tuple(reasons)


def _own_changes(old: MergedFeed, new: MergedFeed) -> list[str]:
    def shown(feed: MergedFeed, key: str) -> str:
        return json.dumps(feed.model_dump(mode="json")[key], ensure_ascii=False)

    keys = [key for key in type(new).model_fields if getattr(old, key) != getattr(new, key)]
    return [f"{key}: {shown(old, key)} → {shown(new, key)}" for key in keys]


def _may_hold(feed: MergedFeed, hint: str | None) -> bool:
    """Whether a source with this hint is likely to be in the feed; one without a hint may be in any."""
    return hint is None or hint in feed.sections
