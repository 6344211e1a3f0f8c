"""`kugetsu status`: one screen, once or every second. On the start-up budget: only what it shows is imported."""

from __future__ import annotations

import sys

from kugetsu.cli.declarations import Command
from kugetsu.model.errors import BadInput
from kugetsu.runtime import host_probe, liveness
from kugetsu.views import status as view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.cli.call import Call
    from kugetsu.cli.parser import Parser
    from kugetsu.domain.state import State
    from kugetsu.runtime.workspace import Workspace
    from kugetsu.views.status import Probes, StatusData

#: Seconds between two screens of --watch.
EVERY = 1.0


ABOUT = """\
--at shows the screen as it was at a point of the past: a seq (214), @-3, a time (2026-11-23T10:00) or 10m ago; when the
next task would have started is asked with the settings and the machine as the nearest decision recorded them. Whether
a process lived then nobody can tell: what the log knew is shown. --from shows that of another place; a bundle knows
what lived when it was made."""


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.at()
    parser.source()
    parser.add_argument("--watch", action="store_true", help="draw it anew every second until Ctrl-C")


def _status(call: Call) -> int:
    if call.args.at is not None or call.elsewhere is not None:
        return _then(call)
    if call.args.watch and sys.stdout.isatty() and not call.json:
        return _watch(call)
    data = collect(call.workspace)
    call.show(data, view.lines(data, call.screen, call.workspace.paths.how_to_set_up()))
    return 0


def _then(call: Call) -> int:
    """The screen of a point of the past, or of another place: nothing is probed."""
    if call.args.watch:
        raise BadInput("kugetsu status: what is over does not change", "leave out --watch, or --at and --from")
    from kugetsu.cli import at

    then = at.point(call, call.args.at)
    data = view.collect(then.state, call.workspace.paths.root, then.facts, _seen(call, then.state), then.past)
    if call.elsewhere is not None and call.elsewhere.archive.part:
        # What its events follow is not known: that the machines refuse some says nothing.
        data["attention"] = [entry for entry in data["attention"] if entry["state"] != "violated"]
    call.show(data, view.lines(data, call.screen.at(then.now)))
    return 0


def _seen(call: Call, state: State) -> Probes:
    """What somebody saw who looked at that point: nobody, but for the end of a bundle."""
    seen = call.elsewhere.look if call.elsewhere is not None and call.args.at is None else None
    if seen is None:
        return view.Probes(alive=lambda _: None, daemon_alive=state.daemon.runs, progress=lambda _: None, warnings=[])
    return view.Probes(seen.alive, seen.daemon, seen.progress, call.workspace.config.warnings())


def _watch(call: Call) -> int:
    import time

    while True:
        data = collect(call.workspace)
        lines = view.lines(data, call.screen)
        # Home, each line cleared to its end, then everything below: nothing flickers.
        drawn = "".join(f"{line}\x1b[K\n" for line in call.fitting(lines, sys.stdout))
        print(f"\x1b[H{drawn}\x1b[J", end="", flush=True)
        time.sleep(EVERY)
        call.forget_screen()
        call.workspace.reload()


def collect(ws: Workspace) -> StatusData:
    """What `status` shows now."""
    state = ws.state()
    now = host_probe.facts_now(ws, state)
    probes = view.Probes(
        alive=lambda attempt: liveness.of(ws.paths, attempt),
        daemon_alive=now["dispatcher"] == "daemon",
        progress=lambda attempt: host_probe.progress(ws, state, attempt),
        warnings=ws.config.warnings(),
    )
    return view.collect(state, ws.paths.root, now, probes)


JSON = """\
initialised          whether kugetsu is set up
directory            KUGETSU_DIR
now                  when this was answered; times are UTC
seq                  the last event's number
daemon.state         running, draining, stopped or lost (it ended without a word)
daemon.pid           its process, or null
daemon.since         when it came into that state, or null; null when it is lost and nobody has recorded it yet
cap                  MAX_CONCURRENT_AGENTS
live                 how many slots are used
agents[].slot        1 to cap, or null for the PM agent
agents[].attempt     the attempt's id
agents[].task        the task's id
agents[].issue       host/owner/repo#N, or null
agents[].state       claimed, starting or running
agents[].alive       false when its process is gone and nobody has recorded that yet; null where nobody looked
agents[].stopping    why it is being stopped, or null
agents[].since       when it was claimed
agents[].tokens      what it took so far, as its output says; so are the next three
agents[].cost        what it cost so far
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
attention[].command  the command that helps
as_of.seq            with --at or --from: the last event that counts; else as_of is null
as_of.at             the point's time (UTC)
as_of.facts_from     the event whose recorded facts the gates were asked with, or null
as_of.facts_at       its time (UTC); without one, when the bundle that has them was made; or null"""

COMMANDS = {
    "status": Command(
        "[--watch] [--at WHEN] [--from FILE] [--json]",
        ABOUT,
        _arguments,
        _status,
        json=JSON,
        examples="kugetsu status\nkugetsu status --watch\nkugetsu status --at 10m ago\n"
        "kugetsu status --from kugetsu.tar.gz  # what somebody saw who sent this bundle",
        exits=(4,),
    )
}
