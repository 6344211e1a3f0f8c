"""`kugetsu status`: one screen, once or every second. On the start-up budget: only what it shows is imported."""

from __future__ import annotations

import sys

from kugetsu.cli.declarations import Command
from kugetsu.runtime import facts, liveness
from kugetsu.views import status as view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.agents.progress import Progress
    from kugetsu.cli.call import Call
    from kugetsu.cli.parser import Parser
    from kugetsu.domain.state import Attempt, State
    from kugetsu.runtime.workspace import Workspace
    from kugetsu.views.status import StatusData

#: Seconds between two screens of --watch.
EVERY = 1.0


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--watch", action="store_true", help="draw it anew every second until Ctrl-C")


def _status(call: Call) -> int:
    if call.args.watch and sys.stdout.isatty() and not call.json:
        return _watch(call)
    data = collect(call.workspace)
    call.show(data, view.lines(data, call.screen))
    return 0


def _watch(call: Call) -> int:
    import time

    while True:
        data = collect(call.workspace)
        lines = view.lines(data, call.screen)
        # Home, each line cleared to its end, then everything below: nothing flickers.
        print("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J", end="", flush=True)
        time.sleep(EVERY)
        call.forget_screen()
        call.workspace.reload()


def collect(ws: Workspace) -> StatusData:
    """What `status` shows now."""
    state = ws.state()
    daemon_alive = state.daemon.state in ("running", "draining") and liveness.daemon(ws.paths, state)
    now = facts.claim_facts(ws.config, "daemon" if daemon_alive else "none", ws.paths.root)
    probes = view.Probes(
        alive=lambda attempt: liveness.of(ws.paths, attempt),
        daemon_alive=daemon_alive,
        progress=lambda attempt: progress(ws, state, attempt),
        warnings=ws.config.warnings(),
    )
    return view.collect(state, ws.paths.root, now, probes)


def progress(ws: Workspace, state: State, attempt: Attempt) -> Progress | None:
    """What an attempt's agent did last, from its output; None before it has an output."""
    from kugetsu.agents import progress

    session = state.sessions.get(attempt.session)
    folder = ws.paths.run(attempt.id)
    if session is not None and session.agent == "command":
        return progress.of_text(f"{folder}/output.jsonl")
    return progress.of_opencode(f"{folder}/output.jsonl", f"{folder}/stderr.log")


JSON = """\
initialised          whether kugetsu is set up
directory            KUGETSU_DIR
now                  when this was answered; times are UTC
seq                  the last event's number
daemon.state         running, draining, stopped or lost (it ended without a word)
daemon.pid           its process, or null
daemon.since         when it came into that state, or null
cap                  MAX_CONCURRENT_AGENTS
live                 how many slots are used
agents[].slot        1 to cap, or null for the PM agent
agents[].attempt     the attempt's id
agents[].task        the task's id
agents[].issue       host/owner/repo#N, or null
agents[].state       claimed, starting or running
agents[].alive       false when its process is gone and nobody has recorded that yet
agents[].stopping    why it is being stopped, or null
agents[].since       when it was claimed
agents[].tokens      what it took so far
agents[].cost        what it cost so far, as the agent says
agents[].last        what it did last, or null
agents[].last_at     when, or null
queue.*              how many tasks are in each state
next.task            the task that starts next, or null
next.gate            what holds it, or null when it may start now
next.reason          the same in words
next.until           until when, or null
attention[].subject  what wants a look
attention[].state    in which state it is
attention[].text     why
attention[].command  the command that helps"""

COMMANDS = {
    "status": Command(
        "[--watch] [--json]", "", _arguments, _status, json=JSON, examples="kugetsu status\nkugetsu status --watch"
    )
}
