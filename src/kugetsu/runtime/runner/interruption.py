"""Interrupt the preparation of an agent as soon as a stop is requested, and at the time limit.

A runner blocks signals until the supervisor takes them (`spawn.detach`), but preparation may wait long: for another
checkout, git, a hook, an agent's program, a server. Within :func:`interruptible` the signal raises
:class:`Interrupted`, whatever the main thread waits for. Every step of the preparation copes with what that leaves, as
after a kill.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

_STOPS = (signal.SIGTERM, signal.SIGINT)
_ALL = (*_STOPS, signal.SIGALRM)


class Interrupted(BaseException):  # not an Exception: nobody who copes with errors may swallow it
    """``timed_out``: the time limit has passed; otherwise a stop was requested."""

    def __init__(self, *, timed_out: bool = False) -> None:
        super().__init__("timed out" if timed_out else "stopped")
        self.timed_out = timed_out


@contextlib.contextmanager
def interruptible(seconds: float) -> Iterator[None]:
    """Raise Interrupted once in this block at SIGTERM or SIGINT (even if pending before), or after ``seconds`` of real
    time. In the main thread only."""

    def interrupt(number: int, _frame: object) -> None:
        _hold()  # what is cleaned up on the way out must not be interrupted again
        raise Interrupted(timed_out=number == signal.SIGALRM)

    for number in _ALL:
        signal.signal(number, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALL)
        yield
    finally:
        _hold()
        # A thread that was started in here may still take them: not by their default, which ends the process.
        for number in _ALL:
            signal.signal(number, _nothing)


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    signal.setitimer(signal.ITIMER_REAL, 0.0)


def _nothing(number: int, frame: object) -> None:
    """A handler, unlike SIG_IGN, is not inherited by an exec."""
