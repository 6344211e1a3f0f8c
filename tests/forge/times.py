"""The clock of the scripted forge: what happens there is one second apart."""

from __future__ import annotations

from kugetsu.model import clock

START = 1_767_261_600  # 2026-01-01T10:00:00Z: the time of the first thing in a repository


def at(seconds: int) -> str:
    """A time that many seconds after START, as forges write it."""
    return clock.from_epoch(START + seconds)[:19] + "Z"
