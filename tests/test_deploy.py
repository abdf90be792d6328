"""What deploy/ holds, judged by the programs that will read it."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_connection, socket

import pytest

from aggregator.cli import parser

BMN = "/opt/bmn/.venv/bin/bmn"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)


# ---------------------------------------------------------------- the unit


@pytest.fixture
def unit(root: Path, tmp_path: Path) -> Path:
    """The unit with a program that exists on this machine, for `verify` looks."""
    text = (root / "deploy" / "bmn.service").read_text("utf-8")
    assert f"ExecStart={BMN} run --config /etc/bmn/aggregator.yaml" in text
    copy = tmp_path / "bmn.service"
    copy.write_text(text.replace(BMN, "/bin/true"), "utf-8")
    return copy


@needs_systemd
def test_systemd_accepts_the_unit(unit: Path) -> None:
    result = run("systemd-analyze", "verify", unit)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("role", ["poll", "edit", "web"])
def test_systemd_accepts_the_units_of_one_role(root: Path, tmp_path: Path, role: str) -> None:
    text = (root / "deploy" / f"bmn-{role}@.service").read_text("utf-8")
    assert f"ExecStart={BMN} run --role {role} " in text
    copy = tmp_path / f"bmn-{role}@8091.service"
    copy.write_text(text.replace(BMN, "/bin/true"), "utf-8")
    result = run("systemd-analyze", "verify", copy)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("role", ["poll", "edit", "web"])
def test_the_units_of_one_role_are_hardened_as_the_whole(root: Path, role: str) -> None:
    """What differs is what it runs, how long it keeps trying, and what several instances share."""
    whole = _settings(root / "deploy" / "bmn.service")
    part = _settings(root / "deploy" / f"bmn-{role}@.service")
    own = {"Description", "ExecStart", "StartLimitIntervalSec", "StartLimitBurst", "User", "RuntimeDirectory"}
    assert {key for key in whole.keys() | part.keys() if whole.get(key) != part.get(key)} <= own
    assert part["RuntimeDirectory"] == "%p-%i", "one instance that stops must not take the others' sockets"


def _settings(unit: Path) -> dict[str, str]:
    lines = unit.read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@needs_systemd
@pytest.mark.parametrize("name", ["bmn.socket", "bmn-backup.timer", "bmn-backup.service"])
def test_systemd_accepts_what_goes_with_the_unit(root: Path, unit: Path, name: str) -> None:
    for each in ("bmn.socket", "bmn-backup.timer", "bmn-backup.service"):
        (unit.parent / each).write_text((root / "deploy" / each).read_text("utf-8").replace(BMN, "/bin/true"), "utf-8")
    result = run("systemd-analyze", "verify", unit.parent / name)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_the_backup_is_hardened_as_the_daemon_and_shares_its_user(root: Path) -> None:
    whole, part = (_settings(root / "deploy" / name) for name in ("bmn.service", "bmn-backup.service"))
    own = {"Description", "Type", "ExecStart", "TimeoutStartSec", "Nice", "IOSchedulingClass", "User", "StateDirectory"}
    only_daemon = {
        "Wants",
        "After",
        "StartLimitIntervalSec",
        "StartLimitBurst",
        "NotifyAccess",
        "WatchdogSec",
        "ExecReload",
    }
    only_daemon |= {"TimeoutStopSec", "KillMode", "Restart", "RestartSec", "RestartPreventExitStatus", "WantedBy"}
    only_daemon |= {"RuntimeDirectory", "RuntimeDirectoryMode"}
    assert {key for key in whole.keys() | part.keys() if whole.get(key) != part.get(key)} <= own | only_daemon
    assert part["User"] == "bmn", "as the dynamic user of bmn.service is called"
    assert f"{BMN} backup --force --config /etc/bmn/aggregator.yaml " in part["ExecStart"]


@needs_systemd
def test_systemd_would_complain_about_a_wrong_key(unit: Path) -> None:
    unit.write_text(unit.read_text("utf-8").replace("PrivateTmp=", "PrivateTemp="), "utf-8")
    assert "PrivateTemp" in run("systemd-analyze", "verify", unit).stderr


@needs_systemd
@pytest.mark.parametrize("name", ["bmn.service", "bmn-backup.service"])
def test_the_units_expose_little(root: Path, name: str) -> None:
    result = run("systemd-analyze", "security", "--offline=true", "--no-pager", root / "deploy" / name)
    found = re.search(rf"exposure level for {name}: ([\d.]+)", result.stdout)
    assert found is not None, result.stdout + result.stderr
    assert float(found[1]) <= 1.5


@needs_systemd
def test_the_calls_that_parser_children_need_stay_allowed() -> None:
    """The filter is @system-service without @privileged and @resources; a child limits itself before it parses."""
    allowed = calls_in("@system-service") - calls_in("@privileged") - calls_in("@resources")
    needed = {
        "prlimit64",
        "execve",
        "clone",
        "clone3",
        "wait4",
        "kill",
        "pipe2",
        "socketpair",
        "futex",
        "mmap",
        "madvise",
    }
    assert needed <= allowed


def calls_in(group: str) -> set[str]:
    """The system calls of a group, the groups inside it unfolded."""
    lines = run("systemd-analyze", "--no-pager", "syscall-filter", group).stdout.splitlines()[1:]
    names = {line.strip() for line in lines if line.strip() and not line.strip().startswith("#")}
    return {call for name in names for call in (calls_in(name) if name.startswith("@") else {name})}


@pytest.mark.parametrize("name", ["bmn.service", "bmn-backup.service", "bmn-backup.timer", "bmn.socket"])
def test_every_line_of_the_units_has_its_reason(root: Path, name: str) -> None:
    """A setting follows a comment, or another setting that shares it."""
    reasoned = False
    for line in (root / "deploy" / name).read_text("utf-8").splitlines():
        if not line.strip():
            reasoned = False
        elif line.startswith("#"):
            reasoned = True
        elif line.startswith("["):
            reasoned = line in ("[Unit]", "[Install]")  # the others' contents need no defence
        else:
            assert reasoned or line.startswith("Type="), line


def test_a_bad_configuration_is_not_tried_again(root: Path) -> None:
    text = (root / "deploy" / "bmn.service").read_text("utf-8")
    assert "RestartPreventExitStatus=78 2" in text
    assert "ExecReload=/bin/kill -HUP $MAINPID" in text


# ---------------------------------------------------------------- the package


def test_the_manual_page_has_every_command_and_is_clean(root: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(root)}
    made = subprocess.run([sys.executable, root / "deploy" / "man.py"], capture_output=True, text=True, env=env)
    assert made.returncode == 0, made.stderr
    names = {words for words, _ in walked_commands(parser(), ())}
    assert len(names) > 15
    for words in names:
        assert f"\n.SS bmn {' '.join(words)}\n".replace("-", "\\-") in made.stdout
    assert made.stdout.isascii()
    assert "@" not in re.sub(r"\S@\S", "", made.stdout), "a place was not filled in"


def walked_commands(
    command: argparse.ArgumentParser, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command without commands below it."""
    children = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    if not children:
        yield words, command
    for action in children:
        for word, child in action.choices.items():
            yield from walked_commands(child, (*words, word))


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm", "build", "check"])
def test_the_scripts_of_the_package_can_be_read(root: Path, script: str) -> None:
    path = root / "deploy" / "debian" / script
    shell = path.read_text("utf-8").splitlines()[0].removeprefix("#!").split()[-1]
    assert (run(shell, "-n", path).returncode, os.access(path, os.X_OK)) == (0, True)


