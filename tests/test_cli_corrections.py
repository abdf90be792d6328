"""`bmn stories merge` and `split` as an operator types them: with nothing running, and beside a running daemon."""

from __future__ import annotations

import json
from http.client import HTTPConnection

import pytest
from origin import Answer, Origin, served
from service import Service, an_rss, get, wait_for

from aggregator import cli

ITEMS = (("q1", "Quillon opens a plant in Brno"), ("q2", "Fernbank buys Otterly for $40 million"))


@pytest.fixture
def service(tmp_path):
    """An installation with two stories of one source."""
    with served(Origin()) as origin:
        origin.script("/feed", Answer(body=an_rss(*ITEMS)))
        service = Service(tmp_path, [origin.url("/feed")])
        service.poll()
        yield service


def ids(service: Service) -> list[str]:
    return [story["id"] for story in json.loads(service.bmn("stories", "--json").stdout)]


def test_a_merge_with_nothing_running_is_in_force_at_once_and_split_undoes_it(service):
    one, other = ids(service)
    merged = json.loads(service.bmn("stories", "merge", other, one, "--json").stdout)
    assert merged["in_force"]
    assert {merged["story"], *merged["merged"]} == {one, other}
    assert ids(service) == [merged["story"]]
    told = json.loads(service.bmn("explain", merged["merged"][0], "--json").stdout)
    assert told["id"] == merged["story"]
    split = service.bmn("stories", "split", merged["story"])
    assert split.stdout.startswith(f"took 1 entry out of {merged['story']}: {merged['merged'][0]} (")
    assert set(ids(service)) == {one, other}


def test_what_cannot_be_corrected_fails_with_a_remedy(service):
    one, _ = ids(service)
    for arguments, said in (
        (["merge", one, "aaaaaaaaaa"], "aaaaaaaaaa is no story here (see 'bmn stories')"),
        (["split", one], f"{one} cannot be split, it is told by one entry alone"),
        (["split", one, "https://example.org/nowhere"], f"is no entry of {one} (see 'bmn explain {one}')"),
    ):
        failed = service.bmn("stories", *arguments)
        assert (failed.returncode, failed.stdout) == (1, "")
        assert said in failed.stderr


@pytest.mark.parametrize("arguments", [["merge"], ["merge", "abcdefghij"], ["split"]])
def test_too_few_stories_are_misuse(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["stories", *arguments])
    assert ended.value.code == 2
    assert "ID" in capsys.readouterr().err


def test_a_running_daemon_puts_it_in_force_and_readers_are_redirected(service):
    one, other = ids(service)
    with service.running():
        done = service.bmn("stories", "merge", one, other, "--json")
        assert "daemon" in done.stderr
        merged = json.loads(done.stdout)
        assert not merged["in_force"]
        gone = f"/story/{merged['merged'][0]}"
        location = wait_for(lambda: moved_to(service, gone), 30, "the page redirects")
        assert location == f"/story/{merged['story']}"
        assert len(json.loads(get(f"{service.url}/companies.json")[2])["items"]) == 1


def moved_to(service: Service, path: str) -> str | None:
    """Where a page has gone, None while it is there."""
    connection = HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    connection.close()
    return answer.headers["Location"] if answer.status == 308 else None
