"""What every engine of the log offers. The contract suite in tests/log runs against this."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from kugetsu.domain.events import Event
from kugetsu.domain.new_event import NewEvent
from kugetsu.log.files.segments import Head
from kugetsu.log.files.verify import Repair, Stats, Verification


class Waker(Protocol):
    """Wakes whoever waits for the log among other things."""

    def fileno(self) -> int | None:
        """A descriptor for `select`, or None: look again every 50 ms."""

    def drain(self) -> None:
        """Forget what woke us; to be called before looking at the log."""

    def close(self) -> None:
        """Give the descriptor back."""


class EventLog(Protocol):
    """An append-only log of events, and the state that they fold to."""

    def state(self) -> Any:
        """The fold of everything committed now. Takes no lock. The object is the log's own: never change it."""

    def state_at(self, seq: int | None = None, at: str | None = None) -> Any:
        """The state after event ``seq``, or before the first event that is later than ``at``: a state of its own.

        Far from the head it costs much less than folding from the start. Raises LogDamaged.
        """

    def transact(self, decide: Callable[[Any], Sequence[NewEvent]]) -> list[Event]:
        """Under the lock: fold the tail, call ``decide(state)``, append its new_events all or nothing, durably.

        Returns the events ([] when there were no new_events). An exception of ``decide`` leaves the log untouched and
        is passed on. Raises LogDamaged, LogWriteFailed.
        """

    def append(self, new_events: Sequence[NewEvent]) -> list[Event]:
        """Append events that no decision rests on, all or nothing, durably; cheaper than `transact` among many writers.

        Raises LogDamaged, LogWriteFailed.
        """

    def read(self, after: int = 0, until: int | None = None) -> Iterator[Event]:
        """The committed events with ``after`` < seq <= ``until``, in order, verified."""

    def read_lines(self, after: int = 0, until: int | None = None) -> Iterator[tuple[Event, bytes]]:
        """As `read`, each with the very bytes over which its digest was taken (and ``,"sha":"…"}`` behind them)."""

    def read_key(self, key: str) -> Iterator[Event]:
        """The events whose issue, task or session is ``key``, in order."""

    def follow(self, after: int) -> Iterator[Event | None]:
        """Events after ``after`` as they come; None at least every second when there are none."""

    def wait(self, after: int, timeout: float) -> bool:
        """True as soon as the head is past ``after``; False when it is not within ``timeout`` seconds."""

    def watch(self) -> Waker:
        """Something to select on together with other descriptors."""

    def head(self) -> Head:
        """The last committed event's seq and digest."""

    def verify(self, expected_head: Head | None = None) -> Verification:
        """Check everything, and with ``expected_head`` that this event is still there."""

    def repair(self) -> Repair:
        """Repair a torn tail now; damage elsewhere is reported."""

    def stats(self) -> Stats:
        """Counts and sizes."""

    def close(self) -> None:
        """Give descriptors back."""
