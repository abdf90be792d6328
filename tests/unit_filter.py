"""Runs a command under the system-call rules of a systemd unit, where there is no systemd to do it:

    python tests/unit_filter.py deploy/bmn.service -- bmn poll --all

Reads SystemCallFilter, SystemCallErrorNumber, MemoryDenyWriteExecute, RestrictAddressFamilies, RestrictNamespaces and
loads what systemd.exec(5) says of them through libseccomp, which systemd itself uses. The groups come from
systemd-analyze.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ALLOW = 0x7FFF0000  # seccomp.h
EQUAL, GREATER, MASKED_EQUAL = 4, 6, 7
CLONE_NEW = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)  # sched.h
SHM_EXEC = 0o100000


class Compare(ctypes.Structure):
    """scmp_arg_cmp: an argument of a call against a value."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class Filter:
    """A seccomp filter being made."""

    def __init__(self, otherwise: int) -> None:
        self._library = library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        library.seccomp_init.restype = ctypes.c_void_p
        library.seccomp_rule_add_array.argtypes = (
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.POINTER(Compare),
        )
        library.seccomp_load.argtypes = (ctypes.c_void_p,)
        self._context = library.seccomp_init(otherwise)

    def add(self, action: int, call: str, *conditions: Compare) -> None:
        """Calls that this architecture lacks are passed over, as systemd does."""
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return
        array = (Compare * len(conditions))(*conditions)
        failed = self._library.seccomp_rule_add_array(self._context, action, number, len(conditions), array)
        if failed:
            raise OSError(-failed, f"seccomp_rule_add {call}")

    def load(self) -> None:
        if failed := self._library.seccomp_load(self._context):
            raise OSError(-failed, "seccomp_load")


def refuse(number: int) -> int:
    """The action that answers a call with this errno."""
    return 0x00050000 | number


def calls_in(group: str) -> set[str]:
    """The system calls of a group, the groups inside it unfolded."""
    command = ["systemd-analyze", "--no-pager", "syscall-filter", group]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    names = {line.strip() for line in lines if line.strip() and not line.strip().startswith("#")}
    return {call for name in names for call in (calls_in(name) if name.startswith("@") else {name})}


def settings(unit: Path) -> Iterator[tuple[str, str]]:
    for line in unit.read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            yield key, value


def allowed_calls(unit: Path) -> set[str]:
    """What SystemCallFilter leaves; systemd always leaves @default."""
    allowed = calls_in("@default")
    for key, value in settings(unit):
        if key == "SystemCallFilter":
            named = {
                call for name in value.lstrip("~").split() for call in (calls_in(name) if name[0] == "@" else {name})
            }
            allowed = allowed - named if value.startswith("~") else allowed | named
    return allowed


def apply(unit: Path) -> None:
    """Put this process and all it starts under the unit's rules, for good."""
    said = dict(settings(unit))
    error = refuse(getattr(errno, said["SystemCallErrorNumber"]))
    calls = allowed_calls(unit)
    families = {int(getattr(socket, name)) for name in said["RestrictAddressFamilies"].split()}
    rules = Filter(ALLOW)
    if said["MemoryDenyWriteExecute"] == "yes":
        both = mmap.PROT_WRITE | mmap.PROT_EXEC
        rules.add(error, "mmap", Compare(2, MASKED_EQUAL, both, both))
        for call in ("mprotect", "pkey_mprotect"):
            rules.add(error, call, Compare(2, MASKED_EQUAL, mmap.PROT_EXEC, mmap.PROT_EXEC))
        rules.add(error, "shmat", Compare(2, MASKED_EQUAL, SHM_EXEC, SHM_EXEC))
    for family in range(max(families)):
        if family not in families:
            rules.add(refuse(errno.EAFNOSUPPORT), "socket", Compare(0, EQUAL, family, 0))
    rules.add(refuse(errno.EAFNOSUPPORT), "socket", Compare(0, GREATER, max(families), 0))
    if said["RestrictNamespaces"] == "yes":
        rules.add(error, "setns")
        rules.add(refuse(errno.ENOSYS), "clone3")  # its flags lie where no filter can look
        for flag in CLONE_NEW:
            rules.add(error, "unshare", Compare(0, MASKED_EQUAL, flag, flag))
            rules.add(error, "clone", Compare(0, MASKED_EQUAL, flag, flag))
    whole = Filter(error)
    for call in calls:
        whole.add(ALLOW, call)
    rules.load()
    whole.load()


if __name__ == "__main__":
    apply(Path(sys.argv[1]))
    command = sys.argv[sys.argv.index("--") + 1 :]
    os.execvp(command[0], command)
