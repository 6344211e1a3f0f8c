"""What lies in a worktree beside what `git status` shows, and would go with it: ignored files, files that git was told
to overlook, refs of its own, and processes at work in it.

Ignored files count, because nobody knows that they can be made again, but for what tools say of themselves: folders
with a CACHEDIR.TAG (https://bford.info/cachedir/), Python's virtual environments and compiled files, node_modules.
"""

from __future__ import annotations

import os
import time

from kugetsu import run_files
from kugetsu.runtime.git.changes import counted
from kugetsu.runtime.git.command import git
from kugetsu.runtime.process import identity

NAMES = 3
"""Names that a reason shows."""

PASSING_SECONDS = 0.3
"""A process that is gone after so long only looked at the worktree, as another `prune` does: git, a few ms."""

_TAG = b"Signature: 8a477f597d28d172789f06886806bc55"
_MADE_AGAIN = ("node_modules", "__pycache__")
_COMPILED = (".pyc", ".pyo")


def why_keep(path: str) -> list[str]:
    """The reasons that these give against removing the worktree."""
    reasons = []
    ignored = [name for name in _ignored(path) if not _can_be_made_again(os.path.join(path, name))]
    if ignored:
        reasons.append(f"{counted(len(ignored), 'ignored file')} ({_shown(ignored)})")
    overlooked = _overlooked(path)
    if overlooked:
        reasons.append(f"{counted(len(overlooked), 'file')} that git was told to overlook ({_shown(overlooked)})")
    pids = _at_work(os.path.realpath(path))
    if pids:
        reasons.append(f"a process at work in it (pid {_shown(pids)})")
    return reasons


def own_refs(path: str) -> list[str]:
    """The commits of refs that belong to the worktree alone and go with it."""
    out = git(["for-each-ref", "--format=%(objecttype) %(objectname)", "refs/worktree", "refs/bisect"], path)
    return [line.removeprefix("commit ") for line in out.splitlines() if line.startswith("commit ")]


def _ignored(path: str) -> list[str]:
    """Ignored files; a folder of which all is ignored counts once."""
    out = git(["status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal", "--ignored"], path)
    return [entry[3:] for entry in out.split("\0") if entry.startswith("!! ")]


def _overlooked(path: str) -> list[str]:
    """Tracked files whose changes git does not look for (assume-unchanged, skip-worktree), and which are there."""
    entries = git(["ls-files", "-v", "-z"], path).split("\0")
    marked = [entry[2:] for entry in entries if entry and (entry[0].islower() or entry[0] == "S")]
    return [name for name in marked if os.path.lexists(os.path.join(path, name))]


def _can_be_made_again(path: str) -> bool:
    path = path.rstrip("/")
    if os.path.islink(path) or not os.path.isdir(path):
        return path.endswith(_COMPILED)
    if os.path.basename(path) in _MADE_AGAIN or os.path.exists(path + "/pyvenv.cfg") or _is_tagged(path):
        return not _holds_repository(path)
    return all(_can_be_made_again(os.path.join(path, name)) for name in os.listdir(path))


def _is_tagged(folder: str) -> bool:
    try:
        return run_files.read(folder + "/CACHEDIR.TAG", len(_TAG)) == _TAG
    except OSError:  # not there, or a FIFO that an agent made
        return False


def _holds_repository(folder: str) -> bool:
    """Whether someone may have worked below a folder of a tool's: an editable install is a clone."""
    return any(".git" in (*names, *folders) for _, folders, names in os.walk(folder))


def _at_work(path: str) -> list[str]:
    """The processes that stay in the worktree, or in a folder in it. Without /proc (macOS): none."""
    found = _in(path)
    if found:
        time.sleep(PASSING_SECONDS)
        still = _in(path)
        found = [pid for pid in found if pid in still]
    return found


def _in(path: str) -> list[str]:
    found = []
    for pid in identity.pids():
        try:
            folder = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue  # it ended, or belongs to someone else
        if folder == path or folder.startswith(path + "/"):
            found.append(str(pid))
    return found


def _shown(names: list[str]) -> str:
    return ", ".join(names[:NAMES]) + (", …" if len(names) > NAMES else "")
