"""Where a fixture's run happens: a kugetsu directory below /tmp whose log names nothing of the machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kugetsu.log import open_log
from kugetsu.runtime.process import identity

ROOT = Path("/tmp/kugetsu-fixtures")
"""Events hold paths: always the same ones, that belong to nobody."""

CHECKOUT = Path(__file__).resolve().parents[2]
REPOSITORY = "local/demo/todo"
PATIENCE = 120.0

#: Every process of kugetsu that a run starts reads this first: the name of the machine is in each event.
_NEUTRAL = """\
import os
_uname = os.uname
os.uname = lambda: os.uname_result(("Linux", "desk", *tuple(_uname())[2:]))
"""


class WaitedTooLongError(Exception):
    """Something that must happen did not."""


class Place:
    """One kugetsu directory with a sample repository, driven by its commands; a context that ends all that it began."""

    def __init__(self, name: str, environment: dict[str, str] | None = None) -> None:
        self.root = ROOT / name
        shutil.rmtree(self.root, ignore_errors=True)
        self.main = self.root / "demo" / "todo"
        self.main.mkdir(parents=True)
        (self.root / "neutral").mkdir()
        (self.root / "neutral" / "sitecustomize.py").write_text(_NEUTRAL)
        home = self.root / "home"
        home.mkdir()
        (home / ".gitconfig").write_text("[user]\n\tname = Shoko\n\temail = shoko@example.org\n")
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "USER": "shoko",
            "PYTHONPATH": f"{self.root / 'neutral'}:{CHECKOUT / 'src'}",
            "KUGETSU_DIR": str(self.root / "kugetsu"),
            "KUGETSU_TEMP_DIR": str(self.root / "temp"),
            "KUGETSU_FORGE": "off",
            "KILL_GRACE_SECONDS": "1",
            "RETRY_BACKOFF_SECONDS": "0.2",
            "MIN_FREE_MEMORY_MB": "0",
            "QUEUE_DAEMON_INTERVAL_MINUTES": "0.05",
            **(environment or {}),
        }
        for arguments in (
            ("init", "-q", "-b", "main"),
            ("commit", "-q", "--allow-empty", "-m", "Begin"),
        ):
            subprocess.run(["git", *arguments], cwd=self.main, env=self.environment, check=True)

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self.run("queue", "clear", "--all", "--yes")
        for event in self.events("attempt.claimed"):
            self.run("queue", "cancel", event["task"])
        self.run("queue-daemon", "stop", "--drain")

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command, to its end, however it ends."""
        return subprocess.run(
            [sys.executable, "-m", "kugetsu", *arguments],
            env=self.environment | environment,
            cwd=self.main.parent,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def ok(self, *arguments: str, **environment: str) -> str:
        """A command that must succeed; what it prints."""
        done = self.run(*arguments, **environment)
        if done.returncode:
            raise WaitedTooLongError(f"kugetsu {' '.join(arguments)[:60]}: {done.stdout}{done.stderr}")
        return done.stdout

    def enqueue(self, issue: int, message: str, *more: str) -> str:
        """Queue a message for an issue; the task's id."""
        return str(json.loads(self.ok("queue", "enqueue", self.ref(issue), message, *more, "--json"))["task"])

    def ref(self, issue: int) -> str:
        """The reference of an issue of the sample repository."""
        return f"{REPOSITORY}#{issue}"

    def events(self, *kinds: str, **about: object) -> list[dict[str, Any]]:
        """The log's events of these kinds (all when none is named) whose keys have these values."""
        log = open_log(f"{self.environment['KUGETSU_DIR']}/log", by={}, now=lambda: "")
        found = [event for event in log.read() if not kinds or event["type"] in kinds]
        log.close()
        return [event for event in found if all(event.get(key) == value for key, value in about.items())]

    def wait(self, *kinds: str, count: int = 1, **about: object) -> dict[str, Any]:
        """Wait for the ``count``-th event of these kinds; return it."""
        self.until(lambda: len(self.events(*kinds, **about)) >= count, f"{kinds} {about}")
        return self.events(*kinds, **about)[count - 1]

    def until(self, what: Callable[[], object], told: str) -> None:
        """Wait until something holds. Raises WaitedTooLongError, with the last events."""
        end = time.monotonic() + PATIENCE
        while not what():
            if time.monotonic() > end:
                last = [f"{event['seq']} {event['type']} {event.get('task')}" for event in self.events()[-12:]]
                raise WaitedTooLongError(f"{told} did not come; the last events: {last}")
            time.sleep(0.1)

    def kill(self, who: identity.Identity) -> None:
        """kill -9 of exactly that process."""
        identity.signal(who, signal.SIGKILL)
        self.until(lambda: not identity.alive(who), f"the end of {who}")

    def quiet(self) -> None:
        """Wait until nothing works and nothing waits for its turn."""

        def done() -> bool:
            counts = json.loads(self.ok("queue", "stats", "--json"))["counts"]
            return not counts["notified"] and not counts["pending"]

        self.until(done, "the end of all tasks")
