"""The findings of a run: a file in its folder for what an agent found out, where no commit is wanted.

The agent is told its path (KUGETSU_FINDINGS) and may write there, and beside it what belongs to it. What it holds is a
result that needs no forge.
"""

from __future__ import annotations

import os

from kugetsu.host import run_files
from kugetsu.host.paths import Paths

VARIABLE = "KUGETSU_FINDINGS"
MOST = 256 << 10
"""Bytes of the file that are shown."""


def path(paths: Paths, attempt: str) -> str:
    """Where an attempt's findings belong."""
    return f"{paths.run(attempt)}/findings/findings.md"


def make_folder(paths: Paths, attempt: str) -> str:
    """Make the folder; the file's path. Raises KugetsuError."""
    file = path(paths, attempt)
    paths.make(os.path.dirname(file))
    return file


def written(paths: Paths, attempt: str) -> str | None:
    """The path of an attempt's findings; None where there are none: no file, or only white space in it."""
    file = path(paths, attempt)
    return file if (read(file) or "").strip() else None


def read(file: str) -> str | None:
    """At most the first MOST bytes as text; None for what is not a readable file. Not redacted."""
    if os.path.islink(os.path.dirname(file)):
        return None
    try:
        return run_files.read(file, MOST).decode("utf-8", "replace")
    except OSError:
        return None
