"""Repairs a torn tail, which a killed writer or a power cut leaves at the log's end.

Only bytes whose write was never confirmed are cut, and they are kept in ``torn/``. A complete and verified line is
never cut: if only its newline is missing, the newline is added; if another byte is in its place, that is damage, which
is left to a person.
"""

from __future__ import annotations

import os
from typing import Any

from kugetsu.domain.new_event import NewEvent
from kugetsu.log.codec import DIGEST_SIZE, encode, verified
from kugetsu.log.files.append import Appender, failed, sync_data, sync_folder
from kugetsu.log.files.block_reader import BlockReader
from kugetsu.log.files.damage_report import DamagedLine
from kugetsu.log.files.segments import Cursor, name
from kugetsu.model import jsontext

TORN = "torn"
"""The subfolder of the log's folder that keeps the bytes cut off."""


def repair(tail: BlockReader, appender: Appender, at: str, by: dict[str, Any]) -> None:
    """Make the log end with a whole transaction again. The caller holds the lock, and reads on afterwards.

    Raises DamagedLine if the bytes at the end are not the rest of an interrupted write, LogWriteFailed if they cannot
    be kept or cut.
    """
    cursor = tail.cursor.copy()
    pending = tail.pending()
    if completes(pending, cursor):
        end = Cursor(cursor.segment, cursor.offset + len(pending))
        appender.write(end, tail.inode, b"\n", may_rotate=False)
        return
    kept = _keep(tail.directory, cursor, pending)
    appender.truncate(cursor, tail.inode)
    data = {"segment": name(cursor.segment), "offset": cursor.offset, "bytes": len(pending), "kept": kept}
    (line,), _ = encode([NewEvent("log.repaired", data)], cursor.seq + 1, cursor.sha, at, by)
    appender.write(cursor, tail.inode, line + b"\n")


def completes(pending: bytes, cursor: Cursor) -> bool:
    """Whether ``pending`` is a whole transaction of verified lines that lacks only its last newline.

    Raises DamagedLine if it has a whole event followed by anything but a newline.
    """
    *whole, last = pending.split(b"\n")
    sha = cursor.sha
    offset = cursor.offset
    for place, line in enumerate(whole):
        following = verified(sha, line)
        if following is None:
            raise _damaged(cursor, "digest", "the line's digest does not fit", place, offset)
        sha = following
        offset += len(line) + 1
    if verified(sha, last) is not None:
        return "more" not in jsontext.loads(last)
    if _starts_with_event(sha, last):
        raise _damaged(cursor, "newline", "a byte other than a newline follows the event", len(whole), offset)
    return False


def _starts_with_event(sha: bytes, tail: bytes) -> bool:
    """Whether ``tail`` starts with a verified line, followed by more bytes."""
    at = tail.find(b',"sha":"')
    while at >= 0:
        end = at + 8 + DIGEST_SIZE + 2
        if verified(sha, tail[:end]) is not None:
            return True
        at = tail.find(b',"sha":"', at + 1)
    return False


def _keep(directory: str, cursor: Cursor, pending: bytes) -> str:
    """Save the bytes in ``torn/`` durably; the file's name relative to the log's folder."""
    folder = os.path.join(directory, TORN)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        for count in range(1, 1_000_000):
            kept = f"{name(cursor.segment)}.{cursor.offset}.{count}"
            try:
                fd = os.open(os.path.join(folder, kept), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            break
        try:
            written = 0
            while written < len(pending):
                written += os.write(fd, pending[written:])
            sync_data(fd)
        finally:
            os.close(fd)
        sync_folder(folder)
        sync_folder(directory)
    except OSError as error:
        raise failed(error, "the unfinished bytes at the log's end cannot be kept in torn/, so they stay") from error
    return f"{TORN}/{kept}"


def _damaged(cursor: Cursor, kind: str, text: str, place: int = 0, offset: int | None = None) -> DamagedLine:
    where = cursor.offset if offset is None else offset
    return DamagedLine(kind, text, seq=cursor.seq + 1 + place, segment=name(cursor.segment), offset=where)
