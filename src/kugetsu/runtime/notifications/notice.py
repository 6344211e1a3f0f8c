"""Notifications: each is one event of the log that a person wants to hear of, as one line without secrets.

Nothing is kept of them but how far they were read and the outcome of their delivery (`State.notices_read`,
`State.outbox`): the events are the notifications.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kugetsu.domain.events import Event
from kugetsu.domain.fold.loops import WITHDRAWN
from kugetsu.domain.hosts import daemon_went_with
from kugetsu.domain.state import BRANCH, FORGE, SETUP, State
from kugetsu.model import host_words, result_words
from kugetsu.model.plural import counted
from kugetsu.model.servers import LOCAL, base_url, split_url
from kugetsu.redaction.funnel import redact_head

#: The kind of the daily report, which is sent whatever NOTIFY_EVENTS says.
REPORT = "report"
#: The sentence of each kind about its task.
WORDS = {
    "task_queued": "queued",
    "task_dequeued": "taken from the queue",
    "task_started": "started",
    "task_completed": "completed",
    "task_error": "failed",
    "task_parked": "parked",
    "agent_lost": "agent lost",
    "loop_held": "needs you",
    REPORT: "report",
}
#: Characters of a reason or a title that a notification shows; the whole text is in its event.
TEXT_LENGTH = 300


#: What the JSON of a notification has.
NAMES = ("seq", "at", "type", "issue", "task", "attempt", "text", "title", "result", "words", "url")
#: Notifications that tell how an attempt or a task ended.
_ENDS = ("task_completed", "task_error", "task_parked")


@dataclass(slots=True)
class Notice:
    """One notification: ``type`` is a key of `WORDS`, ``text`` one harmless line without secrets, ``at`` UTC text.

    ``issue``, ``task`` and ``attempt`` are None where they do not apply. ``url``, the ``title`` of the issue or the
    task, and what came of the task (``result``, a kind of `domain.results`, and its ``words``) are filled in by
    `located`, as far as the state still has them.
    """

    seq: int
    at: str
    type: str
    text: str
    issue: str | None = None
    task: str | None = None
    attempt: str | None = None
    url: str | None = None
    title: str | None = None
    result: str | None = None
    words: str | None = None
    #: The id of the host that it is about, in a log that several share.
    host: str | None = None

    def json(self) -> dict[str, Any]:
        """As `--json` and webhooks show it."""
        return {name: getattr(self, name) for name in NAMES}

    @property
    def outcome(self) -> str:
        """What came of it and what happened: ``PR #92, checks ok · 2 commits, pushed``."""
        return self._joined(self.words, self.text)

    @property
    def detail(self) -> str:
        """The same with the title, in one line."""
        return self._joined(self.words, self.text, self.title)

    def _joined(self, *parts: str | None) -> str:
        kept: list[str] = []
        for part in parts:
            if part and not any(part in other for other in kept):
                kept.append(part)
        return " · ".join(kept)


def notice_of(event: Event) -> Notice | None:
    """The notification that an event is; None for the many that are none. Never raises for what an event says."""
    known = _KINDS.get(event["type"])
    if known is None:
        return None
    type, applies, text = known
    data = event["data"] if isinstance(event["data"], dict) else {}
    if applies is not None and not applies(event, data):
        return None
    issue, task, attempt = (event.get(name) for name in ("issue", "task", "attempt"))
    host = data.get("host") if event["type"] in _OF_HOSTS else None
    return Notice(event["seq"], event["at"], type, one_line(text(data)), issue, task, attempt, host=host)


def one_line(text: object) -> str:
    """A text that somebody wrote, as one harmless line without secrets, of bounded length."""
    # Far more than is shown, far less than an agent can write.
    kept = redact_head(str(text or ""), 20 * TEXT_LENGTH)
    words = "".join(c if c.isprintable() else " " for c in kept).split()
    line = " ".join(words)
    return line if len(line) <= TEXT_LENGTH else line[: TEXT_LENGTH - 1].rstrip() + "…"


