"""Errors for an agent program that is missing, with their remedy: screens report them without loading an adapter."""

from __future__ import annotations

import os

from kugetsu.model.errors import AgentUnavailable

#: Bytes of a script in which Linux looks for its interpreter (BINPRM_BUF_SIZE).
_FIRST_BYTES = 256
_SET_PATH = "kugetsu env set PATH"

#: The release that the adapter was tried with.
_INSTALL = "npm install -g opencode-ai@1.18.33"
_NAME_IT = "kugetsu config set KUGETSU_OPENCODE PATH"
INSTALL_HINT = f"install it with: {_INSTALL}, or name the program: {_NAME_IT}"

_SET_COMMAND = "kugetsu config set KUGETSU_AGENT_COMMAND 'my-agent --flag'"
COMMAND_HINT = f"set it to the command line of your agent: {_SET_COMMAND}"


def opencode(named: str) -> AgentUnavailable:
    """No opencode in PATH, or none that is called as KUGETSU_OPENCODE says (``named``, empty when it says nothing)."""
    if named:
        return AgentUnavailable(f"KUGETSU_OPENCODE is not an executable file: {named}", INSTALL_HINT, _NAME_IT)
    return AgentUnavailable("opencode is not installed", INSTALL_HINT, _INSTALL)


def command(program: str) -> AgentUnavailable:
    """No such program as the first word of KUGETSU_AGENT_COMMAND."""
    return command_line(f"the program of KUGETSU_AGENT_COMMAND is not found: {program}")


def command_line(said: str) -> AgentUnavailable:
    """What is wrong with KUGETSU_AGENT_COMMAND."""
    return AgentUnavailable(said, COMMAND_HINT, _SET_COMMAND)


def interpreter(program: str, search: str) -> AgentUnavailable | None:
    """What is wrong with the interpreter of a script: its first line names one that is not there, or has `env` look for
    it in ``search`` (the PATH that the agent gets), where it is not. None for all else: a binary, one that is there.
    """
    name = _interpreter(program)
    if name is None or _is_there(name, search):
        return None
    where = "" if "/" in name else " in PATH"
    said = f"the interpreter of {program} is not found{where}: {name}"
    return AgentUnavailable(said, f"install {name}, or name its folder for agents: {_SET_PATH}", _SET_PATH)


def _interpreter(program: str) -> str | None:
    """The path that a script's first line names, or the name that its `env` looks for; None where it is not clear."""
    try:
        with open(program, "rb") as file:
            first = file.read(_FIRST_BYTES)
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return None
    words = first[2:].partition(b"\n")[0].decode("utf-8", "replace").split()
    if not words or not words[0].startswith("/"):
        return None
    if os.path.basename(words[0]) != "env" or not _is_program(words[0]):
        return words[0]
    rest = [word for word in words[1:] if word != "-S" and "=" not in word]
    # Options of env, and quotations, are for env to understand.
    return rest[0] if rest and rest[0][0] not in "-'\"" else None


def _is_there(name: str, search: str) -> bool:
    return found(name, search) is not None


def _is_program(path: str) -> bool:
    return os.access(path, os.X_OK) and os.path.isfile(path)


def found(program: str, search: str) -> str | None:
    """The path of a program as `shutil.which` finds it, which takes a millisecond to import."""
    if "/" in program:
        return program if _is_program(program) else None
    paths = (f"{folder}/{program}" for folder in search.split(os.pathsep) if folder)
    return next((path for path in paths if _is_program(path)), None)
