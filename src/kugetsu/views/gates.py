"""The words of the gates: what each answer of `domain.gates` reads like, and the commands that open a closed one."""

from __future__ import annotations

from kugetsu.model.plural import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from kugetsu.domain.scheduling import NextChange
    from kugetsu.domain.state import Task
    from kugetsu.domain.verdict import Verdict

    Values = Mapping[str, Any]


#: Gates that only a person opens when they name no time.
FOR_A_PERSON = ("parked", "budget", "progress", "disk")


def reason(code: str, values: Values | None) -> str:
    """Why a task is held back, parked or failed, in words: of a gate's code, or of a failure's words and the number of
    attempts. Without values it is words already: logs of earlier versions have those."""
    if values is None:
        return code
    try:
        if "failures" in values:
            return f"{counted(values['failures'], 'attempt')} failed: {code}"
        return _REASONS[code](values)
    except (LookupError, TypeError, ValueError, AttributeError):  # another version's, or made by hand
        return code


def reason_of(verdict: Verdict) -> str:
    """What a gate says, in words."""
    return reason(verdict.code, verdict.values)


def of_task(task: Task) -> str | None:
    """Why a task ended or waits, in words; None when nothing says."""
    return reason(task.reason, task.reason_values) if task.reason is not None else None


def held_by(values: Values) -> str:
    """Who holds an issue instead of an agent."""
    since = f"{values['since'][:10]} {values['since'][11:16]} UTC"
    return f"held by a person since {since} ({values['user']}, pid {values['pid']} on {values['host']})"


def commands(gate: str, code: str, values: Values) -> tuple[str | None, str | None]:
    """The command that opens a gate that is closed so, and one that does when the first finds nothing to do."""
    if gate == "parked":
        from kugetsu.domain.worktree_setup import CHANGED, SHOWN_DIGITS

        if values.get("step") == CHANGED:
            return f"kugetsu doctor --repo {values['repository']} --accept {values['sha'][:SHOWN_DIGITS]}", None
        return f"kugetsu queue retry {values['task']}", _merge(values) if code == "parked_by_divergence" else None
    make = _COMMANDS.get(code)
    made = make(values) if make is not None else None
    if code in ("outage", "outage_probed"):
        return made, values["remedy"]
    return made, f"kugetsu config set MIN_FREE_DISK_MB {values['free'] * 9 // 10}" if code == "disk_low" else None


def _merge(v: Values) -> str:
    """The command that brings a branch together again, for a shell."""
    import shlex  # `status` starts without it

    return shlex.join(("git", "-C", v["worktree"], "merge", f"{v['remote']}/{v['branch']}"))


def commands_of(verdict: Verdict) -> tuple[str | None, str | None]:
    """The commands that open a gate; none for an open one."""
    return (None, None) if verdict.open else commands(verdict.gate, verdict.code, verdict.values)


def data(verdict: Verdict) -> dict[str, object]:
    """A verdict as `--json` shows it."""
    lift, otherwise = commands_of(verdict)
    return {
        "gate": verdict.gate,
        "open": verdict.open,
        "reason": reason_of(verdict),
        "rests_on": verdict.rests_on,
        "until": verdict.until,
        "lift": lift,
        "otherwise": otherwise,
    }


def change_data(change: NextChange, first: Verdict | None) -> dict[str, object]:
    """What changes next as `--json` shows it; ``first`` is the gate that holds the task back."""
    lift = commands_of(first)[0] if first is not None else None
    if change.code == "task_completed":
        lift = f"kugetsu why {change.values['task']}"
    return {
        "kind": change.kind,
        "what": _CHANGES[change.code](change.values) if change.code else "",
        "at": change.at,
        "since": change.since,
        "latest": change.latest,
        "lift": lift,
        "needs_daemon": change.needs_daemon,
    }


def money(amount: float) -> str:
    """An amount with two decimals, a small one with as many as three of its digits need: 0.00 would mean any."""
    decimals = 2
    while 0 < amount < 10.0 ** (2 - decimals) and decimals < 15:
        decimals += 1
    whole, _, part = f"{amount:.{decimals}f}".partition(".")
    return f"{whole}.{part.rstrip('0'):0<2}"


