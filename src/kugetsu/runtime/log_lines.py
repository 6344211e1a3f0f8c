"""What becomes a line of a log file for people: text by others (a forge's error, a path) obeys nothing there."""

from __future__ import annotations

import sys

from kugetsu.redaction.funnel import redact


def harmless(text: str) -> str:
    """A text as one line without secrets: white space is single spaces, and what a terminal obeys is escaped."""
    line = " ".join(redact(text).split())
    return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def stamp() -> str:
    """The time for a line of a log file, of this machine's own clock: so that the lines of all processes that write
    into one file stand in their order, whatever other hosts agree on."""
    from datetime import datetime  # the daemon's children, not commands

    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def note(text: str) -> None:
    """Write a text to standard error, `harmless`: a process without a terminal has a log file there."""
    print(harmless(text), file=sys.stderr, flush=True)
