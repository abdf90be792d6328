"""What every test file may lean on: the shared data, one hypothesis profile, and no quiet skips in CI.

Builders of values are in `builders.py`; import them by name (`from builders import an_entry`).
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from postgres import postgres_server, postgres_url, sqlite_template, store, store_url  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
NO_SHARED = "shared data is not here"  # the one reason for which CI lets a test skip

# The same examples on every machine and every run: a red test stays red until it is mended.
settings.register_profile(
    "steady",
    derandomize=True,
    deadline=None,
    max_examples=60,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")


def shared_folder() -> Path | None:
    """Where the shared data lies: $BMN_SHARED, else `shared` beside the checkout; None where neither exists."""
    folder = Path(os.environ.get("BMN_SHARED") or ROOT.parent / "shared")
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data; a test that asks for it skips where it is missing."""
    folder = shared_folder()
    if folder is None:
        pytest.skip(f"{NO_SHARED}: set BMN_SHARED or lay it beside the checkout as ../shared")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(autouse=True)
def _log_as_before() -> Generator[None]:
    """A command run in a test has the log written to what the test captures; that is closed when the next one runs."""
    yield
    structlog.reset_defaults()


# In CI every tool is installed, so a skip is a hole in the set-up and must be seen.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _no_quiet_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _no_quiet_skip(report)


def _no_quiet_skip(report: Any) -> Any:
    if not os.environ.get("CI") or not report.skipped or hasattr(report, "wasxfail"):
        return report
    why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if NO_SHARED not in why:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} skipped, which CI does not allow: {why}"
    return report
