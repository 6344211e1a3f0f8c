"""A lease: a file that is held locked for as long as an attempt (or the daemon) lives.

The lock is ``flock``: it belongs to the open file description, not to a process. A fork shares it, an exec keeps it (if
the descriptor is inheritable), and the kernel frees it when the last copy of the descriptor is closed, however its
holder ended. So whether it is held is the operating system's answer to whether the attempt lives; neither a recycled
pid nor a leftover file can fake it.

The creator locks a file under a temporary name and then renames it: a lease is never seen unlocked while its creator
lives. Probes take a *shared* lock for an instant, on their own descriptor: they do not see each other, and do not
disturb the creator, who never locks again.

A network file system turns flock into byte-range locks, which belong to a process and do not survive this use.
"""

from __future__ import annotations

import errno
import os

from kugetsu.host import run_files
from kugetsu.model.errors import Conflict
from kugetsu.model.record import record

_NEW = ".new"
_OPEN = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC


@record
class Lease:
    """A held lease. Forked children hold it too; dropping the object does not free it, closing ``fd`` does."""

    directory: str
    nonce: str
    fd: int

    @classmethod
    def create(cls, directory: str, nonce: str | None = None) -> Lease:
        """A new lease, held by this process, in ``directory`` (``KUGETSU_DIR/leases``; created with mode 0700).

        ``nonce`` is its name, by default 128 random bits. A fork shares the descriptor at once, an exec after
        :meth:`make_inheritable`. Raises Conflict if a lease of that name exists, OSError if the file cannot be created.
        """
        # A claimer has portalocker loaded already, for the log; a probe must not pay for it (33 ms).
        import portalocker

        nonce = nonce if nonce is not None else os.urandom(16).hex()
        path = _path(directory, nonce)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        # The pid keeps two creators of one name apart; the second one is refused below.
        unnamed = f"{path}.{os.getpid()}{_NEW}"
        fd = os.open(unnamed, _OPEN, 0o600)
        try:
            portalocker.lock(fd, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
            if os.path.lexists(path):
                raise Conflict(f"a lease named {nonce} exists already")
            os.rename(unnamed, path)
        except BaseException:
            os.close(fd)
            os.unlink(unnamed)
            raise
        return cls(directory, nonce, fd)

    @classmethod
    def adopt(cls, directory: str, nonce: str, fd: int) -> Lease:
        """The lease that this process inherited as descriptor ``fd`` across an exec; later execs do not pass it on.

        Raises Conflict if the descriptor is not that lease's.
        """
        path = _path(directory, nonce)
        try:
            held, named = os.fstat(fd), os.stat(path)
        except OSError as problem:
            raise Conflict(f"descriptor {fd} or the lease {nonce} is gone: {problem.strerror}") from problem
        if (held.st_dev, held.st_ino) != (named.st_dev, named.st_ino):
            raise Conflict(f"descriptor {fd} is not the lease {nonce}")
        os.set_inheritable(fd, False)
        return cls(directory, nonce, fd)

    def make_inheritable(self) -> None:
        """Let later execs keep the descriptor: the agent, and this process's next phase."""
        os.set_inheritable(self.fd, True)

    def close(self) -> None:
        """Close this process's copy only: other holders keep the lease alive, and the file stays."""
        os.close(self.fd)

    def leave_note(self, text: str) -> None:
        """Close this process's copy, and leave a note in the file for whoever finds it free (`note_in`). Raises
        OSError."""
        try:
            os.pwrite(self.fd, text.encode(), 0)
        finally:
            os.close(self.fd)

    def release(self) -> None:
        """Drop the lease: delete its file and close this copy of the descriptor."""
        _unlink(_path(self.directory, self.nonce))
        os.close(self.fd)


def alive(directory: str, nonce: str) -> bool:
    """Whether anybody holds the lease; False for a missing or irregular file. Takes 7 microseconds.

    Locks with ``fcntl``, the same system call as portalocker, whose import (33 ms) every ``kugetsu status`` would pay
    for. The descriptor is close-on-exec; a concurrent fork may copy it, but only a shared lock, which no probe minds.
    Raises OSError if the file exists but cannot be opened: then nobody can tell.
    """
    import fcntl

    try:
        fd = run_files.open_file(_path(directory, nonce))
    except (FileNotFoundError, run_files.NotRegularFileError):
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return True
    finally:
        os.close(fd)
    return False


def note_in(directory: str, nonce: str) -> str | None:
    """The note that the holder of a lease left at its end (`Lease.leave_note`); None without one, or while somebody
    holds it."""
    try:
        text = run_files.read(_path(directory, nonce), 1000).decode("utf-8", "replace")
    except OSError:
        return None
    return text if text and not alive(directory, nonce) else None


def exists(directory: str, nonce: str) -> bool:
    """Whether a lease of that name exists, held or not."""
    return run_files.is_regular(_path(directory, nonce))


def forget(directory: str, nonce: str) -> bool:
    """Delete the file of a lease that nobody holds; False if somebody does."""
    if alive(directory, nonce):
        return False
    _unlink(_path(directory, nonce))
    return True


def folder_of(pid: int, nonce: str) -> str | None:
    """The folder in which a process has the lease open, even if its file was deleted there; None if it has not, or the
    system does not show it."""
    from kugetsu.host import proc

    for _, path in proc.open_files(pid):
        folder, _, name = path.removesuffix(" (deleted)").rpartition("/")
        if name == nonce:
            return folder
    return None


def names(directory: str) -> list[str]:
    """The nonces of all lease files, in no order; without half-made and hidden files (`.nfs…`)."""
    try:
        return [name for name in os.listdir(directory) if not name.endswith(_NEW) and name[0] != "."]
    except FileNotFoundError:
        return []


def close_inherited(directory: str, keep: int | None = None) -> int:
    """Close every lease descriptor in ``directory`` that this process holds, except ``keep``; returns how many.

    A command typed in an agent's tool may have inherited that agent's lease. A runner or daemon forked from it would
    keep it alive, so both call this first.
    """
    listing = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    leases: set[tuple[int, int]] = set()
    for name in names(directory):
        try:
            found = os.stat(os.path.join(directory, name))
        except FileNotFoundError:  # dropped between the listing and here
            continue
        leases.add((found.st_dev, found.st_ino))
    closed = 0
    for entry in os.listdir(listing):
        fd = int(entry)
        if fd == keep:
            continue
        try:
            found = os.fstat(fd)
        except OSError:  # the listing's own descriptor, closed by now
            continue
        if (found.st_dev, found.st_ino) in leases:
            os.close(fd)
            closed += 1
    return closed


def inherited(directory: str, nonce: str) -> int | None:
    """The descriptor with which this process holds the lease; None if it has none."""
    listing = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    try:
        named = os.stat(_path(directory, nonce))
    except FileNotFoundError:
        return None
    for entry in os.listdir(listing):
        try:
            held = os.fstat(int(entry))
        except OSError:  # the listing's own descriptor, closed by now
            continue
        if (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino):
            return int(entry)
    return None


def _path(directory: str, nonce: str) -> str:
    if not nonce or "/" in nonce or nonce.startswith("."):
        raise ValueError(f"not the name of a lease: {nonce!r}")
    return os.path.join(directory, nonce)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return  # another process dropped it
