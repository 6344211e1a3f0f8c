"""Keep the work of a failed or abandoned attempt on a branch, without touching its worktree, index or HEAD.

The branch `kugetsu/rescue/<name>` ends in a commit of everything in the worktree that is not ignored. Files staged and
then changed again are a commit before it, as in `git stash`. What an unfinished merge or rebase holds only in git's own
files becomes further parents.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kugetsu.model.errors import BadInput, GitFailed
from kugetsu.runtime.git import checkouts
from kugetsu.runtime.git.changes import HELD, occupied
from kugetsu.runtime.git.child import Answer, failure
from kugetsu.runtime.git.command import ask, commit_of, git
from kugetsu.runtime.git.removal import commits_only_here

RESCUE = "kugetsu/rescue/"
"""The prefix of the branches that keep the work of failed attempts."""

TIMEOUT = 600.0
"""Seconds for each step: gigabytes may have to be hashed."""

_TRIES = 100  # names tried when branches of that name hold other work: more rescues of one attempt do not happen

# The bytes as they are: no line ends changed. Attributes of the project itself (text, filter) still hold.
_EXACT = ("-c", "core.autocrlf=false", "-c", "core.safecrlf=false", "-c", "advice.addEmbeddedRepo=false")

_IDENTITY = {
    "GIT_AUTHOR_NAME": "kugetsu",
    "GIT_AUTHOR_EMAIL": "kugetsu@localhost",
    "GIT_COMMITTER_NAME": "kugetsu",
    "GIT_COMMITTER_EMAIL": "kugetsu@localhost",
}


@dataclass(frozen=True, slots=True)
class Rescue:
    """Where the work is kept. `left_out` names what git could not take in (see `rescue`)."""

    branch: str
    commit: str
    left_out: list[str]


def rescue(path: str, name: str, *, branch: str = "", within: Sequence[str] = ()) -> Rescue | None:
    """Keep all uncommitted and unpushed work of the worktree at `path`; None if there is none.

    Commits that only `branch`, the issue's, has count as unpushed. A rescue branch is never overwritten: the same work
    gives the same branch, other work a new name (`<name>-2` …). Ignored files are not kept. `left_out` lists unreadable
    files, changes in submodules, and the history (not the files) of repositories in the worktree, except those in
    `within`, whose work the caller keeps (`inner_rescue`). Raises GitFailed, for want of space for example.
    """
    if not name or any(c <= " " or c in "~^:?*[\\" for c in name) or ".." in name or name[0] in "-/.":
        raise BadInput(f"{name!r} cannot name a rescue branch", "use the attempt's name, such as q7.1")
    git_dir = checkouts.git_dir_of(path)
    if git_dir is None:
        return None
    changes = _Changes(path, within)
    head = commit_of("HEAD", path)
    held = _held_commits(git_dir, path, head)
    if not changes.any and not held and (head is None or not commits_only_here(path, branch, RESCUE + name)):
        return None
    left_out = list(changes.left_out)
    if not changes.any and not held and head is not None:
        return keep(path, name, head, None, left_out)
    tip, tree = _commit_everything(path, git_dir, name, head, held, changes, left_out)
    return keep(path, name, tip, tree, left_out)


def commit_everything(path: str, name: str, reached: Sequence[str]) -> tuple[str, str]:
    """A commit of everything in the worktree at `path`, and its tree; it also reaches these commits.

    Makes no branch. Raises GitFailed, also for files that git cannot take in.
    """
    git_dir = checkouts.git_dir_of(path)
    if git_dir is None:
        raise GitFailed(f"{path} is not a git repository")
    head, left_out = commit_of("HEAD", path), list[str]()
    further = [*_held_commits(git_dir, path, head), *(commit for commit in reached if commit != head)]
    # Repositories within this one are not left out: each is rescued separately.
    made = _commit_everything(path, git_dir, name, head, further, _Changes(path, None), left_out)
    if left_out:
        raise GitFailed(f"git cannot take in {', '.join(left_out[:5])}", "move that away")
    return made


def made(path: str, name: str) -> list[str]:
    """The rescue branches of that name in the repository at ``path``, in order; then those of repositories in its
    worktree."""
    base = RESCUE + name
    refs = [f"refs/heads/{base}", f"refs/heads/{base}-*", f"refs/heads/{base}.*"]
    found = git(["for-each-ref", "--format=%(refname:lstrip=2)", *refs], path).split()
    numbered = [branch for branch in found if branch != base and branch[len(base) + 1 :].isdigit()]
    within = [branch for branch in found if branch.startswith(base + ".")]
    return [base] * (base in found) + sorted(numbered, key=lambda branch: int(branch[len(base) + 1 :])) + within


class _Changes:
    """What `git status` shows of a worktree."""

    def __init__(self, path: str, within: Sequence[str] | None = ()) -> None:
        """`within` are repositories in it whose work is kept separately; None: all of them."""
        self.any = False
        self.staged_apart = False
        self.unmerged = False
        self.nested: list[str] = []
        self.apart: set[str] = set()
        self.occupied = occupied(path)
        self.left_out: list[str] = []
        options = ["--porcelain=v2", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=none"]
        out = git(["status", *options], path, timeout=TIMEOUT)
        for entry in out.split("\0"):
            if not entry:
                continue
            self.any = True
            if entry.startswith("u "):
                self.unmerged = True
            elif entry.startswith("1 "):
                fields = entry.split(" ", 8)
                # Staged and then changed again: the staged content is in neither HEAD nor the worktree.
                self.staged_apart = self.staged_apart or "." not in fields[1]
                if fields[2][0] == "S" and fields[2][2:] != ".." and not _is_apart(fields[8], within):
                    self.left_out.append(f"changes within the submodule {fields[8]}")
            elif entry.startswith("? ") and entry.endswith("/"):
                self.apart |= {entry[2:-1]} if _is_apart(entry[2:-1], within) else set()
                self.nested.append(entry[2:-1])  # with all files listed, only repositories remain folders
        self.any = self.any or bool(self.occupied)


def _is_apart(nested: str, within: Sequence[str] | None) -> bool:
    return within is None or nested in within


def _commit_everything(
    path: str, git_dir: str, name: str, head: str | None, held: list[str], changes: _Changes, left_out: list[str]
) -> tuple[str, str]:
    """Commit the worktree through a separate index; returns the commit and its tree."""
    index = f"{git_dir}/kugetsu-{secrets.token_hex(4)}.index"
    env = {"GIT_INDEX_FILE": index}
    parents = [head] if head is not None else []
    try:
        with contextlib.suppress(FileNotFoundError):  # nothing was ever added
            # Also brings what git knows of unchanged files, so that they are not read again.
            shutil.copyfile(git_dir + "/index", index)
        if changes.staged_apart and not changes.unmerged:
            staged = git(["write-tree"], path, env=env)
            # Dated like HEAD, so that rescuing the same work twice gives the same commit.
            dated = git(["log", "-1", "--format=%ct +0000", *parents], path) if parents else "1 +0000"
            parents = [commit(path, staged, parents, f"kugetsu rescue {name}: what was staged", "@" + dated)]
        for link in changes.occupied:
            git(["update-index", "--force-remove", "--", link], path, env=env)  # its folder holds files instead
        exclude = [f":(exclude,top,literal){nested}" for nested in (*changes.nested, *changes.occupied)]
        command = ["--all", "--ignore-errors", "--", ".", *exclude]
        answer = _add(command, path, env)
        if answer.code != 0:
            unread = [line for line in answer.err.splitlines() if "Permission denied" in line and "open(" in line]
            if not unread:
                raise failure(["add", *command], answer)
            left_out += [f"unreadable: {line.partition('open(')[2].partition(')')[0]}" for line in unread]
        for nested in changes.nested:
            _take_in(path, nested, index, env)
            if nested not in changes.apart:
                left_out.append(f"the history of the repository {nested}")
        for link in changes.occupied:
            _take_in(path, link, index, env)
        tree = git(["write-tree"], path, env=env, timeout=TIMEOUT)
    finally:
        for leftover in (index, index + ".lock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(leftover)
    message = f"kugetsu rescue {name}\n\nEverything that lay in {os.path.basename(path)} uncommitted or unpushed."
    return commit(path, tree, [*parents, *held], message), tree


def _add(args: list[str], path: str, env: dict[str, str]) -> Answer:
    """Add files as they are, also outside of a sparse checkout's cone."""
    answer = ask([*_EXACT, "add", "--sparse", *args], path, env=env, timeout=TIMEOUT)
    if answer.code != 0 and "unknown option" in answer.err:  # before git 2.34, which knew no refusal either
        answer = ask([*_EXACT, "add", *args], path, env=env, timeout=TIMEOUT)
    return answer


