"""`kugetsu context`: what a session was told, and what it answered."""

from __future__ import annotations

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.model.errors import NotFound
from kugetsu.redaction.funnel import clean
from kugetsu.runtime.query import exchanges, subjects
from kugetsu.views import context
from kugetsu.views.agentlog import in_brief


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "ref", metavar="REF", completes=("issue", "session", "task", "attempt"), help="the issue, or pm, or one task"
    )
    parser.source()
    parser.add_argument("--attempt", metavar="ID", completes="attempt", help="only this attempt, as q7.1")
    parser.add_argument("--full", action="store_true", help="show the complete prompts, as they were sent")


def _context(call: Call) -> int:
    state = call.ready()
    subject = subjects.subject(call.workspace, call.args.ref)
    events = list(subject.events(call.workspace))
    if not events:
        raise NotFound(f"nothing ever happened to {subject}", "kugetsu list --all")
    key = next((event["session"] for event in events if event.get("session")), str(subject))
    session = state.sessions.get(key)
    found = exchanges.collect(call.workspace, subject, events, in_brief, attempt=call.args.attempt, full=call.args.full)
    data = {
        "session": key,
        "state": session.state if session is not None else None,
        "branch": session.branch if session is not None else None,
        "pr": session.pr if session is not None else None,
        "created_at": session.created_at if session is not None else None,
        "updated_at": session.changed_at if session is not None else None,
        "attempts": found,
    }
    lines = [] if call.json else context.header(key, session, call.screen)
    for exchange in [] if call.json else found:
        lines += context.lines(exchange, call.screen, full=call.args.full)
    call.show(clean(data) if call.json else None, lines)
    if call.foreign is not None and not call.json:
        call.note("the file contains no prompts or agent outputs, only what the log records about them")
    elif not found and not call.json:
        call.note(f"no agent has worked in it yet        why: kugetsu why {subject}")
    return 0


COMMANDS = {
    "context": Command(
        "REF [--attempt ID] [--full] [--from FILE] [--json]",
        "Shows for each attempt its message, the agent's output (tools in one line each), and how it ended.\n"
        "For the full output of the tools: kugetsu logs ATTEMPT. What another host of a shared log has is asked for\n"
        "over OpenSSH with HOST_SSH=true; else it says where that is.",
        _arguments,
        _context,
        json="""\
session                   the session's key
state                     its state, or null if there is no session now, like the next four
branch                    its branch
pr                        the URL of its pull request
created_at                UTC
updated_at                UTC
attempts[].attempt        its id
attempts[].task           its task's id
attempts[].claimed_at     UTC
attempts[].running_at     UTC, or null
attempts[].ended_at       UTC, or null while it runs
attempts[].outcome        succeeded, failed, timed_out, killed or lost, or null
attempts[].reason         how it ended, or null
attempts[].event          the event that records it
attempts[].message        the message of its task
attempts[].prompt         with --full the complete prompt as it was sent, else null
attempts[].prompt_bytes   its length, or null
attempts[].prompt_file    the file that holds it
attempts[].answered[]     kind (text, tool or error) and text, in their order
attempts[].final_text     the agent's final text, as recorded, or null
attempts[].findings       the text of the file with what it found out, or null
attempts[].findings_file  that file, or null
attempts[].result         what came of it, with the pull request opened for it since, or null
attempts[].verification   what VERIFY_COMMAND said of its commits, as its event records it, or null
attempts[].missing[]      files that no longer exist, or where they are
attempts[].host           the id of the other host that has its files, or null""",
        examples="kugetsu context owner/project#14\nkugetsu context owner/project#14 --attempt q7.1 --full",
        exits=(4,),
    )
}
