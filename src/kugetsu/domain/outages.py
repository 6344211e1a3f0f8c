"""Outages: what the provider or the machine does to every task alike (a refused key, a program that is not there).

A usage limit ends at a time; an outage ends when somebody has fixed it, which kugetsu is not told. So the gate that it
closes (``provider`` or ``agent``) lets one attempt through at a time to probe it, with growing pauses in between. The
task of such an attempt uses none of its attempts up. The first attempt that gets further opens the gate.

An outage is kept among the usage limits of its agent and model (`State.limits`), as an entry that has ``outage``. Of
hosts that share a log, what keeps an agent from being started (the gate ``agent``) is that host's own, until another
one meets the like: the others go on, and their attempts neither probe nor end it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.facts import Ending, OutcomeFacts
    from kugetsu.domain.new_event import NewEvent
    from kugetsu.domain.state import Attempt, State, Task

#: The longest pause between two probes, in seconds: a fix must not go unnoticed for long.
LONGEST_PAUSE = 300.0
#: The shortest one: RETRY_BACKOFF_SECONDS may be 0, and a gate that is always probed holds nothing back.
SHORTEST_PAUSE = 1.0
#: Seconds after the gate's time in which the task that met the outage leaves the probe to another: if it was that
#: task's own fault after all, the first other one shows it, and nothing else is held back.
OTHERS_FIRST = 2.0

#: `Task.outage`: it met one that has not ended; or it met one that another task did not meet, so it is its own.
MET, OWN = "met", "own"


def of(state: State, label: str | None) -> dict[str, Any] | None:
    """The entry of the outage that holds back an agent and model; None when there is none."""
    entry = state.limits.get(label or "")
    return entry if entry is not None and "outage" in entry else None


def holds(entry: dict[str, Any], host: str | None) -> bool:
    """Whether an outage holds back what a host may start."""
    return entry["outage"].get("host") in (None, host)


def probe(state: State, label: str, entry: dict[str, Any]) -> Attempt | None:
    """The live attempt that probes whether the outage has ended: the first one claimed since it was last met."""
    tries = (
        one
        for one in state.attempts.values()
        if one.label == label and one.claimed > entry["seq"] and holds(entry, one.host)
    )
    return min(tries, key=lambda one: one.claimed, default=None)


def is_met(task: Task, verdict: str) -> bool:
    """True if an attempt that ended so met an outage, not a fault of its own task."""
    return verdict == "unavailable" and task.outage != OWN


def park(state: State, attempt: Attempt, ending: Ending, facts: OutcomeFacts) -> dict[str, Any]:
    """The data of ``task.parked`` for an attempt that met an outage. One that began before the present pause does not
    count as another: several running agents meet the same outage."""
    from kugetsu.model.clock import add_seconds

    label = attempt.label or facts["agent"]
    known = of(state, label)
    if known is not None and known["until"] > facts["now"]:
        times, until = known["outage"]["times"], known["until"]
    else:
        times = known["outage"]["times"] + 1 if known is not None else 1
        first = max(facts["backoff_seconds"], SHORTEST_PAUSE)
        # Doubled 64 times, any pause is past the longest; more would overflow a float.
        until = add_seconds(facts["now"], min(first * 2.0 ** min(times - 1, 64), LONGEST_PAUSE))
    outage = {"gate": ending.gate or "provider", "remedy": ending.remedy, "times": times, "until": until}
    if state.hosts and outage["gate"] == "agent" and not _met_elsewhere(state, attempt, known):
        outage["host"] = attempt.host
    return {
        "until": add_seconds(until, OTHERS_FIRST),
        "stated": False,
        "limit": label,
        "reason": ending.reason,
        "gate": "provider",
        "outage": outage,
    }


def _met_elsewhere(state: State, attempt: Attempt, known: dict[str, Any] | None) -> bool:
    """Whether an agent could not be started on another host either, that takes part; a provider tells of no host."""
    if known is None or known["outage"]["gate"] != "agent":
        return False
    host = state.hosts.get(known["outage"].get("host", ""))
    return host is None or (host.id != attempt.host and host.takes_part)


def ended_by(state: State, attempt: Attempt, ending: Ending, verdict: str, back: int) -> list[NewEvent]:
    """The end of an outage, when the attempt shows that it is over: the tasks that it parked go on. ``back`` is how
    many new_events lie between the attempt's end and the first of these."""
    entry = of(state, attempt.label)
    if entry is None or attempt.claimed <= entry["seq"] or not holds(entry, attempt.host):
        return []
    if not _gets_further(attempt, ending, verdict):
        return []
    from kugetsu.domain.new_event import NewEvent  # the gates, which `status` asks, need none

    about = {"gate": "provider", "subject": attempt.label, "why": "answered", "by": attempt.task}
    new_events = [NewEvent("hold.lifted", about, cause=-back)]
    for task in parked(state, attempt.label):
        new_events.append(
            NewEvent("task.resumed", {"why": "answered"}, issue=task.issue, task=task.id, cause=-len(new_events))
        )
    return new_events


def parked(state: State, label: str | None) -> list[Task]:
    """The tasks that what holds back an agent and model has parked."""
    return [task for task in state.waiting() if task.state == "parked" and task.parked_for == label]


def _gets_further(attempt: Attempt, ending: Ending, verdict: str) -> bool:
    """Whether the agent was started and its provider answered. A stop, a loss or a broken connection shows neither."""
    if attempt.state != "running":
        return False
    return ending.how == "succeed" or ending.tokens > 0 or verdict == "give_up"
