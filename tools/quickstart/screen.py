"""What the quick start prints: steps with their times, the commands that can be typed again, and the live board."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_STATES = {"completed": "✓", "error": "✗", "cancelled": "✗", "pending": "·", "parked": "‖"}
_COLOURS = {"completed": "32", "error": "31", "cancelled": "31", "pending": "2", "parked": "33", "notified": "36"}


class Failed(Exception):  # noqa: N818 - it is what `run` tells: the command failed
    """A command failed; the text is what it said."""


class Screen:
    """Writes to stdout; on a terminal it redraws the last lines, elsewhere each line stands once."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.colour = self.live and not os.environ.get("NO_COLOR")
        self.began = time.monotonic()
        self._drawn = 0
        self._shorter: list[tuple[str, str]] = []
        self._told: dict[str, str] = {}
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]

    def shorten(self, long: str, short: str) -> None:
        """Write ``short`` for ``long`` in what is shown of commands."""
        self._shorter.append((long, short))

    def title(self, text: str) -> None:
        """A new section."""
        print(f"\n{self.paint(text, '1')}", flush=True)

    def note(self, text: str) -> None:
        """A line of talk."""
        print(f"  {text}", flush=True)

    def command(self, argv: Sequence[str], at: str = "") -> None:
        """Show a command as one could type it, ``at`` a host."""
        print(self.paint(f"  {at}$ {self._shortened(shlex.join(argv))}", "2"), flush=True)

    def _shortened(self, line: str) -> str:
        for long, short in self._shorter:
            line = line.replace(long, short)
        return line

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """A step that takes a while: a check mark and its time at the end."""
        began = time.monotonic()
        if self.live:
            print(f"  … {text}", end="\r", flush=True)
        try:
            yield
        except BaseException:
            self._close_step("✗", "31", text, began)
            raise
        self._close_step("✓", "32", text, began)

    def _close_step(self, mark: str, colour: str, text: str, began: float) -> None:
        erase = "\x1b[2K" if self.live else ""
        took = self.paint(f"{time.monotonic() - began:5.1f} s", "2")
        print(f"{erase}  {self.paint(mark, colour)} {text:<54} {took}", flush=True)

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        *,
        show: bool = True,
        at: str = "",
    ) -> str:
        """Run a command to its end; what it printed. Raises Failed with what it said when it fails."""
        if show:
            self.command(argv, at)
        done = subprocess.run(
            argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = "\n".join(filter(None, (done.stdout.strip()[-1500:], done.stderr.strip()[-1500:])))
            raise Failed(f"{shlex.join(argv)} ended with {done.returncode}\n{said}")
        return done.stdout

    def output(self, text: str) -> None:
        """The output of a command, set off from the rest."""
        width = shutil.get_terminal_size((120, 24)).columns if self.live else 10_000
        for line in self._shortened(text.rstrip("\n")).split("\n"):
            print("  " + line[: width - 3], flush=True)

    def board(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """The tasks: (id, state, text). Redrawn on a terminal; elsewhere a line for each change of state."""
        if not self.live:
            for task, state, text in rows:
                if self._told.get(task) != state:
                    self._told[task] = state
                    print(f"  {self._clock()} {_STATES.get(state, '▸')} {task} {text}".rstrip(), flush=True)
            return
        width = shutil.get_terminal_size((100, 24)).columns - 4
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        lines = []
        spin = _SPINNER[int(time.monotonic() * 8) % len(_SPINNER)]
        for task, state, text in rows:
            mark = self.paint(_STATES.get(state, spin), _COLOURS.get(state, "36"))
            lines.append(f"\x1b[2K  {mark} {task:<3} {text[: width - 6]}")
        print(up + "\n".join(lines), flush=True)
        self._drawn = len(lines)

    def _clock(self) -> str:
        return f"{time.monotonic() - self.began:6.1f} s"

    def paint(self, text: str, code: str) -> str:
        """The text in a colour of the terminal, where it has any."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text
