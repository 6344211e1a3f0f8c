"""Where a mirror is still good, to be read again from there."""

from __future__ import annotations

from kugetsu.log.files.block_reader import BlockReader
from kugetsu.log.files.damage_report import DamagedLine
from kugetsu.log.files.segments import Cursor


def good_end(directory: str) -> Cursor:
    """The place after the last transaction that verifies from the log's start on."""
    reader = BlockReader(directory, Cursor(), settle=False)
    try:
        while (block := reader.next_block(locked=True)) is not None:
            reader.advance(block)
    except DamagedLine:
        return _within(directory, reader.cursor)
    finally:
        reader.close()
    return reader.cursor


def _within(directory: str, cursor: Cursor) -> Cursor:
    """The end of the last whole transaction that verifies after ``cursor``, where a whole block does not."""
    import os

    from kugetsu.log.codec import verified
    from kugetsu.log.files.segments import name
    from kugetsu.log.shared.mirror import transactions

    good = cursor.copy()
    try:
        with open(os.path.join(directory, name(cursor.segment)), "rb") as file:
            file.seek(cursor.offset)
            sha, lines = cursor.sha, []
            for line in file:
                following = verified(sha, line[:-1]) if line.endswith(b"\n") else None
                if following is None:
                    break
                sha = following
                lines.append(line[:-1])
    except FileNotFoundError:
        return good
    for transaction in transactions(lines):
        good.offset += sum(map(len, transaction)) + len(transaction)
        good.seq += len(transaction)
        good.sha = transaction[-1][-34:-2]
    return good
