"""Whether commands cost the same in a long history as in a short one."""

from __future__ import annotations

import functools
import os

from bench import made_log, runs
from bench.report import Report, Sizes


def measure(report: Report, sizes: Sizes, folder: str) -> None:
    """`status`, `queue enqueue`, `history` and `report` on a large log, in turns with the same on a small one."""
    small = _log(report, folder, sizes.small)
    middle = _log(report, folder, sizes.middle)
    large = _log(report, folder, sizes.large)
    report.doing(f"the same commands on {sizes.small}, {sizes.middle:,} and {sizes.large:,} events")
    history = ["history", made_log.issue(0)]
    pairs = (
        ("status", ["status"], small, sizes.small, 1.15),
        ("queue enqueue", ["queue", "enqueue", made_log.issue(1), "implement feature X"], small, sizes.small, 1.15),
        ("list", ["list"], small, sizes.small, None),
        ("history of one issue", history, middle, sizes.middle, 1.2),
        ("report", ["report"], middle, sizes.middle, 1.15),
    )
    for name, arguments, other, events, limit in pairs:
        argv = [*runs.kugetsu(), *arguments]
        kinds = {
            "large": functools.partial(runs.seconds, argv, runs.environment(large)),
            "small": functools.partial(runs.seconds, argv, runs.environment(other)),
        }
        taken = runs.in_turns(kinds, sizes.rounds)
        in_ms = {kind: [1000 * value for value in values] for kind, values in taken.items()}
        what = f"{name}, {sizes.large:,} events"
        reference = f"{events:,} events"
        report.add("flat", what, in_ms["large"], "ms", reference=reference, against=in_ms["small"], limit=limit)
    _without_start(report, sizes, {"large": large, "small": middle})


def _without_start(report: Report, sizes: Sizes, places: dict[str, str]) -> None:
    """The same history inside one process: without Python's own start, which hides what the log costs."""
    kinds = {kind: functools.partial(_read_history, os.path.join(place, "log")) for kind, place in places.items()}
    taken = runs.in_turns(kinds, 10 * sizes.rounds)
    in_ms = {kind: [1000 * value for value in values] for kind, values in taken.items()}
    what = f"its events alone, {sizes.large:,} events"
    reference = f"{sizes.middle:,} events"
    report.add("flat", what, in_ms["large"], "ms", reference=reference, against=in_ms["small"])


def _read_history(directory: str) -> float:
    import time

    from kugetsu.log import open_log
    from kugetsu.model import clock

    began = time.perf_counter()
    log = open_log(directory, by=made_log.BY, now=clock.now)
    count = sum(1 for _ in log.read_key(made_log.issue(0)))
    log.close()
    took = time.perf_counter() - began
    if not count:
        raise RuntimeError("the issue has no history")
    return took


def _log(report: Report, folder: str, events: int) -> str:
    """A kugetsu directory with a made log of so many events; made once in a run."""
    place = os.path.join(folder, f"log-{events}")
    if not os.path.exists(place):
        report.doing(f"making a log of {events:,} events")
        made_log.make(os.path.join(place, "log"), events)
    return place


def large_log(report: Report, sizes: Sizes, folder: str) -> str:
    """The directory with the large log."""
    return _log(report, folder, sizes.large)
