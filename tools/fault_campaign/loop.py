"""The campaign of the loop: labelled issues on two forges, a Gitea and a GitHub, that fail in every way, people who
label, review, push and merge at random, and kill -9 of everything that works for it."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable

from fault_campaign import promises
from fault_campaign.campaign import POLL, Action, Campaign, git
from fault_campaign.misbehaving import LABEL, TIMEOUT, MisbehavingForge
from fault_campaign.people import ISSUES, People
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime import daemon_control, initialisation, stop_attempt, submit
from kugetsu.runtime.process import identity, termination
from kugetsu.runtime.process.named_lease import NOTIFIER, OBSERVER

TOKEN = "token-of-a-campaign"
KINDS = ("gitea", "github")
OFTEN = "0.005"
FAULTS = 0.05
"""The share of requests that fail."""
MOST_TURNS = 3
QUIET = 5.0
"""Seconds without an event, and with nothing open, after which everything is at rest."""

#: Before an agent, in its worktree: slow, and it fails now and then, until everything calms down.
SET_UP = """\
rm -f .ready
sleep 0.1
test "$1" = calm || test $(($$ % 9)) -ne 0 || exit 1
touch .ready
"""

#: What an agent left that must not be merged.
VERIFICATION = "sleep 0.1\n! grep -qs BAD work-*\n"

#: Agents of every temper; they leave a file where a promise was broken.
AGENT = """\
n=$(printf %s "$KUGETSU_LEASE" | cksum | cut -d" " -f1)
number=${{KUGETSU_ISSUE##*#}}
exec 9>{seen}/live-$(printf %s "$KUGETSU_ISSUE" | cksum | cut -d" " -f1)
flock -n 9 || echo "$KUGETSU_ATTEMPT: another agent works on $KUGETSU_ISSUE" >> {seen}/broken
test -e .ready || echo "$KUGETSU_ATTEMPT: no set-up in $KUGETSU_ISSUE" >> {seen}/broken
case $((n % 7)) in
  0) setsid sh -c 'trap "" TERM; sleep 300' 9>&- & ;;
esac
sleep 0.$((n % 8))
test $((n % 5)) -eq 0 && echo BAD > work-$number || echo "$KUGETSU_ATTEMPT" > work-$number
git add -A && git commit -qm "$KUGETSU_ATTEMPT"
test $((n % 9)) -eq 0 || git push -q -u origin HEAD
test $((n % 13)) -ne 0
"""

DAEMON = """
import os
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime import daemon_control
from kugetsu.runtime.workspace import open_workspace
try:
    daemon_control.start(open_workspace(os.environ, "kugetsu queue-daemon start"))
except KugetsuError as problem:
    raise SystemExit(str(problem))
"""


class Loop(Campaign):
    """Two repositories on two forges, and everybody who works there."""

    def __init__(self, folder: str, seed: int, cap: int) -> None:
        super().__init__(folder, seed)
        self.forges = [MisbehavingForge(kind, f"acme/{kind}", self.chance, token=TOKEN) for kind in KINDS]
        for forge in self.forges:
            forge.__enter__()
        clones = [self._repository(forge) for forge in self.forges]
        self.people = [People(forge, f"{folder}/{forge.kind}.git", self.chance) for forge in self.forges]
        self._open(cap)
        for clone in clones:
            initialisation.initialise(self.ws, repo=clone, force=False)

    def _repository(self, forge: MisbehavingForge) -> str:
        """The bare repository of a forge, and the clone that kugetsu knows, whose remote is found in the folder."""
        bare, clone = f"{self.folder}/{forge.kind}.git", f"{self.folder}/{forge.kind}"
        url = f"{forge.url}/{forge.name}.git"
        os.mkdir(bare)
        git(bare, "init", "-q", "--bare", "-b", "main")
        git(bare, "config", "--global", f"url.{bare}.insteadOf", url)
        git(self.folder, "clone", "-q", url, clone)
        self.write(f"{forge.kind}/.gitignore", ".ready\n")
        git(clone, "checkout", "-q", "-B", "main")
        git(clone, "add", ".gitignore")
        git(clone, "commit", "-q", "-m", "first")
        git(clone, "push", "-q", "origin", "main")
        git(clone, "remote", "set-head", "origin", "main")
        return clone

    def _open(self, cap: int) -> None:
        os.mkdir(self.folder + "/seen")
        agent = self.write("agent.sh", AGENT.format(seen=self.folder + "/seen"))
        self.write("verify.sh", VERIFICATION)
        self.write("set-up.sh", SET_UP)
        os.mkdir(self.folder + "/kugetsu/env", 0o700)
        env = self.write("kugetsu/env/default.env", f"GITEA_TOKEN={TOKEN}\nGITHUB_TOKEN={TOKEN}\n")
        os.chmod(env, 0o600)
        self.open(
            {
                "MAX_CONCURRENT_AGENTS": cap,
                "KUGETSU_AGENT": "command",
                "KUGETSU_AGENT_COMMAND": f"/bin/sh {agent}",
                "KUGETSU_TEMP_DIR": f"{self.folder}/temp",
                "KILL_GRACE_SECONDS": 0.3,
                "RETRY_BACKOFF_SECONDS": 0.1,
                "MAX_ATTEMPTS": 5,
                "MAX_RUNS_WITHOUT_PROGRESS": 0,
                "MIN_FREE_MEMORY_MB": 0,
                "MIN_FREE_DISK_MB": 0,
                "QUEUE_DAEMON_INTERVAL_MINUTES": 0.05,
                "GIT_SERVERS": " ".join(f"{forge.host}={forge.url}" for forge in self.forges),
                "FORGE_KINDS": " ".join(f"{forge.host}={forge.kind}" for forge in self.forges),
                "FORGE_TIMEOUT_SECONDS": TIMEOUT,
                "WORKTREE_SETUP": f"/bin/sh {self.folder}/set-up.sh",
                "VERIFY_COMMAND": f"/bin/sh {self.folder}/verify.sh",
                "DISPOSABLE_FILES": ".ready",
                "INTAKE_LABEL": LABEL,
                "INTAKE_INTERVAL_MINUTES": OFTEN,
                "INTAKE_MARK": "true",
                "OPEN_PULL_REQUEST": "missing",
                "OBSERVE_INTERVAL_MINUTES": OFTEN,
                "REACTIONS": "checks reviews comments conflicts",
                "REACTION_DELAY_MINUTES": OFTEN,
                "CHECKS_SETTLE_MINUTES": 0,
                "MAX_REACTIONS": MOST_TURNS,
            }
        )

    # --- what happens ------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """As every campaign, with forges that fail."""
        for forge in self.forges:
            forge.rate = FAULTS
        daemon_control.start(self.ws)
        super().run(seconds)

    def actions(self) -> list[Action]:
        """What people do, and kills."""
        theirs: list[tuple[Callable[[People], bool], float]] = [
            (People.label, 10),
            (People.label_by_stranger, 0.5),
            (People.unlabel, 0.5),
            (People.close_issue, 0.3),
            (People.reopen_issue, 5),
            (People.edit, 0.3),
            (People.check_fails, 4),
            (People.check_passes, 3),
            (People.review, 3),
            (People.approve, 1),
            (People.comment, 3),
            (People.stranger_speaks, 2),
            (People.conflict, 2),
            (People.push, 1),
            (People.push_base, 0.5),
            (People.merge, 1),
            (People.close_pull, 0.5),
            (People.reopen_pull, 2),
        ]
        return [
            *((self._by_people(act), weight) for act, weight in theirs),
            (self.kill_runner, 0.6),
            (self.kill_agent, 0.6),
            (self.kill_worker, 1),
            (self.kill_observer, 0.4),
            (self.kill_notifier, 0.2),
            (self.kill_daemon, 0.2),
            (self.stop_daemon, 0.15),
            (self.start_two_daemons, 8),
            (self.cancel, 0.3),
            (self.retry, 0.5),
        ]

    def _by_people(self, act: Callable[[People], bool]) -> Callable[[], bool]:
        @functools.wraps(act)
        def done() -> bool:
            return act(self.chance.choice(self.people))

        return done

    def kill_worker(self) -> bool:
        """kill -9 of any process of an attempt: its set-up, its verification, git, a tool."""
        attempts = list(self.ws.state().attempts.values())
        return bool(attempts) and self.kill([*termination.marked(self.chance.choice(attempts).lease)])

    def kill_observer(self) -> bool:
        """kill -9 of the observer."""
        return self.kill([OBSERVER.holder(self.ws.paths)])

    def kill_notifier(self) -> bool:
        """kill -9 of the notifier."""
        return self.kill([NOTIFIER.holder(self.ws.paths)])

    def start_two_daemons(self) -> bool:
        """Two commands start the daemon at once, unless it runs."""
        if daemon_control.status(self.ws).running:
            return False
        commands = [subprocess.Popen([sys.executable, "-P", "-c", DAEMON]) for _ in range(2)]
        for command in commands:
            command.wait()
        return True

    def cancel(self) -> bool:
        """A person cancels a task."""
        open_tasks = [task.id for task in self.ws.state().tasks.values() if task.state in ("pending", "notified")]
        return bool(open_tasks) and _accepted(lambda: stop_attempt.cancel(self.ws, self.chance.choice(open_tasks)))

    def retry(self) -> bool:
        """A person has a failed task done again."""
        failed = [task.id for task in self.ws.state().tasks.values() if task.state in ("error", "cancelled")]
        return bool(failed) and _accepted(lambda: submit.retry(self.ws, self.chance.choice(failed)))

    # --- the end -----------------------------------------------------------------------------------------------

    def calm_down(self, patience: float) -> list[str]:
        """The forges answer, set-ups succeed, a fresh daemon and observer finish what is open."""
        for forge in self.forges:
            forge.rate = 0.0
        self.settings["WORKTREE_SETUP"] = f"/bin/sh {self.folder}/set-up.sh calm"
        text = "".join(f"{key}={value}\n" for key, value in self.settings.items())
        self.write("kugetsu/config", text)
        self.ws.reload()
        daemon_control.stop(self.ws, drain=False)
        while (observer := OBSERVER.holder(self.ws.paths)) is not None and identity.alive(observer):
            time.sleep(POLL)
        daemon_control.start(self.ws)
        give_up, seq, since = time.monotonic() + patience, 0, time.monotonic()
        while time.monotonic() < give_up:
            state = self.ws.state()
            if state.seq != seq or promises.unrest(self.ws, state, self.forges):
                seq, since = state.seq, time.monotonic()
            elif time.monotonic() - since >= QUIET:
                daemon_control.stop(self.ws, drain=False)
                return []
            time.sleep(POLL)
        left = promises.unrest(self.ws, self.ws.state(), self.forges) or ["events are still appended"]
        return [f"not at rest after {patience:.0f} s: {text}" for text in left]

    def check(self) -> list[str]:
        """Beside the rest: what the loop promises, by the log, by the forges and by what agents saw."""
        broken = super().check() + promises.broken(self.ws, self.forges, MOST_TURNS)
        broken += [
            text
            for forge in self.forges
            for number in range(1, ISSUES + 1)
            if (text := self._unexplained(forge, number))
        ]
        witness = f"{self.folder}/seen/broken"
        if os.path.exists(witness):
            with open(witness, encoding="utf-8") as file:
                broken += file.read().splitlines()
        for forge in self.forges:
            for word, count in forge.faults.items():
                self.done[f"forge: {word}"] += count
            self.done["forge: requests"] += len(forge.requests)
            self.done["forge: pull requests"] += len(forge.created)
        return broken

    def _unexplained(self, forge: MisbehavingForge, number: int) -> str | None:
        """What is wrong with the explanation of a labelled issue."""
        key = f"{forge.host}/{forge.name}#{number}"
        if not forge.asks(number):
            return None
        command = [sys.executable, "-P", "-m", "kugetsu", "why", key]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return None
        return f"why {key}: {done.stdout}{done.stderr}"

    def clean_up(self) -> None:
        """End what is left."""
        super().clean_up()
        for forge in self.forges:
            forge.close()


def _accepted(command: Callable[[], object]) -> bool:
    """Whether a command was carried out: what it was about may be over by now."""
    try:
        command()
    except KugetsuError:
        return False
    return True
