"""Feed readers and proxies that we did not write, over HTTP: reader (PyPI), newsboat, nginx, curl."""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import feedparser_sgmllib
import hostile
import pytest
from builders import NOW, a_stored_entry, a_story, ago
from reader import make_reader

from aggregator.publish.answers import Answerer
from aggregator.publish.edition import Press
from aggregator.publish.serve import listen
from aggregator.publish.settings import DEFAULT_FEEDS, ContentSettings, SiteSettings
from aggregator.publish.shelf import Shelf
from aggregator.publish.site import PublicSite
from aggregator.urls import http_url

TITLES = {"Quillon & Sons open a plant", "Zwölf neue Läden", "Told by <two>"}


@contextmanager
def served(answerer: Answerer, address: str = "127.0.0.1:0") -> Iterator[str]:
    """A listener in a thread of its own; gives its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listener = asyncio.run_coroutine_threadsafe(listen(answerer, address), loop).result(10)
    try:
        yield listener.url
    finally:
        asyncio.run_coroutine_threadsafe(listener.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def stories():
    told = (a_stored_entry("Told by <two>"), a_stored_entry("The Post's view", source="The Post"))
    return [
        a_story("Quillon & Sons open a plant", published=ago(hours=1)),
        a_story("Zwölf neue Läden", published=ago(hours=2)),
        a_story(entries=told, published=ago(hours=3)),
    ]


@pytest.fixture
def shelf() -> Shelf:
    press = Press(SiteSettings(), DEFAULT_FEEDS, ContentSettings())
    return Shelf(press.edition(stories(), NOW))


def a_reader():
    """A `reader.Reader` that keeps nothing. It carries a feedparser of its own that wants `sgmllib`, which the one we
    use brings under another name."""
    sys.modules.setdefault("sgmllib", feedparser_sgmllib)
    return make_reader(":memory:")


@pytest.mark.parametrize("ending", ["atom", "rss", "json"])
def test_reader_subscribes_to_every_format(shelf, ending):
    with served(PublicSite(shelf)) as url:
        reader = a_reader()
        reader.add_feed(f"{url}/tech.{ending}")
        reader.update_feeds()
        entries = list(reader.get_entries())
        assert {entry.title for entry in entries} == TITLES
        assert {entry.id for entry in entries} == {f"urn:uuid:{story.story_id}" for story in stories()}
        assert {entry.link for entry in entries} == {http_url(story.lead.link) for story in stories()}
        assert all(entry.published for entry in entries)
        assert any("Also reported by" in (entry.get_content().value or "") for entry in entries)
        feed = reader.get_feed(f"{url}/tech.{ending}")
        assert feed.last_exception is None
        assert feed.title == "Business Monkey News: tech"
        again = reader.update_feed(f"{url}/tech.{ending}")
        assert again is None or again.new == again.modified == 0
        reader.close()


@pytest.mark.skipif(which("newsboat") is None, reason="newsboat is not installed (apt install newsboat)")
@pytest.mark.parametrize("feed", ["news.atom", "tech.rss"])
def test_newsboat_subscribes_and_lists_the_items(shelf, tmp_path, feed):
    # Each with a cache of its own: newsboat takes an item of a known guid away from the feed that it came with first.
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    newsboat = ["newsboat", "-u", "urls", "-c", "cache.db", "-C", "config", "-x"]
    with served(PublicSite(shelf)) as url:
        (tmp_path / "urls").write_text(f"{url}/{feed}\n")
        (tmp_path / "config").write_text("download-timeout 10\ndownload-retries 1\n")
        for _ in range(2):  # the second reload brings nothing new
            subprocess.run([*newsboat, "reload"], cwd=tmp_path, check=True, timeout=60, env=environment)
        command = [*newsboat, "print-unread"]
        unread = subprocess.run(command, cwd=tmp_path, check=True, timeout=60, env=environment, capture_output=True)
    assert unread.stdout.split()[0] == b"3"
    with sqlite3.connect(tmp_path / "cache.db") as database:
        rows = database.execute("select title, guid, content, pubDate from rss_item").fetchall()
    database.close()
    assert {title for title, _, _, _ in rows} == TITLES
    assert all(guid.startswith("urn:uuid:") for _, guid, _, _ in rows)
    assert any("Also reported by" in content for _, _, content, _ in rows)
    assert {date for _, _, _, date in rows} == {round(story.published.timestamp()) for story in stories()}


def rows_of(database: Path, query: str) -> list[tuple]:
    """What another process has stored by now; nothing where it has not begun to."""
    if not database.exists():
        return []
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:  # not all of its tables are there yet
        return []
    finally:
        connection.close()


def awaited(look, seconds: float = 60.0):
    """What `look` gives as soon as it gives anything."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, "liferea has not come so far"
        time.sleep(0.2)
    return found


