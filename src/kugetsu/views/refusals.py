"""The words of refused decisions (`KugetsuError.refusal`): a message, and the command that helps."""

from __future__ import annotations

from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.state import EVERYTHING
from kugetsu.model.host_words import by_id
from kugetsu.views import gates, irrevocable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from kugetsu.model.errors import KugetsuError

    Values = Mapping[str, Any]
    #: A message, and the hint below it.
    Words = tuple[str, str | None]


def words(error: KugetsuError) -> Words:
    """The message and hint of an error; unless a decision refused, those that it was raised with."""
    return (error.message, error.hint) if error.refusal is None else _refusal(error.refusal, error.values)


def put_into_words(error: KugetsuError) -> None:
    """Give the error of a decision its message and hint."""
    error.message, error.hint = words(error)
    error.refusal = None


def together(errors: Sequence[KugetsuError]) -> KugetsuError:
    """Several refusals of one thing as one error: each with its message, and the remedies in the same order."""
    if len(errors) == 1:
        return errors[0]
    told = [words(error) for error in errors]
    hints = [hint for _, hint in told if hint]
    return type(errors[0])("; ".join(message for message, _ in told), "; ".join(hints) or None)


def _refusal(code: str, values: Values) -> Words:
    return _WORDS[code](values)


def _gate_closed(v: Values) -> Words:
    """What keeps a task from starting now."""
    gate, code, values, until = v["gate"], v["code"], v["values"], v["until"]
    message = f"not started: {gates.reason(code, values)}"
    if until:
        message += f" until {until[:10]} {until[11:16]} UTC"
    unblock, otherwise = gates.commands(gate, code, values)
    if gate == "paused":
        return message, f"{unblock}, or start it all the same: --anyway, or queue it: --queue"
    if gate in ("slots", "repository", "stagger"):
        return message, "wait for one to end (kugetsu status), or queue it: kugetsu start --queue …"
    if code == "session_elsewhere":
        return message, f"queue it, then that host starts it: kugetsu queue enqueue {values['session']} …"
    if gate in ("agent", "provider") and otherwise:
        return message, f"{otherwise}, then: {unblock}"
    return message, ", or: ".join(filter(None, (unblock, otherwise))) or None


def _not_undone(v: Values) -> Words:
    message, hint = _refusal(v["code"], v["values"])
    return f"event {v['event']} cannot be undone: {message}", hint


def _task_unknown(v: Values) -> Words:
    return f"no task {v['task']} in the queue", _history_or_list(v)


def _earlier_task_unknown(v: Values) -> Words:
    message = f"{v['task']} has left the queue" if v["made"] else f"no task {v['task']}"
    return f"{message}: no task can wait for it", _history_or_list(v)


def _history_or_list(v: Values) -> str:
    return f"kugetsu history {v['task']}" if v["made"] else "kugetsu queue list"


def _task_not_waiting(v: Values) -> Words:
    verb = "retry" if v["state"] in FINISHED_TASK else "cancel"
    return f"{v['task']} is not waiting, it is {gates.task_state(v['state'])}", f"kugetsu queue {verb} {v['task']}"


def _task_after_itself(v: Values) -> Words:
    task, way = v["task"], v["way"]
    hint = f"kugetsu why {way[1]}" if way[1] != task else "name another task"
    return f"{task} would wait for itself: {' after '.join(way)}", hint


def _task_told(v: Values) -> Words:
    again = f"kugetsu continue {v['issue']} MESSAGE" if v["issue"] else f"kugetsu queue cancel {v['task']}"
    return f"{v['attempt']} is working on {v['task']}, with the message as it was", f"to add to it afterwards: {again}"


def _task_edited(v: Values) -> Words:
    return f"the message of {v['task']} was changed meanwhile, by event {v['event']}", f"kugetsu queue edit {v['task']}"


def _not_paused(v: Values) -> Words:
    message = f"the queue is not paused for {v['repository']}" if v["repository"] else "the queue is not paused"
    if EVERYTHING in v["paused"]:
        return f"{message} alone: it is paused for all repositories", "kugetsu queue resume"
    if v["paused"]:
        return f"{message} as a whole", f"kugetsu queue resume {v['paused'][0]}"
    return message, "kugetsu status"


def _pause_over(v: Values) -> Words:
    return f"{v['until'][:10]} {v['until'][11:16]} UTC is over", "kugetsu queue pause --until 18:00"


def _session_wanted(v: Values) -> Words:
    verb = "waits" if len(v["tasks"]) == 1 else "wait"
    return f"{', '.join(v['tasks'])} still {verb} for {v['session']}", f"kugetsu queue cancel {v['tasks'][0]}"


def _task_worked_on(v: Values) -> Words:
    attempts = "an agent has" if v["attempts"] == 1 else f"{v['attempts']} agents have"
    return f"{attempts} worked on {v['task']}", f"kugetsu queue cancel {v['task']}"


