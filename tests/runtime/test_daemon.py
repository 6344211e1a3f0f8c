"""The daemon: one at a time, killed and started again it finds its agents, settings act, it never spins."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from kugetsu.domain.decide import daemon as decide_daemon
from kugetsu.domain.decide import sessions
from kugetsu.model.errors import Conflict, KugetsuError
from kugetsu.runtime import daemon_control, initialisation, reconcile, submit
from kugetsu.runtime.daemon import take_over
from kugetsu.runtime.process import identity
from kugetsu.runtime.workspace import open_workspace
from runtime.stage import PATIENCE, SOURCE, UNTIL_GO, Stage, bare_stage, stage
from runtime.supervised import eventually

__all__ = ["bare_stage", "stage"]

START = """
import os, sys
from kugetsu.runtime import daemon_control
from kugetsu.runtime.workspace import open_workspace
ws = open_workspace(os.environ, "starter")
sys.stdin.readline()
print(*daemon_control.start(ws))
"""


def daemon_log(stage: Stage) -> str:
    return (stage.directory / "logs" / "daemon.log").read_text()


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_it_runs_once_however_often_it_is_started(stage: Stage) -> None:
    pid = stage.start_daemon()
    assert daemon_control.start(stage.ws) == (False, pid)
    assert daemon_control.status(stage.ws).state == "running"
    assert len(stage.events("daemon.started")) == 1


def test_starts_at_the_same_moment_give_one_daemon(stage: Stage) -> None:
    starters = [stage.python(START, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(6)]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write(b"go\n")
        starter.stdin.flush()
    said = [starter.communicate()[0].split() for starter in starters]
    assert sorted(one[0] for one in said) == [b"False"] * 5 + [b"True"]
    assert len({one[1] for one in said}) == 1, "all name the same pid"
    assert len(stage.events("daemon.started")) == 1


def test_it_does_not_start_before_init(bare_stage: Stage) -> None:
    bare_stage.configure()
    with pytest.raises(KugetsuError) as refused:
        daemon_control.start(bare_stage.ws)
    assert refused.value.hint == "kugetsu init"


def test_it_says_why_it_does_not_start(stage: Stage) -> None:
    assert stage.state.initialised  # opened while the settings could be read
    with open(stage.directory / "config", "a") as file:
        file.write("MAX_CONCURRENT_AGENTS=many\n")
    with pytest.raises(KugetsuError, match=r"MAX_CONCURRENT_AGENTS=.*many"):
        daemon_control.start(stage.ws)


def test_killed_and_started_again_it_finds_its_agents_running(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="2")
    stage.agent('echo "$KUGETSU_ATTEMPT" >> "$STAGE/starts"\n' + UNTIL_GO)
    stage.start_daemon()
    tasks = [stage.enqueue(number) for number in (1, 2, 3)]
    for task in tasks[:2]:
        stage.at_work(f"{task}.1")
    agents = [attempt.agent for attempt in stage.state.attempts.values()]
    stage.kill_daemon()
    assert daemon_control.status(stage.ws).state == "lost"
    assert all(agent is not None and identity.alive(agent) for agent in agents)
    stage.start_daemon()
    assert stage.wait("daemon.lost")
    assert set(stage.state.attempts) == {"q1.1", "q2.1"}, "their slots stay counted"
    stage.go()
    assert [stage.finished(task) for task in tasks] == ["completed"] * 3
    assert sorted(stage.file("starts").split()) == ["q1.1", "q2.1", "q3.1"]


def test_an_agent_that_ended_while_no_daemon_ran_is_recorded_by_its_runner(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.at_work(f"{task}.1")
    stage.kill_daemon()
    stage.go()
    assert stage.finished(task) == "completed"


def test_a_stop_leaves_agents_running(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.at_work(f"{task}.1")
    assert daemon_control.stop(stage.ws, drain=False)
    assert daemon_control.status(stage.ws).state == "stopped"
    agent = stage.state.attempts[f"{task}.1"].agent
    assert agent is not None and identity.alive(agent)
    assert not daemon_control.stop(stage.ws, drain=False), "there is none to stop now"
    stage.go()
    assert stage.finished(task) == "completed"


def test_a_daemon_that_is_stopped_as_soon_as_it_stands_ends_in_order(stage: Stage) -> None:
    # What it imports once it stands takes until the test has seen it in the log and asked it to stop.
    waits = 'while not os.path.exists(os.environ["STAGE"] + "/go"): time.sleep(0.01)'
    code = (
        "import os, time\nfrom kugetsu.runtime import daemon\n"
        f"def preload():\n    {waits}\n"
        "daemon._preload = preload\ndaemon.main()\n"
    )
    daemon = stage.python(code, stdout=subprocess.DEVNULL)
    stage.wait("daemon.started")
    daemon.terminate()
    stage.go()
    assert daemon.wait() == 0
    assert stage.wait("daemon.stopped")["data"]["reason"] == "SIGTERM"


def test_a_drain_starts_nothing_new_and_waits_for_what_runs(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    first, second = stage.enqueue(1), stage.enqueue(2)
    stage.at_work(f"{first}.1")
    drain = stage.python(START.replace("*daemon_control.start(ws)", "daemon_control.stop(ws, drain=True)"), stdin=-3)
    stage.wait("daemon.draining")
    assert drain.poll() is None
    stage.wait("task.held", task=second)
    stage.go()
    assert drain.wait() == 0
    assert stage.wait("daemon.stopped")["seq"] > stage.wait("task.completed", task=first)["seq"]
    assert stage.state.tasks[second].state == "pending"
    assert not stage.events("attempt.claimed", task=second)


def test_a_restart_is_a_new_process_that_goes_on(stage: Stage) -> None:
    first = stage.start_daemon()
    started, second = daemon_control.restart(stage.ws)
    assert started and first != second
    assert stage.finished(stage.enqueue(1)) == "completed"


@pytest.mark.parametrize("how", ["edited", "config set"])
def test_a_raised_cap_acts_at_once(stage: Stage, how: str) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1", QUEUE_DAEMON_INTERVAL_MINUTES="60")
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    tasks = [stage.enqueue(number) for number in (1, 2)]
    stage.at_work(f"{tasks[0]}.1")
    stage.wait("task.held", task=tasks[1])
    stage.configure(MAX_CONCURRENT_AGENTS="2")
    if how == "config set":
        stage.ws.log.transact(lambda state: sessions.setting_changed("MAX_CONCURRENT_AGENTS", "1", "2"))
    stage.at_work(f"{tasks[1]}.1")
    assert len(stage.state.attempts) == 2


def test_a_lowered_cap_ends_nobody_and_holds_the_next(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="2")
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    tasks = [stage.enqueue(number) for number in (1, 2)]
    for task in tasks:
        stage.at_work(f"{task}.1")
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    third = stage.enqueue(3)
    # By the cap of before, when the daemon had read its settings and was about to look.
    assert stage.wait("task.held", task=third)["data"]["gate"] == "slots"
    stage.go()
    assert [stage.finished(task) for task in [*tasks, third]] == ["completed"] * 3
    claimed = stage.wait("attempt.claimed", task=third)
    assert (claimed["facts"]["cap"], claimed["data"]["live"]) == (1, [])


def replace(path: Path, text: str) -> None:
    """Write a file at once: a daemon that looks in the middle would see an empty one."""
    new = path.with_name("config.new")
    new.write_text(text)
    new.rename(path)


def test_a_broken_settings_file_leaves_the_last_good_settings_in_force(stage: Stage) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1", QUEUE_DAEMON_INTERVAL_MINUTES="0.005")
    stage.agent(UNTIL_GO)
    pid = stage.start_daemon()
    good = (stage.directory / "config").read_text()
    replace(stage.directory / "config", good + "this is nonsense\n")
    stage.until(lambda: "this is nonsense" in daemon_log(stage) or ":8" in daemon_log(stage))
    tasks = [stage.enqueue(number) for number in (1, 2)]
    stage.at_work(f"{tasks[0]}.1")
    assert stage.wait("task.held", task=tasks[1])["facts"]["cap"] == 1
    before = daemon_log(stage)
    ticks = cpu_ticks(pid)
    assert not stage.ws.log.wait(stage.ws.log.head().seq, 2.0)
    assert daemon_log(stage) == before, "it is said once, not at every tick"
    assert cpu_ticks(pid) - ticks < 100, "less than half of the time is spent: it does not spin"
    replace(stage.directory / "config", good)
    stage.until(lambda: "can be read again" in daemon_log(stage))
    stage.go()
    assert [stage.finished(task) for task in tasks] == ["completed", "completed"]


def test_an_agent_that_ends_while_the_settings_are_broken_is_concluded(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.at_work(f"{task}.1")
    (stage.directory / "config").write_text("this is nonsense\n")
    stage.go()
    assert stage.finished(task) == "completed"


def test_an_idle_daemon_appends_nothing_and_hardly_works(stage: Stage) -> None:
    stage.configure(QUEUE_DAEMON_INTERVAL_MINUTES="0.002")
    pid = stage.start_daemon()
    assert stage.finished(stage.enqueue(1)) == "completed"
    stage.until(lambda: "started" in daemon_log(stage))
    head = stage.ws.log.head().seq
    ticks = cpu_ticks(pid)
    assert not stage.ws.log.wait(head, 2.0)
    assert cpu_ticks(pid) - ticks < 50


#: As on a disk that reports errors: what a supervisor wrote cannot be read while the file `broken` is there.
UNREADABLE = """
import os
def failing(path, *arguments, really=os.open, **named):
    if str(path).endswith("/ended") and os.path.exists(os.environ["STAGE"] + "/broken"):
        raise OSError(5, "Input/output error", path)
    return really(path, *arguments, **named)
