"""The runner's lean phase: the agent's end is told as it was, every stop works, and nothing of the agent is left."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.model import record
from kugetsu.model.errors import AgentUnavailable
from kugetsu.runtime import host_lease
from kugetsu.runtime.process import identity, lease, termination, tree
from kugetsu.runtime.runner import spawn, supervisor
from kugetsu.runtime.runner.orders import Orders
from runtime.supervised import Attempt, ended, eventually

DAEMONISED = '(setsid sh -c \'trap "" TERM; echo $$ > "$RUN/tool"; while :; do sleep 1; done\' &)'
"""A tool as agents start them: a session of its own, an orphan at once, and deaf to SIGTERM."""

FOREVER = "echo ready > $RUN/ready; while :; do sleep 0.05; done"


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    one = Attempt(tmp_path)
    yield one
    one.clean_up()


def stop(attempt: Attempt, number: int = signal.SIGTERM) -> None:
    found = identity.of(attempt.runner)
    assert found is not None
    assert identity.signal(found, number)


def ready(attempt: Attempt) -> None:
    assert eventually((attempt.run / "ready").exists)
    assert eventually(attempt.in_phase_b)


def uss(pid: int) -> int:
    """Memory that only this process uses, in kB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


@pytest.mark.parametrize("code", [0, 1, 75])
def test_the_agents_exit_code_is_told(attempt: Attempt, code: int) -> None:
    before = supervisor.utc_now()
    attempt.start(f"exit {code}")
    told = attempt.wait()
    assert (told.exit_code, told.signal, told.stopped, told.leftover) == (code, None, None, 0)
    assert before <= told.ended_at <= supervisor.utc_now()


def test_the_signal_that_killed_the_agent_is_told(attempt: Attempt) -> None:
    attempt.start("kill -SEGV $$")
    told = attempt.wait()
    assert (told.exit_code, told.signal, told.stopped) == (None, signal.SIGSEGV, None)


def test_the_result_is_written_down_as_well(attempt: Attempt) -> None:
    attempt.start("exit 4")
    attempt.wait()
    assert (attempt.run / "ended").read_text() == (attempt.run / "then").read_text()
    told = spawn.read_ended(str(attempt.run / "ended"))
    assert told is not None
    assert told.exit_code == 4


def test_the_runner_keeps_its_pid_and_the_lease_over_all_phases(attempt: Attempt) -> None:
    attempt.start(FOREVER, then=["/bin/sh", "-c", f"echo $$ > {attempt.run}/phase-c; exec sleep 60"])
    ready(attempt)
    assert attempt.holds()
    stop(attempt)
    assert attempt.pid("phase-c") == attempt.runner
    assert attempt.holds()
    os.kill(attempt.runner, signal.SIGKILL)
    assert attempt.runner_status() == -signal.SIGKILL
    assert not attempt.holds()


def test_the_deadline_stops_the_agent(attempt: Attempt) -> None:
    attempt.start(FOREVER, deadline=time.monotonic() + 0.5)
    told = attempt.wait()
    assert (told.stopped, told.signal, told.leftover) == ("timeout", signal.SIGTERM, 0)


def test_the_supervisor_looks_again_when_its_hosts_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    (tmp_path / "host").write_text("107.5\n")
    orders = Orders(1, "n", [], "none", "none", "none", grace=1.0, host_file=str(tmp_path / "host"))
    monkeypatch.setattr(host_lease, "now", lambda: now[0])
    watched = supervisor.Supervisor(orders)
    monkeypatch.setattr(watched, "reap", lambda: None)
    monkeypatch.setattr(watched, "wait", lambda seconds: now.append(now.pop() + seconds))
    assert watched.watch() == supervisor.HOST_LEASE
    assert now == [106.5]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_stops_the_agent(attempt: Attempt, number: int) -> None:
    attempt.start(FOREVER)
    ready(attempt)
    stop(attempt, number)
    told = attempt.wait()
    assert (told.stopped, told.signal) == ("terminated", signal.SIGTERM)


@pytest.mark.parametrize(
    ("written", "reason"), [("cancelled\nby hand", "cancelled"), ("--exit 0", "exit 0"), ("", "terminated")]
)
def test_the_reason_of_a_stop_is_read_from_its_file(attempt: Attempt, written: str, reason: str) -> None:
    attempt.start(FOREVER)
    ready(attempt)
    (attempt.run / "stop").write_text(written)
    stop(attempt)
    assert attempt.wait().stopped == reason


