"""Repositories that go with a worktree: submodules, clones inside its folder, and what git's record of it keeps.

A worktree's submodules have their git folders in `worktrees/<id>/modules`, which `git worktree remove --force` deletes
with the folder; a clone in an ignored folder goes with it. Each is examined like the worktree: uncommitted files,
unfinished operations, and commits that no remote of it has.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kugetsu.model.errors import KugetsuError
from kugetsu.model.plural import counted, listed
from kugetsu.runtime.folders import walk
from kugetsu.runtime.git import checkouts
from kugetsu.runtime.git.changes import HELD, changed_files, operation
from kugetsu.runtime.git.child import failure
from kugetsu.runtime.git.command import ask, commit_of, git
from kugetsu.runtime.git.refs import has_reflog, left_commits, made_commits


@dataclass(frozen=True, slots=True)
class Inner:
    """One repository that goes with a worktree.

    `name` is its path in the worktree (of a submodule not checked out: its name), `top` the folder of its files, None
    without any. `owned`: its refs and objects go too; those of a worktree of another repository do not.
    """

    name: str
    top: str | None
    git_dir: str
    common_dir: str
    owned: bool

    @property
    def folder(self) -> str:
        """The folder to run git in."""
        return self.top or self.git_dir

    @property
    def env(self) -> dict[str, str]:
        """Makes git find this repository and not one around it."""
        # Without files too: `core.worktree` of a submodule that is not checked out names a folder that is missing.
        return {"GIT_DIR": self.git_dir, "GIT_WORK_TREE": self.folder}


@dataclass(slots=True)
class Work:
    """What would be lost with a repository.

    `tips` are the commits only it has that reach all others of these (`commits` in number). `problem` says why it can
    be neither examined nor rescued.
    """

    changes: list[str] = field(default_factory=list)
    commits: int = 0
    stashes: int = 0
    tips: list[str] = field(default_factory=list)
    operation: str | None = None
    problem: str | None = None

    def __bool__(self) -> bool:
        return bool(self.changes or self.commits or self.operation or self.problem)

    def __str__(self) -> str:
        if self.problem is not None:
            return self.problem
        parts = []
        if self.changes:
            parts.append(f"{counted(len(self.changes), 'uncommitted change')} ({listed(self.changes)})")
        if self.stashes:
            parts.append(counted(self.stashes, "stash"))
        elif self.commits:
            parts.append(f"{counted(self.commits, 'commit')} that no remote has")
        if self.operation is not None:
            parts.append(f"a {self.operation} in progress")
        return ", ".join(parts)


def why_keep(repositories: Sequence[Inner], *, missing: bool = True) -> list[str]:
    """The reasons that repositories in a worktree (`find`) give against removing it.

    `missing`: deleted files count as changes.
    """
    found = [(inner, examine(inner, missing=missing)) for inner in repositories]
    return [f"{work} in the repository {inner.name}" for inner, work in found if work]


def find(path: str, admin: str | None) -> list[Inner]:
    """The repositories that go with the worktree at `path` and with `admin`, git's record of it; each once."""
    inside = tuple(os.path.realpath(folder) + "/" for folder in (path, admin) if folder is not None)
    found: dict[str, Inner] = {}
    for top, git_dir in _checkouts(path) if os.path.isdir(path) else ():
        _add(found, os.path.relpath(top or git_dir, path), top, git_dir, inside)
    stores = [admin] if admin is not None else []
    stores += [inner.common_dir for inner in found.values() if inner.owned]
    for store in stores:
        for git_dir in _modules(store):
            _add(found, git_dir.rpartition("/modules/")[2], None, git_dir, inside)
    return list(found.values())


def has_submodules(admin: str | None) -> bool:
    """Whether git's record of a worktree keeps repositories of submodules: then git refuses to remove it."""
    return admin is not None and os.path.isdir(admin + "/modules") and bool(os.listdir(admin + "/modules"))