@needs_systemd
def test_the_package_gives_its_units_a_user_and_its_own_prefix(root: Path, tmp_path: Path) -> None:
    """By the commands of `build` itself, so that a change of the units that they miss is seen."""
    build = (root / "deploy" / "debian" / "build").read_text("utf-8")
    sed = build[build.index("    sed -e 's|/opt/bmn") : build.index('"$unit" > "$units')]
    unit = tmp_path / "bmn.service"
    script = f'{sed} "{root}/deploy/bmn.service"'.replace("\\\n", " ")
    unit.write_text(run("bash", "-c", script).stdout, "utf-8")
    settings = _settings(unit)
    assert settings["ExecStart"] == "/usr/lib/bmn/bin/bmn run --config /etc/bmn/aggregator.yaml"
    assert (settings["User"], settings["StateDirectory"]) == ("bmn", "bmn")
    assert "DynamicUser" not in settings
    result = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    found = re.search(r"exposure level for bmn.service: ([\d.]+)", result.stdout)
    assert found is not None, result.stdout + result.stderr
    assert float(found[1]) <= 1.5


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.skipif(shutil.which("dpkg-deb") is None or os.geteuid() != 0, reason="needs dpkg-deb and root")
def test_the_package_is_installed_upgraded_and_purged(root: Path) -> None:
    for target in ("deb", "deb-check"):
        done = subprocess.run(["make", target], cwd=root, capture_output=True, text=True, timeout=3000)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "ok: purged; nothing is left" in done.stdout


