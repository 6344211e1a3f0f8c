"""What kugetsu asks of an agent program: the `Agent` protocol and the values that go to and fro.

An adapter starts nothing that it does not also end: short programs of its own (an import, a version) run and return;
the agent itself is only described (`Launch`) and is started, watched and stopped by the runner.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from kugetsu.agents.commands import Command
from kugetsu.agents.last_activity import Progress
from kugetsu.agents.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps the agent from working, or that may (``fatal`` False), with its remedy."""

    text: str
    hint: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Leftover:
    """Files of the agent program that nobody needs any more."""

    name: str
    """A stable word for the sort."""
    text: str
    """How many of what, for people."""
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """One prompt for one session. All paths are absolute."""

    session: str
    directory: str
    """The worktree in which the agent works."""
    prompt: str
    """File that holds the prompt."""
    output: str
    """File for the agent's stdout."""
    errors: str
    """File for the agent's stderr. It must not be the output file: both are parsed."""
    model: str | None = None
    """Overrides the agent's own choice; None: KUGETSU_MODEL, else what the user configured for the agent."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the runner adds to the agent's environment: attempt marks, secrets, folders."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start the agent for a turn."""

    argv: tuple[str, ...]
    set: dict[str, str]
    """Environment variables to set over those of the runner (the turn's own are among them)."""
    unset: tuple[str, ...]
    """Environment variables to take away first."""
    cwd: str
    stdin: str
    stdout: str
    """File to append to: O_APPEND, never a pipe (opencode loses output in pipes)."""
    stderr: str

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of the agent, made from the runner's."""
        taken_away = frozenset(self.unset)
        return {name: value for name, value in base.items() if name not in taken_away} | self.set


@dataclass(frozen=True, slots=True)
class Ended:
    """How an agent process ended, for `Agent.outcome`. At most one of ``exit_code`` and ``signal`` is set."""

    session: str
    output: str
    errors: str
    exit_code: int | None = None
    signal: int | None = None
    directory: str = ""
    """The worktree, whose configuration may explain how it ended; empty when that is not known."""
    seconds: float | None = None
    """For how long it ran; None when it is not known."""


@dataclass(frozen=True, slots=True)
class Running:
    """An agent process at work, for `Agent.checkup`."""

    session: str
    output: str
    errors: str
    pid: int
    quiet_seconds: float = 0.0
    """For how long the output has not grown."""


class Health(StrEnum):
    """What a checkup found."""

    HEALTHY = "healthy"
    """It works: a tool runs, or it uses the processor."""
    LIMITED = "limited"
    """A usage limit keeps it waiting: stop it and park the task."""
    RETRYING = "retrying"
    """The agent is retrying the model after errors: nothing to do."""
    STUCK = "stuck"
    """Its start hangs: it never came to ask its model. Stop it and try again."""
    UNKNOWN = "unknown"
    """Nothing shows that it works: most often the model has not answered yet. Silence beyond the limit is a stall."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """What is seen from outside of an agent that prints nothing."""

    health: Health
    message: str
    resets_at: str | None = None
    """When a usage limit ends (UTC), None when it is not told."""
    since: str | None = None
    """Since when it is so (UTC), where that is known."""


class Agent(Protocol):
    """An agent program. Its methods raise AgentUnavailable when the program is missing or refuses to work at all."""

    name: str

    def version(self) -> str:
        """The version of the program; empty when it has none."""
        ...

    def check(self) -> list[Problem]:
        """What is missing or untested; empty when all is well."""
        ...

    def require(self) -> None:
        """Raises AgentUnavailable with the first fatal problem's remedy. Quick: it runs no program."""
        ...

    def prepare_home(self) -> None:
        """Makes the first parallel starts safe. Cheap when it was done before; may be called by several at once."""
        ...

    def make_session(self, directory: str, title: str) -> str:
        """A new empty session that works in a directory, made without the model; returns its id."""
        ...

    def fork(self, base: str, directory: str, title: str) -> str:
        """A new session with the base's conversation that works in another directory; returns its id.

        The base is only read. Raises NotFound when there is no such base.
        """
        ...

    def exists(self, session: str) -> bool:
        """Whether the session can still be continued."""
        ...

    def session_directory(self, session: str) -> str | None:
        """The directory in which a session works; None when it is not known."""
        ...

    def delete_session(self, session: str) -> None:
        """Removes a session and its conversation. One that is not there is fine."""
        ...

    def forget_directory(self, directory: str) -> None:
        """Removes what the program keeps for a directory that is gone, when no session works there. Never raises."""
        ...

    def leftovers(self, worktrees: str) -> list[Leftover]:
        """What the program left that can go, for worktrees below the folder ``worktrees`` and in temporary folders."""
        ...

    def transcript(self, session: str) -> str:
        """The conversation as plain text. Raises NotFound."""
        ...

    def launch(self, turn: Turn) -> Launch:
        """How to start the agent for a turn. Starts nothing."""
        ...

    def interactive(self, turn: Turn) -> Launch:
        """How to start its interactive program in a session, on a person's terminal: no files are used. Starts nothing.

        Raises AgentUnavailable when it has none.
        """
        ...

    def outcome(self, ended: Ended) -> Outcome:
        """What became of a turn, from its end and its files."""
        ...

    def commands(self, ended: Ended) -> list[Command]:
        """The commands that the agent ran in the turn, in order, as its program recorded them.

        Of a program that records none: everything that it printed, as one command without a line.
        """
        ...

    def put_back(self, directory: str, output: str, changed: Collection[str]) -> list[str]:
        """Undoes what the program itself, not the agent, changed in the worktree in the turn with this output file.

        Of the files ``changed``, which git does not have as they are (a folder ends in ``/``): what the agent committed
        is its work. Only after nothing of the turn runs any more. Returns the names of the files; never raises for a
        file that it cannot put back.
        """
        ...

    def progress(self, output: str, errors: str | None = None) -> Progress:
        """What the agent did last, from the tails of its files. Cheap."""
        ...

    def checkup(self, running: Running) -> Checkup:
        """What an agent that prints nothing is about. At most a second."""
        ...
