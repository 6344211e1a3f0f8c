"""A command on a pseudo-terminal: what it shows there, what is typed, and the terminal's end."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

#: Seconds until what must be shown, or the end, counts as not coming; some show the real opencode among other tests.
PATIENCE = 300.0


class Terminal:
    """`kugetsu` (or any ``program``) as the leader of a session whose terminal this is."""

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        columns: int = 80,
        rows: int = 24,
        program: Sequence[str] = (sys.executable, "-m", "kugetsu"),
    ) -> None:
        self.seen = ""
        self._end, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        without = ("COLUMNS", "LINES")
        self.process = subprocess.Popen(
            [*program, *words],
            stdin=there,
            stdout=there,
            stderr=there,
            cwd=folder,
            env={"TERM": "xterm-256color", **{k: v for k, v in environment.items() if k not in without}},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(there)

    def read(self, seconds: float = 0.05) -> bool:
        """Read what is there, after ``seconds`` at most; False once the terminal is closed."""
        while select.select([self._end], [], [], seconds)[0]:
            try:
                part = os.read(self._end, 1 << 16)
            except OSError:  # Linux: the other side is closed
                return False
            if not part:
                return False
            self.seen += part.decode("utf-8", "replace")
            seconds = 0.0
        return True

    def until(self, fits: Callable[[str], bool]) -> str:
        """Read until what was seen ``fits``; all of it."""
        end = time.monotonic() + PATIENCE
        while not fits(self.seen):
            assert self.read() or fits(self.seen), f"the terminal was closed: {self.seen[-2000:]}"
            assert time.monotonic() < end, f"not seen: {self.seen[-4000:]}"
        return self.seen

    def type(self, text: str) -> None:
        """Type on it."""
        os.write(self._end, text.encode())

    def end(self) -> int:
        """Read until the command ends; its exit status."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < end, f"it goes on: {self.seen[-4000:]}"
        self.read(0.0)
        return self.process.returncode

    def close(self) -> None:
        """Close the terminal, as an SSH connection that breaks does."""
        if self._end >= 0:
            os.close(self._end)
            self._end = -1
