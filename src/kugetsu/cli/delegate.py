"""`kugetsu delegate`: queue a message for the issue that it names, else for the PM agent."""

from __future__ import annotations

from kugetsu.cli import messages
from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.cli.queue import show_queued
from kugetsu.runtime import submit


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.words("words", "the message", metavar="MESSAGE", recorded=0)
    parser.add_argument("--file", metavar="FILE", completes="file", help="read the message from a file")


def _delegate(call: Call) -> int:
    message = messages.read(call.args.words, call.args.file, "kugetsu delegate", call.workspace.paths, '"…"')
    done = submit.delegate(call.workspace, message)
    if len(done.named) > 1 and not call.json:
        shown = ", ".join(str(ref) for ref in done.named[:3]) + (" …" if len(done.named) > 3 else "")
        call.note(f"the message names {len(done.named)} issues ({shown}): the PM agent decides")
    if not done.named and not call.json:
        _warn_of_bare_numbers(call, message)
    kind = "dev" if done.ref is not None else "pm"
    show_queued(call, done.events, kind=kind, named=[str(ref) for ref in done.named])
    call.note_undo(done.events)
    return 0


def _warn_of_bare_numbers(call: Call, message: str) -> None:
    """Elsewhere `#14` is an issue of the clone that one stands in; in a message it may be any number sign."""
    words = (word.strip(".,:;!?()\"'") for word in message.split())
    bare = next((word for word in words if word[:1] == "#" and word[1:].isdecimal() and word.isascii()), None)
    if bare is not None:
        call.note(f"{bare} alone does not name an issue in a message, so the PM agent gets it: write owner/repo{bare}")


COMMANDS = {
    "delegate": Command(
        "[--file FILE] [--json] MESSAGE…",
        "A message that names one issue (its URL or that of a pull request, owner/repo#14, host/owner/repo#14)\n"
        "becomes a task for that issue, with the whole message. Any other text goes to the PM agent.\n"
        "The command returns at once: the daemon starts the agent.\n\n"
        "MESSAGE: the words are joined by spaces; put words that begin with a dash after --.\n"
        "A lone - reads the message from standard input, --file reads it from a file.",
        _arguments,
        _delegate,
        json="""\
task  the task that was queued, as q7
issue  the issue that it is for; null for the PM agent
seq  the event that queued it
state  pending
kind  dev (for the issue) or pm (for the PM agent)
named[]  the issues that the message names""",
        examples="""\
kugetsu delegate "fix shoko/kugetsu#14: the date is off by one"  # a task for that issue
kugetsu delegate "what is open, and what would you do first?"  # a task for the PM agent
kugetsu delegate - < notes.md  # the message from standard input""",
    ),
}
