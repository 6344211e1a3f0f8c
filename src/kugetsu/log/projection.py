"""The interface of the fold to the log: how events become a state, and how a state is kept."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from kugetsu.domain.events import Event

S = TypeVar("S")


class Projection(Protocol[S]):
    """How events become a state, and how a state is kept in a snapshot."""

    VERSION: str
    """Changes with the state's shape or the fold; a snapshot of another version is ignored."""

    def empty(self) -> S:
        """The state before the first event."""

    def fold(self, state: S, event: Event) -> None:
        """Apply an event, in place."""

    def latest(self, state: S) -> str:
        """The latest time of the events folded into it; empty if there are none."""

    def dump(self, state: S) -> Any:
        """The state as plain JSON values."""

    def load(self, data: Any) -> S:
        """The state that was dumped."""
