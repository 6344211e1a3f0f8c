"""`kugetsu context`: what a session was told, and what it answered."""

from __future__ import annotations

import os

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain.events import Event
from kugetsu.domain.state import ENDS
from kugetsu.host import run_files
from kugetsu.model.errors import NotFound
from kugetsu.redaction.funnel import Lines, clean, redact
from kugetsu.runtime.query import subjects
from kugetsu.runtime.query.subjects import Subject
from kugetsu.views import context
from kugetsu.views.agentlog import in_brief

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.views.context import Exchange, Said


#: Bytes of one output that are read, from its end: what an agent says fits, what a tool poured out may not.
MOST = 16 << 20
_GONE = "is gone"


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
    found = _attempts(call, subject, events)
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
        call.say("the file contains no prompts or agent outputs, only what the log records about them")
    elif not found and not call.json:
        call.say(f"no agent has worked in it yet        why: kugetsu why {subject}")
    return 0


def _attempts(call: Call, subject: Subject, events: list[Event]) -> list[Exchange]:
    """The attempts in their order. Raises NotFound for one that is not among them."""
    found: dict[str, Exchange] = {}
    messages: dict[str, str] = {}
    for event in events:
        kind, attempt = event["type"], event.get("attempt")
        if kind == "task.queued":
            messages[event["task"]] = event["data"]["message"]
        elif kind == "attempt.claimed":
            found[event["attempt"]] = _begun(event)
        elif attempt in found and kind == "attempt.running":
            found[attempt]["running_at"] = event["at"]
        elif attempt in found and kind in ENDS:
            _end(found[attempt], event)
    wanted = call.args.attempt
    if wanted is not None and wanted not in found:
        raise NotFound(f"{subject} has no attempt {wanted}", f"there are: {', '.join(found) or 'none'}")
    chosen = [exchange for name, exchange in found.items() if wanted in (None, name)]
    for exchange in chosen:
        _read(call, exchange, messages)
    return chosen


def _begun(event: Event) -> Exchange:
    return {
        "attempt": event["attempt"],
        "task": event["task"],
        "claimed_at": event["at"],
        "running_at": None,
        "ended_at": None,
        "outcome": None,
        "reason": None,
        "event": event["seq"],
        "message": None,
        "prompt": None,
        "prompt_bytes": None,
        "prompt_file": "",
        "answered": [],
        "final_text": None,
        "missing": [],
    }


def _end(exchange: Exchange, event: Event) -> None:
    data = event["data"]
    outcome = data.get("outcome")
    exchange["ended_at"] = event["at"]
    exchange["outcome"] = event["type"].partition(".")[2]
    exchange["reason"] = data.get("reason")
    exchange["event"] = event["seq"]
    exchange["final_text"] = (outcome.get("final_text") if isinstance(outcome, dict) else None) or None


def _read(call: Call, exchange: Exchange, messages: dict[str, str]) -> None:
    """Fill in what the log and the run's files have of an attempt, without secrets."""
    folder = call.workspace.paths.run(exchange["attempt"])
    exchange["message"] = redact(_message(call, exchange["task"], messages)) or None
    if call.foreign is not None:
        return  # such a file has neither prompts nor outputs
    exchange["prompt_file"] = f"{folder}/prompt.md"
    prompt = _file(exchange["prompt_file"], exchange["missing"])
    if prompt is not None:
        exchange["prompt_bytes"] = len(prompt)
        exchange["prompt"] = redact(prompt.decode("utf-8", "replace")) if call.args.full else None
    exchange["answered"] = _answers(f"{folder}/output.jsonl", exchange["missing"])
    if exchange["running_at"] is None:  # it never ran: there was nothing to lose
        exchange["missing"] = [said for said in exchange["missing"] if not said.endswith(_GONE)]


def _message(call: Call, task: str, messages: dict[str, str]) -> str:
    if task not in messages:
        # Asked for one attempt, whose events do not hold its task's.
        queued = [event for event in call.workspace.log.read_key(task) if event["type"] == "task.queued"]
        messages[task] = queued[0]["data"]["message"] if queued else ""
    return messages[task]


def _answers(path: str, missing: list[str]) -> list[Said]:
    output = _file(path, missing)
    secrets = Lines()
    found: list[Said] = []
    goes_on = False
    for raw in (output or b"").split(b"\n"):
        said = in_brief(secrets.redact_bytes(raw)) if raw else None
        if said is None or not said[1]:
            continue
        plain = said[0] == "text" and not raw.startswith(b"{")
        if plain and goes_on:
            found[-1]["text"] += "\n" + said[1]  # lines of a plain output are one text
        else:
            found.append({"kind": said[0], "text": said[1]})
        goes_on = plain
    return found


def _file(path: str, missing: list[str]) -> bytes | None:
    """A run's file, at most its last MOST bytes; None when it is not there, which ``missing`` then says."""
    try:
        with run_files.open_binary(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST:
                file.seek(size - MOST)
                file.readline()
                missing.append(f"only the last {MOST >> 20} MiB of {path} are shown")
            return file.read(MOST)
    except OSError as problem:
        why = _GONE if isinstance(problem, FileNotFoundError) else f"cannot be read: {problem.strerror}"
        missing.append(f"{path} {why}")
        return None


COMMANDS = {
    "context": Command(
        "REF [--attempt ID] [--full] [--from FILE] [--json]",
        "Shows for each attempt its message, the agent's output (tools in one line each), and how it ended.\n"
        "For the full output of the tools: kugetsu logs ATTEMPT.",
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
attempts[].missing[]      files that no longer exist""",
        examples="kugetsu context owner/project#14\nkugetsu context owner/project#14 --attempt q7.1 --full",
        exits=(4,),
    )
}
