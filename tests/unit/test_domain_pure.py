"""The domain is pure at run time: it opens no file or socket, starts no process, and imports no layer above it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]

#: Runs all of the domain on logs that were read before, then on a night that is played under the watch.
WATCHED = r"""
import json, sys

import transitions  # the state machines import it late
from itertools import islice
from pathlib import Path

LOGS = [
    [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for path in sorted(Path("fixtures/logs").glob("*/*.jsonl"))
]
assert LOGS
from property.simulation import World, folded, random_commands
from kugetsu.domain import causes, changes, gates, invariants, recorded_facts, scheduling, timeline, traces
from kugetsu.domain.audit.checks import Checks
from kugetsu.domain.audit.counters import recount
from kugetsu.domain.audit.races import Races
from kugetsu.domain.audit.retries import Retries
from kugetsu.domain.audit.waits import Waits
from kugetsu.domain.decide import undo
from kugetsu.domain.events import upcast
from kugetsu.domain.fold import fold
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.simulation.comparison import compare, queued_between, record
from kugetsu.domain.simulation.overrides import Changes
from kugetsu.domain.state import empty
from kugetsu.model.errors import KugetsuError

LOWER = ("domain", "model")
FORBIDDEN = ("open", "os.", "socket.", "subprocess.", "shutil.", "tempfile.", "pty.", "fcntl.", "signal.", "mmap.")
COMPILED = (".py", ".pyc", ".so")
above = [name for name in sys.modules if name.startswith("kugetsu.") and name.split(".")[1] not in LOWER]
assert not above, f"importing the domain imports {above}"


def watch(event, arguments):
    if event == "import" and arguments[0].startswith("kugetsu.") and arguments[0].split(".")[1] not in LOWER:
        raise AssertionError(f"the domain imports {arguments[0]}")
    if not event.startswith(FORBIDDEN) or not watching:
        return
    if event in ("open", "os.listdir") and (str(arguments[0]).endswith(COMPILED) or arguments[0] in sys.path):
        return  # the standard library, imported late
    raise AssertionError(f"the domain does {event} {arguments}")


def everything(events):
    events = [{"by": {}, **upcast(event)} for event in events]
    state, at = empty(), events[0]["at"]
    checker = ReplayChecker(lambda seq: folded(events[:seq]), "1", explained=2)
    parts = [Checks(empty()), Races(), Retries(empty(), at), Waits(empty(), at, None)]
    spans = traces.Traces(str, lambda code, values: code)
    compared = changes.Comparison(empty())
    facts, before = None, empty()
    for event in events:
        try:
            undone = undo.described(event, before, event["at"])
            undo.compensate(state, [undone])
        except KugetsuError:
            pass
        for part in parts:
            part.add(event)
        checker.add(event)
        spans.add(event)
        compared.add(event)
        fold(state, event)
        fold(before, event)
        invariants.broken(state)
        if recorded_facts.decided(event):
            facts = event["facts"]
        if facts is not None and event["seq"] % 7 == 0:
            then = recorded_facts.facts_then(facts, state, event["at"]) | {"set_back": gates.set_back(state, at)}
            scheduling.next_start(state, state.waiting(), then, ("slots",))
            for task in state.tasks.values():
                scheduling.forecast(state, task, then, lambda _: 1.0)
    parts[2].end(at), parts[3].end(events[-1]["at"])
    compared.changes(), recount(lambda: events)
    timeline.collect(empty(), events, at, events[-1]["at"])
    by_seq = {event["seq"]: event for event in events}
    keyed = lambda key: [one for one in events if key in (one.get("task"), one.get("issue"))]
    reader = causes.Reader(by_seq.get, keyed)
    for event in islice(events, 0, None, 11):
        causes.back(event, reader), causes.forward(event, reader, events)
    scenario = record(lambda: events)
    if scenario is not None:
        compare(scenario, Changes(claim={"cap": 1}), queued_between(scenario, None, None))
    return state


watching = True
sys.addaudithook(watch)
for log in LOGS:
    everything(log)
world = World()
# A retry of a task that has left the state begins with a look into the log.
commands = [(name, a, b) for name, a, b in random_commands(3, 600) if name != "retry" or b % 5]
for _ in world.play(commands):
    pass
state = everything(world.memory.events)
assert state.tasks
watching = False
print("pure")
"""


def test_the_domain_touches_nothing_outside_of_it() -> None:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    ran = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED],
        cwd=TESTS,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "pure\n"), ran.stderr[-3000:]
