"""The bundle of `kugetsu doctor --bundle`: what somebody else needs to see what happened here, without secrets.

A .tar.gz with, in this order: `manifest.json`, `log.jsonl`, `settings.json`, `findings.json`, `daemon.log` and, of the
latest attempts that failed, `attempts/<attempt>/stderr.log` and `runner.log`. The manifest has the probe of the
machine when the log ended where it ends in the bundle (`runtime.host_probe`). Every text passed the redaction funnel
again; the home folder is `~`, hosts and users have numbers. So the log's chain of digests does not verify there: each
event keeps the digest that it had, and the manifest the head's.
"""

from __future__ import annotations

import io
import os
import platform
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from kugetsu import __version__
from kugetsu.domain.events import Event
from kugetsu.host import atomic, run_files
from kugetsu.log.foreign.engine import ForeignLog
from kugetsu.log.protocol import EventLog
from kugetsu.model import clock
from kugetsu.model.errors import BadInput, Conflict, KugetsuError, reason_of
from kugetsu.model.settings import SETTINGS
from kugetsu.redaction.funnel import clean, redact, suspicious
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, as_data
from kugetsu.runtime.env_variables import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tarfile import TarFile


FORMAT = 1
DAEMON_BYTES = 1 << 20
ATTEMPTS = 10
"""How many of the latest failed attempts are in it."""
ATTEMPT_BYTES = 1 << 16

_FAILED = ("attempt.failed", "attempt.timed_out", "attempt.killed", "attempt.lost")
_ENDED = (*_FAILED, "attempt.succeeded", "task.failed", "task.retried", "task.parked", "task.completed")
_TEXTS = frozenset(("message", "was_message", "title", "final_text", "error", "subject", "names", "summary", "detail"))
_TEXTS |= {"record", "text", "said", "words"}
"""Keys of events under which tasks and agents speak."""
_HOLDS = ("hold.lifted", "hold.restored")
"""Kinds whose data are names only: without its ``subject`` an unblocked hold would fold to another state."""


def require_free(path: str, *, force: bool) -> None:
    """Raises Conflict when a file is there already, BadInput when none can be made there."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        raise BadInput(f"{path} is a folder", "name the file: kugetsu doctor --bundle kugetsu.tar.gz")
    if not os.path.isdir(folder):
        raise BadInput(f"no such folder: {folder}", "make it, or name another file")
    if os.path.lexists(path) and not force:
        raise Conflict(f"{path} already exists", "name another file, or overwrite it with --force")


def write(case: Context, found: list[Finding], path: str, *, messages: bool, force: bool) -> dict[str, Any]:
    """Write the bundle, 0600 and all or nothing; its path, size, files and what it has of the log.

    Raises as `require_free`, and KugetsuError when it cannot be written."""
    import gzip
    import tarfile

    require_free(path, force=force)
    try:
        with atomic.NewFile(path) as new:
            with (
                gzip.GzipFile("", "wb", fileobj=new.file, mtime=0) as packed,
                tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as archive,
            ):
                files, story = _fill(archive, case, found, messages)
            new.commit(overwrite=force)
    except FileExistsError:
        raise Conflict(f"{path} already exists", "name another file, or overwrite it with --force") from None
    except OSError as problem:
        said = reason_of(problem)
        raise KugetsuError(f"cannot write {path}: {said}", "name a file in a folder that can be written") from problem
    size = os.stat(path).st_size
    log = {"events": story.events, "lines": story.lines, "problem": story.problem}
    return {"path": os.path.abspath(path), "bytes": size, "files": files, "log": log}


def _fill(archive: TarFile, case: Context, found: list[Finding], messages: bool) -> tuple[list[str], _Story]:
    files: list[str] = []
    private = _Private(case.environment.get("HOME", ""), messages=messages)
    with tempfile.TemporaryFile() as log:
        probe = _probe(case, messages)
        story = _copy_log(case, log, private, probe["seq"] if probe is not None else None)
        manifest = {
            "format": FORMAT,
            **_program(),
            "made_at": probe["facts"]["now"] if probe is not None else clock.now(),
            "messages": messages,
            "log": {"events": story.events, "seq": story.seq, "sha": story.sha, "problem": private.text(story.problem)},
            "look": private.value(probe),
        }
        _add_json(archive, files, "manifest.json", manifest)
        _add_file(archive, files, "log.jsonl", log, log.tell())
    _add_json(archive, files, "settings.json", private.value(_settings(case)))
    _add_json(archive, files, "findings.json", private.value([as_data(one) for one in found]))
    _add_tail(archive, files, "daemon.log", f"{case.paths.logs}/daemon.log", DAEMON_BYTES, private)
    if messages:
        for attempt in story.failed:
            for name in ("stderr.log", "runner.log"):
                source = f"{case.paths.run(attempt)}/{name}"
                _add_tail(archive, files, f"attempts/{attempt}/{name}", source, ATTEMPT_BYTES, private)
    return files, story


class _Private:
    """Makes what is not secret but personal anonymous: the home folder, hosts and users; and without ``messages`` what
    tasks and agents said."""

    def __init__(self, home: str, *, messages: bool) -> None:
        self._home = home.rstrip("/") if len(home) > 2 else ""
        self._messages = messages
        self._names: dict[str, dict[str, str]] = {"host": {}, "user": {}}

    def text(self, text: str | None) -> str | None:
        return None if text is None else self._without_home(redact(text))

    def value(self, value: Any) -> Any:
        import orjson

        return orjson.loads(self._without_home(orjson.dumps(clean(value)).decode()))

    def line(self, event: Event) -> bytes:
        """An event as a line of the bundle's log."""
        import orjson

        if not self._messages:
            event = {**event, "data": _measured(event["data"], event["type"])}
            if event["type"] == "task.edited" and "facts" in event:  # its undo needs both texts
                event["facts"] = _measured(event["facts"], event["type"])
        by = event.get("by")
        if isinstance(by, dict):
            event = {**event, "by": {key: self._numbered(key, one) for key, one in by.items()}}
        text = orjson.dumps(event).decode()
        if suspicious(text):
            text = orjson.dumps(clean(event)).decode()
        return self._without_home(text).encode() + b"\n"

    def _numbered(self, key: str, value: Any) -> Any:
        names = self._names.get(key)
        return value if names is None else names.setdefault(str(value), f"{key}{len(names) + 1}")

    def _without_home(self, text: str) -> str:
        return text.replace(self._home, "~") if self._home else text


