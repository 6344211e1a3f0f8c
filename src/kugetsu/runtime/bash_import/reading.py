"""Read the files of a bash tool's directory: broken or endless ones are named, and the rest continues."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from typing import Any, NoReturn

from kugetsu.model.errors import BadInput, KugetsuError, NotFound, reason_of

LARGEST = 64 << 20
"""Bytes of a file that are read: state files have some hundred kB."""

DEEPEST = 64
"""Levels of a JSON value; the bash tool's have four."""

SIGNS = ("index.json", "sessions/", "queue/", "queue.json", "repos.json", "notifications.json", "context/")
"""What identifies a directory of the bash tool; `config` and `env/` exist in this kugetsu's too."""


class UnreadableError(Exception):
    """Why a file cannot be read or understood, to follow its name in a sentence."""


class OldDirectory:
    """A state directory of the bash tool. Paths are relative to it."""

    def __init__(self, path: str) -> None:
        """Raises NotFound, BadInput or KugetsuError if it cannot be listed."""
        self.path = os.path.abspath(os.path.expanduser(path))
        try:
            if not stat.S_ISDIR(os.stat(self.path).st_mode):
                raise BadInput(
                    f"{shown(self.path)} is not a folder", "name the bash tool's folder, by default ~/.kugetsu"
                )
            self.entries = sorted(os.listdir(self.path))
        except OSError as error:
            _refuse(self.path, error)

    def require_signs(self) -> None:
        """Raise BadInput, naming what is missing, if nothing in it is the bash tool's."""
        if not any(os.path.lexists(f"{self.path}/{sign.rstrip('/')}") for sign in SIGNS):
            raise BadInput(
                f"{shown(self.path)} is not a directory of the bash tool: it has none of {', '.join(SIGNS)}",
                "name the folder that was the bash tool's KUGETSU_DIR",
            )

    def names(self, folder: str, suffix: str = "") -> list[str]:
        """The names in a folder, sorted; [] if there is none. Raises UnreadableError."""
        try:
            names = os.listdir(f"{self.path}/{folder}")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UnreadableError(f"cannot be listed: {_said(error)}") from error
        return sorted(name for name in names if name.endswith(suffix))

    def has(self, path: str) -> bool:
        """Whether there is something of that name."""
        return os.path.lexists(f"{self.path}/{path}")

    def bytes(self, path: str) -> bytes:
        """A file's content. Raises UnreadableError; does not block on pipes or devices."""
        try:
            fd = os.open(f"{self.path}/{path}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            raise UnreadableError(f"cannot be read: {_said(error)}") from error
        with open(fd, "rb") as file:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                raise UnreadableError("is not a file")
            if info.st_size > LARGEST:
                raise UnreadableError(f"is over {LARGEST >> 20} MiB long")
            try:
                content = file.read(LARGEST + 1)
            except OSError as error:
                raise UnreadableError(f"cannot be read: {_said(error)}") from error
        if len(content) > LARGEST:
            raise UnreadableError(f"is over {LARGEST >> 20} MiB long")
        return content

    def text(self, path: str) -> str:
        """A file's text. Raises UnreadableError."""
        return decoded(self.bytes(path))

    def json(self, path: str) -> Any:
        """A file's JSON value. Raises UnreadableError."""
        return parsed(self.text(path))


def decoded(raw: bytes) -> str:
    """UTF-8 text. Raises UnreadableError naming the invalid line."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"is not UTF-8 text (line {line})") from error


def parsed(text: str) -> Any:
    """The value of a JSON text without loss: duplicate keys and numbers outside JSON are unreadable; numbers beyond 64
    bits, which the log cannot hold, become texts."""
    if not text.strip():
        raise UnreadableError("is empty")
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_number, parse_int=_whole, parse_float=_fraction
        )
    except json.JSONDecodeError as error:
        raise UnreadableError(f"is not JSON: {error.msg.lower()} (line {error.lineno})") from error
    except RecursionError as error:
        raise UnreadableError("is nested too deep") from error
    if _depth(value) > DEEPEST:
        raise UnreadableError("is nested too deep")
    return value


def shown(path: str) -> str:
    """A path for JSON and screens: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableError(f"has the key {twice[:60]!r} twice")
    return value


def _no_number(text: str) -> NoReturn:
    raise UnreadableError(f"is not JSON: {text} is not a number")


def _whole(text: str) -> int | str:
    if len(text) > 20:
        return text
    number = int(text)
    return number if -(1 << 63) <= number < 1 << 64 else text


def _fraction(text: str) -> float | str:
    number = float(text)
    return text if math.isinf(number) else number


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        nested = [one for one in level if isinstance(one, dict | list)]
        level = [inner for one in nested for inner in (one.values() if isinstance(one, dict) else one)]
    return deepest


def _said(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "its links form a circle"
    return reason_of(error)


def _refuse(path: str, error: OSError) -> NoReturn:
    if isinstance(error, FileNotFoundError):
        raise NotFound(
            f"no such folder: {shown(path)}", "name the bash tool's folder, by default ~/.kugetsu"
        ) from error
    if isinstance(error, NotADirectoryError) or error.errno == errno.ELOOP:
        raise BadInput(f"{shown(path)} is not a folder: {_said(error)}", "name the bash tool's folder") from error
    raise KugetsuError(
        f"{shown(path)} cannot be read: {_said(error)}", "make it readable (chmod u+rx, chown), then try again"
    ) from error
