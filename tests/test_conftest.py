"""The guard in conftest.py: in CI a skip is a failure, unless the shared data is what is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_that_lacks_a_tool():
    pytest.skip("nginx is not installed")

@pytest.mark.skipif(True, reason="nginx is not installed")
def test_that_is_marked(): ...

def test_that_lacks_data(shared): ...

@pytest.mark.xfail(reason="known")
def test_that_is_known_to_fail():
    assert False
"""


def outcome(root: Path, folder: Path, **env: str) -> dict[str, int]:
    (folder / "conftest.py").write_text((root / "tests" / "conftest.py").read_text("utf-8"))
    (folder / "test_skips.py").write_text(TESTS)
    (folder / "test_module.py").write_text("import pytest\npytest.importorskip('no_such_package')\n")
    clean = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", folder, "-p", "no:cacheprovider"]
    env = (
        clean
        | {
            "BMN_SHARED": str(folder / "nowhere"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": f"{root}:{root}/tests",
        }
        | env
    )
    result = subprocess.run(
        [*command, "--continue-on-collection-errors", folder], env=env, capture_output=True, text=True, timeout=60
    )
    counts = re.findall(r"(\d+) (\w+)", result.stdout.splitlines()[-1].split(" in ")[0])
    return {word: int(number) for number, word in counts}


@pytest.mark.parametrize(
    ("env", "counts"),
    [({}, {"skipped": 4, "xfailed": 1}), ({"CI": "true"}, {"failed": 1, "errors": 2, "skipped": 1, "xfailed": 1})],
)
def test_only_missing_shared_data_may_skip_in_ci(
    root: Path, tmp_path: Path, env: dict[str, str], counts: dict[str, int]
) -> None:
    assert outcome(root, tmp_path, **env) == counts
