"""Where notifications go: a sink takes a message and says what became of it. It never raises for what goes wrong."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Protocol

from kugetsu.domain.notifications import Notice
from kugetsu.runtime.notifications.message import Message
from kugetsu.runtime.workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:

    class Sink(Protocol):
        """One way to tell people. Made anew for each delivery, from the settings as they are then."""

        #: Whether a delivery that was interrupted is delivered again: the receiver knows a repetition, or it is looked
        #: up first. Else it is told as interrupted, and not repeated.
        repeats: bool

        def lane(self, notice: Notice) -> str | None:
            """Which of its messages the notification belongs to; None for one that it does not take."""

        def describe(self) -> tuple[bool, str]:
            """Whether it is set up, and how (or what is missing), in a few words without secrets."""

        def deliver(self, message: Message, *, again: bool) -> Outcome:
            """Deliver; ``again``: an earlier try may have been delivered."""

        def test(self, message: Message) -> Outcome:
            """Deliver a test."""


#: The lane of sinks that have one.
ALL = "all"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a delivery. ``text`` says it in a line without secrets; of one that was not ``sent``, ``again``
    says whether another try may help, and ``asked`` for how many seconds the receiver wants to be left alone."""

    sent: bool
    text: str
    _: KW_ONLY
    again: bool = True
    asked: float = 0.0


def make(name: str, ws: Workspace) -> Sink:
    """The sink of that name (`settings.SINKS`)."""
    if name == "desktop":
        from kugetsu.runtime.notifications.sinks.desktop import Desktop

        return Desktop(ws)
    if name == "command":
        from kugetsu.runtime.notifications.sinks.command import Command

        return Command(ws)
    if name == "webhook":
        from kugetsu.runtime.notifications.sinks.webhook import Webhook

        return Webhook(ws)
    from kugetsu.runtime.notifications.sinks.comment import Comments

    return Comments(ws)
