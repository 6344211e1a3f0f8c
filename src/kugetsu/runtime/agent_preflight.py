"""What keeps the agent of the settings from being started, as far as a look tells: no program is run.

Asked before each dispatch and by every screen that names gates, so that nothing is imported while all is well. What
the look is not sure of, the adapter is asked: the words for what is wrong are its own.
"""

from __future__ import annotations

import os

from kugetsu.host.paths import Paths
from kugetsu.model.errors import AgentUnavailable, BadInput, KugetsuError, reason_of
from kugetsu.runtime.env_files import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kugetsu.domain.facts import AgentProblem
    from kugetsu.host.config import Config
    from kugetsu.runtime.workspace import Workspace

#: The kinds of tasks: each has an env file and instructions of its own.
KINDS = ("dev", "pm")
#: What helps when only the process that starts agents does not find what it needs.
RESTART = "kugetsu queue-daemon restart"
#: The settings that name the agent's program.
_NAMING = ("KUGETSU_AGENT", "KUGETSU_AGENT_COMMAND", "KUGETSU_OPENCODE")
#: A word of these means to a shell what it says.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./+:@%,")
#: Files and folders of the user's that take the place of instructions that came with kugetsu, by kind.
_INSTRUCTIONS = {"dev": ("workflow.md", "skills/kugetsu-work"), "pm": ("pm-agent.md", "skills/kugetsu-pm")}


def problems(
    ws: Workspace,
    environment: Mapping[str, str] | None = None,
    also: Iterable[str] = (),
    repositories: Sequence[str] = (),
) -> dict[str, AgentProblem]:
    """By kind of task why its agent cannot be started; {} when nothing is known to be wrong. ``also`` are agents that
    tasks have of their own, ``repositories`` have one of theirs: the keys are those of `task_options.problem_key`.

    ``environment`` is that of the process which starts agents, where that is another one.
    """
    settings = ws.config
    if environment is None or environment is ws.environment:
        environment = ws.environment
    elif any(environment.get(key) != ws.environment.get(key) for key in _NAMING):
        settings = _settings(ws, environment)
    asked = [(kind, settings, kind) for kind in KINDS]
    asked += [(f"dev {name}", settings.of(name), "dev") for name in repositories]
    for name, of in (("", settings), *((f" {name}", settings.of(name)) for name in repositories)):
        others = (agent for agent in also if agent != of.text("KUGETSU_AGENT"))
        asked += [(f"dev:{agent}{name}", of.having("KUGETSU_AGENT", agent), "dev") for agent in others]
    found: dict[str, AgentProblem] = {}
    for key, of, kind in asked:
        problem = _problem(ws.paths, of, environment, kind)
        if problem is not None:
            found[key] = _told(problem, of)
    if found and environment is not ws.environment:
        here = problems(ws, also=also, repositories=repositories)
        for kind, told in found.items():
            if kind not in here:
                told["cause"] += " (checked for the daemon, which was started in another environment)"
                told["remedy"] = RESTART
    return found


def _told(problem: tuple[str, str], settings: Config) -> AgentProblem:
    from kugetsu.redaction.funnel import redact

    cause, remedy = problem
    return {"cause": " ".join(redact(cause).split()), "remedy": settings.remedy(redact(remedy))}


def _settings(ws: Workspace, environment: Mapping[str, str]) -> Config:
    from kugetsu.host import config

    try:
        return config.load(ws.paths.config, environment)
    except BadInput:  # the last good ones hold there, and nobody here knows them
        return ws.config


def _problem(paths: Paths, settings: Config, environment: Mapping[str, str], kind: str) -> tuple[str, str] | None:
    """The cause, and the command that helps."""
    unusable = _runs(paths.runs)
    if unusable is not None:
        return unusable
    try:
        given = values(paths, kind)
    except BadInput as problem:
        hint = problem.hint or ""
        return problem.message, hint if hint.startswith("chmod 600 ") else "kugetsu env check"
    except OSError:  # it went while it was looked at
        given = {}
    absent = _absent(settings, environment, given)
    if absent is not None:
        return absent
    if any(os.path.lexists(f"{paths.root}/{name}") for name in _INSTRUCTIONS[kind]):
        return _instructions(paths, kind)
    return None


