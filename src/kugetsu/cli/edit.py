"""`kugetsu queue edit`: another message for a waiting task, written in an editor, as words, or in a file."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress

from kugetsu.cli import messages
from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain.decide import queue
from kugetsu.domain.events import Event
from kugetsu.model.errors import BadInput, Conflict, KugetsuError, reason_of
from kugetsu.runtime.git import command as git
from kugetsu.runtime.query import messages as known_messages
from kugetsu.runtime.query.subjects import task_id

COMMAND = "kugetsu queue edit"


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.words("words", "the task, then its new message", metavar="ID MESSAGE", completes="task-waiting")
    parser.add_argument("--file", metavar="FILE", completes="file", help="read the message from a file")


def _edit(call: Call) -> int:
    words = call.args.words
    if not words:
        raise BadInput(f"{COMMAND}: which task?", "kugetsu queue list shows the tasks")
    wanted, words = task_id(words[0]), list(words[1:])
    task = queue.find_task(call.ready(), wanted)
    queue.require_untold(task)
    read_at, old = task.edited, known_messages.of_task(call.workspace, wanted)
    kept: str | None = None
    if words or call.args.file is not None:
        new = messages.read(words, call.args.file, f"{COMMAND} {wanted}", call.workspace.paths, '"…"')
    else:
        kept, new = _by_editor(call, wanted, old)
    try:
        events = call.workspace.log.transact(lambda state: queue.edit(state, wanted, new, old, read_at))
    except Conflict as refused:
        raise _with_text(refused, wanted, new, kept, call) from refused
    if kept is not None:
        os.unlink(kept)
    return _show(call, wanted, events)


def _show(call: Call, wanted: str, events: list[Event]) -> int:
    data = {"task": wanted, "title": call.state().tasks[wanted].title, "seq": events[0]["seq"] if events else None}
    call.show(data, [f"{wanted} has a new message" if events else f"{wanted} has this message already"])
    call.note_undo(events)
    return 0


def _with_text(refused: Conflict, wanted: str, text: str, kept: str | None, call: Call) -> KugetsuError:
    """The refusal, and where the text is: typing it cost time, and another message is no reason to lose it."""
    from kugetsu.views import refusals

    message, hint = refusals.words(refused)
    if kept is None:
        kept = _write(call, wanted, text)
    told = Conflict(f"{message}; your text is kept in {kept}", hint)
    if refused.refusal == "task_told" and refused.values["issue"]:
        told.hint = f"to add it afterwards: kugetsu continue {refused.values['issue']} --file {kept}"
    elif refused.refusal == "task_edited":
        told.hint = f"to take it all the same: {COMMAND} {wanted} --file {kept}"
    return told


# --- the editor -------------------------------------------------------------------------------------------------


def _by_editor(call: Call, wanted: str, old: str) -> tuple[str, str]:
    """The file in which the new message was written, which stays until it is in the log, and the message."""
    command = _editor(call.environment)
    path = _write(call, wanted, old)
    try:
        # As git runs it: the value may be a command line of its own.
        ended = subprocess.run(["/bin/sh", "-c", f'{command} "$@"', command, path], check=False).returncode
    except OSError as problem:
        os.unlink(path)
        raise KugetsuError(f"the editor cannot be started: {reason_of(problem)}", "set VISUAL or EDITOR") from problem
    if ended:
        raise KugetsuError(f"the editor ended with {ended}: nothing was changed", f"what it left is in {path}")
    try:
        return path, messages.read([], path, f"{COMMAND} {wanted}", call.workspace.paths, '"…"')
    except BadInput as problem:
        if not _is_empty(path):
            raise BadInput(problem.message, f"{problem.hint}; the text is in {path}") from problem
        os.unlink(path)
        raise BadInput(
            "the message is empty: nothing was changed", f"to remove the task: kugetsu queue cancel {wanted}"
        ) from problem


def _is_empty(path: str) -> bool:
    with suppress(OSError, UnicodeDecodeError), open(path, encoding="utf-8") as file:
        return not file.read().strip()
    return False


def _write(call: Call, wanted: str, text: str) -> str:
    """A file with the text that only its owner reads; Markdown, so that an editor knows what it is."""
    folder = call.workspace.paths.make(f"{call.workspace.paths.root}/edits")
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f"{wanted}-", suffix=".md", delete=False) as file:
        file.write(text.encode())
    return file.name


def _editor(environment: Mapping[str, str]) -> str:
    """The user's editor by git's rules: GIT_EDITOR, git's core.editor, VISUAL, EDITOR, vi.

    Raises BadInput where none of them is set and there is no terminal for vi.
    """
    named = environment.get("GIT_EDITOR") or _configured() or environment.get("VISUAL")
    if environment.get("TERM", "dumb") == "dumb" and named == environment.get("VISUAL"):
        named = None  # git's rule: VISUAL is an editor of a whole screen
    named = named or environment.get("EDITOR")
    if named:
        return named
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        hint = f"{COMMAND} ID MESSAGE, - for standard input, or --file FILE"
        raise BadInput("no editor is set (VISUAL, EDITOR), and this is no terminal", hint)
    return "vi"


def _configured() -> str | None:
    """git's core.editor of the user, not of the repository in whose clone the command is typed."""
    answer = git.ask(["config", "--get", "core.editor"], "/")
    return answer.out.strip() or None


COMMANDS = {
    "queue edit": Command(
        "[--file FILE] [--json] ID [MESSAGE…]",
        "Without a message, the present one is opened in your editor, which is found as git finds it: GIT_EDITOR,\n"
        "git's core.editor, VISUAL, EDITOR. The words of MESSAGE are joined by spaces; a lone - reads it from\n"
        "standard input. Only the message of a waiting task can be changed. If an agent takes the task while the\n"
        "editor is open, the text is kept in a file, which the error names.",
        _arguments,
        _edit,
        json="task   the task's id\ntitle  the first line of its message\n"
        "seq    the event that records it, or null if the message is the same",
        examples="kugetsu queue edit q7\nkugetsu queue edit q7 fix the parser, with a test",
        exits=(4, 5),
    ),
}
