"""The text of `history`: a summary, a row for each event with its cause and author, and the next step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kugetsu.domain.events import upcast
from kugetsu.domain.state import ENDS, Task, Usage
from kugetsu.domain.verdict import Verdict
from kugetsu.model import clock
from kugetsu.model.plural import counted
from kugetsu.views import gates, host_wording, times
from kugetsu.views.results import result_words
from kugetsu.views.screen import Screen
from kugetsu.views.text import columns, cut, pad
from kugetsu.views.wording import verb, who, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.events import Event

#: Columns for the names of kinds and attempts; `attempt.stop_requested` is the longest kind.
TYPE_WIDTH = 18
SUBJECT_WIDTH = 6
#: From this width on, the first row of a task also shows the command that made it.
_WIDE = 100
#: Steps of an attempt and of the session that it prepares: their cause is its claim, and their row names the attempt.
_STEPS = ("attempt.starting", "session.preparing", "session.prepared")
_AFTER = {
    "task.queued": "pending",
    "task.held": None,
    "task.retried": "pending",
    "task.parked": "parked",
    "task.resumed": "pending",
    "task.requeued": "pending",
    "task.completed": "completed",
    "task.failed": "error",
    "task.cancelled": "cancelled",
    "attempt.claimed": "claimed",
    "attempt.starting": "starting",
    "attempt.running": "running",
}


class Summary:
    """A summary of one subject's events, folded one by one, so that a long history need not be kept in memory."""

    def __init__(self) -> None:
        self.state = ""
        self.task: str | None = None
        self.usage = Usage()
        self.worked = 0.0
        self.events = 0
        self.first_at = ""
        #: What came of the latest attempt that ended.
        self.result: dict[str, Any] | None = None
        self._claims: dict[str, str] = {}

    def add(self, event: Event) -> None:
        """Count one event."""
        kind = event["type"]
        self.events += 1
        self.first_at = self.first_at or event["at"]
        if event.get("task"):
            self.task = event["task"]
        self.state = _AFTER.get(kind) or self.state
        self.usage.count(kind, event["data"])
        if kind == "attempt.claimed":
            self._claims[event["attempt"]] = event["at"]
        elif kind in ENDS:
            claimed_at = self._claims.pop(event["attempt"], event["at"])
            self.worked += times.since(claimed_at, event["at"])
            self.result = upcast(event)["data"]["result"]
        elif kind == "pull.opened":
            pull = {"number": event["data"]["number"], "state": "open"}
            self.result = {**(self.result or {}), "kind": "pull_request", "pull": pull}
        elif kind.startswith("session.") and not self.task:
            self.state = kind.partition(".")[2]

    def worked_by(self, now: str) -> float:
        """Seconds that agents worked, including those still at work."""
        return self.worked + sum(times.since(claimed_at, now) for claimed_at in self._claims.values())


def header(subject: str, summary: Summary, screen: Screen) -> list[str]:
    """``github.com/shoko/kugetsu#14 · parked · 1 attempt · 41m · 412k tokens``, and the day and zone below."""
    parts = [subject]
    if summary.state:
        parts.append(screen.state(summary.state, summary.state))
    if summary.state == "completed" and summary.result is not None:
        parts.append(result_words(summary.result))
    if summary.usage.attempts:
        parts.append(counted(summary.usage.attempts, "attempt"))
        parts.append(times.duration(summary.worked_by(screen.now)))
    if summary.usage.tokens:
        parts.append(times.tokens(summary.usage.tokens))
    whole = " · ".join(parts)
    if screen.width is None or screen.narrow or columns(whole) <= screen.width:
        return [whole]
    return [parts[0], "  " + " · ".join(parts[1:])]


