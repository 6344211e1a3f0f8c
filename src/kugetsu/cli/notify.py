"""`kugetsu notify …`: list, clear, watch, sinks, test."""

from __future__ import annotations

import os
import sys
from typing import Any

from kugetsu.cli.call import Call, Command, print_json
from kugetsu.cli.parser import Parser
from kugetsu.domain.decide import notifications as decide
from kugetsu.domain.events import Event
from kugetsu.model.errors import BadInput, KugetsuError, NotFound
from kugetsu.model.plural import counted
from kugetsu.model.setting_kinds import SINKS as KNOWN
from kugetsu.runtime import host_id, liveness
from kugetsu.runtime.notifications import message, reading, sinks
from kugetsu.runtime.notifications.reading import Found
from kugetsu.runtime.process.named_lease import NOTIFIER
from kugetsu.views import notifications as view

#: Notifications that are shown unless asked for more, and the most that may be asked for.
LIMIT = 50
MOST = 1000

KINDS = """\
task_queued     a task waits in the queue
task_dequeued   the daemon took it from the queue to work on it
task_started    its agent runs
task_completed  its agent finished
task_error      its attempts are used up, or no retry helps
task_parked     it waits for a usage limit, or for somebody to unblock it
agent_lost      an agent (or the daemon) died without recording a reason
loop_held       nothing goes on by itself with a pull request or its verification: it is for you"""

SINKS = """\
NOTIFY_SINKS selects the sinks, NOTIFY_EVENTS the kinds to send; events before a sink was selected are not sent. The
daemon's notifier sends them; while no daemon is running they wait. Events within one second are sent together, more
than NOTIFY_DIGEST_OVER as a digest. A failed delivery is retried after 30 s, doubling to 30 min, 8 times in all; one
that the receiver refuses for good is given up at once. Notifications never delay a task.

desktop  notify-send (macOS: osascript), in the desktop session that the daemon was started in. At most once: an
         interrupted delivery is recorded as such and not repeated
command  NOTIFY_COMMAND, for 30 s at most: the message is its input; KUGETSU_NOTICE_TYPE, _ISSUE, _TASK, _DELIVERY and
         _JSON and the variables of env/notify.env are in its environment; exit 0 means sent. At most once, as desktop
webhook  POST of {"delivery", "text", "notices", "more"} to NOTIFY_WEBHOOK_URL in env/notify.env; redirects are not
         followed. At least once: a repetition has the same Idempotency-Key and X-Kugetsu-Delivery
comment  a comment on the issue, for task_completed, task_error, task_parked, agent_lost and loop_held; not for the
         PM's tasks. Exactly once: before posting again it searches for the hidden marker"""


def _list_arguments(parser: Parser) -> None:
    parser.json()
    parser.source()
    parser.add_argument("--all", action="store_true", help="include those that were read")
    parser.add_argument("--limit", type=int, default=LIMIT, metavar="N", help=f"the latest N (default {LIMIT})")


def _clear_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--until", type=int, metavar="SEQ", help="only those up to event SEQ")


def _watch_arguments(parser: Parser) -> None:
    parser.add_argument("--all", action="store_true", help="start with those that were read, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line; errors too")


def _test_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "sinks", nargs="*", metavar="SINK", completes="sink", help="which sinks (default: NOTIFY_SINKS)"
    )


def _json_argument(parser: Parser) -> None:
    parser.json()


def _found(call: Call, limit: int) -> tuple[Found, int, int]:
    """The notifications to show, the read mark, and the seq of the last event that was looked at."""
    if not 1 <= limit <= MOST:
        raise BadInput(f"--limit {limit}: must be between 1 and {MOST}", "kugetsu history --all shows everything")
    state = call.ready()
    read, head = state.notices_read, state.seq
    after = 0 if call.args.all else read
    return reading.latest(call.workspace, after=after, until=head, limit=limit), read, head


def _list(call: Call) -> int:
    found, read, head = _found(call, call.args.limit)
    unread = sum(notice.seq > read for notice in found.notices)
    shown = {
        "notices": [view.data(notice, read) for notice in found.notices],
        "unread": unread,
        "more": found.more,
        "read_until": read,
        "head": head,
    }
    lines = [] if call.json else view.lines(found.notices, call.screen)
    call.show(shown, lines if found.notices else [_nothing(call, found)])
    if not call.json and call.foreign is None:
        _show_next_steps(call, found, unread)
    return 0


