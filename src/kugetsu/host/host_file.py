"""The id of this host: 128 random bits in KUGETSU_DIR/host; below it the term in which it shares a log, if it does.

Reading it imports nothing: `kugetsu status` does so.
"""

from __future__ import annotations

import os

from kugetsu.model.errors import KugetsuError

NAME = "host"


def path(root: str) -> str:
    """The file that holds it."""
    return os.path.join(root, NAME)


def read(root: str) -> str | None:
    """The id; empty if the file was emptied, None if there is none. Raises KugetsuError if it cannot be read."""
    lines = _lines(root)
    return None if lines is None else lines[0] if lines else ""


def term(root: str) -> int | None:
    """The term in which this directory joined the log that it shares; None if it did not. Raises as `read`."""
    lines = _lines(root) or []
    return int(lines[1]) if len(lines) > 1 and lines[1].isdecimal() else None


def _lines(root: str) -> list[str] | None:
    try:
        with open(path(root), encoding="ascii", errors="replace") as file:
            return file.read(100).split()
    except FileNotFoundError:
        return None
    except OSError as problem:
        from kugetsu.host.paths import ownership_remedy

        remedy = ownership_remedy(path(root)) or "make it readable, or move it away: it is made again"
        raise KugetsuError(f"cannot read {path(root)}: {problem.strerror}", remedy) from problem


def write(root: str, made: str) -> str:
    """Write it where none was, or an emptied one; returns the id that counts: of two processes the first one's.

    Raises OSError, and KugetsuError as `read` does.
    """
    from kugetsu.host import atomic

    known = read(root)
    try:
        with atomic.NewFile(path(root), sync=True) as new:
            new.file.write(f"{made}\n".encode())
            new.commit(overwrite=known is not None)
    except FileExistsError:
        pass
    return read(root) or made


def write_term(root: str, known: str, term: int | None) -> None:
    """Note the term in which the host ``known`` shares a log, None for none. Raises OSError."""
    from kugetsu.host import atomic

    text = known if term is None else f"{known}\n{term}"
    atomic.write(path(root), f"{text}\n".encode(), sync=True)
