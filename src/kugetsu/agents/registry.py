"""The agents that kugetsu knows, by the name that KUGETSU_AGENT gives."""

from __future__ import annotations

from collections.abc import Mapping

from kugetsu.agents.command import Command
from kugetsu.agents.opencode.adapter import OpenCode
from kugetsu.agents.protocol import Agent
from kugetsu.model.errors import BadInput

NAMES = ("opencode", "command")


def choose(settings: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Agent:
    """The agent that the settings name; opencode when they name none.

    ``environment`` is the one in which the agent finds its own configuration (None: this process's). Nothing is run
    or looked for yet: see `Agent.require` and `Agent.check`. Raises BadInput for an unknown name.
    """
    name = settings.get("KUGETSU_AGENT") or "opencode"
    if name == "opencode":
        return OpenCode(settings, environment)
    if name == "command":
        return Command(settings, environment)
    raise BadInput(f"no such agent: {name}", f"KUGETSU_AGENT is one of: {', '.join(NAMES)}")