def _requeued_task_changed(v: Values) -> Words:
    hint = None if v["state"] in FINISHED_TASK else f"kugetsu queue cancel {v['task']}"
    return f"{v['task']} is {gates.task_state(v['state'])} since event {v['event']}", hint


def _setting_edited(v: Values) -> Words:
    current = v["current"]
    hint = f"{gates.set_command(v)} {v['key']} VALUE"
    if current is None:
        return "the settings file was edited since, and cannot be read", hint
    return f"{v['key']} is now {current} in the file, which was edited since", hint


#: code → its message and hint.
_WORDS: dict[str, Callable[[Values], Words]] = {
    "gate_closed": _gate_closed,
    "irrevocable": irrevocable.words,
    "not_undone": _not_undone,
    # tasks
    "task_unknown": _task_unknown,
    "earlier_task_unknown": _earlier_task_unknown,
    "issue_missing": lambda v: (f"a {v['kind']} task needs an issue", None),
    "issue_given": lambda v: (f"a {v['kind']} task takes no issue", None),
    "message_not_text": lambda v: (
        f"the message is not UTF-8 text: byte or character {v['at']}",
        "write it as UTF-8 (iconv -t UTF-8)",
    ),
    "task_finished": lambda v: (
        f"{v['task']} is already {gates.task_state(v['state'])}",
        f"kugetsu history {v['task']}",
    ),
    "task_running": lambda v: (f"{v['attempt']} is working on {v['task']}", f"kugetsu queue cancel {v['task']}"),
    "task_already_running": lambda v: (
        f"{v['attempt']} is already working on {v['task']}",
        f"kugetsu logs {v['attempt']} -f",
    ),
    "task_already_waiting": lambda v: (f"{v['task']} is already waiting for its turn", f"kugetsu why {v['task']}"),
    "task_not_waiting": _task_not_waiting,
    "task_after_itself": _task_after_itself,
    "task_told": _task_told,
    "task_edited": _task_edited,
    "not_paused": _not_paused,
    "pause_over": _pause_over,
    "pause_changed": lambda v: (
        f"the pause of {v['repository'] or 'the queue'} has been changed since",
        "kugetsu queue resume, or kugetsu queue pause",
    ),
    "task_not_failed": lambda v: (f"{v['task']} has not failed, it is {v['state']}", f"kugetsu history {v['task']}"),
    "failed_task_gone": lambda v: (
        f"{v['task']} has left the list",
        "kugetsu ack --all acknowledges the failed ones that have left it, too"
        if v["gone"]
        else f"kugetsu history {v['task']}",
    ),
    "nothing_failed": lambda v: (f"no task of {v['subject']} has failed", "kugetsu queue list --state error"),
    "queue_empty": lambda _: ("no task is waiting in the queue", "kugetsu queue list --all"),
    "limit_unknown": lambda v: (f"no known usage limit of {v['subject']}", "kugetsu status"),
    "not_held_back": lambda v: (
        f"{v['subject']} is not held back by earlier runs",
        f"kugetsu why {v['subject']}",
    ),
    # attempts, sessions, repositories, the daemon
    "attempt_not_live": lambda v: (f"no live attempt {v['attempt']}", f"kugetsu history {v['attempt']}"),
    "attempt_taken": lambda v: (f"{v['attempt']} is already {v['state']}", None),
    "attempt_not_starting": lambda v: (f"{v['attempt']} is {v['state']}, not starting", None),
    "session_not_idle": lambda v: (
        f"the session {v['session']} is {v['state']}: {v['attempt']} cannot work in it",
        None,
    ),
    "nothing_to_review": lambda v: (
        f"there is nothing to review in {v['session']}" + ("" if v["state"] == "none" else f": it is {v['state']}"),
        f"kugetsu history {v['session']}",
    ),
    "session_unknown": lambda v: (f"no session for {v['session']}", "kugetsu list"),
    "session_not_ready": lambda v: (f"the session {v['session']} is {v['state']}", f"kugetsu history {v['session']}"),
    "session_busy": lambda v: (f"{v['attempt']} is working in {v['session']}", f"kugetsu queue cancel {v['task']}"),
    "session_moved": lambda v: (
        f"the session {v['session']} is on host {v['host']} by now",
        f"kugetsu history {v['session']}",
    ),
    "removal_given_up": lambda v: (
        f"the removal of {v['session']} was given up: its host was lost, or left, meanwhile"
        + (f"; its work is kept on {v['rescue']} in the clone on this host" if v["rescue"] else ""),
        f"kugetsu history {v['session']}",
    ),
    "claim_given_away": lambda v: (
        f"the claim on {v['session']} was given away while it was prepared: this host was lost meanwhile",
        "look who has it now: kugetsu status; then attach again",
    ),
    "session_attached": lambda v: (
        f"{v['session']} is {gates.held_by(v)}",
        f"wait until it is given back, or end it: kugetsu attach --end {v['session']}",
    ),
    "session_wanted": _session_wanted,
    "session_exists": lambda v: (f"{v['session']} already has a session here", f"kugetsu history {v['session']}"),
    "repository_registered": lambda v: (
        f"{v['repository']} is already registered at another place: {v['source']}",
        "kugetsu init --repo PATH|URL",
    ),
    "daemon_replaced": lambda _: ("another daemon has taken over", "kugetsu queue-daemon status"),
    "host_unknown": lambda v: (f"no {by_id(v['host'])} shares this log", "kugetsu status"),
    "host_fenced": lambda v: (
        f"{v['host']} is {v['state']} with term {v['term']}: what was done for another term does not count",
        "kugetsu history --all",
    ),
    "host_takes_no_part": lambda v: (
        f"host {v['host']} takes no part in the shared log: it "
        + (f"is {v['state']}" if v["state"] != "absent" else "never joined"),
        "kugetsu host join, or: kugetsu queue-daemon start",
    ),
    "host_busy": lambda v: (
        f"{', '.join(v['attempts'])} still {'works' if len(v['attempts']) == 1 else 'work'} on {v['host']}",
        "kugetsu host drain, and wait for their end; or: kugetsu queue cancel TASK",
    ),
    "host_attended": lambda v: (
        f"a person works on {v['host']}, in {', '.join(v['sessions'])}",
        f"kugetsu attach --end {v['sessions'][0]}",
    ),
    "host_dispatches": lambda v: (
        f"the daemon of {v['host']} is running, and appends to the shared log",
        "kugetsu queue-daemon stop, on that host",
    ),
    "setting_not_shared": lambda v: (
        f"{v['key']} is no setting of all hosts",
        f"those are: {', '.join(v['known'])}",
    ),
    "daemon_not_running": lambda _: ("no daemon is running", "kugetsu queue-daemon start"),
    # what cannot be undone
    "task_gone": lambda v: (
        f"{v['task']} has left the queue's list; its history stays",
        f"kugetsu queue retry {v['task']}",
    ),
    "task_worked_on": _task_worked_on,
    "task_changed": lambda v: (
        f"{v['task']} is {gates.task_state(v['state'])} since event {v['event']}",
        f"kugetsu history {v['task']}",
    ),
    "requeued_task_changed": _requeued_task_changed,
    "task_moved": lambda v: (f"{v['task']} has been moved again since", f"kugetsu history {v['task']}"),
    "failure_changed": lambda v: (
        f"{v['task']} is {v['state']}, and this says nothing of it any more",
        f"kugetsu history {v['task']}",
    ),
    "gone_acknowledged": lambda _: ("they have been acknowledged since", "kugetsu history --all"),
    "limit_ended": lambda v: (
        f"the usage limit of {v['subject']} expired at {v['until'][:10]} {v['until'][11:16]} UTC",
        "kugetsu status",
    ),
    "limit_met_again": lambda v: (f"{v['subject']} has met a usage limit again", "kugetsu status"),
    "session_worked_in": lambda v: (
        f"an agent has worked on {v['session']} since",
        f"its runs are counted from zero again: kugetsu history {v['session']}",
    ),
    "session_destroyed": lambda v: (
        f"the session of {v['session']} has been destroyed since",
        f"kugetsu history {v['session']}",
    ),
    "hold_replaced": lambda v: (f"{v['subject']} is held back by something else now", "kugetsu status"),
    "notifications_read": lambda v: (
        f"notifications have been marked as read up to event {v['until']} since",
        "undo that first: kugetsu history --all",
    ),
    "notifications_unchanged": lambda _: (
        "it changed nothing: the mark was already there",
        "kugetsu notify list --all",
    ),
    "review_changed": lambda v: (
        f"the review of {v['session']} is {v['state']} by now",
        f"kugetsu review {v['session']}",
    ),
    "report_acknowledged": lambda _: ("another report has been acknowledged since", "kugetsu history --all"),
    "pr_changed": lambda v: (
        f"{v['session']} has been tied to {v['pr'] or 'no pull request'} since",
        f"kugetsu history {v['session']}",
    ),
    "repository_changed": lambda v: (
        f"{v['repository']} has been registered at another place since",
        "kugetsu history --all",
    ),
    "setting_changed": lambda v: (
        f"event {v['event']} has changed {v['key']} since",
        f"to undo that change: kugetsu undo {v['event']}, or: {gates.set_command(v)} {v['key']} VALUE",
    ),
    "setting_edited": _setting_edited,
    "setting_redacted": lambda v: (
        f"the previous value of {v['key']} is a secret and is not in the log",
        f"{gates.set_command(v)} {v['key']} VALUE",
    ),
    "setting_unread": lambda v: (
        f"the previous value of {v['key']} could not be read when it was changed",
        f"{gates.set_command(v)} {v['key']} VALUE",
    ),
}
