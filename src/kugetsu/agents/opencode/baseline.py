"""The state before a turn, in a file beside the turn's own, to tell later what the turn changed.

It also holds the project's configuration files that opencode rewrites at its start, which is nobody's work: it inserts
a ``$schema`` line into each that lacks one (1.18.33). The plugin puts the file back before the agent can commit it;
`put_back` does it after a turn whose plugin did not come so far. Only a file that is exactly what opencode makes of the
one before the turn is touched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import Any

import orjson

from kugetsu.agents.opencode.config import MOST_BYTES, PROJECT_NAMES
from kugetsu.host import run_files

VARIABLE = "KUGETSU_BEFORE"
"""The variable that names the file to kugetsu's plugin."""

_NAME = "before.json"

#: Of the file, which holds a project's configuration.
_MOST_BYTES = 1 << 24


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
            found = orjson.loads(file.read(_MOST_BYTES))
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


_BEGINNING = re.compile(r"\A[\s\ufeff]*\{")
_INSERTED = '{\n  "$schema": "https://opencode.ai/config.json",'


def as_opencode_writes(text: str) -> str:
    """A configuration as opencode rewrites it when it names no schema."""
    return _BEGINNING.sub(lambda _: _INSERTED, text, count=1)


def contents(directory: str) -> dict[str, str]:
    """The project's configuration files that opencode may rewrite, by name, each with its text."""
    found = {}
    for name in PROJECT_NAMES:
        text = _read(os.path.join(directory, name))
        if text is not None and as_opencode_writes(text) != text:
            found[name] = text
    return found


def put_back(directory: str, before: Mapping[str, object], changed: Collection[str]) -> list[str]:
    """Put back the files that are what opencode made of those ``before`` (`contents`); returns their names.

    Of those ``changed`` only: an agent that was asked for just that line has committed it.
    """
    done = []
    for name, text in before.items():
        path = os.path.join(directory, name)
        if name not in PROJECT_NAMES or not isinstance(text, str) or not _is_among(name, changed):
            continue
        if _read(path) != as_opencode_writes(text):
            continue
        try:
            # In place: the file's mode stays, and a kill leaves no file of ours in the worktree.
            with open(path, "r+b") as file:
                file.write(text.encode())
                file.truncate()
        except OSError:
            continue  # not ours to write: it stays an uncommitted change
        done.append(name)
    return done


def _is_among(name: str, changed: Collection[str]) -> bool:
    return name in changed or any(each.endswith("/") and name.startswith(each) for each in changed)


def _read(path: str) -> str | None:
    """The text of a plain file; None for a link (opencode then changed a file elsewhere) and for other content."""
    try:
        data = run_files.read(path, MOST_BYTES + 1)
        return data.decode() if len(data) <= MOST_BYTES else None
    except (OSError, UnicodeDecodeError):
        return None
