"""The gates of capacity: is there room for one more agent on this host, in the repository, and on all hosts together.

Of the one list of gates (`gates`), those that open when an agent ends, starts up, or frees memory or disk.
"""

from __future__ import annotations

from kugetsu.domain.task_options import repository_cap, repository_of, set_for
from kugetsu.domain.verdict import closed as _closed
from kugetsu.domain.verdict import opened as _open
from kugetsu.model.clock import add_seconds, seconds_between

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.state import Attempt, State, Task
    from kugetsu.domain.verdict import Verdict


def live_here(state: State, facts: ClaimFacts, repository: str | None = None) -> list[Attempt]:
    """The live dev attempts (in a ``repository``) on the host of the facts: all while the log is not shared."""
    live, here = state.live("dev") if repository is None else state.live_in(repository), facts.get("host")
    return live if not state.hosts or here is None else [attempt for attempt in live if attempt.host == here]


def slots(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """A slot is free on this host, and all hosts together have less than their cap; only dev attempts hold one."""
    if task.kind == "pm":
        return _open("slots", "no_slot_needed")
    live, cap = live_here(state, facts), facts["cap"]
    if len(live) >= cap:
        return _closed("slots", "slots_full", live[0].claimed if live else 0, **_used(live, cap))
    if state.shared:
        from kugetsu.domain import hosts

        everywhere, most = state.live("dev"), hosts.global_cap(state)
        if most is not None and len(everywhere) >= most:
            return _closed(
                "slots", "all_slots_full", everywhere[0].claimed if everywhere else 0, **_used(everywhere, most)
            )
    return _open("slots", "slot_free", used=len(live), cap=cap)


def _used(live: list[Attempt], cap: int) -> dict[str, Any]:
    return {"used": len(live), "cap": cap, "attempts": [attempt.id for attempt in live]}


def repository(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """Fewer agents than allowed work in the task's repository."""
    name, everywhere = repository_of(task), None
    cap = repository_cap(name, facts) if name else 0
    if state.shared and name:
        from kugetsu.domain import hosts

        everywhere = hosts.repository(state, name)
    if not cap or (everywhere is not None and not everywhere.open):
        return everywhere or _open("repository", "no_repository_cap")
    live = live_here(state, facts, name)
    if len(live) < cap:
        return _open("repository", "repository_free", used=len(live), cap=cap, repository=name)
    caps = facts.get("repository_caps", {})
    own = {repository: most for repository, most in caps.items() if repository != "*"} if name in caps else None
    values = {"used": len(live), "cap": cap, "repository": name, "caps": own, **set_for(task, facts, "max_agents")}
    return _closed("repository", "repository_full", live[0].claimed, **values)


def stagger(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """At most one agent a core starts at a time: starting costs seconds of CPU, and too many at once time out."""
    here = facts.get("host") if state.hosts else None
    live = [attempt for attempt in state.attempts.values() if here is None or attempt.host == here]
    starting = [attempt for attempt in live if _starts(attempt, facts)]
    values = {"starting": len(starting), "cores": facts["cores"]}
    if starting and len(starting) >= facts["cores"]:
        return _closed("stagger", "agents_starting", starting[0].claimed, _warm(starting, facts), **values)
    return _open("stagger", "agents_starting", **values)


def _starts(attempt: Attempt, facts: ClaimFacts) -> bool:
    at = attempt.running_at
    if at is None:
        return True
    if at > facts["now"]:
        # Another claim's event came between, or the clock went back: then it need not have begun just now.
        return seconds_between(facts["now"], at) <= facts["warmup_seconds"]
    return at > facts["warm_before"]


def _warm(starting: list[Attempt], facts: ClaimFacts) -> str | None:
    """When the first of those already running is warm; None when none is running yet."""
    running = [attempt.running_at for attempt in starting if attempt.running_at is not None]
    return add_seconds(min(running), facts["warmup_seconds"]) if running else None


def memory(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """Enough memory is free for one more agent."""
    wanted, free = facts["min_free_memory_mb"], facts["free_memory_mb"]
    if wanted and free is not None and free < wanted:
        return _closed("memory", "memory_low", free=free, wanted=wanted)
    return _open("memory", "memory_enough" if wanted else "no_memory_limit")


def disk(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """Enough disk is free for one more worktree: a full one stops every agent and the log."""
    wanted, free = facts.get("min_free_disk_mb", 0), facts.get("free_disk_mb")
    if wanted and free is not None and free < wanted:
        return _closed("disk", "disk_low", free=free, wanted=wanted)
    return _open("disk", "disk_enough" if wanted else "no_disk_limit")
