#!/usr/bin/env python3
"""What it costs to watch two hundred open pull requests on five repositories of which nothing changes: CPU of the
daemon and its observer, requests, events.

`python tools/watch_cost.py [--minutes 3] [--github]`; it looks every minute, five times as often as by default.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

from forge.scripted import ScriptedForge  # type: ignore[import-not-found]
from kugetsu.runtime import daemon_control, initialisation
from kugetsu.runtime.process.named_lease import OBSERVER
from kugetsu.runtime.workspace import Workspace, open_workspace
from runtime import many_pulls  # type: ignore[import-not-found]

TOKEN = "token-of-a-measurement"
INTERVAL_MINUTES = 1
ROUNDS = 5
"""Rounds until each pull request was looked at closely: fifty in each."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long to measure")
    parser.add_argument("--github", action="store_true", help="speak GitHub's API instead of Gitea's")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="kugetsu-watch-") as folder,
        ScriptedForge(token=TOKEN) as forge,
    ):
        ws = _directory(folder, forge, github=options.github)
        many_pulls.make(ws, forge, "github" if options.github else "gitea")
        daemon_control.start(ws)
        try:
            _measure(ws, forge, options.minutes * 60)
        finally:
            daemon_control.stop(ws, drain=False)
    return 0


def _directory(folder: str, forge: ScriptedForge, *, github: bool) -> Workspace:
    """A KUGETSU_DIR that watches the forge."""
    os.environ.update(HOME=folder, KUGETSU_DIR=f"{folder}/kugetsu")
    os.makedirs(f"{folder}/kugetsu/env", mode=0o700)
    settings = {
        "KUGETSU_AGENT": "command",
        "KUGETSU_AGENT_COMMAND": "true",
        "GIT_SERVERS": f"{forge.host}={forge.url}",
        "OBSERVE_INTERVAL_MINUTES": str(INTERVAL_MINUTES),
        "REACTIONS": "checks reviews comments conflicts",
    }
    settings |= {"FORGE_KINDS": f"{forge.host}=github"} if github else {}
    with open(f"{folder}/kugetsu/config", "w", encoding="utf-8") as file:
        file.writelines(f"{key}={value}\n" for key, value in settings.items())
    with open(f"{folder}/kugetsu/env/default.env", "w", encoding="utf-8", opener=_private) as file:
        file.write(f"{'GITHUB_TOKEN' if github else 'GITEA_TOKEN'}={forge.token}\n")
    ws = open_workspace(os.environ, "watch_cost")
    initialisation.initialise(ws, repo=None, force=False)
    return ws


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _measure(ws: Workspace, forge: ScriptedForge, seconds: float) -> None:
    settled = time.monotonic() + ROUNDS * INTERVAL_MINUTES * 60
    print(f"looking at each pull request once: {ROUNDS * INTERVAL_MINUTES} minutes", flush=True)
    while time.monotonic() < settled:
        time.sleep(1)
    daemon, observer = ws.state().daemon.identity, OBSERVER.holder(ws.paths)
    if daemon is None or observer is None:
        raise SystemExit("the daemon or its observer does not live")
    pids = {"daemon": daemon["pid"], "observer": observer["pid"]}
    before = {name: _cpu(pid) for name, pid in pids.items()}
    asked, events = len(forge.requests), ws.state().seq
    time.sleep(seconds)
    for name, pid in pids.items():
        used = _cpu(pid) - before[name]
        print(f"{name}: {used:.2f} s of CPU in {seconds:.0f} s, {100 * used / seconds:.2f} % of a core")
    requests = len(forge.requests) - asked
    print(f"{requests} requests in {seconds / 60 / INTERVAL_MINUTES:.0f} intervals, for 5 repositories")
    print(f"{ws.state().seq - events} events appended")


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
