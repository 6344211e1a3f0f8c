"""The command `kugetsu` for agents: a folder with nothing else in it, first in their PATH.

A virtual environment's folder would shadow the project's python, pytest and pip, and `python -m kugetsu` has none.
"""

from __future__ import annotations

import os
import shlex
import sys

import kugetsu
from kugetsu.host import atomic
from kugetsu.host.paths import Paths


def folder(paths: Paths) -> str:
    """KUGETSU_DIR/bin with a `kugetsu` that runs this program by this Python. Raises KugetsuError and OSError."""
    made = paths.make(os.path.join(paths.root, "bin"))
    _write_whole(os.path.join(made, "kugetsu"), _script())
    return made


def path(folder: str, known: str | None) -> str:
    """A PATH that begins with ``folder``, once; ``known`` is the PATH so far."""
    rest = [entry for entry in (known or os.defpath).split(os.pathsep) if entry != folder]
    return os.pathsep.join([folder, *rest])


def _script() -> str:
    source = os.path.dirname(os.path.dirname(os.path.abspath(kugetsu.__file__)))
    lines = ["#!/bin/sh", "# Made by kugetsu, for the agents that it runs."]
    if source in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        # It is not installed: also an agent that set a PYTHONPATH of its own must find it.
        lines.append(f'PYTHONPATH={shlex.quote(source)}"${{PYTHONPATH:+:$PYTHONPATH}}"; export PYTHONPATH')
    lines.append(f'exec {shlex.quote(sys.executable)} -P -m kugetsu "$@"')
    return "\n".join(lines) + "\n"


def _write_whole(path: str, text: str) -> None:
    """Agents that start meanwhile find the previous script or this one."""
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text and os.access(path, os.X_OK):
                return
    except (FileNotFoundError, UnicodeDecodeError):
        pass  # it is made now
    atomic.write(path, text.encode(), mode=0o700)
