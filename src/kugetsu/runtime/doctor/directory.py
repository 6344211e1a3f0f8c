"""KUGETSU_DIR: there, its owner's alone, writable, with room, and on a file system whose locks keep their promise."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

from kugetsu.agents.opencode.environment import data_directory
from kugetsu.host.ownership import remedy
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Fix, Found
from kugetsu.runtime.facts import free_disk_mb
from kugetsu.runtime.setup import InitReport, lay_out

_NETWORK = ("nfs", "cifs", "smb", "9p", "ceph", "glusterfs", "afs", "lustre", "fuse.sshfs", "fuse.rclone", "davfs")
LOW_DISK_MB = 1024
"""Below that one is warned: a worktree, its build and a transcript can take as much."""
LOW_FILES = 1000
FULL_DISK_MB = 50
"""Below that a disk counts as full where no MIN_FREE_DISK_MB is wanted."""

found = Found("directory")


def check(case: Context) -> Iterator[Finding]:
    """The findings."""
    root = case.paths.root
    try:
        status = os.stat(root)
    except FileNotFoundError:
        yield found.problem("exists", f"{root} is not there: kugetsu is not set up", "kugetsu init")
        return
    except OSError as problem:
        said = (problem.strerror or str(problem)).lower()
        yield found.problem("exists", f"{root} cannot be reached: {said}", "mend its path, or set KUGETSU_DIR")
        return
    if not os.path.isdir(root):
        yield found.problem("exists", f"{root} is a file", "move it away, or set KUGETSU_DIR to another folder")
        return
    yield from _rights(root, status)
    yield from _room(case, root)
    yield from _other_disks(case, root)
    yield from _file_system(root)
    yield from _contents(case)


def _rights(root: str, status: os.stat_result) -> Iterator[Finding]:
    if status.st_uid != os.geteuid():
        fix = remedy(root, status.st_uid)
        yield found.problem("owner", f"{root} belongs to user {status.st_uid}, you are {os.geteuid()}", fix)
    if status.st_mode & 0o077:
        mode = f"{status.st_mode & 0o777:04o}"
        mend = Fix(f"chmod 700 {root}", lambda: os.chmod(root, 0o700))
        yield found.problem("mode", f"others can look into {root} (mode {mode})", f"chmod 700 {root}", mend)
    elif not os.access(root, os.W_OK | os.X_OK):
        yield found.problem("mode", f"{root} is not writable", f"chmod u+rwx {root}")
    else:
        yield found.ok("mode", f"{root} is there, and yours alone")


def _room(case: Context, root: str) -> Iterator[Finding]:
    disk = os.statvfs(root)
    free = disk.f_bavail * disk.f_frsize // (1 << 20)
    wanted = case.ws.config.integer("MIN_FREE_DISK_MB")
    if disk.f_flag & getattr(os, "ST_RDONLY", 1):
        yield found.problem("disk", "its file system is mounted read-only", "mount it writable, or set KUGETSU_DIR")
    elif wanted and free < wanted:
        said = f"{free} MB of disk are free, {wanted} MB are wanted: no agent is started"
        yield found.problem("disk", said, f"free some space: kugetsu prune; what else fills it: df -h {root}")
    elif free < LOW_DISK_MB:
        yield found.warning("disk", f"only {free} MB of disk are free", "free some space: kugetsu prune")
    elif disk.f_files > 0 and disk.f_favail < LOW_FILES:
        yield found.warning("disk", f"only {disk.f_favail} more files can be made there", "delete files there")
    else:
        yield found.ok(
            "disk", f"{free // 1024} GB of disk are free" if free >= 10240 else f"{free} MB of disk are free"
        )


def _other_disks(case: Context, root: str) -> Iterator[Finding]:
    """The disks beside KUGETSU_DIR's that an agent fills: a full one stops it as well, with words of its own."""
    wanted = case.ws.config.integer("MIN_FREE_DISK_MB")
    seen = {os.stat(root).st_dev}
    for what, folder in _filled_by_agents(case):
        try:
            device, free = os.stat(folder).st_dev, free_disk_mb(folder)
        except OSError:  # not made yet
            continue
        if device in seen or free is None:
            continue
        seen.add(device)
        if free < (wanted or FULL_DISK_MB):
            said = f"{free} MB of disk are free for {what} ({folder})"
            yield found.problem("disk", said, f"free some space: df -h {folder}")


def _filled_by_agents(case: Context) -> Iterator[tuple[str, str]]:
    yield "worktrees", case.paths.worktrees
    yield "temporary files", case.environment.get("TMPDIR") or "/tmp"
    if case.ws.config.text("KUGETSU_AGENT") == "opencode":
        yield "opencode's data", str(data_directory(case.environment))


def _file_system(root: str) -> Iterator[Finding]:
    kind = file_system(root)
    if kind is not None and kind.startswith(_NETWORK):
        said = f"it is on a network file system ({kind}): locks and syncs promise less there"
        yield found.warning("locks", said, "set KUGETSU_DIR to a folder of a local disk")
    works = locks_work(root)
    if works is False:
        said = "a file lock of one process does not keep another out: slots and leases cannot be trusted"
        yield found.problem("locks", said, "set KUGETSU_DIR to a folder of a local disk")
    elif works is None:
        yield found.skipped("locks", "file locks were not tried: no file can be made there")
    else:
        yield found.ok("locks", f"file locks hold between processes{f' ({kind})' if kind else ''}")


def file_system(path: str) -> str | None:
    """The type of the file system that a path is on, as the kernel calls it; None where /proc does not tell."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            mounts = [line.split() for line in lines]
    except OSError:
        return None
    path = os.path.realpath(path)
    best, kind = -1, None
    for fields in mounts:
        if "-" not in fields or len(fields) < 5:
            continue
        point = fields[4].replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, kind = len(point), fields[fields.index("-") + 1]
    return kind


def locks_work(folder: str) -> bool | None:
    """Whether a lock that this process holds keeps another process out; None when no file can be made there."""
    path = os.path.join(folder, f".doctor-{os.getpid()}.lock")
    try:
        mine = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        child = os.fork()
        if child == 0:
            got = 1
            try:
                theirs = os.open(path, os.O_RDWR)
                fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                got = 0
            finally:
                os._exit(got)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) == 0
    except OSError:
        return False
    finally:
        os.close(mine)
        os.unlink(path)


def _contents(case: Context) -> Iterator[Finding]:
    paths = case.paths
    folders = (paths.log, paths.leases, paths.env, paths.worktrees, paths.runs, paths.logs, paths.repositories)
    gone = [os.path.basename(path) for path in folders if not os.path.isdir(path)]
    gone += [name for name in ("config",) if not os.path.lexists(os.path.join(paths.root, name))]
    if gone:
        mend = Fix(f"make {', '.join(gone)}", lambda: lay_out(case.ws, InitReport()))
        yield found.warning("contents", f"not there: {', '.join(gone)}", "kugetsu init", mend if case.has_log else None)
