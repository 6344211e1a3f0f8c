"""On which of the hosts that share a log a task may start, as far as the log tells: the same gates, for each host."""

from __future__ import annotations

from kugetsu.domain import gates
from kugetsu.domain.verdict import Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.state import Host, State, Task


def facts_of(state: State, host: Host, facts: ClaimFacts) -> ClaimFacts:
    """The facts of another host, from those of this one: what only a look there tells is left open."""
    if host.id == facts.get("host"):
        return facts
    runs = state.daemon_of(host.id).runs
    return {
        **facts,
        "host": host.id,
        "term": host.term,
        "cap": host.cap,
        "dispatcher": "daemon" if runs else "none",
        "free_memory_mb": None,
        "free_disk_mb": None,
        "agent_problems": {},
    }


def by_host(state: State, task: Task, facts: ClaimFacts) -> list[tuple[Host, Verdict | None]]:
    """Each host that takes part, with the first gate that keeps the task from starting there; None: it may."""
    known = [host for host in state.hosts.values() if host.takes_part]
    return [(host, gates.first_closed(state, task, facts_of(state, host, facts))) for host in known]


def held_by(state: State, task: Task, facts: ClaimFacts, closed: Verdict) -> Verdict | None:
    """The gate to record for a task that ``closed`` keeps from starting on this host; None while another host may start
    it. Every host names the same one, the last in order that any of them waits for: else they would contradict each
    other in turn, for ever."""
    if not state.hosts:
        return closed
    everywhere = [(verdict, host.id) for host, verdict in by_host(state, task, facts) if verdict is not None]
    if len(everywhere) < sum(host.takes_part for host in state.hosts.values()) or not everywhere:
        return None
    order = [gate.__name__ for gate in gates.SHARED_GATES]
    return min(everywhere, key=lambda one: (-order.index(one[0].gate), one[1]))[0]
