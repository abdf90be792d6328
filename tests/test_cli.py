"""The commands as an operator types them: results on stdout, talk on stderr, exit codes of the contract."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from origin import Answer, Origin, served
from service import Service, an_rss, get

from aggregator import cli

ITEMS = (("q1", "Quillon opens a plant in Brno"), ("q2", "Fernbank buys Otterly for $40 million"))


@pytest.fixture(scope="module")
def polled(tmp_path_factory):
    """An installation that has polled one good and one broken source, and is not running."""
    folder = tmp_path_factory.mktemp("polled")
    with served(Origin()) as origin:
        origin.script("/feed", Answer(body=an_rss(*ITEMS)))
        origin.script("/gone", Answer(status=404))
        service = Service(folder, [origin.url("/feed"), origin.url("/gone")])
        service.poll_report = service.poll()
        yield service


def test_poll_reports_what_the_contract_says(polled):
    report = polled.poll_report
    assert set(report) == {"polled", "not_modified", "changed", "failed", "new_entries", "new_stories", "seconds"}
    assert report["polled"] == report["not_modified"] + report["changed"] + report["failed"] == 2
    assert (report["new_entries"], report["new_stories"], report["failed"]) == (2, 2, 1)


def test_status_names_each_source_with_its_reason(polled):
    status = json.loads(polled.bmn("status", "--json").stdout)
    assert {"sources", "queues", "freshness"} <= set(status)
    good, broken = status["sources"]
    assert (good["health"], good["entries"], good["reason"]) == ("ok", 2, "")
    assert broken["health"] == "failing"
    assert "404" in broken["reason"]
    assert good["next_poll"] > good["last_success"]


def test_stories_are_listed_and_explained(polled):
    stories = json.loads(polled.bmn("stories", "--json", "--section", "companies").stdout)
    assert {story["title"] for story in stories} == {title for _, title in ITEMS}
    assert {"id", "section", "confidence", "title", "url", "sources", "published"} <= set(stories[0])
    for what in (stories[0]["id"], stories[0]["url"]):
        explained = json.loads(polled.bmn("explain", what, "--json").stdout)
        assert (explained["kind"], explained["id"]) == ("story", stories[0]["id"])
        assert explained["section_reasons"]
    labelled = json.loads(polled.bmn("stories", "--json", "--label", "acquisition").stdout)
    assert [(story["title"], story["labels"]) for story in labelled] == [(ITEMS[1][1], ["acquisition"])]
    said = polled.bmn("explain", labelled[0]["id"]).stdout
    assert "acquisition: “buys” … “$40 million” (company Fernbank, target Otterly, amount 40,000,000 USD)" in said
    title = ITEMS[0][1]
    word = max(title.split(), key=len)
    searched = json.loads(polled.bmn("stories", "list", "--search", word, "--json").stdout)
    assert title in {story["title"] for story in searched}
    assert json.loads(polled.bmn("stories", "--search", f"{word} -{word}", "--json").stdout) == []
    limited = polled.bmn("stories", "list", "--limit", "1")
    assert len(limited.stdout.splitlines()) == 1


def test_explain_tells_of_a_feed_why_it_is_polled_when_it_is(polled):
    url = json.loads(polled.bmn("sources", "list", "--json").stdout)[0]["url"]
    said = polled.bmn("explain", url).stdout
    assert "next poll" in said
    assert "health ok" in said


def test_the_list_of_sources_shows_when_the_next_poll_is_and_why(polled):
    good, broken = polled.bmn("sources", "list").stdout.splitlines()
    assert "rhythm: about" in good
    assert "back-off after 1 failure: http" in broken


def test_explain_of_nothing_known_fails_with_a_remedy(polled):
    failed = polled.bmn("explain", "https://example.org/nowhere")
    assert failed.returncode == 1
    assert "bmn stories" in failed.stderr


def test_export_writes_a_site_that_stands_alone(polled, tmp_path):
    done = polled.bmn("export", str(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    atom = ET.parse(tmp_path / "site" / "news.atom").getroot()
    assert len(atom.findall("{http://www.w3.org/2005/Atom}entry")) == 2
    assert "Quillon" in (tmp_path / "site" / "index.html").read_text()


def test_poll_of_an_unknown_source_fails_and_says_so(polled):
    failed = polled.bmn("poll", "https://example.org/unknown")
    assert failed.returncode == 1
    assert "not an enabled source" in failed.stderr


def test_prune_says_what_it_would_take(polled):
    said = json.loads(polled.bmn("prune", "--dry-run", "--json").stdout)
    assert said == {"entries": 0, "texts": 0, "stories": 0, "for_size": None}


def test_sources_are_added_listed_exported_imported_and_removed(tmp_path):
    service = Service(tmp_path, [])
    (tmp_path / "sources.yaml").write_text("# mine\nsources:\n  - url: https://example.org/a  # the first\n")
    assert service.bmn("sources", "add", "https://example.org/b", "--section", "tech").returncode == 0
    text = (tmp_path / "sources.yaml").read_text()
    assert text.startswith("# mine\nsources:\n  - url: https://example.org/a  # the first\n")
    listed = json.loads(service.bmn("sources", "list", "--json").stdout)
    assert [source["url"] for source in listed] == ["https://example.org/a", "https://example.org/b"]
    assert {source["health"] for source in listed} == {"new"}
    opml = tmp_path / "mine.opml"
    assert service.bmn("sources", "export", str(opml)).returncode == 0
    assert service.bmn("sources", "remove", "https://example.org/b").returncode == 0
    assert "example.org/b" not in (tmp_path / "sources.yaml").read_text()
    assert "added 1 source" in service.bmn("sources", "import", str(opml)).stderr
    again = service.bmn("sources", "add", "https://example.org/a")
    assert again.returncode == 1
    assert "already" in again.stderr


def test_discover_finds_the_feed_of_a_page(tmp_path):
    with served(Origin()) as origin:
        page = b"<html><head><link rel=alternate type='application/rss+xml' href='/feed' title='Kite'></head></html>"
        origin.script("/", Answer(headers=(("Content-Type", "text/html"),), body=page))
        origin.script("/feed", Answer(body=an_rss(*ITEMS)))
        service = Service(tmp_path, [])
        found = json.loads(service.bmn("sources", "discover", origin.url("/"), "--json").stdout)
        itself = json.loads(service.bmn("sources", "discover", origin.url("/feed"), "--json").stdout)
    assert found[0]["url"] == itself[0]["url"] == origin.url("/feed")


def test_init_writes_a_configuration_that_holds_and_overwrites_nothing(tmp_path):
    service = Service(tmp_path, [])
    target = tmp_path / "new"
    assert service.bmn("init", str(target)).returncode == 0
    service.config = target / "aggregator.yaml"
    checked = service.bmn("check")
    assert checked.returncode == 0, checked.stderr
    assert "127 sources" in checked.stdout
    again = service.bmn("init", str(target))
    assert again.returncode == 1
    assert "exists" in again.stderr


def test_evaluate_scores_labelled_rows(tmp_path):
    rows = [
        {"title": "Chip maker unveils a faster processor for laptops", "summary": "", "section": "tech"},
        {"title": "Central bank raises interest rates as inflation climbs", "summary": "", "section": "economics"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    service = Service(tmp_path, [])
    score = json.loads(service.bmn("evaluate", "sections", str(tmp_path / "rows.jsonl"), "--json").stdout)
    assert score["rows"] == 2
    assert score["accuracy"] == 1.0
    (tmp_path / "bad.jsonl").write_text("{}\nnot json\n")
    failed = service.bmn("evaluate", "sections", str(tmp_path / "bad.jsonl"))
    assert failed.returncode == 1
    assert "bad.jsonl:2" in failed.stderr


def test_who_names_no_configuration_is_told_which_database_that_means(tmp_path, monkeypatch, capsys):
    """On a server with a service a backup of it would else be one of nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BMN_CONFIG", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    assert cli.main(["backup", "news.bak"]) == 1
    said = capsys.readouterr().err
    assert f"the packaged defaults, with sqlite:///{tmp_path}/state/aggregator.db: --config or BMN_CONFIG" in said


