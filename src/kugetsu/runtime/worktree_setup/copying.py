"""Copy ignored files of the user's clone (`.env`) into a worktree.

Only files that git ignores in both places: a copy must not end up in a commit. Nothing that exists or is tracked is
replaced, no link is followed, on neither side: the work branch may hold a link in the place of a folder. Each file is
written under another name and then linked to its own, so that a kill leaves it whole or absent. What was copied is
noted in git's record of the worktree (`git.copies`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kugetsu.host import run_files
from kugetsu.model.errors import KugetsuError
from kugetsu.model.plural import counted, listed
from kugetsu.runtime.git import checkouts, copies
from kugetsu.runtime.git.command import ask, git
from kugetsu.runtime.git.copies import MOST_BYTES
from kugetsu.runtime.worktree_setup.recipe import INCLUDES

MOST_FILES = 10_000
LIST_SECONDS = 300.0
"""Seconds to list the untracked files of a clone, with all that tools put into it."""

_PASSING = ".kugetsu-copying"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20


@dataclass(slots=True)
class Copied:
    """The names of the files that are copies now, and notes on others that match a pattern, for people."""

    names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def copy(source: str, worktree: str, patterns: Sequence[str]) -> Copied:
    """Copy the ignored files of the clone at ``source`` that match a pattern (as in a .gitignore).

    Raises KugetsuError if these are too many or too large, or cannot be written; GitFailed.
    """
    done = Copied()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{worktree}/{_PASSING}")  # of a copy that was killed
    if not patterns:
        return done
    if checkouts.is_bare(source):
        done.notes.append(f"no ignored file was copied: {source} has no files; register a clone that has them")
        return done
    wanted = _wanted(source, worktree, patterns, done)
    _require_few(source, wanted)
    hashes = {}
    with _folder(source) as top, _folder(worktree) as into:
        for name in wanted:
            try:
                digest = _copy(top, into, name)
            except OSError as problem:
                raise KugetsuError(
                    f"cannot copy {source}/{name} to {worktree}: {problem.strerror or problem}",
                    "check the file and the disk, or change WORKTREE_COPY",
                ) from problem
            if digest is not None:
                hashes[name] = digest
    copies.note(worktree, hashes)
    done.names = list(hashes)
    return done


def matching(source: str, patterns: Sequence[str]) -> list[str]:
    """The ignored files of the clone that match a pattern; none in a bare one. Raises GitFailed."""
    if not patterns or checkouts.is_bare(source):
        return []
    options = ["-z", "--others", "--ignored", *(f"--exclude={pattern}" for pattern in patterns)]
    names = git(["ls-files", *options], source, timeout=LIST_SECONDS).split("\0")
    return _ignored(source, [name for name in names if name and not name.endswith("/")])


def _wanted(source: str, worktree: str, patterns: Sequence[str], done: Copied) -> list[str]:
    """The files to copy that are not in the worktree; why others are not copied is added to the notes of ``done``."""
    ignored = matching(source, patterns)
    links = [name for name in ignored if not run_files.is_regular(f"{source}/{name}")]
    if links:
        done.notes.append(f"not copied, because it is no regular file, or a link: {listed(links)}")
    blocked = [name for name in ignored if _is_blocked(worktree, name)]
    if blocked:
        done.notes.append(f"not copied, because the worktree has no such folder of its own: {listed(blocked)}")
    plain = [name for name in ignored if name not in links and name not in blocked]
    safe = set(_ignored(worktree, plain))
    exposed = [name for name in plain if name not in safe]
    if exposed:
        done.notes.append(f"not copied, because git does not ignore it in the worktree: {listed(exposed)}")
    return sorted(safe)


def _is_blocked(worktree: str, name: str) -> bool:
    """Whether a link, a file or a submodule is where a folder of the file belongs: git cannot be asked about it."""
    parts = name.split("/")[:-1]
    around = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
    return any(
        os.path.islink(f"{worktree}/{folder}")
        or os.path.isfile(f"{worktree}/{folder}")
        or os.path.lexists(f"{worktree}/{folder}/.git")
        for folder in around
    )


def _ignored(top: str, names: list[str]) -> list[str]:
    """Those of the names that git ignores there and does not track. Raises GitFailed."""
    if not names:
        return []
    given = "\0".join(names).encode("utf-8", "surrogateescape")
    answer = ask(["check-ignore", "-z", "--stdin"], top, stdin=given)
    if answer.code not in (0, 1):
        git(["check-ignore", "-z", "--stdin"], top, stdin=given)  # raises its error
    return [name for name in answer.out.split("\0") if name]


def _require_few(source: str, names: list[str]) -> None:
    size = 0
    for name in names:
        with contextlib.suppress(OSError):
            size += os.lstat(f"{source}/{name}").st_size
    if len(names) > MOST_FILES or size > MOST_BYTES:
        raise KugetsuError(
            f"WORKTREE_COPY and {INCLUDES} match {counted(len(names), 'file')} of {size >> 20} MB in {source}; "
            f"at most {MOST_FILES} files of {MOST_BYTES >> 20} MB are copied",
            "narrow the patterns: kugetsu config set WORKTREE_COPY '.env .env.local'",
        )


def _copy(top: int, into: int, name: str) -> str | None:
    """Copy one file beneath two folders; the hash of its content if the worktree has it now, None if another file is
    there. Raises OSError."""
    *around, last = name.split("/")
    with contextlib.ExitStack() as opened:
        here, there = top, into
        for part in around:
            here = opened.enter_context(_below(here, part))
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, stat.S_IMODE(os.fstat(here).st_mode) & 0o777 | 0o700, dir_fd=there)
            there = opened.enter_context(_below(there, part))
        fd = os.open(last, _FILE, dir_fd=here)
        with open(fd, "rb") as file:
            mode = os.fstat(fd).st_mode
            if not stat.S_ISREG(mode):
                raise OSError(None, "it is no regular file")
            if _exists(last, there):
                return _same(file.read(MOST_BYTES + 1), last, there)
            content = hashlib.sha256()
            out = os.open(_PASSING, _NEW, 0o600, dir_fd=into)
            try:
                with open(out, "wb") as new:
                    while chunk := file.read(_CHUNK):
                        if new.tell() + len(chunk) > MOST_BYTES:  # it grows while it is read, for ever perhaps
                            raise OSError(None, f"it has grown beyond {MOST_BYTES >> 20} MB")
                        content.update(chunk)
                        new.write(chunk)
                    os.fchmod(out, stat.S_IMODE(mode) & 0o777)
                with contextlib.suppress(FileExistsError):
                    os.link(_PASSING, last, src_dir_fd=into, dst_dir_fd=there, follow_symlinks=False)
            finally:
                os.unlink(_PASSING, dir_fd=into)
        return content.hexdigest()


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _same(content: bytes, name: str, folder: int) -> str | None:
    """The hash of the content if the file in the worktree has the very same: a copy that was killed had got there."""
    digest = hashlib.sha256(content).hexdigest()
    try:
        with open(os.open(name, _FILE, dir_fd=folder), "rb") as file:
            return digest if hashlib.sha256(file.read(MOST_BYTES + 1)).hexdigest() == digest else None
    except OSError:  # a link, or something else that is not ours
        return None


@contextlib.contextmanager
def _folder(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _below(folder: int, name: str) -> Iterator[int]:
    fd = os.open(name, _FOLDER, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)
