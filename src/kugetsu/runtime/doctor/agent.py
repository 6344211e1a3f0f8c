"""The agent program of the settings, and the skills and prompts that its agents get."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping

from kugetsu.agents import choose
from kugetsu.agents.command import Command
from kugetsu.agents.protocol import Agent
from kugetsu.domain import outages
from kugetsu.host.config import Config
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.plural import counted
from kugetsu.runtime import skills
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Found
from kugetsu.runtime.env_files import values
from kugetsu.runtime.facts import agent_label

found = Found("agent")


def check(context: Context) -> Iterator[Finding]:
    """The findings; the agent's own check takes about 2 s with opencode."""
    try:
        variables = values(context.paths, "dev")
    except BadInput:  # reported by the group "env files"
        variables = {}
    environment = {**context.environment, **variables}
    yield from _outage(context)
    if context.has_log:
        yield from _checked(context, environment)
        return
    with tempfile.TemporaryDirectory(prefix="kugetsu-") as room:  # an adapter makes a folder: only init makes ours
        yield from _checked(context, {**environment, "KUGETSU_DIR": room})


def _outage(context: Context) -> Iterator[Finding]:
    """The error that every task would meet, unless an attempt has succeeded since."""
    state, config = context.state(), context.ws.config
    for label in dict.fromkeys(map(agent_label, (config, *map(config.of, config.repositories)))):
        entry = outages.of(state, label) if state is not None else None
        if entry is not None:
            times = entry["outage"]["times"]
            text = f"every task would meet: {entry['reason']} (met {counted(times, 'time')})"
            mended = entry["outage"]["remedy"]
            yield found.problem("outage", text, f"{mended}, then: kugetsu queue lift {label}" if mended else None)


def _checked(context: Context, environment: Mapping[str, str]) -> Iterator[Finding]:
    """The general agent, and each that a repository has of its own."""
    general, checked = context.ws.config, set()
    for config in (general, *map(general.of, general.repositories)):
        which = (config.text("KUGETSU_AGENT"), config.text("KUGETSU_AGENT_COMMAND"), config.text("KUGETSU_MODEL"))
        if which not in checked:
            checked.add(which)
            yield from _checked_one(config, environment)


def _checked_one(config: Config, environment: Mapping[str, str]) -> Iterator[Finding]:
    agent = choose(config.texts(), environment)
    problems = agent.check()
    place = f"[{config.repository}]: " if config.repository else ""
    for problem in problems:
        make = found.problem if problem.fatal else found.warning
        yield make("check", place + problem.text, config.remedy(problem.hint) if problem.hint else problem.hint)
    if not any(problem.fatal for problem in problems):
        model = config.text("KUGETSU_MODEL")
        name = " ".join(part for part in (agent.name, agent.version()) if part)
        yield _good(agent, place, name, f", model {model}" if model else "")


def _good(agent: Agent, place: str, name: str, model: str) -> Finding:
    """What was checked; of a command line only the program of its first word."""
    if not isinstance(agent, Command):
        return found.ok("check", f"{place}{name} can be started{model}")
    program = agent.argv()[0]
    if agent.argv()[:2] == ("/bin/sh", "-c"):
        text = f"{place}the command line is for a shell, so its programs were not checked{model}"
        return found.skipped("check", text)
    if "/" in program and not program.startswith("/"):
        return found.skipped("check", f"{place}{program} is looked up in each worktree, and was not checked{model}")
    return found.ok("check", f"{place}{name}: {program} exists and is executable{model}")


# --- skills and prompts -----------------------------------------------------------------------------------------------

found_skills = Found("skills")
_READERS = {"dev": "agents on issues", "pm": "the PM agent"}


def check_skills(context: Context) -> Iterator[Finding]:
    """The findings. An agent with unreadable instructions does not start."""
    own = broken = 0
    for name in skills.names(context.paths):
        try:
            own += skills.find(context.paths, name).source != "package"
        except KugetsuError as problem:
            broken += 1
            yield found_skills.problem(name, problem.message, problem.hint)
    if not broken:
        yield found_skills.ok("read", f"all skills can be read, {own} of your own" if own else "all skills can be read")
    for kind, who in _READERS.items():
        path = skills.prompt_file(context.paths, kind)
        if path is not None:
            yield _prompt(context, kind, path, who)


def _prompt(context: Context, kind: str, path: str, who: str) -> Finding:
    try:
        text = skills.instructions(context.paths, kind)
    except KugetsuError as problem:
        return found_skills.problem(kind, problem.message, problem.hint)
    if not text.strip():
        return found_skills.warning(kind, f"{path}, the instructions of {who}, is empty", f"write it, or: rm {path}")
    return found_skills.ok(kind, f"{path} has the instructions of {who}")
