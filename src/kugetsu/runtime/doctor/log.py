"""The event log: whether it can be read, verifies, and holds only what this kugetsu knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

from kugetsu.domain import invariants
from kugetsu.domain.events import CATALOGUE
from kugetsu.model.plural import counted
from kugetsu.runtime import usage_repair
from kugetsu.runtime.doctor import shared_log
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Fix, Found

WHOLE_BYTES = 8 << 20
"""A log up to this size is verified whole (a tenth of a second); of a longer one the events since the snapshot."""
LATEST = 2000
"""Events at the end that are searched for what a newer kugetsu wrote."""

found = Found("log")


def check(context: Context) -> Iterator[Finding]:
    """The findings."""
    if not context.has_log:
        yield found.problem("exists", "there is no log", "kugetsu init")
        return
    yield from shared_log.check(context)
    state = context.state()
    if state is None:
        problem = context.state_problem()
        assert problem is not None
        yield found.problem("readable", problem.message, problem.hint or "kugetsu log verify")
        return
    if not state.initialised:
        yield found.problem("exists", "the log exists, but kugetsu init was not run", "kugetsu init")
    yield from _lines(context)
    yield from _meaning(context)
    yield from _counters(context)


def _lines(context: Context) -> Iterator[Finding]:
    log = context.ws.log
    size = _bytes(context)
    if size > WHOLE_BYTES:
        yield found.ok(
            "verify",
            f"{counted(log.head().seq, 'event')}, {size >> 20} MB, the latest verify (all: kugetsu log verify)",
        )
        return
    checked = log.verify()
    for problem in checked.problems[:5]:
        text = f"event {problem.seq or '?'}, {problem.segment} byte {problem.offset}: {problem.text}"
        yield found.problem("verify", text, "kugetsu log verify")
    if checked.torn is not None:
        repair = Fix("kugetsu log repair", log.repair)
        text = f"an unfinished write of {counted(checked.torn.bytes, 'byte')} at its end"
        yield found.warning("torn", text, "kugetsu log repair", repair)
    if checked.ok:
        yield found.ok("verify", f"{counted(checked.count, 'event')} verify")


def _bytes(context: Context) -> int:
    folder = context.paths.log
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(".jsonl"))


def _meaning(context: Context) -> Iterator[Finding]:
    state = context.state()
    assert state is not None
    newer: dict[str, int] = {}
    for event in context.ws.log.read(after=max(0, state.seq - LATEST)):
        kind = CATALOGUE.get(event["type"])
        if kind is None or event["v"] > kind.version:
            newer.setdefault(event["type"], event["seq"])
    if newer:
        names = ", ".join(f"{name} (event {seq})" for name, seq in list(newer.items())[:3])
        yield found.warning("version", f"written by a newer kugetsu, unknown to this one: {names}", "update kugetsu")
    for text in invariants.broken(state):
        yield found.problem("invariants", f"an invariant is broken: {text}", "kugetsu log verify")
    if state.violations:
        first = state.violations[0]
        refused = counted(state.violations_seen, "event")
        text = f"{refused} refused by a state machine, first event {first['seq']}: {first['text']}"
        yield found.warning("refused", text, "kugetsu log verify")


def _counters(context: Context) -> Iterator[Finding]:
    """Issues whose recorded usage differs from their history."""
    for one in usage_repair.miscounted(context.ws):
        repair = Fix(
            f"count what was used on {one.issue} from its history", partial(usage_repair.correct, context.ws, one)
        )
        yield found.problem("counters", one.text(), "kugetsu doctor --fix", repair)
