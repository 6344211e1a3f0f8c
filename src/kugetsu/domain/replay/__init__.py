"""Makes a recorded decision again: the function that the transaction names, with the arguments that it records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kugetsu.domain import facts as declared
from kugetsu.domain import gates
from kugetsu.domain.decide import (
    attempts,
    claims,
    daemon,
    hosts,
    importing,
    intake,
    marks,
    notifications,
    pauses,
    persons,
    queue,
    reactions,
    reports,
    reviews,
    sessions,
    undo,
    verification,
    worktree_setup,
)
from kugetsu.domain.decision import DECISIONS, MissingArgumentError
from kugetsu.domain.events import CATALOGUE, Event
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.domain.verdict import Verdict

#: The state after an earlier event: dispatchers plan on it and claim on a later one.
Earlier = Callable[[int], State]

#: The modules that register decisions.
MODULES = (
    attempts,
    claims,
    daemon,
    hosts,
    importing,
    intake,
    marks,
    notifications,
    pauses,
    persons,
    queue,
    reactions,
    reports,
    reviews,
    sessions,
    undo,
    verification,
    worktree_setup,
)

#: Kinds that only record observations or effects outside of the log: not decided from the state, on purpose.
#: The import of a record is decided (`importing`); what may be pruned depends on files, git and forges.
OBSERVED = frozenset(name for name, kind in CATALOGUE.items() if kind.observed)


class UnknownError(Exception):
    """The transaction names a decision that is not registered: made by a later version, or by no version."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class UnnamedError(Exception):
    """The transaction names no decision, although its writer names them."""


def observed(group: Sequence[Event]) -> bool:
    """True if the transaction records observations only."""
    return "decision" not in group[0] and all(event["type"] in OBSERVED for event in group)


def redecide(state: State, group: Sequence[Event], earlier: Earlier) -> list[NewEvent]:
    """The events that the decision named by ``group`` (one transaction, in present versions) makes now.

    ``state`` is the one before it. Raises the decision's own KugetsuError if it is refused now, MissingArgumentError
    and UnknownError; and KeyError, TypeError, ValueError or AttributeError if the arguments do not fit.
    """
    found = DECISIONS.get(group[0]["decision"])
    if found is None:
        raise UnknownError(group[0]["decision"])
    arguments = found.arguments_of(state, group)
    kind = found.function.__annotations__.get("facts")
    if kind is not None:
        for name in sorted(getattr(declared, kind).__required_keys__ - arguments["facts"].keys()):
            raise MissingArgumentError(name)
    if found.function.__annotations__.get("planned") == "Plan":
        arguments["planned"] = claims.plan(earlier(arguments["planned"]), arguments["facts"])
    elif found.name == "claims.lost_start":
        _require_open(earlier(arguments["planned"]), arguments)
    return found.function(state, **arguments)


def _require_open(looked: State, arguments: dict[str, Any]) -> None:
    """Raise the refusal of a `start` in the state that it was planned on: then it lost no race."""
    wanted = claims.wanted(looked, arguments["issue"], arguments.get("carried"), arguments.get("options"))
    if (closed := claims.held_back(looked, wanted, arguments["facts"])) is not None:
        raise claims.refusal(closed)


def closed_gate(state: State, group: Sequence[Event]) -> Verdict | None:
    """The gate that keeps the task claimed by ``group`` from starting; None if all are open."""
    claimed = next((event for event in group if event["type"] == "attempt.claimed"), None)
    task = state.tasks.get(claimed["task"]) if claimed is not None else None
    if claimed is None or task is None or "facts" not in claimed:
        return None
    return gates.first_closed(state, task, claimed["facts"])
