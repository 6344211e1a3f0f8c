"""The adapter for any command line: KUGETSU_AGENT=command and KUGETSU_AGENT_COMMAND.

The command gets the prompt on its stdin and works in the worktree. Exit code 0 means done; anything else is a failure
that is tried again. 126 and 127 at once and without any output mean that the program cannot be started, which is the
machine's fault and not the task's. A last line of stdout that is a JSON object
may report ``tokens`` and ``cost``.

A command that fails has met a usage limit when the last line of its stdout or its stderr begins with a sentence known
for that (`limits.find_sentence`), or when it ends with exit code 75 and its last line names when to try again. Words
further up count for nothing: they are of compilers, tests and package indexes.

The command line is split like a shell's words. One that holds shell syntax outside of quotes (pipes, redirections,
variables, `;`, globs, a built-in like `exit` …) is given to ``sh -c`` as it is.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import orjson

from kugetsu.agents import error_lines, last_activity, limits, missing_program, process_load
from kugetsu.agents.commands import Command as Ran
from kugetsu.agents.last_activity import Progress, tail_lines
from kugetsu.agents.opencode.environment import QUIET
from kugetsu.agents.outcome import Kind, Outcome, Tokens, bounded, reported_cost, reported_tokens, sentence
from kugetsu.agents.protocol import Checkup, Ended, Health, Launch, Leftover, Problem, Running, Turn
from kugetsu.model.errors import AgentUnavailable, NotFound

_TEMPFAIL = 75  # EX_TEMPFAIL of <sysexits.h>
_LAST_LINES = 20
_AT_ONCE_SECONDS = 10.0
"""A shell or an interpreter that does not find its program ends within milliseconds, on a busy machine in seconds."""
_BUSY = 0.05
_SAMPLE_SECONDS = 0.5
_QUOTED = re.compile(r"'[^']*'|\\.")
_IN_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BUILT_IN = frozenset(
    {"cd", "exit", "export", "set", "source", ".", ":", "if", "while", "for", "case", "until", "eval"}
)
_SHELL_SYNTAX = re.compile(r"[|&;<>()$`*?\[\]#~\n{}!]|^\w+=")


class Command:
    """Any command line as an agent. ``settings``: KUGETSU_AGENT_COMMAND, KUGETSU_MODEL, KUGETSU_TEMP_DIR are read."""

    name = "command"

    def __init__(self, settings: Mapping[str, str], environment: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._environment = dict(os.environ if environment is None else environment)

    def argv(self) -> tuple[str, ...]:
        """The words of the command, or a shell with it. Raises AgentUnavailable when there is none or it is broken."""
        line = (self._settings.get("KUGETSU_AGENT_COMMAND") or "").strip()
        if not line:
            raise missing_program.command_line("KUGETSU_AGENT is command, but KUGETSU_AGENT_COMMAND is empty")
        if needs_shell(line):
            return ("/bin/sh", "-c", line)
        try:
            return tuple(shlex.split(line))
        except ValueError as error:
            raise missing_program.command_line(f"KUGETSU_AGENT_COMMAND cannot be split: {error}: {line}") from error

    def version(self) -> str:
        """A command has none."""
        return ""

    def check(self) -> list[Problem]:
        """Whether there is a command, and whether its program can be found."""
        try:
            self.require()
        except AgentUnavailable as error:
            return [Problem(error.message, error.hint or missing_program.COMMAND_HINT)]
        return []

    def require(self) -> None:
        """Raises AgentUnavailable when there is no command, or its program or that one's interpreter is not found."""
        program = self.argv()[0]
        # A relative path is looked for in the worktree, which is not known yet.
        if "/" in program and not program.startswith("/"):
            return
        path = shutil.which(program, path=self._path())
        if path is None:
            raise missing_program.command(program)
        if (problem := missing_program.interpreter(path, self._path() or os.defpath)) is not None:
            raise problem

    def prepare_home(self) -> None:
        """Nothing to prepare."""

    def make_session(self, directory: str, title: str) -> str:  # noqa: ARG002
        """A name only: a command keeps its own memory, or none. It gets the name as KUGETSU_SESSION."""
        return f"cmd_{secrets.token_hex(10)}"

    def fork(self, base: str, directory: str, title: str) -> str:  # noqa: ARG002
        """A new name."""
        return self.make_session(directory, title)

    def exists(self, session: str) -> bool:
        """A name that a command agent was given can always be continued."""
        return session.startswith("cmd_")

    def session_directory(self, session: str) -> str | None:  # noqa: ARG002
        """Not known: the command works wherever it is started."""
        return None

    def delete_session(self, session: str) -> None:
        """Nothing to delete."""

    def forget_directory(self, directory: str) -> None:
        """Nothing to forget."""

    def leftovers(self, worktrees: str) -> list[Leftover]:  # noqa: ARG002
        """Nothing that is known of."""
        return []

    def transcript(self, session: str) -> str:  # noqa: ARG002
        """Commands have none. Raises NotFound."""
        raise NotFound("a command agent keeps no transcript", "kugetsu logs shows what it printed")

    def launch(self, turn: Turn) -> Launch:
        """The command in the worktree, with KUGETSU_SESSION and, when one is chosen, KUGETSU_MODEL."""
        given = dict(QUIET) | dict(turn.environment) | {"PWD": turn.directory, "KUGETSU_SESSION": turn.session}
        model = turn.model or self._settings.get("KUGETSU_MODEL")
        if model:
            given["KUGETSU_MODEL"] = model
        if temp_dir := self._settings.get("KUGETSU_TEMP_DIR"):
            given.setdefault("KUGETSU_TEMP_DIR", str(Path(temp_dir).expanduser()))
        return Launch(
            argv=self.argv(),
            set=given,
            unset=(),
            cwd=turn.directory,
            stdin=turn.prompt,
            stdout=turn.output,
            stderr=turn.errors,
        )

    def interactive(self, turn: Turn) -> Launch:
        """KUGETSU_ATTACH_COMMAND, which gets the session's name as KUGETSU_SESSION."""
        line = (self._settings.get("KUGETSU_ATTACH_COMMAND") or "").strip()
        if not line:
            raise AgentUnavailable(
                "a command agent has no interactive program, unless KUGETSU_ATTACH_COMMAND names one",
                "kugetsu config set KUGETSU_ATTACH_COMMAND COMMAND; or work in its worktree: kugetsu open --path REF",
            )
        given = dict(turn.environment) | {"PWD": turn.directory, "KUGETSU_SESSION": turn.session}
        return Launch(("/bin/sh", "-c", line), given, (), turn.directory, "", "", "")

    def outcome(self, ended: Ended) -> Outcome:
        """The verdict on a command's exit code and last words."""
        output, errors = _last_lines(ended.output), _last_lines(ended.errors)
        report = _report(output)
        said = "\n".join(errors or output)
        last_lines = _texts([errors[-1:], (output[:-1] if report else output)[-1:]])
        details: dict[str, str | int] = {}
        if ended.exit_code is not None:
            details["exit_code"] = ended.exit_code
        if ended.signal is not None:
            details["signal"] = ended.signal
        kind, reason, resets_at = _verdict(ended, last_lines, errors or output, started=bool(output))
        unavailable = kind is Kind.UNAVAILABLE
        return Outcome(
            kind=kind,
            reason=sentence(reason),
            resets_at=resets_at,
            gate="agent" if unavailable else "",
            remedy="kugetsu doctor" if unavailable else "",
            tokens=_tokens(report.get("tokens")),
            cost=reported_cost(report.get("cost")),
            final_text=bounded("\n".join(output[:-1] if report else output)),
            error="" if kind is Kind.SUCCEEDED else bounded(said),
            details=details,
        )

    def commands(self, ended: Ended) -> list[Ran]:
        """What it printed at its end, as one command without a line: nobody records what a command runs."""
        printed = [*_tail(ended.output), *_tail(ended.errors)]
        return [Ran("", ended.exit_code, "\n".join(printed))] if printed else []

    def put_back(self, directory: str, output: str, changed: Collection[str]) -> list[str]:  # noqa: ARG002
        """Nothing: what a command changes is its work."""
        return []

    def progress(self, output: str, errors: str | None = None) -> Progress:  # noqa: ARG002
        """The last line of its output."""
        return last_activity.of_text(output)

    def checkup(self, running: Running) -> Checkup:
        """A command tells nothing about itself: only its use of the processor shows that it works."""
        busy = process_load.cores_used(running.pid, _SAMPLE_SECONDS)
        if busy is not None and busy >= _BUSY:
            return Checkup(Health.HEALTHY, f"works: {busy:.1f} cores in use")
        return Checkup(Health.UNKNOWN, "prints nothing and uses no processor")

    def _path(self) -> str | None:
        return self._environment.get("PATH")


