"""Run one git process: its environment, answer and failure. Nothing may wait for an editor, a password or a key press.

`command` is the level above, which also pins what a repository's configuration would run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kugetsu.model.errors import GitFailed, KugetsuError
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import caller_environment
from kugetsu.runtime.git import checkouts, remedies
from kugetsu.runtime.process import programs

_SAID = 600  # characters of git's own words that an error shows

# GIT_ASKPASS and core.askPass stay the user's: they may answer without a user. One that would open a window has no
# display, VS Code's has no way to its editor. ssh reads passwords and confirmations from the terminal only, and a
# session of its own has none, so core.sshCommand and GIT_SSH_COMMAND stay the user's.
_QUIET = {
    "GCM_INTERACTIVE": "never",
    "GIT_EDITOR": ":",
    "GIT_MERGE_AUTOEDIT": "no",
    "GIT_OPTIONAL_LOCKS": "0",  # looking at a worktree must not take the lock that its agent needs
    "GIT_PAGER": "cat",
    "GIT_SEQUENCE_EDITOR": ":",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",  # errors are recognised by git's English messages
    "SSH_ASKPASS_REQUIRE": "never",
}

_WINDOWS = ("DISPLAY", "SSH_ASKPASS", "VSCODE_GIT_IPC_HANDLE", "WAYLAND_DISPLAY")

LOCAL_TIMEOUT = 60.0
"""Seconds for a command that only touches this machine's disks."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Exit code, output and error output of git; bytes that are not UTF-8 are escaped."""

    code: int
    out: str
    err: str


def run(
    args: Sequence[str],
    cwd: str | None = None,
    *,
    timeout: float = LOCAL_TIMEOUT,
    env: Mapping[str, str | None] | None = None,
    stdin: bytes | None = None,
    settings: Sequence[tuple[str, str]] = (),
) -> Answer:
    """Run git with these settings, and no others, on top of the configuration. Raises GitFailed after `timeout`
    seconds."""
    try:
        ran = programs.run(["git", *args], cwd=cwd, env=_at(cwd, env, settings), stdin=stdin, timeout=timeout)
    except TimeoutError:
        raise GitFailed(
            f"git {_named(args)} timed out after {timeout:g} seconds",
            "check the network and the disk, then try again",
        ) from None
    except OSError as error:
        raise _cannot_start(cwd, error) from error
    return Answer(ran.code, ran.out.decode("utf-8", "surrogateescape"), ran.err.decode("utf-8", "backslashreplace"))


def environment(extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment, made safe for unattended git, with `extra` on top (None removes a variable)."""
    env = {key: value for key, value in caller_environment.without(os.environ).items() if not _speaks(key, value)}
    env.update(_QUIET)
    for key, value in (extra or {}).items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = value
    return env


def _speaks(key: str, value: str) -> bool:
    """Whether a variable makes git prompt in a window, or trace into the error output, from which failures are told.

    Traces into files (absolute paths) are kept.
    """
    return key in _WINDOWS or (key.startswith(("GIT_TRACE", "GIT_CURL_VERBOSE")) and not value.startswith("/"))


def _at(cwd: str | None, extra: Mapping[str, str | None] | None, settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The environment for git in the repository at `cwd` with these settings."""
    env = environment(extra)
    if cwd is not None:
        folder = os.path.realpath(cwd)
        env.setdefault("GIT_CEILING_DIRECTORIES", os.path.dirname(folder))
        if "GIT_DIR" not in env and checkouts.is_bare(folder):
            env["GIT_DIR"] = folder  # safe.bareRepository=explicit takes none that is only found
    if settings:
        given = env.get("GIT_CONFIG_COUNT", "")
        count = int(given) if given.isascii() and given.isdigit() else 0
        for number, (key, value) in enumerate(settings, count):
            env[f"GIT_CONFIG_KEY_{number}"] = key
            env[f"GIT_CONFIG_VALUE_{number}"] = value
        env["GIT_CONFIG_COUNT"] = str(count + len(settings))
    return env


def failure(args: Sequence[str], answer: Answer) -> GitFailed:
    """The error for an answer: git's message, and a hint."""
    text = redact(" ".join(answer.err.split()) or " ".join(answer.out.split()), limit=_SAID)
    if answer.code < 0 and not text:
        text = f"ended by signal {-answer.code}"
    error = GitFailed(
        f"git {_named(args)} failed: {text or f'exit code {answer.code}'}", remedies.hint(args, answer.err)
    )
    error.missing = remedies.is_missing(args, answer.err)
    return error


def _named(args: Sequence[str]) -> str:
    """The subcommand, after git's own options `-c KEY=VALUE`."""
    rest = list(args)
    while len(rest) > 2 and rest[0] == "-c":
        rest = rest[2:]
    return " ".join(rest[:2]) if rest[:1] in (["worktree"], ["remote"]) else "".join(rest[:1])


def _cannot_start(cwd: str | None, error: OSError) -> KugetsuError:
    if cwd is not None and not os.path.isdir(cwd):
        return KugetsuError(f"the folder {cwd} does not exist", "it was moved or removed: restore it, or name another")
    if isinstance(error, FileNotFoundError):
        return KugetsuError("git is not installed, or not in PATH", "install it (apt install git, brew install git)")
    return KugetsuError(f"git cannot be started: {error.strerror or error}", "check PATH and git's permissions")
