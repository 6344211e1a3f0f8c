"""One of several hosts on this machine: a KUGETSU_DIR, a HOME, a clock and a network of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.terminal import Terminal  # type: ignore[import-not-found]
from fault_campaign.clock import Clock
from fault_campaign.network import Network
from kugetsu.host import proc
from kugetsu.runtime.process import identity
from kugetsu.runtime.workspace import Workspace, open_workspace

_KUGETSU = (sys.executable, "-P", "-m", "kugetsu")


@dataclass
class Command:
    """A command that somebody typed, in a process of its own; some on a ``terminal``. ``killed``: it need not tell how
    it ended."""

    words: list[str]
    process: subprocess.Popen[Any]
    since: float
    killed: bool = False
    terminal: Terminal | None = None
    hung_up: bool = False

    def read(self) -> None:
        """Take what its terminal shows, which would hold it up else."""
        if self.terminal is not None and not self.hung_up:
            self.terminal.read(0.0)

    def hang_up(self) -> None:
        """Close its terminal."""
        if self.terminal is not None:
            self.terminal.close()
            self.hung_up = True

    def answer(self) -> tuple[int, str, str]:
        """Exit code, output and errors of one that has ended."""
        if self.terminal is None:
            out, err = self.process.communicate()
            return self.process.returncode, out, err
        code = self.process.wait()
        self.read()
        self.hang_up()
        return code, "", self.terminal.seen


@dataclass
class Acknowledged:
    """An event that a command said it had appended."""

    command: str
    pid: int
    seq: int


def acknowledged(command: str, pid: int, out: str) -> list[Acknowledged]:
    """What a command's JSON says it appended."""
    said = json.loads(out)
    rows = said if isinstance(said, list) else [said]
    return [Acknowledged(command, pid, row["seq"]) for row in rows if isinstance(row.get("seq"), int)]


class Host:
    """One host. ``stopped`` are the processes that have to be continued."""

    def __init__(self, number: int, folder: str, clock: Clock, network: Network, environment: dict[str, str]) -> None:
        self.name = f"box{number}"
        self.folder = folder
        self.directory = f"{folder}/kugetsu"
        self.clock, self.network = clock, network
        os.makedirs(f"{folder}/home")
        os.mkdir(self.directory, 0o700)
        with open(f"{folder}/home/.gitconfig", "w", encoding="utf-8") as file:
            file.write(f"[user]\n\tname = {self.name}\n\temail = {self.name}@example.org\n")
        self.temp = f"{folder}/tmp"
        os.mkdir(self.temp)
        own = {"HOME": f"{folder}/home", "KUGETSU_DIR": self.directory, "TMPDIR": self.temp, "COLUMNS": "80"}
        self.environment = {**environment, **own, **clock.environment}
        self._ws: Workspace | None = None

    def configure(self, settings: dict[str, object]) -> None:
        """Write the settings."""
        with open(f"{self.directory}/config", "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in {**settings, "HOST_NAME": self.name}.items())

    def know(self, secrets: dict[str, str]) -> None:
        """Write the tokens for the forges, which its agents get, too."""
        os.makedirs(f"{self.directory}/env", 0o700, exist_ok=True)
        with open(os.open(f"{self.directory}/env/default.env", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.writelines(f"{key}={value}\n" for key, value in secrets.items())

    def find(self, places: dict[str, str]) -> None:
        """git finds below these folders what it is to get from these URLs."""
        with open(f"{self.folder}/home/.gitconfig", "a", encoding="utf-8") as file:
            file.writelines(f'[url "{folder}/"]\n\tinsteadOf = {url}/\n' for url, folder in places.items())

    @property
    def ws(self) -> Workspace:
        """The campaign's own look at this host's mirror; it appends nothing."""
        if self._ws is None:
            self._ws = open_workspace(self.environment, "fault campaign")
        return self._ws

    @property
    def id(self) -> str:
        """The host's id in the log."""
        with open(f"{self.directory}/host", encoding="ascii") as file:
            return file.readline().strip()

    def type(self, *words: str) -> Command:
        """Begin a command of kugetsu."""
        process = subprocess.Popen(
            [*_KUGETSU, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return Command([*words], process, time.monotonic())

    def type_on_a_terminal(self, *words: str) -> Command:
        """Begin a command of kugetsu that needs a terminal."""
        terminal = Terminal(words, self.environment, Path(self.folder), program=_KUGETSU)
        return Command([*words], terminal.process, time.monotonic(), terminal=terminal)

    def do(self, *words: str) -> None:
        """Run a command to its end. Raises RuntimeError unless it exits with 0."""
        self.expect(self.type(*words))

    def expect(self, command: Command) -> None:
        """Wait for a command. Raises RuntimeError unless it exits with 0."""
        code, out, err = command.answer()
        if code != 0:
            raise RuntimeError(f"{self.name}: kugetsu {' '.join(command.words)}: exit {code}: {out}{err}")

    def processes(self) -> list[identity.Identity]:
        """All that runs for this directory, agents and commands too."""
        mark = f"KUGETSU_DIR={self.directory}".encode()
        found = []
        for pid in identity.pids():
            who = identity.of(pid) if mark in (proc.environ(pid) or b"").split(b"\0") else None
            if who is not None:
                found.append(who)
        return found

    def freeze(self) -> list[identity.Identity]:
        """Stop all processes, and those that they start meanwhile; who was stopped."""
        stopped: list[identity.Identity] = []
        while new := [who for who in self.processes() if who not in stopped]:
            stopped += new
            for who in new:
                identity.signal(who, signal.SIGSTOP)
        return stopped

    def close(self) -> None:
        """End all that runs here."""
        if self._ws is not None:
            self._ws.close()
        while left := self.processes():
            send(left, signal.SIGKILL)
            time.sleep(0.05)
        self.network.close()


def send(processes: Sequence[identity.Identity], number: signal.Signals) -> None:
    """Signal each that still lives."""
    for who in processes:
        identity.signal(who, number)