def test_a_stop_file_stops_the_agent_without_a_signal(attempt: Attempt) -> None:
    attempt.start(FOREVER, checkup_every=0.4)
    ready(attempt)
    (attempt.run / "stop").write_text("cancelled")
    assert attempt.wait().stopped == "cancelled"


def test_an_agent_of_a_host_that_is_cut_off_is_stopped_and_a_person_is_told(attempt: Attempt) -> None:
    limit, log = attempt.run / "host", attempt.run / "runner.log"
    limit.write_text("1.0\n")
    attempt.start(FOREVER, host_file=str(limit), terminal="yes", checkup_every=0.4)
    ready(attempt)
    assert eventually(lambda: "another host may take this session over" in log.read_text())
    limit.write_text(f"{host_lease.now() + 3600}\n")
    assert eventually(lambda: "hears of this host again" in log.read_text())
    stop(attempt)
    assert attempt.wait().stopped == "terminated", "by whoever asked for it"


def test_a_stop_that_comes_before_the_supervisor_is_not_lost(attempt: Attempt) -> None:
    attempt.start(FOREVER, before_exec=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert attempt.wait().stopped == "terminated"


def test_the_end_of_the_terminal_changes_nothing(attempt: Attempt) -> None:
    attempt.start(FOREVER)
    ready(attempt)
    assert os.getsid(attempt.runner) == attempt.runner != os.getsid(0)
    stop(attempt, signal.SIGHUP)
    time.sleep(0.1)
    stop(attempt)
    assert attempt.wait().signal == signal.SIGTERM


def test_an_agent_that_ignores_sigterm_is_killed(attempt: Attempt) -> None:
    attempt.start(f"trap '' TERM; {FOREVER}")
    ready(attempt)
    stop(attempt)
    assert attempt.wait().signal == signal.SIGKILL


def test_an_agent_that_cleans_up_at_sigterm_gets_its_time(attempt: Attempt) -> None:
    attempt.start(f"trap 'sleep 0.5; exit 7' TERM; {FOREVER}", grace=30.0)
    ready(attempt)
    stop(attempt)
    told = attempt.wait()
    assert (told.exit_code, told.stopped) == (7, "terminated")


def test_an_agent_that_stopped_itself_is_ended(attempt: Attempt) -> None:
    attempt.start("kill -STOP $$; exit 3", deadline=time.monotonic() + 0.5)
    told = attempt.wait()
    assert (told.stopped, told.leftover) == ("timeout", 0)


def test_the_agent_has_the_signals_of_a_fresh_process(attempt: Attempt) -> None:
    attempt.start("grep -E '^Sig(Blk|Ign)' /proc/self/status")
    attempt.wait()
    assert {line.split()[1] for line in (attempt.run / "output").read_text().splitlines()} == {"0" * 16}


@pytest.mark.parametrize("how", ["ends", "is stopped"])
def test_a_daemonised_tool_is_gone_when_the_agent(attempt: Attempt, how: str) -> None:
    wait = f"while ! test -s $RUN/tool; do sleep 0.01; done; {'exit 5' if how == 'ends' else FOREVER}"
    attempt.start(f"{DAEMONISED}; {wait}")
    tool = attempt.pid("tool")
    if how == "is stopped":
        ready(attempt)
        stop(attempt)
    told = attempt.wait()
    assert ended(tool)
    assert (told.exit_code, told.signal) == ((5, None) if how == "ends" else (None, signal.SIGTERM))
    assert told.leftover == 0


def test_a_tool_that_cleared_its_environment_is_gone(attempt: Attempt) -> None:
    hidden = DAEMONISED.replace("setsid", 'env -i RUN="$RUN" PATH="$PATH" setsid')
    attempt.start(f"{hidden}; while ! test -s $RUN/tool; do sleep 0.01; done; exit 0")
    tool = attempt.pid("tool")
    attempt.wait()
    assert ended(tool)


def test_strangers_survive_the_end_of_an_attempt(attempt: Attempt) -> None:
    stranger = subprocess.Popen(["sleep", "60"], env={**os.environ, termination.MARK: "f" * 32})
    attempt.start(f"{DAEMONISED}; {FOREVER}")
    attempt.pid("tool")
    ready(attempt)
    stop(attempt)
    attempt.wait()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_an_attempt_that_an_agent_started_survives_it(attempt: Attempt) -> None:
    inner = f"(env {termination.MARK}={'e' * 32} setsid sh -c 'echo $$ > \"$RUN/tool\"; exec sleep 60' &)"
    attempt.start(f"{inner}; while ! test -s $RUN/tool; do sleep 0.01; done; exit 0")
    other = attempt.pid("tool")
    told = attempt.wait()
    survivor = identity.of(other)
    assert survivor is not None
    assert identity.signal(survivor, signal.SIGKILL)
    assert told.leftover == 0


def test_no_zombie_stays_while_the_agent_runs(attempt: Attempt) -> None:
    attempt.start(f"for i in 1 2 3 4 5; do (setsid sh -c 'exit 0' &); done; {FOREVER}")
    ready(attempt)

    def zombies() -> list[int]:
        found = [identity.stat(int(name)) for name in os.listdir("/proc") if name.isdigit()]
        return [each.pid for each in found if each is not None and each.parent == attempt.runner and each.dead]

    assert eventually(lambda: not zombies())
    stop(attempt)
    attempt.wait()


def test_an_ignored_sigchld_does_not_lose_the_agents_status(attempt: Attempt) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        attempt.start("sleep 0.2; exit 6")
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert attempt.wait().exit_code == 6


def test_an_agent_that_is_no_child_is_told_as_unknown_and_not_waited_for(attempt: Attempt) -> None:
    orders = Orders(
        agent=1,
        nonce=attempt.nonce,
        then=attempt.phase_c(),
        stop_file=str(attempt.run / "stop"),
        ended_file=str(attempt.run / "ended"),
        output=str(attempt.run / "output"),
    )
    subprocess.run(spawn.supervisor_command(orders), check=True, timeout=20)
    told = spawn.parse_ended((attempt.run / "then").read_text().splitlines())
    assert (told.exit_code, told.signal, told.stopped) == (None, None, None)
    attempt.lease.close()


def test_a_system_without_sigtimedwait_waits_with_an_alarm(attempt: Attempt) -> None:
    orders = Orders(
        agent=0,
        nonce=attempt.nonce,
        then=attempt.phase_c(),
        stop_file=str(attempt.run / "stop"),
        ended_file=str(attempt.run / "ended"),
        output=str(attempt.run / "output"),
        deadline=time.monotonic() + 0.5,
    )
    attempt.lease.close()
    attempt.runner = os.fork()
    if attempt.runner == 0:
        try:
            import _signal

            del _signal.sigtimedwait
            orders.agent = os.posix_spawn("/bin/sleep", ["sleep", "60"], {termination.MARK: attempt.nonce})
            supervisor.main(orders.arguments())
        finally:
            os._exit(99)
    told = attempt.wait()
    assert (told.stopped, told.signal, told.leftover) == ("timeout", signal.SIGTERM, 0)


@pytest.mark.parametrize(("code", "reason"), [(10, "limit"), (11, "stall")])
def test_a_checkup_stops_the_agent(attempt: Attempt, code: int, reason: str) -> None:
    began = time.monotonic()
    attempt.start(
        FOREVER,
        checkup=["/bin/sh", "-c", f"echo quiet for $KUGETSU_QUIET_SECONDS; exit {code}"],
        checkup_every=0.2,
        checkup_output=str(attempt.run / "checkup"),
    )
    assert attempt.wait().stopped == reason
    told = re.fullmatch(r"quiet for (\d+)\n", (attempt.run / "checkup").read_text())
    assert told is not None and int(told[1]) <= time.monotonic() - began


@pytest.mark.parametrize("code", [0, 1, 255])
def test_a_healthy_or_failing_checkup_lets_the_agent_go_on(attempt: Attempt, code: int) -> None:
    attempt.start(
        "while ! test $(wc -l < $RUN/count) -ge 3; do sleep 0.05; done 2>/dev/null; exit 0",
        checkup=["/bin/sh", "-c", f"echo once >> {attempt.run}/count; exit {code}"],
        checkup_every=0.1,
    )
    told = attempt.wait()
    assert (told.exit_code, told.stopped) == (0, None)


def test_there_is_no_checkup_while_the_output_grows(attempt: Attempt) -> None:
    attempt.start(
        "for i in $(seq 40); do echo line; sleep 0.05; done; exit 0",
        checkup=["/bin/sh", "-c", "exit 11"],
        checkup_every=1.5,
    )
    told = attempt.wait()
    assert (told.exit_code, told.stopped) == (0, None)


def test_a_missing_output_file_counts_as_quiet(attempt: Attempt) -> None:
    attempt.start(FOREVER, checkup=["/bin/sh", "-c", "exit 11"], checkup_every=0.2, output="/nowhere/at/all")
    assert attempt.wait().stopped == "stall"


def test_a_checkup_that_hangs_is_killed_and_the_next_one_runs(attempt: Attempt) -> None:
    hangs_once = f"test -e {attempt.run}/hung && exit 11; echo $$ > {attempt.run}/hung; trap '' TERM; sleep 60; exit 10"
    attempt.start(FOREVER, checkup=["/bin/sh", "-c", hangs_once], checkup_every=0.2, checkup_limit=0.4)
    assert attempt.wait().stopped == "stall"
    assert ended(attempt.pid("hung"))


def test_a_hanging_checkup_delays_neither_the_deadline_nor_the_end(attempt: Attempt) -> None:
    checkup = f"echo $$ > {attempt.run}/hung; trap '' TERM; while :; do sleep 1; done"
    attempt.start(
        FOREVER,
        checkup=["/bin/sh", "-c", checkup],
        checkup_every=0.1,
        checkup_limit=600.0,
        deadline=time.monotonic() + 3.0,
    )
    told = attempt.wait()
    assert (told.stopped, told.signal) == ("timeout", signal.SIGTERM)
    assert ended(attempt.pid("hung"))


def test_a_checkup_that_cannot_start_leaves_the_agent_alone(attempt: Attempt) -> None:
    attempt.start("sleep 0.5; exit 2", checkup=["/nowhere/at/all"], checkup_every=0.1)
    assert attempt.wait().exit_code == 2
    assert "cannot start a checkup" in (attempt.run / "runner.log").read_text()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit")
def test_an_agent_goes_on_while_no_file_can_be_opened(attempt: Attempt) -> None:
    log, limit = attempt.run / "runner.log", attempt.run / "host"
    limit.write_text(f"{host_lease.now() + 3600}\n")
    attempt.start(
        FOREVER,
        checkup=["/bin/sh", "-c", "exit 0"],
        checkup_every=0.2,
        checkup_output=str(attempt.run / "checkup"),
        tree_file=str(attempt.run / "tree"),
        host_file=str(limit),
    )
    ready(attempt)
    assert eventually(attempt.in_phase_b)
    assert eventually(lambda: (attempt.run / "checkup").exists())
    before = resource.prlimit(attempt.runner, resource.RLIMIT_NOFILE)
    resource.prlimit(attempt.runner, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        assert eventually(lambda: "cannot start a checkup: [Errno 24]" in log.read_text())
        time.sleep(tree.EVERY_SECONDS * 1.5)
        assert not ended(attempt.pid("agent"))
    finally:
        resource.prlimit(attempt.runner, resource.RLIMIT_NOFILE, before)
    stop(attempt)
    assert attempt.wait().stopped == "terminated"


def test_a_checkup_does_not_hold_the_lease(attempt: Attempt) -> None:
    attempt.start(
        FOREVER, checkup=["/bin/sh", "-c", f"ls -l /proc/self/fd > {attempt.run}/files; exit 11"], checkup_every=0.1
    )
    attempt.wait()
    assert "leases" not in (attempt.run / "files").read_text()


def test_a_phase_c_that_cannot_be_executed_leaves_the_result_and_frees_the_lease(attempt: Attempt) -> None:
    attempt.start("exit 8", then=[str(attempt.run / "removed")])
    assert attempt.runner_status() == supervisor.EXIT_NO_PHASE_C
    assert not attempt.holds()
    told = spawn.read_ended(str(attempt.run / "ended"))
    assert told is not None
    assert told.exit_code == 8


def test_a_phase_c_that_comes_back_is_executed(attempt: Attempt) -> None:
    program = attempt.run / "upgraded"
    attempt.start("exit 0", then=[str(program)], then_patience=30.0)
    assert eventually((attempt.run / "ended").exists)
    new = attempt.run / "new"
    new.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {attempt.run}/then\n")
    new.chmod(0o700)
    new.rename(program)
    assert attempt.wait().exit_code == 0


def test_phase_c_is_not_ended_by_a_late_stop(attempt: Attempt) -> None:
    script = (
        "import os, signal, sys; from kugetsu.runtime.runner import spawn as supervision;"
        "os.kill(os.getpid(), signal.SIGTERM); supervision.begin_finalizing(); os.kill(os.getpid(), signal.SIGTERM);"
        "os.execv('/bin/sh', ['sh', '-c', sys.argv[1], 'sh', *sys.argv[2:]])"
    )
    write = f'grep SigIgn /proc/self/status > {attempt.run}/ignored; printf "%s\\n" "$@" > {attempt.run}/then'
    attempt.start("exit 0", then=[sys.executable, "-c", script, write])
    assert attempt.wait().exit_code == 0
    # Only SIGPIPE (13) and SIGXFSZ (25), which every Python ignores: SIGTERM ends what phase C starts.
    assert int((attempt.run / "ignored").read_text().split()[1], 16) == 1 << 12 | 1 << 24


def test_the_runner_does_not_keep_the_commands_output_open(tmp_path: Path) -> None:
    script = (
        "import os, sys; from kugetsu.runtime.process import lease; "
        "from kugetsu.runtime.runner import spawn as supervision;"
        "held = lease.Lease.create(sys.argv[1]);"
        "pid = os.fork(); print(pid, flush=True) if pid else None;"
        "pid or (supervision.detach(sys.argv[1], held, os.devnull), os.execlp('sleep', 'sleep', '60'))"
    )
    # Reads to the end of the pipe: a runner that held it would keep this waiting.
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "leases")], capture_output=True, text=True, check=True, timeout=20
    )
    runner = identity.of(int(done.stdout))
    assert runner is not None
    assert identity.signal(runner, signal.SIGKILL)


