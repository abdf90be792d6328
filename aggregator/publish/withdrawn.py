"""What was printed once and is kept, archives and briefings, without what was taken down since. Pure.

A kept document is never printed as a whole again: retention has taken most of its stories. So the entries that are
concerned are found in it, and each is replaced by what `anew` says of its story now, or leaves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from html import escape, unescape
from uuid import UUID

from aggregator.publish.digest import Digest, Told
from aggregator.text import one_line
from aggregator.urls import story_ref

_ENTRY = re.compile(rb"<entry[ >].*?</entry>\n?", re.DOTALL)
_STORY = re.compile(rb"<id>urn:uuid:([0-9a-f-]{36})</id>")
_SOURCE = re.compile(rb"<source>.*?</source>", re.DOTALL)
_SAYS = re.compile(r"<(?:id|title)>([^<]*)</(?:id|title)>")
_RELATED = re.compile(r'<link [^>]*rel="related"[^>]*/>')
_TITLE = re.compile(r' title="([^"]*)"')


@dataclass(frozen=True, slots=True)
class TakenDown:
    """`stories` have changed since, or ended; `sources` (names and addresses) are told of nowhere."""

    stories: Collection[UUID]
    sources: Collection[str]

    @classmethod
    def of(cls, stories: Collection[UUID], sources: Sequence[tuple[int, str, str, str | None]]) -> TakenDown:
        """From the store's `Gone`."""
        names = (name for _, title, url, site in sources for name in (one_line(title, 120), url, site))
        return cls(stories, frozenset(name for name in names if name))


def archive_without(document: bytes, down: TakenDown, anew: Callable[[UUID], bytes | None]) -> bytes:
    """An Atom document without what was taken down. `anew` prints a story as it is told now, None: nobody tells it."""

    def entry(match: re.Match[bytes]) -> bytes:
        found = _STORY.search(match[0])
        if found is None:
            return match[0]
        story_id = UUID(found[1].decode())
        text = match[0].decode("utf-8")
        leads = any(unescape(said) in down.sources for said in _SAYS.findall(_source_of(match[0])))
        others = [link for link in _RELATED.findall(text) if _names(link, down)]
        if story_id not in down.stories and not leads and not others:
            return match[0]
        printed = anew(story_id)
        if printed is not None:
            return printed + (b"\n" if match[0].endswith(b"\n") else b"")
        is_told = story_id not in down.stories and not leads
        return _without(text, others).encode("utf-8") if is_told else b""

    return _ENTRY.sub(entry, document)


def _source_of(entry: bytes) -> str:
    match = _SOURCE.search(entry)
    return match[0].decode("utf-8") if match else ""


def _names(link: str, down: TakenDown) -> bool:
    title = _TITLE.search(link)
    return title is not None and unescape(title[1]) in down.sources


def _without(entry: str, links: Sequence[str]) -> str:
    """The entry without these outlets, in its links as in its text (which is HTML, written as text)."""
    for link in links:
        entry = entry.replace(link, "")
    gone = [unescape(title[1]) for link in links if (title := _TITLE.search(link))]

    def shorter(match: re.Match[str]) -> str:
        said = unescape(match[0])
        for name in gone:
            outlet = rf'<a href="[^"]*">{re.escape(escape(name))}</a>'
            said = re.sub(rf"(?:, | and ){outlet}|{outlet}(?:, | and |(?=\. <a))", "", said, count=1)
        return "" if said.startswith("<p>Also reported by . ") else escape(said, quote=False)

    written = re.compile(re.escape("&lt;p&gt;Also reported by ") + r".*?" + re.escape("&lt;/p&gt;"), re.DOTALL)
    return written.sub(shorter, entry)


def digest_without(digest: Digest, down: TakenDown, anew: Callable[[str], Told | None]) -> Digest:
    """A briefing without what was taken down; `anew` says what of a story (by its ref) is told now."""
    refs = {story_ref(story_id) for story_id in down.stories}

    def told(each: Told) -> Told | None:
        ref = each.story_url.rpartition("/")[2]
        return anew(ref) if ref in refs or each.source in down.sources else each

    sections = tuple(
        (section, tuple(kept for each in ones if (kept := told(each)) is not None)) for section, ones in digest.sections
    )
    return replace(digest, sections=sections)
