"""What git shows of an attempt's work: commits, changed files, pushed or not.

Read-only: takes no lock and refreshes nothing on disk. Contacts servers only on request.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from kugetsu.model.errors import KugetsuError
from kugetsu.redaction.funnel import redact
from kugetsu.runtime.git import checkouts, comparison, integrity, published, refs
from kugetsu.runtime.git.changes import operation, status
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

    `commits` counts those since the base commit, without what was taken over from the base branch since; `head` is the
    last one, `subject` its first line; if the branch has none, they are those made here and left on another branch.
    `files`, `added` and `removed` (lines) are how `head` differs from its base. `dirty` counts changed files,
    `untracked` new ones (`changes.Status`), `names` the first few of both. `pushed`: a remote's branch has HEAD
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
    path: str,
    base_commit: str,
    branch: str,
    *,
    repository_path: str | None = None,
    bases: Sequence[str] = (),
    ask_remote: bool = False,
) -> Evidence:
    """The evidence in the worktree at `path`; from the branch alone, in `repository_path`, if the worktree is gone.
    `bases` are the names that its base branch may have (`comparison.base_refs`).

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
            _add_difference(evidence, folder, base_commit, bases)
    except KugetsuError as error:
        evidence.problem = error.message
    return evidence


def _add_files(evidence: Evidence, path: str) -> None:
    git_dir = checkouts.git_dir_of(path)
    if git_dir is not None:
        evidence.operation = operation(git_dir)
    found = status(path)
    evidence.branch = found.branch
    evidence.dirty, evidence.untracked = len(found.changed), len(found.new)
    evidence.names = [_clean(name, _NAME_LENGTH) for name in sorted([*found.changed, *found.new])[:NAMES]]


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


def _add_difference(evidence: Evidence, folder: str, base_commit: str, bases: Sequence[str]) -> None:
    """Count commits, files and lines against the base branch as far as the work was brought up to date with it."""
    head = evidence.head or "HEAD"
    if _came_from(bases, folder, head) and _made_nothing(folder, base_commit):
        evidence.commits = evidence.ahead = 0
        return
    with suppress(KugetsuError):  # a huge one may take too long, and is no reason to know nothing
        found = comparison.compare(folder, head, comparison.base_of(folder, head, bases, base_commit))
        evidence.commits = len(found.commits) + found.more_commits or evidence.commits
        evidence.files = len(found.files)
        evidence.added, evidence.removed, _ = comparison.totals(found.files)


def _add_remotes(evidence: Evidence, folder: str, tip: str, ask_remote: bool) -> None:
    """Settle whether commits that no remote-tracking branch has were pushed."""
    problem = published.ask_remotes(folder, evidence.head or "") if ask_remote else "the remote was not queried"
    evidence.ahead = int(git(["rev-list", "--count", tip, "--not", "--remotes"], folder))
    evidence.pushed = evidence.ahead == 0
    if not evidence.pushed and problem is not None and not published.follows(folder, evidence.branch or ""):
        evidence.pushed, evidence.pushed_problem = None, _clean(problem, _SUBJECT_LENGTH)


def _came_from(bases: Sequence[str], folder: str, head: str) -> bool:
    """Whether a base branch has the commit."""
    return any(ask(["merge-base", "--is-ancestor", head, base], folder).code == 0 for base in bases)


def _made_nothing(folder: str, base_commit: str) -> bool:
    """Whether the reflog shows that no commit was made in a worktree: what it has was taken over."""
    git_dir = checkouts.git_dir_of(folder)
    return git_dir is not None and refs.has_reflog(git_dir) and not refs.made_commits(git_dir, since=base_commit)


def _has_remote(folder: str) -> bool:
    checkout = checkouts.find(folder)
    return checkout is not None and bool(checkouts.remotes(checkout.common_dir))


def _clean(text: str, length: int) -> str:
    """A text from git that JSON can hold: no lone surrogates, no secrets, bounded."""
    text = redact(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    return text if len(text) <= length else text[: length - 1] + "…"