def _set_up_failed(v: Values) -> str:
    """The command or step that failed, and where all of its output is."""
    shown = f" (output: kugetsu logs {v['attempt']} --setup)" if v["step"] in ("failed", "timed_out") else ""
    return f"{v['problem'] or v['step']}{shown}"


def _slots_full(v: Values) -> str:
    return f"{v['used']} of {counted(v['cap'], 'slot')} used{_held_by(v)}"


def _held_by(v: Values) -> str:
    return f" ({', '.join(v['attempts'])})" if v["attempts"] else ""


def _agents_starting(v: Values) -> str:
    agents = "1 agent is" if v["starting"] == 1 else f"{v['starting']} agents are"
    return f"{agents} starting on {counted(v['cores'], 'core')}"


def set_command(v: Values) -> str:
    """The command that changes a setting, where a repository has one of its own in that."""
    return f"kugetsu config set --repo {v['of']}" if "of" in v else "kugetsu config set"


def _raise_repository_cap(v: Values) -> str:
    """Raise the setting that holds the task back: it ends nobody's work."""
    name, cap = v["repository"], v["used"] + 1
    if v["caps"] is None or "of" in v:
        return f"{set_command(v)} MAX_AGENTS_PER_REPOSITORY {cap}"
    pairs = ",".join(f"{repository}={most}" for repository, most in {**v["caps"], name: cap}.items())
    return f"kugetsu config set REPOSITORY_CAPS {pairs}"


def _raise_shared_cap(v: Values) -> str:
    name, cap = v["repository"], v["used"] + 1
    pairs = v["named"].split()
    if not any(pair.rpartition("=")[0] == name for pair in pairs):
        return f"kugetsu config set --shared MAX_AGENTS_PER_REPOSITORY {cap}"
    raised = [f"{name}={cap}" if pair.rpartition("=")[0] == name else pair for pair in pairs]
    return f"kugetsu config set --shared REPOSITORY_CAPS {','.join(raised)}"


def _ends(v: Values) -> str:
    names, needed = ", ".join(v["attempts"]), v["needed"]
    if len(v["attempts"]) == 1:
        return f"{names} ends"
    return f"one of {names} ends" if needed == 1 else f"{needed} of {names} have ended"


def of_host(verb: str, name: str) -> str:
    """The command about a host; its name is what somebody called it."""
    from shlex import quote

    return f"kugetsu host {verb} {quote(name)}"


def task_state(state: str) -> str:
    """A task's state as screens name it: the log's `notified` is a task that is running."""
    return "running" if state == "notified" else state


def _diverged(values: Values) -> str:
    from kugetsu.model import result_words  # start-up: status does not need it

    return result_words.diverged(values)


_FINISHED = {"completed": "is completed", "error": "ended in error", "cancelled": "was cancelled"}

