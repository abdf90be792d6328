"""`bmn rules` and `bmn stories file` as an operator types them, with a daemon running and without."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from origin import Answer, Origin, served
from service import Service, an_rss, get, wait_for
from test_stories_learn import airships

from aggregator import cli
from aggregator.pipeline import utc_now
from aggregator.store import Store
from aggregator.stories.classify import Sectioner
from aggregator.stories.learn import learnt

ITEMS = (("r1", "Central bank raises interest rates as inflation climbs"), ("h1", "Your horoscope for this week"))
RULES = [
    {"when": {"title": "(?i)horoscope"}, "then": "drop"},
    {
        "when": {"section": "economics", "title": "bank"},
        "then": {"section": "companies", "label": "banks", "boost": 2.0},
    },
    {"when": {"title": "nothing like it"}, "then": {"section": "tech"}},
]


def configured(service: Service, rules: list[object], name: str = "aggregator.yaml") -> Path:
    """The service's configuration with these rules, in a file of this name."""
    settings = json.loads(service.config.read_text())
    file = service.folder / name
    file.write_text(json.dumps(settings | {"rules": rules}))
    return file


@pytest.fixture(scope="module")
def an_origin():
    with served(Origin()) as origin:
        origin.script("/feed", Answer(body=an_rss(*ITEMS)))
        yield origin


@pytest.fixture(scope="module")
def polled(tmp_path_factory, an_origin):
    """An installation without rules that has polled a source of no section, and is not running."""
    service = Service(tmp_path_factory.mktemp("polled"), [{"url": an_origin.url("/feed")}])
    assert service.poll()["new_stories"] == 2
    return service


def bmn(where: Service | Path, *arguments: str) -> SimpleNamespace:
    """One command in this process: the model is loaded once for all of them."""
    out, err = io.StringIO(), io.StringIO()
    config = where if isinstance(where, Path) else where.config
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main([*arguments, "--config", str(config)])
        except SystemExit as misuse:
            code = misuse.code
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


def sent_form(service: Service, story: str, section: str) -> int:
    """The status of the answer to the admin's form, filled in as in a browser."""
    page = get(f"{service.admin_url}/stories")[2].decode()
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    client = http.client.HTTPConnection("127.0.0.1", service.admin_port, timeout=30)
    body = urlencode({"csrf": csrf, "story": story, "section": section, "shown": ""})
    client.request("POST", "/stories", body, {"Content-Type": "application/x-www-form-urlencoded"})
    status = client.getresponse().status
    client.close()
    return status


def listed(service: Service, *options: str) -> dict[str, dict[str, object]]:
    """The stories by the first word of their titles."""
    found = json.loads(bmn(service, "stories", "--json", *options).stdout)
    return {story["title"].split()[0]: story for story in found}


