"""The loop of a pull request: which feedback the next turn answers, when, and which brake holds.

Pure: from the state and the settings. The count of turns belongs to the pull request and those that its turns open, not
to its head, its session or a restart; feedback of every kind has its own mark, so that none holds back another, and
none is answered twice.
"""

from __future__ import annotations

from kugetsu.domain.fold.loops import new_loop, used
from kugetsu.model.clock import add_seconds
from kugetsu.model.record import field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.facts import ReactionFacts
    from kugetsu.domain.state import Session, State

#: How many times the delay feedback waits at most, while more of it comes.
LONGEST_DELAYS = 5
#: What is answered whatever REACTIONS names.
ALWAYS = ("verification",)
#: What stays as it is until a commit changes it, whatever the agent says of it.
OBJECTIVE = ("checks", "conflicts", "verification")
#: Brakes: a turn needs a person from here on.
BRAKES = ("most_reactions", "no_change")


@record
class Turn:
    """Whether a turn may answer feedback now. ``code`` is ``go`` or why not: ``nothing_new``, ``not_named`` (REACTIONS
    names none of their kinds), ``later`` (until the time ``until``), ``busy`` (a task of the issue is open, or somebody
    works on it), ``over`` (the pull request is merged or closed), or one of `BRAKES`. ``items`` are those it is
    about."""

    code: str
    items: list[str] = field(factory=list)
    until: str | None = None
    values: dict[str, Any] = field(factory=dict)


def loop_of(state: State, issue: str) -> dict[str, Any]:
    """The loop of an issue; an empty one before any feedback."""
    return state.loops.get(issue) or new_loop(None)


def held(state: State, issue: str) -> dict[str, Any] | None:
    """What was recorded to keep the loop of an issue, and is for a person; of a pull request that is over, only what
    keeps its session."""
    brake: dict[str, Any] | None = loop_of(state, issue)["held"]
    if issue not in state.sessions or brake is None:
        return None
    return brake if over(state, issue) is None or brake["code"] == "kept" else None


def over(state: State, issue: str) -> str | None:
    """How the pull request of an issue ended: merged or closed; None if it did not."""
    session = state.sessions.get(issue)
    return session.review if session is not None and session.review in ("merged", "closed") else None


def standing(loop: dict[str, Any], kinds: list[str]) -> dict[str, dict[str, Any]]:
    """The open items of these ``kinds`` (and of `ALWAYS`) that may start a turn, answered or not, the oldest first."""
    return {
        name: item
        for name, item in loop["items"].items()
        if item["open"] and item["counts"] and item["kind"] in (*kinds, *ALWAYS)
    }


def next_turn(state: State, session: Session, facts: ReactionFacts) -> Turn:
    """Whether the next turn of a session's loop may begin, and which items it answers."""
    loop = loop_of(state, session.key)
    past = [name for name, item in loop["items"].items() if _of_earlier_commit(name, item, session.head)]
    there = {name: item for name, item in standing(loop, facts["kinds"]).items() if name not in past}
    waiting = {name: item for name, item in there.items() if item["turn"] is None}
    items = list(waiting)
    if not there:
        rest = {name: item for name, item in loop["items"].items() if name not in past}
        others = [name for name, item in rest.items() if item["open"] and item["counts"]]
        return Turn("not_named" if others else "nothing_new", others)
    if session.review in ("merged", "closed"):
        return Turn("over", items, values={"state": session.review})
    if (ended := _ended(loop, session)) is not None:
        # There is later work, in no pull request yet: only what is said of that counts.
        there = {name: item for name, item in there.items() if item["kind"] in ALWAYS}
        waiting = {name: item for name, item in waiting.items() if name in there}
        items = list(waiting)
        if not there:
            return Turn("over", values={"state": ended})
    if session.attempt is not None or session.person is not None or session.destroying:
        return Turn("busy", items)
    if state.of_issue.get(session.key):
        return Turn("busy", items, values={"tasks": list(state.of_issue[session.key])})
    if not waiting:
        if _changed_nothing(state, loop, session, there):
            return Turn("no_change", list(there), values={"task": loop["last"]["task"], "head": session.head})
        return Turn("nothing_new")
    if used(loop) >= facts["max_reactions"]:
        return Turn("most_reactions", items, values={"turns": used(loop), "max": facts["max_reactions"]})
    until = _settled(waiting, facts)
    return Turn("later", items, until) if until > facts["now"] else Turn("go", items)


def _ended(loop: dict[str, Any], session: Session) -> str | None:
    """How the pull request of a loop ended, by what was seen of it last; None while it is open, or there is none."""
    pull = session.pull or {}
    over = pull.get("state") in ("merged", "closed") and loop["url"] in (None, pull["url"])
    return str(pull["state"]) if over else None


def _of_earlier_commit(name: str, item: dict[str, Any], head: str | None) -> bool:
    """Whether it is the verification (`verification:COMMIT:…`) of a commit that is no longer the last: a person may
    have committed since, or the next one could not be verified."""
    return item["kind"] == "verification" and head is not None and name.split(":")[1:2] != [head]


def _changed_nothing(state: State, loop: dict[str, Any], session: Session, there: dict[str, dict[str, Any]]) -> bool:
    """Whether the latest turn was done and left everything as it was: the same head and the same open items. An answer
    in words is enough for a person's words, not for what only a commit changes."""
    last = loop["last"]
    if last is None or last["head"] != session.head or not all(name in last["items"] for name in there):
        return False
    task = state.tasks.get(last["task"])
    if task is not None and task.state != "completed":
        return False  # it failed or was cancelled, which has its own words
    return session.usage.no_progress_runs > 0 or any(item["kind"] in OBJECTIVE for item in there.values())


def _settled(items: dict[str, dict[str, Any]], facts: ReactionFacts) -> str:
    """When feedback has been quiet for long enough, or has waited for long enough; a verification need not wait."""
    if all(item["kind"] in ALWAYS for item in items.values()):
        return ""
    times = [item["at"] for item in items.values()]
    delay = facts["delay_seconds"]
    return min(add_seconds(max(times), delay), add_seconds(min(times), delay * LONGEST_DELAYS))
