"""`kugetsu attach`: a person works in an issue's session, in the agent's own program."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain.decide.sessions import find_session
from kugetsu.domain.events import Event
from kugetsu.model.errors import Conflict, KugetsuError, NotFound
from kugetsu.model.refs import folder_name, parse_ref
from kugetsu.runtime import host_id, submit
from kugetsu.runtime.process import identity
from kugetsu.runtime.query import subjects
from kugetsu.runtime.runner import interactive, spawn
from kugetsu.runtime.workspace import Workspace, open_workspace
from kugetsu.views.results import next_command, result_words, size_words
from kugetsu.views.text import line

#: Seconds that `--end` waits for the session to be given back.
PATIENCE = 60.0


def _arguments(parser: Parser) -> None:
    parser.add_argument("ref", metavar="REF", completes="issue", help="the issue whose session to work in")
    parser.add_argument("--end", action="store_true", help="end the program that somebody has open there")


def _attach(call: Call) -> int:
    ws = call.workspace
    state = call.ready()
    key = subjects.issue_of(ws, state, call.args.ref)
    if call.args.end:
        return _end(call, key)
    interactive.require_terminal()
    submit.notice_death(ws, None, set())
    session = find_session(ws.state(), key)
    host_id.require_home(ws, session, f"kugetsu attach {key}")
    worktree = host_id.as_seen_here(ws, session).worktree or "-"
    call.note(f"{key}: nothing else starts in this session until you leave", f"worktree  {worktree}")
    return interactive.attach(ws, key)


def _end(call: Call, key: str) -> int:
    ws = call.workspace
    submit.notice_death(ws, None, set())
    person = find_session(ws.state(), key).person
    if person is None:
        call.print_lines([f"{key}: nobody is attached"])
        return 0
    if not host_id.owns(ws, person["holder"]):
        there = host_id.line_there(ws.state(), person["holder"].get("host"), f"kugetsu attach --end {key}")
        raise Conflict(f"{key} is attached on another host, {person['host']}", there)
    if not host_id.may_signal(ws, person["lease"], person["holder"]):
        raise Conflict(f"{key} is attached in another directory, of which {ws.paths.root} is a copy", "end it there")
    seen = ws.state().seq
    identity.signal(person["holder"], signal.SIGTERM)
    identity.signal(person["holder"], signal.SIGCONT)  # one that Ctrl-Z stopped reacts to nothing else
    event = _awaited(ws, key, seen)
    call.print_lines([f"{key} was given back: {line(event['data']['reason'])}"])
    return 0


def _awaited(ws: Workspace, key: str, seen: int) -> Event:
    """The event by which the person leaves. Raises KugetsuError if it does not come in time."""
    give_up = time.monotonic() + PATIENCE
    for event in ws.log.follow(seen):
        if event is not None and event["type"] == "person.left" and event.get("session") == key:
            return event
        if event is None:
            submit.notice_death(ws, None, set())
            if time.monotonic() > give_up:
                break
    raise KugetsuError(f"{key} was not given back within {PATIENCE:g} seconds", f"kugetsu history {key}")


def left(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """The program has ended: record it, and tell what came of it. Called by the supervisor only."""
    spawn.begin_finalizing()
    key, nonce, *rest = arguments
    ws = open_workspace(environment, f"kugetsu attach {key}")
    try:
        event = interactive.conclude(ws, key, nonce, spawn.parse_ended(rest))
        if event is None and ws.state().hosts:
            raise Conflict(
                f"{key} was given back before: this host was taken for lost, and another one may work on it",
                f"what you did is only here: git -C {ws.paths.worktree(folder_name(parse_ref(key)))} status",
            )
        if event is None:
            raise NotFound(f"the session {key} was already given back", f"kugetsu history {key}")
        with suppress(OSError):  # the terminal may be closed
            print("\n".join(_told(ws, key, event)), file=sys.stderr, flush=True)
    finally:
        ws.close()
    return 1 if event["data"]["how"] == "failed" else 0


def _told(ws: Workspace, key: str, event: Event) -> list[str]:
    data = event["data"]
    session = ws.state().sessions.get(key)
    result = data["result"]
    if result is None:
        return [f"{key} was given back: {line(data['reason'])}; the work is as it was"]
    parts = [part for part in (result_words(result), size_words(result)) if part]
    after = next_command(key, result, session.review if session is not None else "none")
    return [f"{key} was given back: {', '.join(parts)}", f"next: {after}"]


COMMANDS = {
    "attach": Command(
        "[--end] REF",
        "Opens the agent's interactive program (opencode's; for a command agent KUGETSU_ATTACH_COMMAND) in the\n"
        "session and worktree of the issue, with the environment that an agent gets. Meanwhile the issue is held: no\n"
        "agent starts on it and no slot is used; kugetsu why and status say who holds it. It is given back when the\n"
        "program ends, however it ends, and what you did there is recorded as a result. While an agent works in the\n"
        "session it is refused with exit code 5: wait, or kugetsu queue cancel TASK.\n"
        "--end ends the program from elsewhere, for a terminal that you cannot reach any more.",
        _arguments,
        _attach,
        examples="kugetsu attach owner/project#14\nkugetsu attach --end owner/project#14  # from elsewhere",
        exits=(4, 5),
    )
}
