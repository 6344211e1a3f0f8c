"""The protocol of every engine of the log. The contract suite in tests/log runs against it."""

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
        """Clear the wake-up; call it before reading the log."""

    def close(self) -> None:
        """Close the descriptor."""


class EventLog(Protocol):
    """An append-only log of events, and the state that they fold to."""

    within: float | None
    """About so many seconds are spent on an append when the database of a shared log is away; None for the usual."""

    def state(self) -> Any:
        """The fold of everything committed now, as far as this host has it. Takes no lock. The object is the log's
        own: never change it."""

    def state_at(self, seq: int | None = None, at: str | None = None) -> Any:
        """The state after event ``seq``, or before the first event later than ``at``; a new object.

        Far from the head it costs much less than folding from the start. Raises LogDamaged.
        """

    def transact(self, decide: Callable[[Any], Sequence[NewEvent]]) -> list[Event]:
        """Fold the tail, call ``decide(state)``, append its new_events all or nothing, durably; nobody else appends in
        between.

        ``decide`` has no effects and may run several times, each time on a newer state: only its last run counts.
        Returns the events ([] if there were no new_events). An exception of ``decide`` leaves the log untouched and
        is passed on. Raises LogDamaged, LogWriteFailed; of a shared log LogUnreachable, LogDiverged.
        """

    def append(self, new_events: Sequence[NewEvent]) -> list[Event]:
        """Append events without a decision, all or nothing, durably; cheaper than `transact` among many writers.

        Raises as `transact`.
        """

    def read(self, after: int = 0, until: int | None = None) -> Iterator[Event]:
        """The committed events with ``after`` < seq <= ``until``, in order, verified."""

    def read_lines(self, after: int = 0, until: int | None = None) -> Iterator[tuple[Event, bytes]]:
        """As `read`, each with its line as written: the digested bytes, then ``,"sha":"…"}``."""

    def read_key(self, key: str) -> Iterator[Event]:
        """The events whose issue, task or session is ``key``, in order."""

    def follow(self, after: int) -> Iterator[Event | None]:
        """Events after ``after`` as they arrive; None at least every second if there are none."""

    def wait(self, after: int, timeout: float) -> bool:
        """True as soon as the head is past ``after``; False if that takes longer than ``timeout`` seconds."""

    def watch(self) -> Waker:
        """An object to select on together with other descriptors."""

    def head(self) -> Head:
        """The last committed event's seq and digest."""

    def verify(self, expected_head: Head | None = None) -> Verification:
        """Check everything, and with ``expected_head`` that this event is still present."""

    def repair(self) -> Repair:
        """Repair a torn tail now; damage elsewhere is reported."""

    def stats(self) -> Stats:
        """Counts and sizes."""

    def close(self) -> None:
        """Close the descriptors."""
