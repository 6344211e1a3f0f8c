"""Until when a forge accepts no requests: kept in a file, so that every process heeds what one of them was told."""

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

    def _read(self) -> tuple[float, str]:
        try:
            with open(self._path, "rb") as file:
                until, _, access = file.read(_MOST).decode().partition(" ")
            return float(until), access
        except (OSError, ValueError):
            return 0.0, ""
