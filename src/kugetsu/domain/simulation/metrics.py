"""The figures of one run of a queue: waits, makespan, slot use, and the outcomes of the tasks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil
from typing import TYPE_CHECKING, TypedDict

from kugetsu.domain.simulation.micros import SECOND
from kugetsu.domain.simulation.tally import Tally, TaskTally

if TYPE_CHECKING:

    class FigureData(TypedDict):
        """Durations in seconds; None if there is nothing to measure. ``waits`` is the number of measured waits for a
        first claim; the wait of a task that never starts counts until the end, so that it does not look short."""

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
    """The measured tasks. Those in ``open`` were unfinished when the record ended at ``horizon``, those in
    ``unclaimed`` had never been claimed."""

    def __init__(self, real: Tally, tasks: Collection[str], horizon: int) -> None:
        self.tasks = list(tasks)
        self.horizon = horizon
        self.open = frozenset(task for task in self.tasks if real.tasks[task].state is None)
        self.unclaimed = frozenset(task for task in self.open if real.tasks[task].first_claim is None)


def nearest_rank(values: Sequence[int], percent: int) -> int | None:
    """The smallest value that is not below ``percent`` % of all values; None without values."""
    ordered = sorted(values)
    return ordered[max(ceil(percent * len(ordered) / 100), 1) - 1] if ordered else None


def first_wait(task: str, counts: TaskTally, measured: Measured) -> int | None:
    """Microseconds from being queued to the first claim; None for a task that is never claimed.

    A task that was unclaimed when the record ended has waited until then at least.
    """
    until = counts.first_claim
    if task in measured.unclaimed and counts.state is None:
        until = min(until or measured.horizon, measured.horizon)
    return until - counts.queued if until is not None else None


def _first_waits(tasks: dict[str, TaskTally], measured: Measured, end: int) -> list[int]:
    """As `first_wait`; for an open task that is never claimed the time until ``end`` (or until the record's end, if its
    outcome is unknown)."""
    waits = []
    for task, counts in tasks.items():
        wait = first_wait(task, counts, measured)
        if wait is None and counts.state is None:
            wait = max((measured.horizon if task in measured.open else end) - counts.queued, 0)
        if wait is not None:
            waits.append(wait)
    return waits


def figures(tally: Tally, measured: Measured) -> FigureData:
    """The figures of the measured tasks; slot use is that of all tasks, while measured ones existed."""
    tasks = {task: tally.tasks[task] for task in measured.tasks if task in tally.tasks}
    begin = min((counts.queued for counts in tasks.values()), default=None)
    end = max((counts.last_end or 0 for task, counts in tasks.items() if task not in measured.open), default=0)
    until = max(end, measured.horizon if measured.open else 0)
    last = max(end, measured.horizon)
    waits = _first_waits(tasks, measured, last)
    waited = sum(_waited(counts, measured.horizon if task in measured.open else last) for task, counts in tasks.items())
    states = [counts.state or "unfinished" for counts in tasks.values()]
    return {
        "waits": len(waits),
        "wait_p50": _seconds(nearest_rank(waits, 50)),
        "wait_p95": _seconds(nearest_rank(waits, 95)),
        "wait_max": _seconds(max(waits, default=None)),
        "waiting_total": _seconds(waited) or 0.0,
        "makespan": _seconds(end - begin) if begin is not None and end else None,
        "slot_use": _slot_use(tally, begin, until) if begin is not None else None,
        "attempts": sum(counts.usage.attempts for counts in tasks.values()),
        "retries": sum(counts.usage.retries for counts in tasks.values()),
        "parks": sum(counts.usage.parks for counts in tasks.values()),
        "completed": states.count("completed"),
        "error": states.count("error"),
        "cancelled": states.count("cancelled"),
        "unfinished": states.count("unfinished"),
        "tokens": sum(counts.usage.tokens for counts in tasks.values()),
        "cost": round(sum(counts.usage.cost for counts in tasks.values()), 6),
    }


def _seconds(micros: int | None) -> float | None:
    return micros / SECOND if micros is not None else None


def _waited(counts: TaskTally, end: int) -> int:
    """Microseconds of all its waits; the current one counts until ``end``."""
    return counts.waited + (max(end - counts.waits_since, 0) if counts.waits_since is not None else 0)


def _slot_use(tally: Tally, begin: int, end: int) -> float | None:
    """The busy share of the available slot-seconds while anything waited or ran."""
    busy = available = 0
    fill = tally.fill
    for place, (since, live, waiting, cap) in enumerate(fill):
        until = fill[place + 1][0] if place + 1 < len(fill) else end
        span = min(until, end) - max(since, begin)
        if span > 0 and (live or waiting):
            busy += span * live
            available += span * max(cap, live)
    return busy / available if available else None
