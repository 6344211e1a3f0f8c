"""Where notifications go: one module a sink."""

from __future__ import annotations

from collections.abc import Callable

from kugetsu.runtime.notifications.sinks.command import Command
from kugetsu.runtime.notifications.sinks.comment import Comments
from kugetsu.runtime.notifications.sinks.desktop import Desktop
from kugetsu.runtime.notifications.sinks.sink import Sink
from kugetsu.runtime.notifications.sinks.webhook import Webhook
from kugetsu.runtime.workspace import Workspace

_SINKS: dict[str, Callable[[Workspace], Sink]] = {
    "desktop": Desktop,
    "command": Command,
    "webhook": Webhook,
    "comment": Comments,
}


def make(name: str, ws: Workspace) -> Sink:
    """The sink of that name (`settings.SINKS`)."""
    return _SINKS[name](ws)
