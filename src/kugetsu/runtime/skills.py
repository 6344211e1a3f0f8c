"""The skills that kugetsu ships (agentskills.io layout), a user's replacements, and the prompts made of them.

A skill is a folder with a `SKILL.md`: front matter (name, description), then the text. KUGETSU_DIR/skills/<name>
replaces the package's. Two are prompts: `kugetsu-work` of agents that work on issues, `kugetsu-pm` of the PM agent;
KUGETSU_DIR/workflow.md and KUGETSU_DIR/pm-agent.md replace those.
"""

from __future__ import annotations

import hashlib
import os

from kugetsu.host import run_files
from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput, KugetsuError, NotFound, reason_of

FILE = "SKILL.md"
SHIPPED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "skills")
#: From the specification (https://agentskills.io/specification).
LONGEST_NAME = 64
LONGEST_DESCRIPTION = 1024

WORK, PM = "kugetsu-work", "kugetsu-pm"
#: The prompt of each kind of task: the file that replaces the skill's text, and the skill.
_PROMPTS = {"dev": ("workflow.md", WORK), "pm": ("pm-agent.md", PM)}

#: What earlier versions of `init` wrote into pm-agent.md (SHA-256): nobody's own words, so the skill holds.
_ONCE_WRITTEN = ("9dc1325030df006a09fd6a72dc97a44dbbd49faa916bcb77166e317e819d935b",)
_REMEDY = "fix it, or move it away: then kugetsu's own applies"
_REMEDY_OF_OWN = "fix it, or move it away: kugetsu has none of that name"


class Skill:
    """One skill. ``source`` is package, override (of the package's) or own; ``text`` is its SKILL.md, ``body`` the same
    without the front matter."""

    __slots__ = ("body", "description", "folder", "name", "source", "text")

    def __init__(self, name: str, source: str, folder: str, text: str) -> None:
        self.name = name
        self.source = source
        self.folder = folder
        self.text = text
        fields, self.body = parse(text, os.path.join(folder, FILE))
        self.description = fields["description"]
        if fields["name"] != name:
            where = os.path.join(folder, FILE)
            raise BadInput(f"{where}: its name is {fields['name']!r}, but its folder's is {name!r}", _REMEDY)

    def files(self) -> dict[str, bytes]:
        """All of its files by their path below its folder. Raises KugetsuError for an unreadable one."""
        found = {}
        for parent, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
            for name in sorted(names):
                path = os.path.join(parent, name)
                if not name.startswith("."):
                    found[os.path.relpath(path, self.folder)] = _bytes(path)
        return found


def names(paths: Paths) -> list[str]:
    """The names of all skills: the package's, then the user's own."""
    shipped = _folders(SHIPPED)
    return shipped + [name for name in _folders(_own(paths)) if name not in shipped]


def find(paths: Paths, name: str) -> Skill:
    """The skill of that name: the user's, else the package's.

    Raises NotFound, BadInput for an invalid skill, KugetsuError for an unreadable one.
    """
    shipped, own = os.path.join(SHIPPED, name), os.path.join(_own(paths), name)
    if _is_name(name):
        replaces = os.path.isdir(shipped)
        try:
            text = _text(os.path.join(own, FILE))
            if text is not None:
                return Skill(name, "override" if replaces else "own", own, text)
        except KugetsuError as problem:
            if not replaces:  # moved away, none holds
                problem.hint = _REMEDY_OF_OWN
            raise
        text = _text(os.path.join(shipped, FILE))
        if text is not None:
            return Skill(name, "package", shipped, text)
    raise NotFound(f"unknown skill: {name[:80]!r}", f"one of: {', '.join(names(paths))}")


def instructions(paths: Paths, kind: str) -> str:
    """The standing instructions for a kind of task (``dev`` or ``pm``), unexpanded.

    Raises as `find` does: an agent without its user's instructions must not start.
    """
    own = prompt_file(paths, kind)
    text = _text(own) if own is not None else None
    return text if text is not None else find(paths, _PROMPTS[kind][1]).body


def require_instructions(paths: Paths, kind: str) -> None:
    """Raise what `instructions` would raise; the text itself is not needed."""
    file, skill = _PROMPTS[kind]
    own = _text(os.path.join(paths.root, file))
    if own is None or os.path.lexists(os.path.join(_own(paths), skill)):
        instructions(paths, kind)


def prompt_file(paths: Paths, kind: str) -> str | None:
    """The user's file that replaces a skill as the prompt for a kind of task; None without one."""
    path = os.path.join(paths.root, _PROMPTS[kind][0])
    try:
        content = _bytes(path)
    except FileNotFoundError:
        return None
    except KugetsuError:
        return path  # reading it will report the problem
    return None if _digest(content) in _ONCE_WRITTEN else path


def parse(text: str, path: str) -> tuple[dict[str, str], str]:
    """The front matter's `name` and `description`, and the text below it. Raises BadInput naming ``path``."""
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    end = next((at for at, line in enumerate(lines) if at and line.rstrip() == "---"), 0)
    if not end or lines[0].rstrip() != "---":
        raise BadInput(f"{path}: it must begin with ---, its name and description", _REMEDY)
    fields = _fields(lines[1:end])
    for key, longest in (("name", LONGEST_NAME), ("description", LONGEST_DESCRIPTION)):
        if not 1 <= len(fields.get(key, "")) <= longest:
            raise BadInput(f"{path}: its {key} must have 1 to {longest} characters", _REMEDY)
    if not _is_name(fields["name"]):
        said = f"{path}: {fields['name']!r} is not a valid skill name: a-z, 0-9, and single hyphens between them"
        raise BadInput(said, _REMEDY)
    return fields, "".join(lines[end + 1 :]).lstrip("\r\n")


def _fields(lines: list[str]) -> dict[str, str]:
    """The top-level keys with their texts: plain, quoted, or folded over indented lines; deeper maps are skipped."""
    fields: dict[str, str] = {}
    key = ""
    for line in lines:
        if line[:1] in (" ", "\t") and key:
            fields[key] = f"{fields[key]} {line.strip()}".strip()
            continue
        key, mark, value = line.partition(":")
        key = key.strip() if mark and not line.startswith("#") else ""
        if key:
            fields[key] = "" if value.strip() in (">", ">-", "|", "|-") else value.strip()
    return {key: _unquoted(value) for key, value in fields.items()}


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    return value


def _is_name(name: str) -> bool:
    parts = name.split("-")
    plain = all(part and part.isascii() and part.isalnum() and part == part.lower() for part in parts)
    return plain and len(name) <= LONGEST_NAME


def _own(paths: Paths) -> str:
    return os.path.join(paths.root, "skills")


def _folders(parent: str) -> list[str]:
    try:
        entries = os.listdir(parent)
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise _unreadable(parent, problem) from problem
    return sorted(name for name in entries if os.path.lexists(os.path.join(parent, name, FILE)))


def _text(path: str) -> str | None:
    """A file's text; None if there is none. A dangling link counts as unreadable."""
    try:
        return _bytes(path).decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as problem:
        raise BadInput(f"{path}: byte {problem.start} is not UTF-8 text", _REMEDY) from problem


def _bytes(path: str) -> bytes:
    try:
        with run_files.open_own(path) as file:
            return file.read()
    except OSError as problem:
        if isinstance(problem, FileNotFoundError) and not os.path.islink(path):
            raise
        raise _unreadable(path, problem) from problem


def _unreadable(path: str, problem: OSError) -> KugetsuError:
    return KugetsuError(f"cannot read {path}: {reason_of(problem)}", _REMEDY)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
