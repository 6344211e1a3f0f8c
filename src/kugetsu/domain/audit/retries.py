"""What went wrong on which issue: failed attempts by reason, retries, parks, and what they took."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.events import Event
from kugetsu.domain.interval_fold import Intervals
from kugetsu.domain.intervals import MICRO, Run
from kugetsu.domain.state import ENDS, State, Usage
from kugetsu.model.clock import parse
from kugetsu.model.record import field, record

#: Issues that are kept; of more, the least troubled become one sum. An issue that comes back counts from nothing.
KEPT = 5000
#: Reasons of failures that are kept for an issue, by their beginning; more are counted together.
REASONS = 5
REASON_LENGTH = 60
OTHER = "(other)"
#: The events that begin and end runs; what tasks waited for meanwhile is not asked here.
_OF_RUNS = frozenset(("attempt.claimed", *ENDS))


@record
class Trouble:
    """Of one issue (or of the PM agent, or of all that are not kept): its usage, attempts by end, failures by reason,
    parks by gate, microseconds in attempts; ``wasted`` are those in attempts that did not succeed."""

    key: str
    issues: int = 1
    usage: Usage = field(factory=Usage)
    ends: dict[str, int] = field(factory=dict)
    reasons: dict[str, int] = field(factory=dict)
    parks: dict[str, int] = field(factory=dict)
    spent: int = 0
    wasted: int = 0

    @property
    def failed(self) -> int:
        """Attempts that did not succeed."""
        return sum(number for end, number in self.ends.items() if end != "succeeded")

    @property
    def went_wrong(self) -> bool:
        """True after a failed attempt, a retry or a park."""
        return bool(self.failed or self.usage.retries or self.parks)

    def severity(self) -> tuple[int, int, int, int]:
        """The sort key: time lost, failures, parks, tokens."""
        return self.wasted, self.failed + self.usage.retries, sum(self.parks.values()), self.usage.tokens

    def as_data(self) -> dict[str, Any]:
        """As JSON values, times in seconds."""
        return {
            "issue": self.key,
            "attempts": self.usage.attempts,
            "ends": self.ends,
            "reasons": self.reasons,
            "retries": self.usage.retries,
            "parks": self.parks,
            "tokens": self.usage.tokens,
            "cost": round(self.usage.cost, 6),
            "seconds": self.spent / MICRO,
            "lost_seconds": self.wasted / MICRO,
        }

    def take(self, other: Trouble) -> None:
        """Add what another counted."""
        self.issues += other.issues
        self.usage.add(other.usage)
        self.spent += other.spent
        self.wasted += other.wasted
        for mine, others in ((self.ends, other.ends), (self.parks, other.parks)):
            for name, number in others.items():
                mine[name] = mine.get(name, 0) + number


class Retries:
    """The troubles of every issue from ``begins`` on, or ``only`` of this issue, task or session; ``state`` is what was
    there then."""

    def __init__(self, state: State, begins: str, only: str | None = None) -> None:
        self._only = only
        self._of: dict[str, Trouble] = {}
        self._rest = Trouble("", issues=0)
        self._rest_wrong = 0
        self._begins = parse(begins)
        self._intervals = Intervals(state, begins)

    def _trouble(self, key: str) -> Trouble:
        found = self._of.get(key)
        if found is None:
            if len(self._of) >= 2 * KEPT:
                self._drop_the_least()
            found = self._of[key] = Trouble(key)
        return found

    def _drop_the_least(self) -> None:
        ordered = sorted(self._of.values(), key=Trouble.severity, reverse=True)
        for trouble in ordered[KEPT:]:
            self._rest.take(trouble)
            self._rest_wrong += trouble.went_wrong
            del self._of[trouble.key]

    def add(self, event: Event) -> None:
        """Take the next event in."""
        kind, data = event["type"], event["data"]
        if kind in _OF_RUNS:
            for closed in self._intervals.add(event):
                if isinstance(closed, Run) and self._concerns(closed.task, closed.issue):
                    self._end(closed, data)
        if kind in ("attempt.claimed", "task.retried", "task.parked"):
            if not self._concerns(event["task"], event.get("issue")):
                return
            trouble = self._trouble(event.get("issue") or "pm")
            trouble.usage.count(kind, data)
            if kind == "task.parked":
                gate = data.get("gate", "provider")
                trouble.parks[gate] = trouble.parks.get(gate, 0) + 1

    def _concerns(self, task: str, issue: str | None) -> bool:
        return self._only in (None, task, issue or "pm")

    def _end(self, run: Run, data: dict[str, Any]) -> None:
        trouble, end = self._spend(run, run.until or 0), str(run.end)
        trouble.ends[end] = trouble.ends.get(end, 0) + 1
        trouble.usage.count(f"attempt.{end}", data)
        if end != "succeeded":
            reason = str(data["reason"])[:REASON_LENGTH]
            if reason not in trouble.reasons and len(trouble.reasons) >= REASONS:
                reason = OTHER
            trouble.reasons[reason] = trouble.reasons.get(reason, 0) + 1

    def _spend(self, run: Run, until: int) -> Trouble:
        trouble = self._trouble(run.issue or "pm")
        spent = max(until - max(run.since, self._begins), 0)
        trouble.spent += spent
        if run.end not in (None, "succeeded"):
            trouble.wasted += spent
        return trouble

    def end(self, now: str) -> None:
        """The log ends here: attempts that are still running count up to ``now``."""
        for run in self._intervals.runs.values():
            if self._concerns(run.task, run.issue):
                self._spend(run, parse(now))

    def worst(self) -> list[Trouble]:
        """All that are kept, the most troubled first."""
        return sorted(self._of.values(), key=lambda one: (*(-part for part in one.severity()), one.key))

    def wrong(self) -> int:
        """The number of issues on which anything went wrong."""
        return self._rest_wrong + sum(trouble.went_wrong for trouble in self._of.values())

    def total(self) -> Trouble:
        """The sum of all issues; ``issues`` is how many they are."""
        whole = Trouble("", issues=0)
        for trouble in (*self._of.values(), self._rest):
            whole.take(trouble)
        return whole
