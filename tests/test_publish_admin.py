"""The admin listener: who may see what."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime

import pytest

from aggregator.publish.admin import AdminSite, AdminViews
from aggregator.publish.answers import Answer
from aggregator.publish.charts import columns
from aggregator.publish.pages import Pages, static_files
from aggregator.publish.settings import DEFAULT_FEEDS, ContentSettings, SiteSettings
from aggregator.publish.shelf import rendered
from aggregator.types import Rendered

STATUS = {
    "sources": [
        {
            "url": "https://herald.example/feed",
            "title": "The <Herald>",
            "health": "failing",
            "reason": "timeout: no answer within 30 s",
            "entries": 12,
            "last_success": None,
            "next_poll": "2026-03-04T12:00:00Z",
        }
    ],
    "queues": {"due": 3, "ungrouped": 0},
    "freshness": {"median_s": None},
}


CHARTS = ("polls", "entries", "failed", "spread")
AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
BOARD = {
    "now": AT,
    "states": [("broken", 1)],
    "total": 1,
    "found": 1,
    "sources": [
        {
            "id": 7,
            "url": "https://herald.example/feed",
            "title": "The <Herald>",
            "section": None,
            "state": "broken",
            "reason": "timeout: no answer within 30 s",
            "fix": "Look.",
            "command": "bmn explain https://herald.example/feed",
            "next": AT,
            "why": "back-off",
            "success": None,
            "day": None,
            "week": {"seen": "3 min, p90 9 min", "shown": "2 s, p90 4 s", "count": 12, "median": 180.0},
        }
    ],
    "show": "broken",
    "q": "",
    "sort": "health",
    "sorts": ("health", "title"),
    "pages": [("?page=2#sources", "More")],
    "waiting": {"due": (3, "40 s"), "pushes": (0, "")},
    "sections": [{"name": "tech", "day": None, "week": None}],
    "episodes": [],
    "charts": {name: columns(name, name, "none", [1, 2], ["a", "b"]) for name in CHARTS},
    "hours": [],
    "spread": [("1 m", 3)],
    "capped": False,
}


def site(token: str | None = None, ready: tuple[bool, str] = (True, "")) -> AdminSite:
    def health(ending: str, at: str) -> Rendered:
        return rendered(f"{ending} for {at}".encode(), "application/atom+xml; charset=utf-8", AT)

    views = AdminViews(
        lambda: b"up 1\n", lambda: ready, lambda: STATUS, lambda: b"<opml/>", board=lambda query: BOARD, health=health
    )
    return AdminSite(views, Pages(SiteSettings(), DEFAULT_FEEDS, ContentSettings()), token)


def ask(target: str, admin: AdminSite | None = None, method: str = "GET", **headers: str) -> Answer:
    admin = admin or site()

    async def answered() -> Answer:
        return admin.at_once(method, target, headers) or await admin.later(method, target, headers)

    return asyncio.run(answered())


def header(answer: Answer, name: str) -> str | None:
    return dict(answer.headers).get(name)


@pytest.mark.parametrize(
    ("target", "content_type", "body"),
    [
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", b"up 1\n"),
        ("/healthz", "text/plain; charset=utf-8", b"ok\n"),
        ("/readyz", "text/plain; charset=utf-8", b"ready\n"),
        ("/sources.opml", "text/x-opml; charset=utf-8", b"<opml/>"),
    ],
)
def test_what_there_is(target, content_type, body):
    answer = ask(target)
    assert (answer.status, header(answer, "Content-Type"), answer.body) == (200, content_type, body)
    assert header(answer, "Cache-Control") == "no-store"
    assert header(answer, "X-Content-Type-Options") == "nosniff"


def test_not_ready_says_why():
    answer = ask("/readyz", site(ready=(False, "no poll for 20 minutes")))
    assert (answer.status, answer.body) == (503, b"no poll for 20 minutes\n")


def test_status_for_programs_and_for_people():
    assert json.loads(ask("/status.json").body) == STATUS
    assert json.loads(ask("/status", Accept="application/json").body) == STATUS
    page = ask("/", Accept="text/html").body.decode()
    assert "The &lt;Herald&gt;" in page
    assert '<strong class="state broken">broken</strong>' in page
    assert "timeout: no answer within 30 s" in page
    assert "<pre>bmn explain https://herald.example/feed</pre>" in page
    assert "12 entries, seen after 3 min, p90 9 min" in page
    assert page.count('<svg class="chart"') == 4


def test_the_feed_of_troubles_is_asked_for_by_readers():
    answer = ask("/health.atom", Host="127.0.0.1:8081")
    assert (answer.status, answer.body) == (200, b"atom for http://127.0.0.1:8081")
    assert header(answer, "Cache-Control") == "private, max-age=60"
    assert ask("/health.rss", Host="<evil>").status == 403
    assert header(ask("/health"), "Location") == "/status"
    again = ask("/health.atom", Host="127.0.0.1:8081", **{"If-None-Match": header(answer, "ETag")})
    assert (again.status, again.body) == (304, b"")
    credentials = base64.b64encode(b"anybody:s3cret").decode()
    assert ask("/health.json", site("s3cret"), Authorization=f"Basic {credentials}").status == 200
    assert ask("/health.json", site("s3cret")).status == 401


def test_its_page_finds_its_style_here_and_links_to_the_public_site():
    settings = SiteSettings(public_url="https://news.example/desk")
    pages = Pages(settings, DEFAULT_FEEDS, ContentSettings())
    views = AdminViews(lambda: b"", lambda: (True, ""), lambda: STATUS, lambda: b"")
    admin = AdminSite(views, pages)
    page = ask("/status", admin).body.decode()
    style = next(path for path in static_files() if path.startswith("/static/style."))
    assert f'href="{style}"' in page
    assert ask(style, admin).status == 200
    assert '<a class="tech" href="https://news.example/desk/tech">' in page


@pytest.mark.parametrize("target", ["/metrics", "/readyz", "/status", "/status.json", "/sources.opml", "/", "/nothing"])
@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        ("Bearer s3cretx", 401),
        ("Basic s3cret", 401),
        ("Bearer ünicode", 401),
        ("Bearer s3cret", 200),
        ("bearer s3cret", 200),
    ],
)
def test_a_token_guards_everything(target, authorization, status):
    headers = {} if authorization is None else {"Authorization": authorization}
    expected = 404 if (status, target) == (200, "/nothing") else status
    answer = ask(target, site("s3cret"), **headers)
    assert answer.status == expected
    if status == 401:
        assert header(answer, "WWW-Authenticate").startswith("Bearer")


def test_a_token_in_the_address_counts_for_nothing():
    assert ask("/metrics?token=s3cret", site("s3cret")).status == 401


def test_health_needs_no_token_and_other_methods_get_nowhere():
    assert ask("/healthz", site("s3cret")).status == 200
    assert ask("/metrics", method="POST").status == 405
    assert ask("/news.atom").status == 404
