"""From `queue enqueue` on one host to a running agent on another one, over a database on this machine's loopback.

Both hosts are directories of this machine, each with its own daemon and relay. The tasks need a label that only the
other host offers, so that it must be the one that takes them.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from contextlib import closing
from typing import Any

from bench import dispatch, runs, shared
from bench.report import Report, Sizes
from kugetsu.model import clock
from kugetsu.runtime import daemon_control
from kugetsu.runtime.workspace import Workspace, open_workspace

REPOSITORY = "bench.example/o/r"
LIMIT_MS = 300.0
PATIENCE = 60.0
#: Events on the way, by which the time is told apart.
STEPS = ("task.queued", "attempt.claimed", "attempt.starting", "session.prepared", "attempt.running")


def measure(report: Report, sizes: Sizes, folder: str) -> None:
    """New issues, then the same ones again."""
    make = shared.server(report)
    if make is None:
        return
    report.doing("enqueue on one host to running agent on another")
    place = os.path.join(folder, "across")
    os.makedirs(place)
    home = _home(place)
    with closing(make()) as server:
        url = server.url(server.fresh())
        here, there = (_environment(place, home, name) for name in ("a", "b"))
        clone = os.path.join(place, "clone")
        runs.seconds([*runs.kugetsu(), "init", "--repo", clone], here)
        runs.seconds([*runs.kugetsu(), "log", "share", url], here)
        runs.seconds([*runs.kugetsu(), "init", "--join", url], there)
        opened = []
        try:
            for env in (here, there):
                runs.seconds([*runs.kugetsu(), "queue-daemon", "start"], env)
                opened.append(open_workspace(env, "bench"))
                shared.await_file(os.path.join(env["KUGETSU_DIR"], "log", "relay.sock"))
            _enqueue(opened[0], here, 0)  # clones the repository
            numbers = range(1, sizes.dispatches + 1)
            for name in ("new issue", "continued issue"):
                _add(report, name, [_enqueue(opened[0], here, number) for number in numbers])
        finally:
            for ws in opened:
                daemon_control.stop(ws, drain=False)
                ws.close()


def _add(report: Report, name: str, taken: list[dict[str, float]]) -> None:
    for what in ("from the command's start", "from the append"):
        values = [one[what] for one in taken]
        report.add("across hosts", f"{name}, {what}", values, "ms", limit=LIMIT_MS, absolute=True)
    for before, after in itertools.pairwise(STEPS):
        values = [one[after] - one[before] for one in taken if after in one and before in one]
        if values:
            report.add("across hosts", f"  {before} to {after}", values, "ms")


def _home(place: str) -> str:
    """A home whose git finds the sample repository under its public address; the repository, and a clone of it."""
    bare, clone, home = (os.path.join(place, name) for name in ("o", "clone", "home"))
    os.makedirs(home)
    with open(os.path.join(home, ".gitconfig"), "w", encoding="utf-8") as file:
        file.write(f'[user]\nname = bench\nemail = bench@example.invalid\n[url "file://{bare}"]\n')
        file.write(f"insteadOf = https://{REPOSITORY.rpartition('/')[0]}\n")
    env = runs.environment(place, HOME=home)
    git = ["git", "-C", clone]
    for command in (
        ["git", "init", "-q", "--bare", "-b", "main", os.path.join(bare, "r.git")],
        ["git", "init", "-q", "-b", "main", clone],
        [*git, "commit", "-q", "--allow-empty", "-m", "Begin"],
        [*git, "remote", "add", "origin", f"https://{REPOSITORY}.git"],
        [*git, "push", "-q", "origin", "main"],
    ):
        subprocess.run(command, env=env, check=True)
    return home


def _environment(place: str, home: str, name: str) -> dict[str, str]:
    own = {"HOME": home, "HOST_NAME": name, "HOST_LABELS": name, "KUGETSU_FORGE": "off"}
    agent = {"KUGETSU_AGENT": "command", "KUGETSU_AGENT_COMMAND": dispatch.QUICK_AGENT}
    return runs.environment(os.path.join(place, name), **own, **agent)


def _enqueue(ws: Workspace, env: dict[str, str], number: int) -> dict[str, float]:
    """Milliseconds until the agent's process was recorded, by the clock of the host that runs it and as seen here, and
    those of each step after the append. Waits for the task's end."""
    ref = f"{REPOSITORY}#{number + 1}"
    seq, began, wall = ws.state().seq, clock.now(), time.monotonic()
    runs.seconds([*runs.kugetsu(), "queue", "enqueue", "--label", "b", "--anyway", ref, "implement", "X"], env)
    at: dict[str, str] = {}
    seen, reason = 0.0, ""
    give_up = time.monotonic() + PATIENCE
    for event in ws.log.follow(seq):
        if time.monotonic() > give_up:
            raise RuntimeError(f"{ref} was not finished within {PATIENCE:.0f} s, its events: {[*at]}")
        if event is None or event.get("issue") != ref:
            continue
        at.setdefault(event["type"], event["at"])
        if event["type"] == "attempt.running":
            seen = time.monotonic() - wall
        elif event["type"] in ("task.completed", "task.failed", "task.retried"):
            reason = event["data"].get("reason", "")
            break
    if not seen:
        raise RuntimeError(f"{ref} never ran: {reason}")
    found: dict[str, Any] = {kind: 1000 * clock.seconds_between(began, at[kind]) for kind in STEPS if kind in at}
    found["from the command's start"] = 1000 * seen
    found["from the append"] = found["attempt.running"] - found["task.queued"]
    return found