def located(notice: Notice, state: State, servers: Mapping[str, str]) -> Notice:
    """The notification with the page to look at (its session's pull request, else its issue; none for a folder), its
    title, and what came of its task unless that went on since."""
    session = state.sessions.get(notice.issue) if notice.issue is not None else None
    if notice.issue is not None:
        notice.url = (session.pr if session is not None else None) or issue_url(notice.issue, servers)
    task = state.tasks.get(notice.task) if notice.task is not None else None
    title = (session.title if session is not None else None) or (task.title if task is not None else None)
    notice.title = one_line(title) if title else None
    host = state.hosts.get(notice.host or "")
    if host is not None:
        name = one_line(host.name)
        told = host_words.named(notice.text, host.id, name)
        notice.text = told.replace("the daemon ", f"the daemon of host {name} ", 1)
    if task is not None and task.result is not None and task.changed == notice.seq and notice.type in _ENDS:
        notice.result = task.result_kind
        notice.words = one_line(result_words.words(task.result)) if notice.type == "task_completed" else None
    return notice


def issue_url(issue: str, servers: Mapping[str, str]) -> str | None:
    """The web page of an issue ``host/owner/repo#N``; None for a repository that is a folder."""
    path, _, number = issue.rpartition("#")
    host, _, name = path.partition("/")
    if host == LOCAL or not number:
        return None
    base = base_url(host, servers)
    if split_url(base)[0] not in ("http", "https") or "@" in base:
        base = f"https://{host}"
    return f"{base}/{name}/issues/{number}"


def _waits(event: Event, data: dict[str, Any]) -> bool:
    """Not a task that `start` or `continue` queue and claim in one transaction."""
    return not (data.get("via") in ("start", "continue") and event.get("more"))


def _was_in_the_queue(event: Event, data: dict[str, Any]) -> bool:  # noqa: ARG001  one signature
    """A dispatcher chose it; `start` and `continue` claim for themselves."""
    facts = event.get("facts")
    return not (isinstance(facts, dict) and facts.get("dispatcher") == "self")


def _eventful(event: Event, data: dict[str, Any]) -> bool:  # noqa: ARG001  one signature
    """A report of a day without tasks is not sent."""
    return data.get("eventful") is not False


def _stays(event: Event, data: dict[str, Any]) -> bool:  # noqa: ARG001  one signature
    """A set-up, or a forge, that is tried again soon is not worth a message."""
    return data.get("gate") not in (SETUP, FORGE) or data.get("until") is None


def _is_for_a_person(event: Event, data: dict[str, Any]) -> bool:  # noqa: ARG001  one signature
    """Feedback that no turn may answer."""
    return bool(_of_a_person(data)) or not isinstance(data.get("items"), list)


def _is_no_persons_own(event: Event, data: dict[str, Any]) -> bool:  # noqa: ARG001  one signature
    """Who closed the issue or took its label away need not be told that no turn follows."""
    return data.get("code") not in WITHDRAWN


def goes_on(notice: Notice, state: State) -> bool:
    """Whether the loop goes on by itself with what a notification tells: a task is completed, and a turn that answers
    what came of it waits or works. How that ends is told."""
    if notice.type != "task_completed":
        return False
    tasks = map(state.tasks.__getitem__, state.of_issue.get(notice.issue or "", ()))
    return any(task.reaction is not None and task.id != notice.task for task in tasks)


def _of_a_person(data: dict[str, Any]) -> list[dict[str, Any]]:
    items = data.get("items")
    if not isinstance(items, list):
        return []
    return [item for item in items if isinstance(item, dict) and item.get("counts") is False]


def _did_not_run(data: dict[str, Any]) -> str:
    """The checks that ran no step, with what they say."""
    told = (f"{item.get('name') or 'a check'} did not run: {item.get('text') or '?'}" for item in _of_a_person(data))
    return "; ".join(told)


def _is_given_up(event: Event, data: dict[str, Any]) -> bool:  # noqa: ARG001  one signature
    """Nothing is known of the work, and no later verification tells."""
    return isinstance(data.get("given_up"), int) and isinstance(data.get("code"), str)


def _unverified(data: dict[str, Any]) -> str:
    return f"{result_words.unverified(data, data['given_up'])}; no pull request is opened"


def _failed(data: dict[str, Any]) -> str:
    failures = _values(data).get("failures")
    count = f"{counted(failures, 'attempt')} failed: " if failures else ""
    return f"{count}{data.get('reason', '')}"


def _parked(data: dict[str, Any]) -> str:
    until, runs = data.get("until"), _values(data).get("runs")
    when = f"until {until[:10]} {until[11:16]} UTC" if isinstance(until, str) else "until someone unblocks it"
    told = f"{counted(runs, 'run')} in a row ended well and brought no new commit or comment" if runs else None
    told = told or (result_words.diverged(_values(data)) if data.get("gate") == BRANCH else None)
    told = told or _values(data).get("problem")
    return f"{told or data.get('reason', '')}, {when}"


