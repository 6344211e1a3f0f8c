"""Seals: the head of a log, written down to be kept elsewhere.

The chain of digests shows every single changed line, but not that the end was cut off between two lines, nor that the
whole chain was rewritten. A kept head proves both, because its digest covers everything up to it.
"""

from __future__ import annotations

import re

from kugetsu.log.files.segments import Head
from kugetsu.model.record import record

_LINE = re.compile(
    r"\b(?P<seq>[1-9][0-9]{0,14}):(?P<sha>[0-9a-fA-F]{32})\b"
    r"(?:[\s>]+(?P<at>\d{4}-\d\d-\d\dT[\d:.]+Z)(?:[\s>]+log[\s>]+(?P<log>[0-9A-Za-z-]{1,64}))?)?"
)


@record
class Seal:
    """One head that was written down; ``at`` (the event's time) and ``log`` (the log's id) are None if only the head
    was kept."""

    head: Head
    at: str | None = None
    log: str | None = None

    def __str__(self) -> str:
        """One line for a mail, a notebook or a git tag, where `parse` finds it again."""
        return f"kugetsu seal {self.head} {self.at} log {self.log}"


def left_out(text: str) -> list[int]:
    """The numbers, from 1, of the non-empty lines of a text that `parse` does not recognise."""
    taken: set[int] = set()
    for found in _LINE.finditer(text):
        taken.update(range(text.count("\n", 0, found.start()), text.count("\n", 0, found.end()) + 1))
    lines = text.split("\n")
    return [at + 1 for at, line in enumerate(lines) if at not in taken and line.strip(" \t\r>")]


def parse(text: str) -> list[Seal]:
    """The seals in a text, in its order: lines as `str` makes them (a mail may have wrapped or quoted them), or heads
    alone, as ``214:5d…``."""
    return [
        Seal(Head(int(found["seq"]), found["sha"].lower()), found["at"], found["log"]) for found in _LINE.finditer(text)
    ]
