"""What others' checkers say of every kind of page and feed of a running site: `python -m bench.audit [URL]`.

The Nu HTML checker reads the pages, Lighthouse loads them in Chromium, the W3C feed validator reads the feeds. Each is
used where it is found and named where it is missing; none is a dependency. Exit status 1: one of them complained.

    VNU_JAR=vnu.jar                   npm install vnu-jar; needs java
    LIGHTHOUSE=lighthouse             npm install lighthouse; needs chromium
    FEEDVALIDATOR=DIR                 a checkout of https://github.com/w3c/feedvalidator
    FEEDVALIDATOR_PYTHON=python3      a Python with html5lib, lxml and rdflib
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from shutil import which
from typing import Any, NamedTuple

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SCORES = ("performance", "accessibility", "best-practices", "seo")
LEAST = 95  # of 100, in each of the scores
SECONDS = 180  # for a page in Lighthouse
NOT_THERE = "/nothing"
NOINDEX = 'name="robots" content="noindex"'
# A search that finds nothing, the form, a feed opened in a browser and a page that is not there are pages, too.
PAGES = (
    "/",
    "/tech",
    "/about",
    "/digest",
    "/label/funding",
    "/news.atom",
    "/search",
    "/search?q=zzzz",
    "/tech?min_sources=2",
    NOT_THERE,
)
FEEDS = ("label/funding", "news", "tech", "companies", "economics", "marketing", "top", "digest")
VIEWS = ("/source/[0-9]+", "/[0-9]{4}/[0-9]{2}/[0-9]{2}")
CHECK_FEEDS = """
import sys
import urllib.request
sys.path.insert(0, sys.argv[1])
import feedvalidator
from feedvalidator import compatibility, logging
from feedvalidator.formatter.text_plain import Formatter
for url in sys.argv[2:]:
    try:
        events = feedvalidator.validateURL(url, firstOccurrenceOnly=1)["loggedEvents"]
    except logging.ValidationFailure as failure:
        events = [failure.event]
    events = compatibility.AA(events)
    for event, line in zip(events, Formatter(events)):
        print("error" if isinstance(event, logging.Error) else "warning", url, line, sep="\\t")
"""


class Missing(Exception):
    """A checker is not here; the message says how to get it."""


class Site(NamedTuple):
    """Paths of one of each kind."""

    url: str
    pages: list[str]
    feeds: list[str]


def fetched(url: str, accept: str = BROWSER) -> str:
    """The body, also that of an error page."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return str(answer.read().decode())


def explored(url: str) -> Site:
    """The pages and feeds that are always there, and one of each kind that the front page leads to."""
    story = _first(r'href="(/story/[a-z2-7]+)"', fetched(f"{url}/")) or "/"
    told = fetched(url + story)
    views = [view for pattern in VIEWS if (view := _first(f'href="({pattern})"', told))]
    search = f"/search{{}}?q={_first(r'<h1[^>]*>(?:[^<]*?)([A-Za-z]{5,})', told) or 'market'}".lower()
    feeds = [f"/{slug}{{}}" for slug in FEEDS] + [f"{view}{{}}" for view in views]
    feeds += [search, "/news{}?-q=crypto&min_sources=2"]
    written = [feed.format(ending) for feed in feeds for ending in (".atom", ".rss")] + ["/feeds.opml"]
    archive = _first(
        r'href="[^"]*(/archive/[^"]+)" rel="prev-archive"|rel="prev-archive" href="[^"]*(/archive/[^"]+)"',
        fetched(f"{url}/news.atom", "*/*"),
    )
    return Site(url, [*PAGES, story, *views, search.format("")], [*written, *([archive] if archive else [])])


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return next((group for group in found.groups() if group), None) if found else None


