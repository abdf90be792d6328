"""What a process does once it has started: few objects for the garbage collection to walk, many files to open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# In a process of its own: both are for the life of a process.
PROGRAM = """
import gc, resource
from aggregator.daemon import settle
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
settle()
print(gc.get_freeze_count() > 1000, len(gc.get_objects()) < 1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 100)
"""


# Every second page of a heap stays in use, so that nothing goes by itself.
HEAP = """
import ctypes
from aggregator.daemon import give_memory_back
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
blocks = [library.malloc(8192) for _ in range(8000)]
for block in blocks:
    ctypes.memset(block, 1, 8192)
before = resident()
for block in blocks[:-1]:
    library.free(block)
library.malloc(8192)
held = resident()
print(give_memory_back(), before - held < 10_000_000, held - resident() > 40_000_000)
"""


def test_freed_memory_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", HEAP], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


def test_what_the_start_left_is_frozen_and_more_files_may_be_open() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]
