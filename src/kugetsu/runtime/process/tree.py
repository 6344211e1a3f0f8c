"""Record the processes of an attempt that only descent identifies: those that cleared their environment.

While its runner lives it finds them below itself. Killed with its agent, it leaves them to init, unmarked: whoever
settles the attempt ends those recorded here. One started in the last seconds before the kill may be missing.

Kept free of imports: the lean supervisor loads it.
"""

from __future__ import annotations

import os

from kugetsu.host import run_files
from kugetsu.runtime.process import identity, termination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.runtime.process.identity import Identity

EVERY_SECONDS = 2.0
_NAME = "tree"
_MOST = 1 << 16
"""Bytes of the file: a thousand processes."""


def path(folder: str) -> str:
    """The file in a run's folder."""
    return os.path.join(folder, _NAME)


class Tree:
    """Records the unmarked processes below this one from time to time."""

    def __init__(self, file: str, nonce: str) -> None:
        self._file = file
        self._nonce = nonce
        self._due = 0.0
        self._written: list[Identity] = []

    def step(self, now: float) -> None:
        """Scan if it is time, and write if the result changed. ``now`` is on the monotonic clock."""
        if now < self._due or not identity.HAS_PROC:
            return
        self._due = now + EVERY_SECONDS
        try:
            found = termination.unmarked(os.getpid(), self._nonce)
            if found != self._written:
                text = "".join(f"{one['boot']} {one['pid']} {one['start']}\n" for one in found)
                run_files.replace(self._file, text.encode())
                self._written = found
        except OSError:  # a full disk, no descriptors left: tried again at the next look
            self._written = []


def read(file: str) -> list[Identity]:
    """The recorded processes; lines that an agent broke are skipped."""
    try:
        lines = run_files.read(file, _MOST).decode("ascii", "replace").splitlines()
    except OSError:
        return []
    found: list[Identity] = []
    for line in lines:
        boot, _, rest = line.partition(" ")
        pid, _, start = rest.partition(" ")
        if pid.isdigit() and start.isdigit():
            found.append({"boot": boot, "pid": int(pid), "start": int(start)})
    return found
