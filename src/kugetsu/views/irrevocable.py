"""Why an event cannot be undone, and what to do instead: the words of the codes in the event declarations."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: code (`events.declaration.Kind.irrevocable`) → why it cannot be undone, and what to do instead.
REASONS: dict[str, tuple[str, str | None]] = {
    "agent_started": ("an agent was started for it", "to stop it: kugetsu queue cancel {task}"),
    "nothing_changed": ("it changed nothing", None),
    "agent_stopped": ("the stop of its agent was requested", "to run it again: kugetsu queue retry {task}"),
    "agent_worked": (
        "the work of an agent cannot be undone",
        "its commits are in git: kugetsu history {attempt}; to run it again: kugetsu queue retry {task}",
    ),
    "observed": ("it records an observation", None),
    "process_continued": ("a stopped process was continued", "to end it: kugetsu queue cancel {task}"),
    "processes_ended": ("ended processes cannot be brought back", None),
    "lock_removed": ("the git that held the lock is dead", None),
    "name_reserved": ("it only reserved a name", "to remove the session: kugetsu destroy {session}"),
    "session_made": ("it made a worktree and an agent session", "to remove them: kugetsu destroy {session}"),
    "found_broken": ("it records a finding", "the session is prepared again before the next attempt"),
    "work_saved": ("it only saved work", "to see where: kugetsu history {session}"),
    "removal_begun": ("it began a removal", "kugetsu history {session}"),
    "worktree_gone": ("its worktree was removed", "to make a new one: kugetsu continue {session} MESSAGE"),
    "pr_unchanged": ("it changed nothing: the session had that pull request", None),
    "review_over": ("the review has changed since", "to see it: kugetsu review {session}"),
    "pull_published": ("a pull request cannot be unpublished", "to close it: kugetsu open {session}"),
    "forge_changed": ("the labels on the forge were changed", "to change them: kugetsu open {session}"),
    "forge_answered": ("it records the forge's answer", None),
    "log_begun": ("it is the first event of the log", None),
    "bytes_incomplete": (
        "the truncated bytes were not a complete event",
        "to see where they are kept: kugetsu history --all",
    ),
    "set_up": ("the directory is set up", "to start afresh: move KUGETSU_DIR away, then kugetsu init"),
    "set_up_accepted": (
        "set-ups may have used it since",
        "to leave files out: kugetsu config set --repo REPO WORKTREE_COPY '!PATTERN'",
    ),
    "daemon_started": ("a process was started", "kugetsu queue-daemon stop"),
    "lease_deleted": ("the previous lease was deleted", None),
    "daemon_draining": ("the daemon ends when its agents have", "then: kugetsu queue-daemon start"),
    "daemon_ended": ("a process has ended", "kugetsu queue-daemon start"),
    "settings_followed": ("it follows from the settings", "kugetsu config set NOTIFY_SINKS …"),
    "notification_sent": ("a sent notification cannot be recalled", "kugetsu notify sinks"),
    "files_removed": ("removed files cannot be restored", None),
    "record_copied": ("it is a copy of a record of the bash tool", None),
    "wait_recorded": ("it only records why the task waited", "kugetsu why {task}"),
    "brake_recorded": ("it only records which brake holds", "to go on: kugetsu continue {session} MESSAGE"),
    "limit_recorded": ("it records what an agent met", "to unblock the task now: kugetsu queue retry {task}"),
    "wait_ended": (
        "a wait that has ended cannot be restored",
        "to keep the task from starting: kugetsu queue cancel {task}",
    ),
    "agent_done": ("an agent has completed it", "to run it again: kugetsu queue retry {task}"),
    "attempts_ended": ("it records how its attempts ended", "to give it new attempts: kugetsu queue retry {task}"),
    "agent_stopped_too": ("its agent was stopped too", "to queue it again: kugetsu queue retry {task}"),
    "finished_before": ("the task was finished before", "to remove it from the queue: kugetsu queue cancel {task}"),
    "tasks_left": (
        "the tasks have left the list, their history stays",
        "to queue one again: kugetsu queue retry ID",
    ),
    "works_again": ("an attempt showed that it works again", "to keep a task from starting: kugetsu queue cancel ID"),
    "counts_recorded": ("it records the counters of the issue's history", None),
    "agent_ended": ("an agent was started for it, and has ended", "its outcome: kugetsu history {attempt}"),
    "host_joined": ("a host has joined", None),
    "host_draining": ("it tells what a host may start", "to change that: kugetsu host drain, or: kugetsu host undrain"),
    "host_gone": ("the host has gone", "it may join again"),
    "setting_of_all": ("every host has taken it over", None),
    "person_attached": ("a person took the session", "to give it back: kugetsu attach --end {session}"),
    "recorded": ("it is a record of what happened", None),
}


def words(values: Mapping[str, Any]) -> tuple[str, str | None]:
    """Why the event that `domain.decide.undo` refuses cannot be undone, and what to do instead."""
    why, instead = REASONS[values["why"]]
    named = {name: values[name] or "" for name in ("task", "attempt", "session")}
    hint = instead.format(**named) if instead else f"to see what it led to: kugetsu why {values['event']}"
    if values["unblocked_by"] is not None:
        hint = f"it came with an unblock, which can be undone: kugetsu undo {values['unblocked_by']}"
    return f"event {values['event']} ({values['type']}) cannot be undone: {why}", hint
