"""Until when a forge accepts no requests: kept in a file, so that every process heeds what one of them was told. And
when it answered last, in the time of another file, so that screens can say how old is what they show.
"""

from __future__ import annotations

import contextlib
import os

from kugetsu.host import atomic
from kugetsu.model.errors import KugetsuError

_DAY = 86_400.0  # no forge limits for longer; a later time is of a clock that was wrong
_SAME = 1.0  # seconds; one and the same time, told in two answers
_MOST = 1000  # bytes


class Pause:
    """The pause of one forge, in the file at a path. It holds for requests with the same ``access`` (with which token,
    or why without one): with another one a forge allows other numbers. A file that cannot be read or written pauses
    only who was told."""

    def __init__(self, path: str) -> None:
        self._path = path

    def left(self, now: float, access: str) -> float:
        """Seconds until requests are accepted again; 0 without a pause. ``now`` is in seconds since 1970."""
        until, whose = self._read()
        return until - now if whose == access and now < until <= now + _DAY else 0.0

    def begin(self, until: float, access: str) -> None:
        """Pause until a time, in seconds since 1970; a longer pause stays."""
        known, whose = self._read()
        if whose == access and until - _SAME <= known <= until + _DAY:
            return
        with contextlib.suppress(OSError, KugetsuError):
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            atomic.write(self._path, f"{until:.3f} {access}".encode())

    def until(self, now: float) -> float | None:
        """The end of a pause, for whomever it holds, in seconds since 1970; None for none."""
        until, _ = self._read()
        return until if now < until <= now + _DAY else None

    def answered(self, now: float) -> None:
        """The forge has answered, whatever it was asked."""
        with contextlib.suppress(OSError, KugetsuError):
            if not os.path.exists(self._answered):
                os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
                atomic.write(self._answered, b"")
            os.utime(self._answered, (now, now))

    def answered_at(self) -> float | None:
        """When it answered last, in seconds since 1970; None if it is not known."""
        try:
            return os.stat(self._answered).st_mtime
        except OSError:
            return None

    @property
    def _answered(self) -> str:
        return f"{self._path}.answered"

    def _read(self) -> tuple[float, str]:
        try:
            with open(self._path, "rb") as file:
                until, _, access = file.read(_MOST).decode().partition(" ")
            return float(until), access
        except (OSError, ValueError):
            return 0.0, ""