@pytest.mark.parametrize("arguments", [["nonsense"], ["poll", "--nonsense"], ["stories", "--limit", "0"], []])
def test_misuse_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("role", ["poll", "edit", "web"])
def test_sharing_the_work_needs_postgresql(tmp_path, role):
    failed = Service(tmp_path, []).bmn("run", "--role", role)
    assert failed.returncode == 1
    assert f"--role {role} needs PostgreSQL" in failed.stderr
    assert not (tmp_path / "news.db").exists()


def test_a_role_without_readers_is_not_given_an_address_for_them(tmp_path):
    failed = Service(tmp_path, []).bmn("run", "--role", "poll", "--listen", "127.0.0.1:8080")
    assert failed.returncode == 1
    assert "--role poll serves nobody" in failed.stderr


def test_every_command_shows_an_example(capsys):
    for words in (["run"], ["poll"], ["stories", "list"], ["sources", "add"], ["explain"], ["demo"]):
        with pytest.raises(SystemExit) as ended:
            cli.main([*words, "--help"])
        assert ended.value.code == 0
        assert "example: bmn" in capsys.readouterr().out


def test_demo_shows_stories_within_ten_seconds():
    import subprocess
    import time

    from service import BMN, ROOT, _environment, free_port

    port = free_port()
    process = subprocess.Popen(
        [*BMN, "demo", "--listen", f"127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=_environment({}),
    )
    try:
        began, items = time.monotonic(), []
        while not items and time.monotonic() - began < 20:
            time.sleep(0.2)
            try:
                items = json.loads(get(f"http://127.0.0.1:{port}/news.json")[2])["items"]
            except OSError:
                continue
        took = time.monotonic() - began
        front = get(f"http://127.0.0.1:{port}/")[2].decode()
    finally:
        process.terminate()
        assert process.wait(15) == 0
    assert items
    assert took < 10
    assert "is invented" in front
