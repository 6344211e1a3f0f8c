"""A message for an agent as it is typed: words, a file, or standard input; it arrives as it was written."""

from __future__ import annotations

import sys

from kugetsu.model.errors import BadInput, KugetsuError, NotFound, reason_of
from kugetsu.redaction.funnel import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kugetsu.host.paths import Paths
    from kugetsu.model.refs import IssueRef
    from kugetsu.runtime import admission
    from kugetsu.runtime.env_variables import Variable

#: Bytes; a prompt beyond this fits no model, and the log must stay small.
LONGEST = 1 << 20

USAGE = "REF… [MESSAGE…]"
ABOUT = """\
REF is host/owner/repo#14, the URL of an issue or pull request, owner/repo#14, or #14 inside a clone.
MESSAGE: the words after it are joined by spaces; put words that begin with a dash after --.
A lone - reads the message from standard input, --file reads it from a file."""

OWN_TEXT = """\
Several issues get the same message, a task each; all are looked at before the first is queued. Without a message, the
issue's own text is the message: its title and body, as the forge has them now. What would fail is refused: an issue
that the forge does not have, a repository of which nothing tells where it is. A forge that does not answer refuses
nothing; --anyway queues it all the same."""


def split(words: Sequence[str], command: str) -> tuple[str, list[str]]:
    """The reference, and the words of the message. Raises BadInput when not even the former is there."""
    if not words:
        raise BadInput(f"{command}: which issue?", f"{command} {USAGE}   (more: {command} --help)")
    return words[0], list(words[1:])


def split_many(
    words: Sequence[str], literal: int, command: str, *, anyway: bool = False
) -> tuple[list[str], list[str]]:
    """The references before the message, and its words. The last ``literal`` words stood behind `--`.

    Raises BadInput for none, and for a word among them that was meant as one (unless ``anyway``).
    """
    first, rest = split(words, command)
    refs = [first]
    most = len(rest) - literal
    while len(refs) <= most and _is_ref(rest[len(refs) - 1]):
        refs.append(rest[len(refs) - 1])
    message = rest[len(refs) - 1 :]
    if len(refs) <= most and not anyway and _nearly_ref(message[0]):
        said = f"{command}: {message[0][:60]!r} looks like an issue and is none"
        raise BadInput(said, f"correct it, or put the message after --: {command} '{first}' -- '{message[0][:60]}' …")
    return list(dict.fromkeys(refs)), message


def _is_ref(word: str) -> bool:
    """Whether a word behind a reference is another one, not the first of a message."""
    place, mark, number = word.rpartition("#")
    if mark and number.isascii() and number.isdigit():
        return not place or ("/" in place and place.isprintable() and " " not in place)
    return word.startswith(("https://", "http://")) and any(kind in word for kind in ("/issues/", "/pull/", "/pulls/"))


def _nearly_ref(word: str) -> bool:
    """Whether a word was meant as a reference: `#1x`, `#14,`, `owner/repo#`."""
    place, mark, rest = word.rpartition("#")
    if not mark or any(c.isspace() for c in word) or len(word) > 200:
        return False
    return rest[:1].isdigit() if not place else "/" in place and (not rest or rest[:1].isdigit())


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


def of_issue(forge: admission.Forge, ref: IssueRef, command: str, paths: Paths) -> str:
    """The issue's own text as a message. Raises BadInput with the reason where no forge gives it, NotFound for an issue
    that is not there."""
    try:
        issue = forge.issue(ref)
    except NotFound:
        raise
    except KugetsuError as problem:
        said = f"the message is empty, and the text of {ref} cannot be read: {problem.message}"
        ways = f'describe the task: {command} REF "…", - for standard input, or --file FILE'
        raise BadInput(said, f"{problem.hint}; or {ways}" if problem.hint else ways) from problem
    return read([f"{issue.title}\n\n{issue.body}".strip()], None, command, paths)


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
