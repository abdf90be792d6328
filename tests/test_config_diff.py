"""What is said of two configurations: every difference, what notices it, and no secret."""

from __future__ import annotations

from typing import Any

import pytest

from aggregator.config import Config
from aggregator.config_diff import Change, difference
from aggregator.config_source import SourcesFile

A, B, C = "https://a.example/feed", "https://b.example/feed", "https://c.example/feed"


def a_config(*sources: str | dict[str, Any], **keys: Any) -> Config:
    listed = [{"url": source} if isinstance(source, str) else source for source in sources]
    config = Config.model_validate(keys)
    return config.model_copy(update={"sources": SourcesFile.model_validate({"sources": listed}).sources})


def why(old: Config, new: Config) -> dict[str, tuple[str, ...]]:
    return dict(difference(old, new).feeds)


def test_the_same_says_nothing():
    assert not difference(a_config(A, B), a_config(B, A.upper().replace("/FEED", "/feed").replace("HTTPS", "https")))


def test_sources_come_go_and_change():
    found = difference(
        a_config(A, {"url": B, "weight": 1.0}), a_config({"url": B, "weight": 2.0, "section": "tech"}, C)
    )
    assert (found.added, found.removed) == ((C,), (A,))
    assert found.changed == ((B, (Change("section", None, "tech"), Change("weight", 1.0, 2.0))),)


def test_a_source_without_a_hint_may_change_every_feed_and_one_with_a_hint_those_that_take_it():
    old = a_config({"url": A, "section": "tech"})
    assert set(why(old, a_config({"url": A, "section": "tech"}, B))) == {
        "news",
        "tech",
        "companies",
        "economics",
        "marketing",
    }
    assert why(old, a_config({"url": A, "section": "marketing"})) == dict.fromkeys(
        ("news", "tech", "marketing"), (f"source changed: {A} (section)",)
    )
    assert why(old, a_config()) == dict.fromkeys(("news", "tech"), (f"source removed: {A}",))


def test_how_a_source_is_asked_changes_no_feed():
    found = difference(a_config(A), a_config({"url": A, "every": "15m"}))
    assert [change.key for change in found.changed[0][1]] == ["every"]
    assert found.feeds == ()


def test_settings_say_whether_they_wait_for_a_restart():
    new = a_config(site={"listen": "127.0.0.1:9"}, polling={"concurrency": 7}, admin={"listen": "127.0.0.1:10"})
    found = difference(a_config(), new)
    assert [(each.key, each.needs_restart) for each in found.settings] == [
        ("site.listen", True),
        ("admin.listen", True),
        ("polling.concurrency", False),
    ]
    assert (found.settings[2].before, found.settings[2].after) == (64, 7)


def test_feeds_are_new_gone_or_changed_key_by_key():
    old = a_config(feeds=[{"slug": "one", "sections": ["tech"]}, {"slug": "two", "sections": ["tech"]}])
    new = a_config(
        feeds=[{"slug": "one", "sections": ["tech"], "items": 20}, {"slug": "three", "sections": ["companies"]}]
    )
    assert why(old, new) == {
        "one": ("items: 100 → 20",),
        "two": ("is taken away: its addresses answer 404",),
        "three": ("is new",),
    }


@pytest.mark.parametrize(
    "keys",
    [
        {"rules": [{"when": {"title": "x"}, "then": "drop"}]},
        {"languages": ["en"]},
        {"stories": {"window": "24h"}},
        {"content": {"text": "full"}},
    ],
    ids=["rules", "languages", "window", "content"],
)
def test_what_all_stories_are_told_by_changes_every_feed(keys):
    assert len(why(a_config(), a_config(**keys))) == 5


def test_no_secret_is_shown():
    secret = {
        "url": A,
        "auth": {"basic": "me:hunter2"},
        "headers": {"X-Key": "hunter3"},
        "proxy": "http://u:hunter4@p:1",
    }
    new = a_config(
        secret,
        database="postgresql+psycopg://u:hunter5@h/d",
        admin={"token": "hunter6-and-more"},
        digest={"smtp": "smtp://u:hunter7@h:25"},
        fetch={"proxy": "http://u:hunter8@p:1"},
    )
    found = difference(a_config(A), new)
    assert len(found.changed[0][1]) == 3
    assert len(found.settings) == 4
    assert "hunter" not in repr(found)
