"""The words between a command and the relay: one line of JSON for each request and each answer."""

from __future__ import annotations

import os

from kugetsu.model import jsontext
from kugetsu.model.errors import Conflict, LogDiverged, LogUnreachable, LogWriteFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.model.errors import KugetsuError

SOCKET = "relay.sock"
"""The socket in the log's folder, for its owner only."""

_LONGEST_PATH = 100
"""Bytes of a socket's path that every system takes."""

_RAISED: tuple[type[KugetsuError], ...] = (LogUnreachable, LogDiverged, LogWriteFailed, Conflict)
_ERRORS = {kind.code: kind for kind in _RAISED}


class Address:
    """The socket's path for `connect` or `bind`, also where the folder's own path is too long for one."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, SOCKET)
        self._folder = -1
        if len(os.fsencode(self.path)) > _LONGEST_PATH:
            self._folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.path = f"/proc/self/fd/{self._folder}/{SOCKET}"

    def close(self) -> None:
        """The path is not needed any more."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1


def dumps(message: dict[str, Any]) -> bytes:
    """A message as its line."""
    line: bytes = jsontext.dumps(message)
    return line + b"\n"


def texts(lines: list[bytes]) -> list[str]:
    """Lines of the log, for a message."""
    return [line.decode() for line in lines]


def raised(error: KugetsuError) -> dict[str, Any]:
    """An error as an answer."""
    return {"error": error.code, "message": error.message, "hint": error.hint}


def error_of(answer: dict[str, Any]) -> KugetsuError | None:
    """The error that an answer tells; None if it is none."""
    if "error" not in answer:
        return None
    return _ERRORS.get(answer["error"], LogWriteFailed)(answer["message"], answer["hint"])
