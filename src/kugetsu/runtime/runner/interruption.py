"""Interrupt the preparation of an agent as soon as a stop is requested, at the time limit, and when its host was not
heard of for too long.

A runner blocks signals until the supervisor takes them (`spawn.detach`), but preparation may wait long: for another
checkout, git, a hook, an agent's program, a server. Within :func:`interruptible` the signal raises
:class:`Interrupted`, whatever the main thread waits for. Every step of the preparation copes with what that leaves, as
after a kill.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

_STOPS = (signal.SIGTERM, signal.SIGINT)
_ALL = (*_STOPS, signal.SIGALRM)


POLL_SECONDS = 5.0
"""Seconds between two looks at whether the host is cut off, as of a supervisor."""


class Interrupted(BaseException):  # not an Exception: nobody who copes with errors may swallow it
    """``timed_out``: the time limit has passed; ``cut_off``: other hosts may soon give the task away; otherwise a stop
    was requested."""

    def __init__(self, *, timed_out: bool = False, cut_off: bool = False) -> None:
        super().__init__("timed out" if timed_out else "cut off" if cut_off else "stopped")
        self.timed_out = timed_out
        self.cut_off = cut_off


@contextlib.contextmanager
def interruptible(seconds: float, host_left: Callable[[], float] | None = None) -> Iterator[None]:
    """Raise Interrupted once in this block at SIGTERM or SIGINT (even if pending before), after ``seconds`` of real
    time, or when ``host_left`` tells that the host has none left. In the main thread only."""
    give_up = time.monotonic() + seconds

    def next_look() -> float:
        left = give_up - time.monotonic()
        return max(left if host_left is None else min(left, POLL_SECONDS, host_left()), 0.001)

    def interrupt(number: int, _frame: object) -> None:
        timed_out = number == signal.SIGALRM and time.monotonic() >= give_up
        cut_off = number == signal.SIGALRM and not timed_out and host_left is not None and host_left() <= 0
        if number == signal.SIGALRM and not timed_out and not cut_off:
            signal.setitimer(signal.ITIMER_REAL, next_look())
            return
        _hold()  # what is cleaned up on the way out must not be interrupted again
        raise Interrupted(timed_out=timed_out, cut_off=cut_off)

    for number in _ALL:
        signal.signal(number, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, next_look())
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
