"""Decisions on reactions: what is new on a pull request, and whether a turn answers it."""

from __future__ import annotations

from typing import Any

from kugetsu.domain import loops
from kugetsu.domain.decide import queue, reviews
from kugetsu.domain.decide.sessions import find_session, issue_of
from kugetsu.domain.decision import decision
from kugetsu.domain.facts import ReactionFacts
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Session, State, Task
from kugetsu.model.errors import NotFound


def _about(session: Session) -> dict[str, Any]:
    return {"issue": issue_of(session), "session": session.key, "cause": session.changed}


@decision("reactions.observe")
def observe(
    state: State, key: str, url: str | None, head: str | None, items: list[dict[str, Any]], gone: list[str]
) -> list[NewEvent]:
    """Record which of the ``items`` (`events.reactions.Feedback`) are new on the pull request ``url``, and which of
    those that were open are ``gone``; [] if nothing is.

    An item that the loop knows is not new, whatever became of it, unless it was gone in between. Raises NotFound.
    """
    session = find_session(state, key)
    if session.kind != "issue":
        raise NotFound.because("session_unknown", session=key)
    known = known_items(state, key, url)
    fresh = [item for item in items if item["id"] not in known or not known[item["id"]]["open"]]
    over = [name for name in gone if name in known and known[name]["open"]]
    over = [name for name in over if known[name]["kind"] not in loops.ALWAYS]  # the next verification tells
    if not fresh and not over:
        return []
    data = {"url": url, "head": head, "items": fresh, "gone": over}
    return [NewEvent("feedback.seen", data, **_about(session))]


def known_items(state: State, key: str, url: str | None) -> dict[str, dict[str, Any]]:
    """The items that the loop of an issue knows of the pull request ``url``, by their ids."""
    loop = loops.loop_of(state, key)
    items: dict[str, dict[str, Any]] = loop["items"]
    return items if url is None or loop["url"] in (None, url) else {}


@decision("reactions.react")
def react(state: State, key: str, message: str, items: list[str], facts: ReactionFacts) -> list[NewEvent]:
    """Queue the turn that answers ``items`` with ``message``, if these are what the next turn is about; record a brake
    that holds, once until a person goes on. [] if there is nothing to do, or something else by now."""
    session = find_session(state, key)
    turn = loops.next_turn(state, session, facts)
    loop = loops.loop_of(state, key)
    seen = max((loop["items"][name]["seq"] for name in turn.items), default=session.changed)
    if turn.code in loops.BRAKES:
        return _held(state, key, turn.code, turn.values, turn.items, seen, dict(facts))
    if turn.code != "go" or turn.items != items:
        return []
    return [_queued(state, key, message, items, facts, seen)]


@decision("reactions.hold")
def hold(state: State, key: str, code: str, values: dict[str, Any]) -> list[NewEvent]:
    """Record what keeps the loop of a session from going on, found by a look at the world (`events.reactions`); [] if
    that is recorded. Raises NotFound."""
    return _held(state, key, code, values, [], find_session(state, key).changed, None)


@decision("reactions.withdrawn")
def withdrawn(state: State, key: str, code: str, over_at: str | None = None) -> list[NewEvent]:
    """The issue of a session wants no work any more (``issue_closed``, ``unlabelled``): no turn follows, and one that
    waits is cancelled; what a person asked for only if the issue was closed since, at ``over_at``. Raises NotFound."""
    session = find_session(state, key)
    new_events = _held(state, key, code, {}, [], session.changed, None, over_at)
    waiting = [task for task in state.waiting() if task.session == key and is_withdrawn(task, session, over_at)]
    return new_events + reviews.cancelled(session, waiting, code, len(new_events))


def is_withdrawn(task: Task, session: Session | None, over_at: str | None) -> bool:
    """Whether a waiting task waits in vain for an issue that wants no work, closed at ``over_at``."""
    return task.reaction is not None or reviews.asked_before_close(task, session, over_at)


def _held(
    state: State,
    key: str,
    code: str,
    values: dict[str, Any],
    items: list[str],
    cause: int,
    facts: dict[str, Any] | None,
    over_at: str | None = None,
) -> list[NewEvent]:
    held = loops.loop_of(state, key)["held"]
    if held is not None and held["code"] == code:
        return []
    data = {"code": code, "values": values, "items": items}
    data |= {"over_at": over_at} if over_at is not None else {}
    return [NewEvent("reaction.held", data, issue=key, session=key, cause=cause, facts=facts)]


def _queued(state: State, key: str, message: str, items: list[str], facts: ReactionFacts, cause: int) -> NewEvent:
    """The task of a turn."""
    (task,) = queue.enqueue(state, kind="dev", issue=key, message=message, via="reaction")
    task.data["reaction"] = {"turn": loops.loop_of(state, key)["turns"] + 1, "items": items}
    task.cause, task.facts = cause, dict(facts)
    return task