def _runs(folder: str) -> tuple[str, str] | None:
    """What keeps the folder of runs from being used; one that is missing is made."""
    if os.access(folder, os.W_OK | os.X_OK) and os.path.isdir(folder):
        return None
    if not os.path.lexists(folder):
        return None
    from shlex import quote

    if not os.path.isdir(folder):
        return f"{folder} is not a folder", f"mv {quote(folder)} {quote(f'{folder}.off')}"
    return f"the folder {folder} is not writable", f"chmod u+rwx {quote(folder)}"


def _absent(settings: Config, environment: Mapping[str, str], given: Mapping[str, str]) -> tuple[str, str] | None:
    """What is said of the agent's program when it is not there; None when it is."""
    from kugetsu.agents import missing_program

    search = given.get("PATH", environment.get("PATH", os.defpath))
    if settings.text("KUGETSU_AGENT") == "opencode":
        # Its adapter takes it from the environment as well, an env file among it.
        named = (
            settings.text("KUGETSU_OPENCODE") or given.get("KUGETSU_OPENCODE") or environment.get("KUGETSU_OPENCODE")
        )
        path = missing_program.found(os.path.expanduser(named) if named else "opencode", search)
        if path is None:
            return _as_reason(missing_program.opencode(named or ""))
        # Behind npm's start script its adapter finds the binary, which needs no interpreter.
        return (
            _from_adapter(settings, {**environment, **given})
            if missing_program.interpreter(path, search) is not None
            else None
        )
    line = settings.text("KUGETSU_AGENT_COMMAND").strip()
    program = line.split(None, 1)[0] if line else ""
    if not program or not _PLAIN.issuperset(program) or not _quotes_end(line):
        return _from_adapter(settings, {**environment, **given})
    if "/" in program and not program.startswith("/"):
        return None  # looked for in the worktree, which is not known yet
    path = missing_program.found(program, search)
    if path is not None:
        problem = missing_program.interpreter(path, search)
        return _as_reason(problem) if problem is not None else None
    if all(map(_PLAIN.issuperset, line.split())):
        return _as_reason(missing_program.command(program))
    return _from_adapter(settings, {**environment, **given})  # perhaps a line for a shell, which is there


def _as_reason(problem: KugetsuError) -> tuple[str, str]:
    command = problem.command if isinstance(problem, AgentUnavailable) else None
    return problem.message, command or "kugetsu doctor"


def _quotes_end(line: str) -> bool:
    """Whether it is plain to see that every quotation of a command line ends."""
    single, double = line.count("'"), line.count('"')
    return single % 2 == 0 and double % 2 == 0 and not (single and double) and "\\" not in line


def _from_adapter(settings: Config, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The adapter's answer."""
    from kugetsu.agents import choose

    try:
        choose(settings.texts(), environment).require()
    except KugetsuError as problem:
        return _as_reason(problem)
    except OSError as problem:
        return f"the agent's program cannot be read: {reason_of(problem)}", "kugetsu doctor"
    return None


def _instructions(paths: Paths, kind: str) -> tuple[str, str] | None:
    """What is wrong with the user's own instructions: whoever wrote them does not want those that came with kugetsu."""
    from kugetsu.runtime import skills

    try:
        skills.require_instructions(paths, kind)
    except KugetsuError as problem:
        from shlex import quote

        file, skill = (f"{paths.root}/{name}" for name in _INSTRUCTIONS[kind])
        path = file if file in problem.message else f"{skill}/SKILL.md"
        return problem.message, f"mv {quote(path)} {quote(f'{path}.off')}"
    return None
