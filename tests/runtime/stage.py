"""A whole kugetsu to test with: its own KUGETSU_DIR, a git repository, agents that are shell scripts, real processes.

The agents' behaviour is a script that the test writes; `$STAGE` is a folder of its own in which it can leave files for
the test and look for the test's files. At the end of each test everything that runs is ended (by lease and identity,
never by a name) and what must always hold is checked on the whole log.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kugetsu
from kugetsu.domain import invariants, state_codec
from kugetsu.domain.fold import fold
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.state import State, empty
from kugetsu.model.refs import IssueRef, parse_ref
from kugetsu.model.settings import SETTINGS
from kugetsu.runtime import agent_preflight, daemon_control, initialisation, submit
from kugetsu.runtime.process import identity, lease, termination
from kugetsu.runtime.workspace import Workspace, open_workspace
from runtime import repos
from runtime.supervised import eventually

SOURCE = str(Path(kugetsu.__file__).parent.parent)
PATIENCE = 180.0
"""Seconds until something that must happen counts as not happening."""

ENDS = {f"attempt.{end}" for end in ("succeeded", "failed", "timed_out", "killed", "lost")}

SHORT = {
    "KUGETSU_AGENT": "command",
    "KILL_GRACE_SECONDS": "0.3",
    "RETRY_BACKOFF_SECONDS": "0.1",
    "QUEUE_DAEMON_INTERVAL_MINUTES": "0.05",
    "MIN_FREE_MEMORY_MB": "0",
    "MIN_FREE_DISK_MB": "0",
    "OBSERVE_INTERVAL_MINUTES": "0",
}
"""Settings under which nothing waits for long."""

UNTIL_GO = 'touch "$STAGE/at-work-$KUGETSU_ATTEMPT"; while ! test -e "$STAGE/go"; do sleep 0.02; done\n'
"""An agent that works until the test says `go`."""

COMMIT = 'echo "$KUGETSU_ATTEMPT" > work && git add work && git commit -qm "Work on $KUGETSU_ATTEMPT"\n'


class Stage:
    """One kugetsu directory, its repository, and what the tests ask of it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.monkeypatch = monkeypatch
        self.folder = root / "stage"
        self.folder.mkdir()
        self.directory = root / "kugetsu"
        home = root / "home"
        home.mkdir()
        (home / ".gitconfig").write_text("[user]\n\tname = Shoko\n\temail = shoko@example.org\n")
        for key in [*SETTINGS, "KUGETSU_LEASE", "KUGETSU_ATTEMPT", "KUGETSU_ISSUE", "KUGETSU_SESSION"]:
            monkeypatch.delenv(key, raising=False)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        monkeypatch.setenv("KUGETSU_DIR", str(self.directory))
        monkeypatch.setenv("STAGE", str(self.folder))
        # Runners change to /, where a relative path means another place.
        monkeypatch.setenv("PYTHONPATH", SOURCE)
        monkeypatch.chdir(root)
        self.settings = {
            **SHORT,
            "KUGETSU_AGENT_COMMAND": f"/bin/sh {self.folder}/agent.sh",
            "KUGETSU_TEMP_DIR": str(root / "temp"),
        }
        self.repository = root / "work" / "sample"
        self.name = "local/work/sample"
        self._opened: list[Workspace] = []
        self._children: list[subprocess.Popen[bytes]] = []
        self.agent("exit 0\n")

    # --- setting the scene -------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Make the repository, the settings, and run init."""
        repos.make_plain(self.repository)
        self.configure()
        self.name = initialisation.initialise(self.ws, repo=str(self.repository), force=False).registered or self.name

    def configure(self, **settings: str) -> None:
        """Write the settings file: the short ones, and these."""
        self.settings.update(settings)
        self.directory.mkdir(mode=0o700, exist_ok=True)
        text = "".join(f"{key}={value}\n" for key, value in self.settings.items())
        new = self.directory / "config.new"
        new.write_text(text)
        new.rename(self.directory / "config")
        if self._opened:
            self.ws.reload()

    def agent(self, script: str) -> None:
        """What agents do from now on: a shell script; `$NUMBER` is the issue's number."""
        new = self.folder / "agent.sh.new"
        new.write_text('NUMBER="${KUGETSU_ISSUE##*#}"\n' + script)
        new.rename(self.folder / "agent.sh")

    def go(self) -> None:
        """Let agents that wait for `go` end."""
        (self.folder / "go").touch()

    def at_start_up(self, code: str) -> None:
        """Let every Python process that is started from now on run this first."""
        site = self.root / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(code)
        self.monkeypatch.setenv("PYTHONPATH", f"{site}:{SOURCE}")

    def hook(self, name: str, script: str) -> None:
        """Install a git hook in the repository (and so in its worktrees)."""
        path = self.repository / ".git" / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)

    # --- acting ------------------------------------------------------------------------------------------------

    @property
    def ws(self) -> Workspace:
        """The workspace of the test itself, opened at its first use."""
        if not self._opened:
            self._opened.append(open_workspace(os.environ, "test"))
        return self._opened[0]

    def ref(self, number: int) -> IssueRef:
        """An issue of the repository."""
        return parse_ref(f"{self.name}#{number}")

    def start(self, number: int, message: str = "do it") -> submit.Started:
        """`kugetsu start`."""
        return submit.start(self.ws, self.ref(number), message)

    def enqueue(self, number: int, message: str = "do it", **options: Any) -> str:
        """`kugetsu queue enqueue`; the task's id."""
        return str(submit.enqueue(self.ws, self.ref(number), message, via="enqueue", **options)[0]["task"])

    def python(self, code: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """A process of its own that runs a piece of Python; ended with the test."""
        process = subprocess.Popen([sys.executable, "-P", "-c", code, *arguments], **options)
        self._children.append(process)
        return process

    def start_daemon(self) -> int:
        """Start the daemon; its pid."""
        started, pid = daemon_control.start(self.ws)
        assert started
        return pid

    def kill_daemon(self) -> None:
        """kill -9 of the daemon; returns when it is gone."""
        who = self.state.daemon.identity
        assert who is not None
        identity.signal(who, signal.SIGKILL)
        assert eventually(lambda: not daemon_control.status(self.ws).running, PATIENCE)

    # --- looking -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The fold of the log now."""
        return self.ws.state()

    def events(self, *types: str, **about: object) -> list[dict[str, Any]]:
        """The events of these types (all, when none is named) whose keys have these values."""
        return [
            event
            for event in self.ws.log.read()
            if (not types or event["type"] in types) and all(event.get(key) == about[key] for key in about)
        ]

    def story(self) -> str:
        """The log as text, for a failed test's message."""
        lines = []
        for event in self.ws.log.read():
            data = {key: event["data"].get(key) for key in ("reason", "gate", "exit", "signal") if key in event["data"]}
            name = event.get("attempt") or event.get("task") or event.get("session")
            lines.append(f"{event['seq']} {event['at'][11:]} {event['type']} {name} {data}")
        for log in [*self.directory.glob("runs/*/runner.log"), *self.directory.glob("logs/*")]:
            lines.append(f"--- {log}\n{log.read_text(errors='replace')[-2000:]}")
        return "\n".join(lines)

    def until(self, what: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait until something holds; fail with the log when it never does."""
        if not eventually(what, seconds):
            pytest.fail("it never came to that:\n" + self.story())

    def wait(self, *types: str, count: int = 1, **about: object) -> dict[str, Any]:
        """Wait for an event (the ``count``-th of its kind); return it."""
        self.until(lambda: len(self.events(*types, **about)) >= count)
        return self.events(*types, **about)[count - 1]

    def finished(self, task: str) -> str:
        """Wait until a task is finished; its state."""
        self.until(lambda: self.state.tasks[task].state in ("completed", "error", "cancelled"))
        return self.state.tasks[task].state

    def at_work(self, attempt: str) -> None:
        """Wait until an agent that uses UNTIL_GO is there and recorded."""
        self.file(f"at-work-{attempt}")
        self.wait("attempt.running", attempt=attempt)

    def file(self, name: str) -> str:
        """Wait for a file that a script leaves in `$STAGE`; its text."""
        path = self.folder / name
        self.until(path.exists)
        return path.read_text()

    def written_pid(self, name: str) -> int:
        """Wait for a file with a pid; that process may have ended since."""
        self.until(lambda: self.file(name).strip())
        return int(self.file(name))

    def pid(self, name: str) -> identity.Identity:
        """Wait for a file with a pid; the identity of that process."""
        found = identity.of(self.written_pid(name))
        assert found is not None, f"{name} ended already"
        return found

    def worktree(self, number: int) -> Path:
        """The worktree of an issue's session."""
        path = self.state.sessions[str(self.ref(number))].worktree
        assert path is not None
        return Path(path)

    def kill(self, who: identity.Identity | None, number: int = signal.SIGKILL) -> None:
        """Send a signal to exactly that process, and wait until it is gone."""
        assert who is not None
        assert identity.signal(who, number)
        if number == signal.SIGKILL:
            assert eventually(lambda: not identity.alive(who), PATIENCE)

    # --- the end -----------------------------------------------------------------------------------------------

    def nonces(self) -> dict[str, str]:
        """The lease of every attempt that was ever claimed."""
        return {event["attempt"]: event["data"]["lease"] for event in self.events("attempt.claimed")}

    def check(self) -> None:
        """What must hold whatever happened: of the log, of every transaction in it, and of the processes."""
        check_log(self.ws)
        ever = self.nonces()  # first: what is claimed from now on works
        live = self.state.attempts
        for attempt, nonce in ever.items():
            if attempt not in live:
                assert eventually(lambda nonce=nonce: not termination.marked(nonce)), f"processes of {attempt} are left"

    def clean_up(self) -> None:
        """End everything that runs here."""
        self.go()
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe is not None:
                    pipe.close()
        if not (self.directory / "log").is_dir():
            return
        self.configure()  # whatever the test made of the settings
        # Of this test and of nothing else, whatever became of the environment.
        with_log = open_workspace({**os.environ, "KUGETSU_DIR": str(self.directory)}, "clean up")
        state = with_log.state()
        if state.daemon.identity is not None and state.daemon.state in ("running", "draining"):
            identity.signal(state.daemon.identity, signal.SIGKILL)
        for attempt in list(with_log.state().attempts.values()):
            if attempt.runner is not None:
                identity.signal(attempt.runner, signal.SIGKILL)
        for event in with_log.log.read():
            if event["type"] == "attempt.claimed":
                nonce = event["data"]["lease"]
                termination.end(nonce, 0.0)
                eventually(lambda nonce=nonce: not lease.alive(with_log.paths.leases, nonce), 5.0)
        with_log.close()
        for ws in self._opened:
            ws.close()


def broken_after_the_look(stage: Stage) -> None:
    """As if what keeps the agent from being started came up between the test's own look at it and the start."""
    stage.monkeypatch.setattr(agent_preflight, "problems", lambda *asked: {})


def check_log(ws: Workspace) -> None:
    """The log verifies, every decision is decided again the same, no transaction ever broke an invariant, every attempt
    has one outcome at most."""
    ws.close()
    problems = ws.log.verify().problems
    assert not problems, problems
    known = ws.state()  # first: a daemon may append while this reads
    state = empty()
    verifier = ReplayChecker(lambda seq: ws.log.state_at(seq=seq), kugetsu.__version__)
    outcomes: dict[str, str] = {}
    for event in ws.log.read(until=known.seq):
        differs = verifier.add(event)
        assert differs is None, (differs.seq, differs.found, differs.refusal, differs.recorded, differs.decided)
        assert not verifier.folded, f"event {verifier.last_folded} names no decision"
        kind = event["type"]
        if kind == "attempt.claimed":
            assert invariants.cap_kept(event["data"], event["facts"]), event
            assert event["attempt"] not in outcomes, f"{event['attempt']} is claimed twice"
            outcomes[event["attempt"]] = ""
        elif kind in ENDS:
            assert outcomes[event["attempt"]] == "", f"{event['attempt']} ended twice: {kind}"
            outcomes[event["attempt"]] = kind
        fold(state, event)
        if not event.get("more"):
            assert invariants.broken(state) == [], event
    assert state.violations == []
    assert {attempt for attempt, end in outcomes.items() if not end} == set(state.attempts)
    assert state_codec.dump(state) == state_codec.dump(known)


@pytest.fixture
def bare_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A machine on which init was not run."""
    stage = Stage(tmp_path, monkeypatch)
    yield stage
    stage.clean_up()


@pytest.fixture
def stage(bare_stage: Stage) -> Iterator[Stage]:
    """A kugetsu that is set up, with one repository; what must hold is checked when the test is over."""
    bare_stage.set_up()
    yield bare_stage
    bare_stage.check()
