"""What is no feed, and why: the answers that help a person to mend an address. Pure, on the decoded document."""

from __future__ import annotations

import html
import re

from aggregator.ingest.challenge import LOOK_AT, challenger
from aggregator.ingest.document import Text
from aggregator.types import FailureReason, ParseFailed

_FEED_ROOT = re.compile(r"<(?:[a-z]{1,20}:)?(?:rss|feed|rdf|channel)[\s>/]", re.IGNORECASE)
_HTML_ROOT = re.compile(r"<(?:html|head|body|title|script|meta|div|p|h1)[\s>/]", re.IGNORECASE)
# A feed that some template wrapped into a page's skeleton.
_FEED_INSIDE = re.compile(
    r"""<feed\s[^<>]{0,400}?xmlns\s?=\s?["']http://(?:www\.w3\.org/2005/Atom|purl\.org/atom)|<rss\s[^<>]{0,400}?version\s?=""",
    re.IGNORECASE,
)
_LINK_TAG = re.compile(r"<link\b[^<>]{0,1000}>", re.IGNORECASE)
_HREF = re.compile(r"""\bhref\s{0,5}=\s{0,5}["']?([^"'\s<>]{1,500})""", re.IGNORECASE)
_TITLE = re.compile(r"<title\b[^<>]{0,200}>([^<]{1,200})", re.IGNORECASE)


def declares_entities(prolog: str) -> bool:
    """Whether what stands before the root declares entities, of which a few lines make gigabytes."""
    return "<!ENTITY" in prolog or ("<!DOCTYPE" in prolog and "<!entity" in prolog.lower())


def no_feed(text: Text) -> ParseFailed | None:
    """Why this cannot be a feed, or None if it may be one. Says what a person needs to mend the address."""
    if _FEED_ROOT.match(text.body):
        return None
    if _HTML_ROOT.match(text.body) or "<!doctype html" in text.prolog[:2000].lower():
        return None if _FEED_INSIDE.search(text.body) else _web_page(text.body)
    if _FEED_ROOT.search(text.body):
        return None  # rubbish first, a feed behind it
    if not text.body.startswith("<"):
        start = " ".join(text.body[:200].split())[:60]
        return ParseFailed(FailureReason.NOT_A_FEED, f"plain text, not a feed: {start!r}")
    root = re.match(r"<([A-Za-z_][\w.:-]{0,60})", text.body)
    if root is None:
        return ParseFailed(FailureReason.NOT_A_FEED, "no feed: no XML element is in it")
    return ParseFailed(FailureReason.NOT_A_FEED, f"XML, but no feed: its root element is <{root[1]}>")


def _web_page(body: str) -> ParseFailed:
    if who := challenger({}, body[:LOOK_AT].encode()):
        return ParseFailed(
            FailureReason.BLOCKED, f"{who} asks for proof of being human instead of answering with a feed"
        )
    title = _TITLE.search(body[:100_000])
    named = f" ({html.unescape(' '.join(title[1].split()))[:80]!r})" if title else ""
    for tag in _LINK_TAG.findall(body[:200_000]):
        lower = tag.lower()
        is_feed = "alternate" in lower and any(kind in lower for kind in ("rss+xml", "atom+xml", "feed+json"))
        if is_feed and (href := _HREF.search(tag)):
            address = html.unescape(href[1])
            return ParseFailed(
                FailureReason.NOT_A_FEED, f"a web page{named}, not a feed; it names {address} as its feed"
            )
    return ParseFailed(FailureReason.NOT_A_FEED, f"a web page{named}, not a feed")