def _measured(data: Any, kind: str) -> Any:
    """An event's data with its texts replaced by their lengths."""
    if kind in _HOLDS:
        return data
    if isinstance(data, dict):
        said = _TEXTS | {"reason"} if kind in _ENDED else _TEXTS
        return {key: _length(one) if key in said else _measured(one, kind) for key, one in data.items()}
    return [_measured(one, kind) for one in data] if isinstance(data, list) else data


def _length(value: Any) -> Any:
    if isinstance(value, str):
        # A run that asked is told apart by its last character.
        return f"[{len(value)} characters]{'?' if value.rstrip().endswith('?') else ''}"
    if isinstance(value, dict):
        return {key: _length(one) for key, one in value.items()}
    return [_length(one) for one in value] if isinstance(value, list) else value


class _Story:
    """What was seen of the log while it was copied; ``lines`` are those of a damaged one, with what is no event."""

    def __init__(self) -> None:
        self.events = 0
        self.lines = 0
        self.seq = 0
        self.sha = ""
        self.problem: str | None = None
        self.failed: list[str] = []


def _probe(case: Context, messages: bool) -> dict[str, Any] | None:
    """What the machine says now, with the last event that it knows of; None when the log cannot be read."""
    from kugetsu.runtime import host_probe

    if not case.has_log:
        return None
    try:
        return host_probe.taken(case.ws, case.ws.state(), texts=messages)
    except (KugetsuError, OSError):
        return None


def _copy_log(case: Context, file: IO[bytes], private: _Private, until: int | None) -> _Story:
    """Every event that can be read, none after ``until``; the manifest lists what cannot."""
    story = _Story()
    if not case.has_log:
        story.problem = "there is no log"
        return story
    try:
        _copy(case.ws.log, file, private, until, story)
    except KugetsuError as problem:
        story = _copy_damaged(case, file, private, until, story)
        story.problem = problem.message
    return story


def _copy_damaged(case: Context, file: IO[bytes], private: _Private, until: int | None, story: _Story) -> _Story:
    """What a reader of the folder as an exported log sees: the lines behind a damaged one too; ``story``, what
    was copied up to there, when there is not even that."""
    try:
        damaged = ForeignLog(case.paths.log)
    except KugetsuError:
        return story
    try:
        file.seek(0)
        file.truncate()
        found = _Story()
        _copy(damaged, file, private, until, found)
        found.lines = damaged.found.lines
    finally:
        damaged.close()
    return found


def _copy(log: EventLog, file: IO[bytes], private: _Private, until: int | None, story: _Story) -> None:
    for event in log.read(until=until):
        file.write(private.line(event))
        story.events += 1
        story.seq, story.sha = event["seq"], event.get("sha", "")
        if event["type"] in _FAILED and event.get("attempt"):
            story.failed = [*story.failed, str(event["attempt"])][-ATTEMPTS:]


def _program() -> dict[str, Any]:
    return {
        "kugetsu": __version__,
        "python": platform.python_version(),
        "platform": {"system": platform.system(), "release": platform.release(), "machine": platform.machine()},
    }


def _settings(case: Context) -> dict[str, Any]:
    """The settings in force, and the names (never the values) that the env files set."""
    settings = case.ws.config
    return {
        "settings": {key: {"value": settings.as_text(key), "source": settings.source(key)} for key in SETTINGS},
        "repositories": {
            name: {key: {"value": own.as_text(key), "source": own.source(key)} for key in SETTINGS if own.is_own(key)}
            for name, own in ((name, settings.of(name)) for name in settings.repositories)
        },
        "unknown": [{"key": key, "place": place} for key, place in settings.unknown],
        "problem": case.config_problem.message if case.config_problem is not None else None,
        "variables": [{"name": one.name, "file": one.file, "for": one.kinds} for one in listed(case.paths)[0]],
    }


# --- the archive ----------------------------------------------------------------------------------------------------


def _add_json(archive: TarFile, files: list[str], name: str, value: Any) -> None:
    import orjson

    data = orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"
    _add_file(archive, files, name, io.BytesIO(data), len(data))


def _add_tail(archive: TarFile, files: list[str], name: str, path: str, most: int, private: _Private) -> None:
    """The end of a text file, from a line's beginning on; nothing when it is not there or empty."""
    text = "".join(_tail(path, most))
    shown = private.text(text)
    if shown:
        data = shown.encode("utf-8", "replace")
        _add_file(archive, files, name, io.BytesIO(data), len(data))


def _tail(path: str, most: int) -> Iterator[str]:
    try:
        data, cut = run_files.tail(path, most)
    except OSError:
        return
    yield (data.partition(b"\n")[2] if cut else data).decode("utf-8", "replace")


def _add_file(archive: TarFile, files: list[str], name: str, file: IO[bytes], size: int) -> None:
    import tarfile

    about = tarfile.TarInfo(name)
    about.size = size
    about.mode = 0o600
    file.seek(0)
    archive.addfile(about, file)
    files.append(name)
