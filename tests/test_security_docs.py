"""Every test that docs/security.md leans on exists."""

from __future__ import annotations

import re
from pathlib import Path


def test_every_threat_has_a_test_that_exists(root: Path) -> None:
    rows = re.findall(
        r"^\| (?!threat)([^|-][^|]*)\|[^|]+\|([^|]+)\|$", (root / "docs" / "security.md").read_text("utf-8"), re.M
    )
    assert len(rows) > 30
    for threat, tests in rows:
        named = re.findall(r"`(test_\w+\.py)?::(test_\w+)`", tests)
        assert named, f"{threat} has no test"
        file = ""
        for name, test in named:
            file = name or file
            source = (root / "tests" / file).read_text("utf-8")
            assert re.search(rf"^(?:async )?def {test}\(", source, re.M), f"{file}::{test}"