class Rows:
    """Formats events one after the other, with a line for the date where the day changes."""

    def __init__(
        self,
        screen: Screen,
        *,
        seq_width: int = 4,
        subjects: bool = False,
        issues: bool = True,
        hosts: Mapping[str, str] | None = None,
    ) -> None:
        """``subjects``: rows name their task; ``issues``: and, where a task or session begins and where there is no
        task, its issue; ``hosts``: the names of those that share the log, by their ids."""
        self._hosts = hosts or {}
        self._screen = screen
        self._seq_width = seq_width
        self._subjects = subjects
        self._issues = subjects and issues
        #: Columns for the names of kinds; more if rows are indented as a tree.
        self.type_width = TYPE_WIDTH
        #: Whether rows name the event that caused theirs.
        self.causes = True
        self._day = ""
        self._told: set[str] = set()
        self._claimed_at: dict[str, str] = {}

    @property
    def indent(self) -> int:
        """Columns before the time; further lines of a row are indented to it."""
        return self._seq_width + 4

    def lines(self, event: Event, indent: int = 0) -> list[str]:
        """The row of ``event``, after the date if that changed; its kind is indented by ``indent`` columns."""
        shown = []
        day = times.day(event["at"])
        if day != self._day:
            named = f"{day}, times in {times.zone(event['at'])}" if not self._day else day
            shown.append(self._screen.dim(f"  {'':>{self._seq_width}}  {named}"))
            self._day = day
        shown += self._narrow(event, indent) if self._screen.narrow else [self._row(event, indent)]
        return shown

    def _row(self, event: Event, indent: int) -> str:
        screen, kind = self._screen, event["type"]
        seq = f"{event['seq']:>{self._seq_width}}"
        subject = self._subject(event)
        # A long kind takes the room of its subject, so that the texts stay aligned.
        shown = f"{'':>{indent}}{kind}"
        what = pad(f"{pad(shown, self.type_width)}  {subject}".rstrip(), self.type_width + SUBJECT_WIDTH + 2)
        left = f"  {seq}  {times.time_of_day(event['at'])}  {what}  "
        text, tail = self._text(event), self._tail(event)
        if screen.width is None:
            return f"{left}{text}{'  ' + tail if tail else ''}".rstrip()
        room = screen.width - columns(left)
        tail_room = columns(tail) + 2 if tail else 0
        if room - tail_room < 12:  # too narrow for both: the text matters more
            tail, tail_room = "", 0
        text = cut(text, room - tail_room)
        gap = " " * (room - columns(text) - columns(tail)) if tail else ""
        coloured = f"  {screen.dim(seq)}{left[2 + len(seq) :]}".replace(kind, _painted(screen, kind), 1)
        return f"{coloured}{text}{gap}{screen.dim(tail)}".rstrip()

    def _narrow(self, event: Event, indent: int) -> list[str]:
        """The row of an event in several lines: the whole text is below its kind."""
        screen, kind = self._screen, event["type"]
        seq = f"{event['seq']:>{self._seq_width}}"
        at = f"  {seq}  {times.time_of_day(event['at'])}  "
        width = screen.width or 0
        shown = f"{'':>{max(min(indent, width - len(at) - len(kind)), 0)}}{kind}"
        subject, text, tail = self._subject(event), self._text(event), self._tail(event)
        if subject and len(at) + len(shown) + 2 + columns(subject) <= width:
            shown, subject = f"{shown}  {subject}", ""
        first = f"{at}{shown}".replace(seq, screen.dim(seq), 1).replace(kind, _painted(screen, kind), 1)
        text = f"{subject}: {text}" if subject and text else subject or text
        *before, last = screen.wrapped(text.replace("  ", " "), self.indent)
        fits = self.indent + columns(last) + 2 + columns(tail) <= width
        if tail and last and fits:
            last = f"{last}  {screen.dim(tail)}"
        rest = [*before, last, *([screen.dim(tail)] if tail and not fits else [])]
        return [first, *(" " * self.indent + part for part in rest if part)]

    def _subject(self, event: Event) -> str:
        if event.get("attempt"):
            return str(event["attempt"])
        if self._subjects:
            return str(event.get("task") or "")
        return ""

    def _text(self, event: Event) -> str:
        text = words(event)
        if self._hosts:
            text = host_wording.on_host(event, text, self._hosts)
        if self._issues and event["type"] == "task.queued" and event.get("issue"):
            text = f"{self._screen.issue(event['issue'])} {text}"
        elif self._issues and event["type"].startswith("session.") and event.get("session"):
            text = f"{self._screen.issue(event['session'])}: {text}"
        elif self._issues and event.get("issue") and not self._subject(event):
            text = f"{self._screen.issue(event['issue'])}: {text}"
        if event["type"] != "task.queued":
            return text
        by = event["by"]
        wide = self._screen.width is None or self._screen.width >= _WIDE
        command = f"{verb(by)}  " if wide and verb(by) != who(by) else ""
        return f"by {who(by)}  {command}{text}"

    def _tail(self, event: Event) -> str:
        kind, attempt = event["type"], event.get("attempt")
        if kind == "attempt.claimed":
            self._claimed_at[attempt or ""] = event["at"]
        elif kind == "attempt.running" or kind in ENDS:
            claimed_at = self._claimed_at.get(attempt or "")
            if claimed_at is not None:
                return f"+{_span(clock.seconds_between(claimed_at, event['at']))}"
        cause = event.get("cause")
        return f"because {cause}" if cause and self.causes and kind not in _STEPS else ""


def _span(seconds: float) -> str:
    return f"{max(seconds, 0.0):.1f}s" if seconds < 10 else times.duration(seconds)


def _painted(screen: Screen, kind: str) -> str:
    state = {"task.failed": "error"}.get(kind, kind.partition(".")[2])
    return screen.state(state, kind)


def footer(task: Task | None, closed: Sequence[Verdict], subject: str, screen: Screen) -> list[str]:
    """``next: …        why: …``: what happens next to the latest task, and the command that explains it."""
    if task is None:
        return (
            [f"next: nothing scheduled        continue: kugetsu continue {subject} MESSAGE"] if "#" in subject else []
        )
    return [f"next: {_coming(task, closed, screen)}        {_command(task, screen)}"]


def cut_off(subject: str | None, last: int, screen: Screen) -> list[str]:
    """The next commands for a history that ends in the past; ``subject`` None: of the whole log."""
    parts = [screen.dim(f"as of event {last}")]
    if subject is not None and "base:" not in subject:
        parts.append("why: " + screen.command(f"kugetsu why {subject} --at {last}"))
    return screen.side_by_side([*parts, "up to now: " + screen.command(f"kugetsu history {subject or '--all'}")])


def _coming(task: Task, closed: Sequence[Verdict], screen: Screen) -> str:
    if task.state == "notified":
        return f"when {task.attempt or 'its attempt'} ends"
    if task.state in ("pending", "parked"):
        if not closed:
            return "starts now"
        first = closed[0]
        if first.until is not None:
            verb = "resumes at" if task.state == "parked" else "starts at"
            condition = ", if the daemon runs" if any(gate.gate == "daemon" for gate in closed) else ""
            return f"{verb} {times.ahead(first.until, screen.now)}{condition}"
        return f"waits: {gates.reason_of(first)}"
    return "nothing scheduled"


def _command(task: Task, screen: Screen) -> str:
    if task.state == "notified":
        return f"follow: kugetsu logs {task.attempt or task.id} -f"
    if task.state == "completed" and task.issue:
        return f"continue: kugetsu continue {task.issue} MESSAGE"
    return "why: " + screen.command(f"kugetsu why {task.id}")