def test_a_runner_drops_the_descriptors_that_its_caller_passed_down(attempt: Attempt) -> None:
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    attempt.start(FOREVER)
    os.close(write_end)
    ready(attempt)
    assert os.read(read_end, 1) == b"", "somebody still holds the other end"
    os.close(read_end)
    stop(attempt)
    attempt.wait()


def test_a_runner_drops_the_leases_that_it_inherited(attempt: Attempt) -> None:
    foreign = lease.Lease.create(attempt.leases)
    attempt.start(FOREVER)
    foreign.close()
    ready(attempt)
    assert not lease.alive(attempt.leases, foreign.nonce)
    stop(attempt)
    attempt.wait()


@pytest.mark.parametrize(
    "missing",
    [
        {"command": ["/nowhere/agent"]},
        {"directory": "/nowhere"},
        {"files": ("/nowhere/prompt", os.devnull, os.devnull)},
    ],
)
def test_an_agent_that_cannot_start_is_an_error_of_the_agent(attempt: Attempt, missing: dict[str, object]) -> None:
    settings: dict[str, object] = {
        "command": ["true"],
        "directory": str(attempt.run),
        "files": (os.devnull, str(attempt.run / "output"), str(attempt.run / "stderr")),
        "environment": dict(os.environ),
        "lease": attempt.lease,
        **missing,
    }
    before = children()
    with pytest.raises(AgentUnavailable):
        spawn.spawn_agent(settings.pop("command"), **settings)  # type: ignore[arg-type]
    assert children() <= before, "the child that could not become the agent is reaped"
    attempt.lease.close()


