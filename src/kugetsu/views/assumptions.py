"""What had to be assumed to live a record again, in sentences: only what was needed."""

from __future__ import annotations

from collections.abc import Iterator

from kugetsu.domain.simulation.comparison import Comparison
from kugetsu.domain.simulation.scenario import Scenario
from kugetsu.model.plural import counted
from kugetsu.views import times

#: Ids that a sentence names; of more it says how many there are.
NAMED = 4
_SECOND = 1_000_000

#: What was noted in the simulation (`simulation.Noted`), by its name: the sentence, with `{tasks}` and `{n}`.
_NOTED = {
    "repeated": "Attempts beyond the recorded ones ({tasks}) do again what the last recorded one of their task did.",
    "typical": "{tasks} never ran in the record: such a run is taken to start, to last and to use as the median of all "
    "that were done, and to be done.",
    "open": "What the runs of {tasks} would have come to nobody knows, as the record ends or somebody cancelled them: "
    "they are taken to last as the median of all that were done, or as long as was seen, and to be done.",
    "timed_out": "A session goes on where a time limit stopped it, so the next attempt does what was left ({tasks}).",
    "longer": "A run that was stopped at its time limit goes on, under the longer one, with what the next attempt did "
    "({tasks}).",
    "endless": "Runs that no recorded attempt finished ({tasks}) are taken to last until the time limit, however long "
    "it is.",
    "limited": "A run that comes into a usage limit stops there, and the next attempt does what was left ({tasks}).",
    "unlimited": "A run that no longer meets the usage limit that stopped it goes on with what the next attempt did "
    "({tasks}).",
    "rest": "Where no next attempt says how a run would have gone on ({tasks}), it lasts as the median of all that "
    "were done, and is done.",
    "shares": "A part of a run uses its part of the run's tokens and cost.",
    "start": "A `start` whose task cannot begin at once ({tasks}) queues it, as with --queue.",
    "forced": "{n} claims that the order of the queue does not explain are made at their recorded times, where they "
    "can be.",
    "late": "What people did about a task that it no longer has any effect on ({tasks}) is left out.",
    "kept": "A session that an agent works in by then, or that is not there yet ({tasks}), is not destroyed.",
}


def sentences(found: Comparison) -> list[str]:
    """The assumptions behind a comparison."""
    return [*_always(found), *_world(found.scenario), *_seen(found)]


def _always(found: Comparison) -> Iterator[str]:
    scenario = found.scenario
    usual = _short(scenario.usual_latency())
    yield (
        "Every attempt starts, lasts, uses and ends as the recorded one of its task and number, however many run "
        "beside it."
    )
    yield (
        f"A claim comes as long after its way is open as recorded; one that is not recorded takes the median ({usual})."
    )
    if found.measured.open:
        n = counted(len(found.measured.open), "task")
        yield f"{n} not finished when the record ends: both sides show them as they stand at that time."
    lives = found.simulation.ledger.lives
    never = sum(one.after is None and one.task in lives and lives[one.task].state is None for one in found.moved)
    if never:
        n = counted(never, "task")
        yield f"{n} would never begin: that counts as a wait until everything else has ended."


def _world(scenario: Scenario) -> Iterator[str]:
    spans = [until[0] - since[0] for since, until in scenario.pauses.spans if until[0] - since[0] >= _SECOND]
    if spans:
        n = "once" if len(spans) == 1 else f"{len(spans)} times"
        yield (
            f"{n.capitalize()}, for {times.duration(sum(spans) / _SECOND)} in all, nothing was started although it "
            "could have been: the dispatcher does not look then either."
        )
    if scenario.limits:
        n = counted(len(scenario.limits), "usage limit")
        yield (
            f"{n}: a fact of the agent and model from the time at which one was met until its stated end. Who runs "
            "then meets it, and who does not is not stopped."
        )
        if any(limit.resets_at is None for limit in scenario.limits):
            yield "A usage limit without a stated end is taken to have lasted until the recorded pause was over."
    known = scenario.known
    looked = [name for name in ("memory", "disk") if known.get(f"min_free_{name}_mb") and known.get(f"free_{name}_mb")]
    if looked:
        yield f"Free {' and '.join(looked)} is what was recorded at that time, however many agents run."
    if any(facts.get("agent_problems") for facts in (known, *(facts for _, _, facts in scenario.steps))):
        yield "Whether the agent could be started is what was recorded at that time."


def _seen(found: Comparison) -> Iterator[str]:
    noted = found.simulation.noted.tasks
    for name, sentence in _NOTED.items():
        tasks = list(dict.fromkeys(noted.get(name, ())))
        if tasks:
            yield sentence.format(tasks=_named(tasks), n=len(noted[name]))
    if found.simulation.stopped_early:
        yield "The simulation was stopped: there were far more attempts than are recorded."


def _short(micros: int) -> str:
    return f"{micros / 1000:.0f} ms" if micros < _SECOND else times.duration(micros / _SECOND)


def _named(tasks: list[str]) -> str:
    if len(tasks) <= NAMED:
        return ", ".join(tasks)
    return f"{', '.join(tasks[: NAMED - 1])} and {len(tasks) - NAMED + 1} more"
