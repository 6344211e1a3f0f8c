"""One git worktree per issue, made from the base branch and kept in any state (`removal` ends it).

A fresh worktree costs four git processes: the fetch with, at once, the question for the default branch (`fetching`),
one look at the refs, one `git worktree add`. The fetch is never skipped; if it fails, the worktree starts from what the
clone has, and the result says so.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from kugetsu.host.paths import Paths
from kugetsu.model.errors import Conflict, NotFound
from kugetsu.runtime.git import checkouts, fetching, integrity, interrupted_checkout, merged, pins, refs, remedies
from kugetsu.runtime.git.child import failure
from kugetsu.runtime.git.command import ask, commit_of, git
from kugetsu.runtime.git.inner_rescue import rescue_record
from kugetsu.runtime.git.repositories import Repository, locked
from kugetsu.runtime.git.rescue import RESCUE

ADD_TIMEOUT = 600.0
"""Seconds to check out a worktree: large repositories, filters and hooks take minutes."""


@dataclass(slots=True)
class Worktree:
    """An issue's worktree. `base_commit` is where its branch left the base branch; `created`: it was new.

    `fetched`: the base branch was fetched; if not, `why_not_fetched` says why. `notes` are for people.
    """

    path: str
    branch: str
    repository: Repository
    base_branch: str = ""
    base_commit: str = ""
    created: bool = False
    fetched: bool = False
    why_not_fetched: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Ref:
    """A ref's commit, and the worktree it is checked out in (empty: none)."""

    commit: str
    worktree: str


def branch_name(pattern: str, owner: str, repo: str, number: int) -> str:
    """The issue's branch by KUGETSU_BRANCH_PATTERN, which the settings validated."""
    owner = owner.replace("~", "")  # it begins accounts of some servers, and git takes it in no branch's name
    return pattern.replace("{number}", str(number)).replace("{owner}", owner).replace("{repo}", repo)


def ensure(
    repository: Repository,
    path: str,
    branch: str,
    paths: Paths,
    *,
    base_branch: str = "",
    fetch_timeout: float = fetching.FETCH_TIMEOUT,
    fresh: bool = False,
) -> Worktree:
    """The issue's worktree at `path` on `branch`, made if missing. Never deletes or resets anything.

    `base_branch` is KUGETSU_BASE_BRANCH; empty: the remote's HEAD, or the clone's own without a remote. An existing
    branch, here or on the remote, is used as it is. A half-made worktree is finished. `fresh`: the branch is new; an
    existing worktree without changes is switched to it, at the remote's current base. Raises Conflict if the branch or
    the folder is taken, NotFound without a base, GitFailed otherwise.
    """
    paths.make(paths.worktrees)
    path = os.path.realpath(path)
    with locked(paths, repository.common_dir):
        worktree = Worktree(path, branch, repository)
        admin = interrupted_checkout.admin_folder(repository.common_dir, path)
        if admin is not None and interrupted_checkout.is_unfinished(admin, path):
            worktree.created = interrupted_checkout.finish(admin, path)
        whole = _is_whole(repository, path)
        if whole and not fresh:
            return _describe(worktree, base_branch)
        own = fetching.is_own(repository, paths.repositories)
        in_the_way = _fetch_base(worktree, base_branch, fetch_timeout, own)
        if whole:
            _switch(worktree, in_the_way)
        else:
            _make(worktree, admin, in_the_way)
        return worktree


def _is_whole(repository: Repository, path: str) -> bool:
    """Whether the worktree exists, repaired where git can. Raises Conflict if something else is in its place."""
    integrity.repair(repository.path, path)
    fault = integrity.fault(repository.path, path)
    if fault is not None and integrity.holds_files(path):
        text = f"{path} is in the way: not a worktree of {repository.path}, {fault}"
        raise Conflict(text, integrity.remedy(path))
    return fault is None


def _describe(worktree: Worktree, base_branch: str) -> Worktree:
    """Fill in what is known of an existing worktree, without fetching."""
    repository = worktree.repository
    worktree.why_not_fetched = "the worktree existed"
    remote = repository.remote
    known = refs.default_branch(repository.common_dir, remote) if remote else refs.branch_of(repository.common_dir)
    worktree.base_branch = base_branch or known or ""
    worktree.branch = refs.current_branch(worktree.path) or worktree.branch
    bases = _base_refs(worktree) if worktree.base_branch else []
    there = _refs(worktree, bases) if bases else {}
    base = next((ref for ref in bases if ref in there), "HEAD")
    worktree.base_commit = _fork_point(worktree.path, "HEAD", base)
    return worktree


