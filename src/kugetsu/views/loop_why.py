"""Why an issue with the label was not queued, and why feedback on a pull request starts no turn."""

from __future__ import annotations

from kugetsu.domain.fold.loops import new_loop, used
from kugetsu.domain.loops import BRAKES, over
from kugetsu.domain.loops import held as held_now
from kugetsu.model import result_words
from kugetsu.model.plural import counted
from kugetsu.views import intake, loops, times
from kugetsu.views.screen import Screen
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypedDict

    from kugetsu.domain.loops import Turn
    from kugetsu.domain.state import State

    class WhyLabel(TypedDict):
        """What followed from the label of an issue (`kugetsu why REF --json`, `label`)."""

        code: str
        answer: str
        event: int
        labelled_by: str | None
        labelled_at: str | None
        remedy: str | None

    class WhyLoop(TypedDict):
        """What holds for the next turn of a pull request's loop (`loop`): `code` as `domain.loops.Turn`."""

        url: str | None
        turns: int
        max: int
        code: str
        answer: str
        until: str | None
        items: list[dict[str, Any]]
        lift: str | None
        settings_from: int | None


#: Items that are named.
_NAMED = 6
#: code of why an item starts no turn (`events.reactions.Feedback`) → words.
_WHY_NOT = {"not_run": "it ran no step"}


def label_data(state: State, issue: str) -> WhyLabel | None:
    """What followed from the label of an issue; None for one without, and for one whose task is in the state."""
    seen = state.intake.get(issue)
    if seen is None or (seen["code"] == "queued" and seen["task"] in state.tasks):
        return None
    return {
        "code": seen["code"],
        "answer": intake.words(seen["code"], seen["values"]),
        "event": seen["seq"],
        "labelled_by": seen["labelled_by"],
        "labelled_at": seen["labelled_at"],
        "remedy": intake.remedy(seen["code"], seen["values"], issue),
    }


def label_lines(data: WhyLabel, screen: Screen) -> list[str]:
    """``label  needs the label again: …  (event 12)``, and the remedy."""
    shown = _labelled("label", f"{data['answer']} (event {data['event']})", screen)
    return shown + (_labelled("", f"remedy: {screen.command(data['remedy'])}", screen) if data["remedy"] else [])


def loop_data(state: State, issue: str, turn: Turn, most: int, items: Sequence[dict[str, Any]]) -> WhyLoop | None:
    """Why the next ``turn`` is as it is; ``items`` are those that are open and unanswered, as they were recorded. None
    for a pull request on which nothing is open and nothing was answered."""
    loop = state.loops.get(issue) or new_loop(None)
    if not items and not used(loop) and loop["held"] is None:
        return None
    code = turn.code
    ended = over(state, issue)
    held = held_now(state, issue) if code not in ("later", "busy") else None
    if code == "go" and held is not None and held["code"] in BRAKES:
        held = None  # it holds no more; that the issue wants no work is for the forge to say
    return {
        "url": loop["url"],
        "turns": used(loop),
        "max": most,
        "code": code,
        "answer": result_words.held(held["code"], held["values"]) if held is not None else _answer(turn, items, ended),
        "until": turn.until,
        "items": [
            {name: item.get(name) for name in ("id", "kind", "counts", "why_not", "event")}
            | {"words": loops.item_words(item)}
            for item in items
        ],
        "lift": _lift_held(held["code"], issue) if held is not None else _lift(turn, issue, items),
        "settings_from": None,
    }


def _answer(turn: Turn, items: Sequence[dict[str, Any]], ended: str | None) -> str:
    if ended is not None:
        return f"its pull request is {ended}"
    if turn.code == "not_named" and items:
        kinds = sorted({item["kind"] for item in items if item["counts"]})
        return f"REACTIONS does not name {' and '.join(kinds)}: they start no turn"
    if turn.code == "later":
        return "the next turn waits for further feedback"
    if turn.code == "busy":
        tasks = turn.values.get("tasks")
        return f"the next turn comes after {', '.join(tasks)}" if tasks else "somebody works on it: the next turn waits"
    if turn.code == "over":
        return f"its pull request is {turn.values['state']}"
    if turn.code == "go":
        return "the next turn is queued when the daemon looks"
    if turn.code in BRAKES:
        return result_words.held(turn.code, turn.values)
    return "what is left starts no turn: it is for you" if items else "all of its feedback is answered"


def _lift_held(code: str, issue: str) -> str:
    """Where the session of a merged pull request was kept, `destroy` says what would be lost with it."""
    return f"kugetsu destroy {issue}" if code == "kept" else f"kugetsu continue {issue} MESSAGE"


def _lift(turn: Turn, issue: str, items: Sequence[dict[str, Any]]) -> str | None:
    if turn.code == "not_named" and items:
        kinds = " ".join(sorted({item["kind"] for item in items if item["counts"]}))
        return f'kugetsu config set --repo {issue.rpartition("#")[0]} REACTIONS "{kinds}"'
    return f"kugetsu continue {issue} MESSAGE" if turn.code in BRAKES else None


def loop_lines(data: WhyLoop, screen: Screen) -> list[str]:
    """``loop  2 of 5 turns: …``, the open items below it, and the command that goes on."""
    until = f", until {times.ahead(data['until'], screen.now)}" if data["until"] else ""
    said = f"{data['turns']} of {counted(data['max'], 'turn')}; {data['answer']}{until}"
    shown = _labelled("loop", said, screen)
    for item in data["items"][:_NAMED]:
        why = f": {_WHY_NOT.get(item['why_not'], line(item['why_not']))}" if item["why_not"] else ""
        shown += _labelled("", f"- {item['words']}{why} (event {item['event']})", screen)
    if len(data["items"]) > _NAMED:
        shown += _labelled("", f"and {len(data['items']) - _NAMED} more", screen)
    return shown + (_labelled("", f"go on: {screen.command(data['lift'])}", screen) if data["lift"] else [])


def source_lines(data: WhyLoop, screen: Screen, *, in_file: bool) -> list[str]:
    """Which settings the answer on a loop of the past was made with; ``in_file``: those in the bundle."""
    of = "today's settings: no turn had recorded its own"
    if in_file:
        of = "the settings in the file"
    elif data["settings_from"] is not None:
        of = f"the settings that event {data['settings_from']} recorded"
    return [screen.dim(part) for part in _labelled("", f"with {of}", screen)]


def _labelled(name: str, text: str, screen: Screen) -> list[str]:
    first, *more = screen.wrapped(text, 7)
    head = f"{screen.dim(name)}{'':{7 - len(name)}}" if name else " " * 7
    return [head + first, *(" " * 7 + part for part in more)]
