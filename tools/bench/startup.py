"""What a command costs: kugetsu's start-up beside `python -c pass`, and beside bash that calls python3 three times."""

from __future__ import annotations

import functools
import os

from bench import made_log, runs
from bench.report import Report, Sizes

#: The original bash tool asked python3 for each look into its JSON files, three times for a small command.
BASH = '"$0" -c pass; "$0" -c pass; "$0" -c pass'

BASE = "python -c pass"
ISSUE = made_log.issue(0)


def commands() -> dict[str, tuple[list[str], float | None]]:
    """Every short command by what the table calls it, with the most that it may cost in units of `python -c pass`."""
    enqueue = ["queue", "enqueue", ISSUE, "implement feature X"]
    return {
        "--version": (["--version"], None),
        "status": (["status"], 4.0),
        "status --json": (["status", "--json"], None),
        "list": (["list"], None),
        "queue list": (["queue", "list"], None),
        "queue stats": (["queue", "stats"], None),
        "queue enqueue, durable": (enqueue, 7.0),
        "history": (["history", ISSUE], None),
        "why": (["why", "q1"], None),
        "replay": (["replay", "--until", "50"], None),
        "queue-daemon status": (["queue-daemon", "status"], None),
        "logs": (["logs"], None),
        "log stats": (["log", "stats"], None),
        "config list": (["config", "list"], None),
    }


def measure(report: Report, sizes: Sizes, folder: str) -> None:
    """Each command on a small log, in turns with both references."""
    place = os.path.join(folder, "startup")
    made_log.make(os.path.join(place, "log"), sizes.small)
    env = runs.environment(place)
    report.doing("start-up of each command")
    kinds = {
        BASE: functools.partial(runs.seconds, [runs.PYTHON, "-c", "pass"], env),
        "bash + 3 × python3": functools.partial(runs.seconds, ["bash", "-c", BASH, runs.PYTHON], env),
    }
    for name, (arguments, _) in commands().items():
        kinds[name] = functools.partial(runs.seconds, [*runs.kugetsu(), *arguments], env)
    samples = runs.in_turns(kinds, sizes.rounds)
    in_ms = {name: [1000 * value for value in values] for name, values in samples.items()}
    for name, values in in_ms.items():
        limit = commands()[name][1] if name in commands() else None
        against = None if name == BASE else in_ms[BASE]
        report.add("start-up", name, values, "ms", reference=BASE if against else "", against=against, limit=limit)
