"""One opened kugetsu directory: its paths, its settings, its log, and who is acting on it."""

from __future__ import annotations

import os

from kugetsu import __version__
from kugetsu.host import config
from kugetsu.host.config import Config
from kugetsu.host.paths import Paths
from kugetsu.log.files.segments import is_shared
from kugetsu.model import clock
from kugetsu.redaction import funnel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from kugetsu.agents.protocol import Agent
    from kugetsu.domain.new_event import NewEvent
    from kugetsu.domain.state import State
    from kugetsu.log.protocol import EventLog
    from kugetsu.runtime.foreign import Foreign

#: Characters of a command line that an event keeps: enough to recognise it.
COMMAND_LENGTH = 120

#: How old the settings file must be to be read, in seconds: one that an editor has just cut to write it anew is empty,
#: and empty means the defaults, another cap and another agent.
SETTLE_SECONDS = 0.05

#: Nothing is there: no lease, no worktree, no output of an agent.
_NOWHERE = "/nonexistent/kugetsu"

#: The variable by which an agent's environment names its attempt.
ATTEMPT = "KUGETSU_ATTEMPT"
#: The variable that lists the names which the agent's environment got from its env file.
GIVEN = "KUGETSU_ENV_NAMES"
#: What belongs to one attempt and to nothing that is started from inside it.
OF_ATTEMPT = (
    ATTEMPT,
    GIVEN,
    "KUGETSU_LEASE",
    "KUGETSU_SESSION",
    "KUGETSU_ISSUE",
    "KUGETSU_FINDINGS",
    "KUGETSU_NUMBER",
    "KUGETSU_API",
    "KUGETSU_BRANCH",
    "KUGETSU_BASE_BRANCH",
)


class Workspace:
    """Where a command or a process of kugetsu acts. The log is opened at its first use and closed by `close`.

    ``foreign`` is the exported log that is read instead of a directory's own, else None.
    """

    __slots__ = ("_log", "by", "config", "environment", "foreign", "paths")

    def __init__(
        self,
        paths: Paths,
        settings: Config,
        environment: Mapping[str, str],
        by: dict[str, Any],
        foreign: Foreign | None = None,
    ) -> None:
        self.paths = paths
        self.config = settings
        self.environment = environment
        self.by = by
        self.foreign = foreign
        self._log: EventLog | None = foreign.log if foreign is not None else None

    @property
    def log(self) -> EventLog:
        """The event log of this directory."""
        if self._log is None:
            from kugetsu.log import open_log

            _follow_clock(self.paths)
            by = self.by
            self._log = open_log(
                self.paths.log, by=by, now=clock.now, guard=lambda new_events: _guarded(new_events, by)
            )
        return self._log

    @property
    def went_directly(self) -> bool:
        """Whether an append to a shared log had no daemon to go through."""
        return self._log is not None and getattr(self._log, "went_directly", False)

    @property
    def only_read_mirror(self) -> bool:
        """Whether a shared log was read as this host has it, and its database not asked."""
        return self._log is not None and getattr(self._log, "only_read", False)

    def state(self) -> State:
        """The fold of everything committed now."""
        state: State = self.log.state()
        return state

    def config_of(self, repository: str | None) -> Config:
        """The settings of a repository (`host/owner/repo`) or of that of an issue; None: the general ones."""
        return self.config.of(repository)

    def reload(self) -> None:
        """Read the settings again: a change acts at the daemon's next decision. Those of an exported log stay."""
        if self.foreign is None:
            self.config = config.load(self.paths.config, self.environment)

    def reload_settled(self) -> None:
        """As `reload`, after waiting `SETTLE_SECONDS` at most for an editor that is just writing the file."""
        import time
        from contextlib import suppress

        with suppress(OSError):  # no file, no settings
            age = time.time() - os.stat(self.paths.config).st_mtime
            if 0 <= age < SETTLE_SECONDS:
                time.sleep(SETTLE_SECONDS - age)
        self.reload()

    def agent(
        self, kind: str = "dev", options: Mapping[str, Any] | None = None, repository: str | None = None
    ) -> Agent:
        """The agent of a repository's settings (as `config_of`), or of a task's own ``options``, for tasks of a kind:
        it sees the environment that its runs see, so that a variable of an env file that moves the agent's data moves
        it for imports and exports too.

        Raises BadInput as `env_files.values` does.
        """
        from kugetsu.agents import choose
        from kugetsu.runtime.env_files import values

        return choose(self.agent_settings(options or {}, repository), {**self.environment, **values(self.paths, kind)})

    def agent_settings(self, options: Mapping[str, Any], repository: str | None) -> dict[str, str]:
        """The settings that an agent reads, with a task's own agent and model (`domain.task_options.label`)."""
        texts = self.config_of(repository).texts()
        usual, agent = texts.get("KUGETSU_AGENT"), options.get("agent")
        if agent and agent != usual:
            texts |= {"KUGETSU_AGENT": agent, "KUGETSU_MODEL": ""}
        if options.get("model"):
            texts["KUGETSU_MODEL"] = options["model"]
        return texts

    def close(self) -> None:
        """Close the log, if it was opened."""
        if self._log is not None:
            self._log.close()
            self._log = None


