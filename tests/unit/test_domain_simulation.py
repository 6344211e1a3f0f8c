"""What would have been under other settings, on queues so small that one knows."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain.decide import attempts, queue
from kugetsu.domain.facts import Ending
from kugetsu.domain.simulation import comparison
from kugetsu.domain.simulation.comparison import Comparison
from kugetsu.domain.simulation.metrics import Measured, figures, nearest_rank
from kugetsu.domain.simulation.micros import SECOND
from kugetsu.domain.simulation.overrides import Changes
from kugetsu.domain.simulation.scenario import Pauses
from kugetsu.domain.simulation.tally import Tally
from kugetsu.model import clock
from kugetsu.views import assumptions
from property.nights import Night
from property.simulation import AGENT, ISSUES

DONE = ("succeed", "done")
FAILED = ("fail", "retry")
TIMED_OUT = ("time_out", "retry")
LIMITED = ("fail", "limited")


class Script(Night):
    """Each task comes at a time, on an issue of its own; its attempts start at once, and run and end as it says:
    (seconds, end) or (seconds, end, seconds until the usage limit is over)."""

    def __init__(self, tasks: list[tuple[float, list[tuple[Any, ...]]]], *, cap: int = 1, **more: Any) -> None:
        super().__init__(0, **more)
        self.cap, self.cores, self.warmup = cap, 64, 0.0
        self.scripts = {f"q{number}": list(script) for number, (_, script) in enumerate(tasks, 1)}
        for at, _ in tasks:
            self.arrive(at)

    def do_arrive(self, subject: str) -> None:
        number = self.state.tasks_made + 1
        self.do(
            lambda state: queue.enqueue(
                state, kind="dev", issue=f"example.org/o/r{number % 2}#{number}", message="go", via="enqueue"
            )
        )

    def after(self, seconds: float, what: str, subject: str = "") -> None:
        task = subject.split(".")[0]
        if what == "run":
            seconds = 0.0
        elif what == "end":
            seconds = float(self.scripts[task][0][0])
        super().after(seconds, what, subject)

    def do_end(self, attempt: str) -> None:
        if attempt not in self.state.attempts:
            return
        _, (how, verdict), *resets = self.scripts[attempt.split(".")[0]].pop(0)
        ending = Ending(
            how,
            verdict,
            how,
            tokens=100,
            cost=1.0,
            evidence={"head": attempt},
            resets_at=clock.add_seconds(self.now, resets[0]) if resets and resets[0] else None,
        )
        facts = self.outcome_facts()
        self.do(lambda state: attempts.finish(state, attempt, ending, facts))

    def do_cancel_q(self, subject: str) -> None:
        self.do(lambda state: queue.cancel(state, subject, "cancelled"))


def tasks(*works: float, end: tuple[str, str] = DONE) -> list[tuple[float, list[tuple[Any, ...]]]]:
    return [(0.0, [(work, end)]) for work in works]


def what_if(script: Script, change: Changes) -> Comparison:
    events = script.live()
    scenario = comparison.record(lambda: events)
    assert scenario is not None
    found = comparison.compare(scenario, change, comparison.queued_between(scenario, None, None))
    assert found.check.same_order and found.check.off == 0
    return found


def under(**values: Any) -> Changes:
    changes = Changes()
    for name, value in values.items():
        if name in ("timeout_seconds", "other_cap", "named_caps", "priorities"):
            setattr(changes, name, value)
        else:
            changes.claim[name] = changes.outcome[name] = value
    return changes


def waits(found: Comparison) -> dict[str, float | None]:
    return {one.task: one.after for one in found.moved}


def said(found: Comparison) -> str:
    return "\n".join(assumptions.sentences(found))


def test_more_slots_let_tasks_begin_at_once() -> None:
    found = what_if(Script(tasks(100, 100, 100), cap=1), under(cap=3))
    assert (found.before["wait_p50"], found.before["wait_max"], found.before["makespan"]) == (100.0, 200.0, 300.0)
    assert (found.after["wait_p50"], found.after["wait_max"], found.after["makespan"]) == (0.0, 0.0, 100.0)
    assert [(one.task, one.before, one.after) for one in found.moved] == [("q3", 200.0, 0.0), ("q2", 100.0, 0.0)]
    assert found.before["slot_use"] == found.after["slot_use"] == 1.0
    assert found.after["tokens"] == 300


def test_fewer_slots_let_tasks_wait() -> None:
    found = what_if(Script(tasks(100, 100, 100), cap=3), under(cap=1))
    assert found.after["waiting_total"] == 300.0 and found.after["makespan"] == 300.0


@pytest.mark.parametrize("cut", [150, 1000])
def test_a_task_that_never_begins_does_not_wait_less_than_one_that_does(cut: int) -> None:
    script = Script(tasks(100, 100, 100), cap=1)
    events = [event for event in script.live() if event["at"] <= clock.add_seconds(script.memory.events[0]["at"], cut)]
    scenario = comparison.record(lambda: events)
    assert scenario is not None
    found = comparison.compare(scenario, under(cap=0), comparison.queued_between(scenario, None, None))
    assert found.check.same_order and found.check.off == 0
    assert found.before["waits"] == found.after["waits"] == 3
    end = 100.0 if cut == 150 else 300.0
    assert (found.before["wait_p50"], found.after["wait_p50"], found.after["wait_max"]) == (100.0, end, end)
    assert found.after["waiting_total"] == 3 * end
    assert {one.after for one in found.moved if one.before == 0.0} == {None}, "that it never begins is told as such"
    assert "would never start" in said(found)


def test_a_task_that_never_begins_waits_for_as_long_as_another_goes_on() -> None:
    """Both were done at 100 s in the record. Simulated the first ends at 500 s: the second has waited until then."""
    real, simulated = Tally(), Tally()

    def event(seconds: int, kind: str, task: str, **data: Any) -> dict[str, Any]:
        return {"seq": 1, "at": clock.from_micros(seconds * SECOND), "task": task, "type": kind, "data": data}

    for tally, end, claimed in ((real, 100, ("q1", "q2")), (simulated, 500, ("q1",))):
        for task in ("q1", "q2"):
            tally.see(event(0, "task.queued", task), 0)
        for task in claimed:
            tally.see(event(0, "attempt.claimed", task, number=1, slot=1) | {"attempt": f"{task}.1"}, 0)
            tally.see(event(end, "task.completed", task), end * SECOND)
    found = figures(simulated, Measured(real, ["q1", "q2"], 100 * SECOND))
    assert (found["waits"], found["wait_max"], found["waiting_total"]) == (2, 500.0, 500.0)


def test_a_cap_for_repositories_holds_the_rest_back() -> None:
    found = what_if(Script(tasks(100, 100, 100), cap=3), under(other_cap=1))
    assert waits(found) == {"q3": 100.0}, "q1 and q3 are of the same repository"
    found = what_if(Script(tasks(100, 100, 100), cap=3), under(named_caps={"example.org/o/r0": 1}))
    assert waits(found) == {}


def test_another_priority_puts_a_task_first() -> None:
    found = what_if(Script(tasks(100, 100, 100), cap=1), under(priorities={"q3": 5}))
    assert waits(found) == {"q3": 100.0, "q2": 200.0}
    found = what_if(Script(tasks(100, 100, 100), cap=1), under(priorities={"example.org/o/r1#3": 5}))
    assert waits(found) == {"q3": 100.0, "q2": 200.0}


def test_fewer_attempts_end_in_error_sooner() -> None:
    script = [(0.0, [(50, FAILED), (50, FAILED), (50, DONE)])]
    found = what_if(Script(script), under(max_attempts=2))
    assert (found.before["completed"], found.after["error"]) == (1, 1)
    assert (found.after["attempts"], found.after["retries"]) == (2, 1)


def test_attempts_that_never_were_do_what_the_last_one_did() -> None:
    script = [(0.0, [(50, FAILED), (50, FAILED), (60, FAILED)])]
    found = what_if(Script(script), under(max_attempts=5))
    assert found.after["attempts"] == 5 and found.after["error"] == 1
    assert found.after["makespan"] == 50 + 10 + 50 + 20 + 60 + 40 + 60 + 80 + 60
    assert "Attempts beyond the recorded ones (q1) repeat the last recorded attempt" in said(found)


def test_another_backoff_moves_the_next_attempt() -> None:
    found = what_if(Script([(0.0, [(50, FAILED), (50, DONE)])]), under(backoff_seconds=100.0))
    assert (found.before["makespan"], found.after["makespan"]) == (110.0, 200.0)


def test_a_shorter_time_limit_cuts_a_run_and_the_next_attempt_does_the_rest() -> None:
    found = what_if(Script(tasks(100)), under(timeout_seconds=60.0))
    assert (found.after["attempts"], found.after["completed"], found.after["makespan"]) == (2, 1, 60 + 10 + 40)
    assert found.after["tokens"] == 100, "the parts of a run use what it used"
    assert "resumes where a time limit stopped it" in said(found)
    found = what_if(Script(tasks(100)), under(timeout_seconds=30.0))
    assert (found.after["attempts"], found.after["error"]) == (3, 1)


def test_a_longer_time_limit_lets_a_run_do_what_the_next_attempt_did() -> None:
    found = what_if(Script([(0.0, [(60, TIMED_OUT), (40, DONE)])]), under(timeout_seconds=120.0))
    assert (found.after["attempts"], found.after["completed"], found.after["makespan"]) == (1, 1, 100.0)
    assert "continues, under the longer one, as the next attempt did (q1)" in said(found)


def test_a_run_that_nothing_finished_lasts_until_any_time_limit() -> None:
    script = [(0.0, [(60, TIMED_OUT)] * 3)]
    found = what_if(Script(script), under(timeout_seconds=300.0))
    assert (found.after["error"], found.after["makespan"]) == (1, 300 + 10 + 300 + 20 + 300)
    assert "last until the time limit" in said(found)


def test_the_time_limit_that_there_was_changes_nothing() -> None:
    found = what_if(Script([(0.0, [(60, TIMED_OUT), (40, DONE)])]), under(timeout_seconds=58.0))
    assert found.before == found.after


def test_a_run_that_is_over_before_a_usage_limit_does_not_meet_it() -> None:
    """q2 met a limit at 170; with a slot of its own it is done by then, for all that is known."""
    script = [(0.0, [(100, DONE)]), (0.0, [(70, LIMITED, 600), (20, DONE)])]
    found = what_if(Script(script), under(cap=2))
    assert (found.before["parks"], found.after["parks"]) == (1, 0)
    assert found.after["makespan"] == 100.0 and found.after["completed"] == 2
    assert "no longer meets the usage limit that stopped it" in said(found)


def test_a_run_that_comes_into_a_usage_limit_is_stopped_by_it() -> None:
    """q1 meets a limit at 100 that lasts until 700; q2 began after it, and with two slots begins before."""
    script = [(0.0, [(100, LIMITED, 600), (20, DONE)]), (0.0, [(300, DONE)])]
    found = what_if(Script(script, cap=1), under(cap=2))
    assert (found.before["parks"], found.after["parks"]) == (1, 2)
    assert found.after["makespan"] == 700 + 60 + 200, "100 s were done, the rest is done when the limit is over"
    assert "meets a usage limit stops there" in said(found)
    assert "1 usage limit: each applies to its agent" in said(found)


def test_another_pause_counts_for_a_limit_whose_end_nobody_said() -> None:
    script = [(0.0, [(100, LIMITED), (20, DONE)])]
    found = what_if(Script(script), under(pause_seconds=3600.0))
    assert (found.before["makespan"], found.after["makespan"]) == (100 + 1800 + 20, 100 + 3600 + 20)
    found = what_if(Script(script), under(pause_seconds=600.0))
    assert found.after["parks"] == 3, "the limit still holds at each earlier look"
    assert "without a stated end" in said(found)


def test_a_budget_holds_the_issues_tasks_back() -> None:
    script = Script([(0.0, [(50, FAILED), (50, DONE)])])
    found = what_if(script, under(issue_max_tokens=100))
    assert (found.after["attempts"], found.after["unfinished"]) == (1, 1)


def test_a_task_that_is_cancelled_while_it_waits_may_run_by_then() -> None:
    script = Script(tasks(100, 100), cap=1)
    script.after(60.0, "cancel_q", "q2")
    found = what_if(script, under(cap=2))
    assert (found.before["cancelled"], found.after["cancelled"]) == (1, 1)
    assert (found.before["attempts"], found.after["attempts"]) == (1, 2)
    assert waits(found) == {"q2": 0.0} and found.moved[0].before is None


def test_what_is_cancelled_too_late_is_left_out() -> None:
    """q3 never ran: with three slots it does, for 130 s, the median of the others, and is done before the cancel."""
    script = Script([*tasks(60, 200), (0.0, [])], cap=1)
    script.after(250.0, "cancel_q", "q3")
    found = what_if(script, under(cap=3))
    assert (found.before["cancelled"], found.after["completed"]) == (1, 3)
    assert "no longer have any effect on their task (q3)" in said(found)
    assert "q3 never ran in the record" in said(found)


def test_tasks_that_are_open_when_the_record_ends_are_shown_as_they_stand_then() -> None:
    script = Script(tasks(100, 100, 100), cap=1)
    events = [event for event in script.live() if event["at"] <= clock.add_seconds(script.memory.events[0]["at"], 150)]
    scenario = comparison.record(lambda: events)
    assert scenario is not None
    everything = comparison.queued_between(scenario, None, None)
    found = comparison.compare(scenario, under(cap=3), everything)
    assert found.check.off == 0 and len(found.measured.open) == 2
    assert (found.before["unfinished"], found.before["completed"]) == (2, 1)
    assert found.before["wait_max"] == 100.0, "the record ends with q2's claim: q3 has waited as long"
    assert "2 tasks not finished when the record ends" in said(found)


def test_a_start_that_finds_no_room_is_queued() -> None:
    script = Script(tasks(100), cap=2)
    script.scripts["q2"] = [(100, DONE)]
    script.after(10.0, "start_one")
    found = what_if(script, under(cap=1))
    assert waits(found) == {"q2": 90.0}
    assert "queues it, as with --queue" in said(found)


def _start_one(self: Script, subject: str) -> None:
    self.start(ISSUES.index("example.org/o/a#1"), 1)
    super(Script, self).after(0.0, "run", next(iter(reversed(self.state.attempts))))


Script.do_start_one = _start_one  # type: ignore[attr-defined]


def test_a_daemon_that_hangs_hangs_all_the_same() -> None:
    """Nothing was started for 300 s although a slot was free: five slots do not help."""
    script = Script(tasks(100), cap=1)
    script.now = clock.add_seconds(script.now, 0.0)
    script.agenda.sort()
    at, _, _, _ = script.agenda.pop(0)
    script.now = at
    script.do_arrive("")
    script.now = clock.add_seconds(script.now, 300.0)
    found = what_if_now(script, under(cap=5))
    assert (found.before["wait_max"], found.after["wait_max"]) == (300.0, 300.0)
    assert "Once, for 5m00s in total, nothing was started although it could have been" in said(found)


def test_an_agent_that_could_not_be_started_cannot_be_there_either() -> None:
    script = Script([(float(number), [(50.0, DONE)]) for number in range(0, 80, 20)], cap=1)
    script.after(10.0, "break")
    script.after(300.0, "mend")
    found = what_if(script, under(cap=4))
    assert waits(found) == pytest.approx({"q3": 260.0, "q4": 240.0}, abs=1.0), "with q2, when it is mended"
    assert "Whether the agent can be started is as recorded" in said(found)


def _break(self: Script, subject: str) -> None:
    self.agent_problems = {"dev": {"cause": "opencode is not installed", "remedy": "npm install -g opencode-ai"}}


def _mend(self: Script, subject: str) -> None:
    self.agent_problems = {}


Script.do_break = _break  # type: ignore[attr-defined]
Script.do_mend = _mend  # type: ignore[attr-defined]


def what_if_now(script: Script, change: Changes) -> Comparison:
    script.dispatch_all()
    return what_if(script, change)


def test_a_rank_is_a_value_that_was_measured() -> None:
    assert [nearest_rank([5, 1, 3], percent) for percent in (1, 33, 34, 50, 95, 100)] == [1, 1, 3, 3, 5, 5]
    assert nearest_rank([], 50) is None


@pytest.mark.parametrize(
    ("at", "over"),
    [(0, 0), (1, 4), (2, 4), (4, 4), (5, 9), (6, 9), (8, 9), (9, 9), (20, 20)],
)
def test_a_pause_is_over_at_its_end(at: int, over: int) -> None:
    pauses = Pauses()
    for since, until in ((5, 8), (1, 4), (6, 9), (2, 3)):
        pauses.add((since, 0), (until, 0))
    assert pauses.over((at, 0)) == (over, 0)


def test_the_end_of_a_pause_is_a_look_also_when_the_next_begins_with_it() -> None:
    pauses = Pauses()
    pauses.add((1, 0), (4, 7))
    pauses.add((4, 7), (9, 0))
    assert pauses.over((2, 0)) == (4, 7)
    assert pauses.over((4, 7)) == (9, 0)


def test_facts_are_changed_in_copies() -> None:
    changes = under(cap=7, other_cap=0, named_caps={"h/o/r": 2})
    recorded = {"cap": 3, "agent": AGENT, "repository_caps": {"*": 4}}
    facts = changes.of_claim(recorded)
    assert facts["cap"] == 7 and facts["repository_caps"] == {"h/o/r": 2} and recorded["cap"] == 3


def test_another_general_value_leaves_that_of_a_repository() -> None:
    changes = Changes(outcome={"max_attempts": 9, "pause_seconds": 5.0})
    recorded = {"max_attempts": 1, "pause_seconds": 60.0, "agent": "opencode:default"}
    assert changes.of_outcome(recorded, {}) == {**recorded, "max_attempts": 9, "pause_seconds": 5.0}
    assert changes.of_outcome(recorded, {"max_attempts": 1}) == {**recorded, "pause_seconds": 5.0}


def test_a_set_up_that_failed_is_parked_and_uses_no_attempt_as_in_reality() -> None:
    unready = ("fail", "unready")
    script = Script([(0.0, [(1, unready), (1, unready), (100, DONE)]), (0.0, [(10, DONE)])], cap=1)
    found = what_if(script, under(max_attempts=1))  # what_if itself holds the replay against the record
    assert found.after["makespan"] == found.before["makespan"]