def _nothing(call: Call, found: Found) -> str:
    if found.looked_from:
        return f"no notifications since event {found.looked_from}"
    return "no notifications yet" if call.args.all else "nothing is unread"


def _show_next_steps(call: Call, found: Found, unread: int) -> None:
    if found.looked_from:
        call.note(f"events before {found.looked_from} were not searched: kugetsu history --all")
    elif found.more:
        call.note(f"older ones are not shown: --limit N shows the latest N (at most {MOST})")
    if unread:
        call.note("mark as read: kugetsu notify clear")
    elif not call.args.all:
        call.note("to see read ones: kugetsu notify list --all")


def _clear(call: Call) -> int:
    state = call.ready()
    until = state.seq if call.args.until is None else call.args.until
    if not 0 <= until <= state.seq:
        raise NotFound(f"no event {until}: the log has events 1 to {state.seq}", "kugetsu notify list")
    found = reading.latest(call.workspace, after=state.notices_read, until=until, limit=MOST)
    marked, more = len(found.notices), found.more
    events: list[Event] = []
    if marked or more:
        last = found.notices[-1].seq if marked else until
        events = call.workspace.log.transact(lambda now: decide.mark_read(now, last))
        until = last
    count = f"{marked} or more" if more else ""
    said = f"marked {count + ' notifications' if count else counted(marked, 'notification')} as read"
    read_until = max(call.state().notices_read, state.notices_read)
    call.show(
        {"marked": marked, "more": more, "read_until": read_until, "seq": events[0]["seq"] if events else None},
        [said if marked or more else "nothing to mark: all of them are already read"],
    )
    call.note_undo(events)
    return 0


def _watch(call: Call) -> int:
    found, read, head = _found(call, LIMIT)
    if call.json:
        for notice in found.notices:
            print_json(view.data(notice, read), compact=True)
    elif found.notices:
        call.print_lines(view.lines(found.notices, call.screen))
    else:
        call.note("nothing is unread; new ones appear here until Ctrl-C")
    sys.stdout.flush()
    for news in reading.following(call.workspace, head):
        if news is None:
            continue
        if call.json:
            print_json(view.data(news, call.state().notices_read), compact=True)
        else:
            call.forget_screen()
            call.print_lines([view.coming(news, call.screen)])
        sys.stdout.flush()
    return 0


def _sinks(call: Call) -> int:
    state = call.ready()
    ws = call.workspace
    configured = ws.config.text("NOTIFY_SINKS").split()
    shown: list[dict[str, Any]] = []
    host = host_id.sharing(ws, state)
    served = [decide.outbox_of(name, host) for name in configured]
    own = {decide.outbox_of(name, host) for name in KNOWN}
    for name in dict.fromkeys([*served, *(one for one in state.outbox if one in own)]):
        ready, setup = sinks.make(decide.sink_of(name), ws).describe()
        shown.append(view.sink_data(name, name in served, ready, setup, state))
    notifier = NOTIFIER.alive(ws.paths)
    events = ws.config.text("NOTIFY_EVENTS").split()
    data = {"courier": notifier, "daemon": liveness.daemon(ws.paths, state), "events": events, "sinks": shown}
    lines = [] if call.json else [part for sink in shown for part in view.sink_lines(sink, call.screen)]
    call.show(data, lines or ["no sink is set: notifications are only listed"])
    if call.json:
        return 0
    if not configured:
        call.note("send them: kugetsu config set NOTIFY_SINKS desktop  (or command, webhook, comment)", words=True)
    elif not data["daemon"]:
        call.note("nothing is sent while no daemon is running: kugetsu queue-daemon start")
    elif not notifier:
        call.note(f"the notifier is not running; the daemon starts it: see {ws.paths.logs}/daemon.log")
    else:
        call.note("try them: kugetsu notify test")
    return 0


