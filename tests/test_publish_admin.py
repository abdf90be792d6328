"""The admin listener: who may see what."""

from __future__ import annotations

import asyncio
import json

import pytest

from aggregator.publish.admin import AdminSite, AdminViews
from aggregator.publish.answers import Answer
from aggregator.publish.pages import Pages, static_files
from aggregator.publish.settings import DEFAULT_FEEDS, ContentSettings, SiteSettings

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


def site(token: str | None = None, ready: tuple[bool, str] = (True, "")) -> AdminSite:
    views = AdminViews(lambda: b"up 1\n", lambda: ready, lambda: STATUS, lambda: b"<opml/>")
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
    assert '<td class="bad">failing</td>' in page
    assert "timeout: no answer within 30 s" in page


def test_its_page_finds_its_style_here_and_links_to_the_public_site():
    settings = SiteSettings(public_url="https://news.example/desk")
    pages = Pages(settings, DEFAULT_FEEDS, ContentSettings())
    views = AdminViews(lambda: b"", lambda: (True, ""), lambda: STATUS, lambda: b"")
    admin = AdminSite(views, pages)
    page = ask("/status", admin).body.decode()
    style = next(path for path in static_files() if path.endswith(".css"))
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
