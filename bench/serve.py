"""How many answers a second: serves one merged feed of 100 items and lets wrk ask for it.

    .venv/bin/python bench/serve.py [seconds]      needs wrk; prints a line per kind of request

Server and wrk share the machine. The figures of record stand in docs/decisions/publishing.md.
"""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import uvloop

from aggregator.publish.edition import Press
from aggregator.publish.serve import listen
from aggregator.publish.settings import DEFAULT_FEEDS, ContentSettings, SiteSettings
from aggregator.publish.shelf import Shelf
from aggregator.publish.site import PublicSite
from aggregator.types import Sectioning, SourceRef, StoredEntry, Story
from aggregator.urls import story_ref

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
REQUESTS = {
    "304": ("If-None-Match: {etag}", "Accept-Encoding: gzip"),
    "200 gzip": ("Accept-Encoding: gzip",),
    "200 br": ("Accept-Encoding: br",),
    "200 plain": (),
}


def stories(count: int) -> list[Story]:
    made = []
    for number in range(count):
        at = NOW - timedelta(minutes=number)
        link = f"https://outlet{number % 20}.example/{number}"
        source = SourceRef(number % 20, f"https://outlet{number % 20}.example/feed", f"Outlet {number % 20}")
        said = f"The board met on day {number} and said what it would do next. "
        summary = f"<p>{said * 6}</p>"
        entry = StoredEntry(
            number, source, f"Company {number * 7919 % 1000} opens plant {number}", at, at, link=link, summary=summary
        )
        story_id = uuid5(NAMESPACE_URL, link)
        verdict = Sectioning({"tech": 1.0}, section="tech")
        made.append(Story(story_id, story_ref(story_id), entry, (entry,), at, at, verdict))
    return made


async def rate(url: str, seconds: int, headers: tuple[str, ...]) -> str:
    options = [part for header in headers for part in ("-H", header)]
    wrk = await asyncio.create_subprocess_exec(
        "wrk", "-t1", "-c32", f"-d{seconds}", *options, url, stdout=asyncio.subprocess.PIPE
    )
    output = (await wrk.communicate())[0].decode()
    found = re.search(r"Requests/sec:\s*([\d.]+)", output)
    return f"{float(found[1]):>9,.0f} a second" if found else output


async def main(seconds: int) -> None:
    shelf = Shelf(Press(SiteSettings(), DEFAULT_FEEDS, ContentSettings()).edition(stories(100), NOW))
    document = shelf.documents["/news.atom"]
    listener = await listen(PublicSite(shelf), "127.0.0.1:0")
    sizes = [len(body or b"") for body in (document.body, document.gzip, document.brotli)]
    print(f"/news.atom: {sizes[0]:,} bytes, gzip {sizes[1]:,}, br {sizes[2]:,}")
    for kind, headers in REQUESTS.items():
        sent = tuple(header.format(etag=f'"{document.etag}-gz"') for header in headers)
        print(f"{kind:>10} {await rate(f'{listener.url}/news.atom', seconds, sent)}")
    await listener.stop()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
