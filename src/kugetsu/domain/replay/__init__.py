"""Decide a recorded transaction again, with the functions that decided it: from the state before it and what its events
say, and nothing else.

The intent is read off the record: who was to be cancelled, what was enqueued, how an attempt ended. What follows from
it (slots, retries, causes, refusals) is decided anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kugetsu.domain.decide import daemon, queue, sessions, undo
from kugetsu.domain.events import CATALOGUE, Event
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.replay import several, single
from kugetsu.domain.replay.recorded import MissingFactError, UnknownError
from kugetsu.domain.state import State

if TYPE_CHECKING:
    from kugetsu.domain.replay.several import Earlier


__all__ = ["OBSERVED", "TOGETHER", "MissingFactError", "UnknownError", "observed", "redecide"]

#: Kinds that only record what somebody saw or did outside of the log: nothing is decided from the state, on purpose.
#: What became of an imported record is decided (`importing`), what may be pruned from files, git and forges.
OBSERVED = frozenset(name for name, kind in CATALOGUE.items() if kind.observed)

#: Kinds that stand in transactions of several events, or at the head of them: decided by the functions above.
TOGETHER = frozenset(
    {
        *several.HOW,
        "log.created",
        "kugetsu.initialised",
        "session.destroying",
        "task.held",
        "task.retried",
        "task.parked",
        "task.completed",
        "task.failed",
        "hold.lifted",
        "hold.restored",
        "notices.unread",
        "attempt.claimed",
        "claim.lost",
        "daemon.started",
        "notice.sending",
    }
)

#: Kinds that a dispatcher's look at the queue gives.
DISPATCHED = frozenset({"attempt.claimed", "claim.lost", "task.held"})


def observed(group: Sequence[Event]) -> bool:
    """Whether a transaction holds nothing that was decided."""
    return group[0]["type"] in OBSERVED and all(event["type"] in OBSERVED for event in group)


def redecide(state: State, group: Sequence[Event], earlier: Earlier) -> list[NewEvent]:
    """What the decision behind ``group`` (the events of one transaction, in their present versions) gives now.

    ``state`` is the one before it. Raises the decision's own KugetsuError when it refuses now, MissingFactError and
    UnknownError; and KeyError, TypeError or ValueError where a record does not even name what there is.
    """
    undone = [event["facts"] for event in group if undo.undoes(event) is not None]
    if undone:
        return [new_event for facts in undone for new_event in undo.compensate(state, facts)]
    first, last = group[0], group[-1]
    if first is last and (decide := single.SINGLE.get(first["type"])) is not None:
        return decide(state, first)
    types = [event["type"] for event in group]
    if types[-1] == "record.imported":
        return several.take_over(state, group)
    if types[0] in several.HOW:
        return several.finish(state, first)
    if types[0] == "task.queued" and "attempt.claimed" in types:
        return several.start(state, group)
    if types == ["claim.lost"] and "task" not in first:
        return several.lost_start(state, first, earlier)
    if not DISPATCHED.isdisjoint(types) or (types[-1] == "task.parked" and "facts" in last):
        return several.dispatch(state, group, earlier)
    if types[-1] == "session.destroying":
        return sessions.destroying(state, last["session"], last["data"]["force"], last["data"]["reason"])
    if types[0] == "hold.lifted":
        return queue.lift(state, first["data"]["gate"], first["data"]["subject"])
    if types[0] == "task.cancelled":
        return queue.cancel_waiting(state, first["data"]["reason"])
    if types[0] in ("log.created", "kugetsu.initialised"):
        return several.initialise(state, group)
    if types[-1] == "daemon.started":
        return daemon.started(state, last["data"]["identity"], last["data"]["lease"])
    if types[0] == "notice.sending":
        return several.sending(state, group)
    decide = single.SINGLE.get(types[0])
    if decide is None:
        raise UnknownError(f"nothing decides {', '.join(types)} in one transaction")
    return decide(state, first)
