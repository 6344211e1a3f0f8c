"""Parts for tests with the real opencode: repositories, turns started as the runner starts them, scripts."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from kugetsu.agents.opencode.adapter import OpenCode
from kugetsu.agents.outcome import Outcome
from kugetsu.agents.protocol import Checkup, Ended, Health, Launch, Running, Turn


def git(folder: Path, *arguments: str) -> str:
    """Runs git in a folder and returns what it says."""
    given = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.invalid"}
    given |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.invalid"}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | given).stdout.strip()


class Clone:
    """A git repository with as many worktrees as a test asks for."""

    def __init__(self, folder: Path) -> None:
        self.main = folder / "main"
        self._folder = folder
        self.main.mkdir()
        git(self.main, "init", "-q", "-b", "main")
        (self.main / "README.md").write_text("sample\n")
        git(self.main, "add", ".")
        git(self.main, "commit", "-q", "-m", "Begin")

    def worktree(self, name: str) -> Path:
        """A new worktree on a branch of that name."""
        path = self._folder / name
        git(self.main, "worktree", "add", "-q", "-b", name, str(path))
        return path


PATIENCE = 300.0
"""Seconds until something that must happen counts as not happening."""


class Run:
    """One turn of the real opencode, started as the runner starts it."""

    def __init__(
        self, agent: OpenCode, base: dict[str, str], session: str, folder: Path, where: Path, text: str
    ) -> None:
        folder.mkdir()
        prompt = folder / "prompt.md"
        prompt.write_text(text, encoding="utf-8")
        self._agent = agent
        self.session = session
        turn = Turn(session, str(where), str(prompt), str(folder / "output.jsonl"), str(folder / "stderr.log"))
        self.launch: Launch = agent.launch(turn)
        # The starter's own PWD is another folder, as that of a daemon is.
        environment = self.launch.environment(base | {"PWD": "/"})
        with (
            Path(self.launch.stdin).open("rb") as stdin,
            Path(self.launch.stdout).open("ab") as stdout,
            Path(self.launch.stderr).open("ab") as stderr,
        ):
            self.process = subprocess.Popen(
                self.launch.argv, cwd=self.launch.cwd, env=environment, stdin=stdin, stdout=stdout, stderr=stderr
            )

    def end(self, seconds: float = PATIENCE) -> Outcome:
        """Waits for its end and returns the adapter's verdict."""
        code = self.process.wait(seconds)
        launch = self.launch
        exit_code, signal = (None, -code) if code < 0 else (code, None)
        return self._agent.outcome(Ended(self.session, launch.stdout, launch.stderr, exit_code, signal, launch.cwd))

    def kill(self) -> Outcome:
        """Ends it at once and returns the adapter's verdict."""
        self.process.kill()
        return self.end()

    def checkup_until(self, wanted: Health, words: str = "", seconds: float = PATIENCE) -> Checkup:
        """Looks at it until it is in that state and says these words; fails with what was seen last otherwise."""
        end = time.monotonic() + seconds
        while True:
            seen = self._agent.checkup(
                Running(self.session, self.launch.stdout, self.launch.stderr, self.process.pid, 30)
            )
            if seen.health is wanted and words in seen.message:
                return seen
            assert self.process.poll() is None, f"it ended: {Path(self.launch.stderr).read_text()}"
            assert time.monotonic() < end, f"seen last: {seen}"
            time.sleep(0.2)


class Runs:
    """Starts turns, and ends those that a test left running."""

    def __init__(self, agent: OpenCode, base: dict[str, str], folder: Path) -> None:
        self._agent, self._base, self._folder = agent, base, folder
        self._started: list[Run] = []

    def start(self, session: str, where: Path, text: str) -> Run:
        """A turn that runs now."""
        folder = self._folder / f"run-{len(self._started) + 1}"
        self._started.append(Run(self._agent, self._base, session, folder, where, text))
        return self._started[-1]

    def turn(self, session: str, where: Path, text: str) -> Outcome:
        """A whole turn."""
        return self.start(session, where, text).end()

    def close(self) -> None:
        """Ends what still runs."""
        for run in self._started:
            if run.process.poll() is None:
                run.process.kill()
                run.process.wait()


def script(*steps: str) -> str:
    """A prompt that tells the scripted model what to do."""
    return "Please do it.\n\n```script\n" + "\n".join(steps) + "\n```\n"