# ---------------------------------------------------------------- the proxies


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        said = json.dumps({"path": self.path, "host": self.headers["Host"], "proto": self.headers["X-Forwarded-Proto"]})
        self.send_response(200)
        self.send_header("ETag", '"strong"')
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def daemon_behind() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@contextmanager
def nginx(folder: Path, http: str, port: int) -> Iterator[None]:
    """nginx in front with `http` inside its http block, all its files below `folder`."""
    conf = folder / "main.conf"
    places = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf.write_text(f"daemon off; pid {folder}/pid; events {{}} http {{ access_log off; {places}\n{http}\n}}", "utf-8")
    command = [str(NGINX), "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(conf)]
    process = subprocess.Popen([*command, "-g", "master_process off;"], stderr=subprocess.PIPE)
    try:
        for _ in range(100):
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            try:
                create_connection(("127.0.0.1", port), 0.1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=10)


def free_port() -> int:
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ask(port: int, path: str) -> tuple[int, dict[str, str], str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": "news.example.org", "Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read().decode()


@needs_nginx
def test_nginx_passes_requests_on_untouched(root: Path, tmp_path: Path) -> None:
    port = free_port()
    text = (root / "deploy" / "nginx.conf").read_text("utf-8")
    with daemon_behind() as behind:
        http = text.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("127.0.0.1:8080", f"127.0.0.1:{behind}")
        with nginx(tmp_path, http, port):
            status, headers, body = ask(port, "/tech.rss?x=1")
    assert status == 200
    assert json.loads(body) == {"path": "/tech.rss?x=1", "host": "news.example.org", "proto": "http"}
    assert headers["ETag"] == '"strong"'


@needs_nginx
def test_nginx_passes_the_prefix_on(root: Path, tmp_path: Path) -> None:
    port = free_port()
    text = (root / "deploy" / "nginx-prefix.conf").read_text("utf-8")
    with daemon_behind() as behind:
        locations = text.replace("127.0.0.1:8080", f"127.0.0.1:{behind}")
        with nginx(tmp_path, f"server {{ listen 127.0.0.1:{port};\n{locations}\n}}", port):
            status, _, body = ask(port, "/news/tech.rss")
            bare = ask(port, "/news")
            beside = ask(port, "/newspaper")
    assert (status, json.loads(body)["path"]) == (200, "/news/tech.rss")
    assert (bare[0], bare[1]["Location"].endswith("/news/")) == (308, True)
    assert beside[0] == 404
