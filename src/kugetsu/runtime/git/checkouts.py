"""Finds the clone around a folder and its remotes by reading git's own files: no process, well under a millisecond.

`kugetsu queue enqueue 14` asks at every call which repository is meant, and a git process would cost 4 ms. What only
git can tell (included files, `url.….insteadOf`) it is asked for, and only when the files leave it open.
"""

from __future__ import annotations

import os

from kugetsu.model.errors import KugetsuError
from kugetsu.model.refs import local_repository, parse_repository, repository_of_url
from kugetsu.model.servers import is_host_like, split_scp, split_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_BYTES = 1 << 20
# Where a fork and its origin are both remotes, issues live with the origin: the order in which GitHub's `gh` asks.
_STUB = "ref: refs/heads/.invalid"
_ORDER = ("upstream", "github", "origin")


class Checkout:
    """A clone: the folder to run git in, its git folder, and the git folder that all its worktrees share."""

    __slots__ = ("bare", "common_dir", "git_dir", "top")

    def __init__(self, top: str, git_dir: str, common_dir: str, bare: bool) -> None:
        self.top = top
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.bare = bare

    @property
    def home(self) -> str:
        """The folder to run git in that outlives linked worktrees: the main worktree's, or a bare repository's own."""
        if self.git_dir == self.common_dir:
            return self.top
        return os.path.dirname(self.common_dir) if os.path.basename(self.common_dir) == ".git" else self.common_dir


def find(folder: str) -> Checkout | None:
    """The clone that a folder lies in (the folder itself or the nearest above it); None outside of any."""
    try:
        folder = os.path.realpath(folder)
    except OSError:
        return None
    while True:
        checkout = at(folder)
        if checkout is not None:
            return checkout
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def typed_in(environment: Mapping[str, str]) -> str | None:
    """The folder of the clone in which a command is typed; None outside of any.

    In a hook, or an alias with `--git-dir`, the working directory may lie outside of the clone that GIT_DIR names.
    """
    try:
        folder = os.getcwd()
    except FileNotFoundError:  # it was deleted
        return None
    if find(folder) is not None:
        return folder
    git_dir = environment.get("GIT_DIR")
    named = find(os.path.join(folder, git_dir)) if git_dir else None
    return named.top if named is not None else None


def here(
    folder: str, servers: Mapping[str, str] | None = None, *, own: str | None = None
) -> tuple[str, str, str] | None:
    """(host, owner, repo) that `#N` means when typed in this folder; None outside of a clone.

    The remote `upstream` counts before `github`, `origin` and others; a clone without remotes is `local/…`. `own` is
    the folder of kugetsu's own clones, whose worktrees are known by their place.
    """
    checkout = find(folder)
    if checkout is None:
        return None
    named = repositories(checkout, servers, own=own)
    return parse_repository(named[0][1]) if named else None


def repositories(
    checkout: Checkout, servers: Mapping[str, str] | None = None, *, own: str | None = None
) -> list[tuple[str | None, str]]:
    """What a clone is a clone of: (remote, `host/owner/repo`) pairs, the one that `#N` means first.

    A clone below `own` is what its path says, whatever URL it comes from. Where no remote has a URL that names a
    repository, the clone goes by its own folder; its remote (None: it has none) is there to fetch from all the same.
    """
    inside = os.path.realpath(own) + "/" if own is not None else None
    if inside is not None and checkout.common_dir.startswith(inside):
        return [("origin", checkout.common_dir.removeprefix(inside).removesuffix(".git"))]
    urls = remotes(checkout.common_dir)
    found = _named(urls, checkout, servers)
    if not found or not all(is_host_like(repository.partition("/")[0]) for _, repository in found):
        # No remote, or one like `work:owner/repo`, which git may know how to rewrite.
        urls = _remotes_by_git(checkout) or urls
        found = _named(urls, checkout, servers) or found
    if found:
        return found
    name = local_repository(checkout.home)
    return [(next(iter(_in_order(urls)), None), name)] if name is not None else []


def matching_remote(
    checkout: Checkout, repository: str, servers: Mapping[str, str] | None = None, *, own: str | None = None
) -> tuple[bool, str | None]:
    """Whether the clone is one of `host/owner/repo`, and by which remote (None: its folder gives the name)."""
    for remote, name in repositories(checkout, servers, own=own):
        if name == repository:
            return True, remote
    return False, None


def remotes(common_dir: str) -> dict[str, str]:
    """URL by remote, as the repository's own config file says it."""
    found: dict[str, str] = {}
    section = ""
    for line in read_lines(common_dir + "/config"):
        text = line.strip()
        if text.startswith("["):
            head, _, text = text.partition("]")
            section = head[1:].strip()
            text = text.strip()
        name, quote, rest = section.partition('"')
        if not quote or name.strip().lower() != "remote":
            continue
        key, mark, value = text.partition("=")
        if mark and key.strip().lower() == "url":
            found.setdefault(rest.rpartition('"')[0] or rest, _config_value(value))
    return found


def git_dir_of(folder: str) -> str | None:
    """The git folder of a worktree's top folder; None when it is none."""
    checkout = at(folder)
    return checkout.git_dir if checkout is not None else None


def default_branch(common_dir: str, remote: str) -> str | None:
    """The branch that the clone knows as its remote's HEAD; None when it knows none."""
    target = symbolic_ref(common_dir, f"refs/remotes/{remote}/HEAD")
    prefix = f"refs/remotes/{remote}/"
    return target.removeprefix(prefix) if target is not None and target.startswith(prefix) else None


