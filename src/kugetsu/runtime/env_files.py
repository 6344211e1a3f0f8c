"""The environment files: secrets for agents (`<agent>.env`, else `default.env`) and for kugetsu's own requests.

KEY=VALUE lines, never executed. Values reach the agent's environment (or a request) and nothing else: no argument list,
log or history. Reading them also tells the redaction funnel what to look for.
"""

from __future__ import annotations

import os
import time

from kugetsu.host import run_files
from kugetsu.host.config_file import NonsenseLine, parse, read_file, read_leniently
from kugetsu.host.paths import Paths
from kugetsu.log.files.segments import SHARED
from kugetsu.model.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


TEMPLATES = {
    "default.env": "# KEY=VALUE lines for the environment of every agent, for example GITEA_TOKEN=…\n",
    "dev.env": "# KEY=VALUE lines for agents that work on issues; if it sets anything, it replaces default.env.\n",
    "pm-agent.env": "# KEY=VALUE lines for the PM agent; if it sets anything, it replaces default.env.\n",
}

SOURCES = {
    "dev": ("dev.env", "default.env"),
    "pm": ("pm-agent.env", "default.env"),
    "notify": ("notify.env", "default.env"),
    "forge": ("forge.env", "dev.env", "default.env"),
}
"""The files for each user of secrets: the first that sets anything is all it sees."""

GITHUB = "GITHUB_TOKEN"
TOKENS = ("GITEA_TOKEN", GITHUB)
"""Prefixes of tokens for servers."""

WEBHOOK = "NOTIFY_WEBHOOK_URL"
"""A secret, so it is no setting."""

FRESH_SECONDS = 0.02
"""For how long a changed env file may go unnoticed: every text shown checks."""

FILES = tuple(dict.fromkeys(name for names in SOURCES.values() for name in names))
"""Every environment file that kugetsu reads."""


def values(paths: Paths, kind: str) -> dict[str, str]:
    """What is set for a kind: the agents ``dev`` and ``pm``, and kugetsu's own ``notify`` (sinks) and ``forge`` (HTTP).

    Raises BadInput for a line that is not KEY=VALUE, and for a file that others can read.
    """
    name, found = in_force(paths, kind)
    if name is not None:
        path = os.path.join(paths.env, name)
        if os.stat(path).st_mode & 0o077:
            raise BadInput(f"{path} holds secrets and others can read it", hint=f"chmod 600 {path}")
    return found


def in_force(paths: Paths, kind: str) -> tuple[str | None, dict[str, str]]:
    """The file in force for a kind, and what it sets; None if none sets anything.

    Raises BadInput for a line that is not KEY=VALUE.
    """
    for name in SOURCES[kind]:
        found = read(os.path.join(paths.env, name))
        if found:
            return name, found
    return None, {}


def read(path: str) -> dict[str, str]:
    """What one file sets. Raises BadInput, which names the line and never quotes it."""
    text = read_file(path)
    try:
        return {entry.key: entry.value for entry in parse(text, path)}
    except NonsenseLine as problem:
        raise BadInput(f"{path}:{problem.line}: {problem.what}", problem.hint) from None


COPIED = ".copied"
"""The file, beside the env files, that lists files with secrets which were copied into worktrees (`note_copied`)."""
_MOST_COPIED = 200


def note_copied(paths: Paths, files: Iterable[str]) -> None:
    """Let every process know the secrets in these files of the user's, which worktrees have as well.

    Only the paths of those that hold some are kept, of the latest. Raises OSError, KugetsuError.
    """
    import fcntl

    found = [file for file in files if "\n" not in file and _secrets_in(file)]
    if not found:
        return
    folder = os.open(paths.make(paths.env), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        known = _copied(paths.env)
        if not set(found) <= set(known):
            kept = dict.fromkeys((*(file for file in known if file not in found), *found))
            text = "\n".join(list(kept)[-_MOST_COPIED:]) + "\n"
            run_files.replace(f"{paths.env}/{COPIED}", text.encode("utf-8", "surrogateescape"))
    finally:
        os.close(folder)


def _copied(folder: str) -> list[str]:
    try:
        text = run_files.read(f"{folder}/{COPIED}", 1 << 20).decode("utf-8", "surrogateescape")
    except OSError:  # nothing was copied
        return []
    return text.splitlines()


def _secrets_in(path: str) -> list[str]:
    """The secrets in a file of any program: KEY=VALUE lines, as shells and dotenv read them, or one word."""
    from kugetsu.redaction.funnel import secrets_among

    try:
        text = read_file(path)
    except BadInput:  # not a text
        return []
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, mark, value = line.strip().removeprefix("export ").partition("=")
        if mark and name.strip().isidentifier():
            found[name.strip()] = value.strip().strip("\"'")
    if not found and len(text.split()) == 1:
        found[os.path.basename(path)] = text.strip()
    return secrets_among(found)


class Known:
    """The secrets of the env files, of a shared log's URL, of files copied into worktrees and of an environment, for
    `funnel.know`: read again when they change.

    Values once seen stay known to the process: an agent that got one may still print it.
    """

    __slots__ = ("_environment", "_folder", "_found", "_log", "_looked", "_stamps")

    def __init__(self, paths: Paths, environment: Mapping[str, str]) -> None:
        self._folder = paths.env
        self._log = paths.log
        self._environment = environment
        self._stamps: dict[str, tuple[int, int, int]] | None = None
        self._found: tuple[str, ...] = ()
        self._looked = -FRESH_SECONDS

    def __call__(self, fresh: bool = False) -> tuple[str, ...]:
        """The values; seven `stat` calls (10 µs) and one for each copied file, if the last check was FRESH_SECONDS ago
        or ``fresh``."""
        now = time.monotonic()
        if not fresh and now - self._looked < FRESH_SECONDS:
            return self._found
        self._looked = now
        stamps = {}
        names = (f"{self._folder}/{name}" for name in FILES)
        for path in (*names, f"{self._log}/{SHARED}", *_copied(self._folder)):
            try:
                status = os.stat(path)
            except OSError:  # not there, or not ours to read: then no agent has it from there
                continue
            stamps[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamps != self._stamps:
            self._found = tuple(dict.fromkeys((*self._found, *self._read(stamps))))
            self._stamps = stamps
        return self._found

    def _read(self, files: Mapping[str, object]) -> list[str]:
        from kugetsu.redaction.funnel import secrets_among, secrets_of

        found = secrets_of(self._environment) if self._stamps is None else []
        for path in files:
            if os.path.dirname(path) == self._log:
                from kugetsu.log.shared import marker

                found += marker.secrets(self._log)
                continue
            if os.path.dirname(path) != self._folder:
                found += _secrets_in(path)
                continue
            try:
                text = read_file(path)
            except BadInput:  # reported by `env check`; unreadable values were given to nobody
                continue
            if all(not line or line[0] == "#" for line in text.split("\n")):
                continue  # as `init` made it: not worth a parser at each command
            entries, _ = read_leniently(text)
            found += secrets_among({entry.key: entry.value for entry in entries})
        return found