def html(site: Site) -> list[str]:
    """What the Nu HTML checker complains of, in pages and their style sheet."""
    jar = os.environ.get("VNU_JAR") or ""
    if not Path(jar).is_file() or which("java") is None:
        raise Missing("the Nu HTML checker: npm install vnu-jar, set VNU_JAR to its build/dist/vnu.jar; it needs java")
    with tempfile.TemporaryDirectory() as folder:
        names = {f"{n}.html": path for n, path in enumerate(site.pages)}
        for name, path in names.items():
            (Path(folder) / name).write_text(fetched(site.url + path))
        style = _first(r'rel="stylesheet" href="([^"]+)"', fetched(f"{site.url}/")) or "/"
        (Path(folder) / "style.css").write_text(fetched(site.url + style))
        command = ["java", "-jar", jar, "--format", "json", "--stdout", "--also-check-css", folder]
        said = subprocess.run(command, capture_output=True, text=True, timeout=600)
    messages = json.loads(said.stdout)["messages"]
    return [_said(each, names.get(Path(each["url"]).name, style)) for each in messages]


def _said(message: dict[str, Any], path: str) -> str:
    return f"{path}:{message.get('lastLine')}: {message.get('subType', message['type'])}: {message['message']}"


def scores(site: Site, is_phone: bool) -> list[str]:
    """The pages to which Lighthouse gives less than LEAST in anything; prints all scores."""
    program = os.environ.get("LIGHTHOUSE") or which("lighthouse")
    if program is None or which("chromium") is None:
        raise Missing("Lighthouse: npm install lighthouse, set LIGHTHOUSE to its program; it needs chromium")
    worse = []
    for path in site.pages:
        if path == NOT_THERE:  # Lighthouse loads no page that comes with a 404
            continue
        # What search engines are asked to leave alone is not asked whether they find it.
        hidden = ["--skip-audits=is-crawlable"] if NOINDEX in fetched(site.url + path) else []
        command = [
            program,
            site.url + path,
            "--quiet",
            "--output=json",
            f"--only-categories={','.join(SCORES)}",
            *hidden,
        ]
        command += ["--chrome-flags=--headless=new --no-sandbox", *([] if is_phone else ["--preset=desktop"])]
        environment = os.environ | {"CHROME_PATH": which("chromium") or ""}
        said = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)
        if said.returncode:
            worse.append(f"{path}: {said.stderr.strip()[-200:]}")
            continue
        report = json.loads(said.stdout)
        points = {name: round(100 * (report["categories"][name]["score"] or 0)) for name in SCORES}
        print(f"  {path:40} {' '.join(f'{name} {points[name]}' for name in SCORES)}", flush=True)
        failed = [
            each["title"] for each in report["audits"].values() if each["score"] is not None and each["score"] < 0.9
        ]
        if min(points.values()) < LEAST:
            worse.append(f"{path}: {points}: {'; '.join(failed)}")
    return worse


def feeds(site: Site) -> list[str]:
    """What the W3C feed validator complains of; warnings are printed."""
    source = Path(os.environ.get("FEEDVALIDATOR") or "") / "src"
    if not (source / "feedvalidator").is_dir():
        raise Missing("the W3C feed validator: set FEEDVALIDATOR to a checkout of https://github.com/w3c/feedvalidator")
    python = os.environ.get("FEEDVALIDATOR_PYTHON") or sys.executable
    command = [python, "-c", CHECK_FEEDS, str(source), *(site.url + path for path in site.feeds)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if said.returncode:
        raise Missing(f"a Python for the feed validator (html5lib, lxml, rdflib): {said.stderr.strip()[-200:]}")
    lines = [line.replace("\t", " ") for line in said.stdout.splitlines()]
    for line in lines:
        print(f"  {line}")
    return [line for line in lines if line.startswith("error")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080", help="where the site is")
    site = explored(parser.parse_args().url.rstrip("/"))
    print(f"{len(site.pages)} pages, {len(site.feeds)} feeds of {site.url}", flush=True)
    checks = {
        "Nu HTML checker": lambda: html(site),
        "W3C feed validator": lambda: feeds(site),
        "Lighthouse, phone": lambda: scores(site, is_phone=True),
        "Lighthouse, desktop": lambda: scores(site, is_phone=False),
    }
    complaints = 0
    for name, check in checks.items():
        print(f"{name}:", flush=True)
        try:
            found = check()
        except Missing as missing:
            print(f"  not here: {missing}")
            continue
        complaints += len(found)
        print("\n".join(f"  {line}" for line in found) or "  nothing to complain of", flush=True)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
