"""The words of a park: why a task waits without using up an attempt, and until when."""

from __future__ import annotations

from kugetsu.domain.state import FORGE, SETUP
from kugetsu.model.plural import counted
from kugetsu.views import gates, times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events.tasks import TaskParked


def parked(data: TaskParked, written: str) -> str:
    """An event of the time ``written``."""
    why = gates.reason(data["reason"], data.get("values"))
    if data["until"] is None:
        return f"{why}; until unblocked"
    until = times.moment(data["until"], written)
    if data.get("again"):
        return f"until {until}, as before"
    if data["gate"] in (SETUP, FORGE):
        return f"{why}; tried again at {until}"
    if "outage" in data:
        tries = counted(data["outage"]["times"], "try")
        at = times.time_of_day(data["outage"]["until"])
        return f"affects every task; gate {data['outage']['gate']} closed, tried again at {at} ({tries} so far)"
    unknown = "" if data["stated"] else " (no reset time known)"
    return f"until {until}{unknown}, not counted as a failure"
