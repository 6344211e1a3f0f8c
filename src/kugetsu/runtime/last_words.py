"""What a process of ours said last, in the file that its errors go to."""

from __future__ import annotations

import os

from kugetsu import run_files

#: Bytes at the file's end that are looked at, and characters that are told.
_LOOKED_AT = 4096
_LENGTH = 300


def of(path: str, after: int = 0) -> str:
    """A file's last line behind its first ``after`` bytes, redacted, to be put behind a sentence; empty for none."""
    from kugetsu.redaction import CUT, redact

    try:
        with run_files.open_binary(path) as file:
            start = os.fstat(file.fileno()).st_size - _LOOKED_AT
            file.seek(max(after, start))
            text = CUT * (start > after) + file.read(_LOOKED_AT).decode("utf-8", "replace")
            lines = text.splitlines()
    except OSError:  # then it said nothing that could be told
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f": {redact(said[-1], limit=_LENGTH)}" if said else ""
