"""Ask the person at the terminal before something is done that cannot be taken back."""

from __future__ import annotations

import sys

from kugetsu.model.errors import Conflict


def confirmed(question: str, without: str) -> bool:
    """Ask on the terminal. Raises Conflict, naming the command that does not ask, when there is none."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Conflict(f"confirmation required: {question}", f"{without}   (no terminal to ask on)")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
