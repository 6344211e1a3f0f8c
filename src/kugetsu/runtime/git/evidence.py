"""What git shows of an attempt's work: commits, changed files, pushed or not.

Read-only: takes no lock and refreshes nothing on disk. Contacts servers only on request.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from kugetsu.model.errors import KugetsuError
from kugetsu.redaction.funnel import redact
from kugetsu.runtime.git import checkouts, integrity, published
from kugetsu.runtime.git.changes import occupied, operation
from kugetsu.runtime.git.child import failure
from kugetsu.runtime.git.command import ask, commit_of, git

NAMES = 5
"""How many names of changed files are kept."""

_NAME_LENGTH = 200
_SUBJECT_LENGTH = 200
_SUBJECTS = 10_000  # commits counted at most: a count beyond it means that the base is not the work's


@dataclass(slots=True)
class Evidence:
    """The state of an issue's work. What could not be determined is None, and `problem` says why.

    `commits` counts those since the base commit, `head` is the last one, `subject` its first line; if the branch has
    none, they are those made here and left on another branch. `files`, `added` and `removed` (lines) are how `head`
    differs from the base commit. `dirty` counts changed files, `untracked` new ones (a new folder once, and an
    uninitialised submodule with files), `names` the first few of both. `pushed`: a remote's branch has HEAD
    (`pushed_problem`: why that is unknown); `ahead`: how many commits no remote has. `operation`: an unfinished rebase,
    merge …
    """

    exists: bool = False
    branch: str | None = None
    head: str | None = None
    commits: int | None = None
    subject: str | None = None
    files: int | None = None
    added: int | None = None
    removed: int | None = None
    dirty: int | None = None
    untracked: int | None = None
    names: list[str] = field(default_factory=list)
    ahead: int | None = None
    pushed: bool | None = None
    pushed_problem: str | None = None
    operation: str | None = None
    problem: str | None = None

    def as_data(self) -> dict[str, object]:
        """What an event records: plain JSON values."""
        known = {name: getattr(self, name) for name in self.__slots__ if getattr(self, name) is not None}
        # Said to be unknown, so that what was known before this run is not taken for its result.
        return {**known, "pushed": None} if self.pushed_problem is not None else known


def collect(
    path: str, base_commit: str, branch: str, *, repository_path: str | None = None, ask_remote: bool = False
) -> Evidence:
    """The evidence in the worktree at `path`; from the branch alone, in `repository_path`, if the worktree is gone.

    A folder that is no longer that repository's worktree gives none. `ask_remote`: ask the remotes about commits that
    the clone does not know to be pushed. Never raises for what git cannot answer: see `problem`.
    """
    evidence = Evidence()
    evidence.branch = branch
    evidence.exists = os.path.lexists(path + "/.git")
    folder, tip = path, "HEAD"
    fault = integrity.fault(repository_path, path)
    try:
        if fault is None:
            _add_files(evidence, path)
        elif integrity.holds_files(path):
            evidence.problem = f"{path} is no longer its worktree: {fault}"
            return evidence
        elif repository_path is None:
            evidence.problem = "the worktree is gone"
            return evidence
        else:
            evidence.problem = "the worktree is gone; this is its branch"
            folder, tip = repository_path, f"refs/heads/{branch}"
        _add_commits(evidence, folder, tip, base_commit)
        if evidence.commits == 0 and tip == "HEAD":
            left = published.left_on_a_branch(folder, base_commit)
            if left is not None:
                tip, evidence.branch = left
                _add_commits(evidence, folder, tip, base_commit)
        if evidence.commits and evidence.pushed is False and _has_remote(folder):
            _add_remotes(evidence, folder, tip, ask_remote)
        if evidence.commits and base_commit:
            _add_difference(evidence, folder, base_commit)
    except KugetsuError as error:
        evidence.problem = error.message
    return evidence


def _add_files(evidence: Evidence, path: str) -> None:
    git_dir = checkouts.git_dir_of(path)
    if git_dir is not None:
        evidence.operation = operation(git_dir)
    # One line a changed file; submodules count when their commit or their content changed.
    shape = ["--porcelain=v2", "--branch", "-z", "--no-renames", "--untracked-files=normal"]
    answer = git(["status", *shape, "--ignore-submodules=none"], path)
    evidence.dirty = evidence.untracked = 0
    for entry in answer.split("\0"):
        kind = entry[:2]
        if kind == "# ":
            if entry.startswith("# branch.head "):
                head = entry.removeprefix("# branch.head ")
                evidence.branch = None if head == "(detached)" else head
        elif kind == "? ":
            evidence.untracked += 1
            _name(evidence, entry[2:])
        elif kind in ("1 ", "u "):
            evidence.dirty += 1
            _name(evidence, entry.split(" ", 8 if kind == "1 " else 10)[-1])
    for link in occupied(path):
        evidence.untracked += 1
        _name(evidence, f"{link}/")


def _add_commits(evidence: Evidence, folder: str, tip: str, base_commit: str) -> None:
    since = [f"^{base_commit}"] if base_commit else []
    command = ["log", "-z", f"--max-count={_SUBJECTS}", "--format=%H %s", tip, *since, "--"]
    answer = ask(command, folder)
    if answer.code != 0:
        evidence.head = commit_of(tip, folder)
        evidence.commits = 0 if evidence.head is None else None
        evidence.problem = "there is no commit yet" if evidence.head is None else failure(command, answer).message
    else:
        commits = [line for line in answer.out.split("\0") if line]
        evidence.commits = len(commits)
        if commits:
            evidence.head, _, subject = commits[0].partition(" ")
            evidence.subject = _clean(subject, _SUBJECT_LENGTH)
        else:
            evidence.head = git(["rev-parse", tip], folder)
    if evidence.head is None:
        return
    if not _has_remote(folder):
        evidence.ahead, evidence.pushed = evidence.commits, False
        return
    evidence.ahead = int(git(["rev-list", "--count", tip, "--not", "--remotes"], folder))
    evidence.pushed = evidence.ahead == 0


def _add_difference(evidence: Evidence, folder: str, base_commit: str) -> None:
    command = ["diff", "--shortstat", "--no-textconv", "--find-renames", base_commit, evidence.head or "HEAD", "--"]
    answer = ask(command, folder)
    if answer.code == 0:
        evidence.files, evidence.added, evidence.removed = (
            int(found[1]) if (found := re.search(rf"(\d+) {word}", answer.out)) is not None else 0
            for word in ("file", "insertion", "deletion")
        )


def _add_remotes(evidence: Evidence, folder: str, tip: str, ask_remote: bool) -> None:
    """Settle whether commits that no remote-tracking branch has were pushed."""
    problem = published.ask_remotes(folder, evidence.head or "") if ask_remote else "the remote was not queried"
    evidence.ahead = int(git(["rev-list", "--count", tip, "--not", "--remotes"], folder))
    evidence.pushed = evidence.ahead == 0
    if not evidence.pushed and problem is not None and not published.follows(folder, evidence.branch or ""):
        evidence.pushed, evidence.pushed_problem = None, _clean(problem, _SUBJECT_LENGTH)


def _has_remote(folder: str) -> bool:
    checkout = checkouts.find(folder)
    return checkout is not None and bool(checkouts.remotes(checkout.common_dir))


def _name(evidence: Evidence, name: str) -> None:
    if len(evidence.names) < NAMES:
        evidence.names.append(_clean(name, _NAME_LENGTH))


def _clean(text: str, length: int) -> str:
    """A text from git that JSON can hold: no lone surrogates, no secrets, bounded."""
    text = redact(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    return text if len(text) <= length else text[: length - 1] + "…"
