"""From `queue enqueue` to a running agent process, with an idle daemon; and what a runner weighs meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator

from bench import runs
from bench.report import Report, Sizes
from kugetsu.model import clock
from kugetsu.runtime import daemon_control
from kugetsu.runtime.workspace import Workspace, open_workspace

#: Reads its prompt and ends.
QUICK_AGENT = "sh -c 'cat > /dev/null'"
LASTING_AGENT = "sh -c 'cat > /dev/null; sleep 600'"
PATIENCE = 30.0


def measure(report: Report, sizes: Sizes, folder: str) -> None:
    """Both ways to measure it (from the command's start, from the append), for new issues and for continued ones."""
    place = os.path.join(folder, "dispatch")
    with _daemon(place, QUICK_AGENT) as (ws, env, repository):
        report.doing("enqueue to running agent")
        fresh = [_enqueue(ws, env, f"{repository}#{number + 1}") for number in range(sizes.dispatches)]
        again = [_enqueue(ws, env, f"{repository}#{number + 1}") for number in range(sizes.dispatches)]
    for name, pairs in (("new issue", fresh), ("continued issue", again)):
        for start, values in (
            ("from the command's start", [pair[0] for pair in pairs]),
            ("from the append", [pair[1] for pair in pairs]),
        ):
            report.add("dispatch", f"{name}, {start}", values, "ms", limit=150.0, absolute=True)
    _weigh(report, os.path.join(folder, "memory"))


def _weigh(report: Report, place: str) -> None:
    report.doing("memory of a runner")
    with _daemon(place, LASTING_AGENT) as (ws, env, repository):
        if not os.path.exists("/proc/self/smaps_rollup"):
            report.doing("no /proc/PID/smaps_rollup here: not measured")
            return
        _enqueue(ws, env, f"{repository}#1")
        runner = next(iter(ws.state().attempts.values())).runner
        assert runner is not None
        time.sleep(1.0)  # the runner becomes the lean supervisor right after the agent runs
        samples = []
        for _ in range(5):
            samples.append(_private_mb(runner["pid"]))
            time.sleep(0.2)
    report.add("memory", "a runner, of its own (USS)", samples, "MB", limit=12.0, absolute=True)


def _private_mb(pid: int) -> float:
    """The memory that only this process has, in MB: what ending it would give back."""
    total = 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith(("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:")):
                total += int(line.split()[1])
    return total / 1024


@contextlib.contextmanager
def _daemon(place: str, agent: str) -> Iterator[tuple[Workspace, dict[str, str], str]]:
    """A kugetsu directory with a sample repository and a running daemon; at the end nothing runs any more."""
    repo = os.path.join(place, "sample", "todo")
    os.makedirs(repo)
    env = runs.environment(os.path.join(place, "state"), KUGETSU_AGENT="command", KUGETSU_AGENT_COMMAND=agent)
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.invalid"]
    for arguments in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "Begin"]):
        subprocess.run([*git, *arguments], cwd=repo, env=env, check=True)
    runs.seconds([*runs.kugetsu(), "init", "--repo", repo], env)
    runs.seconds([*runs.kugetsu(), "queue-daemon", "start"], env)
    ws = open_workspace(env, "bench")
    try:
        yield ws, env, next(iter(ws.state().repositories))
    finally:
        daemon_control.stop(ws, drain=False)
        _end_agents(ws)
        ws.close()


def _end_agents(ws: Workspace) -> None:
    from kugetsu.runtime import stop_attempt

    for attempt in list(ws.state().attempts.values()):
        stop_attempt.cancel(ws, attempt.task)
        agent = attempt.agent
        if agent is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(agent["pid"], signal.SIGTERM)
    give_up = time.monotonic() + PATIENCE
    while ws.state().attempts and time.monotonic() < give_up:
        ws.log.wait(ws.state().seq, 0.5)


def _enqueue(ws: Workspace, env: dict[str, str], ref: str) -> tuple[float, float]:
    """Milliseconds from the start of the command, and from its append, to the agent's process being recorded."""
    seq = ws.state().seq
    began = clock.now()
    runs.seconds([*runs.kugetsu(), "queue", "enqueue", ref, "implement", "feature", "X"], env)
    queued = running = reason = ""
    give_up = time.monotonic() + PATIENCE
    for event in ws.log.follow(seq):
        if time.monotonic() > give_up:
            raise RuntimeError(f"{ref} was not finished within {PATIENCE:.0f} s")
        if event is None or event.get("issue") != ref:
            continue
        if event["type"] == "task.queued":
            queued = event["at"]
        elif event["type"] == "attempt.running":
            running = event["at"]
            if env["KUGETSU_AGENT_COMMAND"] != QUICK_AGENT:
                break
        elif event["type"] in ("task.completed", "task.failed", "task.retried"):
            reason = event["data"].get("reason", "")
            break
    if not running:
        raise RuntimeError(f"{ref} never ran: {reason}")
    return 1000 * clock.seconds_between(began, running), 1000 * clock.seconds_between(queued, running)
