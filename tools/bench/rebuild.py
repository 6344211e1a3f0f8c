"""Folding a whole log anew, as after a lost snapshot, beside parsing the same lines and doing nothing with them; and
`replay --verify`, which decides every decision in it again, beside that fold."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import time
from collections.abc import Callable

from bench import logs, runs
from bench.report import Report, Sizes

_REBUILD = """
import sys, time
from kugetsu.model import clock
from kugetsu.log import open_log
began = time.perf_counter()
log = open_log(sys.argv[1], by={}, now=clock.now)
assert log.state().seq >= int(sys.argv[2])
"""

_VERIFY = """
import sys, time
from kugetsu.model import clock
from kugetsu.cli.replay import verified
from kugetsu.log import open_log
began = time.perf_counter()
verifier, differences = verified(open_log(sys.argv[1], by={}, now=clock.now), None, None, most=1)
assert not differences and verifier.state.seq >= int(sys.argv[2])
"""

_LOADS = """
import os, sys, time
import orjson
loads = orjson.loads
began = time.perf_counter()
for name in sorted(os.listdir(sys.argv[1])):
    if name.endswith(".jsonl"):
        with open(os.path.join(sys.argv[1], name), "rb") as file:
            for line in file:
                loads(line)
"""

_TOLD = """
import resource
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measure(report: Report, sizes: Sizes, folder: str) -> None:
    """Time and memory of a rebuild, in turns with `orjson.loads` alone on the same files."""
    place = os.path.join(logs.large_log(report, sizes, folder), "log")
    report.doing(f"rebuilding from {sizes.large:,} events")
    memory: list[float] = []
    kinds: dict[str, Callable[[], float]] = {
        "rebuild": functools.partial(_rebuild, place, sizes.large, memory),
        "loads": lambda: run_program(_LOADS, place)[0],
    }
    taken = runs.in_turns(kinds, sizes.slow_rounds)
    what = f"{sizes.large:,} events"
    against = taken["loads"]
    report.add("rebuild", what, taken["rebuild"], "s", reference="orjson.loads", against=against, limit=3.0)
    report.add("rebuild", f"{what}, orjson.loads alone", against, "s")
    report.add("rebuild", f"{what}, peak memory", memory, "MB", limit=100.0, absolute=True)
    report.doing(f"deciding {sizes.large:,} events again")
    seconds, peak = run_program(_VERIFY, place, str(sizes.large))
    again = f"{what}, every decision again"
    report.add("rebuild", again, [seconds], "s", reference="rebuild", against=taken["rebuild"], limit=8.0)
    report.add("rebuild", f"{again}, peak memory", [peak], "MB", limit=100.0, absolute=True)


def _rebuild(place: str, events: int, memory: list[float]) -> float:
    checkpoint = os.path.join(place, "checkpoint")
    if os.path.exists(checkpoint):
        os.unlink(checkpoint)
    shutil.rmtree(os.path.join(place, "index"), ignore_errors=True)
    took, peak = run_program(_REBUILD, place, str(events))
    memory.append(peak)
    return took


def run_program(program: str, *arguments: str) -> tuple[float, float]:
    """Seconds, and the peak of the process's memory in MB."""
    began = time.perf_counter()
    env = runs.environment("/nonexistent")
    argv = [runs.PYTHON, "-c", program + _TOLD, *arguments]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"after {time.perf_counter() - began:.1f} s: {done.stderr[-500:]}")
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak) / 1024
