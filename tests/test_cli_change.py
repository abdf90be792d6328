"""`bmn config diff` and `bmn backtest` as typed, on an installation that has polled."""

from __future__ import annotations

import json

import pytest
from origin import Answer, Origin, served
from service import Service, an_rss

ITEMS = (("q1", "Quillon opens a plant in Brno"), ("q2", "Fernbank buys Otterly for $40 million"))


@pytest.fixture(scope="module")
def polled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("polled")
    with served(Origin()) as origin:
        origin.script("/feed", Answer(body=an_rss(*ITEMS)))
        service = Service(folder, [origin.url("/feed")])
        service.poll()
        yield service


@pytest.fixture(scope="module")
def new(polled):
    """Another configuration, in a folder of its own: drops one story, files the source elsewhere and adds a source."""
    folder = polled.folder / "new"
    folder.mkdir()
    (source,) = json.loads((polled.folder / "sources.yaml").read_text())["sources"]
    sources = [{**source, "section": "tech"}, {"url": "https://new.example/feed"}]
    (folder / "sources.yaml").write_text(json.dumps({"sources": sources}))
    rules = [{"when": {"title": "Otterly"}, "then": "drop"}]
    settings = json.loads(polled.config.read_text()) | {"rules": rules, "database": "sqlite:///../news.db"}
    (folder / "aggregator.yaml").write_text(json.dumps(settings))
    return str(folder / "aggregator.yaml")


def test_diff_names_sources_keys_and_feeds(polled, new):
    said = json.loads(polled.bmn("config", "diff", new, "--json").stdout)
    assert said["sources"]["added"] == ["https://new.example/feed"]
    (changed,) = said["sources"]["changed"]
    assert changed["keys"] == [{"key": "section", "before": "companies", "after": "tech"}]
    assert [each["key"] for each in said["settings"]] == ["rules"]
    assert {feed["slug"] for feed in said["feeds"]} == {"news", "tech", "companies", "economics", "marketing"}
    lines = polled.bmn("config", "diff", new).stdout.splitlines()
    assert "source added\thttps://new.example/feed" in lines
    assert "feed news\trules" in lines


def test_diff_with_itself_says_so(polled):
    done = polled.bmn("config", "diff", str(polled.config))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nothing would change\n")


def test_backtest_shows_what_each_feed_would_gain_and_lose_and_saves_nothing(polled, new):
    before = polled.bmn("stories", "--json").stdout
    done = polled.bmn("backtest", new, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    changes = {
        feed["slug"]: ([s["title"] for s in feed["gained"]], [s["title"] for s in feed["lost"]])
        for feed in said["feeds"]
        if feed["gained"] or feed["lost"]
    }
    plant, deal = (title for _, title in ITEMS)
    assert {slug: (gained, sorted(lost)) for slug, (gained, lost) in changes.items()} == {
        "news": ([], [deal]),
        "tech": ([plant], []),
        "companies": ([], [deal, plant]),
    }
    assert "1 new source without history" in done.stderr
    shown = polled.bmn("backtest", new)
    assert "companies: 2 → 0 stories, +0 −2" in shown.stdout
    assert "2 entries: 2 → 2 stories, 0 merged, 0 split, 2 refiled" in shown.stderr
    assert polled.bmn("stories", "--json").stdout == before


def test_backtest_says_where_it_stopped(polled, new):
    done = polled.bmn("backtest", new, "--limit", "1", "--json")
    assert json.loads(done.stdout)["entries"] == 1
    assert "only the newest 1 entries" in done.stderr


def test_a_new_configuration_that_does_not_hold_is_refused_with_its_place(polled, tmp_path):
    (tmp_path / "bad.yaml").write_text("rulez: []\n")
    for command in (("config", "diff"), ("backtest",)):
        done = polled.bmn(*command, str(tmp_path / "bad.yaml"))
        assert done.returncode == 78
        assert "bad.yaml:1: rulez: unknown key, did you mean 'rules'?" in done.stderr
