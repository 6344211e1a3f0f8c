"""The text of `diff`: a line for each changed record, from → to, and the event that changed it."""

from __future__ import annotations

from typing import Any, TypedDict

from kugetsu.domain.changes import COUNTERS, Change, Field
from kugetsu.model.plural import counted
from kugetsu.model.result_words import NAMES
from kugetsu.views import gates, intake, loops, times
from kugetsu.views.results import REVIEWS
from kugetsu.views.screen import Screen
from kugetsu.views.text import columns, line, pad, wrapped
from kugetsu.views.wording import reason_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.runtime.query.points import AsOf

    FieldData = TypedDict("FieldData", {"field": str, "from": Any, "to": Any, "event": int})

    class ChangeData(TypedDict):
        """One changed record; ``event`` changed it, and each field has its own."""

        record: str
        key: str
        change: str
        event: int
        issue: str | None
        fields: list[FieldData]

    DiffData = TypedDict(
        "DiffData",
        {
            "from": AsOf,
            "to": AsOf,
            "events": int,
            "reversed": bool,
            "changes": list[ChangeData],
            "passed": dict[str, int],
            "left": int,
        },
    )

#: Fields that another part of the line shows, or that mean nothing alone.
_SAID_ELSEWHERE = frozenset(("not_before", "reason", "attempt", "parked_for", "used", "task", "log", "base_branch"))
#: Singular and plural of the counters.
_NOUNS = {
    "made": ("attempt", "attempts"),
    "attempts": ("attempt", "attempts"),
    "retries": ("retry", "retries"),
    "parks": ("park", "parks"),
    "commits": ("commit", "commits"),
    "dirty": ("uncommitted file", "uncommitted files"),
    "comments": ("comment", "comments"),
    "fruitless": ("run without progress", "runs without progress"),
    "turns": ("turn", "turns"),
    "unanswered": ("unanswered item", "unanswered items"),
    "refused": ("refused event", "refused events"),
}
#: What became of records that are gone, where that is not plain.
_GONE = {"label": "asks for no work any more", "loop": "nothing is left of it", "mark": "the forge shows none"}
#: The least columns of a change on a narrow screen.
_NARROWEST = 24


def data(changes: list[Change]) -> list[ChangeData]:
    """The changes as JSON values; times are UTC."""
    return [
        {
            "record": change.kind,
            "key": change.key,
            "change": change.what,
            "event": change.seq,
            "issue": change.issue,
            "fields": [
                {
                    "field": field.name,
                    "from": _worded(field.was, field.name),
                    "to": _worded(field.now, field.name),
                    "event": field.seq,
                }
                for field in change.fields
            ],
        }
        for change in changes
    ]


def _worded(value: Any, name: str) -> Any:
    """A value as shown; the reason of a wait or failure, and what follows from a label, may be a code and values."""
    if not isinstance(value, dict) or value.keys() != {"code", "values"}:
        return value
    return intake.words(**value) if name == "intake" else gates.reason(**value)


def _named(value: Any, name: str) -> Any:
    """A value as the text names it; JSON has the codes of results, reviews and brakes."""
    if name == "brake" and value is not None:
        return loops.brake(value)
    names = {"result": NAMES, "review": REVIEWS}.get(name, {})
    return names.get(value, value) if isinstance(value, str) else _worded(value, name)


def lines(found: DiffData, changes: list[Change], screen: Screen) -> list[str]:
    """The text of `diff`."""
    shown = [screen.bold(part) for part in _headline(found, screen)]
    if not changes:
        shown.append("nothing changed")
    else:
        shown += _table(changes, screen)
    passed = [counted(number, kind) for kind, number in found["passed"].items() if kind != "limit"]
    if passed:
        shown.append(screen.dim(f"created and ended in between: {', '.join(passed)}"))
    if found["left"]:
        count = counted(found["left"], "finished task")
        shown.append(screen.dim(f"{count} left the list: {screen.command('kugetsu history TASK')} still shows them"))
    return shown


