"""Copies of skills in a folder where an agent looks for them: their state, and bringing them up to date.

kugetsu may replace a file whose digest is in `.kugetsu-skills.json` beside the skills, which lists what was installed;
any other difference is a user's and is kept unless forced.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kugetsu.host import atomic, run_files
from kugetsu.host.ownership import require_not_from_sudo
from kugetsu.model.errors import Conflict, KugetsuError, reason_of
from kugetsu.runtime.skills import Skill

RECORD = ".kugetsu-skills.json"
CURRENT, OUTDATED, CHANGED = "current", "outdated", "changed"


@dataclass(frozen=True, slots=True)
class Installed:
    """What `install` did with one skill: ``did`` is installed, updated, overwritten or unchanged."""

    name: str
    path: str
    did: str


class _Plan:
    """What to write and remove for one skill, and which of its files a user changed."""

    def __init__(self, skill: Skill, folder: str, known: Mapping[str, str]) -> None:
        self.skill = skill
        self.folder = os.path.join(folder, skill.name)
        self.files = skill.files()
        self.fresh = not os.path.lexists(self.folder)
        self.write: list[str] = []
        self.remove: list[str] = []
        self.changed: list[str] = []
        for name, content in self.files.items():
            there = _read(os.path.join(self.folder, name))
            if there == content:
                continue
            self.write.append(name)
            if there is not None and _digest(there) != known.get(name):
                self.changed.append(name)
        for name, digest in known.items():
            there = _read(os.path.join(self.folder, name)) if name not in self.files else None
            if there is not None and _digest(there) == digest:
                self.remove.append(name)

    def did(self) -> str:
        if self.changed:
            return "overwritten"
        if not self.write and not self.remove:
            return "unchanged"
        return "installed" if self.fresh else "updated"


def state(skill: Skill, folder: str) -> str | None:
    """The copy in ``folder``: current, outdated (as kugetsu once installed it) or changed; None for none."""
    plan = _Plan(skill, folder, _known(folder).get(skill.name, {}))
    if not os.path.lexists(os.path.join(plan.folder, "SKILL.md")):
        return None
    if plan.changed:
        return CHANGED
    return OUTDATED if plan.write or plan.remove else CURRENT


def install(skills: Iterable[Skill], folder: str, *, force: bool = False) -> list[Installed]:
    """Copy skills into ``folder``, each into its own, or change nothing.

    Raises Conflict naming the files that a user changed, unless ``force``; KugetsuError if the folder cannot be
    written.
    """
    record = _known(folder)
    plans = [_Plan(skill, folder, record.get(skill.name, {})) for skill in skills]
    changed = [os.path.join(plan.folder, name) for plan in plans for name in plan.changed]
    if changed and not force:
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise Conflict(
            f"not written by kugetsu, or changed since: {changed[0]}{more}; nothing was installed",
            "kugetsu skill install --force overwrites it; put your own text into KUGETSU_DIR/skills",
        )
    try:
        for plan in plans:
            _carry_out(plan)
        wanted = {**record, **{plan.skill.name: _digests(plan.files) for plan in plans}}
        if wanted != record:
            _write(os.path.join(folder, RECORD), _json(wanted))
    except OSError as problem:
        text = f"cannot install into {folder}: {reason_of(problem)}"
        raise KugetsuError(text, "name another folder: kugetsu skill install --to FOLDER") from problem
    return [Installed(plan.skill.name, plan.folder, plan.did()) for plan in plans]


def _carry_out(plan: _Plan) -> None:
    for name in plan.write:
        _write(os.path.join(plan.folder, name), plan.files[name])
    for name in plan.remove:
        os.unlink(os.path.join(plan.folder, name))


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: _digest(content) for name, content in files.items()}


def _known(folder: str) -> dict[str, dict[str, str]]:
    """Digests by skill and file. A damaged record knows nothing: files then count as a user's."""
    content = _read(os.path.join(folder, RECORD))
    try:
        record = json.loads(content) if content is not None else {}
    except ValueError:
        record = {}
    if not isinstance(record, dict):
        return {}
    return {
        name: {file: str(digest) for file, digest in files.items() if _is_below(file)}
        for name, files in record.items()
        if isinstance(files, dict)
    }


def _is_below(name: str) -> bool:
    """Whether a path of the record stays in its skill's folder."""
    return not os.path.isabs(name) and ".." not in name.split("/")


def _json(record: Mapping[str, Mapping[str, str]]) -> bytes:
    return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()


def _read(path: str) -> bytes | None:
    """A file's content; None when there is none."""
    try:
        with run_files.open_own(path) as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as problem:
        text = f"cannot read {path}: {reason_of(problem)}"
        raise KugetsuError(text, "fix it, or name another folder with --to") from problem


def _write(path: str, content: bytes) -> None:
    """Replace a file at once. A link to a file stays one."""
    path = os.path.realpath(path)
    require_not_from_sudo(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    atomic.write(path, content, mode=None)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
