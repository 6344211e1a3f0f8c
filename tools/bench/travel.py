"""Points of the past: reached from periodic snapshots, beside folding the whole log; what appends pay for these."""

from __future__ import annotations

import functools
import gzip
import os
import random
import shutil
import statistics
import subprocess
import time

from bench import logs, made_log, runs
from bench.rebuild import run_program
from bench.report import Report, Sizes

SEED = 4

_OPEN = """
import sys, time
from kugetsu.model import clock
from kugetsu.log import open_log
began = time.perf_counter()
log = open_log(sys.argv[1], by={}, now=clock.now)
"""
_REBUILD = _OPEN + "assert log.state().seq >= int(sys.argv[2])"
_BY_SEQ = _OPEN + "assert log.state_at(seq=int(sys.argv[2])).seq == int(sys.argv[2])"
_BY_TIME = _OPEN + "assert log.state_at(at=sys.argv[2]).latest <= sys.argv[2]"
_EVERYTHING = _OPEN + "log.state_at(seq=int(sys.argv[2]))"

_DIFF = """
import sys, time
from kugetsu.model import clock
from kugetsu.domain.changes import Comparison
from kugetsu.log import open_log
began = time.perf_counter()
log = open_log(sys.argv[1], by={}, now=clock.now)
comparison = Comparison(log.state_at(seq=1))
for event in log.read(after=1):
    comparison.add(event)
assert comparison.state.seq >= int(sys.argv[2]) and comparison.changes()
"""

_FROM = """
import sys, time
from kugetsu.log.foreign.engine import ForeignLog
began = time.perf_counter()
assert ForeignLog(sys.argv[1]).state().seq >= int(sys.argv[2])
"""


def measure(report: Report, sizes: Sizes, folder: str) -> None:
    """Time to a point, in units of a rebuild; a diff of everything, a packed file, a periodic snapshot."""
    home = logs.large_log(report, sizes, folder)
    place = os.path.join(home, "log")
    report.doing(f"travelling through {sizes.large:,} events")
    rebuilt = [_rebuild(place, sizes.large) for _ in range(sizes.slow_rounds)]
    what = f"{sizes.large:,} events"
    report.add("travel", f"{what}, from the first on", rebuilt, "s")
    # Where nobody wrote any while the log grew, the first traveller leaves them behind.
    shutil.rmtree(os.path.join(place, "milestones"), ignore_errors=True)
    report.add("travel", f"{what}, first of all travels", [run_program(_EVERYTHING, place, str(sizes.large))[0]], "s")
    run_program(_REBUILD, place, str(sizes.large))  # the latest snapshot

    chance = random.Random(SEED)
    points = [chance.randrange(2, sizes.large) for _ in range(sizes.points)]
    by_seq = [run_program(_BY_SEQ, place, str(seq)) for seq in points]
    by_time = [run_program(_BY_TIME, place, _time_of(place, seq)) for seq in points]
    commands = [_command(home, seq) for seq in points]
    seconds = {"by seq": [took for took, _ in by_seq], "by time": [took for took, _ in by_time]}
    for name, taken in {**seconds, "kugetsu replay --until SEQ, its start included": commands}.items():
        text = f"{sizes.points} points, {name}"
        report.add("travel", text, taken, "s", reference="from the first", against=rebuilt, limit=0.2)
        worst = [max(taken)]
        report.add("travel", f"{text}, slowest", worst, "s", reference="from the first", against=rebuilt, limit=0.2)
    report.add(
        "travel", f"{sizes.points} points, peak memory", [peak for _, peak in by_seq], "MB", limit=100.0, absolute=True
    )
    _whole(report, sizes, place, rebuilt)
    _packed(report, sizes, folder, place, rebuilt)
    _cost(report, folder, place)


def _rebuild(place: str, events: int) -> float:
    for name in ("index", "milestones"):
        shutil.rmtree(os.path.join(place, name), ignore_errors=True)
    checkpoint = os.path.join(place, "checkpoint")
    if os.path.exists(checkpoint):
        os.unlink(checkpoint)
    return run_program(_REBUILD, place, str(events))[0]


def _time_of(place: str, seq: int) -> str:
    from kugetsu.log import open_log
    from kugetsu.model import clock

    log = open_log(place, by=made_log.BY, now=clock.now)
    (event,) = log.read(seq - 1, seq)
    log.close()
    return str(event["at"])


def _command(home: str, seq: int) -> float:
    argv = [*runs.kugetsu(), "replay", "--until", str(seq)]
    began = time.perf_counter()
    subprocess.run(argv, env=runs.environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _whole(report: Report, sizes: Sizes, place: str, rebuilt: list[float]) -> None:
    """What changed between the first event and the last."""
    report.doing(f"comparing the ends of {sizes.large:,} events")
    taken, peak = run_program(_DIFF, place, str(sizes.large))
    what = f"diff of {sizes.large:,} events"
    report.add("travel", what, [taken], "s", reference="from the first", against=rebuilt)
    report.add("travel", f"{what}, peak memory", [peak], "MB", limit=100.0, absolute=True)


def _packed(report: Report, sizes: Sizes, folder: str, place: str, rebuilt: list[float]) -> None:
    """The same log as packed lines, as a bundle has them: every --from reads it once."""
    report.doing(f"reading {sizes.large:,} events from a packed file")
    path = os.path.join(folder, "packed.jsonl.gz")
    with gzip.open(path, "wb", compresslevel=3) as packed:
        for name in sorted(os.listdir(place)):
            if name.endswith(".jsonl"):
                with open(os.path.join(place, name), "rb") as segment:
                    shutil.copyfileobj(segment, packed)
    taken, peak = run_program(_FROM, path, str(sizes.large))
    os.unlink(path)
    what = f"--from a packed file of {sizes.large:,} events"
    report.add("travel", what, [taken], "s", reference="from the first", against=rebuilt)
    report.add("travel", f"{what}, peak memory", [peak], "MB", limit=150.0, absolute=True)


def _cost(report: Report, folder: str, place: str) -> None:
    """Writing one periodic snapshot, beside the durable appends after which one is due."""
    from kugetsu.domain.new_event import NewEvent
    from kugetsu.log import DomainProjection, open_log
    from kugetsu.log.files.engine import PERIODIC_EVERY
    from kugetsu.log.files.segments import Cursor
    from kugetsu.log.files.snapshots import store
    from kugetsu.model import clock

    projection = DomainProjection()
    log = open_log(place, by=made_log.BY, now=clock.now)
    state = log.state()
    write = functools.partial(store, folder, projection.VERSION, Cursor(), name="snapshot")
    snapshot = [_took(lambda: write(projection.dump(state))) for _ in range(20)]
    log.close()
    other = open_log(os.path.join(folder, "appended"), by=made_log.BY, now=clock.now)
    note = [NewEvent("setting.changed", {"key": "MAX_ATTEMPTS", "old": "3", "new": "4"})]
    one = statistics.median(_took(lambda: other.transact(lambda _: note)) for _ in range(400))
    other.close()
    report.add(
        "travel",
        f"a periodic snapshot, every {PERIODIC_EVERY:,} events",
        [1000 * took for took in snapshot],
        "ms",
        reference="the appends before it",
        against=[1000 * one * PERIODIC_EVERY],
        limit=0.01,
    )


def _took(work: object) -> float:
    assert callable(work)
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
