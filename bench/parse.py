"""What understanding one document costs: python -m bench.parse [--profile] [--folder FOLDER]

An invented RSS 2.0 document of 85 kB and 45 entries (and its Atom and not well-formed twins) is parsed as a first poll
would, as a poll that finds one new entry, and with feedparser alone. Milliseconds of processor time, best of ROUNDS.
With --folder, all documents of a folder besides.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import time
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import feedparser

from aggregator.ingest.parse import parse
from aggregator.types import ParsedFeed

NOW = datetime(2026, 6, 1, tzinfo=UTC)
URL = "https://herald.example/feed.xml"
ROUNDS = 30
ENTRIES = 45
PARAGRAPH = (
    'The <a href="https://herald.example/quillon?ref=feed&amp;n={n}">Quillon works</a> at Brno will employ <b>{n}0</b> '
    "people by spring, the company said. Analysts had expected fewer &ndash; and later. Orders for its pumps rose by a "
    "quarter, while the price of copper, which goes into every one of them, fell for a third month in a row."
)


def rss_document(entries: int = ENTRIES) -> str:
    """An RSS 2.0 document of about 1.9 kB per entry, with content, author, categories, a picture and comments."""
    items = "".join(_item(number) for number in range(entries))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:atom="http://www.w3.org/2005/Atom" '
        'xmlns:media="http://search.yahoo.com/mrss/" xmlns:slash="http://purl.org/rss/1.0/modules/slash/"><channel>'
        "<title>The Herald</title><link>https://herald.example/</link><description>News</description>"
        f'<language>en</language><atom:link href="{URL}" rel="self" type="application/rss+xml"/>'
        f"<ttl>60</ttl>{items}</channel></rss>"
    )


def _item(number: int) -> str:
    body = "".join(f"<p>{PARAGRAPH.format(n=number + part)}</p>\n" for part in range(3))
    picture = f'<p><img src="https://img.herald.example/{number}.jpg" width="640" height="480" alt="The works"></p>'
    return (
        f"<item><title>Quillon opens plant number {number} &amp; hires</title><link>https://herald.example/{number}</link>"
        f'<guid isPermaLink="false">herald:{number}</guid>'
        f"<pubDate>Mon, 04 May 2026 {number % 24:02}:15:00 +0200</pubDate>"
        f"<dc:creator><![CDATA[Ann Example]]></dc:creator><category>Industry</category><category>Brno</category>"
        f"<description><![CDATA[The works at Brno will employ {number}0 people by spring.]]></description>"
        f'<media:content url="https://img.herald.example/{number}-wide.jpg" medium="image" width="1200"/>'
        f"<content:encoded><![CDATA[{body}{picture}]]></content:encoded><slash:comments>{number}</slash:comments></item>\n"
    )


def atom_document(entries: int = ENTRIES) -> str:
    """The same as Atom 1.0."""
    made = []
    for number in range(entries):
        body = "".join(f"<p>{PARAGRAPH.format(n=number + part)}</p>\n" for part in range(3))
        made.append(
            f'<entry><title type="html">Quillon opens plant {number}</title><id>tag:herald.example,2026:{number}</id>'
            f'<link rel="alternate" type="text/html" href="https://herald.example/{number}"/>'
            f"<author><name>Ann</name></author>"
            f"<published>2026-05-04T{number % 24:02}:15:00Z</published>"
            f"<updated>2026-05-04T{number % 24:02}:15:00Z</updated>"
            f'<category term="Industry"/><content type="html">{escape(body)}</content></entry>\n'
        )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">'
        f'<title>The Herald</title><id>{URL}</id><updated>2026-05-04T00:00:00Z</updated><link href="https://herald.example/"/>'
        f"{''.join(made)}</feed>"
    )


def best_of(rounds: int, work: Callable[[], object]) -> float:
    """Milliseconds of processor time, the least of `rounds`."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) * 1000


def report(name: str, document: bytes, rounds: int = ROUNDS) -> None:
    """One line of the table."""
    first = parse(document, URL, None, frozenset(), NOW)
    if not isinstance(first, ParsedFeed):
        print(f"{name}: {first}")
        return
    known = frozenset(entry.fingerprint for entry in first.entries[1:])
    all_new = best_of(rounds, lambda: parse(document, URL, None, frozenset(), NOW))
    one_new = best_of(rounds, lambda: parse(document, URL, None, known, NOW))
    reference = best_of(max(1, rounds // 6), lambda: feedparser.parse(io.BytesIO(document)))
    print(
        f"{name:22} {len(document) / 1000:7.1f} kB {len(first.entries):4} entries  {first.lane:10}"
        f" first {all_new:7.2f} ms"
        f"  one new {one_new:6.2f} ms  feedparser alone {reference:7.2f} ms"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--profile", action="store_true", help="where the time of a first parse goes")
    options.add_argument("--folder", type=Path, help="parse every document in it, too")
    arguments = options.parse_args()
    rss = rss_document()
    report("RSS 2.0", rss.encode())
    report("Atom 1.0", atom_document().encode())
    report("RSS, windows-1252", rss.replace("UTF-8", "windows-1252").replace("Ann", "Anné").encode("windows-1252"))
    report("RSS, not well-formed", rss.replace("&amp; hires", "& hires &nbsp;").encode())
    if arguments.folder:
        documents = [path.read_bytes() for path in sorted(arguments.folder.glob("*.xml"))]
        ours = best_of(3, lambda: [parse(document, URL, None, frozenset(), NOW) for document in documents])
        theirs = best_of(1, lambda: [feedparser.parse(io.BytesIO(document)) for document in documents])
        size = sum(map(len, documents)) / 1000
        print(f"{len(documents)} documents of {size:,.0f} kB: {ours:,.0f} ms, feedparser alone {theirs:,.0f} ms")
    if arguments.profile:
        document = rss.encode()
        cProfile.runctx(
            "for _ in range(50): parse(document, URL, None, frozenset(), NOW)",
            {"parse": parse, "document": document, "URL": URL, "frozenset": frozenset, "NOW": NOW},
            {},
            sort="tottime",
        )


if __name__ == "__main__":
    main()
