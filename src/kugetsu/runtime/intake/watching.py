"""The observer's part in the intake: which repository is looked at when, one step at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from kugetsu.domain.events import Event
from kugetsu.domain.state import State
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime import host_id
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.intake import looking, marking, places
from kugetsu.runtime.intake.looking import Outcome
from kugetsu.runtime.intake.reading import Place
from kugetsu.runtime.workspace import Workspace

#: Asked whether the forge of a host may be asked, by the time that it named itself; and told what a question came to:
#: host, subject, problem or None; and what was recorded of a subject.
MayAsk = Callable[[str], bool]
Tell = Callable[[str, str, KugetsuError | None], None]
Written = Callable[[str, list[Event]], None]


class Watching:
    """Looks at each repository with an INTAKE_LABEL every INTAKE_INTERVAL_MINUTES, and sets the labels that show the
    state of issues. A stop is heeded between two steps."""

    def __init__(self, ws: Workspace, may_ask: MayAsk, tell: Tell, written: Written) -> None:
        self._ws = ws
        self._may_ask, self._tell, self._written = may_ask, tell, written
        self._places: dict[str, Place] = {}
        self._looked: dict[str, float] = {}
        self._look: Iterator[Outcome] | None = None
        #: The issues whose labels are to be changed, the next one last: found at once, taken one a step.
        self._marks: list[str] = []

    def step(self, state: State) -> float:
        """Do what is due next; 0 if there was something, else the seconds until there is."""
        if self._look is not None:
            outcome_or_end = next(self._look, None)
            if outcome_or_end is None:
                self._look = None
            else:
                self._took(outcome_or_end)
            return 0.0
        if self._marks:
            issue = self._marks.pop()
            if self._may_ask(host := issue.partition("/")[0]):
                self._tell(host, issue, marking.mark(self._ws, issue))
            return 0.0
        labels, now = places.labels(self._ws, state), clock.now()
        for outcome in looking.switched_off(self._ws, {*labels, *self._of_others(state)}):
            self._took(outcome)
            return 0.0
        marks = marking.due(self._ws, state, now)
        self._marks = [issue for issue in reversed(marks) if self._may_ask(issue.partition("/")[0])]
        return 0.0 if self._marks else min(self._begin(labels), marking.wait(state, now))

    def _of_others(self, state: State) -> set[str]:
        """The repositories, of a log that hosts share, that another host which takes part has looked at by its own
        settings: that this one has no label for them switches nothing off."""
        known = state.intake.items() if state.hosts else ()
        return {issue.rpartition("#")[0] for issue, entry in known if self._is_of_other(state, issue, entry)}

    def _is_of_other(self, state: State, issue: str, entry: dict[str, Any]) -> bool:
        if issue.rpartition("#")[0] in self._looked or host_id.is_own(self._ws, entry.get("host", "")):
            return False
        host = state.hosts.get(entry.get("host", ""))
        return host is None or host.takes_part  # earlier versions did not record it

    def _begin(self, labels: dict[str, str]) -> float:
        """Begin the next look that is due; the seconds until one is."""
        self._places = {name: place for name, place in self._places.items() if labels.get(name) == place.label}
        waits = []
        for repository in sorted(labels, key=lambda name: self._looked.get(name, 0.0)):
            interval = self._ws.config_of(repository).number("INTAKE_INTERVAL_MINUTES") * 60
            since = time.monotonic() - self._looked.get(repository, float("-inf"))
            if since < interval and repository in self._places:
                waits.append(interval - since)
                continue
            self._looked[repository] = time.monotonic()
            if not self._may_ask(repository.partition("/")[0]):
                waits.append(interval)
                continue
            place = self._places.setdefault(repository, Place(repository, labels[repository]))
            self._look = looking.look(self._ws, place, Forges(self._ws))
            return 0.0
        return min(waits, default=86_400.0)

    def _took(self, outcome: Outcome) -> None:
        host = outcome.repository.partition("/")[0]
        if not outcome.gone:
            self._tell(host, outcome.issue or outcome.repository, outcome.problem)
        self._written(outcome.issue or outcome.repository, outcome.events)