def symbolic_ref(git_dir: str, name: str = "HEAD") -> str | None:
    """What a symbolic ref points at; None when it is missing or holds a commit.

    Read from its file. A repository in the reftable format has none (for HEAD one that names `.invalid`): git is asked.
    """
    text = read_line(f"{git_dir}/{name}")
    if (text is None or text == _STUB) and has_reftable(git_dir):
        from kugetsu.runtime.git.command import ask

        answer = ask(["symbolic-ref", "-q", name], git_dir, env={"GIT_DIR": git_dir})
        return answer.out.strip() or None if answer.code == 0 else None
    return text[5:].strip() if text is not None and text.startswith("ref:") else None


def has_reftable(git_dir: str) -> bool:
    """Whether a repository keeps its refs in tables (git 2.45 and later), and not in files of their names."""
    common = read_line(git_dir + "/commondir")
    return os.path.isdir(os.path.join(git_dir, common or "", "reftable"))


def worktree_of(admin: str) -> str | None:
    """The folder of the worktree that a record of git's (`worktrees/<id>`) names; None when it names none.

    With worktree.useRelativePaths the path is relative to the record.
    """
    line = read_line(admin + "/gitdir")
    return os.path.normpath(os.path.dirname(os.path.join(admin, line))) if line else None


def read_line(path: str) -> str | None:
    """The first line of one of git's small files; None when it cannot be read."""
    lines = read_lines(path)
    return lines[0].strip() if lines else None


def is_bare(folder: str) -> bool:
    """Whether a folder is a bare repository itself (and no clone's `.git`)."""
    if not os.path.isfile(folder + "/HEAD"):
        return False
    checkout = at(folder)
    return checkout is not None and checkout.bare


def of_git_dir(git_dir: str) -> Checkout | None:
    """The clone, or linked worktree, to which a git folder belongs; None when it is none."""
    if not os.path.isfile(git_dir + "/HEAD"):
        return None
    common = read_line(git_dir + "/commondir")
    common_dir = os.path.normpath(os.path.join(git_dir, common)) if common else git_dir
    return Checkout(git_dir, git_dir, common_dir, bare=False)


def at(folder: str) -> Checkout | None:
    """The clone whose top folder this is; None when it is none, also inside of one."""
    dot_git = folder + "/.git"
    git_dir = dot_git
    if os.path.isfile(dot_git):  # a linked worktree or a submodule
        line = read_line(dot_git) or ""
        if not line.startswith("gitdir:"):
            return None
        git_dir = os.path.normpath(os.path.join(folder, line[7:].strip()))
    if os.path.isfile(git_dir + "/HEAD"):
        common = read_line(git_dir + "/commondir")
        common_dir = os.path.normpath(os.path.join(git_dir, common)) if common else git_dir
        return Checkout(folder, git_dir, common_dir, bare=False)
    if os.path.isfile(folder + "/HEAD") and os.path.isdir(folder + "/objects") and os.path.isdir(folder + "/refs"):
        if os.path.basename(folder) == ".git":  # inside of a clone's git folder: the clone is what is meant
            return at(os.path.dirname(folder))
        return Checkout(folder, folder, folder, bare=True)
    return None


def _named(
    urls: Mapping[str, str], checkout: Checkout, servers: Mapping[str, str] | None
) -> list[tuple[str | None, str]]:
    from kugetsu.runtime.git.ssh_hosts import resolver

    found: list[tuple[str | None, str]] = []
    name_of = resolver(servers or {})
    for remote in _in_order(urls):
        url = urls[remote]
        # The name by the URL's own host comes second: sessions may be known by it.
        for ssh_name in (name_of, None) if _may_be_alias(url) else (None,):
            repository = repository_of_url(url, servers=servers, base=checkout.home, ssh_name=ssh_name)
            if repository is not None and (remote, repository) not in found:
                found.append((remote, repository))
    return found


def _may_be_alias(url: str) -> bool:
    """True for ssh URLs, whose host the user's ssh configuration may rename."""
    return split_url(url)[0] in ("ssh", "git+ssh", "ssh+git") or split_scp(url) is not None


def _in_order(urls: Mapping[str, str]) -> list[str]:
    """The remotes, the one with the issues first."""
    return sorted(urls, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


def _remotes_by_git(checkout: Checkout) -> dict[str, str]:
    from kugetsu.runtime.git.command import ask

    try:
        answer = ask(["remote", "-v"], checkout.home)
    except KugetsuError:
        return {}  # without git the files are all that is known; whoever needs git next says so
    found: dict[str, str] = {}
    for line in answer.out.splitlines():
        name, _, rest = line.partition("\t")
        if rest.endswith(" (fetch)"):
            found[name] = rest.removesuffix(" (fetch)")
    return found


def read_lines(path: str) -> list[str]:
    """The lines of one of git's files, the first MiB of them; none when it cannot be read."""
    return read_bytes(path).decode("utf-8", "surrogateescape").splitlines()


def read_bytes(path: str) -> bytes:
    """The first MiB of one of git's files; empty when it cannot be read. A FIFO in its place is not waited for."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, _MOST_BYTES, 0)
    except OSError:  # a folder, a FIFO
        return b""
    finally:
        os.close(fd)


def _config_value(text: str) -> str:
    """A value of git's config: quotes, escapes and comments taken off."""
    value, quoted, escaped = "", False, False
    for c in text.strip():
        if escaped:
            value += {"n": "\n", "t": "\t"}.get(c, c)
            escaped = False
        elif c == "\\":
            escaped = True
        elif c == '"':
            quoted = not quoted
        elif c in "#;" and not quoted:
            break
        else:
            value += c
    return value.strip()
