"""Title and body of a pull request that kugetsu opens: from the diff, the commits and the recorded commands.

What the agent says stands in it as a quotation only. Nothing in it refers to an issue but the line that closes its own
one (`forge.references`), and nothing is left of Markdown or HTML in names and commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kugetsu.agents.commands import Command
from kugetsu.forge.references import closing, without_references
from kugetsu.model.plural import counted
from kugetsu.model.result_words import lines_changed
from kugetsu.redaction.funnel import redact, redact_head
from kugetsu.runtime.git import comparison
from kugetsu.runtime.git.comparison import ChangedFile

T = TypeVar("T")

TITLE_LENGTH = 240
"""Characters of a title: Gitea takes 255 and GitHub 256, of which a draft's prefix is part."""
#: Rows that are shown of each list, and characters of a row and of the agent's last message: 25 kB together, where
#: GitHub takes 65,536 characters.
COMMITS = 30
FILES = 40
COMMANDS = 15
ROW_LENGTH = 160
MESSAGE_LENGTH = 4000


@dataclass(frozen=True, slots=True)
class Work:
    """What a pull request contains: the subjects of its commits, the newest first, and how many more there are; its
    files; the commands that the agent ran, and its last message."""

    commits: Sequence[str] = ()
    files: Sequence[ChangedFile] = ()
    commands: Sequence[Command] = ()
    message: str = ""
    more_commits: int = 0


def title_of(text: str) -> str:
    """The title for an issue's title or a message: its first line, without references."""
    line = next((part for part in redact(text).splitlines() if part.strip()), "")
    plain = " ".join("".join(c if c.isprintable() else " " for c in without_references(line)).split())
    return plain if len(plain) <= TITLE_LENGTH else plain[: TITLE_LENGTH - 1].rstrip() + "…"


def body_of(work: Work, task: str | None, closes: int | None) -> str:
    """The body; ``closes`` is the issue of the same repository that the work is for, None for none."""
    commits = len(work.commits) + work.more_commits
    parts = [
        _list(counted(commits, "commit"), work.commits[:COMMITS], commits - COMMITS, str),
        _list(_changes(work.files), work.files[:FILES], len(work.files) - FILES, _file),
        _commands(work.commands),
        _quotation(work.message),
    ]
    text = without_references(redact("\n\n".join(part for part in parts if part)))
    ends = [closing(closes)] if closes is not None else []
    ends.append(f"Opened by kugetsu{f' for its task {task}' if task is not None else ''}.")
    return "\n\n".join([*([text] if text else []), *ends]) + "\n"


def _list(head: str, rows: Sequence[T], more: int, text: Callable[[T], str]) -> str:
    if not rows:
        return ""
    lines = [f"- {_code(text(row))}" for row in rows]
    if more > 0:
        lines.append(f"- and {more} more")
    return f"**{head}**\n\n" + "\n".join(lines)


def _changes(files: Sequence[ChangedFile]) -> str:
    added, removed, _ = comparison.totals(files)
    return f"Changes: {counted(len(files), 'file')}, {lines_changed(added, removed)}"


def _file(file: ChangedFile) -> str:
    return f"{file.path} (binary)" if file.binary else f"{file.path} {lines_changed(file.added, file.removed)}"


def _commands(commands: Sequence[Command]) -> str:
    """The last commands with their exit codes, as the agent's program recorded them."""
    ran = [command for command in commands if command.line.strip()]
    if not ran:
        return ""
    head = "Commands that the agent ran" + (f" (the last {COMMANDS} of {len(ran)})" if len(ran) > COMMANDS else "")
    lines = [f"- {_code(command.line)}: {_exit(command)}" for command in ran[-COMMANDS:]]
    return f"**{head}**\n\n" + "\n".join(lines)


def _exit(command: Command) -> str:
    return f"exit {command.exit}" if command.exit is not None else "stopped"


def _code(text: str) -> str:
    """A text as a code span of one line: in it nothing is a mention, a link or markup, and nothing ends it."""
    line = " ".join("".join(c if c.isprintable() else " " for c in redact_head(text, 20 * ROW_LENGTH)).split())
    line = line.replace("`", "'").replace("<!--", "<! --")
    return f"`{line if len(line) <= ROW_LENGTH else line[: ROW_LENGTH - 1] + '…'}`"


def _quotation(message: str) -> str:
    """The agent's last message, line by line; tags and comments are shown, not obeyed."""
    text = redact_head(message.strip(), MESSAGE_LENGTH).replace("&", "&amp;").replace("<", "&lt;")
    kept = "".join(c if c.isprintable() or c == "\n" else " " for c in text.replace("\r\n", "\n"))
    lines = [f"> {line}".rstrip() for line in kept.splitlines()]
    return "**The agent's last message**\n\n" + "\n".join(lines) if lines else ""
