"""The destination of an export, and the redaction of its lines."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import IO

import orjson

from kugetsu.domain.events import Event
from kugetsu.host import atomic
from kugetsu.model.errors import BadInput, Conflict, KugetsuError, reason_of
from kugetsu.redaction.funnel import clean, suspicious


def without_secrets(event: Event, line: bytes) -> bytes:
    """The line itself if nothing in it looks like a secret; else a redacted one that says so.

    It keeps the digest of the original line, so the lines around it can still be verified.
    """
    if not suspicious(line.decode()):
        return line
    written = orjson.loads(line)  # as it stands there, also where the event does not fit its kind
    shown = {**clean(written), "sha": event["sha"]}
    if shown == written:
        return line
    return orjson.dumps({**shown, "redacted": True})


class Destination:
    """Lines to a file that appears whole or not at all, or to stdout. `commit` puts the file in place."""

    def __init__(self, path: str | None, new: atomic.NewFile | None) -> None:
        self._path = path
        self._new = new
        self._file: IO[bytes] = sys.stdout.buffer if new is None else new.file

    @classmethod
    def open(cls, path: str | None, *, force: bool) -> Destination:
        """None is stdout. Raises Conflict for an existing file unless ``force``, BadInput or KugetsuError if it cannot
        be created."""
        if path is None:
            return cls(None, None)
        folder = os.path.dirname(os.path.abspath(path))
        if not path or os.path.isdir(path):
            raise BadInput(f"{path!r} is a folder", "name the file: kugetsu log export --to kugetsu.jsonl")
        if not os.path.isdir(folder):
            raise BadInput(f"no such folder: {folder}", "create it, or name another file")
        if os.path.lexists(path) and not force:
            raise Conflict(f"{path} already exists", "name another file, or overwrite it with --force")
        try:
            return cls(path, atomic.NewFile(path, sync=True))
        except OSError as error:
            raise _unwritable(path, error) from error

    def write(self, line: bytes) -> None:
        """Write a line. Raises KugetsuError if the file cannot be written; BrokenPipeError for stdout."""
        try:
            self._file.write(line)
            self._file.write(b"\n")
        except OSError as error:
            if self._path is None:
                raise
            raise _unwritable(self._path, error) from error

    def commit(self) -> None:
        """Put the complete file in place."""
        if self._path is None or self._new is None:
            self._file.flush()
            return
        try:
            self._new.commit()
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def __enter__(self) -> Destination:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._new is not None:
            self._new.__exit__()


def _unwritable(path: str, error: OSError) -> KugetsuError:
    reason = reason_of(error)
    return KugetsuError(f"cannot write {path}: {reason}", "name another file, or free some space")
