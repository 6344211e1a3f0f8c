"""Notifications: whether each sink of the settings is set up."""

from __future__ import annotations

from kugetsu.runtime.diagnosis.finding import Found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kugetsu.runtime.diagnosis.case import Case
    from kugetsu.runtime.diagnosis.finding import Finding

found = Found("notifications")


def check(case: Case) -> Iterator[Finding]:
    """The findings. Nothing is sent."""
    from kugetsu.runtime.notices.sinks import make

    names = case.ws.config.text("NOTIFY_SINKS").split()
    if not names:
        yield found.ok("sinks", "none are sent: kugetsu notify list shows them (NOTIFY_SINKS sends them)")
    for name in names:
        ready, said = make(name, case.ws).describe()
        if ready:
            yield found.ok(name, f"{name}: {said}")
        else:
            yield found.problem(name, f"{name}: {said}", "kugetsu config set NOTIFY_SINKS '…'")
