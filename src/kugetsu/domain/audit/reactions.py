"""What the turns that answered feedback cost, issue by issue: how many, about what, and which changed nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

from kugetsu.domain.events import Event
from kugetsu.domain.fold import usage
from kugetsu.domain.state import ENDS, Session, State
from kugetsu.model.clock import seconds_between
from kugetsu.model.record import field, record

#: Issues that are kept; of more, those with the fewest turns become one sum.
KEPT = 5000


@record
class Answers:
    """The turns of one issue (or of all that are not kept): ``kinds`` of what they were about, a turn about two of them
    counts for both; ``entries`` is 1, or how many were added up, ``issues`` how many of them have turns; ``fruitless``
    ended well and brought no new commit or comment; ``held`` is the latest brake."""

    key: str
    entries: int = 1
    issues: int = 0
    turns: int = 0
    kinds: Counter[str] = field(factory=Counter)
    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    failed: int = 0
    fruitless: int = 0
    brakes: int = 0
    held: str | None = None

    def as_data(self) -> dict[str, Any]:
        """As JSON values, times in seconds."""
        numbers = {name: getattr(self, name) for name in ("turns", "tokens", "seconds", "failed", "fruitless")}
        return {"issue": self.key, **numbers, "cost": round(self.cost, 6), "kinds": dict(self.kinds), "held": self.held}

    def take(self, other: Answers) -> None:
        """Add what another counted."""
        for name in ("entries", "issues", "turns", "tokens", "cost", "seconds", "failed", "fruitless", "brakes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.kinds += other.kinds


class Reactions:
    """The turns of every issue, or ``only`` of this issue or task; ``state`` is what was there before."""

    def __init__(self, state: State, only: str | None = None) -> None:
        self._only = only
        self._of: dict[str, Answers] = {}
        self._rest = Answers("", entries=0)
        #: issue → item → its kind, as long as no turn has answered it.
        self._items: dict[str, dict[str, str]] = {
            issue: {name: item["kind"] for name, item in loop["items"].items() if item["turn"] is None}
            for issue, loop in state.loops.items()
        }
        self._turns = {task.id for task in state.tasks.values() if task.reaction is not None}
        self._began: dict[str, str] = {one.id: one.running_at for one in state.attempts.values() if one.running_at}
        #: issue → a stand-in for its session, which knows what progress is.
        self._sessions = {key: _stand_in(key, session) for key, session in state.sessions.items()}

    def add(self, event: Event) -> None:
        """Take the next event in."""
        kind, data, issue = event["type"], event["data"], event.get("issue")
        if issue is None or self._only not in (None, issue, event.get("task")):
            return
        if kind == "feedback.seen":
            items = self._items.setdefault(issue, {})
            items |= {item["id"]: item["kind"] for item in data["items"]}
        elif kind == "reaction.held":
            answers = self._answers(issue)
            answers.brakes, answers.held = answers.brakes + 1, data["code"]
        elif kind == "task.queued" and data.get("reaction"):
            self._turns.add(event["task"])
            answers = self._answers(issue)
            answers.issues, answers.turns, answers.held = 1, answers.turns + 1, None
            known = self._items.get(issue, {})
            answers.kinds.update({known.pop(name) for name in data["reaction"]["items"] if name in known})
        elif kind == "attempt.running":
            self._began[event["attempt"]] = event["at"]
        elif kind == "issue.read" and data["problem"] is None:
            # What others wrote since the last run is no progress of the next one.
            self._sessions.setdefault(issue, Session(issue, "issue")).comments = data["comments"]
        elif kind in ENDS:
            self._end(event, issue)

    def _end(self, event: Event, issue: str) -> None:
        data, began = event["data"], self._began.pop(event["attempt"], None)
        session = self._sessions.setdefault(issue, Session(issue, "issue"))
        before, succeeded = session.usage.no_progress_runs, event["type"] == "attempt.succeeded"
        usage.note_end(session, succeeded, data["evidence"])
        if event.get("task") not in self._turns:
            return
        answers = self._answers(issue)
        answers.tokens += data["tokens"]
        answers.cost += data["cost"]
        answers.seconds += max(seconds_between(began, event["at"]), 0.0) if began is not None else 0.0
        answers.failed += not succeeded
        answers.fruitless += session.usage.no_progress_runs > before

    def _answers(self, issue: str) -> Answers:
        found = self._of.get(issue)
        if found is None:
            if len(self._of) >= 2 * KEPT:
                for one in self.most()[KEPT:]:
                    self._rest.take(self._of.pop(one.key))
            found = self._of[issue] = Answers(issue)
        return found

    def most(self) -> list[Answers]:
        """All that are kept, those with the most turns first."""
        return sorted(self._of.values(), key=lambda one: (-one.turns, -one.tokens, one.key))

    def total(self) -> Answers:
        """The sum of all issues; ``entries`` is how many they are."""
        whole = Answers("", entries=0)
        for one in (*self._of.values(), self._rest):
            whole.take(one)
        return whole


def _stand_in(key: str, session: Session) -> Session:
    made = Session(key, session.kind)
    made.head, made.comments = session.head, session.comments
    made.usage.no_progress_runs = session.usage.no_progress_runs
    return made
