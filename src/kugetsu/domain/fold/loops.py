"""Folds the loop of an issue's pull request: feedback that was seen, turns that answer it, brakes that hold."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.state import Session, State, Task

#: Items of feedback that a loop keeps; of more, the oldest that are gone are forgotten. One that is still there is not:
#: it would be taken for a new one.
ITEMS_KEPT = 500
#: Why a turn is cancelled that may be wanted again: the issue or the pull request is reopened, the label set again.
WITHDRAWN = ("issue_closed", "unlabelled", "pull_closed")


def new_loop(url: str | None) -> dict[str, Any]:
    """A loop without feedback.

    ``turns`` counts the turns that answered feedback, over the pull request's whole life; ``earlier`` those of the
    pull requests before it, if such turns opened it (`used`). ``items`` is id → {"kind",
    "counts", "seq", "at", "open", "turn": the task that answers it, or None}, in the order in which they were seen.
    ``last`` is the latest such turn: {"task", "head": before it, "items": what was open then}, None after a person sent
    a message. ``held`` is the brake that was recorded: {"code", "values", "items", "seq"}.
    """
    return {"url": url, "turns": 0, "earlier": 0, "items": {}, "last": None, "held": None}


def used(loop: dict[str, Any]) -> int:
    """The turns that count against MAX_REACTIONS: another pull request in each turn does not begin anew."""
    return int(loop["turns"] + loop.get("earlier", 0))


def _following(known: dict[str, Any], url: str) -> dict[str, Any]:
    """The loop of the pull request that follows another one: until a person sends a message, its turns count on."""
    if known["last"] is None:
        return new_loop(url)
    return {**new_loop(url), "earlier": used(known), "last": known["last"]}


def of(state: State, issue: str, url: str | None) -> dict[str, Any]:
    """The loop of an issue. Another pull request begins another one; until one is known it is that of the issue."""
    known = state.loops.get(issue)
    if known is None:
        known = new_loop(url)
    elif url is not None and known["url"] not in (None, url):
        known = _following(known, url)
    elif url is not None and known["url"] is None:
        known = {**known, "url": url}
    return known


def feedback_seen(state: State, event: Event) -> None:
    """Fold of ``feedback.seen``."""
    data, issue = event["data"], event["issue"]
    found = [(item["id"], item["kind"], item["counts"]) for item in data["items"]]
    loop = of(state, issue, data["url"])
    items = dict(loop["items"])
    for name, kind, counts in found:
        fresh = {"kind": kind, "counts": counts, "seq": event["seq"], "at": event["at"], "open": True, "turn": None}
        items[name] = {**fresh, "turn": items[name]["turn"]} if name in items else fresh
    for name in data["gone"]:
        if name in items:
            items[name] = {**items[name], "open": False}
    gone = [name for name, item in items.items() if not item["open"]]
    for name in gone[: max(len(items) - ITEMS_KEPT, 0)]:
        del items[name]
    state.loops[issue] = {**loop, "items": items}


def task_queued(state: State, event: Event, task: Task) -> None:
    """Note a turn that answers feedback; a message of a person lets the loop go on, but for its count."""
    loop = state.loops.get(task.issue or "")
    if loop is None or task.issue is None:
        return
    if task.reaction is None:
        if event["data"]["via"] == "intake":
            return  # a label says nothing of what held
        state.loops[task.issue] = {**loop, "earlier": 0, "last": None, "held": None}
        return
    session = state.sessions.get(task.issue)
    head = session.head if session is not None else None
    waiting = [name for name, item in loop["items"].items() if item["open"]]
    answered = {
        name: {**item, "turn": task.id} if name in task.reaction["items"] else item
        for name, item in loop["items"].items()
    }
    last = {"task": task.id, "head": head, "items": waiting}
    turns = task.reaction["turn"]
    if turns != loop["turns"] + 1:
        state.violate(event["seq"], f"task.queued: {task.id} is turn {turns} after {loop['turns']} of {task.issue}")
    state.loops[task.issue] = {**loop, "turns": turns, "items": answered, "last": last, "held": None}


def task_cancelled(state: State, task: Task) -> None:
    """Give back what a turn was to answer that was withdrawn before an agent heard of it; its number is used up."""
    if task.reason in WITHDRAWN and not task.begun:
        _hand_over(state, task, task.id, None)


def task_requeued(state: State, task: Task) -> None:
    """A turn is to take place after all: it answers what no other one answers by now."""
    _hand_over(state, task, None, task.id)


def _hand_over(state: State, task: Task, of: str | None, to: str | None) -> None:
    loop = state.loops.get(task.issue or "")
    if loop is None or task.issue is None or task.reaction is None:
        return
    names = task.reaction["items"]
    items = {
        name: {**item, "turn": to} if name in names and item["turn"] == of else item
        for name, item in loop["items"].items()
    }
    state.loops[task.issue] = {**loop, "items": items}


def reaction_held(state: State, event: Event) -> None:
    """Fold of ``reaction.held``."""
    data, issue = event["data"], event["issue"]
    held = {name: data[name] for name in ("code", "values", "items")}
    issue_closed(state, event)
    state.loops[issue] = {**of(state, issue, None), "held": {**held, "seq": event["seq"]}}


def issue_closed(state: State, event: Event) -> None:
    """Note since when the close of an issue is known, by its time."""
    over_at, session = event["data"].get("over_at"), state.sessions.get(event["issue"])
    if session is not None and over_at is not None and (session.closed or {}).get("at") != over_at:
        session.closed = {"at": over_at, "seq": event["seq"]}


def merged(state: State, issue: str) -> None:
    """Forget the loop of a merged pull request whose branch or session is over: the next one has a loop of its own."""
    state.loops.pop(issue, None)


def pull_known(state: State, issue: str, url: str) -> None:
    """The issue's pull request is this one: the feedback on another one is no longer of interest."""
    loop = state.loops.get(issue)
    if loop is not None and loop["url"] not in (None, url):
        state.loops[issue] = _following(loop, url)


def session_destroyed(state: State, session: Session) -> None:
    """The loop of a pull request goes on with the issue's next session, which sees anew what is still there; that of a
    merged one is forgotten."""
    issue = session.key
    loop = state.loops.get(issue)
    if session.review == "merged":
        merged(state, issue)
    elif loop is not None:
        items = {name: {**item, "open": False} for name, item in loop["items"].items()}
        state.loops[issue] = {**loop, "items": items}
