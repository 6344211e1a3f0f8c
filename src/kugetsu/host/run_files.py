"""Open the files of a run (`runs/<attempt>/`), the one place that does, and those that the user keeps.

The agent works with the user's own rights, so any of these files may be a folder, a FIFO, a device or a link by the
time it is opened. Nothing here blocks, follows a link of a run or reads without a bound; whatever is not a regular file
is an `OSError` that names what it is.

Kept free of imports: the lean supervisor and `kugetsu status` load it.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_SAFE = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_TYPE, _REGULAR = 0o170000, 0o100000
_KINDS = {
    0o040000: "a folder",
    0o010000: "a FIFO",
    0o120000: "a link",
    0o020000: "a device",
    0o060000: "a device",
    0o140000: "a socket",
}
#: What no file takes the place of.
_KEPT = (0o040000, 0o020000, 0o060000)


class NotRegularFileError(OSError):
    """The path is not a regular file; ``strerror`` says what it is."""


def open_file(path: str, flags: int = os.O_RDONLY) -> int:
    """A descriptor of the regular file at ``path``; a file that ``flags`` create gets mode 0600.

    Raises NotRegularFileError for anything else that is there, and for a file to be created behind a folder that is a
    link; FileNotFoundError, and OSError as `os.open` does.
    """
    return _open(path, flags | _SAFE)


def open_own(path: str) -> BinaryIO:
    """A file that the user keeps (`config`, an env file, instructions), to be read as bytes: it may be a link to a
    regular file, or to the null device. Raises as `open_file` does."""
    try:
        return open(_open(path, _SAFE & ~os.O_NOFOLLOW), "rb")
    except NotRegularFileError:
        if os.path.realpath(path) != os.devnull:
            raise
        return open(os.devnull, "rb")


def _open(path: str, flags: int) -> int:
    folder = os.path.dirname(path)
    if flags & os.O_CREAT and os.path.islink(folder):
        raise _refusal(folder, os.lstat(folder).st_mode, "a folder")
    try:
        fd = os.open(path, flags, 0o600)
    except OSError as problem:
        if problem.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EOPNOTSUPP):
            raise
        mode = _mode(path)
        raise _refusal(path, 0o120000 if mode is None else mode) from problem  # None: the folder's links go in a circle
    try:
        mode = os.fstat(fd).st_mode
        if mode & _TYPE != _REGULAR:
            raise _refusal(path, mode)
        os.set_blocking(fd, True)  # an agent inherits some of them
    except BaseException:
        os.close(fd)
        raise
    return fd


def _refusal(path: str, mode: int, wanted: str = "a regular file") -> NotRegularFileError:
    return NotRegularFileError(errno.EINVAL, f"it is {_KINDS.get(mode & _TYPE, 'special')}, not {wanted}", path)


def is_regular(path: str) -> bool:
    """Whether a regular file is there; a link is none."""
    mode = _mode(path)
    return mode is not None and mode & _TYPE == _REGULAR


def _mode(path: str) -> int | None:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return None


def open_binary(path: str) -> BinaryIO:
    """The file, to be read as bytes. Raises as `open_file` does."""
    return open(open_file(path), "rb")


def read(path: str, most: int) -> bytes:
    """At most the first ``most`` bytes. Raises as `open_file` does."""
    fd = open_file(path)
    try:
        return os.pread(fd, most, 0)
    finally:
        os.close(fd)


def tail(path: str, most: int) -> tuple[bytes, bool]:
    """At most the last ``most`` bytes, and whether there are more before them. Raises as `open_file` does."""
    fd = open_file(path)
    try:
        start = max(0, os.fstat(fd).st_size - most)
        return os.pread(fd, most, start), start > 0
    finally:
        os.close(fd)


def replace(path: str, data: bytes) -> None:
    """Put a file with ``data`` in the place of whatever file, link or FIFO is there.

    Raises NotRegularFileError when a folder or a device is there, OSError when the disk is full, and for what keeps it
    from being written.
    """
    from kugetsu.host import atomic  # most commands only read

    mode = _mode(path)
    if mode is not None and mode & _TYPE in _KEPT:
        raise _refusal(path, mode)
    folder = os.path.dirname(path)
    if os.path.islink(folder):
        raise _refusal(folder, os.lstat(folder).st_mode, "a folder")
    atomic.write(path, data)


def problem(path: str) -> str | None:
    """Why a file cannot be read, for people; None when it can, and when it is not there."""
    try:
        os.close(open_file(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{os.path.basename(path)} cannot be read: {error.strerror or error}"
    return None
