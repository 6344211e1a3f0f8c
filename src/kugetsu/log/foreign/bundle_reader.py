"""What may hold a log that came from another place: a bundle of `doctor`, exported lines, a log folder, a segment.

Such a file is somebody else's, so nothing of it is believed: nothing is unpacked to disk, names and links of an archive
lead nowhere, and how much is read is bounded. What is cut off or damaged behind a place is read up to there.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterator

from kugetsu.log.files.segments import first_seqs, name
from kugetsu.model.errors import BadInput, KugetsuError, NotFound, reason_of
from kugetsu.model.record import field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    Take = Callable[[bytes], None]

MOST_BYTES = 4 << 30
"""Bytes that are read at most, unpacked: some ten million events."""
MOST_MEMBERS = 1000
LINE_BYTES = 16 << 20
"""A longer line is left out: the longest event that kugetsu writes has a message of some 100 kB."""
EXTRA_BYTES = 2 << 20
"""A longer member of a bundle beside the log is left out; `doctor` writes at most 1 MiB."""
EXTRAS_BYTES = 32 << 20

_PIECE = 1 << 20
_STEP = 4096
_BLOCK = 512
_PACKED_MOST = 400
"""Unpacked bytes a packed one: events have 5 to 30, nothing but zeros has 1000."""
_EASY = 64 << 20
"""Bytes up to which that ratio does not matter."""

LOG = "log.jsonl"
_EXTRAS = ("manifest.json", "settings.json", "findings.json", "daemon.log")
_CUT = "it is cut off"
_HINT = "a bundle (kugetsu doctor --bundle), a log export (kugetsu log export --jsonl), a log folder or a segment"


@record
class Contents:
    """What a file is and what was found in it beside the lines of its log.

    ``kind`` is bundle, lines or folder. ``extras`` are the known small members of a bundle by their names;
    ``problems`` say, for people, what of the file could not be read; ``sources`` counts the parts its lines are in.
    """

    kind: str
    extras: dict[str, bytes] = field(factory=dict)
    problems: list[str] = field(factory=list)
    sources: int = 1


def read(path: str, take: Take) -> Contents:
    """Hand every line of the log in ``path`` to ``take``, without its newline, as they stand there.

    Raises NotFound, BadInput for what holds no log or too much, KugetsuError when it cannot be read.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return _folder(path, take)
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise BadInput(f"{path} is no file", f"--from takes {_HINT}")
        return _file(path, take)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", f"--from takes {_HINT}") from None
    except OSError as problem:
        said = reason_of(problem)
        raise KugetsuError(f"cannot read {path}: {said}", "`ls -l` shows whose it is") from problem


def _folder(path: str, take: Take) -> Contents:
    """The segments of a log folder, or of the `log` folder in a KUGETSU_DIR."""
    inside = os.path.join(path, "log")
    place = inside if not first_seqs(path) and os.path.isdir(inside) else path
    firsts = first_seqs(place)
    if not firsts:
        raise BadInput(f"no log is in the folder {path}", f"--from takes {_HINT}")
    contents = Contents("folder")
    contents.sources = len(firsts)
    flow = _Flow(contents)
    for first in firsts:
        with open(os.path.join(place, name(first)), "rb") as file:
            rest = _lines(flow.through(_plain(file.read)), take, contents)
        if rest and first == firsts[-1]:
            contents.problems.append(f"an unfinished write of {len(rest)} bytes at its end was left out")
        elif rest:
            take(rest)
    return contents


def _file(path: str, take: Take) -> Contents:
    contents = Contents("lines")
    with open(path, "rb") as file:
        start = file.read(_PIECE)
        packed = start[:2] == b"\x1f\x8b"
        pieces = _plain(file.read, start)
        flow = _Flow(contents)
        stream = _Stream(flow.through(_unpacked(pieces, flow) if packed else pieces))
        if _is_archive(stream.peek(_BLOCK)):
            contents.kind = "bundle"
            _members(stream, take, contents)
        else:
            rest = _lines(stream.pieces(MOST_BYTES + 1), take, contents)
            if rest:
                take(rest)
    return contents