def _headline(found: DiffData, screen: Screen) -> list[str]:
    start, end = found["from"], found["to"]
    title = f"from {_point(start)} to {_point(end, start)}: {counted(found['events'], 'event')}"
    if start["at"] and end["at"]:
        title += f", {times.duration(times.since(start['at'], end['at']) or times.since(end['at'], start['at']))}"
    if found["reversed"]:
        title += ", backwards"
    return screen.wrapped(title)


def _point(point: AsOf, before: AsOf | None = None) -> str:
    at = point["at"]
    if not at:
        return "the beginning"
    day = (
        "" if before is not None and before["at"] and times.day(before["at"]) == times.day(at) else f"{times.day(at)} "
    )
    return f"event {point['seq']} ({day}{times.time_of_day(at)})"


def _table(changes: list[Change], screen: Screen) -> list[str]:
    rows = [(_name(change, screen), _text(change, screen), f"event {change.seq}") for change in changes]
    if screen.narrow:
        return [part for name, text, event in rows for part in (f"{name}  {event}", *_below(text, screen))]
    names = max(columns(name) for name, _, _ in rows)
    events = max(len(event) for _, _, event in rows)
    if screen.width is None:
        texts = max(columns(text) for _, text, _ in rows)
        texts = min(texts, 72)
        return [f"{pad(name, names)}  {pad(text, texts)}  {event}" for name, text, event in rows]
    names = min(names, max(screen.width - events - 4 - _NARROWEST, 8))
    room = screen.width - names - events - 4
    shown: list[str] = []
    for name, text, event in rows:
        parts = wrapped(text, room)
        labels = wrapped(name, names) + [""] * len(parts)
        shown.append(f"{pad(labels[0], names)}  {pad(parts[0], room)}  {event:>{events}}")
        shown += [f"{pad('', names)}  {part}" for part in parts[1:]]
    return shown


def _below(text: str, screen: Screen) -> list[str]:
    return [f"  {part}" for part in screen.wrapped(text, 2)]


def _name(change: Change, screen: Screen) -> str:
    key = line(screen.issue(change.key))
    kinds = {"notices": "notifications", "log": "the log"}
    if change.kind in ("task", "attempt", "session", "setting"):
        return key
    return f"{kinds.get(change.kind, change.kind)} {key}".rstrip()


def _text(change: Change, screen: Screen) -> str:
    """From → to: the most important first, counters last; changes by other events than the row's name theirs."""
    fields = {field.name: field for field in change.fields}
    parts: list[str] = []
    first = _first(change, fields, screen)
    if first:
        parts.append(first)
    if first and change.what == "came" and "state" in fields and fields["state"].seq != change.seq:
        parts[0] += f" (event {fields['state'].seq})"
    if all(field.now is None for field in change.fields):
        return line(first or _GONE.get(change.kind, "no longer exists"))
    for field in change.fields:
        if (
            field.name == "state"
            or (field.name == "until" and first)
            or (field.name in _SAID_ELSEWHERE and (first or field.name != "attempt"))
        ):
            continue
        text = _counter(field) if field.name in COUNTERS else _plain(change, field)
        if text and field.name not in COUNTERS and field.seq != change.seq and change.what == "changed":
            text += f" (event {field.seq})"
        if text:
            parts.append(text)
    if change.what == "left":
        parts.append("left the list")
    if change.what == "came" and not first:
        parts[:1] = [f"new: {part}" for part in parts[:1]]
    return line(" · ".join(parts) or "changed")


def _first(change: Change, fields: dict[str, Field], screen: Screen) -> str:
    """The part that shows the record's state."""
    if change.kind == "slot":
        field = fields["attempt"]
        return f"{field.was or 'free'} → {field.now or 'free'}"
    if change.kind == "limit":
        until = fields.get("until")
        return _limit(change, until, screen) if until is not None else ""
    state = fields.get("state")
    if state is None:
        until = fields.get("not_before")
        return f"{_until(until.was, screen)} → {_until(until.now, screen)}" if until is not None else ""
    was, now = (gates.task_state(one) if one is not None else None for one in (state.was, state.now))
    if was is None:
        return f"new: {now}{_details(fields, screen)}"
    return f"{was} → {now}{_details(fields, screen)}" if now is not None else f"{was} → removed"


