"""A sink takes a message and returns what became of it. It never raises for what goes wrong."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass

from kugetsu.runtime.notifications.message import Message
from kugetsu.runtime.notifications.notice import Notice

ALL = "all"
"""The lane of a sink that has one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a delivery. ``text`` says it in a line without secrets; of one that was not ``sent``, ``again``
    says whether another try may help, ``asked`` for how many seconds the receiver wants to be left alone, and ``waits``
    that it was not tried: it may not be sent just now."""

    sent: bool
    text: str
    _: KW_ONLY
    again: bool = True
    asked: float = 0.0
    waits: bool = False


class Sink(ABC):
    """One way to notify people. Made anew for each delivery, from the settings in force then."""

    repeats = False
    """Whether an interrupted delivery is repeated: the receiver recognises a repetition, or it is looked up first.
    Otherwise it is recorded as interrupted."""

    def lane(self, notice: Notice) -> str | None:  # noqa: ARG002
        """Which of its messages the notification belongs to; None if the sink does not take it."""
        return ALL

    def waits(self, lane: str) -> bool:  # noqa: ARG002
        """Whether nothing may be sent in a lane for now, so that an open delivery is not tried."""
        return False

    @abstractmethod
    def describe(self) -> tuple[bool, str]:
        """Whether it is set up, and how (or what is missing), in a few words without secrets."""

    @abstractmethod
    def deliver(self, message: Message, *, again: bool) -> Outcome:
        """Deliver a message; ``again``: an earlier try may have succeeded."""

    def test(self, message: Message) -> Outcome:
        """Deliver a test."""
        return self.deliver(message, again=False)
