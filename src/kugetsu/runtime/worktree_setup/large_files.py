"""Files that git-lfs keeps elsewhere: real ones in a worktree, or one line that says what is missing."""

from __future__ import annotations

import os
import shutil
import time

from kugetsu.agents import error_lines
from kugetsu.host import run_files
from kugetsu.model.errors import GitFailed
from kugetsu.model.plural import counted, listed
from kugetsu.runtime.git import pins, transport
from kugetsu.runtime.git.command import ask, git

_POINTER = b"version https://git-lfs.github.com/spec/v1"
SETTINGS = ".lfsconfig"
_PLACES = r"^lfs\.((.*\.)?(push)?url|.*transfer.*)$|^remote\..*\.lfs(push)?url$"
"""Settings by which git-lfs goes to another server, or runs a program."""
_MOST = 20_000
"""Files that are looked at; a pointer among the first shows that the others are pointers too."""


def settings_of(source: str, commit: str) -> list[str]:
    """The settings that a commit has for git-lfs: the server above all. Raises GitFailed if git cannot read them."""
    out = git(["config", "-z", "--blob", f"{commit}:{SETTINGS}", "--list"], source)
    return ["=".join(one.split("\n", 1)) for one in out.split("\0") if one]


def fetch(worktree: str, base_commit: str, deadline: float) -> list[str]:
    """Let the worktree have the content of the files that its attributes give to git-lfs; notes for people, where that
    is not possible. Raises GitFailed if the server does not give it.

    git-lfs asks the server that the work branch names, so a branch that names another than the base commit gets
    nothing: an agent wrote that."""
    if not uses_lfs(worktree):
        return []
    pointers = _pointers(worktree)
    if not pointers:
        return []
    what = f"{counted(len(pointers), 'file')} ({listed(pointers)})"
    if shutil.which("git-lfs") is None:
        return [f"{what} kept by git-lfs have no content: install git-lfs, then run git lfs install"]
    if ask(["config", "--get", "filter.lfs.process"], worktree).code != 0:
        return [f"{what} kept by git-lfs have no content: it is not set up for this user; run git lfs install"]
    if not _has_settings_of(base_commit, worktree):
        return [f"{what} kept by git-lfs have no content: {SETTINGS} is not as the base branch has it"]
    answer = transport.ask(["lfs", "pull"], worktree, timeout=max(deadline - time.monotonic(), 1.0))
    if answer.code != 0:
        cause = error_lines.cause(answer.err.splitlines()) or f"exit code {answer.code}"
        raise GitFailed(f"git lfs pull failed: {cause}", "check the server, or: git config --global lfs.url URL")
    left = _pointers(worktree)
    return [f"{counted(len(left), 'file')} ({listed(left)}) have no content after git lfs pull"] if left else []


def push(worktree: str, base_commit: str | None, remote: str, branch: str, deadline: float) -> None:
    """Give the server the content of the files that a branch gives to git-lfs, before it gets the branch: what the hook
    of git-lfs does. Nothing is done without git-lfs, which had kept none then.

    Raises GitFailed if the server does not take it, or if an agent may have named another server: as `fetch`, and in
    the clone's own configuration.
    """
    # The attributes of the branch: another one may be checked out, and the worktree may be gone.
    named = ask(["grep", "-q", "-F", "filter=lfs", f"refs/heads/{branch}", "--", ":(glob)**/.gitattributes"], worktree)
    if named.code == 1 or shutil.which("git-lfs") is None:
        return
    own = sorted({name for scope, name, _ in pins.settings_of(_PLACES, worktree) if scope in pins.OWN_SCOPES})
    if own or not _has_settings_of(base_commit, worktree):
        what = f"its clone sets {own[0]}" if own else f"{SETTINGS} is not as the base branch has it"
        raise GitFailed(f"files kept by git-lfs are not pushed: {what}")
    answer = transport.ask(["lfs", "push", remote, branch], worktree, timeout=max(deadline - time.monotonic(), 1.0))
    if answer.code != 0:
        cause = error_lines.cause(answer.err.splitlines()) or f"exit code {answer.code}"
        raise GitFailed(f"git lfs push failed: {cause}")


def _has_settings_of(base_commit: str | None, worktree: str) -> bool:
    """Whether git-lfs finds the base commit's settings wherever it reads them: in the worktree, the index, HEAD."""
    wanted = _blob(f"{base_commit}:{SETTINGS}", worktree) if base_commit else None
    found = {_blob(f"{place}:{SETTINGS}", worktree) for place in ("", "HEAD")}
    if os.path.lexists(f"{worktree}/{SETTINGS}"):
        found.add(git(["hash-object", "--no-filters", "--", SETTINGS], worktree))
    return found == {wanted}


def _blob(name: str, worktree: str) -> str | None:
    answer = ask(["rev-parse", "-q", "--verify", name], worktree)
    return answer.out.strip() if answer.code == 0 else None


def uses_lfs(worktree: str) -> bool:
    """Whether the worktree's attributes, in any folder, name git-lfs. Raises GitFailed."""
    files = git(["ls-files", "-z", "--", ".gitattributes", "*/.gitattributes"], worktree).split("\0")
    return any(_names_lfs(os.path.join(worktree, name)) for name in files if name)


def _names_lfs(path: str) -> bool:
    try:
        return b"filter=lfs" in run_files.read(path, 1 << 20)
    except OSError:
        return False


def _pointers(worktree: str) -> list[str]:
    names = git(["ls-files", "-z", "--", ":(attr:filter=lfs)"], worktree).split("\0")
    return [name for name in names[:_MOST] if name and _is_pointer(os.path.join(worktree, name))]


def _is_pointer(path: str) -> bool:
    try:
        return run_files.read(path, len(_POINTER)) == _POINTER
    except OSError:
        return False
