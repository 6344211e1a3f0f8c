"""The sink `command`: runs any command line, with the message as its input and its subject in the environment.

At most once: an interrupted delivery is not repeated.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

import orjson

from kugetsu.agents.command import needs_shell
from kugetsu.host.config_file import parse, read_file
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.env_files import WEBHOOK, values
from kugetsu.runtime.notifications.message import Message
from kugetsu.runtime.notifications.notice import one_line
from kugetsu.runtime.notifications.sinks.sink import Outcome, Sink
from kugetsu.runtime.process import programs
from kugetsu.runtime.workspace import Workspace

#: Seconds that it may take.
LIMIT_SECONDS = 30.0
#: Bytes of KUGETSU_NOTICE_JSON: Linux takes 131,072 for one variable.
_MOST_JSON = 100_000


class Command(Sink):
    """Runs NOTIFY_COMMAND."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._line = ws.config.text("NOTIFY_COMMAND").strip()

    def describe(self) -> tuple[bool, str]:
        """The command line."""
        if not self._line:
            return False, "NOTIFY_COMMAND is empty: kugetsu config set NOTIFY_COMMAND '…'"
        return True, one_line(self._line)

    def deliver(self, message: Message, *, again: bool) -> Outcome:  # noqa: ARG002
        """Run it; exit status 0 means delivered."""
        if not self._line:
            return Outcome(False, self.describe()[1])
        try:
            argv = _words(self._line)
            environment = self._environment(message)
            given = f"{message.text}\n".encode("utf-8", "replace")
            code, output = programs.run_contained(argv, env=environment, timeout=LIMIT_SECONDS, stdin=given)
        except ValueError as problem:
            return Outcome(False, f"NOTIFY_COMMAND cannot be split into words: {problem}")
        except KugetsuError as problem:
            return Outcome(False, one_line(problem.message))
        except OSError as problem:
            what = f": {problem.filename}" if isinstance(problem.filename, str) else ""
            return Outcome(False, one_line(f"NOTIFY_COMMAND cannot be started{what}: {problem.strerror or problem}"))
        if code == 0:
            return Outcome(True, "exit 0")
        last = one_line(next((part for part in reversed(output.splitlines()) if part.strip()), ""))
        reason = f": {last}" if last else ""
        if code is None:
            return Outcome(False, f"timed out after {LIMIT_SECONDS:g} s{reason}")
        how = f"exit {code}" if code > 0 else f"ended by signal {-code}"
        return Outcome(False, f"{how}{reason}")

    def _environment(self, message: Message) -> dict[str, str]:
        """This environment, what notify.env sets (default.env is for agents), and the subject of the message."""
        given = values(self._ws.paths, "notify")  # first: its errors quote no line
        path = os.path.join(self._ws.paths.env, "notify.env")
        own = {entry.key for entry in parse(read_file(path), path)} - {WEBHOOK}
        return {**self._ws.environment, **{name: given[name] for name in own & given.keys()}, **about(message)}


def about(message: Message) -> dict[str, str]:
    """The variables that describe a message; issue and task are empty when there are several."""
    most = len(message.notices)
    json = orjson.dumps(message.json())
    while len(json) > _MOST_JSON:
        most //= 2
        json = orjson.dumps({**message.json(most), "text": message.text[:10_000]})
    return {
        "KUGETSU_NOTICE_TYPE": message.type,
        "KUGETSU_NOTICE_ISSUE": _one({notice.issue for notice in message.notices}),
        "KUGETSU_NOTICE_TASK": _one({notice.task for notice in message.notices}),
        "KUGETSU_NOTICE_DELIVERY": message.delivery,
        "KUGETSU_NOTICE_JSON": json.decode(),
    }


def _one(values: set[str | None]) -> str:
    return (values.pop() or "") if len(values) == 1 else ""


def _words(line: str) -> Sequence[str]:
    """As KUGETSU_AGENT_COMMAND: words, or a shell for shell syntax."""
    return ("/bin/sh", "-c", line) if needs_shell(line) else shlex.split(line)