LIFEREA = ("liferea", "xvfb-run", "dbus-run-session")


@pytest.mark.soak  # a desktop program with a display of its own: half a minute
@pytest.mark.skipif(not all(map(which, LIFEREA)), reason="apt install liferea xvfb dbus")
@pytest.mark.parametrize(
    ("feed", "titles"),
    [
        ("news.atom", TITLES),
        # It takes titles in RSS for HTML, and what looks like a tag out of them.
        ("tech.rss", (TITLES - {"Told by <two>"}) | {"Told by"}),
    ],
)
def test_liferea_subscribes_and_lists_the_items(shelf, tmp_path, feed, titles):
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    settings = tmp_path / ".config" / "liferea"
    settings.mkdir(parents=True)
    # Else it begins with a list of feeds of its own, and asks for them.
    (settings / "feedlist.opml").write_text('<opml version="1.0"><head><title>Mine</title></head><body/></opml>')
    # It asks the system's bus whether there is a network, and GIO whether there is a route; here there may be neither.
    environment = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(run), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    environment |= {"GIO_USE_NETWORK_MONITOR": "base", "GSETTINGS_BACKEND": "memory", "NO_AT_BRIDGE": "1"}
    environment |= {"WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1"}
    session = 'export DBUS_SYSTEM_BUS_ADDRESS="$DBUS_SESSION_BUS_ADDRESS"; liferea & read _; '
    session += 'liferea --add-feed="$1"; read _; kill $!; wait $!'
    command = ["xvfb-run", "-a", "dbus-run-session", "--", "bash", "-c", session, "bash"]
    database = tmp_path / ".local" / "share" / "liferea" / "liferea.db"
    with served(PublicSite(shelf)) as url, (tmp_path / "log").open("wb") as log:
        quiet = {"stdout": log, "stderr": log, "env": environment, "stdin": subprocess.PIPE}
        with subprocess.Popen([*command, f"{url}/{feed}"], **quiet) as process:
            try:
                awaited(lambda: rows_of(database, "select name from sqlite_master where name = 'items'"))
                awaited(lambda: (tmp_path / ".cache" / "liferea").exists())
                process.stdin.write(b"\n")
                process.stdin.flush()
                query = "select title, source_id, description from items"
                rows = awaited(lambda: found if len(found := rows_of(database, query)) == len(TITLES) else None)
            finally:
                process.stdin.close()
                process.wait(30)
    assert {html.unescape(title) for title, _, _ in rows} == titles
    assert {guid for _, guid, _ in rows} == {f"urn:uuid:{story.story_id}" for story in stories()}
    assert any("Also reported by" in description for _, _, description in rows)


@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
def test_curl_speaks_conditionally_and_compressed(shelf, tmp_path):
    with served(PublicSite(shelf)) as url:

        def status(*options: str) -> str:
            command = [
                "curl",
                "-s",
                "-o",
                tmp_path / "body",
                "-w",
                "%{http_code} %{size_download}",
                *options,
                f"{url}/news.atom",
            ]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout

        size = len(shelf.get("/news.atom").body)
        assert status("--etag-save", str(tmp_path / "etag")) == f"200 {size}"
        assert status("--etag-compare", str(tmp_path / "etag")) == "304 0"
        assert status("-z", str(tmp_path / "body")) == "304 0"
        assert status("-I").startswith("200")
        compressed = status("--compressed")
        assert compressed.startswith("200 ")
        assert int(compressed.split()[1]) < size / 2
        assert (tmp_path / "body").read_bytes() == shelf.get("/news.atom").body