def _lost(data: dict[str, Any]) -> str:
    """Why, and which commits are only on a host that was lost."""
    evidence = data.get("evidence")
    work = evidence.get("work") if isinstance(evidence, dict) else None
    reason, head = str(data.get("reason", "")), work.get("head") if isinstance(work, dict) else None
    if not isinstance(work, dict) or not isinstance(head, str) or work.get("pushed"):
        return reason
    branch, worktree = work.get("branch"), work.get("worktree")
    return f"{reason}; {branch}, last known at {head[:10]}, may have more that is only there, in {worktree}"


def _left_commits(event: Event, data: dict[str, Any]) -> bool:  # noqa: ARG001  one signature
    return bool(_left(data))


def _left(data: dict[str, Any]) -> list[dict[str, Any]]:
    worktrees = data.get("worktrees")
    if not isinstance(worktrees, list):
        return []
    return [
        one for one in worktrees if isinstance(one, dict) and isinstance(one.get("commits"), int) and one["commits"]
    ]


def _returned(data: dict[str, Any]) -> str:
    """Where the commits are that only a host has which was lost, and is there again."""
    return "; ".join(
        f"{one.get('session')}: {counted(one['commits'], 'commit')} on {_named(data)} that was lost, {_kept_on(one)}"
        for one in _left(data)
    )


def _kept_on(one: dict[str, Any]) -> str:
    """On which branch, whether that was pushed, and where the worktree is: in the line that pushes it, or by itself."""
    where, branch = f"in {result_words.folder_of(one)}", one.get("rescue")
    if not branch or one.get("pushed"):
        return f"on {branch}, pushed; {where}" if branch else where
    why, push = one.get("not_pushed"), result_words.line_to_push(one)
    return f"on {branch}, not pushed{f': {push}' if push else f'; {where}'}{f' ({why})' if why else ''}"


def _is_alone(event: Event, data: dict[str, Any]) -> bool:
    """Whether only the daemon was lost: the loss of its host is told already."""
    return not daemon_went_with(event, data)


def _host_lost(data: dict[str, Any]) -> str:
    since = data.get("silent_since")
    how = f"was not heard of since {since[:10]} {since[11:16]} UTC" if isinstance(since, str) else "is gone"
    return f"{_named(data)} {how}: its tasks go to the others"


def _named(data: dict[str, Any]) -> str:
    """The host by its id, which `located` replaces by its name."""
    return host_words.by_id(str(data.get("host")))


def _values(data: dict[str, Any]) -> dict[str, Any]:
    """What the code of a reason was decided from (`domain.events.tasks`); {} where the reason is words."""
    values = data.get("values")
    return values if isinstance(values, dict) else {}


def _claimed(data: dict[str, Any]) -> str:
    return f"slot {data['slot']}" if data.get("slot") is not None else "the PM agent takes it"


_OF_HOSTS = ("host.lost", "host.returned", "daemon.lost")

_KINDS: dict[str, tuple[str, Callable[[Event, dict[str, Any]], bool] | None, Callable[[dict[str, Any]], object]]] = {
    "task.queued": ("task_queued", _waits, lambda data: data.get("title")),
    "attempt.claimed": ("task_dequeued", _was_in_the_queue, _claimed),
    "attempt.running": ("task_started", None, lambda data: "its agent runs"),  # noqa: ARG005
    "task.completed": ("task_completed", None, lambda data: data.get("summary")),
    "task.failed": ("task_error", None, _failed),
    "task.parked": ("task_parked", _stays, _parked),
    "attempt.lost": ("agent_lost", None, _lost),
    "host.lost": ("agent_lost", None, _host_lost),
    "host.returned": ("loop_held", _left_commits, _returned),
    "report.due": (REPORT, _eventful, lambda data: f"the report of {data.get('day')} is due: kugetsu report"),
    "reaction.held": (
        "loop_held",
        _is_no_persons_own,
        lambda data: result_words.held(str(data.get("code")), _values(data)),
    ),
    "feedback.seen": ("loop_held", _is_for_a_person, _did_not_run),
    "work.verified": ("loop_held", _is_given_up, _unverified),
    "daemon.lost": ("agent_lost", _is_alone, lambda data: "the daemon exited without recording a reason"),  # noqa: ARG005
}
