"""Processes that somebody stopped (SIGSTOP): none of them holds a slot, or a command, for ever."""

from __future__ import annotations

import os
import signal

from kugetsu.model import clock
from kugetsu.runtime import daemon_control, reconcile, stop_attempt
from kugetsu.runtime.doctor import leftovers
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.process import identity
from runtime.stage import UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

#: An agent that stops its supervisor as soon as that is the supervisor.
STOPS_ITS_SUPERVISOR = """
while ! grep -q supervisor.py "/proc/$PPID/cmdline"; do sleep 0.02; done
kill -STOP "$PPID"
echo $$ > "$STAGE/agent"
exec sleep 600
"""


def test_a_stopped_supervisor_is_continued_past_the_time_limit_and_ends_its_agent(stage: Stage) -> None:
    stage.configure(TASK_TIMEOUT_HOURS="0.001", MAX_ATTEMPTS="1")
    stage.agent(STOPS_ITS_SUPERVISOR)
    stage.start_daemon()
    task = stage.enqueue(1)
    agent = stage.pid("agent")
    assert stage.finished(task) == "error"
    assert not identity.alive(agent)
    continued = stage.wait("attempt.continued")
    assert continued["seq"] < stage.wait("attempt.timed_out")["seq"]
    limit = 3600 * 0.001 + stage.ws.config.number("KILL_GRACE_SECONDS")
    assert clock.seconds_between(stage.wait("attempt.running")["at"], continued["at"]) > limit


def test_a_stopped_supervisor_within_the_time_limit_is_left_alone(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    runner = stage.state.attempts["q1.1"].runner
    assert runner is not None and identity.signal(runner, signal.SIGSTOP)
    stage.until(lambda: identity.stopped(runner))
    assert reconcile.stopped(stage.ws, stage.state) == []
    case = Context(stage.ws.paths, os.environ, "doctor")
    assert f"kill -CONT {runner['pid']}" in [one.fix for one in leftovers.check(case)]
    case.close()
    assert identity.signal(runner, signal.SIGCONT)
    stage.go()
    assert stage.finished("q1") == "completed"


def test_cancel_ends_the_attempt_of_a_stopped_supervisor(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    runner = stage.state.attempts["q1.1"].runner
    assert runner is not None and identity.signal(runner, signal.SIGSTOP)
    stop_attempt.cancel(stage.ws, "q1")
    assert stage.finished("q1") == "cancelled"


def test_an_agent_that_stopped_itself_is_ended_at_its_time_limit(stage: Stage) -> None:
    stage.configure(TASK_TIMEOUT_HOURS="0.0003", MAX_ATTEMPTS="1")
    stage.agent('echo $$ > "$STAGE/agent"; kill -STOP $$')
    stage.start(1)
    agent = stage.written_pid("agent")
    assert stage.finished("q1") == "error"
    assert stage.events("attempt.timed_out")
    assert identity.stat(agent) is None or identity.stat(agent).dead  # type: ignore[union-attr]


def test_a_stopped_daemon_can_be_stopped(stage: Stage) -> None:
    stage.start_daemon()
    who = stage.state.daemon.identity
    assert who is not None and identity.signal(who, signal.SIGSTOP)
    assert daemon_control.stop(stage.ws, drain=False)
    assert not identity.alive(who)
