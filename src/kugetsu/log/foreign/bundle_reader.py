"""Reads the forms of an exported log: a bundle of `doctor`, exported lines, a log folder, a segment; gzipped or not.

Such a file is untrusted: names and links of an archive are not followed, and the amount read is bounded. A truncated or
damaged file is read up to the damage.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable
from typing import IO, Any

from kugetsu.log.files.segments import first_seqs, name
from kugetsu.model.errors import BadInput, KugetsuError, NotFound, reason_of
from kugetsu.model.plural import counted
from kugetsu.model.record import field, record

Take = Callable[[list[bytes]], None]

MOST_BYTES = 4 << 30
"""The most unpacked bytes that are read: some ten million events."""
MOST_MEMBERS = 1000
LINE_BYTES = 16 << 20
"""A longer line is skipped: the longest event that kugetsu writes, feedback with a hundred texts, has a few MB."""
EXTRA_BYTES = 2 << 20
"""A longer member of a bundle, other than the log, is skipped; `doctor` writes at most 1 MiB."""
EXTRAS_BYTES = 32 << 20

_PIECE = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_PACKED_MOST = 400
"""Unpacked bytes per packed one: events have 5 to 30, zeros have 1000."""
_EASY = 64 << 20
"""Bytes up to which that ratio does not matter."""

LOG = "log.jsonl"
_EXTRAS = ("manifest.json", "settings.json", "findings.json", "daemon.log")
_CUT = "it is truncated"
_HINT = "a bundle (kugetsu doctor --bundle), a log export (kugetsu log export --jsonl), a log folder or a segment"


@record
class Contents:
    """The kind of a file, and its content other than the lines of its log.

    ``kind`` is bundle, lines or folder. ``extras`` are the known small members of a bundle by name; ``problems``
    describe the unreadable parts of the file; ``sources`` counts the parts that its lines are in.
    """

    kind: str = "lines"
    extras: dict[str, bytes] = field(factory=dict)
    problems: list[str] = field(factory=list)
    sources: int = 1


def read(path: str, contents: Contents, take: Take) -> None:
    """Pass the unchanged lines of the log in ``path`` to ``take``, some at a time, without their newlines.

    Fills in ``contents``; its kind is set before the first line is passed on. Raises NotFound, BadInput for a file
    without a log or with too much, KugetsuError if it cannot be read.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            _folder(path, contents, take)
        elif stat.S_ISREG(mode) or stat.S_ISFIFO(mode):
            _file(path, contents, take)
        else:
            raise BadInput(f"{path} is not a file", f"--from takes {_HINT}")
    except FileNotFoundError:
        raise NotFound(f"no such file: {path}", f"--from takes {_HINT}") from None
    except OSError as problem:
        raise KugetsuError(f"cannot read {path}: {reason_of(problem)}", "`ls -l` shows its owner") from problem


def _folder(path: str, contents: Contents, take: Take) -> None:
    """The segments of a log folder, or of the `log` folder in a KUGETSU_DIR."""
    inside = os.path.join(path, "log")
    place = inside if not first_seqs(path) and os.path.isdir(inside) else path
    firsts = first_seqs(place)
    if not firsts:
        raise BadInput(f"no log is in the folder {path}", f"--from takes {_HINT}")
    contents.kind = "folder"
    contents.sources = len(firsts)
    left = MOST_BYTES
    for first in firsts:
        with open(os.path.join(place, name(first)), "rb") as file:
            source = _Unpacked(file, contents, most=left)
            rest = _lines(io.BufferedReader(source, _PIECE), None, take, contents)
            left -= source.unpacked
        if rest and first == firsts[-1]:
            contents.problems.append(f"an unfinished write of {counted(len(rest), 'byte')} at its end was skipped")
        elif rest:
            take([rest])


def _file(path: str, contents: Contents, take: Take) -> None:
    with open(path, "rb") as file:
        stream: io.BufferedReader = io.BufferedReader(_Unpacked(file, contents, most=MOST_BYTES), _PIECE)
        if _header(stream.peek(_BLOCK)[:_BLOCK]) is not None:
            contents.kind = "bundle"
            _members(stream, contents, take)
        elif rest := _lines(stream, None, take, contents):
            take([rest])