os.open = failing
"""


def test_an_attempt_that_cannot_be_settled_does_not_stop_the_others(stage: Stage) -> None:
    stage.at_start_up(UNREADABLE)
    stage.agent('case "$NUMBER" in 1) touch "$STAGE/one"; sleep 60;; esac')
    stage.start_daemon()
    stuck = stage.enqueue(1)
    stage.file("one")
    stage.wait("attempt.running", task=stuck)
    (stage.folder / "broken").touch()
    stage.kill(stage.state.attempts[f"{stuck}.1"].runner)
    stage.until(lambda: "cannot be recorded" in daemon_log(stage))
    assert stage.finished(stage.enqueue(2)) == "completed"
    assert stage.state.attempts, "its slot stays held: nobody knows yet how it ended"
    assert "Input/output error" in stage.wait("attempt.unsettled", task=stuck)["data"]["reason"]
    (stage.folder / "broken").unlink()
    stage.wait("attempt.lost", task=stuck)
    stage.agent("exit 0")


def test_a_drain_that_is_stopped_ends_at_once(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    task = stage.enqueue(1)
    stage.at_work(f"{task}.1")
    stage.python(START.replace("*daemon_control.start(ws)", "daemon_control.stop(ws, drain=True)"), stdin=-3)
    stage.wait("daemon.draining")
    assert daemon_control.stop(stage.ws, drain=False)
    assert stage.state.attempts
    assert eventually(lambda: daemon_control.status(stage.ws).state == "stopped")


def test_a_daemon_started_inside_of_an_agent_outlives_it_and_dispatches(stage: Stage) -> None:
    stage.agent('case "$NUMBER" in 1) "$PYTHON" -P -c "$START" < /dev/null > "$STAGE/daemon" && sleep 60;; esac\n')
    import sys

    stage.monkeypatch.setenv("PYTHON", sys.executable)
    stage.monkeypatch.setenv("START", START)
    first = submit.start(stage.ws, stage.ref(1), "start it")
    stage.until(lambda: daemon_control.status(stage.ws).running)
    stage.wait("attempt.running", attempt=first.attempt)
    stage.until(lambda: stage.file("daemon").strip())
    from kugetsu.runtime import stop_attempt

    stop_attempt.cancel(stage.ws, first.task)
    assert stage.finished(first.task) == "cancelled"
    assert daemon_control.status(stage.ws).running
    # The attempt's own goes after its end was recorded.
    stage.until(lambda: os.listdir(stage.ws.paths.leases) == [stage.state.daemon.lease])
    assert stage.finished(stage.enqueue(2)) == "completed"


@pytest.mark.parametrize("draining", [False, True])
def test_a_daemon_whose_lease_was_deleted_takes_another_one_and_goes_on(stage: Stage, draining: bool) -> None:
    stage.agent(UNTIL_GO)
    pid = stage.start_daemon()
    stage.enqueue(1)
    stage.at_work("q1.1")
    if draining:
        stage.ws.log.transact(lambda state: decide_daemon.drain(state, "test"))
    before = stage.state.daemon.lease
    shutil.rmtree(stage.ws.paths.leases)
    stage.enqueue(2)  # which wakes it
    stage.until(lambda: stage.state.daemon.lease != before)
    now = daemon_control.status(stage.ws)
    assert (now.state, now.pid) == ("draining" if draining else "running", pid)
    if not draining:
        stage.at_work("q2.1")
    stage.go()
    assert stage.finished("q1") == "completed"
    if draining:
        stage.until(lambda: stage.state.daemon.state == "stopped")
        assert not stage.events("attempt.claimed", task="q2"), "a daemon that drains starts nothing new"
    assert not stage.events("attempt.lost") and not stage.events("daemon.lost")


@pytest.mark.parametrize("killed", [False, True])
def test_a_daemon_whose_lease_was_deleted_is_lost_only_when_it_is_dead(stage: Stage, killed: bool) -> None:
    stage.agent("exit 0")
    pid = stage.start_daemon()
    daemon = stage.state.daemon.identity
    assert daemon is not None
    os.kill(pid, signal.SIGSTOP)  # so that it cannot notice yet
    shutil.rmtree(stage.ws.paths.leases)
    if killed:
        stage.kill(daemon)
    reconcile.reconcile(stage.ws)
    assert bool(stage.events("daemon.lost")) is killed
    known = daemon_control.status(stage.ws)
    assert (known.state, known.running) == (("lost", False) if killed else ("running", True))
    if not killed:
        assert daemon_control.start(stage.ws) == (False, pid)
        with pytest.raises(Conflict, match=rf"already running \(pid {pid}\)"):
            take_over(stage.ws)
        os.kill(pid, signal.SIGCONT)
        assert stage.finished(stage.enqueue(1)) == "completed"


@pytest.mark.parametrize("again", [False, True])
def test_a_daemon_whose_directory_was_deleted_ends(bare_stage: Stage, again: bool) -> None:
    bare_stage.set_up()
    bare_stage.start_daemon()
    daemon = bare_stage.state.daemon.identity
    assert daemon is not None
    bare_stage.ws.close()
    # Moved first: while it is emptied, the daemon may still add a file.
    shutil.rmtree(bare_stage.directory.rename(bare_stage.directory.with_name("deleted")))
    if again:
        bare_stage.configure()
        initialisation.initialise(open_workspace(os.environ, "test"), repo=None, force=False)
    assert eventually(lambda: not identity.alive(daemon), 30.0)
    assert bare_stage.directory.exists() is again


@pytest.mark.parametrize("full", [False, True])
def test_a_daemon_that_cannot_start_says_why(stage: Stage, full: bool) -> None:
    """Also where the disk takes no traceback."""
    errors = stage.directory / "logs" / "daemon.err"
    errors.write_text("an older story\n")
    if full:
        errors.unlink()
        errors.symlink_to("/dev/full")
    (stage.directory / "logs" / "daemon.log").mkdir(parents=True)
    with pytest.raises(KugetsuError, match=r"did not start: .*daemon\.log"):
        daemon_control.start(stage.ws)


def test_a_daemon_starts_agents_while_kugetsu_is_replaced(stage: Stage) -> None:
    """Its runners are forked: whatever they would import anew is of another version by then, or half written."""
    program = stage.root / "program"
    shutil.copytree(SOURCE, program, ignore=shutil.ignore_patterns("__pycache__"))
    stage.monkeypatch.setenv("PYTHONPATH", str(program))
    stage.monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    stage.start_daemon()
    for module in program.rglob("*.py"):
        module.write_text("raise ImportError('replaced')\n")
    stage.agent("exit 0\n")
    stage.enqueue(1)
    assert eventually(lambda: bool(stage.events("attempt.running")), PATIENCE)
