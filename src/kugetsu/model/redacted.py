"""The mark that stands where a secret was, known to every layer."""

from __future__ import annotations

MARK = "[redacted]"
