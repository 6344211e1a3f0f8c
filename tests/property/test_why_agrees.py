"""`why` and the dispatcher never differ: asked of random states, with every gate."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kugetsu.domain import gates
from kugetsu.domain.decide import claims
from kugetsu.domain.facts import ClaimFacts
from kugetsu.domain.scheduling import LINE, forecast
from kugetsu.domain.state import State
from kugetsu.views import gates as gate_words
from kugetsu.views.why import about_task
from property.simulation import World, random_commands, short_listing

if TYPE_CHECKING:
    from kugetsu.views.why import WhyTask


def answers(state: State, facts: ClaimFacts) -> dict[str, WhyTask]:
    """What `why` says of every task that waits, in their order."""
    return {
        task.id: about_task(task, None, forecast(state, task, facts, lambda _: 1.0), []) for task in state.waiting()
    }


def first_closed(answer: WhyTask) -> dict[str, object] | None:
    return next((gate for gate in answer["gates"] if not gate["open"]), None)


def compare(state: State, facts: ClaimFacts, seen: Counter[str]) -> None:
    planned = claims.plan(state, facts)
    said = answers(state, facts)
    told = {task_id: gate_words.data(verdict) for task_id, verdict in planned.held}
    open_ones = [task_id for task_id, answer in said.items() if first_closed(answer) is None]
    assert open_ones[:1] == ([planned.candidate] if planned.candidate else []), "the first open one is the candidate"
    for task_id, answer in said.items():
        closed = first_closed(answer)
        line, change = answer["line"], answer["next"]
        assert change is not None
        if closed is None:
            seen["open"] += 1
            assert change["kind"] == "now"
            assert line is not None
            assert task_id == planned.candidate or planned.candidate in line["before"]
            continue
        gate = str(closed["gate"])
        seen[gate] += 1
        held = state.tasks[task_id].held
        if task_id in told:
            assert closed == told[task_id], "the dispatcher records another reason"
        else:  # nothing new to tell: the same gate as before, or full for this reason and then for that
            assert gate == held or (gate in gates.FULL and (held in gates.FULL or _behind_full(said, task_id)))
        assert (line is not None) == (gate in LINE)
        assert (change["kind"] == "time") == (closed["until"] is not None)
        assert change["kind"] != "person" or change["lift"], f"{gate}: nothing changes and nobody knows what to do"
        looks_at = planned.next_look
        if change["at"] is not None:
            assert looks_at is not None and looks_at <= change["at"], "the dispatcher sleeps beyond what why promises"


def _behind_full(said: dict[str, WhyTask], task_id: str) -> bool:
    """Whether one before it in the queue waits for a full machine: only the next in line says so."""
    for other_id, answer in said.items():
        if other_id == task_id:
            return False
        closed = first_closed(answer)
        if closed is not None and closed["gate"] in gates.FULL:
            return True
    return False


#: What ends runs and waits before agents have done well twice on an issue.
DISTURBING = (
    "attach",
    "break_session",
    "cancel",
    "cancel_waiting",
    "change_limits",
    "change_machine",
    "clear",
    "dequeue",
    "destroy",
    "edit",
    "stop",
    "undo",
)


def history(seed: int) -> list[tuple[str, int, int]]:
    """Every third history is one in which agents do well again and again and bring nothing new: chance seldom lets
    them, and a command more in the simulation gives other histories."""
    commands = random_commands(seed, 400)
    if seed % 3:
        return commands
    kept = [one for one in commands if one[0] not in DISTURBING]
    return [(name, a, 1 if name == "finish" and a % 3 else b) for name, a, b in kept]


def test_why_and_the_dispatcher_never_differ() -> None:
    seen: Counter[str] = Counter()
    with short_listing(3):
        for seed in range(9):
            world = World()
            for _ in world.play(history(seed)):
                if seed % 3 == 0:
                    world.max_fruitless = world.max_fruitless or 1
                if seed % 3 == 1:
                    world.max_tokens = 30
                if seed % 3 == 2:
                    world.repository_caps = world.repository_caps or {"*": 1}
                dispatcher = "daemon" if world.state.daemon.state in ("running", "draining") else "none"
                compare(world.state, world.claim_facts(dispatcher), seen)
                compare(world.state, world.claim_facts("self"), seen)
    missing = {gate.__name__ for gate in gates.GATES} - seen.keys() - {"waiting"}
    assert not missing, f"the random states never closed {missing}"
    assert seen["open"] > 100