def _take_in(path: str, nested: str, index: str, env: dict[str, str]) -> None:
    """Add the files of a repository in the worktree, which git itself would treat as a submodule."""
    inner = index + ".nested"
    git_dir = checkouts.git_dir_of(path) or ""
    here = {**env, "GIT_INDEX_FILE": inner, "GIT_DIR": git_dir, "GIT_WORK_TREE": f"{path}/{nested}"}
    try:
        answer = _add(["--all", "."], f"{path}/{nested}", here)
        if answer.code != 0:
            raise failure(["add"], answer)
        tree = git(["write-tree"], f"{path}/{nested}", env=here, timeout=TIMEOUT)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(inner)
    git(["read-tree", f"--prefix={nested}/", tree], path, env=env)


def keep(path: str, name: str, commit: str, tree: str | None, left_out: Sequence[str] = ()) -> Rescue:
    """Name the commit; a branch of that name with the same work is the answer itself."""
    base = RESCUE + name
    for number in range(1, _TRIES):
        branch = base if number == 1 else f"{base}-{number}"
        old = commit_of(f"refs/heads/{branch}", path)
        if old is None:
            try:
                git(["update-ref", "-m", "kugetsu rescue", f"refs/heads/{branch}", commit, "0" * len(commit)], path)
            except GitFailed:
                old = commit_of(f"refs/heads/{branch}", path)
                if old is None:
                    raise
                # Two found the same attempt dead: the other one was faster.
            else:
                return Rescue(branch, commit, list(left_out))
        if old == commit or (tree is not None and _same_work(path, old, commit)):
            return Rescue(branch, old, list(left_out))
    raise GitFailed(f"over {_TRIES} branches are named {base}", "delete some: git branch --list")


