"""The form on the admin listener, over real HTTP: who may file a story, and who may not."""

from __future__ import annotations

import asyncio
import base64
import http.client
import re
from urllib.parse import urlencode

import pytest

from aggregator.publish.admin import AdminSite, AdminViews
from aggregator.publish.forms import FORM_TYPE, FormGuard
from aggregator.publish.pages import Pages
from aggregator.publish.serve import listen
from aggregator.publish.settings import DEFAULT_FEEDS, ContentSettings, SiteSettings

ROW = {
    "id": "abcdefghij", "title": "Quillon <opens> a plant", "source": "The Herald", "section": "tech", "second": None,
    "confidence": 0.61, "by_hand": False, "withheld": None,
}  # fmt: skip


class Desk:
    """An admin listener on a free port, what it was asked to file, and a client."""

    def __init__(self, token: str | None = None, with_form: bool = True) -> None:
        self.filed: list[tuple[str, str | None]] = []
        self.shown: list[str | None] = []
        file = self._file if with_form else None
        views = AdminViews(lambda: b"", lambda: (True, ""), lambda: {"sources": []}, lambda: b"", self._rows, file)
        self.site = AdminSite(views, Pages(SiteSettings(), DEFAULT_FEEDS, ContentSettings()), token)

    def _rows(self, section: str | None) -> list[dict[str, object]]:
        self.shown.append(section)
        return [ROW]

    async def _file(self, story: str, section: str | None) -> bool:
        self.filed.append((story, section))
        return story == ROW["id"]

    def ask(
        self, *requests: tuple[str, str, str | bytes | None, dict[str, str]]
    ) -> list[tuple[int, dict[str, str], str]]:
        """Real requests (method, target, body, headers); status, headers and text of each answer."""

        async def run() -> list[tuple[int, dict[str, str], str]]:
            listener = await listen(self.site, "127.0.0.1:0", (), self.site)
            try:
                return await asyncio.to_thread(self._asked, listener.addresses[0], requests)
            finally:
                await listener.stop()

        return asyncio.run(run())

    def _asked(self, address, requests):
        answers = []
        for method, target, body, headers in requests:
            client = http.client.HTTPConnection(address, timeout=10)
            client.request(method, target, body, {k: v.replace("HERE", address) for k, v in headers.items()})
            answer = client.getresponse()
            answers.append((answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read().decode()))
            client.close()
        return answers

    def post(self, fields: dict[str, str] | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
        """The form sent as our own page would, but for what is said otherwise."""
        said = {"csrf": self.site._guard.token, "story": "abcdefghij", "section": "companies", "shown": ""}
        body = urlencode(said | (fields or {}))
        sent = {"Content-Type": FORM_TYPE} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask(("POST", "/stories", body, sent))[0]


def test_the_page_lists_stories_with_a_form_that_works_without_scripts():
    desk = Desk()
    ((status, headers, page),) = desk.ask(("GET", "/stories?section=unsure", None, {}))
    assert (status, desk.shown) == (200, ["unsure"])
    assert "Quillon &lt;opens&gt; a plant" in page
    assert "61 %" in page
    assert "<script" not in page
    assert "form-action 'self'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "same-origin"
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    assert fields == {"csrf": desk.site._guard.token, "story": "abcdefghij", "shown": "unsure"}
    status, headers, _ = desk.post(
        fields | {"section": "companies"}, Origin="http://HERE", Sec_Fetch_Site="same-origin"
    )
    assert (status, headers["location"]) == (303, "/stories?section=unsure#abcdefghij")
    assert desk.filed == [("abcdefghij", "companies")]


def test_forget_gives_the_story_back():
    desk = Desk()
    assert desk.post({"section": "forget"})[0] == 303
    assert desk.filed == [("abcdefghij", None)]


@pytest.mark.parametrize(
    ("fields", "headers", "status"),
    [
        ({"csrf": ""}, {}, 403),
        ({"csrf": "guessed"}, {}, 403),
        ({"csrf": "ü"}, {}, 403),
        ({}, {"Origin": "https://evil.example"}, 403),
        ({}, {"Origin": "null"}, 403),
        ({}, {"Origin": "http://[oops"}, 403),
        ({}, {"Host": "", "Origin": "null"}, 403),
        ({}, {"Sec_Fetch_Site": "cross-site"}, 403),
        ({}, {"Sec_Fetch_Site": "same-site"}, 403),
        ({}, {"Host": "evil.example:8081", "Origin": "http://evil.example:8081"}, 403),  # a name pointed at us
        ({}, {"Content_Type": "text/plain"}, 415),
        ({"section": "sport"}, {}, 400),
        ({"story": "a/../b"}, {}, 400),
        ({"story": "unknownone"}, {}, 404),
        ({"shown": "x" * 5000}, {}, 413),
        ({"shown": "https://evil.example"}, {}, 303),
    ],
)
def test_a_form_that_is_not_ours_files_nothing(fields, headers, status):
    desk = Desk()
    got, answered, _ = desk.post(fields, **headers)
    assert got == status
    assert desk.filed == (
        [("unknownone", "companies")] if status == 404 else [("abcdefghij", "companies")] if status == 303 else []
    )
    assert answered.get("location") in (None, "/stories#abcdefghij")


def test_other_addresses_take_no_forms_and_without_a_desk_there_is_none():
    sent = {"Content-Type": FORM_TYPE}
    assert [answer[0] for answer in Desk().ask(("POST", "/status", "a=b", sent), ("PUT", "/stories", "a=b", sent))] == [
        405
    ] * 2
    closed = Desk(with_form=False)
    assert [a[0] for a in closed.ask(("GET", "/stories", None, {}), ("POST", "/stories", "a=b", sent))] == [404, 405]


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer s3cret", 303),
        (basic("s3cret"), 303),
        (basic("wrong"), 401),
        ("Basic s3cret", 401),
        ("Basic !", 401),
    ],
)
def test_with_a_token_browsers_give_it_as_a_password(authorization, status):
    desk = Desk("s3cret")
    headers = {} if authorization is None else {"Authorization": authorization}
    got, answered, _ = desk.post({}, **headers)
    assert got == status
    assert bool(desk.filed) == (status == 303)
    if status == 401:
        assert answered["www-authenticate"] == 'Bearer realm="bmn admin", Basic realm="bmn admin", charset="UTF-8"'


