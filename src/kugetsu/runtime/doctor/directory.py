"""KUGETSU_DIR: exists, is private and writable, has space, and is on a file system with reliable locks."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

from kugetsu.agents.opencode.environment import data_directory
from kugetsu.host.ownership import remedy
from kugetsu.model.errors import reason_of
from kugetsu.model.plural import counted
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Fix, Found
from kugetsu.runtime.facts import free_disk_mb
from kugetsu.runtime.folders import file_system
from kugetsu.runtime.initialisation import InitReport, lay_out

_NETWORK = ("nfs", "cifs", "smb", "9p", "ceph", "glusterfs", "afs", "lustre", "fuse.sshfs", "fuse.rclone", "davfs")
LOW_DISK_MB = 1024
"""Warn below this: a worktree, its build and a transcript can take as much."""
LOW_FILES = 1000
FULL_DISK_MB = 50
"""Below this a disk counts as full without MIN_FREE_DISK_MB."""

found = Found("directory")


def check(context: Context) -> Iterator[Finding]:
    """The findings."""
    root = context.paths.root
    try:
        status = os.stat(root)
    except FileNotFoundError:
        yield found.problem("exists", f"{root} does not exist: kugetsu is not set up", "kugetsu init")
        return
    except OSError as problem:
        text = reason_of(problem)
        yield found.problem("exists", f"{root} cannot be reached: {text}", "fix its path, or set KUGETSU_DIR")
        return
    if not os.path.isdir(root):
        yield found.problem("exists", f"{root} is a file", "move it away, or set KUGETSU_DIR to another folder")
        return
    yield from _rights(root, status)
    yield from _room(context, root)
    yield from _other_disks(context, root)
    yield from _file_system(root)
    yield from _contents(context)


def _rights(root: str, status: os.stat_result) -> Iterator[Finding]:
    if status.st_uid != os.geteuid():
        fix = remedy(root, status.st_uid)
        yield found.problem("owner", f"{root} belongs to user {status.st_uid}, you are {os.geteuid()}", fix)
    if status.st_mode & 0o077:
        mode = f"{status.st_mode & 0o777:04o}"
        repair = Fix(f"chmod 700 {root}", lambda: os.chmod(root, 0o700))
        yield found.problem("mode", f"others can read {root} (mode {mode})", f"chmod 700 {root}", repair)
    elif not os.access(root, os.W_OK | os.X_OK):
        yield found.problem("mode", f"{root} is not writable", f"chmod u+rwx {root}")
    else:
        yield found.ok("mode", f"{root} exists and is private")


def _room(context: Context, root: str) -> Iterator[Finding]:
    disk = os.statvfs(root)
    free = disk.f_bavail * disk.f_frsize // (1 << 20)
    wanted = context.ws.config.integer("MIN_FREE_DISK_MB")
    if disk.f_flag & getattr(os, "ST_RDONLY", 1):
        yield found.problem("disk", "its file system is mounted read-only", "mount it writable, or set KUGETSU_DIR")
    elif wanted and free < wanted:
        text = f"{free} MB of disk free, {wanted} MB required: no agent starts"
        yield found.problem("disk", text, f"free some space: kugetsu prune; what else fills it: df -h {root}")
    elif free < LOW_DISK_MB:
        yield found.warning("disk", f"only {free} MB of disk are free", "free some space: kugetsu prune")
    elif disk.f_files > 0 and disk.f_favail < LOW_FILES:
        files = counted(disk.f_favail, "more file")
        yield found.warning("disk", f"only {files} can be created there", "delete files there")
    else:
        yield found.ok(
            "disk", f"{free // 1024} GB of disk are free" if free >= 10240 else f"{free} MB of disk are free"
        )


def _other_disks(context: Context, root: str) -> Iterator[Finding]:
    """Other disks that an agent fills: a full one stops it too, with its own error."""
    wanted = context.ws.config.integer("MIN_FREE_DISK_MB")
    seen = {os.stat(root).st_dev}
    for what, folder in _filled_by_agents(context):
        try:
            device, free = os.stat(folder).st_dev, free_disk_mb(folder)
        except OSError:  # not made yet
            continue
        if device in seen or free is None:
            continue
        seen.add(device)
        if free < (wanted or FULL_DISK_MB):
            text = f"{free} MB of disk are free for {what} ({folder})"
            yield found.problem("disk", text, f"free some space: df -h {folder}")


def _filled_by_agents(context: Context) -> Iterator[tuple[str, str]]:
    yield "worktrees", context.paths.worktrees
    yield "temporary files", context.environment.get("TMPDIR") or "/tmp"
    if "opencode" in context.ws.config.everywhere("KUGETSU_AGENT"):
        yield "opencode's data", str(data_directory(context.environment))


def _file_system(root: str) -> Iterator[Finding]:
    kind = file_system(root)
    if kind is not None and kind.startswith(_NETWORK):
        text = f"on a network file system ({kind}): locks and syncs are weaker there"
        yield found.warning("locks", text, "set KUGETSU_DIR to a folder of a local disk")
    works = locks_work(root)
    if works is False:
        text = "a file lock does not keep another process out: slots and leases cannot be trusted"
        yield found.problem("locks", text, "set KUGETSU_DIR to a folder of a local disk")
    elif works is None:
        yield found.skipped("locks", "file locks were not tested: no file can be created there")
    else:
        yield found.ok("locks", f"file locks work between processes{f' ({kind})' if kind else ''}")


def locks_work(folder: str) -> bool | None:
    """Whether a lock of this process keeps another process out; None if no file can be created there."""
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


def _contents(context: Context) -> Iterator[Finding]:
    paths = context.paths
    folders = (paths.log, paths.leases, paths.env, paths.worktrees, paths.runs, paths.logs, paths.repositories)
    gone = [os.path.basename(path) for path in folders if not os.path.isdir(path)]
    gone += [name for name in ("config",) if not os.path.lexists(os.path.join(paths.root, name))]
    if gone:
        repair = Fix(f"create {', '.join(gone)}", lambda: lay_out(context.ws, InitReport()))
        yield found.warning(
            "contents", f"missing: {', '.join(gone)}", "kugetsu init", repair if context.has_log else None
        )
