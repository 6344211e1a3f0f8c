"""The processes beside the daemon: whether one that is needed is running."""

from __future__ import annotations

from kugetsu.runtime.child_supervisor import ChildSupervisor
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Found


def running(context: Context, found: Found, child: type[ChildSupervisor], does: str = "") -> Finding:
    """The finding on one that a living daemon keeps; ``does`` is what it is for here, if not its purpose."""
    does = does or child.purpose
    if child.lease.alive(context.paths):
        return found.ok(child.name, f"the {child.name} {does}")
    text = f"the {child.name}, which {does}, is not running; the daemon restarts it"
    return found.warning(child.name, text, "kugetsu queue-daemon logs")
