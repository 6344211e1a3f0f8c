#!/usr/bin/env python3
"""A fault campaign: random commands and kill -9 at random moments, for as long as you like; then everything is checked.

    python tools/fault_campaign.py --seconds 300 --seed 7

Works in a directory of its own (``--keep`` leaves it for a look), with scripted agents in real processes. Whatever was
killed, at the end every task is finished, every attempt has exactly one outcome, no claim ever exceeded the cap, the
log and every decision in it verify, no process of an ended attempt is left, and no stranger was touched. Prints a
summary; exit status 1 when something of that does not hold.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from kugetsu import __version__
from kugetsu.domain import invariants, state_codec
from kugetsu.domain.fold import fold
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.state import empty
from kugetsu.model.errors import KugetsuError
from kugetsu.model.refs import IssueRef, parse_ref
from kugetsu.runtime import daemon_control, initialisation, stop_attempt, submit
from kugetsu.runtime.process import identity, termination
from kugetsu.runtime.workspace import Workspace, open_workspace

SETTINGS = """\
MAX_CONCURRENT_AGENTS={cap}
KUGETSU_AGENT=command
KUGETSU_AGENT_COMMAND=/bin/sh {folder}/agent.sh
KUGETSU_TEMP_DIR={folder}/temp
KILL_GRACE_SECONDS=0.3
RETRY_BACKOFF_SECONDS=0.1
MAX_ATTEMPTS=1000
QUEUE_DAEMON_INTERVAL_MINUTES=0.05
USAGE_LIMIT_PAUSE_MINUTES=0.01
"""

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

ENDS = {"attempt.succeeded", "attempt.failed", "attempt.timed_out", "attempt.killed", "attempt.lost"}


class Campaign:
    """One directory, one repository, one source of chance."""

    def __init__(self, folder: str, seed: int, cap: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.starters: list[subprocess.Popen[bytes]] = []
        self._set_up(cap)
        self.ws: Workspace = open_workspace(os.environ, "fault campaign")
        report = initialisation.initialise(self.ws, repo=folder + "/sample", force=False)
        assert report.registered is not None
        self.name = report.registered
        marked = {**os.environ, "KUGETSU_ATTEMPT": "q1.1", "KUGETSU_LEASE": "f" * 32}
        # Its name and its variables look like an agent's, but for the lease.
        sleep = shutil.which("sleep") or "/bin/sleep"
        self.stranger = subprocess.Popen([f"/bin/sh {folder}/agent.sh", "86400"], executable=sleep, env=marked)

    def _set_up(self, cap: int) -> None:
        folder = self.folder
        os.makedirs(folder + "/home")
        with open(folder + "/home/.gitconfig", "w", encoding="utf-8") as file:
            file.write("[user]\n\tname = campaign\n\temail = campaign@example.org\n")
        for key in [key for key in os.environ if key.startswith("KUGETSU_")]:
            del os.environ[key]
        os.environ.update(HOME=folder + "/home", KUGETSU_DIR=folder + "/kugetsu")
        os.makedirs(folder + "/sample")
        for command in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "first"]):
            subprocess.run(["git", *command], cwd=folder + "/sample", check=True)
        os.makedirs(folder + "/kugetsu", mode=0o700)
        with open(folder + "/kugetsu/config", "w", encoding="utf-8") as file:
            file.write(SETTINGS.format(cap=cap, folder=folder))
        with open(folder + "/agent.sh", "w", encoding="utf-8") as file:
            file.write(AGENT)

    # --- what happens ------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Random actions, one after the other, for that long."""
        actions: list[tuple[Callable[[], bool], int]] = [
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
        choices, weights = zip(*actions, strict=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            action = self.chance.choices(choices, weights)[0]
            if action():
                self.done[action.__name__] += 1
            time.sleep(self.chance.uniform(0.0, 0.12))

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

    def kill_runner(self) -> bool:
        """kill -9 of a runner, in whatever phase it is."""
        return self._kill([attempt.runner for attempt in self.ws.state().attempts.values()])

    def kill_agent(self) -> bool:
        """kill -9 of an agent."""
        return self._kill([attempt.agent for attempt in self.ws.state().attempts.values()])

    def kill_daemon(self) -> bool:
        """kill -9 of the daemon."""
        daemon = self.ws.state().daemon
        return daemon.state in ("running", "draining") and self._kill([daemon.identity])

    def kill_starter(self) -> bool:
        """kill -9 of a command that starts a task."""
        living = [starter for starter in self.starters if starter.poll() is None]
        if not living:
            return False
        self.chance.choice(living).kill()
        return True

    def stop_daemon(self) -> bool:
        """An orderly stop."""
        return daemon_control.stop(self.ws, drain=False)

    def start_daemon(self) -> bool:
        """Start the daemon, if it does not run."""
        return daemon_control.start(self.ws)[0]

    def _kill(self, candidates: list[identity.Identity | None]) -> bool:
        who = [one for one in candidates if one is not None]
        return bool(who) and identity.signal(self.chance.choice(who), signal.SIGKILL)

    # --- the end -----------------------------------------------------------------------------------------------

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
            time.sleep(0.1)
        left = [*state.attempts, *(f"{task.id} ({task.state}, held: {task.held})" for task in state.waiting())]
        return [f"not finished after {patience:.0f} s: {', '.join(left)}"]

    def check(self) -> list[str]:
        """Everything that must hold; the sentences that do not."""
        broken = [f"the log: {problem}" for problem in self.ws.log.verify().problems]
        verifier = ReplayChecker(lambda seq: self.ws.log.state_at(seq=seq), __version__)
        state = empty()
        claims: dict[str, str] = {}
        outcomes: Counter[str] = Counter()
        for event in self.ws.log.read():
            broken += self._check_event(event, claims, outcomes)
            differs = verifier.add(event)
            if differs is not None:
                broken.append(f"event {differs.seq} is not decided so again: kugetsu replay --verify")
            fold(state, event)
            if not event.get("more"):
                broken += [f"after event {event['seq']}: {text}" for text in invariants.broken(state)]
        if verifier.folded:
            broken.append(f"event {verifier.last_folded} names no decision")
        broken += [f"event {seen['seq']}: {seen['text']}" for seen in state.violations]
        if state_codec.dump(state) != state_codec.dump(self.ws.state()):
            broken.append("the fold of the whole log is not the live state")
        for attempt in claims:
            if outcomes[attempt] != 1 and attempt not in state.attempts:
                broken.append(f"{attempt} has {outcomes[attempt]} outcomes")
        for attempt, nonce in claims.items():
            if attempt not in state.attempts and termination.marked(nonce):
                broken.append(f"processes of {attempt} are left")
        if self.stranger.poll() is not None:
            broken.append("a stranger was ended")
        return broken

    def _check_event(self, event: dict[str, Any], claims: dict[str, str], outcomes: Counter[str]) -> list[str]:
        kind = event["type"]
        if kind in ENDS:
            outcomes[event["attempt"]] += 1
            self.done[kind] += 1
        if kind != "attempt.claimed":
            return []
        claims[event["attempt"]] = event["data"]["lease"]
        if not invariants.cap_kept(event["data"], event["facts"]):
            return [f"event {event['seq']} claims a slot beyond the cap"]
        return []

    def clean_up(self) -> None:
        """End what is left."""
        self.stranger.kill()
        self.stranger.wait()
        for starter in self.starters:
            starter.kill()
            starter.wait()
        state = self.ws.state()
        if state.daemon.identity is not None and state.daemon.state in ("running", "draining"):
            identity.signal(state.daemon.identity, signal.SIGKILL)
        for attempt in list(state.attempts.values()):
            termination.end(attempt.lease, 0.0)
        self.ws.close()


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long faults are injected (default 120)")
    parser.add_argument("--seed", type=int, default=None, help="of the chance (default: another one each time)")
    parser.add_argument("--cap", type=int, default=3, help="MAX_CONCURRENT_AGENTS (default 3)")
    parser.add_argument(
        "--patience", type=float, default=120.0, help="seconds for finishing what is open (default 120)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the directory, and say where it is")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    folder = tempfile.mkdtemp(prefix="kugetsu-campaign-")
    campaign = Campaign(folder, seed, options.cap)
    try:
        campaign.run(options.seconds)
        broken = campaign.calm_down(options.patience) + campaign.check()
    finally:
        campaign.clean_up()
    state = campaign.ws.state()
    print(f"seed {seed}, {options.seconds:.0f} s, {state.seq} events, {state.tasks_made} tasks")
    for name, count in sorted(campaign.done.items()):
        print(f"  {name:20} {count:6}")
    for text in broken[:50]:
        print(f"BROKEN: {text}")
    print(f"{len(broken)} broken" if broken else "everything holds")
    if options.keep or broken:
        print(f"kept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
