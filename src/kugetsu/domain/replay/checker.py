"""Folds a log event by event and decides every transaction again, in one pass and in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kugetsu.domain.decision import MissingArgumentError
from kugetsu.domain.events import CATALOGUE, PRESENT, Event
from kugetsu.domain.fold import fold
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.replay import Earlier, UnknownError, UnnamedError, alternatives, closed_gate, observed, redecide
from kugetsu.domain.replay.divergence import Divergence, Mismatch, agree, mismatch, present, version_of
from kugetsu.domain.state import State, empty
from kugetsu.domain.verdict import Verdict
from kugetsu.model.errors import KugetsuError

if TYPE_CHECKING:
    from kugetsu.domain.replay.divergence import Category


#: Events that the planning state lags behind: a plan is a few milliseconds old when it is used.
LAG = 1000
#: Writing processes that are remembered.
MOST_WRITERS = 10_000


class ReplayChecker:
    """Compares recorded transactions with the decisions made now.

    ``earlier`` returns the state after a much earlier event (rarely called), ``version`` is the deciding one. Other
    settings are tried only for the first ``explained`` differences. After a difference the recorded events are folded.
    Transactions of older versions, which name no decision, are only folded (``folded``): for them it reports refused
    events (`State.violations`) and broken invariants.
    """

    def __init__(self, earlier: Earlier, version: str, *, explained: int = 1) -> None:
        self.state: State = empty()
        self.redecided = 0
        self.observed = 0
        self.folded = 0
        self.last_folded: int | None = None
        self.differences = 0
        #: Processes that name their decisions: a transaction of theirs without a name has lost it.
        self._naming: set[tuple[Any, ...]] = set()
        self._explained = explained
        self._version = version
        self._group: list[Event] = []
        self._lagging = _Lagging(earlier)

    @property
    def unfinished(self) -> int:
        """Events of an incomplete transaction: neither checked nor folded."""
        return len(self._group)

    def add(self, event: Event) -> Divergence | None:
        """Take the next event; returns the difference if it completes a transaction that is decided differently now."""
        self._group.append(event)
        if "more" in event:
            return None
        group, self._group = self._group, []
        found = self._check(group)
        for one in group:
            fold(self.state, one)
        self._lagging.extend(group)
        return found

    def _check(self, recorded: list[Event]) -> Divergence | None:
        if observed(recorded):
            self.observed += 1
            return None
        by = recorded[0].get("by", {})
        writer = (by.get("host"), by.get("pid"))
        group = present(recorded)
        if "decision" not in recorded[0]:
            if writer in self._naming:
                return self._difference(group, [], UnnamedError())
            self.folded += 1
            self.last_folded = recorded[-1]["seq"]
            return None
        self._naming.add(writer)
        if len(self._naming) > MOST_WRITERS:
            self._naming = {writer}
        self.redecided += 1
        try:
            new_events = redecide(self.state, group, self._earlier)
        except (MissingArgumentError, UnknownError) as problem:
            missing = problem.name if isinstance(problem, MissingArgumentError) else None
            return self._difference(group, [], problem, missing, unknown=missing is None)
        except (KugetsuError, LookupError, TypeError, ValueError, AttributeError) as refusal:
            return self._difference(group, [], refusal)
        if agree(group, new_events):
            return None
        return self._difference(group, new_events, None)

    def _earlier(self, seq: int) -> State:
        return self.state if seq >= self.state.seq else self._lagging.at(seq)

    def _difference(
        self,
        group: Sequence[Event],
        new_events: Sequence[NewEvent],
        refusal: Exception | Verdict | None,
        missing_fact: str | None = None,
        *,
        unknown: bool = False,
    ) -> Divergence | None:
        found = mismatch(group, new_events)
        if found is None:
            return None  # equal as JSON, ignoring redacted text
        if refusal is None and found.found == "unexpected":
            refusal = closed_gate(self.state, group)
        self.differences += 1
        tried = missing_fact is None and self.differences <= self._explained
        setting = alternatives.explain(self.state, group, self._earlier) if tried else None
        category = self._category(group, found, missing_fact is not None or unknown, setting is not None)
        return Divergence(found, group, category=category, refusal=refusal, setting=setting, missing_fact=missing_fact)

    def _category(self, group: Sequence[Event], found: Mismatch, lesser: bool, config: bool) -> Category:
        writer = version_of(group[0])
        later = any(event["type"] not in CATALOGUE or event["v"] > PRESENT[event["type"]] for event in group)
        if lesser or later or (writer is not None and writer != self._version):
            return "code version"
        return "config" if config else found.found


class _Lagging:
    """A second state, some events behind the first, that can be advanced to any of them."""

    def __init__(self, earlier: Earlier) -> None:
        self._far = earlier
        self._state = empty()
        self._ahead: deque[Event] = deque()

    def extend(self, events: Sequence[Event]) -> None:
        """Note events that were folded into the first state."""
        self._ahead.extend(events)
        while len(self._ahead) > LAG:
            fold(self._state, self._ahead.popleft())

    def at(self, seq: int) -> State:
        """The state after the event ``seq``."""
        if seq < self._state.seq:
            return self._far(seq)
        while self._ahead and self._ahead[0]["seq"] <= seq:
            fold(self._state, self._ahead.popleft())
        return self._state
