"""The variables of the env files: which file sets one, and who gets it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from kugetsu.host.config_file import put, read_file, read_leniently
from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput, NotFound
from kugetsu.redaction.known_values import holds, secrets_among
from kugetsu.runtime.env_files import FILES, SOURCES, TOKENS, WEBHOOK
from kugetsu.runtime.workspace import OF_ATTEMPT

LONGEST = 100_000
"""Bytes of a value: the kernel takes 128 KiB per variable; use a file for more."""

OWN = ("KUGETSU_DIR", "KUGETSU_TEMP_DIR", *OF_ATTEMPT)
"""What kugetsu itself sets for an agent, overriding env files."""

_WHOLE = {
    "PATH": "name all folders, as /opt/tool/bin:/usr/local/bin:/usr/bin:/bin ($PATH in it is not expanded)",
    "HOME": "name a folder on this machine by its absolute path",
}

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of one file. ``kinds`` get it; ``hidden`` would, if a file of their own did not replace this one."""

    name: str
    value: str
    file: str
    kinds: list[str]
    hidden: list[str]


def listed(paths: Paths) -> tuple[list[Variable], list[tuple[str, str]]]:
    """Every variable, by name and file; and what cannot be read: file and reason, without quoting the line."""
    problems: list[tuple[str, str]] = []
    files: dict[str, dict[str, str]] = {}
    for name in FILES:
        path = os.path.join(paths.env, name)
        try:
            entries, nonsense = read_leniently(read_file(path))
        except BadInput as problem:
            problems.append((name, problem.message.removeprefix(path).lstrip(":0123456789 ")))
            continue
        problems += [(name, f"line {line.line} {line.what}") for line in nonsense]
        files[name] = {entry.key: entry.value for entry in entries}
    found = [_variable(name, file, files) for file, values in files.items() for name in values]
    return sorted(found, key=lambda one: (one.name, FILES.index(one.file))), problems


def _variable(name: str, file: str, files: dict[str, dict[str, str]]) -> Variable:
    kinds, hidden = [], []
    for kind, names in SOURCES.items():
        if file not in names:
            continue
        force = next((other for other in names if files.get(other)), None)
        if force == file:
            kinds.append(kind)
        elif force is not None and name not in files[force]:
            hidden.append(kind)
    return Variable(name, files[file][name], file, kinds, hidden)


def held_in(text: str, paths: Paths) -> list[Variable]:
    """The variables whose secrets a text contains, in any form that redaction knows."""
    return [
        one for one in listed(paths)[0] if any(holds(text, value) for value in secrets_among({one.name: one.value}))
    ]


def missed_by(name: str, kinds: list[str]) -> list[str]:
    """Of the kinds that do not see a variable those that need it; nobody else should be given it.

    ``forge`` uses only servers' tokens, ``notify`` only the webhook's URL: comments are posted with the token of
    ``forge``, and NOTIFY_COMMAND gets nothing of default.env.
    """
    if name == WEBHOOK:
        return [kind for kind in kinds if kind == "notify"]
    needed = ("dev", "pm", "forge") if name.startswith(TOKENS) else ("dev", "pm")
    return [kind for kind in kinds if kind in needed]


def newly_hidden(before: list[Variable], after: list[Variable]) -> list[tuple[Variable, list[str]]]:
    """The variables that a file of their own now hides, and from whom."""
    known = {(one.file, one.name): one.hidden for one in before}
    found = []
    for one in after:
        kinds = [kind for kind in one.hidden if kind not in known.get((one.file, one.name), one.hidden)]
        if kinds:
            found.append((one, kinds))
    return found


def write(paths: Paths, file: str, name: str, value: str) -> None:
    """Set a variable in a file. Raises BadInput for an invalid one, KugetsuError if it cannot be written."""
    check_name(name)
    if "\n" in value or "\r" in value:
        raise BadInput(f"the value of {name} has more than one line", "put it in a file, and set its path instead")
    if "\0" in value or len(value.encode("utf-8", "surrogateescape")) > LONGEST:
        raise BadInput(f"the value of {name} cannot be an environment variable", "put it in a file")
    if not value:
        raise BadInput(f"the value of {name} is empty", f"to remove it: kugetsu env unset {name}")
    trouble = trouble_of(name, value)
    if trouble is not None:
        raise BadInput(f"no agent can work with this {name}: {trouble}", _WHOLE.get(name))
    put(os.path.join(paths.make(paths.env), file), name, value)


def trouble_of(name: str, value: str) -> str | None:
    """Why no agent could work with such a value; None if it may be valid.

    Checks the two variables whose mistakes stop every agent obscurely: they replace the daemon's value, and users think
    of a shell. A toolchain's PATH and an agent's own HOME are fine.
    """
    if name == "PATH" and shutil.which("git", path=value) is None:
        return "it has no folder with git, and replaces the whole PATH"
    if name == "HOME" and not (os.path.isabs(value) and os.path.isdir(value)):
        return "it is not a folder"
    return None


def take_out(paths: Paths, file: str, name: str) -> None:
    """Remove a variable from a file. Raises NotFound if it is missing, KugetsuError."""
    path = os.path.join(paths.env, file)
    if all(entry.key != name for entry in read_leniently(read_file(path))[0]):
        raise NotFound(f"{name[:80]!r} is not set in {file}", "kugetsu env list")
    put(path, name, None)


def check_name(name: str) -> str:
    """The name of a variable. Raises BadInput for an invalid one, and for those that kugetsu sets itself."""
    if not name or not _LETTERS.issuperset(name) or name[0].isdigit():
        # It may be the value, or NAME=VALUE in one word: not quoted.
        text = "not a variable name: letters, digits and _, not beginning with a digit"
        raise BadInput(text, "kugetsu env set NAME (it asks for the value)")
    if name in OWN:
        raise BadInput(f"{name} is set by kugetsu for each agent", "its value in an env file has no effect")
    return name