def children() -> set[str]:
    """The children of this process, dead ones that nobody reaped among them."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def test_the_supervisor_uses_less_than_12_megabytes(attempt: Attempt) -> None:
    attempt.start(FOREVER, checkup=["/bin/true"], checkup_every=0.1)
    ready(attempt)
    time.sleep(0.5)
    assert uss(attempt.runner) < 12 * 1024
    stop(attempt)
    attempt.wait()


def test_the_supervisor_imports_nothing_big(attempt: Attempt) -> None:
    root = str(Path(supervisor.__file__).parents[3])
    listing = f"import sys; sys.path.append({root!r}); import kugetsu.runtime.runner.supervisor; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", listing], capture_output=True, text=True, check=True, timeout=20
    )
    big = {"signal", "enum", "subprocess", "typing", "pathlib", "json", "argparse", "traceback", "re", "ctypes"}
    assert big.isdisjoint(done.stdout.split())
    attempt.lease.close()


words = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=20)
seconds = st.none() | st.floats(0, 1e6)


@given(
    st.builds(
        Orders,
        agent=st.integers(2, 2**22),
        nonce=words,
        then=st.lists(words),
        stop_file=words,
        ended_file=words,
        output=words,
        lease_fd=st.none() | st.integers(0, 1024),
        grace=st.floats(0, 1e6),
        deadline=seconds,
        checkup=st.lists(words | st.sampled_from(["--then", "--agent", "none"])),
        checkup_every=seconds,
        checkup_limit=st.floats(0, 1e6),
        checkup_output=words,
        then_patience=st.floats(0, 1e6),
    )
)
def test_orders_survive_the_command_line(orders: Orders) -> None:
    read = Orders.parse(orders.arguments())
    assert {name: getattr(read, name) for name in record.fields(orders)} == {
        name: getattr(orders, name) for name in record.fields(orders)
    }


@pytest.mark.parametrize("arguments", [["--agent"], ["--unknown", "1"], ["--agent", "one"], []])
def test_orders_that_nobody_wrote_are_refused(arguments: list[str]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Orders.parse(arguments)