def _add(found: dict[str, Inner], name: str, top: str | None, git_dir: str, inside: tuple[str, ...]) -> None:
    git_dir = os.path.realpath(git_dir)
    common = checkouts.read_line(git_dir + "/commondir")
    common_dir = os.path.realpath(os.path.join(git_dir, common)) if common else git_dir
    owned = (common_dir + "/").startswith(inside)
    found.setdefault(git_dir, Inner(name, top, git_dir, common_dir, owned))


def _checkouts(path: str) -> Iterator[tuple[str | None, str]]:
    """Folder of files (None: a bare repository) and git folder of each repository below the worktree's folder."""
    for folder, folders, files in walk(path):
        if folder != path and (".git" in folders or ".git" in files):
            yield folder, _pointed_at(folder)
        elif {"objects", "refs"}.issubset(folders) and "HEAD" in files:
            yield None, folder
            folders.clear()
        if ".git" in folders:
            folders.remove(".git")


def _pointed_at(folder: str) -> str:
    """The git folder of a checkout, also if nothing is there."""
    line = checkouts.read_line(folder + "/.git") if os.path.isfile(folder + "/.git") else None
    pointer = line.removeprefix("gitdir:").strip() if line is not None else ".git"
    return os.path.normpath(os.path.join(folder, pointer))


def _modules(git_dir: str) -> Iterator[str]:
    """The git folders of submodules in a git folder, including nested ones and those of its other worktrees."""
    for place in (git_dir, *_subfolders(git_dir + "/worktrees")):
        for folder, folders, files in walk(place + "/modules"):
            if "HEAD" in files and "objects" in folders:
                yield folder
                folders.clear()
                yield from _modules(folder)


def _subfolders(folder: str) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return []


# --- one of them ------------------------------------------------------------------------------------------------------


def examine(inner: Inner, *, missing: bool = True) -> Work:
    """What would be lost with a repository; `missing`: deleted files count as changes."""
    work = Work()
    try:
        if not os.path.exists(inner.git_dir + "/HEAD"):
            work.problem = _of_a_ruin(inner)
            return work
        work.problem = _why_unreadable(inner) or _why_bound(inner)
        if work.problem is None:
            _examine(inner, work, missing)
    except (KugetsuError, OSError) as error:
        work.problem = f"what git cannot read ({error})"
    return work


def _of_a_ruin(inner: Inner) -> str | None:
    """What a git folder without HEAD holds: a dangling pointer holds nothing, objects may be someone's."""
    for _, _, files in walk(inner.git_dir + "/objects"):
        if files:
            return "objects without a HEAD"
    return None


def _why_unreadable(inner: Inner) -> str | None:
    if inner.top is None:
        return None
    # Asked without GIT_DIR: what is run by its folder alone must not end up in a repository around it.
    answer = ask(["rev-parse", "--absolute-git-dir"], inner.top)
    if answer.code != 0:
        return f"what git cannot read ({failure(['rev-parse'], answer).message})"
    if os.path.realpath(answer.out.rstrip("\n")) != inner.git_dir:
        return "what git does not recognise as a repository"
    return None


def _why_bound(inner: Inner) -> str | None:
    """Why it must stay although its work is safe: worktrees elsewhere depend on it."""
    if not inner.owned or inner.git_dir != inner.common_dir:
        return None
    for admin in _subfolders(inner.common_dir + "/worktrees"):
        place = checkouts.worktree_of(admin)
        away = os.path.realpath(place or "")
        home = os.path.realpath(inner.folder)
        if place is not None and os.path.exists(place + "/.git") and not (away + "/").startswith(home + "/"):
            return f"the history of the worktree {away}"
    return None