class _Counted:
    """A file that counts what is read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.count += len(piece)
        return piece


class _Unpacked(io.RawIOBase):
    """The bytes of a file, unpacked if necessary, up to the first truncation or damage.

    They are counted; reading raises BadInput if there are too many.
    """

    def __init__(self, file: io.BufferedReader, contents: Contents, *, most: int) -> None:
        self._packed = _Counted(file)
        is_packed = file.peek(2)[:2] == b"\x1f\x8b"
        self._file = gzip.GzipFile(fileobj=self._packed) if is_packed else None  # type: ignore[call-overload]
        self._contents = contents
        self._most = most
        self._ended = False
        self.unpacked = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        piece = b""
        try:
            if not self._ended:
                piece = self._packed.read(len(view)) if self._file is None else self._file.read1(len(view))
        except EOFError:
            self._contents.problems.append(_CUT)
        except (zlib.error, gzip.BadGzipFile):
            self._contents.problems.append("it is damaged: the rest cannot be unpacked")
        self._ended = not piece
        self.unpacked += len(piece)
        if self.unpacked > self._most:
            said = f"there is more than {MOST_BYTES >> 30} GiB in it"
            raise BadInput(said, "export a part of the log: kugetsu log export --jsonl")
        if self._file is not None and self.unpacked > max(_EASY, self._packed.count * _PACKED_MOST):
            raise BadInput("refused: implausible compression ratio", f"--from takes {_HINT}")
        view[: len(piece)] = piece
        return len(piece)


def _lines(stream: io.BufferedReader, size: int | None, take: Take, contents: Contents) -> bytes:
    """Pass on the whole lines in the next ``size`` bytes, or in all; returns the bytes after the last newline."""
    rest = b""
    skipping = False
    left = MOST_BYTES if size is None else size
    while left > 0 and (piece := stream.read1(min(left, _PIECE))):
        left -= len(piece)
        *lines, last = (rest + piece).split(b"\n")
        if lines:
            take(lines[1:] if skipping else lines)
            skipping = False
        rest = b"" if skipping else last
        if len(rest) > LINE_BYTES:
            contents.problems.append(f"a line longer than {LINE_BYTES >> 20} MiB was skipped")
            rest, skipping = b"", True
    if size is not None:
        _note_cut(contents, left)
    return rest


# --- archives ---------------------------------------------------------------------------------------------------


def _header(block: bytes) -> tarfile.TarInfo | None:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None


def _members(stream: io.BufferedReader, contents: Contents, take: Take) -> None:
    """Read the members of a tar archive one after the other: only their headers, and the content of known ones.

    The headers are read one by one because `tarfile` would follow extensions, whose sizes are not bounded.
    """
    found = False
    for _ in range(MOST_MEMBERS):
        block = stream.read(_BLOCK)
        if not block.strip(b"\0"):
            break
        member = _header(block)
        if member is None or member.size < 0:
            contents.problems.append("it is damaged: the rest is not an archive")
            break
        known = member.name.removeprefix("./") if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else ""
        if known == LOG and not found:
            found = True
            if rest := _lines(stream, member.size, take, contents):
                take([rest])
        elif _is_extra(known) and member.size <= min(EXTRA_BYTES, EXTRAS_BYTES - _held(contents)):
            contents.extras[known] = stream.read(member.size)
            _note_cut(contents, member.size - len(contents.extras[known]))
        else:
            _note_cut(contents, _skip(stream, member.size))
        _skip(stream, -member.size % _BLOCK)
    else:
        raise BadInput(f"the archive has more than {MOST_MEMBERS} members", f"--from takes {_HINT}")
    if not found:
        raise BadInput(f"the archive is not a bundle: it has no {LOG}", f"--from takes {_HINT}")


def _is_extra(member: str) -> bool:
    if member in _EXTRAS:
        return True
    folder, _, rest = member.partition("/")
    attempt, _, file = rest.partition("/")
    return folder == "attempts" and file in ("stderr.log", "runner.log") and attempt not in ("", ".", "..")


def _held(contents: Contents) -> int:
    return sum(map(len, contents.extras.values()))


def _skip(stream: io.BufferedReader, size: int) -> int:
    """Skip ``size`` bytes; returns how many of them were missing."""
    while size > 0 and (piece := stream.read1(min(size, _PIECE))):
        size -= len(piece)
    return size


def _note_cut(contents: Contents, lacking: int) -> None:
    if lacking > 0 and _CUT not in contents.problems:
        contents.problems.append(_CUT)
