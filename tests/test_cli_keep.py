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


def test_prune_says_what_the_budget_would_take_and_takes_no_more_than_is_old(tmp_path, origin):
    service = Service(tmp_path, [origin.url("/feed")], retention={"size": "1 MiB"})
    big = "".join(f"word{n * 7919 % 999983} " for n in range(12000))
    item = f"<item><title>{{}}</title><guid>{{}}</guid><description>{big}</description></item>"
    items = "".join(item.format(f"Headline {n} as printed", n) for n in range(12))
    origin.script("/feed", Answer(body=f"<rss version='2.0'><channel><title>x</title>{items}</channel></rss>".encode()))
    service.poll()
    said = json.loads(service.bmn("prune", "--dry-run", "--json").stdout)["for_size"]
    assert said["before"] > 1 << 20
    assert (said["texts"], said["entries"]) == (0, 0), "all of it is of today"
    done = service.bmn("prune")
    assert "for retention.size took the oldest 0 texts and 0 entries" in done.stdout
    assert "over_budget_still" in done.stderr
