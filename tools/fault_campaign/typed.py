"""The campaign of commands: tasks are started, queued and cancelled at random on one repository, with agents of every
temper, and what works on them is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

from fault_campaign.campaign import POLL, Action, Campaign, git
from kugetsu.model.errors import KugetsuError
from kugetsu.model.refs import IssueRef, parse_ref
from kugetsu.runtime import daemon_control, initialisation, stop_attempt, submit

#: Agents of every temper: quick, slow, failing, limited, deaf to SIGTERM, with tools that outlive them.
AGENT = """\
trap 'test $DEAF = 1 || exit 143' TERM
n=$(printf %s "$KUGETSU_LEASE" | cksum | cut -d" " -f1)
DEAF=$((n % 5 == 0))
case $((n % 7)) in
  0) setsid sh -c 'trap "" TERM; sleep 300' & ;;
  1) setsid sleep 300 & ;;
esac
sleep 0.$((n % 10))
echo "$KUGETSU_ATTEMPT" >> work && git add work && git commit -qm "$KUGETSU_ATTEMPT"
case $((n % 11)) in
  0) echo "usage limit reached" >&2; exit 1 ;;
  1|2) exit 1 ;;
esac
exit 0
"""

STARTER = """
import os, sys
from kugetsu.model.errors import KugetsuError
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import submit as requests
from kugetsu.runtime.workspace import open_workspace
try:
    requests.start(open_workspace(os.environ, "kugetsu start"), parse_ref(sys.argv[1]), "campaign")
except KugetsuError as problem:
    sys.exit(problem.exit_code)
"""


class Typed(Campaign):
    """One repository without a forge, and people who type."""

    def __init__(self, folder: str, seed: int, cap: int) -> None:
        super().__init__(folder, seed)
        self.starters: list[subprocess.Popen[bytes]] = []
        os.makedirs(folder + "/sample")
        git(folder + "/sample", "init", "-q", "-b", "main")
        git(folder + "/sample", "commit", "-q", "--allow-empty", "-m", "first")
        agent = self.write("agent.sh", AGENT)
        self.open(
            {
                "MAX_CONCURRENT_AGENTS": cap,
                "KUGETSU_AGENT": "command",
                "KUGETSU_AGENT_COMMAND": f"/bin/sh {agent}",
                "KUGETSU_TEMP_DIR": f"{folder}/temp",
                "KILL_GRACE_SECONDS": 0.3,
                "RETRY_BACKOFF_SECONDS": 0.1,
                "MAX_ATTEMPTS": 1000,
                "QUEUE_DAEMON_INTERVAL_MINUTES": 0.05,
                "USAGE_LIMIT_PAUSE_MINUTES": 0.01,
            }
        )
        report = initialisation.initialise(self.ws, repo=folder + "/sample", force=False)
        assert report.registered is not None
        self.name = report.registered
        marked = {**os.environ, "KUGETSU_ATTEMPT": "q1.1", "KUGETSU_LEASE": "f" * 32}
        # Its name and its variables look like an agent's, but for the lease.
        sleep = shutil.which("sleep") or "/bin/sleep"
        self.stranger = subprocess.Popen([f"/bin/sh {agent}", "86400"], executable=sleep, env=marked)

    def actions(self) -> list[Action]:
        """Commands, and kills."""
        return [
            (self.enqueue, 6),
            (self.start, 3),
            (self.cancel, 1),
            (self.kill_runner, 4),
            (self.kill_agent, 2),
            (self.kill_daemon, 2),
            (self.kill_starter, 2),
            (self.stop_daemon, 1),
            (self.start_daemon, 4),
        ]

    def issue(self) -> IssueRef:
        """One of a dozen issues."""
        return parse_ref(f"{self.name}#{self.chance.randint(1, 12)}")

    def enqueue(self) -> bool:
        """A task at the end of the queue, which is not let grow without bound."""
        if len(self.ws.state().waiting()) > 15:
            return False
        submit.enqueue(self.ws, self.issue(), "campaign", via="enqueue")
        return True

    def start(self) -> bool:
        """A `kugetsu start` of its own process."""
        self.starters = [starter for starter in self.starters if starter.poll() is None]
        if len(self.starters) > 4:
            return False
        self.starters.append(subprocess.Popen([sys.executable, "-P", "-c", STARTER, str(self.issue())]))
        return True

    def cancel(self) -> bool:
        """Cancel any task that is not finished."""
        open_tasks = [task.id for task in self.ws.state().tasks.values() if task.state in ("pending", "notified")]
        if not open_tasks:
            return False
        try:
            stop_attempt.cancel(self.ws, self.chance.choice(open_tasks))
        except KugetsuError:
            return False  # it was finished meanwhile
        return True

    def kill_starter(self) -> bool:
        """kill -9 of a command that starts a task."""
        living = [starter for starter in self.starters if starter.poll() is None]
        if not living:
            return False
        self.chance.choice(living).kill()
        return True

    def calm_down(self, patience: float) -> list[str]:
        """No more faults: a daemon finishes what is open."""
        for starter in self.starters:
            starter.wait()
        daemon_control.start(self.ws)
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up:
            state = self.ws.state()
            if not state.attempts and not state.waiting():
                daemon_control.stop(self.ws, drain=False)
                return []
            time.sleep(POLL)
        left = [*state.attempts, *(f"{task.id} ({task.state}, held: {task.held})" for task in state.waiting())]
        return [f"not finished after {patience:.0f} s: {', '.join(left)}"]

    def check(self) -> list[str]:
        """Beside the rest: no stranger was touched."""
        return super().check() + (["a stranger was ended"] if self.stranger.poll() is not None else [])

    def clean_up(self) -> None:
        """End what is left."""
        self.stranger.kill()
        self.stranger.wait()
        for starter in self.starters:
            starter.kill()
            starter.wait()
        super().clean_up()
