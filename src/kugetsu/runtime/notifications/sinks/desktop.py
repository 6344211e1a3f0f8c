"""The sink `desktop`: notify-send, or osascript on macOS.

At most once: a delivery that is interrupted is not repeated. The daemon must have been started in the desktop session,
or know of it (DBUS_SESSION_BUS_ADDRESS).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping

from kugetsu.runtime.notifications.message import Message
from kugetsu.runtime.notifications.notice import one_line
from kugetsu.runtime.notifications.sinks.sink import Outcome, Sink
from kugetsu.runtime.process import programs
from kugetsu.runtime.workspace import Workspace

LIMIT_SECONDS = 10.0
#: Texts are arguments of the script, never a part of it.
_SCRIPT = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)


class Desktop(Sink):
    """Shows a message on the desktop of the user that the daemon runs as."""

    def __init__(self, ws: Workspace) -> None:
        self._environment = ws.environment

    def describe(self) -> tuple[bool, str]:
        """The program that shows it."""
        program = _program(self._environment)
        if program is None:
            return False, f"{_name()} is not installed"
        if sys.platform != "darwin" and not _session(self._environment):
            return False, "no desktop session found (DBUS_SESSION_BUS_ADDRESS, DISPLAY)"
        return True, program

    def deliver(self, message: Message, *, again: bool) -> Outcome:  # noqa: ARG002
        """Show it."""
        ready, program = self.describe()
        if not ready:
            return Outcome(False, program, again=False)  # neither appears while this daemon runs
        try:
            argv = command(program, message)
            code, output = programs.run_contained(argv, env=self._environment, timeout=LIMIT_SECONDS)
        except OSError as problem:
            return Outcome(False, one_line(f"{_name()} cannot be started: {problem.strerror or problem}"))
        if code == 0:
            return Outcome(True, "shown")
        if code is None:
            return Outcome(False, f"{_name()} timed out after {LIMIT_SECONDS:g} s")
        return Outcome(False, one_line(f"{_name()} ended with {code}: {output}"))


def command(program: str, message: Message) -> list[str]:
    """The command line that shows a message."""
    if os.path.basename(program) == "osascript":
        script = [word for line in _SCRIPT for word in ("-e", line)]
        return [program, *script, message.title, message.brief]  # a title never begins with a dash
    # What shows it may read the body as markup.
    body = message.brief.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return [program, "--app-name=kugetsu", f"--urgency={message.urgency}", "--", message.title, body]


def _name() -> str:
    return "osascript" if sys.platform == "darwin" else "notify-send"


def _program(environment: Mapping[str, str]) -> str | None:
    return shutil.which(_name(), path=environment.get("PATH"))


def _session(environment: Mapping[str, str]) -> bool:
    if any(environment.get(name) for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY")):
        return True
    folder = environment.get("XDG_RUNTIME_DIR")
    return bool(folder) and os.path.exists(f"{folder}/bus")