def _test(call: Call) -> int:
    call.ready()
    names = list(dict.fromkeys(call.args.sinks)) or call.workspace.config.text("NOTIFY_SINKS").split()
    for name in names:
        if name not in KNOWN:
            raise BadInput(f"unknown sink: {name[:60]!r}", f"the sinks are: {', '.join(KNOWN)}")
    if not names:
        raise KugetsuError("no sink is set: nothing to test", "kugetsu config set NOTIFY_SINKS desktop")
    told = message.test_message(f"test-{os.urandom(4).hex()}")
    results = []
    for name in names:
        outcome = sinks.make(name, call.workspace).test(told)
        results.append({"sink": name, "sent": outcome.sent, "text": outcome.text})
        if not call.json:
            verdict = call.screen.green("ok") if outcome.sent else call.screen.red("failed")
            call.print_lines([f"{name:<9}{verdict}: {outcome.text}"], flush=True)
    if call.json:
        call.show({"delivery": told.delivery, "results": results}, [])
    return 0 if all(result["sent"] for result in results) else 1


NOTICE = """\
notices[].seq      its event
notices[].at       when (UTC)
notices[].type     its kind
notices[].issue    host/owner/repo#N, or null
notices[].task     the task's id, or null
notices[].attempt  the attempt's id, or null
notices[].text     what happened, in one line
notices[].title    the issue's title, else the first line of the task's message, or null
notices[].result   what came of the task (a kind, as in kugetsu report --json), or null if it did not end, or went on
notices[].words    the result of a completed task in a few words, or null
notices[].url      the pull request's or the issue's page, or null
notices[].read     whether it was marked as read"""

COMMANDS = {
    "notify list": Command(
        "[--all] [--limit N] [--from FILE] [--json]",
        f"The oldest comes first. The kinds:\n\n{KINDS}",
        _list_arguments,
        _list,
        json=f"{NOTICE}\n"
        "unread             how many of these are unread\n"
        "more               whether older ones are not shown\n"
        "read_until         the event up to which they were marked as read\n"
        "head               the last event that was searched",
        examples="kugetsu notify list\nkugetsu notify list --all --limit 200",
    ),
    "notify clear": Command(
        "[--until SEQ] [--json]",
        "When nothing is unread it changes nothing, and exits with 0.",
        _clear_arguments,
        _clear,
        json="marked      how many were marked\n"
        "more        whether there were more, so that the number is a lower bound\n"
        "read_until  the event up to which they are marked as read\n"
        "seq         the event that records it, or null if there were none",
        examples="kugetsu notify clear\nkugetsu notify clear --until 214  # later ones stay unread",
        exits=(4,),
    ),
    "notify watch": Command(
        "[--all] [--json]",
        "Starts with the unread ones, then follows new ones until Ctrl-C (exit 130).",
        _watch_arguments,
        _watch,
        json="One object per line.\n" + NOTICE.replace("notices[].", ""),
        examples="kugetsu notify watch\nkugetsu notify watch --json | jq -r .text",
    ),
    "notify sinks": Command(
        "[--json]",
        SINKS,
        _json_argument,
        _sinks,
        json="""\
courier                    whether the process that sends them is running
daemon                     whether the daemon, which starts it, is running
events[]                   the kinds that are sent
sinks[].sink               desktop, command, webhook or comment
sinks[].configured         whether it is in NOTIFY_SINKS
sinks[].ready              whether it is set up
sinks[].setup              how, or what is missing
sinks[].upto               the event up to which everything was sent, or null
sinks[].open[].delivery    the id of a delivery that is being sent or failed
sinks[].open[].lane        the issue of a comment, else all
sinks[].open[].notices     the number of notifications in it
sinks[].open[].tries       how often it failed
sinks[].open[].not_before  when it is retried (UTC), or null
sinks[].open[].sending     whether it is being sent
sinks[].given_up           deliveries given up since the last one that arrived
sinks[].last.seq           the event of the latest outcome; last is null if there is none
sinks[].last.at            when (UTC)
sinks[].last.sent          whether it was delivered
sinks[].last.text          its result""",
        examples="kugetsu notify sinks",
    ),
    "notify test": Command(
        "[SINK …] [--json]",
        "Exits with 1 if one of them fails. For comment it asks the default server who the token belongs to, and posts "
        "nothing. What each sink needs and guarantees: kugetsu notify sinks --help",
        _test_arguments,
        _test,
        json="delivery         the id that it was sent with\nresults[].sink   the sink\n"
        "results[].sent   whether it was delivered\nresults[].text   its result",
        examples="kugetsu notify test\nkugetsu notify test webhook",
    ),
}
