"""The whole site as files, for any web server or for opening from disk: `bmn export DIR`.

Links between pages are relative, so that the folder may lie anywhere; feeds keep the addresses below `public_url`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from posixpath import dirname, relpath

from aggregator.publish.edition import Press
from aggregator.publish.merge import choose
from aggregator.publish.pages import Pages
from aggregator.publish.settings import FeedSettings
from aggregator.publish.site import NOT_FOUND
from aggregator.publish.views import IN_VIEW, ON_VIEW_PAGE, day_view, label_view, source_view
from aggregator.types import SECTIONS, Story

_NAMED = (".atom", ".rss", ".json", ".opml", ".txt", ".css", ".svg", ".ico", ".png")


def export(press: Press, stories: Iterable[Story], directory: Path, now: datetime) -> list[str]:
    """Write every merged feed, every page, the page of every story that a feed holds, and the labels, sources and days
    of these; the files' names, sorted.

    Each file appears whole or not at all; files that are there and not ours stay. Raises OSError.
    """
    documents = exported(press, tuple(stories), now)
    for name, body in documents.items():
        _write(directory / name, body)
    return sorted(documents)


def exported(press: Press, stories: tuple[Story, ...], now: datetime) -> Mapping[str, bytes]:
    """File name to bytes. Pure but for the press's memory."""
    here = Press(press.site, press.feeds, press.content, pages=Pages(press.site, press.feeds, press.content, _relative))
    edition = here.edition(stories, now)
    documents = {file_name(path): document.body for path, document in edition.items()}
    for feed in here.feeds:
        for story in choose(stories, feed):
            documents[file_name(f"/story/{story.ref}")] = here.story_page(story).body
    for view, told in _views(press, stories):
        for ending in ("", "atom", "rss", "json"):
            path = f"/{view.slug}.{ending}" if ending else f"/{view.slug}"
            shown = told[: IN_VIEW if ending else ON_VIEW_PAGE]
            documents[file_name(path)] = here.view(view, shown, ending).body
    return documents


def _views(press: Press, stories: tuple[Story, ...]) -> Iterator[tuple[FeedSettings, list[Story]]]:
    """Every label, and every source and day of these stories, with its stories, the newest first."""
    site = press.site
    told = choose(stories, FeedSettings("", sections=SECTIONS, items=len(stories)))
    sources = {source.feed_id: source.title for story in told for source in story.sources}
    for label in dict.fromkeys((*site.labels, *(label for story in told for label in story.labels))):
        yield label_view(label, site), [story for story in told if label in story.labels]
    for source_id, name in sorted(sources.items()):
        yield (
            source_view(source_id, name, site),
            [story for story in told if any(source.feed_id == source_id for source in story.sources)],
        )
    days: dict[date, list[Story]] = {}
    for story in told:
        days.setdefault(story.published.astimezone(site.zone).date(), []).append(story)
    for day, of_day in days.items():
        yield day_view(day, site), of_day


def file_name(path: str) -> str:
    """`/news.atom` as news.atom, `/tech` as tech/index.html, the page for what is missing as 404.html."""
    if path == NOT_FOUND:
        return "404.html"
    if path.endswith(_NAMED):
        return path.lstrip("/")
    return f"{path.strip('/')}/index.html".lstrip("/")


def _relative(at: str, path: str) -> str:
    """How the page at one path names another, file to file."""
    here = "" if at == "/404" else dirname(file_name(at))
    return relpath(file_name(path), here or ".")


def _write(file: Path, body: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(body)
            os.fchmod(stream.fileno(), 0o644)
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
