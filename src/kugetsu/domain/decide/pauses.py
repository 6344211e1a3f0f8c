"""Decisions on pauses of the queue: no waiting task starts meanwhile, of one repository or of all."""

from __future__ import annotations

from kugetsu.domain.decide.queue import require_initialised
from kugetsu.domain.decision import decision
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import EVERYTHING
from kugetsu.model.errors import BadInput, Conflict, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.state import State


@decision("queue.pause")
def pause(state: State, repository: str | None, until: str | None, now: str) -> list[NewEvent]:
    """Pause the queue, or the tasks of one repository, ``until`` a time or (None) until it is resumed.

    [] if it is already paused so. Raises BadInput for a time that is over.
    """
    require_initialised(state)
    if until is not None and until <= now:
        raise BadInput.because("pause_over", until=until)
    known = state.paused.get(repository or EVERYTHING)
    if known is not None and known["until"] == until:
        return []
    cause = known["seq"] if known is not None else None
    return [NewEvent("queue.paused", {"repository": repository, "until": until}, cause=cause)]


@decision("queue.resume")
def resume(state: State, repository: str | None) -> list[NewEvent]:
    """End the pause of the queue, or of one repository; other pauses stay. Raises NotFound if there is none."""
    require_initialised(state)
    known = state.paused.get(repository or EVERYTHING)
    if known is None:
        raise NotFound.because("not_paused", repository=repository, paused=sorted(state.paused))
    return [NewEvent("queue.resumed", {"repository": repository}, cause=known["seq"])]


# --- undoing them (`domain.decide.undo`) ----------------------------------------------------------------------------


def described(event: Event, before: State) -> dict[str, Any]:
    """The facts for undoing a pause or its end: until when it was paused before, if it was."""
    repository = event["data"]["repository"]
    was = before.paused.get(repository or EVERYTHING)
    return {"repository": repository, "paused": was is not None, "was": was["until"] if was is not None else None}


def unpause(state: State, undone: dict[str, Any]) -> list[NewEvent]:
    """Undo a pause: the previous one, if its time has not passed, else none."""
    repository = undone["repository"]
    known = state.paused.get(repository or EVERYTHING)
    if known is None or known["seq"] != undone["undo"]:
        raise Conflict.because("pause_changed", repository=repository)
    over = undone["was"] is not None and undone["was"] <= undone["now"]
    if undone["paused"] and not over:
        return [NewEvent("queue.paused", {"repository": repository, "until": undone["was"]}, cause=undone["undo"])]
    return [NewEvent("queue.resumed", {"repository": repository}, cause=undone["undo"])]


def pause_again(state: State, undone: dict[str, Any]) -> list[NewEvent]:
    """Undo the end of a pause."""
    repository = undone["repository"]
    if (repository or EVERYTHING) in state.paused:
        raise Conflict.because("pause_changed", repository=repository)
    if undone["was"] is not None and undone["was"] <= undone["now"]:
        raise Conflict.because("pause_over", until=undone["was"])
    return [NewEvent("queue.paused", {"repository": repository, "until": undone["was"]}, cause=undone["undo"])]
