"""Every decision of every test is taken twice: an engine that compares and appends takes it again after a conflict.

A decision that has effects, or that answers otherwise the second time, fails the test that meets it. In the processes
of the tests and in commands that are forked from them; a daemon is an interpreter of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def install() -> None:
    """From here on `transact` of logs in files takes each decision twice, in this process and its forks."""
    from kugetsu.log.files.engine import FileLog

    once = FileLog.transact

    def transact(self: FileLog, decide: Callable[[Any], Sequence[Any]]) -> list[Any]:
        return once(self, lambda state: twice(decide, state))

    FileLog.transact = transact  # type: ignore[method-assign]


def twice(decide: Callable[[Any], Sequence[Any]], state: Any) -> Sequence[Any]:
    """What ``decide`` gives for ``state``, or raises, the second time; AssertionError if that differs from the first.

    The text of an error may differ, its class not.
    """
    first: list[bytes | None] = []
    refused: Exception | None = None
    try:
        first = [_told(new_event) for new_event in decide(state)]
    except Exception as problem:  # noqa: BLE001  whatever it raises, it raises again
        refused = problem
    try:
        again = decide(state)
    except Exception as problem:
        assert type(problem) is type(refused), f"taken again it raises {problem!r} instead of {refused!r}"
        raise
    assert refused is None, f"taken again it does not raise {refused!r}"
    assert [_told(new_event) for new_event in again] == first, f"taken again {decide} gives something else"
    return again


def _told(new_event: Any) -> bytes | None:
    """The new event as the log would have it; None for one that it could not write."""
    from kugetsu.model.jsontext import dumps
    from kugetsu.model.record import values

    try:
        return dumps(values(new_event))
    except (TypeError, ValueError):
        return None
