"""A message for an agent as it is typed: words, a file, or standard input; it arrives as it was written."""

from __future__ import annotations

import sys

from kugetsu.errors import BadInput
from kugetsu.redaction import redact_shapes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Bytes; a prompt beyond this fits no model, and the log must stay small.
LONGEST = 1 << 20

USAGE = "REF MESSAGE…"
ABOUT = """\
REF is host/owner/repo#14, the URL of an issue or pull request, owner/repo#14, or #14 inside a clone.
MESSAGE: the words behind it are joined by spaces; words that begin with a dash go behind a --;
a lone - reads the message from standard input, --file reads it from a file."""


def split(words: Sequence[str], command: str) -> tuple[str, list[str]]:
    """The reference, and the words of the message. Raises BadInput when not even the former is there."""
    if not words:
        raise BadInput(f"{command}: which issue?", f"{command} {USAGE}   (more: {command} --help)")
    return words[0], list(words[1:])


def read(words: Sequence[str], file: str | None, command: str, example: str = 'REF "…"') -> str:
    """The message. Raises BadInput when it is empty, too long, no Unicode text, or cannot be read.

    ``example`` is what an error shows behind the command.
    """
    if file is not None:
        if words:
            raise BadInput("a message is given twice: as words and with --file", "give it once")
        message = _decoded(_file(file), file)
    elif list(words) == ["-"]:
        message = _decoded(sys.stdin.buffer.read(LONGEST + 1), "standard input")
    else:
        message = " ".join(words)
        if not message.isascii():
            _require_text(message)
    if len(message.encode()) > LONGEST:
        raise BadInput(f"the message is over {LONGEST} bytes long", "put the text into a file of the repository")
    if "\0" in message:
        raise BadInput("the message has a NUL character in it", "write it as text")
    if not message.strip():
        raise BadInput(
            "the message is empty", f"say what is to be done: {command} {example}, - for standard input, or --file FILE"
        )
    _warn_of_secrets(message)
    return message


def _warn_of_secrets(message: str) -> None:
    """The agent needs the message whole, so the log keeps it whole: whoever types a secret should know that."""
    if redact_shapes(message) != message:
        print("the message seems to hold a secret: the log keeps it, though no command shows it", file=sys.stderr)
        print("better: kugetsu env set NAME, and write $NAME in the message", file=sys.stderr)


def _require_text(message: str) -> None:
    try:
        message.encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"the message is not UTF-8 text: character {error.start + 1} cannot be decoded",
            "write it in UTF-8, or set LC_ALL=C.UTF-8",
        ) from error


def _decoded(raw: bytes, source: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{source}: byte {error.start} is not UTF-8 text", "write the message in UTF-8") from error


def _file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(LONGEST + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadInput(f"cannot read the message from {path}: {reason}", "name a file that is there") from error
