"""`kugetsu host list` and `kugetsu host lost`: the hosts that share a log."""

from __future__ import annotations

from typing import Any

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.host import host_file
from kugetsu.model.plural import counted
from kugetsu.runtime import membership
from kugetsu.runtime.query import contact
from kugetsu.views import hosts as view
from kugetsu.views import shared_log
from kugetsu.views.text import line


def _list_arguments(parser: Parser) -> None:
    parser.json()


def _list(call: Call) -> int:
    state = call.ready()
    paths = call.workspace.paths
    known, own = contact.known(paths, state, call.screen.now), host_file.read(paths.root)
    rows: list[dict[str, Any]] = [
        {
            "host": host.id,
            "name": host.name,
            "here": host.id == own,
            "state": host.state,
            "term": host.term,
            "cap": host.cap,
            "labels": host.labels,
            "live": [attempt.id for attempt in state.live_on(host.id)],
            "daemon": state.daemon_of(host.id).state,
            "heard_seconds": known.silent.get(host.id) if host.takes_part else None,
            "only_there": membership.only_there(state, host),
        }
        for host in state.hosts.values()
    ]
    call.show({"hosts": rows}, [] if call.json else view.listed(call.screen, rows))
    if not call.json:
        lack = shared_log.lack(known, call.screen.now)
        if lack is not None and rows:
            call.note(lack[2])
        if not rows:
            call.note("the log is this host's own: kugetsu help many-hosts")
    return 0


def _lost_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("name", metavar="HOST", help="its name, or the first digits of its id")


def _lost(call: Call) -> int:
    call.ready()
    host, events = membership.lose(call.workspace, call.args.name)
    left = membership.only_there(call.state(), host)
    given = [event["task"] for event in events if event["type"] == "task.retried"]
    said = f"host {line(host.name)} is lost: {counted(len(given), 'task')} given to the others"
    call.show({"host": host.id, "tasks": given, "only_there": left, "seq": events[0]["seq"]}, [said])
    if not call.json:
        call.note(*(f"only there: {view.work_left(one)}" for one in left), words=True)
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
}
