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


def test_what_the_start_left_is_frozen_and_more_files_may_be_open() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]
