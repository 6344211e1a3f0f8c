"""Files that commands write where the user says: a picture, a page."""

from __future__ import annotations

import os

from kugetsu.host import atomic
from kugetsu.model.errors import Conflict, KugetsuError, reason_of


def require_new(path: str | None, force: bool) -> None:
    """Raise Conflict if the file exists and may not be overwritten."""
    if path is not None and not force and os.path.lexists(path):
        raise Conflict(f"{path} already exists", "name another file, or add --force")


def write(path: str, content: str) -> str:
    """Write the file atomically, readable by its owner only, and return its path: it contains issues' names and
    reasons."""
    try:
        atomic.write(path, content.encode())
    except OSError as problem:
        reason = reason_of(problem)
        raise KugetsuError(f"cannot write {path}: {reason}", "name a file in an existing folder") from problem
    return path