#: code → what the gate says.
_REASONS: dict[str, Callable[[Values], str]] = {
    "no_daemon": lambda _: "no daemon is running, so no task leaves the queue",
    "daemon_draining": lambda _: "the daemon is draining: it starts nothing new",
    "dispatcher_present": lambda _: "a dispatcher is running",
    "task_finished": lambda v: f"it {_FINISHED[v['state']]}",
    "task_running": lambda v: f"attempt {v['attempt']} works on it" if v["attempt"] else "an attempt works on it",
    "task_waiting": lambda _: "not cancelled, not finished",
    "parked_by_outage": lambda v: f"parked: {v['why']}",
    "parked_by_set_up": lambda v: f"its worktree is not ready: {_set_up_failed(v)}",
    "parked_by_divergence": _diverged,
    "parked_by_forge": lambda v: f"whether its issue still asks for it could not be read: {v['problem']}",
    "parked_by_limit": lambda _: "parked by the provider's usage limit",
    "not_parked": lambda _: "not parked",
    "usage_limit": lambda v: f"the provider's usage limit stopped {v['task']} and would stop this task too",
    "own_limit": lambda _: "no other task's usage limit",
    "no_limit": lambda _: "no known usage limit",
    "outage_probed": lambda v: f"{v['attempt']} is testing whether it works again: {v['why']}",
    "outage": lambda v: f"{v['task']} met what every task would meet: {v['why']}",
    "tokens_used_up": lambda v: f"the issue has used {v['tokens']} of {v['max']} tokens",
    "cost_used_up": lambda v: f"the issue has cost {money(v['cost'])} of {money(v['max'])}",
    "within_budget": lambda _: "within the issue's budget",
    "no_budget": lambda _: "no budget set",
    "no_issue": lambda _: "belongs to no issue",
    "no_progress": lambda v: f"{counted(v['runs'], 'run')} in a row ended well and brought no new commit or comment",
    "some_runs_without_progress": lambda v: f"{counted(v['runs'], 'run')} in a row brought nothing new",
    "no_such_runs": lambda _: "no runs without progress",
    "pause_after_failure": lambda v: f"pauses after a failed attempt ({v['used']} of {v['max_attempts']} used)",
    "no_pause": lambda _: "no pause after a failure",
    "earlier_task_gone": lambda v: f"comes after {v['earlier']}, which left the queue without being completed",
    "earlier_task_finished": lambda v: f"comes after {v['earlier']}, which {_FINISHED[v['state']]}",
    "earlier_task_open": lambda v: f"comes after {v['earlier']}, which is {task_state(v['state'])}",
    "no_earlier_task": lambda _: "comes after no open task",
    "issue_busy": lambda v: f"{v['attempt']} works on the same issue",
    "issue_attached": lambda v: held_by(v),
    "session_destroying": lambda _: "its session is being destroyed",
    "other_task_first": lambda v: f"{v['other']} of the same issue comes first",
    "issue_free": lambda _: "issue has no other live attempt",
    "pm_session_busy": lambda v: f"{v['attempt']} uses the PM session",
    "pm_session_free": lambda _: "the PM session is free",
    "no_pm_session_needed": lambda _: "needs no PM session",
    "queue_paused": lambda _: "the queue is paused",
    "repository_paused": lambda v: f"the queue is paused for {v['repository']}",
    "not_paused": lambda _: "the queue is not paused",
    "started_despite_pause": lambda _: "the queue is paused, and the task was started all the same",
    "agent_unavailable": lambda v: str(v["why"]),
    "agent_available": lambda _: "no known reason for the agent not to start",
    "host_fits": lambda _: "this host may start it",
    "host_not_joined": lambda _: "this host has not joined the shared log",
    "host_term_over": lambda v: f"{v['host']} has joined anew from another directory (term {v['term']})",
    "host_draining": lambda v: f"{v['host']} is draining: it starts nothing new",
    "host_left": lambda v: f"{v['host']} has left the shared log",
    "host_lost": lambda v: f"{v['host']} was not heard of for too long, and its tasks were given away",
    "session_elsewhere": lambda v: f"its session is on {v['host']}",
    "labels_lacking": lambda v: f"{v['host']} does not offer {', '.join(v['labels'])}",
    "others_first": lambda v: f"{v['host']} could not prepare it, and {v['others']} may try first",
    "repository_elsewhere": lambda v: f"its repository is a folder of {v['host'] or 'another host'}",
    "all_slots_full": lambda v: f"{v['used']} of {counted(v['cap'], 'agent')} on all hosts{_held_by(v)}",
    "no_slot_needed": lambda _: "PM tasks need no slot",
    "slot_free": lambda v: f"{v['used']} of {counted(v['cap'], 'slot')} used",
    "slots_full": _slots_full,
    "repository_free": lambda v: f"{v['used']} of {counted(v['cap'], 'agent')} allowed in {v['repository']}",
    "repository_full": lambda v: f"{v['used']} of {counted(v['cap'], 'agent')} allowed in {v['repository']}",
    "repository_full_everywhere": lambda v: (
        f"{v['used']} of {counted(v['cap'], 'agent')} of all hosts allowed in {v['repository']}"
    ),
    "no_repository_cap": lambda _: "no limit for its repository",
    "agents_starting": _agents_starting,
    "memory_low": lambda v: f"{v['free']} MB of memory free, {v['wanted']} MB required",
    "memory_enough": lambda _: "enough memory",
    "no_memory_limit": lambda _: "no memory limit set",
    "disk_low": lambda v: f"{v['free']} MB of disk free, {v['wanted']} MB required",
    "disk_enough": lambda _: "enough disk",
    "no_disk_limit": lambda _: "no disk limit set",
    "daemon_lost": lambda _: "it exited without recording a reason",
    "undone": lambda _: "what let it go on was undone",
}

