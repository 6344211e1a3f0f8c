"""A message for an agent as it is typed: words, a file, or standard input; it arrives as it was written."""

from __future__ import annotations

import sys

from kugetsu.model.errors import BadInput, reason_of
from kugetsu.redaction.funnel import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kugetsu.host.paths import Paths
    from kugetsu.runtime.env_variables import Variable

#: Bytes; a prompt beyond this fits no model, and the log must stay small.
LONGEST = 1 << 20

USAGE = "REF MESSAGE…"
ABOUT = """\
REF is host/owner/repo#14, the URL of an issue or pull request, owner/repo#14, or #14 inside a clone.
MESSAGE: the words after it are joined by spaces; put words that begin with a dash after --.
A lone - reads the message from standard input, --file reads it from a file."""


def split(words: Sequence[str], command: str) -> tuple[str, list[str]]:
    """The reference, and the words of the message. Raises BadInput when not even the former is there."""
    if not words:
        raise BadInput(f"{command}: which issue?", f"{command} {USAGE}   (more: {command} --help)")
    return words[0], list(words[1:])


def read(words: Sequence[str], file: str | None, command: str, paths: Paths, example: str = 'REF "…"') -> str:
    """The message. Raises BadInput when it is empty, too long, no Unicode text, or cannot be read.

    ``paths`` lead to the env files, whose values it should not hold; ``example`` is what an error shows behind the
    command.
    """
    if file is not None:
        if words:
            raise BadInput("the message is given twice: as words and with --file", "give it once")
        message = _decoded(_file(file), file)
    elif list(words) == ["-"]:
        message = _decoded(sys.stdin.buffer.read(LONGEST + 1), "standard input")
    else:
        message = " ".join(words)
        if not message.isascii():
            _require_text(message)
    if len(message.encode()) > LONGEST:
        raise BadInput(f"the message is over {LONGEST} bytes long", "write the text to a file in the repository")
    if "\0" in message:
        raise BadInput("the message contains a NUL character", "write it as text")
    if not message.strip():
        raise BadInput(
            "the message is empty", f"describe the task: {command} {example}, - for standard input, or --file FILE"
        )
    _warn_of_secrets(message, paths)
    return message


def _warn_of_secrets(message: str, paths: Paths) -> None:
    """The agent needs the message whole, so the log keeps it whole: whoever types a secret should know that."""
    if redact(message) == message:
        return
    from kugetsu.runtime import env_variables

    said, better = "seems to contain a secret", "kugetsu env set NAME, and write $NAME in the message"
    # Of several files that set one name the last counts: one that an agent gets.
    held = {one.name: one for one in sorted(env_variables.held_in(message, paths), key=_reaches_agents)}
    if held:
        said = "contains the value of " + ", ".join(f"{one.name} ({one.file})" for one in held.values())
    if held and all(map(_reaches_agents, held.values())):
        better = f"write {', '.join(f'${name}' for name in held)} in the message"
    print(redact(f"the message {said}: the log keeps it, but no command shows it"), file=sys.stderr)
    print(redact(f"better: {better}"), file=sys.stderr)


def _reaches_agents(one: Variable) -> bool:
    return "dev" in one.kinds or "pm" in one.kinds


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
        reason = reason_of(error)
        raise BadInput(f"cannot read the message from {path}: {reason}", "name an existing file") from error
