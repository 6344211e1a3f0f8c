"""Issues that could not be read right before their agent's start, to see whether the label still asks for the run.

No agent is started on a permission that nobody can confirm: the task is parked, uses no attempt up, and is tried again
after a pause that grows.
"""

from __future__ import annotations

from kugetsu.domain.state import FORGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.facts import Ending
    from kugetsu.domain.state import Task

#: The verdict of an attempt whose issue could not be read.
UNREAD = "unread"
#: Seconds after the first failure and the longest pause between two; a forge may name a later time.
FIRST_PAUSE = 60.0
LONGEST_PAUSE = 900.0


def park(task: Task, ending: Ending, now: str) -> dict[str, Any]:
    """The data of ``task.parked``; ``ending.resets_at`` is the time that the forge named."""
    from kugetsu.model.clock import add_seconds, seconds_between

    pause = min(FIRST_PAUSE * 2.0 ** min(task.usage.parks, 10), LONGEST_PAUSE)
    stated = seconds_between(now, ending.resets_at) if ending.resets_at is not None else 0.0
    parked = {"until": add_seconds(now, max(pause, stated)), "stated": stated > pause, "limit": None, "gate": FORGE}
    return {**parked, "reason": "parked_by_forge", "values": {"problem": ending.reason}}
