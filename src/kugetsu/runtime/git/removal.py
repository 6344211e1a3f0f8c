"""What prevents the removal of a worktree, and the removal: every doubt keeps it.

What only a reflog reaches counts as discarded, as git sees it. Everything else that would go with the folder is
checked: uncommitted files, commits that are nowhere else, unfinished operations, and the same for the repositories in
it (`inner`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass

from kugetsu.host.paths import Paths
from kugetsu.model.errors import Conflict
from kugetsu.model.plural import counted, listed
from kugetsu.runtime import folders
from kugetsu.runtime.git import checkouts, copies, inner, integrity, interrupted_checkout, local_state, published
from kugetsu.runtime.git.changes import changed_files, operation, submodules
from kugetsu.runtime.git.child import failure
from kugetsu.runtime.git.command import ask, commit_of, git
from kugetsu.runtime.git.repositories import Repository, locked

REMOVE_TIMEOUT = 600.0
"""Seconds to remove a worktree: large ones on slow disks take minutes."""


@dataclass(frozen=True, slots=True)
class RemovalPolicy:
    """How closely a worktree is examined before it goes, and what is known of it.

    ``kept``: commits that are safe although no ref here shows it: the head of a squash-merged pull request.
    ``disposable``: patterns of ignored files that may go (DISPOSABLE_FILES). ``strict``: processes working in it keep
    it too, in removals that nobody requested one by one; a shell in it may be the one that typed its removal.
    ``resumed``: a removal was interrupted, so missing files are no changes; present ones still count.
    """

    _: KW_ONLY
    kept: Sequence[str] = ()
    disposable: Sequence[str] = ()
    strict: bool = False
    resumed: bool = False


def why_keep(path: str, branch: str, repository: Repository, care: RemovalPolicy | None = None) -> list[str]:
    """The reasons against removing a worktree; empty if nothing would be lost.

    Commits are safe if a ref other than the issue's branch reaches them: a remote's branch, a rescue branch, a tag,
    another local branch.
    """
    if not os.path.isdir(path):
        return []
    care = care or RemovalPolicy()
    mounted = folders.mounted_within(path)
    if mounted:
        return [f"something mounted in it ({', '.join(mounted[:3])})"]
    admin = interrupted_checkout.admin_folder(repository.common_dir, path)
    if care.resumed and admin is not None:
        integrity.attach(admin, path)
    integrity.repair(repository.path, path)
    fault = integrity.fault(repository.path, path)
    if fault is not None:
        return [f"files, and is not a git worktree: {fault}"] if integrity.holds_files(path) else []
    changed = changed_files(path, missing=not care.resumed)
    reasons = [f"{counted(len(changed), 'uncommitted change')} ({listed(changed)})"] if changed else []
    others = [branch] if branch else []
    tips = local_state.own_refs(path)
    ahead = commits_only_here(path, *others, kept=care.kept, tips=tips)
    if ahead and not published.follows(repository.path, branch):
        # A push of it left no trace in the clone (bare, shallow, single-branch): only a remote can tell.
        published.ask_remotes(repository.path, git(["rev-parse", "HEAD"], path).strip())
        ahead = commits_only_here(path, *others, kept=care.kept, tips=tips)
    if ahead:
        reasons.append(f"{counted(ahead, 'commit')} that no other branch has")
    doing = operation(admin) if admin is not None else None
    if doing is not None:
        reasons.append(f"a {doing} in progress")
    if admin is not None and os.path.exists(admin + "/locked"):
        reasons.append("a lock of git worktree lock")
    within = inner.find(path, admin)
    reasons += inner.why_keep(within, missing=not care.resumed)
    reasons += local_state.why_keep(path, within, care.disposable)
    if care.strict:
        reasons += local_state.why_busy(path)
    return reasons


def not_rescued(path: str, repository: Repository, care: RemovalPolicy) -> list[str]:
    """The files that a forced removal deletes and no rescue branch gets: ignored or overlooked ones that cannot be made
    again. Raises GitFailed."""
    if integrity.fault(repository.path, path) is not None:
        return []
    within = inner.find(path, interrupted_checkout.admin_folder(repository.common_dir, path))
    return local_state.ignored_files(path, within, care.disposable) + local_state.overlooked_files(path)


def commits_only_here(path: str, *branches: str, kept: Sequence[str] = (), tips: Sequence[str] = ()) -> int:
    """How many commits of the worktree's HEAD only these branches reach; 0 before the first commit.

    Commits that ``kept`` reaches do not count; ``tips`` are further starting points.
    """
    others = [*(f"--exclude={branch}" for branch in branches), "--branches", "--remotes", "--tags"]
    safe = [commit for commit in kept if ask(["cat-file", "-e", f"{commit}^{{commit}}"], path).code == 0]
    answer = ask(["rev-list", "--count", "HEAD", *tips, "--not", *safe, *others], path)
    if answer.code != 0:
        if commit_of("HEAD", path) is None:
            return 0
        raise failure(["rev-list"], answer)
    return int(answer.out)


def has_branch(repository: Repository, branch: str) -> bool:
    """Whether the repository has a local branch of that name."""
    return ask(["show-ref", "--verify", "-q", f"refs/heads/{branch}"], repository.path).code == 0


def has_submodules(repository: Repository, path: str) -> bool:
    """Whether git refuses to remove the worktree because submodules are checked out in it."""
    if inner.has_submodules(interrupted_checkout.admin_folder(repository.common_dir, path)):
        return True
    links = submodules(path) if checkouts.git_dir_of(path) is not None else []
    return any(os.path.lexists(f"{path}/{link}/.git") for link in links)


def remove(
    repository: Repository,
    path: str,
    branch: str,
    paths: Paths,
    *,
    force: bool = False,
    care: RemovalPolicy | None = None,
    first: Callable[[], object] = lambda: None,
) -> bool:
    """Remove a worktree (its branch stays); False if there was none.

    Raises Conflict with every reason against it. `force` overrides them: the caller has put the work on a rescue branch
    (`rescue.rescue`). `first` is called once nobody else can make a worktree there, and may raise.
    """
    with locked(paths, repository.common_dir):
        first()
        return remove_locked(repository, path, branch, force=force, care=care)


def remove_locked(
    repository: Repository, path: str, branch: str, *, force: bool = False, care: RemovalPolicy | None = None
) -> bool:
    """`remove`, for a caller that holds the repository's lock (`repositories.locked`)."""
    if not os.path.lexists(path):
        return False
    _require_no_mounts(path)
    reasons = [] if force else why_keep(path, branch, repository, care)
    if reasons:
        raise Conflict(f"the worktree {path} was kept: it has {'; '.join(reasons)}", way_on(path, reasons))
    # git refuses to remove a folder without its pointer, which an emptied one lacks.
    place = os.path.realpath(path)
    emptied = not os.listdir(place)
    admin = interrupted_checkout.admin_folder(repository.common_dir, place)
    if emptied and admin is None:
        os.rmdir(place)
        _unlink(path)
        return True
    if admin is not None:
        integrity.attach(admin, place)
    if os.path.islink(path):  # git's record names the link, which git cannot remove as a folder
        git(["worktree", "repair", place], repository.path)
    # Twice: also a worktree that git holds locked. Once: one whose files are missing in part, or that has submodules,
    # which were examined above, or tracked files that its set-up changed. Else git looks for new files itself.
    partly = emptied or (care is not None and care.resumed) or has_submodules(repository, path)
    partly = partly or (not force and not copies.remove_left(path))
    options = ["--force", "--force"] if force else ["--force"] if partly else []
    git(["worktree", "remove", *options, place], repository.path, timeout=REMOVE_TIMEOUT)
    _unlink(path)
    return True


def _require_no_mounts(path: str) -> None:
    """Raise Conflict if something is mounted in the worktree: git would delete its content."""
    mounted = folders.mounted_within(path)
    if mounted:
        raise Conflict(f"the worktree {path} was kept: something is mounted at {mounted[0]}", f"umount {mounted[0]}")


def _unlink(path: str) -> None:
    """Remove the link that a user left in place of a moved worktree."""
    if os.path.islink(path):
        os.unlink(path)


def way_on(path: str, reasons: Sequence[str], force: str = "--force") -> str:
    """The remedy for reasons of `why_keep`; files that a rescue does not save are named apart."""
    files = [reason for reason in reasons if local_state.IGNORED in reason]
    steps = [f"commit and push in {path}"] if len(files) < len(reasons) else []
    if files:
        steps.append(f"list the ignored files (git -C {path} clean -ndX), move away what you need")
        steps.append("name in DISPOSABLE_FILES what can be recreated (kugetsu config get DISPOSABLE_FILES)")
    return f"{'; '.join(steps)}; or: {force}" + (" (which deletes them)" if files else "")