def _follow_clock(paths: Paths) -> None:
    """Let this process go by the clock of the directory's log: that of all its hosts, where several share it."""
    if is_shared(paths.log):
        from kugetsu.runtime import host_clock

        host_clock.follow(paths.leases)
    else:
        clock.follow(None)


def open_workspace(environment: Mapping[str, str], command: str) -> Workspace:
    """The workspace that the environment names (KUGETSU_DIR); nothing is made.

    Raises BadInput for a KUGETSU_DIR or a setting that cannot be understood.
    """
    paths = Paths.of(environment)
    learn_secrets(paths, environment)
    _follow_clock(paths)
    by = actor(command, environment)
    environment = outside(environment)
    return Workspace(paths, config.load(paths.config, environment), environment, by)


def open_leniently(environment: Mapping[str, str], command: str) -> tuple[Workspace, list[str]]:
    """As `open_workspace`, with the settings that can be understood; what is wrong with the others is told."""
    paths = Paths.of(environment)
    learn_secrets(paths, environment)
    known, problems = config.load_leniently(paths.config, outside(environment))
    return Workspace(paths, known, outside(environment), actor(command, environment)), problems


def open_foreign(path: str, environment: Mapping[str, str], command: str) -> Workspace:
    """The workspace of an exported log: ``paths.root`` is the file, its other paths lead nowhere.

    Raises NotFound, BadInput for a file that holds no log, KugetsuError when it cannot be read.
    """
    from kugetsu.runtime.foreign import Foreign

    foreign = Foreign(path)
    paths = Paths(_NOWHERE)
    paths.root = foreign.path
    return Workspace(paths, foreign.config(), environment, actor(command, environment), foreign)


def _guarded(new_events: Sequence[NewEvent], by: dict[str, Any]) -> Sequence[NewEvent]:
    """The new_events without secrets; the guard is loaded by the first command that appends."""
    from kugetsu.runtime.log_guard import guard

    return guard(new_events, by)


def learn_secrets(paths: Paths, environment: Mapping[str, str]) -> None:
    """Let the redaction funnel know the secrets of this directory and of the environment; read when first needed."""
    known: list[Callable[[bool], Iterable[str]]] = []

    def ask(fresh: bool) -> Iterable[str]:
        if not known:
            from kugetsu.runtime.env_files import Known

            known.append(Known(paths, environment))
        return known[0](fresh)

    funnel.know(ask)


def outside(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment for everything that is started, made from that of whoever typed the command.

    A surrounding git command (a hook, an alias) leaves no repository, index or author in it
    (`caller_environment`); an agent neither its marks nor its secrets: a command that an agent types acts as any other.
    """
    if any(name.startswith("GIT_") for name in environment):
        from kugetsu.runtime import caller_environment

        environment = caller_environment.without(environment)
    if ATTEMPT not in environment:
        return environment
    from kugetsu.runtime.runner import temp_folders

    given = {*OF_ATTEMPT, *environment.get(GIVEN, "").split()}
    kept = {name: value for name, value in environment.items() if name not in given}
    if (temporary := temp_folders.outer(kept.get(temp_folders.VARIABLE))) is not None:
        kept[temp_folders.VARIABLE] = temporary  # the attempt's own goes with it, and what is started here stays
    return kept


def actor(command: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The `by` of an event: command, pid, host and user, the terminal's session of processes, the version that decides,
    and the attempt whose agent typed the command."""
    command = funnel.redact_shapes(" ".join(command.split()))
    if len(command) > COMMAND_LENGTH:
        command = command[: COMMAND_LENGTH - 1] + "…"
    user = environment.get("USER") or environment.get("LOGNAME") or str(os.getuid())
    by: dict[str, Any] = {
        "cmd": command,
        "pid": os.getpid(),
        "host": os.uname().nodename,
        "user": user,
        "terminal": os.getsid(0),
        "kugetsu": __version__,
    }
    attempt = environment.get(ATTEMPT)
    if attempt and attempt.isascii() and attempt.isprintable():
        by["attempt"] = attempt[:COMMAND_LENGTH]
    return by
