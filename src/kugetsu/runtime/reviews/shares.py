"""What of the observer's work is this host's, where several share a log: one of them looks for all.

A host whose settings and token run the loop takes it up, by an event, while no other one does. Where no host does, each
looks at the pull requests of its own sessions. Whatever two of them do at once is recorded once, by the decisions.
"""

from __future__ import annotations

from functools import partial

from kugetsu.domain import hosts
from kugetsu.domain.decide import hosts as decide
from kugetsu.domain.state import Session, State
from kugetsu.runtime import host_id
from kugetsu.runtime.intake import places
from kugetsu.runtime.workspace import Workspace

ALL, OWN, NONE = "all", "own", "none"


def part(ws: Workspace, state: State) -> str:
    """`ALL` of the work, that of its `OWN` sessions, or `NONE` because another host does it."""
    if not state.hosts:
        return ALL
    own, does = host_id.own(ws), hosts.observer(state)
    if does is None and places.runs_loop(ws, state):
        ws.log.transact(partial(decide.observe, host=own))
        does = hosts.observer(ws.state())
    if does is None:
        return OWN
    return ALL if does.id == own else NONE


def is_over(ws: Workspace, state: State) -> bool:
    """Whether the settings of this host no longer run the loop, though it looks for all."""
    return bool(state.hosts) and not places.runs_loop(ws, state)


def give_up(ws: Workspace, state: State) -> None:
    """Let another host do it."""
    if state.hosts:
        ws.log.transact(partial(decide.observe_no_more, host=host_id.own(ws)))


def includes(ws: Workspace, part: str, session: Session) -> bool:
    """Whether a session is looked at by a host that has this part."""
    return part == ALL or (part == OWN and host_id.is_own(ws, session.host))
