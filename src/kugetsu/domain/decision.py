"""Decisions by name: each transaction records the decision that made it and its arguments, so that `domain.replay` can
look the decision up and take it again.

Both are keys of the transaction's first event. An argument that the transaction holds anyway, under the parameter's
own name, is not written twice: messages are long, and a text is redacted in one place only. `arguments_of` reads an
argument where `_said` finds it; the recorder omits it exactly where that gives the same value.
"""

from __future__ import annotations

from kugetsu.domain.new_event import NewEvent
from kugetsu.model.record import defaults, fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from kugetsu.domain.events import Event

    Decide = TypeVar("Decide", bound=Callable[..., list[NewEvent]])

#: Every registered decision by its name; complete once the modules of `domain.decide` are imported.
DECISIONS: dict[str, Decision] = {}

#: Parameters that name what the first event is about, and the key of its envelope.
_SUBJECTS = {"issue": "issue", "task_id": "task", "attempt_id": "attempt", "attempt": "attempt", "key": "session"}
#: Parameters that are all of an event's data, and the place of that event.
_WHOLE = {"intent": 0, "result": 0, "imported": -1, "observed": -1}
_ABSENT: Any = object()


class MissingArgumentError(Exception):
    """A transaction does not record an argument that its decision needs."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Decision:
    """A registered decision: its function, the names of its parameters behind the state, and their defaults.

    ``records`` are the parameters whose values are objects: their fields are recorded, like arguments of their own. A
    list of one class stands for one object for each event of the transaction, a name for the event that another
    decision gives.
    """

    __slots__ = ("defaults", "function", "name", "parameters", "records")

    def __init__(self, name: str, function: Callable[..., list[NewEvent]], records: dict[str, Any]) -> None:
        code = function.__code__
        self.name = name
        self.function = function
        self.parameters = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        self.defaults = _defaults(function)
        self.records = records

    def record(self, new_events: list[NewEvent], args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Name the decision in the first of the events that it gave for these arguments."""
        inner = new_events[0].arguments or {}
        for new_event in new_events:
            new_event.decision = new_event.arguments = None
        events = [_as_event(new_event) for new_event in new_events]
        facts = _facts(events)
        given = {**self.defaults, **dict(zip(self.parameters, args, strict=False)), **kwargs}
        recorded: dict[str, Any] = {}
        for name in self.parameters:
            record: Any = self.records.get(name)
            if record is None or given[name] is None:
                _keep(recorded, name, given[name], events, facts, self.defaults)
            elif isinstance(record, str):
                recorded |= inner
            elif isinstance(record, type):
                known = _defaults(record)
                for field in fields(record):
                    _keep(recorded, field, getattr(given[name], field), events, facts, known)
        new_events[0].decision, new_events[0].arguments = self.name, recorded or None

    def arguments_of(self, state: Any, events: Sequence[Event]) -> dict[str, Any]:
        """The arguments that a transaction (its events in their present versions) records; ``state`` is the one before.

        Raises MissingArgumentError, and what an inner decision raises; KeyError and TypeError where the transaction
        does not fit the decision at all.
        """
        recorded = dict(events[0].get("arguments", ()))
        arguments = self._read(recorded, state, events)
        if recorded:
            raise TypeError(f"{self.name} takes no {', '.join(recorded)}")
        return arguments

    def _read(self, recorded: dict[str, Any], state: Any, events: Sequence[Event]) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        for name in self.parameters:
            record = None if name in recorded else self.records.get(name)
            if record is None:
                arguments |= _read([name], recorded, events, self.defaults)
            elif isinstance(record, str):
                inner = DECISIONS[record]
                arguments[name] = inner.function(state, **inner._read(recorded, state, events))[0]
            elif isinstance(record, list):
                names = fields(record[0])
                arguments[name] = [record[0](**{field: event["data"][field] for field in names}) for event in events]
            else:
                arguments[name] = record(**_read(fields(record), recorded, events, _defaults(record)))
        return arguments


def decision(name: str, **records: Any) -> Callable[[Decide], Decide]:
    """Register a decision ``(state, …) -> new_events`` under a name; ``records`` as in `Decision`.

    What it returns names it. In a decision that calls others the outer one is named: a transaction is one decision.
    """

    def register(function: Decide) -> Decide:
        found = DECISIONS[name] = Decision(name, function, records)

        def decide(state: Any, *args: Any, **kwargs: Any) -> list[NewEvent]:
            new_events = function(state, *args, **kwargs)
            if new_events:
                found.record(new_events, args, kwargs)
            return new_events

        decide.__doc__, decide.__name__, decide.__module__ = function.__doc__, function.__name__, function.__module__
        decide.__wrapped__ = function  # type: ignore[attr-defined]
        return decide  # type: ignore[return-value]

    return register


def _keep(
    recorded: dict[str, Any],
    name: str,
    value: Any,
    events: Sequence[Event],
    facts: list[Any],
    defaults: dict[str, Any],
) -> None:
    """Record an argument, unless it is read from the events, or left to its default, as the same."""
    value = list(value) if isinstance(value, tuple) else getattr(value, "seq", value)
    said = _said(name, events, facts)
    if name == "imported" or (name == "facts" and said is not _ABSENT and value.items() <= said.items()):
        return
    if said is _ABSENT:
        said = defaults.get(name, _ABSENT)
    if said is not value and (said != value or type(said) is not type(value)):
        recorded[name] = value


def _read(
    names: Sequence[str], recorded: dict[str, Any], events: Sequence[Event], defaults: dict[str, Any]
) -> dict[str, Any]:
    """Arguments by their names, without those that are left to their defaults."""
    arguments = {}
    facts = _facts(events)
    for name in names:
        value = recorded.pop(name, _ABSENT)
        if value is _ABSENT:
            value = _said(name, events, facts)
        if value is not _ABSENT:
            arguments[name] = value
        elif name not in defaults:
            raise MissingArgumentError(name)
    return arguments


def _defaults(function: Any) -> dict[str, Any]:
    """The defaults of the parameters of a function or of the fields of a record."""
    if isinstance(function, type):
        return defaults(function)
    positional = function.__code__.co_varnames[: function.__code__.co_argcount]
    given = function.__defaults__ or ()
    return {**dict(zip(positional[::-1], given[::-1], strict=False)), **(function.__kwdefaults__ or {})}


def _facts(events: Sequence[Event]) -> list[Any]:
    return [event["facts"] for event in events if event.get("facts")]


def _said(name: str, events: Sequence[Event], facts: list[Any]) -> Any:
    """What a transaction says under the name of a parameter, beside its arguments."""
    if name in _SUBJECTS:
        return events[0].get(_SUBJECTS[name])
    if name in _WHOLE:
        return events[_WHOLE[name]]["data"]
    if name == "facts":
        return facts[0] if facts else _ABSENT
    if name == "undone":
        return facts
    if name == "failed_check":  # the item of feedback in the transaction, its log is long
        seen = [event["data"]["items"] for event in events if event["type"] == "feedback.seen"]
        return seen[0][0] if seen and seen[0] else _ABSENT
    if name == "origin":
        return {key: value for key, value in events[0]["data"].items() if key != "repository"}
    for event in events:
        if name in event["data"]:
            return event["data"][name]
    for said in facts:
        if name in said:
            return said[name]
    return _ABSENT


def _as_event(new_event: NewEvent) -> Event:
    return {
        "type": new_event.type,
        "issue": new_event.issue,
        "task": new_event.task,
        "attempt": new_event.attempt,
        "session": new_event.session,
        "data": new_event.data,
        "facts": new_event.facts,
    }
