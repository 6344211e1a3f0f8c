"""Decisions on reactions: what is new on a pull request, and whether a turn answers it."""

from __future__ import annotations

from typing import Any

from kugetsu.domain import loops
from kugetsu.domain.decide import queue
from kugetsu.domain.decide.sessions import find_session, issue_of
from kugetsu.domain.decision import decision
from kugetsu.domain.facts import ReactionFacts
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Session, State
from kugetsu.model.errors import NotFound


def _about(session: Session) -> dict[str, Any]:
    return {"issue": issue_of(session), "session": session.key, "cause": session.changed}


@decision("reactions.observe")
def observe(state: State, key: str, feedback: dict[str, Any]) -> list[NewEvent]:
    """Record what is new of the ``feedback`` (`events.reactions.FeedbackSeen`, all of it); [] if nothing is.

    An item that the loop knows is not new, whatever became of it; one that it knows as open and that is no longer among
    them is gone. Raises NotFound.
    """
    session = find_session(state, key)
    if session.kind != "issue":
        raise NotFound.because("session_unknown", session=key)
    loop = loops.loop_of(state, key)
    known = loop["items"] if loop["url"] in (None, feedback["url"]) else {}
    present = {item["id"] for item in feedback["items"]}
    fresh = [item for item in feedback["items"] if item["id"] not in known or not known[item["id"]]["open"]]
    gone = [name for name, item in known.items() if item["open"] and name not in present]
    gone = [name for name in gone if known[name]["kind"] not in loops.ALWAYS]  # the next verification tells
    if not fresh and not gone:
        return []
    data = {"url": feedback["url"], "head": feedback["head"], "items": fresh, "gone": gone}
    return [NewEvent("feedback.seen", data, **_about(session))]


@decision("reactions.react")
def react(state: State, key: str, message: str, items: list[str], facts: ReactionFacts) -> list[NewEvent]:
    """Queue the turn that answers ``items`` with ``message``, if these are what the next turn is about; record a brake
    that holds, once until a person goes on. [] if there is nothing to do, or something else by now."""
    session = find_session(state, key)
    turn = loops.next_turn(state, session, facts)
    loop = loops.loop_of(state, key)
    seen = max((loop["items"][name]["seq"] for name in turn.items), default=session.changed)
    if turn.code in loops.BRAKES:
        held = loop["held"]
        if held is not None and held["code"] == turn.code:
            return []
        data = {"code": turn.code, "values": turn.values, "items": turn.items}
        return [NewEvent("reaction.held", data, issue=key, session=key, cause=seen, facts=dict(facts))]
    if turn.code != "go" or turn.items != items:
        return []
    return [_queued(state, key, message, items, facts, seen)]


def _queued(state: State, key: str, message: str, items: list[str], facts: ReactionFacts, cause: int) -> NewEvent:
    """The task of a turn."""
    (task,) = queue.enqueue(state, kind="dev", issue=key, message=message, via="reaction")
    task.data["reaction"] = {"turn": loops.loop_of(state, key)["turns"] + 1, "items": items}
    task.cause, task.facts = cause, dict(facts)
    return task
