"""Files of KEY=VALUE lines (`config`, the env files): read, never executed; rewritten without losing a comment.

`config` was a bash script once, so `export KEY=VALUE`, quotes, comments, `KEY=${KEY:-VALUE}` and an associative
array GIT_SERVERS are understood. Lines below `[host/owner/repo]` are those of a repository (`config` only). Anything
else that is no KEY=VALUE is refused with its line.
"""

from __future__ import annotations

import os

from kugetsu.host import run_files
from kugetsu.host.paths import ownership_remedy
from kugetsu.model.errors import BadInput, KugetsuError, reason_of
from kugetsu.model.settings import known, shown, template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

MAX_BYTES = 1 << 20  # a settings file is some hundred bytes: a larger one is another file by mistake
_PIECE = 1 << 14  # room for as much as is asked for is made first: for all of MAX_BYTES that takes 100 µs

_KEY = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_SAFE = _KEY | frozenset("./:@%+,=-{}~")
_SERVERS = "GIT_SERVERS"
NO_REPOSITORY = ""
"""The section of entries below a section line that names no repository: they are nobody's."""


class NonsenseLine(BadInput):
    """A line that is no assignment and no section: its number, and what is wrong with it, without what it says."""

    def __init__(self, path: str, line: int, text: str, what: str, hint: str = "") -> None:
        super().__init__(
            f"{path}:{line}: {shown(text.strip())} {what}",
            hint or f"correct line {line}, or put a # before it: the file holds KEY=VALUE lines and is not executed",
        )
        self.line = line
        self.what = what


class Entry:
    """One assignment of the file: its line, key, index (`GIT_SERVERS[name]`) and value.

    Lines are numbered from 1; `first` and `last` are those of the whole array that it stands in, else its own.
    `section` is the repository whose section it stands in, as the file spells it (lowered); None for the general part.
    """

    __slots__ = ("first", "index", "key", "last", "line", "section", "value")

    def __init__(self, line: int, key: str, index: str | None, value: str, section: str | None = None) -> None:
        self.line = self.first = self.last = line
        self.key = key
        self.index = index
        self.value = value
        self.section = section


def read_file(path: str) -> str:
    """The file's text, empty when there is none. Raises BadInput when it cannot be read or is no text."""
    try:
        with run_files.open_own(path) as file:
            raw = file.read(_PIECE)
            while len(raw) <= MAX_BYTES and (more := file.read(_PIECE)):
                raw += more
    except FileNotFoundError:
        return ""
    except OSError as error:
        reason = error.strerror or str(error)
        reason = reason[:1].lower() + reason[1:]
        raise BadInput(f"{path}: cannot be read: {reason}", _remedy(error)) from error
    if len(raw) > MAX_BYTES:
        raise BadInput(f"{path}: is over {MAX_BYTES} bytes long", "move it away: kugetsu init writes a new one")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{path}:{line}: is not UTF-8 text", "write the line again in UTF-8") from error


def _remedy(error: OSError) -> str:
    if isinstance(error, NotADirectoryError):
        return "a file is where its folder should be: move that away, or set KUGETSU_DIR to another folder"
    if isinstance(error, PermissionError):
        return (
            ownership_remedy(str(error.filename))
            or "make it and its folder readable (chmod, chown), or set KUGETSU_DIR to another folder"
        )
    return "repair or move it: kugetsu init writes a new one"


def parse(text: str, path: str, *, sections: bool = False) -> list[Entry]:
    """The assignments of a file's text in their order; `sections`: the file may have some.

    Raises BadInput naming `path`, line and remedy.
    """
    entries: list[Entry] = []
    if not text:
        return entries
    lines = text.split("\n")
    at, section = 0, None
    while at < len(lines):
        line = lines[at].strip()
        at += 1
        if not line or line[0] == "#":
            continue
        if sections and _opens_section(line):
            section = _section(line, at, path)
            continue
        for word in ("export ", "declare ", "typeset "):
            if line.startswith(word):
                line = line[len(word) :].lstrip()
        if line.startswith("-A "):
            line = line[3:].lstrip()
        if line == _SERVERS:
            continue  # declares the array, sets nothing
        if line.startswith(_SERVERS + "=("):
            before = len(entries)
            at = _array(entries, lines, at, line[len(_SERVERS) + 2 :], path)
            for entry in entries[before:]:
                entry.section = section
            continue
        entries.append(_entry(line, at, path, section))
    return entries


