"""The assumptions behind a simulation, in sentences: only those that it needed."""

from __future__ import annotations

from collections.abc import Iterator

from kugetsu.domain.simulation.comparison import Comparison
from kugetsu.domain.simulation.scenario import Scenario
from kugetsu.model.plural import counted
from kugetsu.views import times

#: Ids that a sentence names; the rest are counted.
NAMED = 4
_SECOND = 1_000_000

#: The sentence for each assumption that the simulation noted (`engine.Noted`), with `{tasks}` and `{n}`.
_NOTED = {
    "repeated": "Attempts beyond the recorded ones ({tasks}) repeat the last recorded attempt of their task.",
    "typical": "{tasks} never ran in the record: each such run takes the median start-up, duration and usage of all "
    "completed runs, and completes.",
    "open": "The outcome of the runs of {tasks} is unknown, because the record ends or they were cancelled: each takes "
    "the median duration of all completed runs, or the observed one if longer, and completes.",
    "timed_out": "A session resumes where a time limit stopped it, so the next attempt does the rest ({tasks}).",
    "longer": "A run that was stopped at its time limit continues, under the longer one, as the next attempt did "
    "({tasks}).",
    "endless": "Runs that no recorded attempt finished ({tasks}) last until the time limit, however long it is.",
    "limited": "A run that meets a usage limit stops there, and the next attempt does the rest ({tasks}).",
    "unlimited": "A run that no longer meets the usage limit that stopped it continues as the next attempt did "
    "({tasks}).",
    "rest": "Where no next attempt shows how a run would have continued ({tasks}), it takes the median duration of all "
    "completed runs, and completes.",
    "shares": "A part of a run uses the same part of the run's tokens and cost.",
    "start": "A `start` whose task cannot start at once ({tasks}) queues it, as with --queue.",
    "forced": "{n} claims that the order of the queue does not explain are made at their recorded times if possible.",
    "late": "User actions that no longer have any effect on their task ({tasks}) are skipped.",
    "kept": "A session that an agent is working in by then, or that does not exist yet ({tasks}), is not destroyed.",
}


def sentences(found: Comparison) -> list[str]:
    """The assumptions behind a comparison."""
    return [*_always(found), *_world(found.scenario), *_seen(found)]


def _always(found: Comparison) -> Iterator[str]:
    scenario = found.scenario
    usual = _short(scenario.usual_latency())
    yield (
        "Every attempt takes the start-up, duration, usage and outcome of the recorded one of its task and number, "
        "however many others run at the same time."
    )
    yield (
        f"A claim follows the opening of its gates after the recorded delay; without a record, after the median "
        f"({usual})."
    )
    if found.measured.open:
        n = counted(len(found.measured.open), "task")
        yield f"{n} not finished when the record ends: both columns show them as of that time."
    tasks = found.simulation.tally.tasks
    never = sum(one.after is None and one.task in tasks and tasks[one.task].state is None for one in found.moved)
    if never:
        n = counted(never, "task")
        yield f"{n} would never start: that counts as a wait until everything else has ended."


def _world(scenario: Scenario) -> Iterator[str]:
    spans = [until[0] - since[0] for since, until in scenario.pauses.spans if until[0] - since[0] >= _SECOND]
    if spans:
        n = "once" if len(spans) == 1 else f"{len(spans)} times"
        yield (
            f"{n.capitalize()}, for {times.duration(sum(spans) / _SECOND)} in total, nothing was started although it "
            "could have been: the simulated dispatcher starts nothing then either."
        )
    if scenario.limits:
        n = counted(len(scenario.limits), "usage limit")
        yield (
            f"{n}: each applies to its agent and model from the time it was met until its stated end. A run in that "
            "time meets it; no other run is stopped."
        )
        if any(limit.resets_at is None for limit in scenario.limits):
            yield "A usage limit without a stated end lasts until the recorded pause ended."
    known = scenario.known
    resources = [
        name for name in ("memory", "disk") if known.get(f"min_free_{name}_mb") and known.get(f"free_{name}_mb")
    ]
    if resources:
        yield f"Free {' and '.join(resources)} is as recorded at that time, however many agents run."
    if any(facts.get("agent_problems") for facts in (known, *(facts for _, _, facts in scenario.steps))):
        yield "Whether the agent can be started is as recorded at that time."


def _seen(found: Comparison) -> Iterator[str]:
    noted = found.simulation.noted.tasks
    for name, sentence in _NOTED.items():
        tasks = list(dict.fromkeys(noted.get(name, ())))
        if tasks:
            yield sentence.format(tasks=_named(tasks), n=len(noted[name]))
    if found.simulation.stopped_early:
        yield "The simulation was stopped: it made far more attempts than are recorded."


def _short(micros: int) -> str:
    return f"{micros / 1000:.0f} ms" if micros < _SECOND else times.duration(micros / _SECOND)


def _named(tasks: list[str]) -> str:
    if len(tasks) <= NAMED:
        return ", ".join(tasks)
    return f"{', '.join(tasks[: NAMED - 1])} and {len(tasks) - NAMED + 1} more"
