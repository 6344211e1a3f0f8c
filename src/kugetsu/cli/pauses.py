"""`kugetsu queue pause` and `kugetsu queue resume`: no waiting task starts meanwhile, of any repository or of one."""

from __future__ import annotations

from typing import Any

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.cli.queue import warn_without_daemon
from kugetsu.domain.decide import pauses
from kugetsu.domain.state import State
from kugetsu.model import clock
from kugetsu.model.plural import counted
from kugetsu.runtime.query import subjects, timespec
from kugetsu.views import pauses as view

REPOSITORY = "REPO is host/owner/repo, owner/repo on the default server, or . inside a clone."


def _repository_argument(parser: Parser) -> None:
    parser.json()
    parser.add_argument("repository", metavar="REPO", nargs="?", completes="repository", help="only of this repository")


def _pause_arguments(parser: Parser) -> None:
    _repository_argument(parser)
    parser.add_argument("--until", metavar="WHEN", help="resume by itself: 18:00, 2h, 2026-11-23T18:00")


def _repository(call: Call) -> str | None:
    given = call.args.repository
    return subjects.repository(call.workspace, given) if given is not None else None


def _running(state: State, repository: str | None) -> list[str]:
    live = state.attempts.values() if repository is None else state.live_in(repository)
    return [attempt.id for attempt in live]


def _pause(call: Call) -> int:
    now = clock.now()
    repository = _repository(call)
    until = timespec.until(call.args.until, now) if call.args.until is not None else None
    call.ready()
    events = call.workspace.log.transact(lambda state: pauses.pause(state, repository, until, now))
    running = _running(call.state(), repository)
    data = {
        "repository": repository,
        "until": until,
        "running": running,
        "seq": events[0]["seq"] if events else None,
    }
    said = view.sentence(repository, until, now)
    call.show(data, [said if events else f"{said} already: nothing changed"])
    if call.json:
        return 0
    call.note(f"resume: {view.command(repository)}")
    call.note_undo(events)
    if running:
        verb = "runs" if len(running) == 1 else "run"
        agents = f"{counted(len(running), 'agent')} {verb} on ({', '.join(running)})"
        call.note(f"{agents}; to stop one: kugetsu queue cancel {running[0].partition('.')[0]}")
    return 0


def _resume(call: Call) -> int:
    repository = _repository(call)
    call.ready()
    events = call.workspace.log.transact(lambda state: pauses.resume(state, repository))
    left: list[dict[str, Any]] = view.data(call.state(), clock.now())
    data = {"repository": repository, "seq": events[0]["seq"], "paused": left}
    call.show(data, [f"the queue{view.of(repository)} goes on"])
    if not call.json and left:
        call.note(*view.lines(left, clock.now()))
    call.note_undo(events)
    warn_without_daemon(call)
    return 0


COMMANDS = {
    "queue pause": Command(
        "[REPO] [--until WHEN] [--json]",
        f"{REPOSITORY} Without it, no task of any repository\nstarts, and none of the PM agent. Agents that run "
        "are not touched. A task can be started all the same: kugetsu start --anyway.",
        _pause_arguments,
        _pause,
        json="repository  host/owner/repo, or null for all\n"
        "until       when the queue goes on by itself (UTC), or null\n"
        "running[]   attempts that run on\n"
        "seq         the event that records it, or null if it was paused so already",
        examples="kugetsu queue pause\nkugetsu queue pause owner/project --until 18:00",
    ),
    "queue resume": Command(
        "[REPO] [--json]",
        f"{REPOSITORY} Pauses of other repositories stay.",
        _repository_argument,
        _resume,
        json="repository           host/owner/repo, or null for all\n"
        "seq                  the event that records it\n"
        "paused[].repository  what is still paused, or null for all repositories\n"
        "paused[].until       when it ends by itself (UTC), or null\n"
        "paused[].since       when it was paused (UTC)\n"
        "paused[].event       the event that paused it",
        examples="kugetsu queue resume\nkugetsu queue resume owner/project",
        exits=(4,),
    ),
}