def _opens_section(line: str) -> bool:
    return line.startswith("[") and "]=" not in line  # that would be of an array


def _section(line: str, number: int, path: str) -> str:
    """The repository that a section line names: `host/owner/repo`, lowered. Raises NonsenseLine."""
    from kugetsu.model.refs import parse_repository  # most files have no section

    name, bracket, after = line[1:].partition("]")
    after = after.strip()
    try:
        if not bracket or (after and after[0] not in "#;"):
            raise BadInput("not a section: the closing bracket ends it")
        return "/".join(parse_repository(name.strip().removesuffix(".git")))
    except BadInput as error:
        hint = f"write line {number} as [git.example.com/owner/repo], or put a # before it and what is below it"
        what = f"is no section of a repository: {error.message.rpartition(': ')[2]}"
        raise NonsenseLine(path, number, line, what, hint) from error


def _entry(line: str, number: int, path: str, section: str | None) -> Entry:
    if "\0" in line:
        _nonsense(path, number, line, "has a NUL character, which no variable and no command line can hold")
    key, mark, rest = line.partition("=")
    index = None
    if key.startswith(_SERVERS + "[") and key.endswith("]"):
        key, index = _SERVERS, key[len(_SERVERS) + 1 : -1].strip("\"'")
    if not mark or not key or not _KEY.issuperset(key) or key[0].isdigit():
        where = " (no spaces around the =)" if mark and key.strip() != key else ""
        _nonsense(path, number, line, f"is not KEY=VALUE{where}")
    return Entry(number, key, index, _value(key, rest, path, number, line), section)


def _value(key: str, rest: str, path: str, number: int, line: str) -> str:
    """The value behind the `=`, its quotes and a comment behind it taken off."""
    rest = rest.strip()
    if rest[:1] in ("'", '"'):
        value, after = _unquote(rest)
        if value is None:
            _nonsense(path, number, line, "has a quote that does not end")
    else:
        value, hash_mark, comment = rest.partition(" #")
        after = hash_mark + comment
        value = value.strip()
    after = after.strip()
    if after and after[0] not in "#;":
        _nonsense(path, number, line, "has text after the closing quote")
    fallback = "${" + key + ":-"
    if value.startswith(fallback) and value.endswith("}"):
        value = value[len(fallback) : -1]
    return value


def _unquote(rest: str) -> tuple[str | None, str]:
    """The text within the quotes that `rest` begins with (None when they do not end), and what follows them."""
    quote, value, at = rest[0], "", 1
    while at < len(rest):
        c = rest[at]
        if c == quote:
            return value, rest[at + 1 :]
        if c == "\\" and quote == '"' and rest[at + 1 : at + 2] in ('"', "\\", "$", "`"):
            at += 1
            c = rest[at]
        value += c
        at += 1
    return None, ""


def _array(entries: list[Entry], lines: list[str], at: int, first: str, path: str) -> int:
    """Reads `["name"]="url" …` up to the closing bracket; returns the index of the line after it."""
    start, rest = at, first
    while True:
        rest = rest.strip()
        if rest.startswith(")"):
            for entry in entries:
                if entry.line >= start:
                    entry.first, entry.last = start, at
            return at
        if not rest or rest[0] == "#":
            if at == len(lines):
                _nonsense(path, start, lines[start - 1], "opens a bracket that does not close")
            rest = lines[at]
            at += 1
            continue
        index, mark, value = rest.partition("]=")
        if not mark or index[0] != "[":
            _nonsense(path, at, rest, 'is not ["name"]="URL"')
        if value[:1] in ("'", '"'):
            text, rest = _unquote(value)
        else:
            text, _, rest = value.partition(" ")
            if text.endswith(")"):
                text, rest = text[:-1], ")"
        if text is None:
            _nonsense(path, at, value, "has a quote that does not end")
        entries.append(Entry(at, _SERVERS, index[1:].strip("\"'"), text))


