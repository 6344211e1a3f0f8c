"""What is said of an agent's program that is not there, and what helps: screens say it without an adapter."""

from __future__ import annotations

from kugetsu.errors import AgentUnavailable

#: The release that the adapter was tried with.
_INSTALL = "npm install -g opencode-ai@1.18.33"
_NAME_IT = "kugetsu config set KUGETSU_OPENCODE PATH"
INSTALL_HINT = f"install it with: {_INSTALL}, or name the program: {_NAME_IT}"

_SET_COMMAND = "kugetsu config set KUGETSU_AGENT_COMMAND 'my-agent --flag'"
COMMAND_HINT = f"set it to the command line of your agent: {_SET_COMMAND}"


def opencode(named: str) -> AgentUnavailable:
    """No opencode in PATH, or none that is called as KUGETSU_OPENCODE says (``named``, empty when it says nothing)."""
    if named:
        return AgentUnavailable(f"KUGETSU_OPENCODE is no program: {named}", INSTALL_HINT, _NAME_IT)
    return AgentUnavailable("opencode is not installed", INSTALL_HINT, _INSTALL)


def command(program: str) -> AgentUnavailable:
    """No such program as the first word of KUGETSU_AGENT_COMMAND."""
    return command_line(f"the program of KUGETSU_AGENT_COMMAND is not found: {program}")


def command_line(said: str) -> AgentUnavailable:
    """What is wrong with KUGETSU_AGENT_COMMAND."""
    return AgentUnavailable(said, COMMAND_HINT, _SET_COMMAND)
