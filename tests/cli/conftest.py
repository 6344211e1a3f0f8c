"""The real command in a directory of its own, and logs filled through decisions with a clock of the test's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import forkserver
from forkserver import ForkServer
from kugetsu.domain.decide import attempts, claims, daemon, queue, sessions
from kugetsu.domain.facts import Ending
from kugetsu.log import open_log
from kugetsu.runtime.process.lease import Lease

SOURCE = Path(__file__).parents[2] / "src"
SNAPSHOTS = Path(__file__).parent / "snapshots"
ISSUE = "github.com/shoko/kugetsu#14"
#: Seconds after which a command counts as hanging.
TIMEOUT = 60
#: What the interpreter of a command reads at its start. PYTHONPYCACHEPREFIX is set for the whole run in tests/conftest.
START = {
    "PYTHONPATH": str(SOURCE),
    "PYTHONPYCACHEPREFIX": os.environ["PYTHONPYCACHEPREFIX"],
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
}
RUNNER = {"boot": "b", "pid": 4120, "start": 1}
AGENT = {"boot": "b", "pid": 4121, "start": 2}

#: Runs the command with a clock that stands still: what people see must not depend on the hour of the test.
_AT = """
import sys
from kugetsu.model import clock
moment = sys.argv.pop(1)
clock.now = lambda: moment
sys.argv[0] = "kugetsu"
from kugetsu.cli.main import main
sys.exit(main())
"""


#: Completion as it is, but never out of patience: what is found must not depend on how busy the machine is.
PATIENT = """
import sys
from kugetsu.cli import candidates, main
candidates.PATIENCE = 60.0
sys.argv[0] = "kugetsu"
sys.exit(main.main())
"""


class Result:
    """What a command did."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.code = done.returncode
        self.raw = done.stdout
        self.out = done.stdout.decode()
        self.err = done.stderr.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@pytest.fixture
def fork_server() -> ForkServer:
    """The warm interpreter from which commands are forked."""
    return forkserver.shared(START)


