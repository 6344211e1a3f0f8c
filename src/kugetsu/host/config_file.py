"""Files of KEY=VALUE lines (`config`, the env files): read, never executed; rewritten without losing a comment.

`config` was a bash script once, so `export KEY=VALUE`, quotes, comments, `KEY=${KEY:-VALUE}` and an associative
array GIT_SERVERS are understood. Anything else that is no KEY=VALUE is refused with its line.
"""

from __future__ import annotations

import os

from kugetsu.host import run_files
from kugetsu.host.paths import ownership_remedy
from kugetsu.model.errors import BadInput, KugetsuError, reason_of
from kugetsu.model.settings import known, shown, template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

MAX_BYTES = 1 << 20  # a settings file is some hundred bytes: a larger one is another file by mistake
_PIECE = 1 << 14  # room for as much as is asked for is made first: for all of MAX_BYTES that takes 100 µs

_KEY = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_SAFE = _KEY | frozenset("./:@%+,=-{}~")
_SERVERS = "GIT_SERVERS"


class NonsenseLine(BadInput):
    """A line that is no assignment: its number, and what is wrong with it, without what it says."""

    def __init__(self, path: str, line: int, text: str, what: str) -> None:
        super().__init__(
            f"{path}:{line}: {shown(text.strip())} {what}",
            f"correct line {line}, or put a # before it: the file holds KEY=VALUE lines and is not executed",
        )
        self.line = line
        self.what = what


class Entry:
    """One assignment of the file: its line, key, index (`GIT_SERVERS[name]`) and value.

    Lines are numbered from 1; `first` and `last` are those of the whole array that it stands in, else its own.
    """

    __slots__ = ("first", "index", "key", "last", "line", "value")

    def __init__(self, line: int, key: str, index: str | None, value: str) -> None:
        self.line = self.first = self.last = line
        self.key = key
        self.index = index
        self.value = value


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


def parse(text: str, path: str) -> list[Entry]:
    """The assignments of a file's text in their order. Raises BadInput naming `path`, line and remedy."""
    entries: list[Entry] = []
    if not text:
        return entries
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        at += 1
        if not line or line[0] == "#":
            continue
        for word in ("export ", "declare ", "typeset "):
            if line.startswith(word):
                line = line[len(word) :].lstrip()
        if line.startswith("-A "):
            line = line[3:].lstrip()
        if line == _SERVERS:
            continue  # declares the array, sets nothing
        if line.startswith(_SERVERS + "=("):
            at = _array(entries, lines, at, line[len(_SERVERS) + 2 :], path)
            continue
        entries.append(_entry(line, at, path))
    return entries


def _entry(line: str, number: int, path: str) -> Entry:
    if "\0" in line:
        _nonsense(path, number, line, "has a NUL character, which no variable and no command line can hold")
    key, mark, rest = line.partition("=")
    index = None
    if key.startswith(_SERVERS + "[") and key.endswith("]"):
        key, index = _SERVERS, key[len(_SERVERS) + 1 : -1].strip("\"'")
    if not mark or not key or not _KEY.issuperset(key) or key[0].isdigit():
        where = " (no spaces around the =)" if mark and key.strip() != key else ""
        _nonsense(path, number, line, f"is not KEY=VALUE{where}")
    return Entry(number, key, index, _value(key, rest, path, number, line))


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


def set_value(path: str, key: str, value: str) -> None:
    """Writes one setting into the file, which keeps its comments and order. All or nothing, also in a crash.

    The last line that sets the key is replaced; else the line goes below the template's comment of that key, else to
    the end. Raises BadInput for an unknown key or a value it cannot have, KugetsuError when the file cannot be written.
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
    _rewrite(path, key, f"{key}={quoted(value)}")


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
    _rewrite(path, key, line, private=True)


def unset_value(path: str, key: str) -> None:
    """Takes every line that sets the key out of the file, so that its default holds. Raises as `set_value` does."""
    known(key)
    _rewrite(path, key, None)


def write_template(path: str) -> bool:
    """Writes the commented file when there is none yet; False when there was one, which stays as it is."""
    if os.path.lexists(path):
        return False
    _replace(path, template())
    return True


def _rewrite(path: str, key: str, line: str | None, *, private: bool = False) -> None:
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
        _replace(path, _edited(text, key, line), private=private)
    finally:
        os.close(folder)


def _edited(text: str, key: str, line: str | None) -> str:
    lines = text.split("\n")
    mine = [entry for entry in read_leniently(text)[0] if entry.key == key]
    single = [entry for entry in mine if entry.index is None]
    keep = single[-1] if single and line is not None else None
    place = keep.line - 1 if keep else None
    drop = mine if line is None else [entry for entry in mine if entry.index is not None]
    gone = {number for entry in drop for number in range(entry.first, entry.last + 1)}
    if line is not None and place is None:
        prefix = f"# {key}="
        comment = next((i for i, old in enumerate(lines) if old.startswith(prefix)), None)
        place = comment + 1 if comment is not None else len(lines) - (lines[-1] == "")
        lines.insert(place, line)
        gone = {number + 1 if number > place else number for number in gone}
    elif line is not None and place is not None:
        lines[place] = line
    out = "\n".join(old for i, old in enumerate(lines, 1) if i not in gone)
    return out if out.endswith("\n") or not out else out + "\n"


def read_leniently(text: str) -> tuple[list[Entry], list[NonsenseLine]]:
    """The entries that can be read, and the lines that cannot: one of them must not keep another from being mended."""
    try:
        return parse(text, ""), []
    except BadInput:
        entries: list[Entry] = []
        nonsense: list[NonsenseLine] = []
        for number, line in enumerate(text.split("\n"), 1):
            try:
                found = parse(line, "")
            except NonsenseLine as problem:
                nonsense.append(NonsenseLine("", number, "", problem.what))
                continue  # stays in the file as it is
            for entry in found:
                entry.line = entry.first = entry.last = number
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