def needs_shell(line: str) -> bool:
    """Whether a command line means something to a shell that splitting it into words would lose."""
    if line.split(maxsplit=1)[0] in _BUILT_IN:
        return True
    bare = _QUOTED.sub("", line)
    # Inside double quotes only variables and command substitutions mean something.
    if any(re.search(r"[$`]", text) for text in _IN_DOUBLE.findall(bare)):
        return True
    return _SHELL_SYNTAX.search(_IN_DOUBLE.sub("", bare)) is not None


def _verdict(ended: Ended, last_lines: list[str], said: list[str], *, started: bool) -> tuple[Kind, str, str | None]:
    last = error_lines.cause(said) or "it printed nothing"
    if ended.exit_code == 0:
        return Kind.SUCCEEDED, "the command ended with exit code 0", None
    now = limits.present()
    for line in last_lines:
        limit = limits.find_sentence(line, now)
        if limit is not None and limit.usage:
            return Kind.LIMITED, f"usage limit: {line}", limit.resets_at
        if ended.exit_code == _TEMPFAIL and (until := limits.far_reset(line, now)) is not None:
            return Kind.LIMITED, f"the command asks to be tried again (exit code 75): {line}", until
    if ended.signal is not None:
        return Kind.RETRYABLE, f"the command was ended by signal {ended.signal}", None
    if ended.exit_code is None:
        return Kind.RETRYABLE, "the command ended, exit status unknown", None
    if ended.exit_code == _TEMPFAIL:
        return Kind.RETRYABLE, f"the command asks to be tried again (exit code 75): {last}", None
    if ended.exit_code in (126, 127) and not started and (ended.seconds or 0.0) <= _AT_ONCE_SECONDS:
        return Kind.UNAVAILABLE, f"the command could not be started (exit code {ended.exit_code}): {last}", None
    return Kind.RETRYABLE, f"the command ended with exit code {ended.exit_code}: {last}", None


