"""Whose files they are: one command typed with sudo must not leave files that lock their owner out.

Root may write everywhere, so nothing but this stops `sudo kugetsu …` from making files of root's in a user's
KUGETSU_DIR or clone, which the user's own commands, daemon and git can then not change.
"""

from __future__ import annotations

import os

from kugetsu.model.errors import WrongUser


def is_own(path: str) -> bool:
    """False where this process is root and the file or folder belongs to somebody else. Raises OSError."""
    return os.geteuid() != 0 or os.stat(path).st_uid == 0


def require_own(path: str) -> None:
    """Raise WrongUser when root is about to write into somebody else's folder.

    A path that is not there yet is judged by the nearest folder above it, and only for whoever came by sudo from
    that folder's owner: in a container root works in mounted folders of others on purpose.
    """
    if os.geteuid() != 0:
        return
    try:
        owner = os.stat(path).st_uid
    except OSError:
        require_not_from_sudo(path)
        return
    if owner != 0:
        raise _wrong(path, owner)


def require_not_from_sudo(path: str) -> None:
    """Raise WrongUser when the folder (or the nearest above it that is there) belongs to whoever typed sudo: git would
    leave files of root's in their clone."""
    if os.geteuid() != 0:
        return
    try:
        owner = os.stat(_nearest(path)).st_uid
    except OSError:
        return  # whoever opens it says why not
    if owner != 0 and os.environ.get("SUDO_UID") == str(owner):
        raise _wrong(path, owner)


def name_of(uid: int) -> str:
    """A user's name, else the number."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _nearest(path: str) -> str:
    """The path, or the nearest folder above it that is there."""
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def name_for_sudo(uid: int) -> str:
    """A user as `sudo chown` takes one: the name, else the number."""
    name = name_of(uid)
    return name if not name.startswith("user ") else str(uid)


def remedy(path: str, owner: int) -> str:
    """What helps who finds a file or folder of another user's. Root takes it from nobody, to lock no owner out."""
    return f"sudo chown -R {os.geteuid()} {path}" if os.geteuid() != 0 else _run_as_owner(owner)


def _run_as_owner(owner: int) -> str:
    name = name_of(owner)
    who = name if not name.startswith("user ") else f"'#{owner}'"
    return f"run the command as its owner: sudo -u {who} kugetsu …"


def _wrong(path: str, owner: int) -> WrongUser:
    name = name_of(owner)
    said = f"{path} belongs to {name}, and this is root: files that root makes there lock {name} out"
    return WrongUser(said, _run_as_owner(owner))
