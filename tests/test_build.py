"""The wheel: that it carries everything, and that what it installs works away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import aggregator


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BMN_", "XDG_"))}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean | env, capture_output=True, text=True, timeout=100
    )


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=root)
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it; what the wheel needs is borrowed from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    done = run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    # After its own site-packages, so that the installed package comes before the checkout's.
    found = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    (Path(found.stdout.strip()) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_the_wheel_carries_every_file_of_the_package(root: Path, wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    package = {
        path.relative_to(root).as_posix()
        for path in (root / "aggregator").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    config = {
        f"aggregator/_config/{path.relative_to(root / 'config').as_posix()}"
        for path in (root / "config").rglob("*")
        if path.is_file()
    }
    assert package - inside == set()
    assert config - inside == set()
    assert {"aggregator/_config/aggregator.yaml", "aggregator/_config/sources.yaml", "scheduler.py"} <= inside


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"aggregator", "scheduler.py"}


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 25_000_000


def test_the_installed_package_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    code = "import aggregator, scheduler; print(aggregator.__file__); print(scheduler.__file__)"
    result = run(installed / "bin" / "python", "-c", code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert all(line.startswith(str(installed)) for line in result.stdout.splitlines())


def test_bmn_runs_in_an_empty_directory_with_the_packaged_defaults(installed: Path, tmp_path: Path) -> None:
    """`bmn check` reads the same files as `bmn run`, and says which."""
    bmn = installed / "bin" / "bmn"
    state = tmp_path / "state"
    result = run(bmn, "check", cwd=tmp_path, STATE_DIRECTORY=str(state), HOME=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "_config" in result.stdout + result.stderr
    assert [path.name for path in tmp_path.iterdir() if path != state] == []


def test_the_versions_agree(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == aggregator.__version__


def test_every_dependency_is_pinned(root: Path) -> None:
    """A constraint without a pin would let two machines run different code."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    pinned = {plain(line.split("==")[0]) for line in (root / "constraints.txt").read_text("utf-8").splitlines()}
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"], "hatchling", "editables"]
    assert {name for name in map(name_of, wanted) if name not in pinned} == set()


def name_of(requirement: str) -> str:
    return plain(requirement.split("[")[0].split("=")[0].rstrip("<>~!"))


def plain(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(".", "-")


# ---------------------------------------------------------------- choosing a Python


def find_python(root: Path, folder: Path, **fakes: str) -> subprocess.CompletedProcess[str]:
    """deploy/find-python on a machine with only these programs; a fake's script gets the arguments of `python`."""
    for name, script in fakes.items():
        (folder / name.replace("_", ".")).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name.replace("_", ".")).chmod(0o755)
    for tool in ("basename", "head"):
        (folder / tool).symlink_to(Path("/usr/bin") / tool)
    return subprocess.run(
        ["/bin/sh", root / "deploy" / "find-python"], env={"PATH": str(folder)}, capture_output=True, text=True
    )


GOOD = "exit 0"
OLD = 'case "$*" in --version) echo Python 3.9.2;; *version_info*) exit 1;; esac'
BARE = 'case "$*" in *ensurepip*) exit 1;; esac'


def test_the_first_python_that_will_do_is_chosen(root: Path, tmp_path: Path) -> None:
    assert find_python(root, tmp_path, python3=OLD, python3_12=BARE, python3_11=GOOD).stdout == "python3.11\n"


@pytest.mark.parametrize(
    ("fakes", "says"),
    [
        ({"python3": BARE}, "sudo apt-get install -y python3-venv"),
        ({"python3": OLD, "python3_12": BARE}, "sudo apt-get install -y python3.12-venv"),
        ({"python3": OLD}, "Python 3.9.2 is too old: Python 3.11 or newer"),
        ({}, "Python 3.11 or newer is needed and none was found"),
    ],
)
def test_where_none_will_do_it_says_what_to_do(root: Path, tmp_path: Path, fakes: dict[str, str], says: str) -> None:
    result = find_python(root, tmp_path, **fakes)
    assert (result.returncode, result.stdout) == (1, "")
    assert says in result.stderr
