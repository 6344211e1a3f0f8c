"""Text by others, made harmless before it is kept: no control or invisible characters, no secrets, bounded."""

from __future__ import annotations

import re
import unicodedata

from kugetsu.redaction.funnel import redact, redact_head
from kugetsu.runtime.error_window import without_escapes

#: Characters of the original that are looked at, for each that is kept: what is taken out must not leave nothing.
_FOR_EACH = 4

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_JOINER = "\u200d"  # of emoji

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.I)
_VARYING = re.compile(
    r"""
    \d{4}-\d\d-\d\d[T\ ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?   # a time
    | \b\d\d:\d\d:\d\d(?:[.,]\d+)?\b
    | \b\d+(?:\.\d+)?\ ?(?:ms|us|µs|ns|s|sec|secs|seconds?|min|minutes?)\b     # how long it took
    | (?:/private)?/(?:var/)?(?:tmp|folders)/[^\s:'"]*                     # a temporary file
    | \b0x[0-9a-f]+\b | \b[0-9a-f]{8,}\b | \bpytest-\d+\b | \bpid\ ?\d+\b
    """,
    re.X | re.I,
)


def plain(text: str, most: int) -> str:
    """At most ``most`` characters of a text and a note of how many more there are; lines end in one way only."""
    kept = redact_head(visible(text[: most * _FOR_EACH]), most).strip("\n")
    left_out = len(text) - most
    if left_out <= 0:
        return kept
    return f"{kept[:most]}\n[{left_out} more characters are left out]"


def visible(text: str) -> str:
    """A text without escape sequences and characters that nobody sees; its lines end in one way only."""
    lines = _LINE_ENDS.sub("\n", without_escapes(text))
    return "".join(c for c in lines if _is_shown(c))


def one_line(text: str, most: int) -> str:
    """A name as one line of at most ``most`` characters."""
    line = " ".join(redact(plain(text[: most * _FOR_EACH], most * _FOR_EACH)).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def address(text: str, most: int) -> str:
    """A URL that others gave, as one word; empty if it is none."""
    word = "".join(one_line(text, most).split()[:1])
    return word if word.startswith(("https://", "http://")) else ""


def quoted(text: str) -> str:
    """A text with `> ` before each of its lines: nothing in it can pass for anything else."""
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def without_what_varies(line: str) -> str:
    """An error line without what differs from run to run: addresses, times, durations, temporary files, ids."""
    return " ".join(_VARYING.sub("…", _URL.sub("…", line)).split())


def _is_shown(c: str) -> bool:
    """Whether a character is one that people see, or that ends a line."""
    if c in "\n\t" or c == _JOINER:
        return True
    return unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co")
