"""Why a kugetsu process ended, from the file with its errors."""

from __future__ import annotations

import os

from kugetsu.agents import error_lines
from kugetsu.host import run_files
from kugetsu.redaction.funnel import CUT, redact

#: Bytes at the file's end that are read.
_LOOKED_AT = 4096


def of(path: str, after: int = 0) -> str:
    """The line after the first ``after`` bytes that names the cause, redacted, as a sentence's suffix; empty for
    none."""
    try:
        with run_files.open_binary(path) as file:
            start = os.fstat(file.fileno()).st_size - _LOOKED_AT
            file.seek(max(after, start))
            text = CUT * (start > after) + file.read(_LOOKED_AT).decode("utf-8", "replace")
            lines = redact(text).splitlines()
    except OSError:  # nothing to report
        return ""
    cause = error_lines.cause(lines)
    return f": {cause}" if cause else ""
