"""Tasks whose worktree could not be made ready, among what needs attention."""

from __future__ import annotations

from kugetsu.domain import gates
from kugetsu.model.plural import counted
from kugetsu.views import gates as words
from kugetsu.views import times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.state import State, Task


def attention(state: State, parked: Sequence[Task], facts: ClaimFacts, most: int) -> list[tuple[str, str, str, str]]:
    """Subject, state, why and the command that helps: of the tasks that wait for a person at most so many, in one line
    those that are tried again by themselves. ``parked`` are all that are parked for their set-up."""
    closed = [(task, gates.parked(state, task, facts)) for task in parked]
    closed = [(task, verdict) for task, verdict in closed if not verdict.open]
    stuck = [(task, verdict) for task, verdict in closed if verdict.until is None]
    found = [(task.id, "needs you", words.reason_of(verdict), f"kugetsu why {task.id}") for task, verdict in stuck]
    again = [(task, verdict) for task, verdict in closed if verdict.until is not None]
    if not again:
        return found[:most]
    task, verdict = min(again, key=lambda one: one[1].until or "")
    more = f", and {counted(len(again) - 1, 'more task')} later" if again[1:] else ""
    text = f"tried again at {times.ahead(verdict.until or '', facts['now'])}{more}: {words.reason_of(verdict)}"
    return [*found[:most], (task.id, "parked", text, f"kugetsu why {task.id}")]
