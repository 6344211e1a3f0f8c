"""Whether what an issue's new session took over is what the issue's history counts.

`task.queued` carries what the destroyed sessions of its issue had counted, read from the history by way of the log's
index; the next `session.requested` takes it over. An index that gave events twice made these sums too large, and the
log keeps what was written. Here the events of such issues are folded twice, as recorded and with every carried sum
replaced by the count of the events before it: from where to where the two differ, budgets and the limit of runs
without progress were held against wrong counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kugetsu.domain.events import Event
from kugetsu.domain.fold import fold, usage
from kugetsu.domain.state import ISSUE_COUNTERS, State, empty
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    Counters = dict[str, Any]


@record
class Miscount:
    """Counters of ``issue`` that are not those of its history, since event ``seq``: ``recorded`` as the log counts,
    ``counted`` as it should; both go on with what came after. ``mended``: the event after which they agreed, else 0."""

    issue: str
    seq: int
    at: str
    recorded: Counters
    counted: Counters
    mended: int = 0

    def text(self) -> str:
        """One sentence: what is counted, and what should be."""
        wrong = [name for name in ISSUE_COUNTERS if self.recorded[name] != self.counted[name]]
        told = ", ".join(f"{name} {self.recorded[name]} instead of {self.counted[name]}" for name in wrong)
        return f"the counters of {self.issue} are not those of its history: {told}"


def carrying(events: Iterable[Event]) -> Iterator[str]:
    """The issues of events that carry counters, as they come."""
    for event in events:
        issue = event.get("issue")
        if issue is not None and event["type"] in ("task.queued", "session.requested") and event["data"].get("carried"):
            yield issue


def recount(read: Callable[[], Iterable[Event]]) -> list[Miscount]:
    """The miscounts of the log that ``read`` reads from its beginning: once, and a second time when events carry
    counters."""
    issues = set(carrying(read()))
    if not issues:
        return []
    counting = _Recount(issues)
    for event in read():
        counting.add(event)
    return counting.found


class _Recount:
    """Folds the events of some issues as recorded, and as they would be with the right counters."""

    def __init__(self, issues: Iterable[str]) -> None:
        self._usages = {issue: usage.IssueUsage(issue) for issue in issues}
        self._recorded = empty()
        self._counted = empty()
        self._open: dict[str, Miscount] = {}
        self.found: list[Miscount] = []

    def add(self, event: Event) -> None:
        """Take the next event of the log."""
        issue = event.get("issue") or event.get("session") or ""
        counted = self._usages.get(issue)
        if counted is None:
            return
        fold(self._recorded, event)
        fold(self._counted, self._righted(event, counted))
        counted.add(event)
        self._compare(issue, event)

    def _righted(self, event: Event, counted: usage.IssueUsage) -> Event:
        data = event["data"]
        if not data.get("carried"):
            return event
        if event["type"] == "session.requested":
            task = self._counted.tasks.get(event.get("task") or "")
            prior = task.prior_usage if task is not None else None
        else:
            prior = None
        return {**event, "data": {**data, "carried": prior or counted.prior_usage()}}

    def _compare(self, issue: str, event: Event) -> None:
        recorded, counted = _of(self._recorded, issue), _of(self._counted, issue)
        known = self._open.get(issue)
        if recorded == counted:
            if known is not None:
                self._open.pop(issue).mended = event["seq"]
            return
        if known is None:
            known = self._open[issue] = Miscount(issue, event["seq"], event["at"], recorded, counted)
            self.found.append(known)
        known.recorded, known.counted = recorded, counted


def _of(state: State, issue: str) -> Counters:
    return usage.of_issue(state, issue) or dict.fromkeys(ISSUE_COUNTERS, 0)
