"""A PostgreSQL server of the tests' own, in a temporary folder on a Unix socket, and fresh databases in it.

The fixtures are every test's through conftest.py: `store` and `store_url` run a test on SQLite and on PostgreSQL.
The binaries are looked for on PATH and where Debian puts them; root starts the server as another user, because
PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from aggregator.store import Store

_numbers = count(1)
_FAST = ["fsync=off", "full_page_writes=off", "shared_buffers=32MB", "max_connections=60"]


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`, the newest there is; None without any."""
    folders = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: p.parent.name.zfill(3), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def _other_user() -> pwd.struct_passwd | None:
    """Whom root starts the server as; None where we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("neither a user postgres nor nobody to start PostgreSQL as")


class Server:
    """One server process; `url(name)` is the address of a database in it."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self.folder, self._bin = folder, bin_folder
        self._user = _other_user()
        self._process: subprocess.Popen[bytes] | None = None

    def _run_as(self) -> dict[str, object]:
        user = self._user
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}

    def start(self) -> None:
        """Make the cluster where there is none, start it and wait until it answers."""
        data = self.folder / "data"
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        if not data.exists():
            command = [self._bin / "initdb", "-D", data, "-U", "bmn", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
            subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._run_as())  # type: ignore[call-overload]
        command = [self._bin / "postgres", "-D", data, "-k", self.folder, "-c", "listen_addresses="]
        command += [part for option in _FAST for part in ("-c", option)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # type: ignore[call-overload]
                command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True, **self._run_as()
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:]) from None
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it: SIGQUIT at once as a crash would, SIGINT politely."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def dsn(self, name: str) -> str:
        return f"host={self.folder} user=bmn dbname={name}"

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://bmn@/{name}?host={self.folder}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


@contextlib.contextmanager
def a_server() -> Iterator[Server]:
    """A running server; skips the test where PostgreSQL is not installed."""
    bin_folder = binaries()
    if bin_folder is None:
        pytest.skip("PostgreSQL is not installed: no initdb on PATH or in /usr/lib/postgresql/*/bin")
    memory = Path("/dev/shm")  # a database a test is a folder of files a test: quicker there than on a disk
    place = memory if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30 else None
    folder = Path(tempfile.mkdtemp(prefix="pg", dir=place))  # short: a socket's path has 107 characters at most
    server = Server(folder, bin_folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server all tests share, with a migrated database `template` to copy fresh ones from."""
    with a_server() as server:
        server.execute("CREATE DATABASE template")
        Store(server.url("template")).open()
        _hang_up(server, "template")
        yield server


def _hang_up(server: Server, name: str) -> None:
    server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """The address of a fresh, migrated database."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE template")
    yield postgres_server.url(name)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database to copy fresh ones from."""
    path = tmp_path_factory.mktemp("template") / "aggregator.db"
    store = Store(f"sqlite:///{path}")
    store.open()
    store.close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a fresh, migrated database: the test runs on both."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    template: Path = request.getfixturevalue("sqlite_template")
    shutil.copy(template, tmp_path / "aggregator.db")
    return f"sqlite:///{tmp_path / 'aggregator.db'}"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open store on a fresh database, on SQLite and on PostgreSQL."""
    opened = Store(store_url)
    opened.open()
    yield opened
    opened.close()
