"""Compares the recorded history with a simulated one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from kugetsu.domain.events import Event
from kugetsu.domain.simulation.engine import Simulation
from kugetsu.domain.simulation.metrics import Measured, figures, first_wait
from kugetsu.domain.simulation.micros import SECOND, micros_of
from kugetsu.domain.simulation.overrides import Changes
from kugetsu.domain.simulation.recorder import Recorder, first_facts
from kugetsu.domain.simulation.scenario import Scenario
from kugetsu.domain.simulation.tally import Tally
from kugetsu.domain.simulation.user_actions import ACTS
from kugetsu.model.record import value

if TYPE_CHECKING:
    from kugetsu.domain.simulation.metrics import FigureData


@value
class Moved:
    """A task whose wait changed, in seconds; ``after`` is None if it no longer starts, ``before`` if it never did."""

    task: str
    issue: str | None
    before: float | None
    after: float | None


@value
class Check:
    """How well an unchanged simulation reproduces the record: whether the claims come in the same order, and the
    largest difference of a wait in seconds."""

    same_order: bool
    off: float


class Comparison:
    """The record, the changed simulation with its assumptions, and how well an unchanged one agrees with the record."""

    __slots__ = ("after", "before", "check", "measured", "moved", "scenario", "simulation")

    def __init__(
        self,
        scenario: Scenario,
        simulation: Simulation,
        measured: Measured,
        check: Check,
    ) -> None:
        self.scenario = scenario
        self.simulation = simulation
        self.measured = measured
        self.check = check
        self.before: FigureData = figures(scenario.tally, measured)
        self.after: FigureData = figures(simulation.tally, measured)
        self.moved = _moved(scenario.tally, simulation.tally, measured)


def record(read: Callable[[], Iterable[Event]], since: str | None = None) -> Scenario | None:
    """The scenario of the events that ``read`` returns (called twice); None if nothing was ever dispatched."""
    known = first_facts(read())
    if known is None:
        return None
    recorder = Recorder(known, since)
    for event in read():
        recorder.add(event)
    return recorder.finish()


def simulate(scenario: Scenario, changes: Changes) -> Simulation:
    """Run the scenario under changed settings until nothing is left to happen."""
    simulation = Simulation(scenario, changes, ACTS)
    simulation.run()
    return simulation


def queued_between(scenario: Scenario, since: str | None, until: str | None) -> list[str]:
    """The tasks that were queued from ``since`` to ``until``."""
    low = micros_of(since) if since is not None else None
    high = micros_of(until) if until is not None else None
    return [
        task
        for task, counts in scenario.tally.tasks.items()
        if (low is None or counts.queued >= low) and (high is None or counts.queued <= high)
    ]


def compare(scenario: Scenario, changes: Changes, tasks: Iterable[str]) -> Comparison:
    """The measured ``tasks`` as recorded and as simulated under ``changes``."""
    measured = Measured(scenario.tally, list(tasks), scenario.horizon)
    unchanged = simulate(scenario, Changes())
    check = agreement(scenario.tally, unchanged.tally, measured)
    return Comparison(scenario, simulate(scenario, changes), measured, check)


def agreement(real: Tally, simulated: Tally, measured: Measured) -> Check:
    """How far a simulation is from the record."""
    off = 0
    for task in measured.tasks:
        before = first_wait(task, real.tasks[task], measured)
        counts = simulated.tasks.get(task)
        after = first_wait(task, counts, measured) if counts is not None else None
        if before is None or after is None:
            off = off if before is after else max(off, measured.horizon - real.tasks[task].queued)
        else:
            off = max(off, abs(after - before))
    return Check(_order(real, measured) == _order(simulated, measured), off / SECOND)


def _order(tally: Tally, measured: Measured) -> list[tuple[str, int]]:
    return [(task, number) for task, number, at in tally.claims if at <= measured.horizon]


def _moved(real: Tally, simulated: Tally, measured: Measured) -> list[Moved]:
    """The tasks whose first wait changed, the most changed first; those that never start on one side come last."""
    return sorted(_changed(real, simulated, measured), key=_rank)


def _changed(real: Tally, simulated: Tally, measured: Measured) -> Iterator[Moved]:
    for task in measured.tasks:
        counts = simulated.tasks.get(task)
        before = first_wait(task, real.tasks[task], measured)
        after = first_wait(task, counts, measured) if counts is not None else None
        if before != after:
            yield Moved(task, real.tasks[task].issue, _in_seconds(before), _in_seconds(after))


def _rank(one: Moved) -> tuple[bool, float]:
    if one.before is None or one.after is None:
        return True, 0.0
    return False, -abs(one.after - one.before)


def _in_seconds(micros: int | None) -> float | None:
    return micros / SECOND if micros is not None else None
