"""Where kugetsu keeps its files: one folder, KUGETSU_DIR, readable by its owner only."""

from __future__ import annotations

import errno
import os

from kugetsu.model.errors import BadInput, KugetsuError, reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

DEFAULT_DIR = "~/.kugetsu"


class Paths:
    """The files and folders below one KUGETSU_DIR. Absolute, as texts; nothing is made until `ensure`."""

    __slots__ = ("config", "env", "leases", "log", "logs", "repositories", "root", "runs", "scratch", "worktrees")

    def __init__(self, root: str) -> None:
        self.root = root
        self.config = root + "/config"
        self.env = root + "/env"
        self.log = root + "/log"
        self.leases = root + "/leases"
        self.worktrees = root + "/worktrees"
        self.repositories = root + "/repositories"
        self.runs = root + "/runs"
        self.logs = root + "/logs"
        self.scratch = root + "/scratch"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Paths:
        """The paths that KUGETSU_DIR names, else those below ~/.kugetsu. Raises BadInput for a text that is no path."""
        text = environment.get("KUGETSU_DIR") or DEFAULT_DIR
        if any(c < " " or c == "\x7f" for c in text):
            said = f"KUGETSU_DIR has control characters in it: {text[:80]!r}"
            raise BadInput(said, "set KUGETSU_DIR to a folder's path")
        path = os.path.abspath(os.path.expanduser(text))
        if path.startswith("~"):
            raise BadInput(f"KUGETSU_DIR is not a folder: {text!r}", "set KUGETSU_DIR to an absolute path")
        if path == "/":
            raise BadInput("KUGETSU_DIR is the root folder", "set KUGETSU_DIR to a separate folder")
        return cls(path)

    def run(self, attempt: str) -> str:
        """The folder of one attempt's prompt, output and result."""
        return f"{self.runs}/{attempt}"

    def lease(self, nonce: str) -> str:
        """The file whose lock says that a process lives."""
        return f"{self.leases}/{nonce}"

    def pause(self, host: str) -> str:
        """The file that says until when a forge accepts no requests."""
        return f"{self.root}/forges/{host.replace('/', '_')}"

    def worktree(self, folder: str) -> str:
        """The worktree of the folder name that `refs.folder_name` gave."""
        return f"{self.worktrees}/{folder}"

    def exists(self) -> bool:
        """Whether there is a KUGETSU_DIR with a log in it: whether `init` ran here."""
        return os.path.isdir(self.log)

    def how_to_set_up(self) -> str:
        """The command for a directory without a log: where the bash tool's state lies, one that takes that over."""
        if not self.hold_old_state():
            return "kugetsu init"
        import shlex

        return f"kugetsu import {shlex.quote(self.root)}"

    def hold_old_state(self) -> bool:
        """Whether the bash tool kept its sessions or its queue here."""
        return any(os.path.exists(f"{self.root}/{name}") for name in ("index.json", "sessions", "queue/items"))

    def ensure(self) -> None:
        """Makes the root folder (0700, also when it was more open) and the log's and leases' folders.

        Raises KugetsuError, naming the remedy, when it is a file, not writable, or a link that leads nowhere.
        """
        for folder in (self.root, self.log, self.leases):
            self.make(folder)

    def make(self, folder: str) -> str:
        """Makes one folder below (or at) the root, 0700, with its parents; returns it. Raises KugetsuError."""
        from kugetsu.host.ownership import require_own  # whoever only reads asks no owner

        require_own(self.root)
        try:
            mode = os.stat(folder).st_mode
        except FileNotFoundError:
            mode = None
        except OSError as error:
            _refuse(folder, error)
        try:
            if mode is None:
                os.makedirs(folder, mode=0o700, exist_ok=True)
            elif mode & 0o170000 != 0o040000:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
            if folder == self.root:
                self._check_root(mode)
        except OSError as error:
            _refuse(folder, error)
        return folder

    def _check_root(self, mode: int | None) -> None:
        if mode is None or mode & 0o077:
            os.chmod(self.root, 0o700)
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it is not writable", self.root)


def ownership_remedy(path: str) -> str | None:
    """How to get access to a file or folder that belongs to another user, or lies in a KUGETSU_DIR that does; None when
    neither does, and for root."""
    import shlex

    from kugetsu.host.ownership import name_for_sudo, name_of

    me = os.geteuid()
    root = Paths.of(os.environ).root
    for place in (root, path):
        if not path.startswith(place) or me == 0:
            continue
        try:
            owner = os.stat(place).st_uid
        except OSError:
            continue
        if owner != me:
            command = f"sudo chown -R {name_for_sudo(me)} {shlex.quote(place)}"
            return f"it belongs to {name_of(owner)}: {command}, or set KUGETSU_DIR to a folder of your own"
    return None


def _refuse(folder: str, error: OSError) -> NoReturn:
    if isinstance(error, FileExistsError | NotADirectoryError):
        remedy = "move the file away, or set KUGETSU_DIR to another folder"
        said = "a file (or a broken link) is in its place"
    elif error.errno == errno.ELOOP:
        remedy, said = "repair the link, or set KUGETSU_DIR to another folder", "its links lead round in a circle"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = (
            ownership_remedy(folder) or "make it writable (chmod u+rwx), or set KUGETSU_DIR to a folder of your own"
        )
        said = reason_of(error)
    else:
        remedy = "free space or repair the file system, or set KUGETSU_DIR to another folder"
        said = reason_of(error)
    raise KugetsuError(f"cannot use the folder {folder}: {said}", remedy) from error