class Command:
    """`kugetsu`, run as a process with KUGETSU_DIR below the test's folder and no settings of the user.

    A call is a fork of a warm interpreter; ``real=True`` makes it an interpreter of its own, for tests of start-up and
    of an interpreter's end.
    """

    def __init__(self, folder: Path, server: ForkServer) -> None:
        self.folder = folder
        self.server = server
        self.root = folder / "kugetsu"
        self.work = folder / "work"
        self.work.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "KUGETSU_DIR": str(self.root),
            "KUGETSU_AGENT": "command",
            "KUGETSU_AGENT_COMMAND": "true",
            "KUGETSU_TEMP_DIR": str(folder / "handed-on"),
            "MIN_FREE_MEMORY_MB": "0",
            "MIN_FREE_DISK_MB": "0",
            "OBSERVE_INTERVAL_MINUTES": "0",
            **START,
            "COLUMNS": "80",
            "USER": "shoko",
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def __call__(
        self,
        *words: str | bytes,
        at: str | None = None,
        input: bytes = b"",
        real: bool = False,
        user: int | None = None,
        **more: str,
    ) -> Result:
        environment = {name: value for name, value in {**self.environment, **more}.items() if value}
        moment = f"2026-11-23T{at}.000000Z" if at is not None and len(at) == 8 else at
        if not real and self.server.fits(environment):
            return Result(
                self.server.run(
                    words, input=input, cwd=self.work, env=environment, at=moment, user=user, timeout=TIMEOUT
                )
            )
        program = [sys.executable, "-m", "kugetsu"]
        if moment is not None:
            program = [sys.executable, "-c", _AT, moment]
        elif words[:1] == ("__complete",):
            program = [sys.executable, "-c", PATIENT]
        done = subprocess.run(
            [*program, *words],
            input=input,
            capture_output=True,
            cwd=self.work,
            env=environment,
            timeout=TIMEOUT,
            check=False,
        )
        return Result(done)

    def agent(self, script: str) -> None:
        """Let agents run this shell script; the prompt is its input."""
        path = self.folder / "agent.sh"
        path.write_text(script)
        self.environment["KUGETSU_AGENT_COMMAND"] = f"sh {path}"

    def popen(self, *words: str) -> subprocess.Popen[bytes]:
        """The command, running."""
        return subprocess.Popen(
            [sys.executable, "-m", "kugetsu", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.work,
            env=self.environment,
        )


@pytest.fixture
def kugetsu(tmp_path: Path, fork_server: ForkServer) -> Command:
    return Command(tmp_path, fork_server)


class Story:
    """Fills the log of a `Command`'s directory through decide and transact, at times that the test says."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, exist_ok=True)
        (root / "leases").mkdir(exist_ok=True)
        self.root = root
        self.time = "2026-11-23T09:00:00.000000Z"
        self.by = {"cmd": "kugetsu init", "pid": 4100, "host": "desk", "user": "shoko"}
        self.log = open_log(str(root / "log"), by=self.by, now=lambda: self.time)
        self.agent = "command:default"
        self.held: list[Lease] = []
        self.log.transact(lambda state: sessions.initialise(state, "c858e013f367", "0.1.0", "opencode"))

    def close(self) -> None:
        self.log.close()
        for lease in self.held:
            lease.release()

    def at(self, clock: str, command: str | None = None) -> Story:
        """Set the time (`10:00:02`, or a whole ISO time), and who acts from now on."""
        self.time = f"2026-11-23T{clock}.000000Z" if len(clock) == 8 else clock
        if command is not None:
            self.by["cmd"] = command
        return self

    def enqueue(self, message: str = "implement feature X", issue: str | None = ISSUE, **more: Any) -> str:
        kind = "dev" if issue else "pm"
        events = self.log.transact(
            lambda state: queue.enqueue(state, kind=kind, issue=issue, message=message, via="enqueue", **more)
        )
        return str(events[0]["task"])

    def facts(self, cap: int = 3) -> Any:
        return {
            "now": self.time,
            "cap": cap,
            "cap_source": "default",
            "cores": 8,
            "warmup_seconds": 0.0,
            "warm_before": self.time,
            "free_memory_mb": None,
            "min_free_memory_mb": 0,
            "max_attempts": 3,
            "agent": self.agent,
            "dispatcher": "daemon",
        }

    def claim(self, task: str, *, alive: bool = False) -> str:
        """Claim a slot; ``alive``: this test process holds the lease, as a runner would."""
        nonce = f"lease-{task}-{len(self.held)}"
        if alive:
            self.held.append(Lease.create(str(self.root / "leases"), nonce))
        offer = claims.ClaimRequest(nonce, RUNNER)
        events = self.log.transact(lambda state: claims.claim(state, task, offer, self.facts()))
        return str(events[-1]["attempt"])

    def prepare(self, key: str, attempt: str | None = None, **more: Any) -> None:
        intent = {
            "repository": "github.com/shoko/kugetsu",
            "source": "/src",
            "branch": "fix/issue-14",
            "agent": "opencode",
        }
        outcome = {
            "agent": "opencode",
            "agent_session": "ses_9f3bc0ffee1234",
            "worktree": "/home/shoko/.kugetsu/worktrees/github.com+shoko+kugetsu+14",
            "source": "/src",
            "branch": "fix/issue-14",
            "base_branch": "main",
            "base_commit": "eb42f7d97060",
            "base_session": "ses_base",
            "created": True,
            "fetched": "yes",
            **more,
        }
        self.log.transact(lambda state: sessions.preparing(state, key, intent, attempt))
        self.log.transact(lambda state: sessions.prepared(state, key, outcome, attempt))

    def run(self, task: str, *, alive: bool = False) -> str:
        """Claim, prepare and run."""
        attempt = self.claim(task, alive=alive)
        self.log.transact(lambda state: attempts.starting(state, attempt, RUNNER))
        session = self.log.state().attempts[attempt].session
        if self.log.state().sessions[session].state == "requested":
            self.prepare(session, attempt)
        self.log.transact(lambda state: attempts.running(state, attempt, AGENT, "ses_9f3bc0ffee1234", "/w", "opencode"))
        return attempt

    def finish(self, attempt: str, how: str, verdict: str, reason: str, **more: Any) -> None:
        ending = Ending(how, verdict, reason, **more)
        facts: Any = {
            "now": self.time,
            "max_attempts": 3,
            "backoff_seconds": 10.0,
            "pause_seconds": 3600.0,
            "agent": "command:default",
        }
        self.log.transact(lambda state: attempts.finish(state, attempt, ending, facts))

    def daemon(self, *, alive: bool = True) -> None:
        if alive:
            self.held.append(Lease.create(str(self.root / "leases"), "lease-daemon"))
        identity = {"boot": "b", "pid": 3760, "start": 1}
        self.log.transact(lambda state: daemon.started(state, identity, "lease-daemon"))

    def do(self, decide: Any) -> list[dict[str, Any]]:
        return self.log.transact(decide)


@pytest.fixture
def story(kugetsu: Command) -> Any:
    made = Story(kugetsu.root)
    yield made
    made.close()


@pytest.fixture
def parked(story: Story) -> Story:
    """The story of cli.md: q1 ran into a usage limit and is parked until 12:01."""
    story.at("10:00:02", "kugetsu queue enqueue shoko/kugetsu#14 implement feature X").enqueue()
    story.at("10:00:03", "kugetsu queue-daemon")
    attempt = story.claim("q1")
    story.by["cmd"] = "runner q1.1"
    story.do(lambda state: attempts.starting(state, attempt, RUNNER))
    story.prepare(ISSUE, attempt)
    story.at("10:00:05").do(
        lambda state: attempts.running(state, attempt, AGENT, "ses_9f3bc0ffee1234", "/w", "opencode")
    )
    story.at("10:41:10").finish(
        attempt,
        "fail",
        "limited",
        "usage limit, resets 12:00",
        resets_at="2026-11-23T12:00:00.000000Z",
        tokens=412_000,
        cost=1.25,
    )
    return story


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Any:
    """Compare a text with the file of that name in snapshots/; KUGETSU_SNAPSHOTS=write writes it instead."""

    def compare(name: str, text: str) -> None:
        path = SNAPSHOTS / f"{name}.txt"
        text = re.sub(r"on \d+ cores *", "on 2 cores  ", text).replace("  \n", "\n")
        if os.environ.get("KUGETSU_SNAPSHOTS") == "write":
            path.write_text(text)
        assert path.is_file(), f"no snapshot yet: KUGETSU_SNAPSHOTS=write pytest {request.node.nodeid}"
        assert text == path.read_text(), f"what people see changed: compare it with {path}"

    return compare


@pytest.fixture
def fits() -> Any:
    """Whether no line is wider than so many columns."""

    def check(text: str, width: int = 80) -> bool:
        return all(len(line) <= width for line in re.sub("\x1b\\[[0-9;]*m", "", text).splitlines())

    return check


@pytest.fixture
def ready(kugetsu: Command) -> Any:
    """Set up, inside a clone of example.com/o/r; the agent commits and says so."""
    git = ["git", "-C", str(kugetsu.work)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    for key, value in (("user.name", "a"), ("user.email", "a@example.com")):
        subprocess.run([*git, "config", key, value], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    subprocess.run([*git, "remote", "add", "origin", "https://example.com/o/r.git"], check=True)
    subprocess.run([*git, "update-ref", "refs/remotes/origin/main", "HEAD"], check=True)
    kugetsu.agent("cat > got.txt; git add got.txt; git commit -qm work; echo all done")
    assert kugetsu("init").code == 0
    yield kugetsu
    kugetsu("queue-daemon", "stop")
    for task in kugetsu("queue", "list", "--state", "notified", "--json").json["tasks"]:
        kugetsu("queue", "cancel", task["task"])
    deadline = time.monotonic() + 30
    while kugetsu("status", "--json").json["agents"] and time.monotonic() < deadline:
        time.sleep(0.1)