def _last_lines(path: str) -> list[str]:
    return [line for line in _tail(path) if line][-_LAST_LINES:]


def _tail(path: str) -> list[str]:
    return [raw.decode("utf-8", "replace").rstrip() for raw in tail_lines(path, whole=False)]


def _texts(lasts: list[list[str]]) -> list[str]:
    """The last lines as texts; of a JSON object (Claude Code's result) those of its fields that tell how it ended."""
    found: list[str] = []
    for line in (line for lines in lasts for line in lines):
        try:
            value = orjson.loads(line) if line.startswith("{") else None
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            found.append(line)
            continue
        error = value.get("error")
        told = (value.get("result"), error.get("message") if isinstance(error, dict) else error, value.get("message"))
        found += [text.strip() for text in told if isinstance(text, str) and text.strip()]
    return found


def _report(output: list[str]) -> dict[str, Any]:
    """The JSON object in the last line of stdout, when it reports on tokens or cost."""
    if not output or not output[-1].startswith("{"):
        return {}
    try:
        value = orjson.loads(output[-1])
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) and ("tokens" in value or "cost" in value) else {}


def _tokens(value: object) -> Tokens | None:
    """Tokens as a plain number, or as an object with the names of `Tokens`."""
    if not isinstance(value, dict):
        plain = reported_tokens(value)
        return Tokens(total=plain) if plain is not None else None
    names = ("input", "output", "reasoning", "cache_read", "cache_write")
    counts = {name: told for name in names if (told := reported_tokens(value.get(name))) is not None}
    total = reported_tokens(value.get("total"))
    return Tokens(**counts, total=total if total is not None else sum(counts.values()))