#: code of a closed gate → the command that opens it; `agents_starting` needs none.
_COMMANDS: dict[str, Callable[[Values], str]] = {
    "no_daemon": lambda _: "kugetsu queue-daemon start",
    "daemon_draining": lambda _: "kugetsu queue-daemon restart",
    "task_finished": lambda v: f"kugetsu queue retry {v['task']}",
    "task_running": lambda v: f"kugetsu queue cancel {v['task']}",
    "usage_limit": lambda v: f"kugetsu queue lift {v['agent']}",
    "outage_probed": lambda v: f"kugetsu queue lift {v['agent']}",
    "outage": lambda v: f"kugetsu queue lift {v['agent']}",
    "tokens_used_up": lambda v: f"{set_command(v)} ISSUE_MAX_TOKENS {2 * v['tokens']}",
    "cost_used_up": lambda v: f"{set_command(v)} ISSUE_MAX_COST {money(2 * v['cost'])}",
    "no_progress": lambda v: f"kugetsu queue lift {v['issue']}",
    "pause_after_failure": lambda v: f"kugetsu queue retry {v['task']}",
    "earlier_task_gone": lambda v: f"kugetsu queue retry {v['earlier']}",
    "earlier_task_finished": lambda v: f"kugetsu queue retry {v['earlier']}",
    "earlier_task_open": lambda v: f"kugetsu queue move {v['task']} --after ''",
    "issue_busy": lambda v: f"kugetsu queue cancel {v['task']}",
    "issue_attached": lambda v: f"kugetsu attach --end {v['issue']}",
    "session_destroying": lambda v: f"kugetsu destroy {v['issue'] or '--pm-agent'}",
    "other_task_first": lambda v: (
        f"kugetsu queue move {v['task']} --first" if v["task"] else f"kugetsu why {v['other']}"
    ),
    "pm_session_busy": lambda v: f"kugetsu queue cancel {v['task']}",
    "queue_paused": lambda _: "kugetsu queue resume",
    "repository_paused": lambda v: f"kugetsu queue resume {v['repository']}",
    "agent_unavailable": lambda v: str(v["remedy"]),
    "slots_full": lambda v: f"kugetsu config set MAX_CONCURRENT_AGENTS {v['used'] + 1}",
    "all_slots_full": lambda v: f"kugetsu config set MAX_AGENTS {v['used'] + 1}",
    "repository_full": _raise_repository_cap,
    "repository_full_everywhere": _raise_shared_cap,
    "host_not_joined": lambda _: "kugetsu init --join URL",
    "host_term_over": lambda _: "kugetsu queue-daemon restart, where it is to go on",
    "host_draining": lambda v: of_host("undrain", v["host"]),
    "host_left": lambda _: "kugetsu host join",
    "host_lost": lambda _: "kugetsu queue-daemon start",
    "labels_lacking": lambda v: (
        f"add {' '.join(v['labels'])} to HOST_LABELS of a host that has it, then there: kugetsu queue-daemon restart"
    ),
    "others_first": lambda v: f"kugetsu queue retry {v['task']}",
    "repository_elsewhere": lambda _: "kugetsu init --repo PATH, with its folder on this host",
    # A little below: what is free goes up and down all the time.
    "memory_low": lambda v: f"kugetsu config set MIN_FREE_MEMORY_MB {v['free'] * 9 // 10}",
    "disk_low": lambda _: "kugetsu prune",
}

#: code of what changes next → what happens then.
_CHANGES: dict[str, Callable[[Values], str]] = {
    "dispatched": lambda _: "the dispatcher takes it",
    "limit_over": lambda _: "the usage limit is over",
    "tried_again": lambda _: "it is tried again",
    "pause_over": lambda _: "the pause is over",
    "queue_goes_on": lambda _: "the pause of the queue is over",
    "agent_warm": lambda _: "the first of the starting agents has warmed up",
    "agent_running": lambda _: "one of the starting agents is running",
    "memory_probed": lambda _: "free memory is checked",
    "disk_probed": lambda _: "free disk is checked",
    "agent_probed": lambda _: "the agent is checked",
    "turn_over": lambda v: f"{v['task']} has had its turn",
    "task_completed": lambda v: f"{v['task']} is completed",
    "attempts_end": _ends,
}
