"""Invented items to feed bytes: RSS 2.0, RSS 1.0, Atom and JSON Feed, with the flaws that feeds have in the wild.

Written by hand on purpose: these are other people's feeds, quirks and all, not ours (`publish.feeds` writes those).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from xml.sax.saxutils import escape, quoteattr

from aggregator.newsroom.outlets import Outlet

_RSS = (
    '<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:content="http://purl.org/rss/1.0/modules/content/"'
    ' xmlns:media="http://search.yahoo.com/mrss/" xmlns:slash="http://purl.org/rss/1.0/modules/slash/">'
)
_RDF = (
    '<rdf:RDF xmlns="http://purl.org/rss/1.0/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:sy="http://purl.org/rss/1.0/modules/syndication/">'
)
_ATOM = '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:thr="http://purl.org/syndication/thread/1.0" xml:lang="en">'


@dataclass(frozen=True, slots=True)
class Item:
    """One report as a feed carries it. `summary` is plain text, `html` the whole text; `updated` equals `published`
    until something was corrected; None: the outlet does not say."""

    title: str
    url: str
    guid: str
    published: datetime
    updated: datetime
    summary: str
    html: str
    category: str
    author: str | None = None
    image_url: str | None = None
    comments_url: str | None = None
    comment_count: int = 0


def feed(outlet: Outlet, home: str, items: Sequence[Item]) -> tuple[str, bytes]:
    """Content type and bytes of an outlet's feed; `home` is the address of its front page. Newest item first."""
    match outlet.format:
        case "atom":
            return "application/atom+xml; charset=utf-8", _atom(outlet, home, items).encode()
        case "rss10":
            return "application/rdf+xml", _rss10(outlet, home, items).encode()
        case "json":
            return "application/feed+json", _json(outlet, home, items)
        case _:
            return _rss20_bytes(outlet, _rss20(outlet, home, items))


def _rss20_bytes(outlet: Outlet, text: str) -> tuple[str, bytes]:
    if outlet.flaw == "windows-1252":
        head = '<?xml version="1.0" encoding="windows-1252"?>\n'
        return "text/xml; charset=windows-1252", (head + text).encode("windows-1252", "xmlcharrefreplace")
    body = f'<?xml version="1.0" encoding="utf-8"?>\n{text}'.encode()
    if outlet.flaw == "gzip":
        body = gzip.compress(body, mtime=0)  # the time would make other bytes of the same feed
    return "application/rss+xml", body


def _tag(name: str, text: object) -> str:
    return f"<{name}>{escape(str(text))}</{name}>"


def _rss20(outlet: Outlet, home: str, items: Sequence[Item]) -> str:
    lines = [_RSS, "<channel>", _tag("title", outlet.title), _tag("link", home), _tag("language", "en")]
    lines.append(_tag("description", f"{outlet.title}: invented news for a demonstration"))
    if items:
        lines.append(_tag("lastBuildDate", format_datetime(items[0].published)))
    for item in items:
        lines += ["<item>", *_rss20_item(outlet, item), "</item>"]
    # The careless outlet's template also forgets the end.
    lines += ["</rss>"] if outlet.flaw == "unescaped" else ["</channel>", "</rss>"]
    return "\n".join(lines)


def _rss20_item(outlet: Outlet, item: Item) -> list[str]:
    if outlet.flaw == "unescaped":
        title = item.title.replace(" and ", " & ")
        lines = [f"<title>{title}</title>", f"<description><p>{item.summary}<br>Read on.</description>"]
    else:
        lines = [_tag("title", item.title), _tag("description", f"<p>{escape(item.summary)}</p>")]
    lines += [_tag("link", item.url), f'<guid isPermaLink="false">{escape(item.guid)}</guid>']
    lines += [_tag("pubDate", format_datetime(item.published)), _tag("category", item.category)]
    if item.author:
        lines.append(_tag("dc:creator", item.author))
    if outlet.full_text:
        lines.append(f"<content:encoded><![CDATA[{item.html}]]></content:encoded>")
    if item.image_url:
        lines.append(f'<media:content url={quoteattr(item.image_url)} medium="image" type="image/png"/>')
    if item.comments_url:
        lines += [_tag("comments", item.comments_url), _tag("slash:comments", item.comment_count)]
    return lines


def _rss10(outlet: Outlet, home: str, items: Sequence[Item]) -> str:
    about = "".join(f"<rdf:li rdf:resource={quoteattr(item.url)}/>" for item in items)
    lines = ['<?xml version="1.0"?>', _RDF, f"<channel rdf:about={quoteattr(home)}>"]
    lines += [_tag("title", outlet.title), _tag("link", home), _tag("description", "Figures, mostly invented")]
    lines += ["<sy:updatePeriod>hourly</sy:updatePeriod>", f"<items><rdf:Seq>{about}</rdf:Seq></items>", "</channel>"]
    for item in items:
        lines += [f"<item rdf:about={quoteattr(item.url)}>", _tag("title", item.title), _tag("link", item.url)]
        lines += [_tag("description", item.summary), _tag("dc:date", item.published.isoformat())]
        lines += [_tag("dc:creator", item.author or outlet.title), _tag("dc:subject", item.category), "</item>"]
    return "\n".join([*lines, "</rdf:RDF>"])


def _atom(outlet: Outlet, home: str, items: Sequence[Item]) -> str:
    lines = ['<?xml version="1.0" encoding="utf-8"?>', _ATOM, _tag("title", outlet.title)]
    lines += [_tag("id", f"tag:{outlet.key}.example,2026:feed"), f"<link href={quoteattr(home)}/>"]
    if items:
        lines.append(_tag("updated", max(item.updated for item in items).isoformat()))
    for item in items:
        lines += ["<entry>", _tag("id", item.guid), _tag("title", item.title), f"<link href={quoteattr(item.url)}/>"]
        lines += [_tag("published", item.published.isoformat()), _tag("updated", item.updated.isoformat())]
        lines += [f"<author>{_tag('name', item.author or outlet.title)}</author>"]
        lines += [f"<category term={quoteattr(item.category)}/>", f"<summary>{escape(item.summary)}</summary>"]
        picture = f"<p><img src={quoteattr(item.image_url)} alt=''/></p>" if item.image_url else ""
        lines.append(f'<content type="html">{escape(picture + item.html)}</content>')
        if item.comment_count:
            lines.append(_tag("thr:total", item.comment_count))
        lines.append("</entry>")
    return "\n".join([*lines, "</feed>"])


def _json(outlet: Outlet, home: str, items: Sequence[Item]) -> bytes:
    def entry(item: Item) -> dict[str, object]:
        values: dict[str, object] = {
            "id": item.guid,
            "url": item.url,
            "title": item.title,
            "summary": item.summary,
            "content_html": item.html,
            "date_published": item.published.isoformat(),
            "tags": [item.category],
            "authors": [{"name": item.author or outlet.title}],
        }
        if item.image_url:
            values["image"] = item.image_url
        if item.updated != item.published:
            values["date_modified"] = item.updated.isoformat()
        return values

    document = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": outlet.title,
        "home_page_url": home,
        "language": "en",
        "items": [entry(item) for item in items],
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode()