def test_with_a_token_any_name_may_stand_in_front():
    desk = Desk("s3cret")
    headers = {"Host": "desk.example", "Origin": "https://desk.example", "Authorization": "Bearer s3cret"}
    assert desk.post({}, **headers)[0] == 303


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost:1", True),
        ("127.0.0.1:8081", True),
        ("[::1]:8081", True),
        ("desk.lan", True),
        ("evil.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_names_that_are_ours(host, is_ours):
    headers = {"Content-Type": FORM_TYPE, "Host": host}
    assert (FormGuard("desk.lan").refusal(headers) is None) == is_ours


@pytest.mark.parametrize(
    ("target", "host", "token", "status"),
    [
        ("/stories", "evil.example:8081", None, 403),  # a name pointed at us: its page would read ours
        ("/status.json", "evil.example:8081", None, 403),
        ("/sources.opml", "[", None, 403),
        ("/stories", "127.0.0.1:8081", None, 200),
        ("/stories", "localhost", None, 200),
        ("/stories", "desk.example", "s3cret", 200),  # the password is kept by name
        ("/metrics", "bmn.monitoring.internal:8081", None, 200),
        ("/readyz", "bmn.monitoring.internal:8081", None, 200),
        ("/healthz", "bmn.monitoring.internal:8081", None, 200),
    ],
)
def test_without_a_password_pages_are_read_by_our_own_names_alone(target, host, token, status):
    headers = {"Host": host} | ({"Authorization": f"Bearer {token}"} if token else {})
    ((got, _, said),) = Desk(token).ask(("GET", target, None, headers))
    assert got == status
    assert (status == 200) != ("set admin.token" in said)


def test_tokens_differ_by_process():
    assert FormGuard().token != FormGuard().token


@pytest.mark.parametrize("target", ["/status", "/stories"])
def test_every_form_leads_to_this_listener(target):
    """Its policy lets no form lead anywhere else, so the public site's search would be a button that does nothing."""
    ((status, headers, page),) = Desk().ask(("GET", target, None, {"Accept": "text/html"}))
    assert status == 200
    assert "form-action 'self'" in headers["content-security-policy"]
    assert all(action.startswith("/") for action in re.findall(r'<form[^>]* action="([^"]*)"', page))
    assert 'rel="search"' not in page
