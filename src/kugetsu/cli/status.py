"""`kugetsu status`: one screen, once or every second. On the start-up budget: only what it shows is imported."""

from __future__ import annotations

import sys

from kugetsu.cli.call import Command
from kugetsu.model.errors import BadInput
from kugetsu.runtime.query import points
from kugetsu.views import status as view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.cli.call import Call
    from kugetsu.cli.parser import Parser
    from kugetsu.domain.state import State
    from kugetsu.views.status_data import StatusData

#: Seconds between two screens of --watch.
EVERY = 1.0


ABOUT = """\
--at shows the screen at a point in the past: a seq (214), @-3, a time (2026-11-23T10:00) or 10m ago. The next start is
computed with the settings and machine that the nearest decision recorded. Whether a process was alive then is unknown:
the screen shows what the log recorded. --from shows another machine's log; a bundle records which processes were alive
when it was made."""


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.at()
    parser.source()
    parser.add_argument("--watch", action="store_true", help="refresh every second until Ctrl-C")


def _status(call: Call) -> int:
    past = call.args.at is not None or call.foreign is not None
    if call.args.watch and past:
        raise BadInput("kugetsu status: cannot watch a past point", "drop --watch, or --at and --from")
    if call.args.watch and sys.stdout.isatty() and not call.json:
        return _watch(call)
    if not past:
        data = collect(call)
        call.show(data, view.lines(data, call.screen, call.workspace.paths.how_to_set_up()))
        return 0
    then = points.point(call.workspace, call.args.at, call.screen.now)
    data = view.collect(then.state, call.workspace.paths.root, then.facts, then.probes, then.past)
    if then.state.hosts:
        _add_hosts(call, data, then.state)
    if call.foreign is not None and call.foreign.log.part:
        # What its events follow is not known: that the machines refuse some says nothing.
        data["attention"] = [entry for entry in data["attention"] if entry["state"] != "violated"]
    call.show(data, view.lines(data, call.screen.at(then.now)))
    return 0


def _watch(call: Call) -> int:
    import time

    while True:
        data = collect(call)
        lines = view.lines(data, call.screen)
        # Home, each line cleared to its end, then everything below: nothing flickers.
        drawn = "".join(f"{line}\x1b[K\n" for line in call.fitting(lines, sys.stdout))
        print(f"\x1b[H{drawn}\x1b[J", end="", flush=True)
        time.sleep(EVERY)
        call.forget_screen()
        call.workspace.reload()


def collect(call: Call) -> StatusData:
    """What the screen shows now."""
    now = points.present(call.workspace, call.screen.now)
    data = view.collect(now.state, call.workspace.paths.root, now.facts, now.probes)
    if now.state.intake or any(session.pull for session in now.state.sessions.values()):
        from kugetsu.runtime.query import forge_looks  # start-up: most have no forge

        data["forges"] = forge_looks.known(call.workspace.paths, now.state, now.now)
    if now.state.hosts:
        _add_hosts(call, data, now.state, present=True)
    return data


def _add_hosts(call: Call, data: StatusData, state: State, *, present: bool = False) -> None:
    """What other hosts do; of the present also whether that is up to date."""
    from kugetsu.host import host_file  # start-up: most have one host
    from kugetsu.runtime.query import contact
    from kugetsu.views import hosts

    paths = call.workspace.paths
    own = host_file.read(paths.root) if call.foreign is None else None
    known = contact.known(paths, state, data["now"]) if present else None
    data["hosts"] = hosts.collect(state, own, known)
    lack = hosts.lack(known, data["now"]) if known is not None else None
    if lack is not None:
        subject, kind, text, command = lack
        data["attention"].insert(0, {"subject": subject, "state": kind, "text": text, "command": command})


JSON = """\
initialised          whether kugetsu is set up
directory            KUGETSU_DIR
now                  the time of this answer; times are UTC
seq                  the last event's number
daemon.state         running, draining, stopped or lost (it exited without recording a reason)
daemon.pid           its process, or null
daemon.since         when it entered that state, or null; null if it is lost and that is not recorded yet
cap                  MAX_CONCURRENT_AGENTS
live                 how many slots are used
agents[].slot        1 to cap, or null for the PM agent
agents[].attempt     the attempt's id
agents[].task        the task's id
agents[].issue       host/owner/repo#N, or null
agents[].state       claimed, starting or running
agents[].alive       false if its process has ended and that is not recorded yet; null if it was not checked
agents[].host        the name of its host, or null if the log is one host's own
agents[].stopping    why it is being stopped, or null
agents[].since       when it was claimed
agents[].tokens      tokens so far, according to its output, like the next three
agents[].cost        cost so far
agents[].last        its last action, or null
agents[].last_at     when, or null
attached[].issue     an issue that a person works on (kugetsu attach)
attached[].user      who
attached[].host      on which host
attached[].pid       the process that holds it
attached[].since     UTC
queue.*              number of tasks by state (notified: running)
unacknowledged       number of failed tasks that nobody has acknowledged
next.task            the task that starts next, or null
next.gate            what holds it, or null when it may start now
next.reason          the same as text
next.until           until when, or null
asks.count           number of issues whose agent asks something and waits for the answer
asks.issues[]        the first of them, the longest waiting first
asks.command         the command that comes next, or null
to_review.*          the same of issues whose work is to be reviewed
attention[].subject  what needs attention
attention[].state    its state
attention[].text     why
attention[].command  the command that helps
hosts[].host         the id of a host that shares the log
hosts[].name         what people call it
hosts[].state        joined, draining, left or lost
hosts[].since        since when, UTC
hosts[].here         whether it is this one
hosts[].live         how many slots are used there
hosts[].cap          MAX_CONCURRENT_AGENTS there
hosts[].daemon       its daemon, as far as the log tells
hosts[].silent_seconds  for how long the database had not heard of it, or null
forges[].host        a forge with labelled issues or open pull requests; empty with --at or --from
forges[].answered_at  when it answered last, whoever asked, or null
forges[].paused_until  until when it is not asked, by its rate limit, or null
as_of.seq            with --at or --from: the last event included; else as_of is null
as_of.at             the time of that point (UTC)
as_of.facts_from     the event whose recorded facts the gates used, or null
as_of.facts_at       its time (UTC); without one, when the bundle that has them was made; or null"""

COMMANDS = {
    "status": Command(
        "[--watch] [--at WHEN] [--from FILE] [--json]",
        ABOUT,
        _arguments,
        _status,
        json=JSON,
        examples="kugetsu status\nkugetsu status --watch\nkugetsu status --at 10m ago\n"
        "kugetsu status --from kugetsu.tar.gz  # the screen of whoever sent this bundle",
        exits=(4,),
    )
}