def _examine(inner: Inner, work: Work, missing: bool) -> None:
    if inner.top is not None:
        work.changes = changed_files(inner.top, missing=missing, env=inner.env)
    elif os.path.exists(inner.git_dir + "/index") and commit_of("HEAD", inner.folder, inner.env):
        staged = git(["diff-index", "--cached", "--name-only", "-z", "HEAD"], inner.folder, env=inner.env)
        work.changes = [name for name in staged.split("\0") if name]
    work.operation = operation(inner.git_dir)
    stashes = _stashes(inner) if inner.owned else []
    tips = list(dict.fromkeys([*_tips(inner), *stashes]))
    only_here = set(_only_here(inner, tips))
    work.commits = len(only_here)
    work.stashes = len(only_here.intersection(stashes))
    work.tips = _outermost(inner, [tip for tip in tips if tip in only_here])


def _tips(inner: Inner) -> list[str]:
    """The commits that reach everything that would go with the repository."""
    whole = inner.owned and inner.git_dir == inner.common_dir
    command = [
        "for-each-ref",
        "--format=%(objectname) %(refname)",
        *([] if whole else ["refs/worktree", "refs/bisect"]),
    ]
    out = git(command, inner.folder, env=inner.env)
    refs = [line.partition(" ") for line in out.splitlines()]
    fetched = _fetched_tags(inner) if whole else set()
    tips = [commit for commit, _, name in refs if not name.startswith("refs/remotes/") and name not in fetched]
    head = commit_of("HEAD", inner.folder, inner.env)
    tips += [head] if head is not None else []
    for name in HELD:
        line = checkouts.read_line(f"{inner.git_dir}/{name}")
        tips += [line] if line else []
    tips += left_commits(inner.git_dir)
    tags = [commit for commit, _, name in refs if name in fetched]
    made = set(made_commits(inner.git_dir))
    if tags and (not has_reflog(inner.git_dir) or made.intersection(_only_here(inner, tags))):
        tips += tags
    return tips


def _fetched_tags(inner: Inner) -> set[str]:
    """Tags that came with a clone, which git packs into one file; tags made here are files of their own."""
    packed = checkouts.read_lines(inner.common_dir + "/packed-refs")
    names = {line.partition(" ")[2] for line in packed if " refs/tags/" in line}
    return {name for name in names if not os.path.exists(f"{inner.common_dir}/{name}")}


def _stashes(inner: Inner) -> list[str]:
    """All entries of the stash; only the last one is a ref."""
    if ask(["rev-parse", "-q", "--verify", "refs/stash"], inner.folder, env=inner.env).code != 0:
        return []
    return git(["rev-list", "-g", "refs/stash"], inner.folder, env=inner.env).split()


def _only_here(inner: Inner, tips: list[str]) -> list[str]:
    """The commits reached by these that are nowhere else: on no remote's branch, as far as known."""
    if not tips:
        return []
    elsewhere = ["--remotes"] if inner.owned else ["--branches", "--remotes", "--tags"]
    lines = [*tips, *(f"^{commit}" for commit in _fetched(inner))]
    # Missing objects: of what a shallow or a damaged repository names and lacks.
    args = ["rev-list", "--ignore-missing", "--stdin", "--not", *elsewhere]
    return git(args, inner.folder, env=inner.env, stdin="\n".join(lines).encode() + b"\n").split()


def _fetched(inner: Inner) -> list[str]:
    """Commits that came from a server without a remote-tracking branch: where a shallow history begins, and what was
    fetched by id, as `git submodule update` does."""
    shallow = checkouts.read_lines(inner.common_dir + "/shallow")
    fetched = []
    for line in checkouts.read_lines(inner.git_dir + "/FETCH_HEAD"):
        commit, _, rest = line.partition("\t")
        url = rest.rpartition(" of ")[2] or rest.rpartition("\t")[2]
        if ":" in url:  # not from a folder of this machine
            fetched.append(commit)
    return [commit for commit in (*shallow, *fetched) if commit]


def _outermost(inner: Inner, tips: list[str]) -> list[str]:
    """Those of the commits that no other of them reaches."""
    if len(tips) < 2:
        return tips
    return git(["merge-base", "--independent", *tips], inner.folder, env=inner.env).split()
