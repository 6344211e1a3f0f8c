"""The agent program of the settings: there, of a version that was tried, with a model to ask."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping

from kugetsu.agents import choose
from kugetsu.agents.command import Command
from kugetsu.agents.protocol import Agent
from kugetsu.domain import outages
from kugetsu.model.errors import BadInput
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Found
from kugetsu.runtime.environments import values
from kugetsu.runtime.facts import agent_label

found = Found("agent")


def check(case: Context) -> Iterator[Finding]:
    """The findings; the agent's own check takes about 2 s with opencode."""
    try:
        variables = values(case.paths, "dev")
    except BadInput:  # the group "env files" tells
        variables = {}
    environment = {**case.environment, **variables}
    yield from _outage(case)
    if case.has_log:
        yield from _checked(case, environment)
        return
    with tempfile.TemporaryDirectory(prefix="kugetsu-") as room:  # an adapter makes a folder: only init makes ours
        yield from _checked(case, {**environment, "KUGETSU_DIR": room})


def _outage(case: Context) -> Iterator[Finding]:
    """What every task met, as long as no attempt has shown that it is over: asked as the daemon's agents met it."""
    state = case.state()
    label = agent_label(case.ws.config)
    entry = outages.of(state, label) if state is not None else None
    if entry is not None:
        times = entry["outage"]["times"]
        said = f"every task would meet: {entry['reason']} (met {times} time{'' if times == 1 else 's'})"
        mended = entry["outage"]["remedy"]
        yield found.problem("outage", said, f"{mended}, then: kugetsu queue lift {label}" if mended else None)


def _checked(case: Context, environment: Mapping[str, str]) -> Iterator[Finding]:
    agent = choose(case.ws.config.texts(), environment)
    problems = agent.check()
    for problem in problems:
        make = found.problem if problem.fatal else found.warning
        yield make("check", problem.text, problem.hint)
    if not any(problem.fatal for problem in problems):
        model = case.ws.config.text("KUGETSU_MODEL")
        name = " ".join(part for part in (agent.name, agent.version()) if part)
        yield _good(agent, name, f", model {model}" if model else "")


def _good(agent: Agent, name: str, model: str) -> Finding:
    """What was found, as far as it was looked for: of a command line only the program of its first word."""
    if not isinstance(agent, Command):
        return found.ok("check", f"{name} can be started{model}")
    program = agent.argv()[0]
    if agent.argv()[:2] == ("/bin/sh", "-c"):
        return found.skipped(
            "check", f"the command line is for a shell, so the programs in it were not looked for{model}"
        )
    if "/" in program and not program.startswith("/"):
        return found.skipped("check", f"{program} lies in each worktree, and was not looked for{model}")
    return found.ok("check", f"{name}: {program} is there and can be executed{model}")