def _fetch_base(worktree: Worktree, base_branch: str, timeout: float, own: bool) -> str:
    """Settle the base branch and fetch it with the issue's. Returns the remote's branch that excludes it."""
    fetched = fetching.fetch_base(worktree.repository, worktree.branch, base_branch, timeout=timeout, own=own)
    worktree.base_branch = fetched.base_branch
    worktree.fetched = fetched.problem is None
    worktree.why_not_fetched = fetched.problem
    worktree.notes += fetched.notes
    return fetched.in_the_way


def _make(worktree: Worktree, admin: str | None, in_the_way: str) -> None:
    repository, path, branch, remote = worktree.repository, worktree.path, worktree.branch, worktree.repository.remote
    own, theirs = f"refs/heads/{branch}", f"refs/remotes/{remote}/{branch}"
    bases = _base_refs(worktree)
    there = _refs(worktree, [own, theirs, *bases])
    base = next((there[ref].commit for ref in bases if ref in there), None) or _head(worktree)
    force = _force(worktree, admin)
    if own in there:
        elsewhere = there[own].worktree
        if elsewhere and os.path.realpath(elsewhere) != path:
            raise _taken(branch, elsewhere)
        args, start = [path, branch], there[own].commit
    elif remote is not None and theirs in there:
        args, start = ["--track", "-b", branch, path, f"{remote}/{branch}"], there[theirs].commit
    elif in_the_way:  # found out now, not when the work is done and its push refused
        raise _blocked(branch, f"{remote}/{in_the_way}", f"rename that one on {remote}")
    else:
        args, start = ["-b", branch, path, base], base  # a commit, not a branch: that would be followed by `git push`
    worktree.base_commit = base if start == base else _fork_point(repository.path, start, base)
    _add([*force, *args], worktree)
    worktree.created = True


def _switch(worktree: Worktree, in_the_way: str) -> None:
    remote = worktree.repository.remote
    if in_the_way:
        raise _blocked(worktree.branch, f"{remote}/{in_the_way}", f"on {remote}, by its owner")
    merged.require_free(worktree.path, refs.current_branch(worktree.path) or "HEAD", "its branch is merged")
    bases = _base_refs(worktree)
    there = _refs(worktree, bases)
    base = next((there[ref].commit for ref in bases if ref in there), None) or _head(worktree)
    merged.switch(worktree.path, worktree.branch, base)
    # That base, unless an earlier try got as far as the branch, and the remote moved on since.
    worktree.base_commit = _fork_point(worktree.path, "HEAD", base)


def _add(args: list[str], worktree: Worktree) -> None:
    command = ["worktree", "add", *args]
    answer = ask(command, worktree.repository.path, timeout=ADD_TIMEOUT, env=pins.POINTERS, checkout=True)
    if answer.code != 0 and fetching.is_contention(answer.err) and not os.path.lexists(worktree.path):
        time.sleep(0.2)
        if "-b" in args and _refs(worktree, [f"refs/heads/{worktree.branch}"]):
            command = ["worktree", "add", worktree.path, worktree.branch]  # the first try got as far as the branch
        answer = ask(command, worktree.repository.path, timeout=ADD_TIMEOUT, env=pins.POINTERS, checkout=True)
    if answer.code == 0:
        return
    if _is_complete(worktree):
        text = remedies.last_line(answer.err)
        worktree.notes.append(f"the post-checkout hook failed (exit {answer.code}){f': {text}' if text else ''}")
        return
    error = failure(command, answer)
    if "already checked out" in answer.err or "already used by worktree" in answer.err:
        raise Conflict(error.message, "switch that worktree to another branch") from None
    blocking = remedies.refs_in_the_way(answer.err)
    if blocking:
        other = blocking[0].removeprefix("refs/heads/")
        raise _blocked(worktree.branch, other, f"rename that one: git branch -m {other} NAME") from None
    raise error


