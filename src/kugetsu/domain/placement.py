"""On which of the hosts that share a log a task may start, as far as the log tells: the same gates, for each host."""

from __future__ import annotations

from collections import Counter

from kugetsu.domain import gates
from kugetsu.domain.gate_round import ALIKE, GateRound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.state import Host, State, Task
    from kugetsu.domain.verdict import Verdict


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


class Placement:
    """Where the tasks of one state may start besides the host of the facts."""

    def __init__(self, state: State, facts: ClaimFacts) -> None:
        self._state, self._facts = state, facts
        self._part = [host for host in state.hosts.values() if host.takes_part]
        self._working = [host.id for host in self._part if state.daemon_of(host.id).runs]
        self._rounds: list[tuple[Host, GateRound]] | None = None

    def is_open_elsewhere(self, task: Task) -> bool:
        """Whether another host may start a task that this one may start."""
        return any(there.first_closed(task) is None for _, there in self._others())

    def held_by(self, task: Task, closed: Verdict) -> Verdict | None:
        """The gate to record for a task that ``closed`` keeps from starting on this host; None while another host may
        start it, or has the word. Every host names the same one, the last in order that any of them waits for: else
        they would contradict each other in turn, for ever.

        So they would before the gates of hosts, where one knows what another does not: its worktree's head, its own
        file of settings. There one host has the word for a task.
        """
        if not self._state.hosts:
            return closed
        of_hosts = closed.gate in _OF_HOSTS and (task.held is None or task.held in _OF_HOSTS)
        if not of_hosts and not self._has_the_word(task):
            return None
        if closed.gate not in _OF_HOSTS:
            return closed
        everywhere = []
        for host, there in self._others():
            verdict = there.first_closed(task)
            if verdict is None:
                return None
            everywhere.append((verdict, host.id))
        if len(everywhere) < len(self._part):
            everywhere.append((closed, self._facts.get("host", "")))
        return min(everywhere, key=lambda one: (-_OF_HOSTS[one[0].gate], one[1]))[0] if everywhere else None

    def _has_the_word(self, task: Task) -> bool:
        """Whether this host is the one that says what keeps the task back before the gates of hosts: of those whose
        daemon runs the one that has its session, else the first."""
        session = self._state.sessions.get(task.session)
        if session is not None and session.host in self._working:
            return session.host == self._facts.get("host")
        return not self._working or min(self._working) == self._facts.get("host")

    def _others(self) -> list[tuple[Host, GateRound]]:
        """The other hosts, each with the gates that may answer otherwise there: most plans ask none of them."""
        if self._rounds is None:
            used = Counter(attempt.host for attempt in self._state.attempts.values())
            others = [host for host in self._part if host.id != self._facts.get("host")]
            # One where the task may start is enough to know: the emptiest are asked first.
            others.sort(key=lambda host: used[host.id] / max(host.cap, 1))
            # Without a limit or an outage no agent is kept back for one task and not for another.
            alike = ALIKE if self._state.limits else (*ALIKE, "agent")
            self._rounds = [
                (host, GateRound(self._state, facts_of(self._state, host, self._facts), _GATES, alike))
                for host in others
            ]
        return self._rounds


#: The gates of hosts, which one host can ask for another as far as the log tells. Those before the first of them read
#: nothing of a host but what only itself knows: one has the word there.
_GATES = gates.SHARED_GATES[gates.SHARED_GATES.index(gates.daemon) :]
_OF_HOSTS = {gate.__name__: place for place, gate in enumerate(_GATES)}
