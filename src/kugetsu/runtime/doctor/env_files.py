"""The env files: private, every line readable, no value empty or sure to be refused.

Lines and values are never quoted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from kugetsu.host.config_file import Entry, read_file, read_leniently
from kugetsu.host.ownership import remedy
from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput
from kugetsu.model.plural import counted
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Fix, Found
from kugetsu.runtime.env_files import FILES, TOKENS
from kugetsu.runtime.env_variables import OWN, listed, missed_by, trouble_of

found = Found("env files")


def check(context: Context) -> Iterator[Finding]:
    """The findings."""
    if os.path.isdir(context.paths.root):
        yield from examine(context.paths)


def examine(paths: Paths, files: Sequence[str] | None = None) -> list[Finding]:
    """The findings on these files (None: all, and their folder)."""
    told = [*(_folder(paths) if files is None else ())]
    for name in files if files is not None else FILES:
        told += _file(os.path.join(paths.env, name), name)
    if files is None:
        told += _hidden(paths)
    if not any(one.level != "ok" for one in told) and not told:
        told.append(found.ok("files", "no env file sets anything"))
    return told


def _folder(paths: Paths) -> Iterator[Finding]:
    try:
        mode = os.stat(paths.env).st_mode
        names = sorted(os.listdir(paths.env))
    except OSError:  # missing: reported by the group "directory"
        return
    if mode & 0o077:
        repair = Fix(f"chmod 700 {paths.env}", lambda: os.chmod(paths.env, 0o700))
        yield found.warning("env", f"others can read {paths.env}", f"chmod 700 {paths.env}", repair)
    for name in names:
        if name not in FILES and name.endswith(".env"):
            text = f"{name} is never read; the files that are read: {', '.join(FILES)}"
            yield found.warning(name, text, f"mv {paths.env}/{name} {paths.env}/NAME.env")


def _file(path: str, name: str) -> Iterator[Finding]:
    try:
        status = os.stat(path)
        entries, nonsense = read_leniently(read_file(path))
    except FileNotFoundError:
        return
    except (OSError, BadInput) as problem:
        reason = problem.message if isinstance(problem, BadInput) else str(problem.strerror).lower()
        yield found.problem(name, reason if path in reason else f"{path}: {reason}", f"fix {path}")
        return
    told = False
    for one in (*_rights(path, name, status, bool(entries)), *_lines(path, name, entries)):
        told = True
        yield one
    for line in nonsense:
        told = True
        text = f"line {line.line} of {name} {line.what}: no agent starts with it"
        yield found.problem(name, text, f"fix line {line.line} of {path}")
    if entries and not told:
        count = len({entry.key for entry in entries})
        yield found.ok(name, f"{name} sets {counted(count, 'variable')}, and is private")


def _rights(path: str, name: str, status: os.stat_result, sets: bool) -> Iterator[Finding]:
    if status.st_uid != os.geteuid():
        yield found.warning(name, f"{name} belongs to user {status.st_uid}", remedy(path, status.st_uid))
    if status.st_mode & 0o077:
        repair = Fix(f"chmod 600 {path}", lambda: os.chmod(path, 0o600))
        text = f"others can read {name}" + (": no agent starts with it" if sets else "")
        make = found.problem if sets else found.warning
        yield make(name, text, f"chmod 600 {path}", repair)


def _lines(path: str, name: str, entries: list[Entry]) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for entry in entries:
        where = f"line {entry.line} of {name}"
        if entry.key in seen:
            text = f"{entry.key} is set twice in {name}, in lines {seen[entry.key]} and {entry.line}: the last one wins"
            yield found.warning(name, text, f"remove line {seen[entry.key]} of {path}")
        seen[entry.key] = entry.line
        if entry.key in OWN:
            yield found.warning(name, f"{entry.key} ({where}) has no effect: kugetsu sets it", "remove it")
        elif not entry.value:
            yield found.warning(name, f"{entry.key} is empty ({where})", f"kugetsu env set {entry.key}")
        elif entry.key in TOKENS and any(c.isspace() or c in "\"'" for c in entry.value):
            text = f"{entry.key} contains white space or quotes ({where}): a server will refuse it"
            yield found.problem(name, text, f"kugetsu env set {entry.key}")
        elif (trouble := trouble_of(entry.key, entry.value)) is not None:
            text = f"no agent can work with {entry.key} ({where}): {trouble}"
            yield found.problem(name, text, f"fix line {entry.line} of {path}")
        elif not entry.key.isupper() and entry.key.upper() in TOKENS:
            text = f"{entry.key} ({where}) is not {entry.key.upper()}: names are case-sensitive"
            yield found.warning(name, text, f"kugetsu env set {entry.key.upper()}")


def _hidden(paths: Paths) -> Iterator[Finding]:
    """A token of default.env that a more specific file hides: the most common surprise of that rule."""
    for one in listed(paths)[0]:
        missed = missed_by(one.name, one.hidden)
        if missed and one.name in TOKENS:
            who = ", ".join("pm-agent" if kind == "pm" else kind for kind in missed)
            text = f"{one.name} of {one.file} is not seen by {who}: a separate file replaces {one.file}"
            agent = "pm-agent" if missed[0] == "pm" else missed[0]
            yield found.warning(one.file, text, f"kugetsu env set {one.name} --agent {agent}")
