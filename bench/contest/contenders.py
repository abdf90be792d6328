"""Who takes part in `bench.farm`, and how each is set up to poll every feed once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from bench.contest.measure import Run, run

HERE = Path(__file__).parent
READER = ("reader==3.26", "sgmllib3k==1.0.0")  # the second is what its own copy of feedparser imports
THREADS = 8  # of newsboat's reload; it waits for origins in them


class Contender:
    """One that polls the farm. `begin` takes away what it remembers, `poll` asks every feed once; slow ones take part
    in fewer rounds."""

    name = ""
    is_slow = False

    def __init__(self, work: Path, listing: Path, cache: Path | None = None) -> None:
        self.folder = work / self.name.replace(" ", "-").replace(",", "")
        self.listing = listing.resolve()
        self.cache = cache or work

    def missing(self) -> str:
        """Why it cannot take part, empty if it can."""
        return ""

    def begin(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def poll(self) -> Run:
        raise NotImplementedError

    def _run(self, *command: object) -> Run:
        env = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
        return run([str(part) for part in command], self.folder / "log", env, self.folder)


class Raw(Contender):
    name = "bare loop"

    def poll(self) -> Run:
        return self._run(sys.executable, "-m", "bench.contest.raw", self.listing, self.folder / "validators.json")


class OurPolling(Contender):
    name = "ours, polling"
    command: tuple[str, ...] = ("-m", "bench.contest.ours")

    def begin(self) -> None:
        super().begin()
        (self.folder / "aggregator.yaml").write_text(
            f"database: sqlite:///{self.folder}/aggregator.db\n"
            f"sources: {self.listing}\n"
            'fetch: {allow_networks: ["127.0.0.0/8"]}\n'
        )

    def poll(self) -> Run:
        return self._run(sys.executable, *self.command, self.folder / "aggregator.yaml")


class OurPass(OurPolling):
    name = "ours, whole pass"
    is_slow = True
    command = ("-m", "aggregator.cli", "poll", "--all", "--json", "--config")


class Reader(Contender):
    """PyPI's `reader` in a virtual environment of its own; a worker a core, its documentation's way to be quick."""

    name = "reader"
    is_slow = True

    @property
    def _python(self) -> Path:
        return self.cache / "reader" / "bin" / "python"

    def missing(self) -> str:
        if not self._python.exists():
            venv.create(self.cache / "reader", with_pip=True)
        pip = [str(self._python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *READER]
        done = subprocess.run(pip, capture_output=True, text=True)
        return f"pip could not install {' '.join(READER)}" if done.returncode else ""

    def begin(self) -> None:
        super().begin()
        self._run(self._python, HERE / "reader_pass.py", self.folder / "reader.db", "add", self.listing)

    def poll(self) -> Run:
        workers = os.cpu_count() or 1
        return self._run(self._python, HERE / "reader_pass.py", self.folder / "reader.db", "update", workers)


class Newsboat(Contender):
    """Debian's newsboat, in a folder of its own; it does not say what its start cost."""

    name = "newsboat"
    is_slow = True

    def missing(self) -> str:
        return "" if shutil.which("newsboat") else "not installed"

    def begin(self) -> None:
        super().begin()
        (self.folder / "config").write_text(f"reload-threads {THREADS}\nmax-items 0\nsuppress-first-reload yes\n")

    def poll(self) -> Run:
        files = ("-C", self.folder / "config", "-c", self.folder / "cache.db", "-u", self.listing)
        return self._run("newsboat", *files, "-x", "reload")
