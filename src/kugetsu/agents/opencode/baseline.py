"""What was so before a turn of opencode, in a file beside the turn's own: what the turn changed is told from it."""

from __future__ import annotations

import os
from typing import Any

import orjson

from kugetsu.host import run_files

VARIABLE = "KUGETSU_BEFORE"
"""The variable that names the file to kugetsu's plugin."""

_NAME = "before.json"

#: Of the file, which holds a project's configuration.
MOST_BYTES = 1 << 24


def path(output: str) -> str:
    """The file for the turn with this output file."""
    return os.path.join(os.path.dirname(output), _NAME)


def write(output: str, before: dict[str, Any]) -> None:
    """Write it down. Mode 0600: a configuration may hold secrets. Raises OSError."""
    run_files.replace(path(output), orjson.dumps(before))


def read(output: str) -> dict[str, Any]:
    """What `write` wrote; empty when there is none, or an agent broke it."""
    try:
        with run_files.open_binary(path(output)) as file:
            found = orjson.loads(file.read(MOST_BYTES))
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
