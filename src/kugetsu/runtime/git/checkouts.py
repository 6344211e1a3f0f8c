"""Find the clone around a folder by reading git's own files: no process, well under a millisecond."""

from __future__ import annotations

import os

from kugetsu.model.record import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

_MOST_BYTES = 1 << 20


@value
class Checkout:
    """A clone: the folder to run git in, its git folder, and the one that all its worktrees share."""

    top: str
    git_dir: str
    common_dir: str
    bare: bool

    @property
    def home(self) -> str:
        """The folder to run git in that outlives linked worktrees: the main worktree, or the bare repository."""
        if self.git_dir == self.common_dir:
            return self.top
        return os.path.dirname(self.common_dir) if os.path.basename(self.common_dir) == ".git" else self.common_dir


def find(folder: str) -> Checkout | None:
    """The clone that contains a folder; None outside of any."""
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


def remotes(common_dir: str) -> dict[str, str]:
    """URL by remote, from the repository's own config file."""
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
    """The git folder of a worktree's top folder; None if it is not one."""
    checkout = at(folder)
    return checkout.git_dir if checkout is not None else None


def has_reftable(git_dir: str) -> bool:
    """Whether a repository keeps its refs in tables (git 2.45 and later) instead of files."""
    common = read_line(git_dir + "/commondir")
    return os.path.isdir(os.path.join(git_dir, common or "", "reftable"))


def worktree_of(admin: str) -> str | None:
    """The worktree's folder that a record of git's (`worktrees/<id>`) names; None if it names none.

    With worktree.useRelativePaths the path is relative to the record.
    """
    line = read_line(admin + "/gitdir")
    return os.path.normpath(os.path.dirname(os.path.join(admin, line))) if line else None


def read_line(path: str) -> str | None:
    """The first line of one of git's small files; None when it cannot be read."""
    lines = read_lines(path)
    return lines[0].strip() if lines else None


def is_bare(folder: str) -> bool:
    """Whether a folder is a bare repository (not a clone's `.git`)."""
    if not os.path.isfile(folder + "/HEAD"):
        return False
    checkout = at(folder)
    return checkout is not None and checkout.bare


def of_git_dir(git_dir: str) -> Checkout | None:
    """The clone or linked worktree that a git folder belongs to; None if it is not one."""
    if not os.path.isfile(git_dir + "/HEAD"):
        return None
    common = read_line(git_dir + "/commondir")
    common_dir = os.path.normpath(os.path.join(git_dir, common)) if common else git_dir
    return Checkout(git_dir, git_dir, common_dir, bare=False)


def at(folder: str) -> Checkout | None:
    """The clone whose top folder this is; None for any other folder."""
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


def read_lines(path: str) -> list[str]:
    """The lines in the first MiB of a git file; none when it cannot be read."""
    return read_bytes(path).decode("utf-8", "surrogateescape").splitlines()


def read_last_lines(path: str) -> list[str]:
    """The complete lines in the last MiB of a git file that grows; none when it cannot be read."""
    data = read_bytes(path, end=True)
    if len(data) == _MOST_BYTES:
        data = data.partition(b"\n")[2]
    return data.decode("utf-8", "surrogateescape").splitlines()


def read_bytes(path: str, *, end: bool = False) -> bytes:
    """The first MiB of a git file (``end``: the last one); empty when it cannot be read. Does not block on a FIFO."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, _MOST_BYTES, max(0, os.fstat(fd).st_size - _MOST_BYTES) if end else 0)
    except OSError:  # a folder, a FIFO
        return b""
    finally:
        os.close(fd)


def _config_value(text: str) -> str:
    """A value of git's config without quotes, escapes and comments."""
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
