"""What went wrong on which issue: failed attempts by reason, retries, parks, and what they took."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.events import Event
from kugetsu.domain.intervals import MICRO
from kugetsu.domain.state import ENDS, State
from kugetsu.model.clock import parse
from kugetsu.model.record import field, record

#: Issues that are kept; of more, those that hurt least become one sum. An issue that comes back counts from nothing.
KEPT = 5000
#: Reasons of failures that are kept for an issue, by their beginning; more are counted together.
REASONS = 5
REASON_LENGTH = 60
OTHER = "(other)"


@record
class Trouble:
    """Of one issue (or of the PM agent, or of all that are not kept): counts, tokens, cost, microseconds in attempts;
    ``wasted`` are those in attempts that did not succeed."""

    key: str
    issues: int = 1
    attempts: int = 0
    ends: dict[str, int] = field(factory=dict)
    reasons: dict[str, int] = field(factory=dict)
    retries: int = 0
    parks: dict[str, int] = field(factory=dict)
    tokens: int = 0
    cost: float = 0.0
    spent: int = 0
    wasted: int = 0

    @property
    def failed(self) -> int:
        """Attempts that ended otherwise than well."""
        return sum(number for end, number in self.ends.items() if end != "succeeded")

    @property
    def went_wrong(self) -> bool:
        """Whether anything did: a failed attempt, a retry, a park."""
        return bool(self.failed or self.retries or self.parks)

    def hurt(self) -> tuple[int, int, int, int]:
        """By what troubles are ordered: time lost, failures, parks, tokens."""
        return self.wasted, self.failed + self.retries, sum(self.parks.values()), self.tokens

    def as_data(self) -> dict[str, Any]:
        """The same as JSON values, times in seconds."""
        return {
            "issue": self.key,
            "attempts": self.attempts,
            "ends": self.ends,
            "reasons": self.reasons,
            "retries": self.retries,
            "parks": self.parks,
            "tokens": self.tokens,
            "cost": round(self.cost, 6),
            "seconds": self.spent / MICRO,
            "lost_seconds": self.wasted / MICRO,
        }

    def take(self, other: Trouble) -> None:
        """Add what another counted."""
        self.issues += other.issues
        for name in ("attempts", "retries", "tokens", "cost", "spent", "wasted"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, others in ((self.ends, other.ends), (self.parks, other.parks)):
            for name, number in others.items():
                mine[name] = mine.get(name, 0) + number


class Retries:
    """The troubles of every issue. ``state`` is where the log is begun: its live attempts count from there on."""

    def __init__(self, state: State, begins: str, only: str | None = None) -> None:
        self._only = only
        self._of: dict[str, Trouble] = {}
        self._rest = Trouble("")
        self._rest.issues = 0
        self._live: dict[str, tuple[str, int]] = {}
        self._rest_wrong = 0
        for attempt in state.attempts.values():
            if only in (None, attempt.task, attempt.session):
                self._live[attempt.id] = (attempt.session, parse(begins))

    def _trouble(self, key: str) -> Trouble:
        found = self._of.get(key)
        if found is None:
            if len(self._of) >= 2 * KEPT:
                self._forget_the_least()
            found = self._of[key] = Trouble(key)
        return found

    def _forget_the_least(self) -> None:
        ordered = sorted(self._of.values(), key=Trouble.hurt, reverse=True)
        for trouble in ordered[KEPT:]:
            self._rest.take(trouble)
            self._rest_wrong += trouble.went_wrong
            del self._of[trouble.key]

    def add(self, event: Event) -> None:
        """Take the next event in."""
        kind = event["type"]
        if kind == "attempt.claimed":
            key = event.get("session") or event.get("issue") or "pm"
            if self._only in (None, event.get("task"), event.get("issue"), key):
                self._trouble(key).attempts += 1
                self._live[event["attempt"]] = (key, parse(event["at"]))
        elif kind in ENDS:
            self._end(event)
        elif kind in ("task.retried", "task.parked"):
            key = event.get("issue") or "pm"
            if self._only in (None, event.get("task"), key):
                trouble = self._trouble(key)
                if kind == "task.retried":
                    trouble.retries += 1
                else:
                    gate = event["data"].get("gate", "provider")
                    trouble.parks[gate] = trouble.parks.get(gate, 0) + 1

    def _end(self, event: Event) -> None:
        key, since = self._live.pop(event["attempt"], (None, 0))
        if key is None:
            return
        trouble, data = self._trouble(key), event["data"]
        end = event["type"].partition(".")[2]
        trouble.ends[end] = trouble.ends.get(end, 0) + 1
        trouble.tokens += data["tokens"]
        trouble.cost += data["cost"]
        self._spend(trouble, since, event["at"], end != "succeeded")
        if end != "succeeded":
            reason = str(data["reason"])[:REASON_LENGTH]
            if reason not in trouble.reasons and len(trouble.reasons) >= REASONS:
                reason = OTHER
            trouble.reasons[reason] = trouble.reasons.get(reason, 0) + 1

    def _spend(self, trouble: Trouble, since: int, until: str, wasted: bool) -> None:
        spent = max(parse(until) - since, 0)
        trouble.spent += spent
        if wasted:
            trouble.wasted += spent

    def end(self, now: str) -> None:
        """The log ends here: attempts that still live count up to ``now``."""
        for key, since in self._live.values():
            self._spend(self._trouble(key), since, now, False)
        self._live.clear()

    def worst(self) -> list[Trouble]:
        """All that are kept and had an attempt, those that hurt most first."""
        return sorted(self._of.values(), key=lambda one: (*(-part for part in one.hurt()), one.key))

    def wrong(self) -> int:
        """On how many issues anything went wrong."""
        return self._rest_wrong + sum(trouble.went_wrong for trouble in self._of.values())

    def total(self) -> Trouble:
        """The sum of all issues; ``issues`` is how many they are."""
        whole = Trouble("")
        whole.issues = 0
        for trouble in (*self._of.values(), self._rest):
            whole.take(trouble)
        return whole
