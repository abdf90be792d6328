"""Records out of memory: bytes in, a place that finds them again out. They lie in a file that has no name and goes with
the process, so that they cost the system's cache at most, which it takes back when it needs the memory.
"""

from __future__ import annotations

import errno
import os
import struct
import tempfile
from collections import defaultdict
from pathlib import Path

_BLOCK = 256  # bytes; a record takes whole ones, so that what is freed fits the next
_MOST_BLOCKS = 1 << 16
_LENGTH = struct.Struct("<I")
_ON_DISK = Path("/var/tmp")  # noqa: S108 - by no name in it; /tmp is memory on many systems


class Drawer:
    """Owns the file. A place is an int: the first block and how many there are. Not for several threads at once."""

    def __init__(self) -> None:
        folder = _ON_DISK if os.access(_ON_DISK, os.W_OK | os.X_OK) else None
        self._file = tempfile.TemporaryFile(buffering=0, prefix="bmn-", dir=folder)  # noqa: SIM115
        self._end = 0  # blocks
        self._free: dict[int, list[int]] = defaultdict(list)  # places by their number of blocks

    def put(self, record: bytes) -> int:
        """Keep it. Raises OSError where the disk is full: then it is not kept, and nothing else has changed."""
        data = _LENGTH.pack(len(record)) + record
        blocks = -(-len(data) // _BLOCK)
        if blocks >= _MOST_BLOCKS:
            raise OSError(errno.EFBIG, f"a record of {len(record)} bytes is too large for a drawer")
        is_new = not self._free[blocks]
        place = self._end * _MOST_BLOCKS + blocks if is_new else self._free[blocks][-1]
        written = os.pwrite(self._file.fileno(), data, place // _MOST_BLOCKS * _BLOCK)
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if is_new:
            self._end += blocks
        else:
            self._free[blocks].pop()
        return place

    def get(self, place: int) -> bytes:
        """What was put there."""
        first, blocks = divmod(place, _MOST_BLOCKS)
        data = os.pread(self._file.fileno(), blocks * _BLOCK, first * _BLOCK)
        (length,) = _LENGTH.unpack_from(data)
        return data[_LENGTH.size : _LENGTH.size + length]

    def free(self, place: int) -> None:
        """Forget what was put there; another record takes its place."""
        self._free[place % _MOST_BLOCKS].append(place)

    @property
    def size(self) -> int:
        """Bytes of the file, free places among them."""
        return self._end * _BLOCK
