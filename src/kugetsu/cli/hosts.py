"""`kugetsu host list`, `lost`, `drain`, `undrain`, `leave` and `join`: the hosts that share a log."""

from __future__ import annotations

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain import hosts
from kugetsu.host import host_file
from kugetsu.model.plural import counted
from kugetsu.runtime import membership, silent_hosts
from kugetsu.runtime.query import contact
from kugetsu.views import hosts as view
from kugetsu.views.gates import of_host
from kugetsu.views.text import line


def _list_arguments(parser: Parser) -> None:
    parser.json()


def _list(call: Call) -> int:
    state = call.ready()
    paths = call.workspace.paths
    known, own = contact.known(paths, state, call.screen.now), host_file.read(paths.root)
    rows = view.rows(state, own, known)
    call.show({"hosts": rows}, view.listed(call.screen, rows) if rows and not call.json else [])
    if not call.json:
        lack = view.lack(known, call.screen.now)
        if lack is not None and rows:
            call.note(lack[2], words=True)
        if not rows:
            call.note("the log is this host's own: kugetsu help many-hosts")
    return 0


def _lost_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("name", metavar="HOST", help="its name, or the first digits of its id")


def _lost(call: Call) -> int:
    call.ready()
    host, events = silent_hosts.lose(call.workspace, call.args.name)
    left = hosts.only_there(call.state(), host)
    given = [event["task"] for event in events if event["type"] == "task.retried"]
    said = f"host {line(host.name)} is lost: {counted(len(given), 'task')} given to the others"
    call.show({"host": host.id, "tasks": given, "only_there": left, "seq": events[0]["seq"]}, [said])
    if not call.json:
        call.note(*(f"only there: {view.work_left(one)}" for one in left), words=True)
    return 0


def _of_host(parser: Parser) -> None:
    parser.json()
    parser.add_argument("name", metavar="HOST", nargs="?", help="its name, or the first digits of its id (this host)")


def _drain(call: Call) -> int:
    call.ready()
    host, events = membership.drain(call.workspace, call.args.name)
    running = [attempt.id for attempt in call.state().live_on(host.id)]
    told = "starts nothing new" if events else "starts nothing new already"
    call.show(
        {"host": host.id, "live": running, "seq": events[0]["seq"] if events else None},
        [f"host {line(host.name)} {told}; {counted(len(running), 'agent')} still running there"],
    )
    if not call.json:
        call.note(f"to let it start tasks again: {of_host('undrain', host.name)}")
    return 0


def _undrain(call: Call) -> int:
    call.ready()
    host, events = membership.undrain(call.workspace, call.args.name)
    told = "starts tasks again" if events else "is not draining"
    call.show({"host": host.id, "seq": events[0]["seq"] if events else None}, [f"host {line(host.name)} {told}"])
    return 0


def _leave_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--force", action="store_true", help="leave although work of sessions is only on this host")


def _leave(call: Call) -> int:
    from kugetsu.runtime.host_leave import leave

    call.ready()
    host, left_now = leave(call.workspace, force=call.args.force)
    there = hosts.only_there(call.state(), call.state().hosts[host.id])
    told = "has left the shared log" if left_now else "has left the shared log already"
    call.show({"host": host.id, "left_now": left_now, "only_there": there}, [f"host {line(host.name)} {told}"])
    if not call.json:
        call.note(*(f"only here: {view.work_left(one)}" for one in there), words=True)
        call.note("to take part again: kugetsu host join")
    return 0


def _join_arguments(parser: Parser) -> None:
    parser.json()


def _join(call: Call) -> int:
    from kugetsu.runtime import rejoin  # it loads what a daemon needs

    call.ready()
    membership.find(call.workspace, None)
    term = rejoin.on_request(call.workspace)
    host = membership.find(call.workspace, None)
    told = f"host {line(host.name)} takes part in the shared log, term {host.term}"
    call.show({"host": host.id, "term": host.term, "joined_now": term is not None}, [told])
    if not call.json and term is not None:
        call.note("next: kugetsu queue-daemon start")
    return 0


_ONLY_THERE = """\
only_there[].session   a session whose work may be on that host alone
only_there[].worktree  its folder there
only_there[].branch    its branch, or null
only_there[].head      its last known commit, or null"""


def _of_each_host(text: str) -> str:
    return "\n".join(f"hosts[].{row}" for row in text.splitlines())


COMMANDS = {
    "host list": Command(
        "[--json]",
        "The hosts that share this log, with what each offers and runs, and when the database last heard of it.",
        _list_arguments,
        _list,
        json=f"""\
hosts[].host           its id
hosts[].name           what people call it: HOST_NAME there
hosts[].here           whether it is this one
hosts[].state          joined, draining, left or lost
hosts[].term           the number of its latest join
hosts[].cap            how many agents may run there
hosts[].labels[]       what it offers: HOST_LABELS there
hosts[].rests          whether its daemon is stopped and nothing of it runs: silence does not make it lost
hosts[].used           how many of its slots are used: the PM agent needs none
hosts[].live[]         its live attempts
hosts[].daemon         its daemon, as far as the log tells
hosts[].heard_seconds  seconds since it was heard of, or null
{_of_each_host(_ONLY_THERE)}""",
        examples="kugetsu host list",
    ),
    "host lost": Command(
        "HOST [--json]",
        "For when you know that a host is gone for good, or stays away: its attempts end as lost, and its tasks run\n"
        "elsewhere at once, instead of after its time to live (30 minutes). If it does run, its agents go on until it\n"
        "notices, within seconds of its next word with the database.",
        _lost_arguments,
        _lost,
        json=f"""\
host     its id
tasks[]  the tasks that run elsewhere now
seq      of the event host.lost
{_ONLY_THERE}""",
        examples="kugetsu host lost box2",
        exits=(4, 5),
    ),
    "host drain": Command(
        "[HOST] [--json]",
        "The host (this one, if none is named) starts nothing new until kugetsu host undrain, whatever is restarted\n"
        "meanwhile. Agents that run go on. Tasks go to the other hosts, except those whose session is on this one.",
        _of_host,
        _drain,
        json="host    its id\nlive[]  the attempts that still run there\nseq     of the event; null: it was draining",
        examples="kugetsu host drain\nkugetsu host drain box2",
        exits=(4, 5),
    ),
    "host undrain": Command(
        "[HOST] [--json]",
        "The host (this one, if none is named) starts tasks again.",
        _of_host,
        _undrain,
        json="host  its id\nseq   of the event, or null if it was not draining",
        examples="kugetsu host undrain box2",
        exits=(4, 5),
    ),
    "host leave": Command(
        "[--force] [--json]",
        "This host takes part no more: its daemon stops, and other hosts prepare its sessions anew, from the branches\n"
        "that were pushed, when they are needed. Refused while an agent or a person works here, and while work of\n"
        "a session is only here. Worktrees stay. Drain it first, and wait for its agents.",
        _leave_arguments,
        _leave,
        json=f"host      its id\nleft_now  false if it had left before\n{_ONLY_THERE}",
        examples="kugetsu host leave",
        exits=(4, 5),
    ),
    "host join": Command(
        "[--json]",
        "After kugetsu host leave, or when this host was lost and no daemon runs: it takes part again, with a new\n"
        "term. Then start its daemon. (A host that never joined: kugetsu init --join URL.)",
        _join_arguments,
        _join,
        json="host        its id\nterm        the number of its latest join\njoined_now  false if it took part before",
        examples="kugetsu host join",
        exits=(4, 5),
    ),
}
