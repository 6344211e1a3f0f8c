"""Which of the bash tool's agents still work. It recorded pids alone, so that who has the pid now is looked at."""

from __future__ import annotations

import contextlib
import os

from kugetsu.runtime.process import identity

_OPENCODE = b"opencode"
_TOOL = (_OPENCODE, b"kugetsu")


class OldAgents:
    """The processes of this moment, read once."""

    def __init__(self) -> None:
        self._folders: dict[str, int] = {}
        for pid in identity.pids():
            if pid != os.getpid():
                self._look(pid)

    def _look(self, pid: int) -> None:
        with contextlib.suppress(OSError):  # it ended, or is another user's
            if any(_OPENCODE in os.path.basename(word) for word in _words(pid)[:2]):
                self._folders[os.readlink(f"/proc/{pid}/cwd")] = pid

    def alive(self, pid: object) -> bool:
        """Whether a process has that pid, whatever it is."""
        if not isinstance(pid, int) or isinstance(pid, bool) or not 1 < pid < 1 << 31:
            return False
        found = identity.stat(pid)
        return found is not None and not found.dead

    def works(self, pid: object) -> bool:
        """Whether a process has that pid and looks like opencode or the bash tool: it is taken for the one meant."""
        if not isinstance(pid, int) or not self.alive(pid) or pid == os.getpid():
            return False
        try:
            words = b" ".join(_words(pid))
        except OSError:
            return False
        return any(name in words for name in _TOOL)

    def in_folder(self, path: str) -> int | None:
        """The pid of an opencode whose working folder is `path` or lies in it."""
        inside = os.path.realpath(path)
        for folder, pid in self._folders.items():
            if folder == inside or folder.startswith(inside + "/"):
                return pid
        return None


def _words(pid: int) -> list[bytes]:
    if not identity.HAS_PROC:
        return identity.output("ps", "-p", str(pid), "-o", "command=").encode().split()
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read(65536).split(b"\0")
