"""What every campaign has: a directory of its own, one source of chance, kill -9, and what must hold of log and
processes at the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from kugetsu import __version__
from kugetsu.domain import invariants, state_codec
from kugetsu.domain.fold import fold
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.state import empty
from kugetsu.runtime import daemon_control
from kugetsu.runtime.process import identity, termination
from kugetsu.runtime.process.named_lease import NOTIFIER, OBSERVER
from kugetsu.runtime.workspace import Workspace, open_workspace

ENDS = {"attempt.succeeded", "attempt.failed", "attempt.timed_out", "attempt.killed", "attempt.lost"}
POLL = 0.1

Action = tuple[Callable[[], bool], float]
"""What may happen, and how often beside the others; it says whether it did."""


class Campaign:
    """One directory, one source of chance."""

    def __init__(self, folder: str, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.pause = 0.12
        os.makedirs(folder + "/home")
        self.write("home/.gitconfig", "[user]\n\tname = campaign\n\temail = campaign@example.org\n")
        for key in [key for key in os.environ if key.startswith("KUGETSU_")]:
            del os.environ[key]
        os.environ.update(HOME=folder + "/home", KUGETSU_DIR=folder + "/kugetsu")
        os.makedirs(folder + "/kugetsu", mode=0o700)

    def write(self, name: str, text: str) -> str:
        """A file of the campaign's folder, replaced at once; its path."""
        path = f"{self.folder}/{name}"
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)
        return path

    def open(self, settings: dict[str, object]) -> None:
        """Write the settings, and open the workspace of the campaign itself."""
        self.settings = settings
        self.write("kugetsu/config", "".join(f"{key}={value}\n" for key, value in settings.items()))
        self.ws: Workspace = open_workspace(os.environ, "fault campaign")

    # --- what happens ------------------------------------------------------------------------------------------

    def actions(self) -> list[Action]:
        """What happens at random."""
        raise NotImplementedError

    def run(self, seconds: float) -> None:
        """Random actions, one after the other, for that long."""
        choices, weights = zip(*self.actions(), strict=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            action = self.chance.choices(choices, weights)[0]
            if action():
                self.done[action.__name__] += 1
            self.turn()
            time.sleep(self.chance.uniform(0.0, self.pause))

    def turn(self) -> None:
        """What is done between two actions."""

    def kill_runner(self) -> bool:
        """kill -9 of a runner, in whatever phase it is."""
        return self.kill([attempt.runner for attempt in self.ws.state().attempts.values()])

    def kill_agent(self) -> bool:
        """kill -9 of an agent."""
        return self.kill([attempt.agent for attempt in self.ws.state().attempts.values()])

    def kill_daemon(self) -> bool:
        """kill -9 of the daemon."""
        daemon = self.ws.state().daemon
        return daemon.state in ("running", "draining") and self.kill([daemon.identity])

    def stop_daemon(self) -> bool:
        """An orderly stop."""
        return daemon_control.stop(self.ws, drain=False)

    def start_daemon(self) -> bool:
        """Start the daemon, if it does not run."""
        return daemon_control.start(self.ws)[0]

    def kill(self, candidates: list[identity.Identity | None]) -> bool:
        """kill -9 of one of these processes; False if there is none."""
        who = [one for one in candidates if one is not None]
        return bool(who) and identity.signal(self.chance.choice(who), signal.SIGKILL)

    # --- the end -----------------------------------------------------------------------------------------------

    def calm_down(self, patience: float) -> list[str]:
        """No more faults: a daemon finishes what is open. What is left after ``patience`` seconds."""
        raise NotImplementedError

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
        for attempt, nonce in claims.items():
            if attempt in state.attempts:
                continue
            if outcomes[attempt] != 1:
                broken.append(f"{attempt} has {outcomes[attempt]} outcomes")
            if termination.marked(nonce):
                broken.append(f"processes of {attempt} are left")
        return broken

    def _check_event(self, event: dict[str, Any], claims: dict[str, str], outcomes: Counter[str]) -> list[str]:
        kind = event["type"]
        if kind in ENDS:
            outcomes[event["attempt"]] += 1
            self.done[kind] += 1
        if "reaction" in event["data"]:
            self.done["turns"] += 1
        if kind != "attempt.claimed":
            return []
        claims[event["attempt"]] = event["data"]["lease"]
        if not invariants.cap_kept(event["data"], event["facts"]):
            return [f"event {event['seq']} claims a slot beyond the cap"]
        return []

    def clean_up(self) -> None:
        """End what is left."""
        daemon = self.ws.state().daemon
        served = [daemon.identity] if daemon.state in ("running", "draining") else []
        for who in (*served, OBSERVER.holder(self.ws.paths), NOTIFIER.holder(self.ws.paths)):
            if who is not None:
                identity.signal(who, signal.SIGKILL)
        for attempt in list(self.ws.state().attempts.values()):
            termination.end(attempt.lease, 0.0)
        self.ws.close()


def git(folder: str, *arguments: str, given: str | None = None, index: str = "") -> str:
    """git's answer. Raises CalledProcessError."""
    environment = {**os.environ, **({"GIT_INDEX_FILE": index} if index else {})}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, input=given, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
