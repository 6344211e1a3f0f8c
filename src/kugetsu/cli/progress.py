"""What a long command waits for, on a terminal: one line of stderr, drawn again each second, gone at the end.

A timer's signal draws it, not a thread: commands fork runners. The runner is no heir of the timer.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from kugetsu.views.text import cut, line
from kugetsu.views.times import duration

#: Seconds before the line is first drawn, and between two drawings.
EVERY = 1.0
_CLEAR = "\r\x1b[K"


class Progress:
    """The line. ``step`` says what is waited for from now on; nothing is shown unless it was `begun`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._since = time.monotonic()
        self._drawn = False

    def step(self, text: str) -> None:
        """Wait for something else from now on."""
        self._text = text

    def draw(self, *_: object) -> None:
        """Draw the line (the handler of the timer)."""
        seconds = duration(round(time.monotonic() - self._since))
        with suppress(OSError, ValueError):
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0: nobody told the terminal its size
            sys.stderr.write(_CLEAR + cut(f"{line(self._text)} … {seconds}", max(columns - 1, 10)))
            sys.stderr.flush()
            self._drawn = True

    def clear(self) -> None:
        """Remove the line."""
        if self._drawn:
            with suppress(OSError, ValueError):
                sys.stderr.write(_CLEAR)
                sys.stderr.flush()
        self._drawn = False


@contextmanager
def shown(environment: Mapping[str, str], text: str) -> Iterator[Progress]:
    """Show ``text`` and the seconds while the block runs; nothing where stderr is no terminal."""
    progress = Progress(text)
    if not _wanted(environment):
        yield progress
        return
    before = signal.signal(signal.SIGALRM, progress.draw)
    signal.setitimer(signal.ITIMER_REAL, EVERY, EVERY)
    try:
        yield progress
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        progress.clear()


def _wanted(environment: Mapping[str, str]) -> bool:
    quiet = environment.get("KUGETSU_VERBOSITY", "").lower() == "quiet" or environment.get("TERM", "dumb") == "dumb"
    free = threading.current_thread() is threading.main_thread() and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    return not quiet and free and sys.stderr.isatty()
