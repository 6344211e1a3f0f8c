"""Writing to the end of the log: the lock, one write for a whole transaction, cutting back, syncing, new segments."""

from __future__ import annotations

import errno
import os
import sys

from kugetsu.host.ownership import require_own
from kugetsu.host.paths import ownership_remedy
from kugetsu.log.files.segments import Cursor, is_shared, name
from kugetsu.model.errors import LogWriteFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


LOCK = "lock"
"""The file in the log's folder that portalocker locks."""

QUEUE = "queue"
"""The file that writers with much to fold lock while they wait for the lock: see `Appender.queue_up`."""

_ADVICE = {
    "ENOSPC": "free some space on the disk of KUGETSU_DIR (`df -h` shows how full it is), then try again",
    "EDQUOT": "free some of your quota, then try again",
    "EFBIG": "raise the limit on file sizes (`ulimit -f`), then try again",
    "EROFS": "the file system is mounted read-only: mount it writable, or set KUGETSU_DIR to another directory",
    "EACCES": "make the directory yours and writable (`ls -ld` shows its owner), or set KUGETSU_DIR to another one",
    "EPERM": "make the directory yours and writable (`lsattr -d` may show a flag), or set KUGETSU_DIR to another one",
    "ENOLCK": "a network file system without locks? put KUGETSU_DIR on a local disk",
    "EIO": "the disk reports errors: check `dmesg`, save the directory elsewhere, then `kugetsu log verify`",
    "ENOTDIR": "KUGETSU_DIR must be a directory (or not there yet): move the file away, or name another directory",
}


def failed(error: OSError, what: str) -> LogWriteFailed:
    """The operating system's refusal as kugetsu's error, with the remedy that fits its reason."""
    import errno

    reason = errno.errorcode.get(error.errno or 0, "")
    hint = _ADVICE.get(reason, "see `kugetsu log verify`, and `df -h` for the disk")
    if error.errno in (errno.EACCES, errno.EPERM) and isinstance(error.filename, str):
        hint = ownership_remedy(error.filename) or hint
    return LogWriteFailed(f"{what}: {error.strerror or error}", hint)


def _full_sync() -> Callable[[int], None]:
    if hasattr(os, "fdatasync"):
        return os.fdatasync
    return _fsync_through


def _fsync_through(fd: int) -> None:
    """macOS: fsync alone leaves the bytes in the drive's own cache."""
    import fcntl

    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(fd)
    else:
        fcntl.fcntl(fd, full)


sync_data = _full_sync()
"""Wait until a descriptor's bytes, and the size that makes them readable, are on the disk."""