def quoted(value: str) -> str:
    """The value as the file holds it, so that both this parser and bash read the same."""
    if _SAFE.issuperset(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + "".join("\\" + c if c in '"\\$`' else c for c in value) + '"'


def _nonsense(path: str, number: int, line: str, what: str) -> NoReturn:
    raise NonsenseLine(path, number, line, what)


def set_value(path: str, key: str, value: str, names: Sequence[str] = ()) -> None:
    """Writes one setting into the file, which keeps its comments and order. All or nothing, also in a crash.

    `names` are the spellings of the repository whose value it is, the first for a new section; none: the general one.
    The last line that sets the key there is replaced; else the line goes below the template's comment of that key, else
    to the end of the general lines or of the section.

    Raises BadInput for an unknown key or a value it cannot have, KugetsuError when the file cannot be written.
    """
    setting = known(key)
    value = value.strip()
    try:
        if "\n" in value or "\r" in value:
            raise ValueError("it has more than one line")
        if "\0" in value:
            raise ValueError("it has a NUL character")
        setting.read(value)
    except ValueError as error:
        hint = f"{setting.help}; default: {setting.default or '(empty)'}"
        raise BadInput(f"{key}={shown(value)}: {error}", hint) from error
    _rewrite(path, key, f"{key}={quoted(value)}", names)


def put(path: str, key: str, value: str | None) -> None:
    """Writes a line for any name into a private file (0600), or takes the name's lines out of it (None).

    The file keeps its comments and order. All or nothing, also in a crash. Raises BadInput when the value cannot be
    written so that it reads the same, KugetsuError when the file cannot be written.
    """
    line = None
    if value is not None:
        line = f"{key}={quoted(value)}"
        try:
            same = "\n" not in value and "\r" not in value and [one.value for one in parse(line, "")] == [value]
        except BadInput:
            same = False
        if not same:
            raise BadInput(f"the value of {key} cannot be written on one line", "put it in a file, and name that file")
    _rewrite(path, key, line, None, private=True)


def unset_value(path: str, key: str, names: Sequence[str] = ()) -> None:
    """Takes every line that sets the key (for a repository: in its section) out of the file, so that the default (the
    general value) holds. Raises as `set_value` does."""
    known(key)
    _rewrite(path, key, None, names)


def write_template(path: str) -> bool:
    """Writes the commented file when there is none yet; False when there was one, which stays as it is."""
    if os.path.lexists(path):
        return False
    _replace(path, template())
    return True


def _rewrite(path: str, key: str, line: str | None, names: Sequence[str] | None, *, private: bool = False) -> None:
    import fcntl

    from kugetsu.host.ownership import require_own

    path = os.path.realpath(path)  # a link (to a user's dot files) stays one
    require_own(os.path.dirname(path))
    try:
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # two commands that set two keys both succeed
        text = read_file(path)
        _replace(path, _edited(text, key, line, names), private=private)
    finally:
        os.close(folder)


def _edited(text: str, key: str, line: str | None, names: Sequence[str] | None) -> str:
    """The text with another line for a key; `names` as in `set_value`, None for a file that has no sections."""
    lines = text.split("\n")
    entries = read_leniently(text, sections=names is not None)[0]
    mine = [entry for entry in entries if entry.key == key and entry.section in (names or (None,))]
    single = [entry for entry in mine if entry.index is None]
    keep = single[-1] if single and line is not None else None
    drop = mine if line is None else [entry for entry in mine if entry.index is not None]
    gone = {number for entry in drop for number in range(entry.first, entry.last + 1)}
    new: list[str] = []
    place = 0
    if keep is not None and line is not None:
        lines[keep.line - 1] = line
    elif line is not None:
        place, new = _new_line(lines, key, line, names)
    numbered = list(enumerate(lines, 1))
    kept = [old for i, old in numbered[:place] if i not in gone]
    kept += [*new, *(old for i, old in numbered[place:] if i not in gone)]
    out = "\n".join(_without_empty(kept, names) if line is None and names else kept)
    return out if out.endswith("\n") or not out else out + "\n"


def _new_line(lines: list[str], key: str, line: str, names: Sequence[str] | None) -> tuple[int, list[str]]:
    """Where a line goes that the file does not have yet, and what goes there."""
    end = len(lines) - (lines[-1] == "")
    headers = _headers(lines) if names is not None else []
    ends = [_end_before(lines, at) for at in (*(at for at, _ in headers), len(lines))]
    if names:
        mine = [number for number, (_, name) in enumerate(headers, 1) if name in names]
        if mine:
            return ends[mine[-1]], [line]
        blank = [""] if end and lines[end - 1].strip() else []
        return end, [*blank, f"[{names[0]}]", line]
    general = headers[0][0] if headers else len(lines)
    comment = next((i for i, old in enumerate(lines[:general]) if old.startswith(f"# {key}=")), None)
    if comment is not None:
        return comment + 1, [line]
    if not headers:
        return end, [line]
    return ends[0], [line, ""] if ends[0] == general else [line]


def _headers(lines: list[str]) -> list[tuple[int, str]]:
    """The index of each section line, and the repository that it names (NO_REPOSITORY for none)."""
    found = []
    for at, old in enumerate(lines):
        if _opens_section(old.strip()):
            try:
                found.append((at, _section(old.strip(), at + 1, "")))
            except NonsenseLine:
                found.append((at, NO_REPOSITORY))
    return found


def _end_before(lines: list[str], at: int) -> int:
    """The index behind the last line that belongs to the part before a section line: the comment above that is its."""
    while 0 < at < len(lines) and lines[at - 1].startswith("#"):
        at -= 1
    while at and not lines[at - 1].strip():
        at -= 1
    return at


def _without_empty(lines: list[str], names: Sequence[str]) -> list[str]:
    """The lines without the sections of a repository that hold nothing any more."""
    headers = _headers(lines)
    gone: set[int] = set()
    for number, (at, name) in enumerate(headers, 1):
        end = headers[number][0] if number < len(headers) else len(lines)
        if name in names and not any(old.strip() for old in lines[at + 1 : end]):
            gone.update(range(at, end))
            if end == len(lines) and at and not lines[at - 1].strip():
                gone.add(at - 1)
    return [old for at, old in enumerate(lines) if at not in gone]


def read_leniently(text: str, *, sections: bool = False) -> tuple[list[Entry], list[NonsenseLine]]:
    """The entries that can be read, and the lines that cannot: one of them must not keep another from being mended."""
    try:
        return parse(text, "", sections=sections), []
    except BadInput:
        entries: list[Entry] = []
        nonsense: list[NonsenseLine] = []
        section = None
        for number, line in enumerate(text.split("\n"), 1):
            try:
                if sections and _opens_section(line.strip()):
                    section = NO_REPOSITORY
                    section = _section(line.strip(), number, "")
                    continue
                found = parse(line, "")
            except NonsenseLine as problem:
                nonsense.append(NonsenseLine("", number, "", problem.what, problem.hint or ""))
                continue  # stays in the file as it is
            for entry in found:
                entry.line = entry.first = entry.last = number
                entry.section = section
            entries += found
        return entries, nonsense


def _replace(path: str, text: str, *, private: bool = False) -> None:
    """Puts a file in the place of another at once: readers see the old or the new one, never a part.

    It has the old one's mode; ``private``: 0600, whatever that was.
    """
    from kugetsu.host import atomic  # most commands write no settings

    try:
        try:
            mode = atomic.PRIVATE if private else os.stat(path).st_mode & 0o777
        except FileNotFoundError:
            mode = atomic.PRIVATE
        atomic.write(path, text.encode(), mode=mode, sync=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str, error: OSError) -> KugetsuError:
    reason = reason_of(error)
    hint = ownership_remedy(path) if isinstance(error, PermissionError) else None
    return KugetsuError(
        f"cannot write {path}: {reason}", hint or "make the file and its folder writable, or free some space"
    )
