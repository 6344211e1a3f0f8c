"""What only this clone has of an issue's work, each part of it put on a rescue branch.

That is more than what is checked out: a worktree has repositories in it, and its issue other branches, since an agent
commits on one of its own and switches back, and work on a merged branch goes on on a fresh one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.git import checkouts, inner_rescue, integrity, merged, published, refs, rescue
from kugetsu.runtime.git.command import commit_of, git
from kugetsu.runtime.git.repositories import Repository


@dataclass(frozen=True, slots=True)
class Base:
    """Where one branch of the issue began: at a commit of its base branch."""

    branch: str
    base_branch: str
    base_commit: str


@dataclass(frozen=True, slots=True)
class Part:
    """Commits that no remote had before, now on ``rescue``. ``branch``: the one that they are from, None for a
    repository in the worktree, whose ``commits`` are not counted (1). ``mixed``: there is more than commits of the
    issue's repository."""

    rescue: str
    commit: str
    branch: str | None
    commits: int
    mixed: bool


@dataclass(slots=True)
class OnlyHere:
    """The work in the worktree at ``path``, or of one that is gone, and in the clone ``repository``. Its rescue
    branches have that ``name``.

    ``left_out``: what could not be moved, and why.
    """

    repository: Repository
    path: str
    name: str
    left_out: list[str] = field(default_factory=list)
    _told: dict[str, str] = field(default_factory=dict)

    def rescue(self, branch: str, bases: Sequence[Base]) -> Iterator[Part]:
        """Put each part on a rescue branch; done again it comes to the same ones. ``branch`` is the issue's latest,
        ``bases`` are those of all. Raises GitFailed, OSError."""
        for part in self._in_worktree(branch) if self._is_whole() else ():
            if part.rescue not in self._told:
                self._told[part.rescue] = part.commit
                yield part
        for other, tip in self.other_branches(branch, bases):
            found = rescue.keep(self.repository.path, self.name, tip, None)
            yield Part(found.branch, tip, other, self._count(tip), mixed=False)

    def other_branches(self, branch: str, bases: Sequence[Base]) -> list[tuple[str, str]]:
        """The branches of the issue in the clone that are not checked out, each with its last commit, which no remote
        has, and no rescue branch; as `rescue`. Raises GitFailed."""
        whole = integrity.fault(self.repository.path, self.path) is None
        head = commit_of("HEAD", self.path) if whole else None
        kept = [*self._told.values(), *([head] if head is not None else [])]
        made = refs.made_commits(checkouts.git_dir_of(self.path) or "") if whole else []
        named = {branch, *(base.branch for base in bases)}
        found = published.branches_of_no_remote(self.repository.path, named, made, kept, leave_out=rescue.RESCUE)
        mine = {name: [base for base in bases if base.branch == name] for name, _ in found}
        return [(name, tip) for name, tip in found if not any(self._has_work(base, tip) for base in mine[name])]

    def made_before(self) -> Iterator[Part]:
        """The rescue branches of that name that a removal made before it ended; it may have taken the worktree."""
        for branch in rescue.made(self.repository.path, self.name):
            commit = git(["rev-parse", f"refs/heads/{branch}"], self.repository.path)
            within = branch.startswith(self._within)
            if count := 1 if within else self._count(commit):
                self._told[branch] = commit
                yield Part(branch, commit, None if within else branch, count, mixed=True)

    @property
    def _within(self) -> str:
        """How the rescue branches of repositories in the worktree begin."""
        return f"{rescue.RESCUE}{self.name}."

    def _is_whole(self) -> bool:
        """Whether it is still that clone's worktree: else git finds nothing in it, or another repository above it."""
        integrity.repair(self.repository.path, self.path)
        fault = integrity.fault(self.repository.path, self.path)
        if fault is not None and integrity.holds_files(self.path):
            self.left_out.append(
                f"{self.path} is no longer its worktree: {fault}; keep it: {integrity.keeping(self.path)}"
            )
        return fault is None

    def _in_worktree(self, branch: str) -> Iterator[Part]:
        saved = inner_rescue.rescue_all(self.repository, self.path, branch, self.name)
        self.left_out += saved.all_left_out
        own = [name for name in saved.branches if not name.startswith(self._within)]
        head, out = commit_of("HEAD", self.path), refs.current_branch(self.path)
        if not own and head is not None and self._count(head):
            own = [rescue.keep(self.path, self.name, head, None).branch]  # another branch of this clone has it as well
        for name in own:
            commit = git(["rev-parse", f"refs/heads/{name}"], self.path)
            yield Part(name, commit, out or branch, self._count(commit), mixed=commit != head)
        for name in saved.branches:
            if name not in own:
                yield Part(name, git(["rev-parse", f"refs/heads/{name}"], self.path), None, 1, mixed=True)

    def _count(self, commit: str) -> int:
        """How many commits no remote had before the rescue: one that was killed may have pushed its branch."""
        before = ["--not", f"--exclude=*/{rescue.RESCUE}*", "--remotes"]
        return int(git(["rev-list", "--count", commit, *before], self.repository.path))

    def _has_work(self, base: Base, tip: str) -> bool:
        """Whether the remote's base branch has all work of a branch, maybe squashed."""
        try:
            found = merged.found_in_base(self.repository, None, base.branch, base.base_branch, base.base_commit)
        except KugetsuError:
            return False
        return found is not None and found[0] == tip and found[1].startswith("refs/remotes/")
