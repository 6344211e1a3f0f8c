"""How a damaged log is reported: where, which event, and what to run next."""

from __future__ import annotations

from kugetsu.host.paths import ownership_remedy
from kugetsu.model.errors import BadInput, KugetsuError, LogDamaged

HINT = (
    "nothing was appended; run `kugetsu log verify` to see every damaged line, then put a good copy of that segment "
    "back (the chain of digests shows whether it fits)"
)


def unreadable(error: OSError, path: str) -> KugetsuError:
    """The error for a log that the operating system does not let us read, with the remedy."""
    if isinstance(error, NotADirectoryError):
        return BadInput(
            f"{path} or a folder above it is not a directory",
            "move the file away, or set KUGETSU_DIR to another directory",
        )
    return KugetsuError(
        f"the log {path} cannot be read: {error.strerror or error}",
        (isinstance(error, PermissionError) and ownership_remedy(path))
        or "`ls -ld` shows its owner; make it readable, or set KUGETSU_DIR to another directory",
    )


class DamagedLine(LogDamaged):
    """One place where the log does not verify.

    ``seq`` is the event expected there (0 when unknown), ``segment`` the file's name, ``offset`` the byte where
    the line starts, ``kind`` a stable word for programs (``digest``, ``newline``, ``missing``, ``framing`` …).
    """

    def __init__(self, kind: str, text: str, *, seq: int = 0, segment: str = "", offset: int = 0) -> None:
        place = f"{segment or 'log'}, byte {offset}"
        event = f"event {seq}" if seq else "an event"
        super().__init__(f"the event log is damaged at {event} ({place}): {text}", HINT)
        self.kind = kind
        self.text = text
        self.seq = seq
        self.segment = segment
        self.offset = offset
