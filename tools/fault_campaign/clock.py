"""The clock of one host among several on one machine: all that the host starts reads it (`skewed_clock.c`)."""

from __future__ import annotations

import functools
import mmap
import os
import shutil
import struct
import subprocess
import time

_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "skewed_clock.c")
_BILLION = 1_000_000_000
_FORM = struct.Struct("qqq")


class Clock:
    """``wall`` and ``awake``: seconds by which the host's wall clock, and its clock that counts on through sleep, are
    ahead. Without a C compiler (``library`` is None) they stay those of the machine."""

    def __init__(self, path: str, library: str | None, wall: float) -> None:
        self._path, self._library, self._made = path, library, int(time.time())
        self.wall, self.awake = (wall, 0.0) if library is not None else (0.0, 0.0)
        with open(path, "wb") as file:
            file.write(bytes(_FORM.size))
        with open(path, "r+b") as file:
            self._numbers = mmap.mmap(file.fileno(), _FORM.size)
        self._show()

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process read this clock."""
        return {} if self._library is None else {"LD_PRELOAD": self._library, "SKEWED_CLOCK": self._path}

    def set(self, wall: float) -> None:
        """Set the wall clock."""
        if self._library is not None:
            self.wall = wall
            self._show()

    def stood_still(self, seconds: float) -> bool:
        """The whole machine was frozen so long: no clock of it went on. False if that cannot be."""
        if self._library is None:
            return False
        self.wall, self.awake = self.wall - seconds, self.awake - seconds
        self._show()
        return True

    def _show(self) -> None:
        self._numbers[:] = _FORM.pack(round(self.wall * _BILLION), round(self.awake * _BILLION), self._made)


@functools.cache
def library(folder: str) -> str | None:
    """The compiled shim; None where there is no C compiler, or it cannot build it."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    made = f"{folder}/skewed_clock.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", made, _SOURCE, "-ldl"]
    return made if subprocess.run(command, capture_output=True, check=False).returncode == 0 else None