class _Flow:
    """Counts what is read, packed and unpacked; refuses what is too much."""

    __slots__ = ("_contents", "packed", "unpacked")

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self.packed = 0
        self.unpacked = 0

    def through(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.unpacked += len(piece)
            if self.unpacked > MOST_BYTES:
                said = f"there is more than {MOST_BYTES >> 30} GiB in it"
                raise BadInput(said, "export a part of the log: kugetsu log export --jsonl")
            yield piece

    def check_ratio(self) -> None:
        if self.unpacked > _EASY and self.unpacked > self.packed * _PACKED_MOST:
            raise BadInput("it is packed as no log is: it unpacks to far more than it holds", f"--from takes {_HINT}")

    def broken(self, said: str) -> None:
        self._contents.problems.append(said)


def _plain(read: Callable[[int], bytes], start: bytes = b"") -> Iterator[bytes]:
    if start:
        yield start
    while piece := read(_PIECE):
        yield piece


def _unpacked(pieces: Iterator[bytes], flow: _Flow) -> Iterator[bytes]:
    """What gzip packed; up to the place where it is cut off or damaged."""
    unpacker = zlib.decompressobj(31)
    try:
        for step in _steps(pieces, flow):
            while step:
                if unpacker.eof:  # another one follows, as `cat a.gz b.gz` makes it; zeros fill up a tape's block
                    step = step.lstrip(b"\0")
                    if not step:
                        break
                    unpacker = zlib.decompressobj(31)
                yield unpacker.decompress(step, _PIECE)
                flow.check_ratio()
                step = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        yield unpacker.flush()
    except zlib.error:
        flow.broken("it is damaged: what is behind a place cannot be unpacked")
        return
    if not unpacker.eof:
        flow.broken(_CUT)


def _steps(pieces: Iterator[bytes], flow: _Flow) -> Iterator[bytes]:
    """The same in small steps: unpacking one that is damaged loses all that was unpacked of it."""
    for piece in pieces:
        for start in range(0, len(piece), _STEP):
            step = piece[start : start + _STEP]
            flow.packed += len(step)
            yield step


class _Stream:
    """Pieces of bytes, read in any portions; ``short``: fewer were there than somebody wanted."""

    __slots__ = ("_pieces", "_rest", "short")

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.short = False

    def peek(self, size: int) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, None)) is not None:
            self._rest += piece
        return self._rest[:size]

    def take(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        return b"".join(self.pieces(size))

    def pieces(self, size: int) -> Iterator[bytes]:
        """So many bytes, or fewer at the end, a piece at a time."""
        while size > 0:
            piece = self._rest or next(self._pieces, None)
            if piece is None:
                self.short = True
                return
            self._rest = piece[size:]
            piece = piece[:size]
            size -= len(piece)
            if piece:
                yield piece


def _lines(pieces: Iterator[bytes], take: Take, contents: Contents) -> bytes:
    """Hand over whole lines; what stands behind the last newline is returned."""
    rest = b""
    skipping = False
    for piece in pieces:
        *lines, last = (rest + piece).split(b"\n")
        for line in lines:
            if not skipping:
                take(line)
            skipping = False
        rest = b"" if skipping else last
        if len(rest) > LINE_BYTES:
            contents.problems.append(f"a line longer than {LINE_BYTES >> 20} MiB was left out")
            rest, skipping = b"", True
    return rest


# --- archives ---------------------------------------------------------------------------------------------------


def _is_archive(block: bytes) -> bool:
    import tarfile

    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _members(stream: _Stream, take: Take, contents: Contents) -> None:
    """Read the members of a tar archive one after the other: only their headers, and those that are known."""
    import tarfile

    found = False
    for _ in range(MOST_MEMBERS):
        block = stream.take(_BLOCK)
        if not block.strip(b"\0"):
            break
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            contents.problems.append("it is damaged: what is behind a place is no archive")
            break
        if member.size < 0:
            contents.problems.append("it is damaged: a member has no size")
            break
        regular = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        known = member.name.removeprefix("./") if regular else ""
        if known == LOG and not found:
            found = True
            rest = _lines(stream.pieces(member.size), take, contents)
            if rest:
                take(rest)
        elif _is_extra(known) and member.size <= min(EXTRA_BYTES, EXTRAS_BYTES - _held(contents)):
            contents.extras[known] = stream.take(member.size)
        else:
            _skip(stream, member.size)
        if stream.short and _CUT not in contents.problems:
            contents.problems.append(_CUT)
        _skip(stream, -member.size % _BLOCK)
    else:
        raise BadInput(f"the archive has more than {MOST_MEMBERS} members", f"--from takes {_HINT}")
    if not found:
        raise BadInput(f"the archive is no bundle: it has no {LOG}", f"--from takes {_HINT}")


def _is_extra(member: str) -> bool:
    if member in _EXTRAS:
        return True
    folder, _, rest = member.partition("/")
    attempt, _, file = rest.partition("/")
    return folder == "attempts" and file in ("stderr.log", "runner.log") and attempt not in ("", ".", "..")


def _held(contents: Contents) -> int:
    return sum(map(len, contents.extras.values()))


def _skip(stream: _Stream, size: int) -> None:
    for _ in stream.pieces(size):
        pass
