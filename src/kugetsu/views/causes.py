"""The causes of an event, back to the command that a user typed; the facts of its decision; its effects as a tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kugetsu.domain.events import Event
from kugetsu.views.history import TYPE_WIDTH, Rows
from kugetsu.views.screen import Screen
from kugetsu.views.text import cut, line
from kugetsu.views.wording import who

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypedDict

    class WhyEvent(TypedDict):
        """`kugetsu why SEQ --json`: the event; its causes, oldest first; its effects, each after its cause, and their
        depths below the event; how many effects are not listed; which tasks wait because of it now."""

        event: Event
        because: list[Event]
        led_to: list[Event]
        depths: list[int]
        more: int
        holds: list[dict[str, str]]


#: Levels of a tree that are indented; deeper ones share the last indent.
_INDENTED = 4
#: Tasks held back by an event that are named.
_NAMED = 6


def chain_lines(events: Sequence[Event], screen: Screen, hosts: Mapping[str, str] | None = None) -> list[str]:
    """A chain of causes as rows of a history, with the typed commands; ``hosts`` as `Rows` takes it."""
    issues = len({event["issue"] for event in events if event.get("issue")}) > 1
    rows = Rows(screen, subjects=True, issues=issues, hosts=hosts)
    return _chain(events, rows, screen)


def _chain(events: Sequence[Event], rows: Rows, screen: Screen) -> list[str]:
    shown: list[str] = []
    before: tuple[Any, Any] | None = None
    for event in events:
        shown += rows.lines(event)
        by = event.get("by") or {}
        acting = by.get("cmd"), by.get("pid")
        if acting != before and _typed(by):
            shown.append(cut(f"{'':>{rows.indent}}typed {_who(by)}: {line(str(by.get('cmd', '?')))}", screen.cuts_at))
        before = acting
    return shown


def _typed(by: dict[str, Any]) -> bool:
    """Whether a typed command wrote an event, not the daemon or a runner."""
    return bool(by.get("attempt")) or who(by) == "cli"


def _who(by: dict[str, Any]) -> str:
    name = f"by {line(str(by.get('user', '?')))} on {line(str(by.get('host', '?')))}"
    return f"by the agent of {line(str(by['attempt']))}" if by.get("attempt") else name


def event_lines(data: WhyEvent, screen: Screen, hosts: Mapping[str, str] | None = None) -> list[str]:
    """The text of `why` for an event; ``hosts`` as `Rows` takes it."""
    event = data["event"]
    by = event.get("by") or {}
    agent = f" (the agent of {line(str(by['attempt']))})" if by.get("attempt") else ""
    title = (
        f"event {event['seq']} {event['type']}, by {line(str(by.get('user', '?')))} on {line(str(by.get('host', '?')))}"
    )
    title += f"{agent}, pid {by.get('pid', '?')}: {line(str(by.get('cmd', '?')))}"
    shown = [screen.bold(cut(title, screen.cuts_at))]
    rows = Rows(screen, subjects=True, hosts=hosts)  # shared by all parts: the date appears once
    shown += [screen.bold("causes"), *_chain(data["because"], rows, screen)] if data["because"] else []
    shown += [screen.bold("the event"), *rows.lines(event)]
    if not data["because"]:
        shown.append("  its only cause is the command above")
    if event.get("facts"):
        shown += [screen.bold("decided from"), *_fact_lines(event["facts"], screen)]
    if data["led_to"]:
        shown += [screen.bold("effects"), *_tree_lines(data, rows)]
        if data["more"]:
            shown.append(f"  and {data['more']} more")
    elif not data["holds"]:
        shown.append("no effects yet")
    if data["holds"]:
        named = ", ".join(f"{one['task']} ({one['gate']})" for one in data["holds"][:_NAMED])
        more = f" and {len(data['holds']) - _NAMED} more" if len(data["holds"]) > _NAMED else ""
        shown += [screen.bold("holding back now"), f"  {named}{more}"]
    key = event.get("task") or event.get("session") or event.get("issue") or "--all"
    shown.append("full history: " + screen.command(f"kugetsu history {key}"))
    return shown


def _tree_lines(data: WhyEvent, rows: Rows) -> list[str]:
    indents = [2 * (min(depth, _INDENTED) - 1) for depth in data["depths"]]
    placed = list(zip(indents, data["led_to"], strict=True))
    rows.type_width = max(TYPE_WIDTH, *(indent + len(event["type"]) for indent, event in placed))
    rows.causes = False  # a row is below its cause
    return [part for indent, event in placed for part in rows.lines(event, indent)]


def _fact_lines(facts: dict[str, Any], screen: Screen) -> list[str]:
    return [f"  {part}" for part in screen.wrapped(line(", ".join(_named(facts))), 2)]


def _named(facts: dict[str, Any]) -> list[str]:
    return [f"{name} {_fact(name, value)}" for name, value in facts.items()]


def _fact(name: str, value: Any) -> str:
    """A fact in words; an unknown fact of the machine is not the same as none."""
    if value is None:
        return "unknown" if name.startswith("free_") else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return f"({', '.join(_named(value))})" if value else "none"
    if isinstance(value, list):
        return ", ".join(_fact(name, part) for part in value) if value else "none"
    return str(value) if value != "" else "none"
