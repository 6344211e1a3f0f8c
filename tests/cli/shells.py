"""Real interactive shells at a pseudo terminal: a line is typed, TAB pressed, and what the line is then is read."""

from __future__ import annotations

import os
import pty
import select
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import PATIENT

#: Where each shell reads what `kugetsu completion` printed, and a key (Ctrl-T) that writes the line into a file.
SETUP = {
    "bash": """\
eval "$(kugetsu completion bash)"
bind 'set bell-style none'
bind 'set completion-query-items 0'
bind 'set page-completions off'
bind -x '"\\C-t": printf "%s\\n" "$READLINE_LINE" > "$LINE.new"; mv "$LINE.new" "$LINE"'
PS1='ready> '
""",
    "zsh": """\
source <(kugetsu completion zsh)
unsetopt beep zle_bracketed_paste prompt_cr prompt_sp
told() { print -r -- "$BUFFER" > "$LINE.new"; mv "$LINE.new" "$LINE" }
zle -N told
bindkey '^T' told
bindkey '^I' complete-word
PS1='ready> '
""",
    "fish": """\
kugetsu completion fish | source
function fish_prompt; echo -n 'ready> '; end
function fish_greeting; end
function told; commandline > "$LINE.new"; mv "$LINE.new" "$LINE"; end
bind \\ct told
""",
}
#: Seconds for which a shell may take to come up, or to answer a key.
PATIENCE = 120


def needs(shell: str) -> Any:
    """Skip a test where that shell is not installed."""
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


def program(folder: Path, source: Path) -> Path:
    """A folder for PATH with the command `kugetsu`, run from the source."""
    path = folder / "bin"
    path.mkdir(exist_ok=True)
    command = path / "kugetsu"
    patient = folder / "patient.py"
    patient.write_text(PATIENT)
    command.write_text(
        f'#!/bin/sh\nif [ "$1" = __complete ]; then set -- "{patient}" "$@"; else set -- -m kugetsu "$@"; fi\n'
        f'PYTHONPATH="{source}" exec "{sys.executable}" "$@"\n'
    )
    command.chmod(0o755)
    return path


class Shell:
    """An interactive shell that has read kugetsu's completion."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str], cwd: Path) -> None:
        folder.mkdir()
        self.line = folder / "line"
        self.shown = b""
        setup = folder / {"bash": "setup.bash", "zsh": ".zshrc", "fish": "setup.fish"}[name]
        setup.write_text(SETUP[name])
        command = {
            "bash": ["bash", "--noprofile", "--rcfile", str(setup), "-i"],
            "zsh": ["zsh", "-d", "-i"],
            "fish": ["fish", "-N", "-i", "-C", f"source {setup}"],
        }[name]
        mine = {"TERM": "xterm", "HOME": str(folder), "ZDOTDIR": str(folder), "LINE": str(self.line)}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(command[0], command, {**environment, **mine})
        self._read_until(lambda: b"ready> " in self.shown)

    def tab(self, typed: str) -> str:
        """The line after ``typed`` and TAB. What the shell showed meanwhile is in ``shown``."""
        self.shown = b""
        self.line.unlink(missing_ok=True)
        os.write(self.fd, typed.encode() + b"\t\x14")
        self._read_until(self.line.exists)
        os.write(self.fd, b"\x15")  # Ctrl-U: away with it
        return self.line.read_text().rstrip("\n")

    def _read_until(self, done: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, self.shown
            if select.select([self.fd], [], [], 0.05)[0]:
                self.shown += os.read(self.fd, 65536)

    def close(self) -> None:
        os.close(self.fd)  # hangs up
        os.waitpid(self.pid, 0)
