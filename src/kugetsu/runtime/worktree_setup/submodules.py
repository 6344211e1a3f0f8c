"""Check out the submodules of a worktree: those that its base commit has, too, from the same place.

A submodule that only the work branch names, or with another URL, is left out: an agent wrote that. Where the user's
clone has the submodule, its objects are taken from there instead of the network, and copied: what becomes of the clone
does not matter afterwards. Nothing that exists is changed: of a submodule that was ever checked out, the agent may have
moved the commit.
"""

from __future__ import annotations

import os
import shutil
import time

from kugetsu.agents import error_lines
from kugetsu.model.errors import GitFailed
from kugetsu.model.plural import listed
from kugetsu.runtime.git import changes, checkouts, transport
from kugetsu.runtime.git.command import ask

FILE = ".gitmodules"
_REFS = 'f() { git --git-dir="$1" for-each-ref --format="%(objectname)"; }; f'
"""What the repository has that is borrowed from: git's own command, which `pins` replaces elsewhere."""
_KEYS = r"^submodule\..*\.(path|url)$"


def exist(worktree: str) -> bool:
    """Whether the worktree's commit names submodules, as far as a look tells."""
    return os.path.isfile(f"{worktree}/{FILE}")


def check_out(source: str, worktree: str, base_commit: str, deadline: float) -> list[str]:
    """Check out the submodules that never were, and theirs; returns notes for people.

    ``source`` is the clone, ``deadline`` on the monotonic clock. Raises GitFailed with git's own last line.
    """
    ours, base = named("HEAD", worktree), named(base_commit, source)
    links = set(changes.submodules(worktree))
    known = {name: one["path"] for name, one in ours.items() if one.get("path") in links}
    strange = [path for name, path in known.items() if ours[name].get("url") != base.get(name, {}).get("url")]
    notes = []
    if strange:
        notes.append(f"not checked out, because the base branch does not have it there: submodule {listed(strange)}")
    git_dir = checkouts.git_dir_of(worktree)
    for name, path in known.items():
        if path not in strange and git_dir is not None and not _was_checked_out(git_dir, name, worktree, path):
            _update(worktree, path, _reference(source, name), deadline)
    return notes


def named(commit: str, folder: str) -> dict[str, dict[str, str]]:
    """Path and URL of the submodules that a commit names, by their names."""
    answer = ask(["config", "-z", "--blob", f"{commit}:{FILE}", "--get-regexp", _KEYS], folder)
    found: dict[str, dict[str, str]] = {}
    for setting in answer.out.split("\0") if answer.code == 0 else []:
        key, _, value = setting.partition("\n")
        name, _, last = key.removeprefix("submodule.").rpartition(".")
        if name:
            found.setdefault(name, {})[last] = value
    return found


def _was_checked_out(git_dir: str, name: str, worktree: str, path: str) -> bool:
    """Whether the submodule was ever checked out in the worktree: it has an index since.

    What a killed clone left is removed: no index, so nobody's work.
    """
    modules = os.path.realpath(git_dir) + "/modules"
    own = os.path.normpath(f"{modules}/{name}")
    folder = f"{worktree}/{path}"
    if not own.startswith(modules + "/") or os.path.islink(folder):
        return True  # a name or a place that git refuses too
    if os.path.lexists(own + "/index"):
        return True
    pointer = checkouts.read_line(folder + "/.git") if os.path.isfile(folder + "/.git") else None
    place = os.path.join(folder, pointer.removeprefix("gitdir:").strip()) if pointer is not None else None
    if place is not None and os.path.realpath(place) != own:
        return True  # a repository of someone else's
    if os.path.isdir(folder) and place is not None:
        shutil.rmtree(folder)
        os.mkdir(folder)
    if os.path.isdir(own):
        shutil.rmtree(own)
    return os.path.isdir(folder + "/.git")


def _reference(source: str, name: str) -> str | None:
    """The submodule's own repository in the user's clone, to take objects from; none that is shallow, as git wants."""
    checkout = checkouts.find(source)
    if checkout is None:
        return None
    own = os.path.normpath(f"{checkout.common_dir}/modules/{name}")
    whole = own.startswith(checkout.common_dir + "/modules/") and os.path.isdir(own + "/objects")
    return own if whole and not os.path.exists(own + "/shallow") else None


def _update(worktree: str, path: str, reference: str | None, deadline: float) -> None:
    borrowed = ["--reference", reference, "--dissociate"] if reference is not None else []
    # --checkout: whatever the configuration says, no command of it is run.
    args = ["submodule", "update", "--init", "--checkout", "--recursive", *borrowed, "--", path]
    shown = ["-c", f"core.alternateRefsCommand={_REFS}"] if borrowed else []
    answer = transport.ask([*shown, *args], worktree, timeout=max(deadline - time.monotonic(), 1.0))
    if answer.code != 0:
        cause = error_lines.cause(answer.err.splitlines()) or f"exit code {answer.code}"
        raise GitFailed(
            f"the submodule {path} cannot be checked out: {cause}",
            f"check its URL in {FILE} and your access, or: kugetsu config set WORKTREE_SUBMODULES never",
        )
