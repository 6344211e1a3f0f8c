"""Times and amounts as people read them: in the terminal's own zone, rounded, short.

Data (``--json``) keeps UTC; screens say in which zone they are.
"""

from __future__ import annotations

import time

from kugetsu.model import clock


def local(at: str) -> time.struct_time:
    """A UTC text's time in the zone of this machine (TZ)."""
    return time.localtime(clock.parse(at) // 1_000_000)


def time_of_day(at: str, *, seconds: bool = True) -> str:
    """``10:00:02`` or ``10:00``."""
    t = local(at)
    return f"{t[3]:02d}:{t[4]:02d}:{t[5]:02d}" if seconds else f"{t[3]:02d}:{t[4]:02d}"


def day(at: str) -> str:
    """``2026-11-23``."""
    t = local(at)
    return f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}"


def zone(at: str) -> str:
    """The zone's name at that time: ``UTC``, ``CET``."""
    return local(at).tm_zone


def moment(at: str, now: str) -> str:
    """``12:01`` when it is today, ``11-24 12:01`` this year, with the year else."""
    here, there = local(now), local(at)
    hours = time_of_day(at, seconds=False)
    if there[:3] == here[:3]:
        return hours
    return f"{day(at)[5:]} {hours}" if there[0] == here[0] else f"{day(at)} {hours}"


def ahead(at: str, now: str) -> str:
    """``12:01, in 1h18m``; ``10:00, now`` once it is over."""
    left = clock.seconds_between(now, at)
    return f"{moment(at, now)}, {'in ' + duration(left) if left > 0 else 'now'}"


def since(at: str, now: str) -> float:
    """Seconds from ``at`` to ``now``, never negative: clocks of two machines may differ."""
    return max(clock.seconds_between(at, now), 0.0)


def duration(seconds: float) -> str:
    """``0.4s``, ``41s``, ``9m02s``, ``2h04m``, ``3d04h``."""
    if seconds < 1:
        return f"{max(seconds, 0.0):.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02d}h"


def tokens(number: int) -> str:
    """``1 token``, ``88k tokens``."""
    return "1 token" if number == 1 else f"{amount(number)} tokens"


def amount(number: int) -> str:
    """``950``, ``88k``, ``1.2M``: tokens, bytes."""
    if number < 1000:
        return str(number)
    if number < 999_500:
        return f"{number / 1000:.1f}k" if number < 9_950 else f"{round(number / 1000)}k"
    return f"{number / 1_000_000:.1f}M"