def _details(fields: dict[str, Field], screen: Screen) -> str:
    """What belongs to a state: until when, who, why."""
    state = fields["state"].now
    until, attempt, reason = (
        _worded(fields[name].now, name) if name in fields else None for name in ("not_before", "attempt", "reason")
    )
    reason = reason or (fields["stop"].now if "stop" in fields else None)
    if until:
        return f" {_until(until, screen)}"
    if attempt and state in ("notified", "working"):
        return f" by {attempt}"
    return f": {reason_words(reason)}" if reason and state not in ("pending", "idle", "completed") else ""


def _until(until: str | None, screen: Screen) -> str:
    return f"until {times.moment(until, screen.now)}" if until else "no pause"


def _limit(change: Change, until: Field, screen: Screen) -> str:
    if change.what in ("came", "went"):
        limit = f"usage limit {_until(until.now or until.was, screen)}"
        return f"new: {limit}" if change.what == "came" else f"{limit} → none"
    return f"{_until(until.was, screen)} → {_until(until.now, screen)}"


def _counter(field: Field) -> str:
    was, now = field.was or 0, field.now or 0
    if field.name == "upto":
        return f"served up to event {now}"
    by = now - was
    if not by:
        return ""
    sign = "+" if by > 0 else "-"
    if field.name == "cost":
        return f"cost {sign}{abs(by):.2f}"
    if field.name == "tokens":
        return f"{sign}{times.tokens(abs(by))}"
    one, several = _NOUNS[field.name]
    return f"{sign}{abs(by)} {one if abs(by) == 1 else several}"


def _plain(change: Change, field: Field) -> str:
    name = field.name
    was, now = _named(field.was, name), _named(field.now, name)
    if name == "review" and was is None and field.now == "none":
        return ""
    if name == "order":
        alone = change.what == "changed" and not any(other.name in ("priority", "state") for other in change.fields)
        return ("moved forward" if now < was else "moved back") if alone else ""
    if name in ("worktree", "agent_session") and change.what != "changed":
        return ""
    if name in ("stop", "open", "last"):
        return _of_process(change, field)
    if name == "initialised":
        return "set up" if now else "not set up"
    if name == "pushed":
        return {True: "pushed", False: "not pushed", None: ""}[now]
    if name == "acknowledged":
        return "acknowledged" if now else "to be acknowledged again" if was else ""
    if name == "held":
        return f"held by the gate {now}" if now else ""
    if name == "after":
        return f"{_after(was)} → {_after(now)}" if was else (_after(now) if now else "")
    if name == "slot" or (name == "priority" and was is None):
        return f"{name} {now}"
    if was in (None, ""):
        return f"{_label(name)}{now}" if now is not None else ""
    return f"{_label(name)}{was} → {_shown(now)}"


def _of_process(change: Change, field: Field) -> str:
    """A field of an attempt or of deliveries that is shown if nothing else is."""
    if field.name == "stop" and change.what == "changed":
        return f"being stopped: {field.now}" if field.now else ""
    if field.name == "open":
        return f"{field.was or 0} → {field.now or 0} deliveries open"
    return f"last: {field.now}" if field.name == "last" and field.now else ""


def _after(names: Any) -> str:
    return f"after {', '.join(map(str, names))}" if names else "after nothing"


def _label(name: str) -> str:
    return {
        "value": "",
        "intake": "",
        "shown": "",
        "brake": "held: ",
        "set_up": "set-up ",
        "pr": "pull request ",
        "pr_state": "pull request ",
        "read": "read up to event ",
        "pid": "pid ",
    }.get(name, f"{name} ")


def _shown(value: Any) -> str:
    return "none" if value in (None, "") else str(value)
