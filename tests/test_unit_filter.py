"""What runs inside the unit still runs under its system-call filter, the children with their limits included."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import pytest
from origin import Answer, Origin, served
from service import BMN, Service, an_rss, get, wait_for
from test_ingest_hostile import DEADLY

FILTER = Path(__file__).with_name("unit_filter.py")
CAN_FILTER = shutil.which("systemd-analyze") is not None and find_library("seccomp") is not None
pytestmark = pytest.mark.skipif(not CAN_FILTER, reason="systemd-analyze or libseccomp is not installed")

FORBIDDEN = """
import errno, mmap, os, socket
def refused(call, number):
    try:
        call()
    except OSError as error:
        assert error.errno == number, error
    else:
        raise SystemExit(f"{call} was let through")
refused(lambda: os.sched_setaffinity(0, {0}), errno.EPERM)
refused(lambda: os.chroot("/"), errno.EPERM)
refused(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC), errno.EPERM)
refused(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW), errno.EAFNOSUPPORT)
refused(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW), errno.EAFNOSUPPORT)
socket.socket(socket.AF_INET).close()
"""


def under_the_filter(root: Path, *command: str) -> list[str]:
    return [sys.executable, str(FILTER), str(root / "deploy" / "bmn.service"), "--", *command]


def environment(root: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}


def test_the_filter_refuses_what_the_unit_forbids(root):
    done = subprocess.run(under_the_filter(root, sys.executable, "-c", FORBIDDEN), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(240)  # five seconds of processor time may be long in coming
def test_a_hostile_poll_costs_its_child_alone_under_the_units_filter(root, tmp_path):
    with served(Origin()) as origin:
        origin.script("/deadly", Answer(body=DEADLY["author that feedparser must read"]))
        origin.script("/fine", Answer(body=an_rss(("k1", "Kestrel buys Heron for 40 million"))))
        service = Service(tmp_path, [origin.url("/deadly"), origin.url("/fine")])
        command = under_the_filter(root, *BMN, "poll", "--all", "--json", "--config", str(service.config))
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment(root))
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert (report["changed"], report["failed"], report["new_stories"]) == (1, 1, 1)
        reasons = {
            each["url"]: each["reason"] for each in json.loads(service.bmn("status", "--json").stdout)["sources"]
        }
    # Of processor time, or on a machine that gives it too little, in all.
    assert reasons[origin.url("/deadly")].startswith("limits: took more than ")


def test_the_daemon_serves_reloads_and_stops_under_the_units_filter(root, tmp_path):
    with served(Origin()) as origin:
        origin.script("/fine", Answer(body=an_rss(("k1", "Kestrel buys Heron for 40 million"))))
        service = Service(tmp_path, [origin.url("/fine")])
        log = (tmp_path / "daemon.log").open("w")
        command = under_the_filter(root, *BMN, "run", "--config", str(service.config))
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(root))
        try:
            wait_for(lambda: "ready " in service.log(), 60, "the daemon is ready")
            wait_for(lambda: b"Heron" in get(f"{service.url}/companies.atom")[2], 30, "the entry published")
            process.send_signal(signal.SIGHUP)
            wait_for(lambda: "reloaded" in service.log(), 30, "the configuration was read again")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()
    assert "ERROR" not in service.log()