# ---------------------------------------------------------------- behind nginx

NGINX = """
{user} daemon off; worker_processes 1; pid {home}/nginx.pid; error_log {home}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; gzip on; gzip_types application/atom+xml text/plain; gzip_min_length 1;
  client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
  uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  server {{ listen 127.0.0.1:{strip}; location /desk/ {{ proxy_pass http://unix:{home}/bmn.sock:/; }} }}
  server {{ listen 127.0.0.1:{keep}; location /desk/ {{ proxy_pass http://unix:{home}/bmn.sock; }} }}
}}
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def nginx(home: Path) -> Iterator[tuple[int, int]]:
    """nginx in front of the socket in `home`: ports of a server that strips the prefix and of one that keeps it."""
    strip, keep = free_ports(2)
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers are nobody and may not use our socket
    (home / "nginx.conf").write_text(NGINX.format(user=user, home=home, strip=strip, keep=keep))
    program = which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([program, "-c", home / "nginx.conf", "-e", home / "error.log", "-p", home])
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", keep)) == 0:
                    break
            time.sleep(0.05)
        yield strip, keep
    finally:
        process.terminate()
        process.wait(10)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


def fetched(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=10) as answer:
            return answer.status, dict(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, dict(answer.headers.items()), answer.read()


@pytest.mark.skipif(which("nginx", path="/usr/sbin:/usr/bin") is None, reason="nginx is not installed")
def test_a_prefix_behind_nginx_whether_it_is_stripped_or_kept(tmp_path):
    site = SiteSettings(public_url="https://news.example/desk")
    press = Press(site, DEFAULT_FEEDS, ContentSettings())
    shelf = Shelf(press.edition(stories(), NOW))
    public = PublicSite(shelf, prefix=site.prefix)
    with served(public, f"unix:{tmp_path}/bmn.sock"), nginx(tmp_path) as ports:
        for port in ports:
            home = f"http://127.0.0.1:{port}"
            status, headers, body = fetched(f"{home}/desk/news.atom")
            assert (status, body) == (200, shelf.get("/news.atom").body)
            assert fetched(f"{home}/desk/news.atom", If_None_Match=headers["ETag"])[0] == 304
            # what nginx compressed itself it tags weakly, and we know our tag again
            assert fetched(f"{home}/desk/news.atom", If_None_Match=f"W/{headers['ETag']}")[0] == 304
            assert fetched(f"{home}/desk/news.atom", Accept_Encoding="gzip")[1]["Content-Encoding"] == "gzip"
            page = fetched(f"{home}/desk/")[2].decode()
            (style,) = re.findall(r'rel="stylesheet" href="([^"]+)"', page)
            assert fetched(home + style)[0] == 200
            for link in re.findall(r'<a href="(/desk/[a-z.]*)"', page):
                assert fetched(home + link)[0] == 200, link
            status, headers, _ = fetched(f"{home}/desk/feed", Accept="application/rss+xml")
            assert (status, headers["Location"].removeprefix(home)) == (302, "/desk/news.rss")
            assert fetched(f"{home}/desk/nothing")[0] == 404


def test_hostile_stories_reach_a_reader_as_text(tmp_path):
    press = Press(SiteSettings(), DEFAULT_FEEDS, ContentSettings(text="full"))
    with served(PublicSite(Shelf(press.edition(hostile.stories(), NOW)))) as url:
        reader = a_reader()
        for ending in ("atom", "rss", "json"):
            reader.add_feed(f"{url}/tech.{ending}")
        reader.update_feeds()
        for feed in reader.get_feeds():
            assert feed.last_exception is None
        assert len(list(reader.get_entries())) == 3 * len(hostile.stories())
        reader.close()
    assert json.loads(press.edition(hostile.stories(), NOW)["/tech.json"].body)
