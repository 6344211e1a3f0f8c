"""The state as plain JSON values and back: what a checkpoint keeps."""

from __future__ import annotations

from kugetsu.domain import machines
from kugetsu.domain.state import Attempt, Daemon, Session, State, Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PLAIN = (
    "seq",
    "at",
    "log_id",
    "initialised",
    "last_destroyed",
    "latest",
    "repositories",
    "limits",
    "notices_read",
    "outbox",
    "tasks_made",
    "of_issue",
    "retired",
    "successors",
    "violations",
    "violations_seen",
)
_RECORDS: tuple[tuple[str, type[Any]], ...] = (("tasks", Task), ("attempts", Attempt), ("sessions", Session))

#: Changes when the shape of the state or the fold changes: an older checkpoint is then ignored and rebuilt.
VERSION = "4:" + ";".join(
    f"{name}={','.join(slots)}"
    for name, slots in (
        ("state", _PLAIN),
        ("daemon", Daemon.__slots__),
        *((name, kind.__slots__) for name, kind in _RECORDS),
    )
)


def _values(record: Any) -> list[Any]:
    return [getattr(record, slot) for slot in record.__slots__]


def _record(kind: type[Any], values: list[Any]) -> Any:
    record = object.__new__(kind)
    for slot, value in zip(kind.__slots__, values, strict=True):
        setattr(record, slot, value)
    return record


def dump(state: State) -> dict[str, Any]:
    """Everything of ``state`` (and the machines' memo) as values that JSON can hold."""
    kept: dict[str, Any] = {name: getattr(state, name) for name in _PLAIN}
    for name, _ in _RECORDS:
        kept[name] = [_values(record) for record in getattr(state, name).values()]
    kept["finished"] = list(state.finished)
    kept["daemon"] = _values(state.daemon)
    kept["machines"] = machines.table()
    return kept


def load(kept: dict[str, Any]) -> State:
    """The state that `dump` took apart; raises KeyError, TypeError or ValueError when it was not made by `dump`."""
    machines.adopt(kept["machines"])
    state = State()
    for name in _PLAIN:
        setattr(state, name, kept[name])
    for name, kind in _RECORDS:
        key = "key" if kind is Session else "id"
        records = [_record(kind, values) for values in kept[name]]
        setattr(state, name, {getattr(record, key): record for record in records})
    state.finished = dict.fromkeys(kept["finished"])
    state.daemon = _record(Daemon, kept["daemon"])
    return state
