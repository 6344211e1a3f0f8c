"""The figures of one run of a queue: waits, makespan, use of the slots, and what became of the tasks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil
from typing import TYPE_CHECKING, TypedDict

from kugetsu.domain.simulation.micros import SECOND
from kugetsu.domain.simulation.tally import Ledger, Life

if TYPE_CHECKING:

    class FigureData(TypedDict):
        """Durations in seconds; None where there is nothing to measure. ``waits`` is how many waits for a first claim
        were measured: also of a task that never begins, whose wait lasts until the end, that it may not look short."""

        waits: int
        wait_p50: float | None
        wait_p95: float | None
        wait_max: float | None
        waiting_total: float
        makespan: float | None
        slot_use: float | None
        attempts: int
        retries: int
        parks: int
        completed: int
        error: int
        cancelled: int
        unfinished: int
        tokens: int
        cost: float


class Measured:
    """Which tasks are measured: all of ``tasks``; those in ``open`` were not finished when the record ended at
    ``horizon``, those in ``unclaimed`` had not even begun."""

    def __init__(self, real: Ledger, tasks: Collection[str], horizon: int) -> None:
        self.tasks = list(tasks)
        self.horizon = horizon
        self.open = frozenset(task for task in self.tasks if real.lives[task].state is None)
        self.unclaimed = frozenset(task for task in self.open if real.lives[task].first_claim is None)


def nearest_rank(values: Sequence[int], percent: int) -> int | None:
    """The smallest value that at least so many percent of all are not above; None of no values."""
    ordered = sorted(values)
    return ordered[max(ceil(percent * len(ordered) / 100), 1) - 1] if ordered else None


def first_wait(task: str, life: Life, measured: Measured) -> int | None:
    """Microseconds from being queued to the first claim; None for a task that is never claimed.

    One that had not begun when the record ended has waited until then at least, whatever came later.
    """
    until = life.first_claim
    if task in measured.unclaimed and life.state is None:
        until = min(until or measured.horizon, measured.horizon)
    return until - life.queued if until is not None else None


def _first_waits(lives: dict[str, Life], measured: Measured, end: int) -> list[int]:
    """What `first_wait` gives, and of an open task that is never claimed the time until ``end`` (or until the record's
    end, when nobody knows what became of it)."""
    waits = []
    for task, life in lives.items():
        wait = first_wait(task, life, measured)
        if wait is None and life.state is None:
            wait = max((measured.horizon if task in measured.open else end) - life.queued, 0)
        if wait is not None:
            waits.append(wait)
    return waits


def figures(ledger: Ledger, measured: Measured) -> FigureData:
    """The figures of the measured tasks; slots are those of all tasks, while measured ones were there."""
    lives = {task: ledger.lives[task] for task in measured.tasks if task in ledger.lives}
    begin = min((life.queued for life in lives.values()), default=None)
    end = max((life.last_end or 0 for task, life in lives.items() if task not in measured.open), default=0)
    until = max(end, measured.horizon if measured.open else 0)
    last = max(end, measured.horizon)
    waits = _first_waits(lives, measured, last)
    waited = sum(_waited(life, measured.horizon if task in measured.open else last) for task, life in lives.items())
    states = [life.state or "unfinished" for life in lives.values()]
    return {
        "waits": len(waits),
        "wait_p50": _seconds(nearest_rank(waits, 50)),
        "wait_p95": _seconds(nearest_rank(waits, 95)),
        "wait_max": _seconds(max(waits, default=None)),
        "waiting_total": _seconds(waited) or 0.0,
        "makespan": _seconds(end - begin) if begin is not None and end else None,
        "slot_use": _slot_use(ledger, begin, until) if begin is not None else None,
        "attempts": sum(life.usage.attempts for life in lives.values()),
        "retries": sum(life.usage.retries for life in lives.values()),
        "parks": sum(life.usage.parks for life in lives.values()),
        "completed": states.count("completed"),
        "error": states.count("error"),
        "cancelled": states.count("cancelled"),
        "unfinished": states.count("unfinished"),
        "tokens": sum(life.usage.tokens for life in lives.values()),
        "cost": round(sum(life.usage.cost for life in lives.values()), 6),
    }


def _seconds(micros: int | None) -> float | None:
    return micros / SECOND if micros is not None else None


def _waited(life: Life, end: int) -> int:
    """Microseconds of all its waits; one that has not ended counts until ``end``."""
    return life.waited + (max(end - life.waits_since, 0) if life.waits_since is not None else 0)


def _slot_use(ledger: Ledger, begin: int, end: int) -> float | None:
    """Busy slot-seconds of those that there were, while anything waited or ran."""
    busy = available = 0
    fill = ledger.fill
    for place, (since, live, waiting, cap) in enumerate(fill):
        until = fill[place + 1][0] if place + 1 < len(fill) else end
        span = min(until, end) - max(since, begin)
        if span > 0 and (live or waiting):
            busy += span * live
            available += span * max(cap, live)
    return busy / available if available else None