def _same_work(path: str, old: str, new: str) -> bool:
    """Whether two rescue commits differ in their times only."""
    shown = git(["log", "--no-walk=unsorted", "--format=%T %P", old, new], path).splitlines()
    return len(shown) == 2 and shown[0] == shown[1]


def commit(
    path: str, tree: str, parents: Sequence[str], message: str, date: str | None = None, *, env: Mapping[str, str] = {}
) -> str:
    """A commit of that tree; by kugetsu if git has no name of the user's. Raises GitFailed."""
    command = ["commit-tree", tree, "-m", message]
    for parent in dict.fromkeys(parents):
        command += ["-p", parent]
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date is not None else {}
    answer = ask(command, path, env={**env, **dates})
    if answer.code != 0 and any(words in answer.err for words in ("ident", "tell me who you are", "email")):
        answer = ask(command, path, env={**env, **_IDENTITY, **dates})
    if answer.code != 0:
        raise failure(command, answer)
    return answer.out.strip()


def _held_commits(git_dir: str, path: str, head: str | None) -> list[str]:
    found = []
    for name in HELD:
        line = checkouts.read_line(f"{git_dir}/{name}")
        if line is None and "/" not in name and checkouts.has_reftable(git_dir):
            line = name  # a ref in the table
        held = commit_of(line, path) if line else None
        if held is not None and held != head:
            found.append(held)
    return found