def test_rules_are_tried_on_stored_stories_and_nothing_is_saved(polled):
    before = listed(polled)
    trying = configured(polled, RULES, "new.yaml")
    done = bmn(trying, "rules", "test", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["stories"] == 2
    assert [(rule["matched"], len(rule["changed"])) for rule in report["rules"]] == [(1, 1), (1, 1), (0, 0)]
    (dropped,), (moved,) = report["rules"][0]["changed"], report["rules"][1]["changed"]
    assert (dropped["before"]["dropped"], dropped["after"]["dropped"]) == (False, True)
    assert (moved["before"]["section"], moved["after"]["section"]) == ("economics", "companies")
    assert (moved["after"]["labels"][-1], moved["after"]["boost"]) == ("banks", 2.0)
    said = bmn(trying, "rules", "test")
    assert "economics" in said.stdout
    assert "→ companies" in said.stdout
    assert "rules[2] (title nothing like it): 0 stories matched, 0 changed" in said.stderr
    assert listed(polled) == before


def test_a_pattern_that_re2_does_not_take_is_an_error_with_its_place(polled):
    bad = configured(polled, [{"when": {"title": "(a)\\1"}, "then": "drop"}], "bad.yaml")
    failed = bmn(bad, "rules", "test")
    assert failed.returncode == 78
    assert "bad.yaml:1: rules[0].when.title: not a pattern RE2 understands" in failed.stderr


def test_a_story_is_filed_by_hand_and_given_back(polled):
    story = listed(polled)["Central"]
    done = bmn(polled, "stories", "file", story["id"], "marketing", "--json")
    said = json.loads(done.stdout)
    assert (said["story"], said["before"], said["section"]) == (story["id"], "economics", "marketing")
    assert (said["kind"], said["by_hand"], said["in_force"]) == ("file", True, True)
    assert listed(polled, "--section", "marketing").keys() == {"Central"}
    explained = json.loads(bmn(polled, "explain", story["id"], "--json").stdout)
    assert (explained["filed_by_hand"], explained["section"], explained["language"]) == (True, "marketing", "en")
    assert "by hand" in explained["section_reasons"][0]
    back = bmn(polled, "stories", "file", story["url"], "forget")
    assert "marketing → economics" in back.stdout
    assert listed(polled)["Central"]["section"] == "economics"


def test_without_a_daemon_it_is_filed_by_what_was_learnt_too(tmp_path, an_origin):
    an_origin.script("/ships", Answer(body=an_rss(("a1", "Airship lands in Brno"))))
    service = Service(tmp_path, [{"url": an_origin.url("/feed")}, {"url": an_origin.url("/ships")}])
    service.poll()
    assert listed(service)["Airship"]["section"] != "marketing"
    head, _ = learnt(airships(), [], Sectioner.load())
    with Store(f"sqlite:///{service.folder / 'news.db'}") as store:
        store.add_head(head.dump(), {}, utc_now())
    story = listed(service)["Airship"]
    assert story["section"] != "marketing"  # a new version alone moves nothing that is published
    applied = json.loads(bmn(service, "rules", "apply", "--since", "7d", "--json").stdout)
    assert applied == {"stories": 3, "in_force": True, "changed": 1}
    assert listed(service)["Airship"]["section"] == "marketing"
    explained = json.loads(bmn(service, "explain", story["id"], "--json").stdout)
    assert "learnt from corrections (version 1)" in " ".join(explained["section_reasons"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("aaaaaaaaaa", "tech"), 1, "no story here"),
        (("aaaaaaaaaa", "sport"), 2, "invalid choice"),
        (("aaaaaaaaaa",), 2, "required"),
    ],
)
def test_filing_what_cannot_be_filed_says_why(polled, arguments, code, said):
    failed = bmn(polled, "stories", "file", *arguments)
    assert failed.returncode == code
    assert said in failed.stderr


def test_status_names_the_stories_that_wait(polled):
    status = json.loads(bmn(polled, "status", "--json").stdout)
    assert {"unsure", "withheld"} <= set(status["queues"])
    assert status["queues"]["unsure"] == len(status["unsure"])


def test_a_running_daemon_heeds_corrections_and_rules(tmp_path):
    with served(Origin()) as origin:
        origin.script("/feed", Answer(body=an_rss(*ITEMS)))
        service = Service(tmp_path, [{"url": origin.url("/feed")}])
        with service.running() as daemon:

            def titles(slug: str) -> set[str]:
                items = json.loads(get(f"{service.url}/{slug}.json")[2])["items"]
                return {item["title"].split()[0] for item in items}

            wait_for(lambda: "Central" in titles("economics"), 30, "the story in its feed")
            story = listed(service)["Central"]
            filed = bmn(service, "stories", "file", story["id"], "marketing")
            assert "running daemon" in filed.stderr
            wait_for(lambda: titles("marketing") == {"Central"}, 30, "the correction in the feed")
            assert titles("economics") == set()
            assert sent_form(service, story["id"], "forget") == 303
            wait_for(lambda: titles("economics") == {"Central"}, 30, "the model's word in the feed")
            configured(service, [{"when": {"title": "(?i)central bank"}, "then": "drop"}])
            daemon.send_signal(1)
            wait_for(lambda: titles("news") == set(), 30, "the dropped story gone")
            assert get(f"{service.url}/story/{story['id']}")[0] == 404
            explained = json.loads(bmn(service, "explain", story["id"], "--json").stdout)
            assert explained["withheld"] == "rule"
            assert any(reason.startswith("rules[0]") for reason in explained["section_reasons"])
            assert listed(service, "--section", "withheld").keys() == {"Central"}
