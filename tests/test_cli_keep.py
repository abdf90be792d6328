"""`bmn backup`, `restore` and `db copy` as typed, beside a daemon and after it."""

from __future__ import annotations

import json

import pytest
from origin import Answer, Origin, served
from service import Service, an_rss, get, wait_for


@pytest.fixture
def origin():
    with served(Origin()) as running:
        running.script("/feed", Answer(body=an_rss(("q1", "Quillon opens a plant in Brno"))))
        yield running


def test_a_backup_of_a_running_daemon_restores_what_it_served(tmp_path, origin):
    service = Service(tmp_path, [origin.url("/feed")])
    target = str(tmp_path / "news.bak")
    with service.running():
        served_then = wait_for(lambda: b"Quillon" in (body := get(f"{service.url}/news.atom")[2]) and body)
        made = json.loads(service.bmn("backup", target, "--json").stdout)
        assert (made["rows"]["entries"], made["rows"]["stories"]) == (1, 1)
        refused = service.bmn("restore", target)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "stop it first" in refused.stderr
    again = service.bmn("backup", target)
    assert again.returncode == 1
    assert "--force" in again.stderr
    (tmp_path / "news.db").unlink()
    restored = service.bmn("restore", target, "--json")
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["kept"] is None
    with service.running():
        assert get(f"{service.url}/news.atom")[2] == served_then


def test_a_copied_installation_serves_the_same(tmp_path, origin, postgres_url):
    service = Service(tmp_path, [origin.url("/feed")])
    service.poll()
    with service.running():
        served_then = get(f"{service.url}/news.atom")[2]
        assert service.bmn("db", "copy", postgres_url).returncode == 1
    done = service.bmn("db", "copy", postgres_url, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tables"]["entries"]["rows"] == 1
    again = service.bmn("db", "copy", postgres_url)
    assert again.returncode == 1
    assert "is not empty" in again.stderr
    settings = json.loads(service.config.read_text())
    service.config.write_text(json.dumps(settings | {"database": postgres_url}))
    with service.running():
        assert get(f"{service.url}/news.atom")[2] == served_then
