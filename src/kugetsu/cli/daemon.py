"""`kugetsu queue-daemon …`: start, stop, restart, run, status, logs."""

from __future__ import annotations

import os

from kugetsu.cli import tail_file
from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.model.errors import BadInput
from kugetsu.runtime import daemon_control, liveness
from kugetsu.runtime.daemon_control import DaemonStatus
from kugetsu.runtime.host_probe import of_export
from kugetsu.views import times
from kugetsu.views.status import daemon_data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.state import State
    from kugetsu.runtime.foreign import Foreign  # an exported log: its engine takes 20 ms

#: Lines of the daemon's log that are shown unless asked for more.
LINES = 40


def _arguments(parser: Parser) -> None:
    parser.json()


def _status_arguments(parser: Parser) -> None:
    parser.json()
    parser.source()


def _stop_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "--drain", action="store_true", help="start nothing new, and wait until running agents have ended"
    )


def _logs_arguments(parser: Parser) -> None:
    parser.add_argument(
        "-n", "--lines", type=int, default=LINES, metavar="N", help=f"number of lines (default {LINES})"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="follow new lines until Ctrl-C")
    parser.source()


def _start(call: Call) -> int:
    started, pid = daemon_control.start(call.workspace)
    _show_running(call, started, pid, "started")
    return 0


def _restart(call: Call) -> int:
    call.ready()
    started, pid = daemon_control.restart(call.workspace)
    _show_running(call, started, pid, "restarted")
    return 0


def _run_arguments(_parser: Parser) -> None:
    """It takes none."""


def _run(call: Call) -> int:
    call.ready()
    said = f"the daemon runs here, pid {os.getpid()}: Ctrl-C or SIGTERM stops it, agents continue"
    from kugetsu.runtime import daemon  # it imports loguru (55 ms), which no other subcommand needs

    daemon.run(call.workspace, lambda: call.note(said))
    return 0


def _show_running(call: Call, started: bool, pid: int, verb: str) -> None:
    text = f"the daemon {verb}, pid {pid}" if started else f"a daemon is already running (pid {pid})"
    call.show({"started": started, "pid": pid, "state": "running"}, [text])


def _stop(call: Call) -> int:
    state = call.ready()
    live = _own(call, state)
    if call.args.drain and live and not call.json:
        call.note(f"waiting for {', '.join(live)} to end")
    stopped = daemon_control.stop(call.workspace, drain=call.args.drain)
    left = _own(call, call.state())
    said = "the daemon stopped" if stopped else "no daemon is running"
    if left:
        rest = "continues: its runner owns it" if len(left) == 1 else "continue: their runners own them"
        said += f"; {', '.join(left)} {rest}"
    call.show({"stopped": stopped, "state": "stopped", "live": left}, [said])
    return 0


def _own(call: Call, state: State) -> list[str]:
    """The live attempts of this host: what its daemon waits for."""
    return sorted(
        one.id for one in state.attempts.values() if not liveness.is_elsewhere(call.workspace.paths, one.host)
    )


def _status(call: Call) -> int:
    known = _kept(call.foreign) if call.foreign is not None else daemon_control.of_state(call.workspace, call.ready())
    data = {"running": known.running, "state": known.state, "pid": known.pid, "since": known.since}
    since = f"since {times.moment(known.since, call.screen.now)}" if known.since is not None else ""
    if known.state == "lost":  # when it died nobody wrote down
        said = f"the daemon is lost (no reason recorded){f', it was running {since}' if since else ''}"
    else:
        pid = f"pid {known.pid}" if known.running else ""
        said = ", ".join(part for part in (f"the daemon is {known.state}", pid, since) if part)
    call.show(data, [said])
    if not known.running and not call.json and call.foreign is None:
        call.note("start it: kugetsu queue-daemon start")
    return 0


def _kept(place: Foreign) -> DaemonStatus:
    """The daemon as the look of a bundle tells, else as far as the log knows."""

    state = place.log.state()
    probe = of_export(place)
    alive = state.daemon.runs if probe is None else probe.daemon
    data = daemon_data(state, alive)
    pid = data["pid"] if alive else None
    return DaemonStatus(state.daemon.runs and alive, pid, state.daemon.changed_at or None, data["state"])


def _logs(call: Call) -> int:
    count = max(call.args.lines, 0)
    if call.foreign is not None:
        return _kept_logs(call, call.foreign, count)
    path = f"{call.workspace.paths.logs}/daemon.log"
    lines = tail_file.last_lines(path, count)
    if lines is None and not call.args.follow:
        call.ready()
        print("the daemon has not written a log yet")
        call.note("start it: kugetsu queue-daemon start")
        return 0
    tail_file.print_lines(lines or [], call.screen)
    if call.args.follow:
        for part in tail_file.follow(path):
            if part is not None:
                tail_file.print_lines(part, call.screen)
    return 0


def _kept_logs(call: Call, place: Foreign, count: int) -> int:
    if call.args.follow:
        raise BadInput("kugetsu queue-daemon logs: an exported log does not grow", "drop -f")
    lines = place.require("daemon.log").splitlines()
    tail_file.print_lines(lines[-count:] if count else [])
    return 0


STARTED = """\
started  whether it was started now; false: it was already running
pid      its process
state    running"""

COMMANDS = {
    "queue-daemon start": Command(
        "[--json]",
        "If a daemon is already running, says so and exits with 0.",
        _arguments,
        _start,
        json=STARTED,
        examples="kugetsu queue-daemon start",
    ),
    "queue-daemon stop": Command(
        "[--drain] [--json]",
        "",
        _stop_arguments,
        _stop,
        json="stopped  whether one was running\nstate    stopped\nlive[]   attempts that continue",
        examples="kugetsu queue-daemon stop --drain  # wait for running agents",
    ),
    "queue-daemon restart": Command(
        "[--json]", "", _arguments, _restart, json=STARTED, examples="kugetsu queue-daemon restart"
    ),
    "queue-daemon run": Command(
        "",
        "For a service manager (kugetsu help ssh shows a systemd unit), or to watch it: it logs to standard error\n"
        "too. SIGTERM and Ctrl-C stop it cleanly, with exit code 0; the agents continue. Exits with 5 if a daemon is\n"
        "already running.",
        _run_arguments,
        _run,
        examples="kugetsu queue-daemon run",
        exits=(5,),
    ),
    "queue-daemon status": Command(
        "[--from FILE] [--json]",
        "",
        _status_arguments,
        _status,
        json="running  whether it is running\n"
        "state    running, draining, stopped or lost (exited without recording a reason)\n"
        "pid      its process, or null\n"
        "since    when it entered that state (UTC), or null",
        examples="kugetsu queue-daemon status",
    ),
    "queue-daemon logs": Command(
        "[-n N] [-f] [--from FILE]",
        "",
        _logs_arguments,
        _logs,
        examples="kugetsu queue-daemon logs -n 100\nkugetsu queue-daemon logs -f  # follow until Ctrl-C",
    ),
}
