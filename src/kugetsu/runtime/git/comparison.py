"""What a branch changes against its base: commits, files with their lines, and what is not committed yet.

Read-only: the worktree's index is copied before new files are entered into it.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kugetsu.runtime.git import checkouts, copies
from kugetsu.runtime.git.command import ask, commit_of, git

MERGE_BASE, RECORDED, BEFORE_MERGE, NOTHING = "merge_base", "recorded", "before_merge", "nothing"
"""How a base was found: where the branch left the base branch; the commit that it was made from; where it had left the
base branch before it was merged there; none, so that everything counts."""

COMMITS = 1000
"""Commits that are listed at most."""

TIMEOUT = 300.0
"""Seconds for a comparison: a large one reads every changed file."""

_STATUS = {"A": "added", "C": "copied", "D": "deleted", "M": "modified", "R": "renamed", "T": "type_changed"}
_NUMBERS = ("--raw", "--numstat", "-z", "-M", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none")


@dataclass(frozen=True, slots=True)
class Base:
    """The commit that work is compared with (None: the empty tree), and how it was found."""

    commit: str | None
    how: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of the work; ``at`` is UTC."""

    id: str
    at: str
    author: str
    subject: str


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """One file: its status (added, copied, deleted, modified, renamed, type_changed, unmerged), its earlier path
    (``was``), its lines; None for a binary file."""

    path: str
    status: str
    was: str | None
    added: int | None
    removed: int | None

    @property
    def binary(self) -> bool:
        """Whether git counts no lines in it."""
        return self.added is None


@dataclass(slots=True)
class Comparison:
    """The work on `head` against its base; `uncommitted` is what the worktree has beside it."""

    base: Base
    head: str
    commits: list[Commit] = field(default_factory=list)
    more_commits: int = 0
    files: list[ChangedFile] = field(default_factory=list)
    uncommitted: list[ChangedFile] = field(default_factory=list)


def base_of(folder: str, head: str, refs: Sequence[str], recorded: str) -> Base:
    """The commit that the work on `head` began from.

    `refs` are the names that the base branch may have, the best first; `recorded` is the commit that the branch was
    made from. Where the work was brought up to date with the base branch, the later of both counts. A branch that was
    squashed still leaves the base branch where it did; one that was merged left it before the merge.
    """
    known = recorded if recorded and _reaches(folder, recorded, head) else None
    ref = next((name for name in refs if commit_of(name, folder) is not None), None)
    found, how = None, MERGE_BASE
    if ref is not None and _reaches(folder, head, ref):
        found, how = _before_merge(folder, head, ref), BEFORE_MERGE
    elif ref is not None:
        found = _merge_base(folder, head, ref)
    if found is None or (known is not None and found != known and _reaches(folder, found, known)):
        return Base(known, RECORDED if known is not None else NOTHING)
    return Base(found, how)


def _reaches(folder: str, commit: str, tip: str) -> bool:
    return ask(["merge-base", "--is-ancestor", commit, tip], folder).code == 0


def _merge_base(folder: str, one: str, other: str) -> str | None:
    answer = ask(["merge-base", one, other], folder)
    return answer.out.strip() or None if answer.code == 0 else None


def _before_merge(folder: str, head: str, ref: str) -> str | None:
    """Where `head` had left the branch `ref` before a merge brought it in; None if that was fast-forwarded."""
    own = git(["rev-list", "--first-parent", f"{head}..{ref}"], folder, timeout=TIMEOUT).split()
    with_head = set(git(["rev-list", "--ancestry-path", f"{head}..{ref}"], folder, timeout=TIMEOUT).split())
    merge = next((commit for commit in reversed(own) if commit in with_head), None)
    before = commit_of(f"{merge}^1", folder) if merge is not None else None
    return _merge_base(folder, before, head) if before is not None and before != head else None


