"""The event log: can it be read, does it verify, does it hold what this kugetsu does not know."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

from kugetsu.domain import invariants
from kugetsu.domain.events import CATALOGUE
from kugetsu.runtime import usage_repair
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Fix, Found

WHOLE_BYTES = 8 << 20
"""A log up to this size is verified whole (a tenth of a second); of a longer one the events since the checkpoint."""
LATEST = 2000
"""Events at the end that are looked at for what a newer kugetsu wrote."""

found = Found("log")


def check(case: Context) -> Iterator[Finding]:
    """The findings."""
    if not case.has_log:
        yield found.problem("exists", "there is no log", "kugetsu init")
        return
    state = case.state()
    if state is None:
        problem = case.state_problem()
        assert problem is not None
        yield found.problem("readable", problem.message, problem.hint or "kugetsu log verify")
        return
    if not state.initialised:
        yield found.problem("exists", "the log is there, but kugetsu init was not run", "kugetsu init")
    yield from _lines(case)
    yield from _meaning(case)
    yield from _counters(case)


def _lines(case: Context) -> Iterator[Finding]:
    log = case.ws.log
    size = _bytes(case)
    if size > WHOLE_BYTES:
        yield found.ok(
            "verify", f"{log.head().seq} events, {size >> 20} MB, the latest verify (all: kugetsu log verify)"
        )
        return
    checked = log.verify()
    for problem in checked.problems[:5]:
        said = f"event {problem.seq or '?'}, {problem.segment} byte {problem.offset}: {problem.text}"
        yield found.problem("verify", said, "kugetsu log verify")
    if checked.torn is not None:
        mend = Fix("kugetsu log repair", log.repair)
        said = f"an unfinished write of {checked.torn.bytes} bytes is at its end"
        yield found.warning("torn", said, "kugetsu log repair", mend)
    if checked.ok:
        yield found.ok("verify", f"{checked.count} event{'' if checked.count == 1 else 's'} verify")


def _bytes(case: Context) -> int:
    folder = case.paths.log
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(".jsonl"))


def _meaning(case: Context) -> Iterator[Finding]:
    state = case.state()
    assert state is not None
    newer: dict[str, int] = {}
    for event in case.ws.log.read(after=max(0, state.seq - LATEST)):
        kind = CATALOGUE.get(event["type"])
        if kind is None or event["v"] > kind.version:
            newer.setdefault(event["type"], event["seq"])
    if newer:
        names = ", ".join(f"{name} (event {seq})" for name, seq in list(newer.items())[:3])
        yield found.warning("version", f"a newer kugetsu wrote what this one does not know: {names}", "update kugetsu")
    for text in invariants.broken(state):
        yield found.problem("invariants", f"what must always hold does not: {text}", "kugetsu log verify")
    if state.violations:
        first = state.violations[0]
        said = f"{state.violations_seen} events were refused, the first is event {first['seq']}: {first['text']}"
        yield found.warning("refused", said, "kugetsu log verify")


def _counters(case: Context) -> Iterator[Finding]:
    """Issues whose budgets are held against counters that are not those of their history."""
    for one in usage_repair.miscounted(case.ws):
        mend = Fix(f"count what was used on {one.issue} from its history", partial(usage_repair.correct, case.ws, one))
        yield found.problem("counters", one.text(), "kugetsu doctor --fix", mend)
