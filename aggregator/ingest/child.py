"""The program of a parse child, which `workers` starts: documents come in by a socket, answers go out; nothing else.

It limits itself before the first document: memory for good, processor time anew for each document. It opens no file,
makes no connection, and is killed by the kernel when the daemon dies.

    python -m aggregator.ingest.child FD PARENT_PID CPU_SECONDS MEMORY_BYTES
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
from datetime import UTC, datetime
from json import loads
from math import ceil

from aggregator.ingest import wire
from aggregator.ingest.parse import parse
from aggregator.types import FailureReason, ParsedFeed, ParseFailed

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Serve until the daemon hangs up. 0 then, 3 after running out of memory (a fresh child is wanted)."""
    descriptor, parent, cpu_seconds, memory_bytes = map(int, arguments)
    _die_with(parent)
    _limit(memory_bytes)
    with socket.socket(fileno=descriptor) as channel, channel.makefile("rb", buffering=1 << 16) as requests:
        _go_quiet()
        channel.sendall(bytes([wire.VERSION]))
        while head := requests.read(wire.LENGTH_BYTES):
            header = loads(requests.read(int.from_bytes(head, "big")))
            known = wire.unpack_known(requests.read(header["known"]))
            marks = requests.read(header["marks"])
            document = requests.read(header["document"])
            _allow(cpu_seconds)
            result = _parsed(document, header, known, marks)
            del document
            for frame in wire.pack_answer(result):
                channel.sendall(frame)
            if isinstance(result, ParseFailed) and result.reason is FailureReason.LIMITS:
                return 3
    return 0


def _parsed(
    document: bytes, header: dict[str, object], known: frozenset[bytes], marks: bytes
) -> ParsedFeed | ParseFailed:
    now = datetime.fromtimestamp(float(str(header["now"])), UTC)
    content_type = header["content_type"]
    try:
        return parse(document, str(header["url"]), str(content_type) if content_type else None, known, now, marks)
    except MemoryError:
        return ParseFailed(FailureReason.LIMITS, "needed more memory than a document may")
    except RecursionError:
        return ParseFailed(FailureReason.MALFORMED, "nested too deep")
    except Exception as error:  # whatever a parser raises is this document's failure, and the child lives on
        return ParseFailed(FailureReason.INTERNAL, f"the parser raised {type(error).__name__}: {str(error)[:200]}")


def _die_with(parent: int) -> None:
    """Be killed when the daemon is, even in the middle of a document."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the daemon, which will hang up
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # systemd signals the whole group


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _allow(cpu_seconds: int) -> None:
    """Let this process use `cpu_seconds` from now on; the kernel's limit counts from its birth."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = ceil(usage.ru_utime + usage.ru_stime)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (used + cpu_seconds, hard))


def _go_quiet() -> None:
    """From here on nothing that a document provokes reaches the daemon's log."""
    sink = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(sink, stream)
    os.close(sink)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