def compare(folder: str, head: str, base: Base) -> Comparison:
    """The commits and files of the work on `head`. Raises GitFailed."""
    found = Comparison(base, head)
    if base.commit == head:
        return found
    since = [f"^{base.commit}"] if base.commit is not None else []
    form = "--format=%H%x1f%cd%x1f%an%x1f%s"
    listed = git(["log", "-z", form, "--date=format-local:%Y-%m-%dT%H:%M:%SZ", head, *since, "--"], folder, env=_UTC)
    entries = [entry.split("\x1f", 3) for entry in listed.split("\0") if entry]
    found.commits = [Commit(*entry) for entry in entries[:COMMITS]]
    found.more_commits = len(entries) - len(found.commits)
    found.files = _files(folder, [base.commit or empty_tree(folder), head])
    return found


_UTC = {"TZ": "UTC"}


def uncommitted(worktree: str) -> list[ChangedFile]:
    """The files of a worktree that differ from its commit, new ones included, except what its set-up left
    (`copies.left`). Raises GitFailed."""
    left = copies.left(worktree)
    with index_with_new_files(worktree) as env:
        files = _files(worktree, [head_or_nothing(worktree)], env)
    return [file for file in files if file.path not in left]


def head_or_nothing(worktree: str) -> str:
    """The commit of a worktree; the empty tree before the first one. Raises GitFailed."""
    return commit_of("HEAD", worktree) or empty_tree(worktree)


def empty_tree(folder: str) -> str:
    """The tree without files. Raises GitFailed."""
    return git(["hash-object", "-t", "tree", "--stdin"], folder, stdin=b"")


@contextlib.contextmanager
def index_with_new_files(worktree: str) -> Iterator[dict[str, str]]:
    """The environment in which git compares new files too: a copy of the worktree's index knows them. Raises
    GitFailed."""
    git_dir = checkouts.git_dir_of(worktree) or ""
    with tempfile.TemporaryDirectory(prefix="kugetsu-") as folder:
        index = f"{folder}/index"
        with contextlib.suppress(FileNotFoundError):  # nothing was ever added
            shutil.copyfile(f"{git_dir}/index", index)
        env = {"GIT_INDEX_FILE": index}
        # A file that cannot be read is left out; `git status` names it.
        ask(["add", "--intent-to-add", "--ignore-errors", "--", "."], worktree, env=env, timeout=TIMEOUT)
        yield env


def _files(folder: str, what: Sequence[str], env: dict[str, str] | None = None) -> list[ChangedFile]:
    out = git(["diff", *_NUMBERS, *what, "--"], folder, env=env, timeout=TIMEOUT)
    return list(parsed(out))


def parsed(out: str) -> Iterator[ChangedFile]:
    """The files in what `git diff --raw --numstat -z` prints: the states of all, then the lines of all."""
    fields = iter(out.split("\0"))
    states: dict[str, tuple[str, str | None]] = {}
    for entry in fields:
        if entry.startswith(":"):
            letter = entry.rpartition(" ")[2][:1]
            first = next(fields)
            path, was = (next(fields), first) if letter in "RC" else (first, None)
            if path not in states or letter != "M":  # an unmerged file is named a second time
                states[path] = (_STATUS.get(letter, "unmerged"), was)
        elif entry:
            added, removed, path = entry.split("\t", 2)
            if not path:
                _, path = next(fields), next(fields)
            status, was = states.get(path, ("modified", None))
            yield ChangedFile(path, status, was, _number(added), _number(removed))


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def totals(files: Sequence[ChangedFile]) -> tuple[int, int, int]:
    """How many lines were added and removed, and how many files are binary."""
    return (
        sum(file.added or 0 for file in files),
        sum(file.removed or 0 for file in files),
        sum(file.binary for file in files),
    )


def refs_in(clone: str | None, base_branch: str | None) -> list[str]:
    """The names that a base branch may have in the repository at ``clone``, that of its remote first."""
    checkout = checkouts.find(clone) if clone is not None else None
    names = list(checkouts.remotes(checkout.common_dir)) if checkout is not None else []
    remote = "origin" if "origin" in names or not names else names[0]
    return base_refs(remote if names else None, base_branch or "")


def base_refs(remote: str | None, base_branch: str) -> list[str]:
    """The names that a base branch may have in a clone, the best first."""
    if not base_branch:
        return []
    local = [f"refs/heads/{base_branch}"]
    return [f"refs/remotes/{remote}/{base_branch}", *local] if remote is not None else local
