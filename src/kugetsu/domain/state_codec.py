"""The state as plain JSON values and back, for snapshots."""

from __future__ import annotations

from kugetsu.domain import machines
from kugetsu.domain.state import Attempt, Daemon, Host, Session, State, Task, Usage
from kugetsu.model.record import fields, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_RECORDS: dict[str, type[Any]] = {
    "tasks": Task,
    "attempts": Attempt,
    "sessions": Session,
    "daemons": Daemon,
    "hosts": Host,
}
_PLAIN = tuple(name for name in fields(State) if name not in (*_RECORDS, "finished", "recent"))

#: Raised with each change of the state's shape or of the fold: older snapshots are then ignored and rebuilt.
VERSION = "19:" + ";".join(
    f"{name}={','.join(names)}"
    for name, names in (
        ("state", _PLAIN),
        ("usage", fields(Usage)),
        *((name, fields(kind)) for name, kind in _RECORDS.items()),
    )
)


def dump(state: State) -> dict[str, Any]:
    """The whole ``state`` (and the machines' memo) as JSON values."""
    kept: dict[str, Any] = {name: getattr(state, name) for name in _PLAIN}
    for name in _RECORDS:
        kept[name] = [_row(record) for record in getattr(state, name).values()]
    kept["finished"] = list(state.finished)
    kept["machines"] = machines.table()
    return kept


def load(kept: dict[str, Any]) -> State:
    """The state of a `dump`. Raises KeyError, TypeError or ValueError for anything else."""
    machines.adopt(kept["machines"])
    parts: dict[str, Any] = {name: kept[name] for name in _PLAIN}
    for name, kind in _RECORDS.items():
        records = [_record(kind, row) for row in kept[name]]
        key = {Session: "key", Daemon: "host"}.get(kind, "id")
        parts[name] = {getattr(record, key): record for record in records}
    parts["finished"], parts["recent"] = dict.fromkeys(kept["finished"]), None
    state: State = _record(State, [parts[name] for name in fields(State)])
    return state


def _row(record: Any) -> list[Any]:
    """The values of a record; those of a usage in it as a nested row."""
    return [_row(value) if type(value) is Usage else value for value in values(record).values()]


def _record(kind: type[Any], row: Iterable[Any]) -> Any:
    """A record of these values, without its constructor, which would have to be compiled first."""
    record = object.__new__(kind)
    for name, value in zip(fields(kind), row, strict=True):
        setattr(record, name, _record(Usage, value) if name == "usage" else value)
    return record