def sync_folder(path: str) -> None:
    """Wait until the names in a folder are on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _not_ours(directory: str, mirror: bool) -> LogWriteFailed:
    if mirror:
        return LogWriteFailed(f"{directory} is not the mirror of a shared log any more", "try again")
    return LogWriteFailed(
        f"nothing was appended: {directory} is the mirror of a shared log, and this program opened it before that",
        "try again; restart a daemon that was started before (`kugetsu queue-daemon restart`)",
    )


class SegmentWriter:
    """The descriptors of one writing process: the lock file and the last segment.

    Between `acquire` and `release` the calling process is the only writer on this machine. Every method raises
    LogWriteFailed when the operating system refuses.
    """

    __slots__ = ("_directory", "_fd", "_lock_fd", "_lock_path", "_segment", "inode", "segment_bytes")

    IS_MIRROR = False
    """Whether it writes to the mirror of a shared log, and to nothing else."""

    def __init__(self, directory: str, segment_bytes: int) -> None:
        self._directory = directory
        self._lock_path = os.path.join(directory, LOCK)
        self.segment_bytes = segment_bytes
        self._lock_fd = -1
        self._fd = -1
        self._segment = 0
        self.inode = 0
        if os.path.isdir(directory):  # otherwise init makes it, after its own check
            require_own(directory)

    def acquire(self) -> None:
        """Wait for the lock; blocking, because polling starves (32 writers: some got one turn)."""
        try:
            while True:
                if self._lock_fd < 0:
                    self._open_lock()
                self._take(self._lock_fd)
                if self._is_current():
                    break
                self.forget_lock()
        except OSError as error:
            raise failed(error, f"the log's lock {self._lock_path} cannot be taken") from error
        if is_shared(self._directory) != self.IS_MIRROR:
            self.release()
            raise _not_ours(self._directory, self.IS_MIRROR)

    def release(self) -> None:
        """Release the lock."""
        self._untake(self._lock_fd)

    def _take(self, fd: int) -> None:
        """Lock a file, waiting for it. Raises OSError."""
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX)

    def _untake(self, fd: int) -> None:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_UN)

    def _open_lock(self) -> None:
        if not os.path.isdir(self._directory):
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            sync_folder(os.path.dirname(self._directory) or ".")
        self._lock_fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _is_current(self) -> bool:
        """Whether the locked file still has its name: a deleted or replaced lock file locks nothing."""
        return os.fstat(self._lock_fd).st_nlink > 0

    def write(self, cursor: Cursor, inode: int, data: bytes, *, may_rotate: bool = True) -> None:
        """Append ``data`` (whole transactions) at ``cursor``, the log's end; a new segment moves the cursor.

        ``inode`` is that of the segment as it was read. On failure the segment is cut back to ``cursor``.
        """
        if may_rotate and cursor.offset >= self.segment_bytes:
            self._rotate(cursor, inode)
        fd = self._writable(cursor, inode)
        written = 0
        try:
            while written < len(data):
                written += os.write(fd, data[written:] if written else data)
        except OSError as error:
            raise self._cut_back(cursor, fd, error) from error

    def sync(self) -> None:
        """Make the latest write durable. Needs no lock: it also covers all earlier writes."""
        if self._fd < 0:
            return  # nothing was written: the torn tail was already repaired
        try:
            sync_data(self._fd)
        except OSError as error:
            raise failed(
                error, "the event was written but the disk did not confirm it: it may or may not survive a power cut"
            ) from error

    def truncate(self, cursor: Cursor, inode: int) -> None:
        """Cut the segment at ``cursor``."""
        try:
            os.ftruncate(self._writable(cursor, inode), cursor.offset)
        except OSError as error:
            raise failed(error, "the unfinished bytes at the log's end cannot be cut off") from error

    def _cut_back(self, cursor: Cursor, fd: int, error: OSError) -> LogWriteFailed:
        what = "the event could not be written, and the log is as it was before"
        try:
            os.ftruncate(fd, cursor.offset)
        except OSError as second:
            # A torn tail is left, which the next writer repairs.
            what = f"the event could not be written, and its first bytes could not be cut off ({second.strerror})"
        return failed(error, what)

    def _rotate(self, cursor: Cursor, inode: int) -> None:
        """Start the next segment; the old one is made durable first, since later syncs reach the new one only."""
        try:
            sync_data(self._writable(cursor, inode))
        except OSError as error:
            raise failed(error, "the full segment could not be made durable; nothing was appended") from error
        cursor.segment = cursor.seq + 1
        cursor.offset = 0

    def _writable(self, cursor: Cursor, inode: int) -> int:
        if self._segment == cursor.segment and (inode == self.inode or not cursor.offset):
            return self._fd
        self._close_segment()
        path = os.path.join(self._directory, name(cursor.segment))
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self.inode = os.fstat(self._fd).st_ino
            if not cursor.offset:
                # Also if an earlier writer died after creating the file.
                sync_folder(self._directory)
        except OSError as error:
            raise failed(error, f"the log {path} cannot be opened for writing") from error
        self._segment = cursor.segment
        return self._fd

    def _close_segment(self) -> None:
        self._segment = 0
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def forget_lock(self) -> None:
        """Close the lock file without unlocking: after a fork the lock may be the parent's."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def close(self) -> None:
        """Close all descriptors."""
        self._close_segment()
        self.forget_lock()

    def __del__(self) -> None:
        self.close()


class Appender(SegmentWriter):
    """What writes to a log that is these files; refuses the mirror of a shared one."""

    __slots__ = ("_portalocker", "_queue_fd")

    def __init__(self, directory: str, segment_bytes: int) -> None:
        self._queue_fd = -1
        super().__init__(directory, segment_bytes)
        # Imported only to write: portalocker takes 15 ms, a fifth of it (29 of 152 million instructions) for locks
        # in redis, which it does without where they cannot be imported.
        sys.modules.setdefault("portalocker.redis", None)  # type: ignore[arg-type]
        import portalocker

        self._portalocker = portalocker

    def queue_up(self) -> None:
        """Wait to be the next but one at the lock.

        With many writers each would fold under the lock what all the others appended. A writer in the queue does that
        beforehand, while another appends, and has only one or two events left to fold under the lock. Only for speed:
        a writer that does not queue up is as safe.
        """
        try:
            if self._queue_fd < 0:
                path = os.path.join(self._directory, QUEUE)
                self._queue_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._take(self._queue_fd)
        except OSError as error:
            raise failed(error, "the queue for the log's lock cannot be entered") from error

    def leave_queue(self) -> None:
        """Leave the queue."""
        self._untake(self._queue_fd)

    def _take(self, fd: int) -> None:
        """Lock a file, waiting for it. Raises OSError."""
        try:
            self._portalocker.lock(fd, self._portalocker.LOCK_EX)
        except self._portalocker.LockException as error:
            cause = error.__cause__
            raise cause if isinstance(cause, OSError) else OSError(errno.EIO, str(error)) from error

    def _untake(self, fd: int) -> None:
        self._portalocker.unlock(fd)

    def close(self) -> None:
        """Close all descriptors."""
        super().close()
        if self._queue_fd >= 0:
            os.close(self._queue_fd)
            self._queue_fd = -1