def _is_complete(worktree: Worktree) -> bool:
    """Whether git made the whole worktree: then only its post-checkout hook failed, whose exit code git returns."""
    admin = interrupted_checkout.admin_folder(worktree.repository.common_dir, worktree.path)
    if (
        admin is None
        or not os.path.lexists(worktree.path + "/.git")
        or interrupted_checkout.is_unfinished(admin, worktree.path)
    ):
        return False
    return commit_of("HEAD", worktree.path) is not None


def _blocked(branch: str, other: str, rename: str) -> Conflict:
    return Conflict(
        f"the branch {branch} cannot be created: the branch {other} is in the way",
        "give issues' branches another name: kugetsu config set KUGETSU_BRANCH_PATTERN 'issue-{number}'; "
        f"or {rename}",
    )


def _force(worktree: Worktree, admin: str | None) -> list[str]:
    """The options with which git replaces its record of a worktree whose folder is gone."""
    if admin is None:
        return []
    reason = checkouts.read_line(admin + "/locked") if os.path.exists(admin + "/locked") else None
    if reason is not None and reason != interrupted_checkout.INITIALIZING:
        raise Conflict(
            f"the worktree {worktree.path} is missing and locked: {reason or 'without a reason'}",
            f"restore it, or give it up: git -C {worktree.repository.path} worktree unlock {worktree.path}",
        )
    if refs.symbolic_ref(admin) is None:
        # Its record is the only thing that reaches a detached HEAD's commits.
        head = commit_of("HEAD", admin, {"GIT_DIR": admin})
        if head is not None:
            git(["update-ref", f"refs/heads/{RESCUE}lost-{head[:12]}", head], worktree.repository.path)
    _keep_record(worktree, admin)
    return ["--force", "--force"]


def _keep_record(worktree: Worktree, admin: str) -> None:
    """Rescue what only git's record of a worktree holds, about to be replaced; raises Conflict if it cannot."""
    path = worktree.path
    kept = rescue_record(worktree.repository.path, path, admin, f"lost-{os.path.basename(path)}")
    if kept.refused:
        raise Conflict(
            f"the folder {path} is gone, and git's record of it, {admin}, still holds {'; '.join(kept.refused)}",
            "push that, or move it away, then try again",
        )


def _base_refs(worktree: Worktree) -> list[str]:
    remote, base = worktree.repository.remote, worktree.base_branch
    local = f"refs/heads/{base}"
    return [f"refs/remotes/{remote}/{base}", local] if remote is not None else [local]


def _refs(worktree: Worktree, names: list[str]) -> dict[str, _Ref]:
    """The existing ones of the refs, in one process."""
    form = "--format=%(refname)%00%(objectname)%00%(worktreepath)"
    found: dict[str, _Ref] = {}
    for line in git(["for-each-ref", form, *names], worktree.repository.path).splitlines():
        name, commit, where = line.split("\0")
        if name in names:
            found[name] = _Ref(commit, where)
    return found


def _head(worktree: Worktree) -> str:
    """The clone's own HEAD, where that is the base. Raises NotFound if the base branch is nowhere."""
    path, base = worktree.repository.path, worktree.base_branch
    head = commit_of("HEAD", path) if base == "HEAD" else None
    if head is not None:
        return head
    unfetched = f" ({worktree.why_not_fetched})" if worktree.why_not_fetched else ""
    if not git(["for-each-ref", "--count=1"], path):
        raise NotFound(
            f"{path} has no commits to start from{unfetched}",
            "create a first one and push it: git commit --allow-empty -m start",
        )
    raise NotFound(
        f"{path} has no branch {base} to start from{unfetched}",
        "name the branch that work starts from: kugetsu config set KUGETSU_BASE_BRANCH NAME",
    )


def _fork_point(folder: str, one: str, other: str) -> str:
    """The commit where two histories part; the first one's if they are unrelated, empty without commits."""
    answer = ask(["merge-base", one, other], folder)
    return answer.out.strip() if answer.code == 0 else commit_of(one, folder) or ""


def _taken(branch: str, elsewhere: str) -> Conflict:
    if not os.path.isdir(elsewhere):
        return Conflict(
            f"the branch {branch} belongs to the worktree {elsewhere}, which is gone",
            "restore it, or remove git's record: git worktree prune",
        )
    return Conflict(
        f"the branch {branch} is checked out in {elsewhere}",
        f"switch that one to another branch: git -C {elsewhere} switch BRANCH",
    )
