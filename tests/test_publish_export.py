"""The site as files."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from builders import NOW, a_stored_entry, a_story, ago

from aggregator.publish.edition import Press
from aggregator.publish.export import export, file_name
from aggregator.publish.settings import DEFAULT_FEEDS, ContentSettings, SiteSettings

SITE = SiteSettings(public_url="https://news.example/desk")


def a_press() -> Press:
    return Press(SITE, DEFAULT_FEEDS, ContentSettings())


def stories():
    entries = (a_stored_entry("Told twice"), a_stored_entry("Told twice too", source="The Post"))
    return [
        a_story(entries=entries),
        *(a_story(f"Number {n}", section="companies", published=ago(hours=n)) for n in range(3)),
    ]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "index.html"),
        ("/tech", "tech/index.html"),
        ("/tech.atom", "tech.atom"),
        ("/story/abc", "story/abc/index.html"),
        ("/static/style.1.css", "static/style.1.css"),
        ("404", "404.html"),
    ],
)
def test_paths_become_file_names(path, name):
    assert file_name(path) == name


def test_everything_is_there_and_every_link_leads_to_a_file(tmp_path):
    names = export(a_press(), stories(), tmp_path, NOW)
    assert {"index.html", "news.atom", "tech.rss", "companies.json", "feeds.opml", "about/index.html"} <= set(names)
    assert len([name for name in names if name.startswith("story/")]) == 4
    for name in names:
        if name.endswith(".html"):
            page = (tmp_path / name).read_text()
            for address in re.findall(r'(?:href|src)="([^"#]*)', page):
                if address and not address.startswith(("http", "https")):
                    assert ((tmp_path / name).parent / address).resolve().is_relative_to(tmp_path.resolve())
                    assert ((tmp_path / name).parent / address).is_file(), (name, address)


def test_feeds_are_those_that_are_served(tmp_path):
    export(a_press(), stories(), tmp_path, NOW)
    assert (tmp_path / "news.atom").read_bytes() == a_press().edition(stories(), NOW)["/news.atom"].body


def test_files_can_be_read_by_a_web_server_and_nothing_is_left_over(tmp_path):
    names = export(a_press(), stories(), tmp_path, NOW)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert sorted(str(file.relative_to(tmp_path)) for file in files) == names
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o644}


def test_a_second_export_replaces_ours_and_leaves_theirs(tmp_path):
    (tmp_path / "CNAME").write_text("news.example")
    export(a_press(), stories(), tmp_path, NOW)
    export(a_press(), stories()[:1], tmp_path, NOW)
    assert (tmp_path / "CNAME").read_text() == "news.example"
    assert b"Number 2" not in (tmp_path / "index.html").read_bytes()


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        export(a_press(), stories(), Path(tmp_path / "file"), NOW)
