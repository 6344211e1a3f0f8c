"""Hosts that share a log: which of them may start a task, what all of them have agreed on, and who claims first.

While the log is one host's own there are none, and nothing here answers anything.
"""

from __future__ import annotations

from kugetsu.domain.task_options import repository_of
from kugetsu.domain.verdict import closed as _closed
from kugetsu.domain.verdict import opened as _open
from kugetsu.model.servers import LOCAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.state import Host, State, Task
    from kugetsu.domain.verdict import Verdict

#: The settings that are in the log, because two files would mean two values: the most agents on all hosts together,
#: the minutes of silence after which a host is lost, and what the settings of these names mean on all hosts together.
SHARED = ("MAX_AGENTS", "HOST_LOST_MINUTES", "MAX_AGENTS_PER_REPOSITORY", "REPOSITORY_CAPS")
GLOBAL_CAP = "MAX_AGENTS"
OBSERVER = "OBSERVER_HOST"
"""Kept beside them, by no person: the id of the host that asks the forges for all."""

FIRST_WAIT_SECONDS = 0.1
"""The wait before a claim of a host whose slots are all used: with 4 hosts it brought 2.5 conflicts a claim to 1.3."""
JITTER = 0.1


def global_cap(state: State) -> int | None:
    """How many agents may work on all hosts together; None without a limit."""
    text = state.shared.get(GLOBAL_CAP)
    return int(text) if text is not None and text.isdecimal() else None


def observer(state: State) -> Host | None:
    """The host that looks at labelled issues, pull requests and feedback for all; None if none does: it was never
    taken up, or that host takes part no more, or its dispatcher has stopped."""
    host = state.hosts.get(state.shared.get(OBSERVER, ""))
    return host if host is not None and host.takes_part and state.daemon_of(host.id).runs else None


def wait_seconds(state: State, facts: ClaimFacts, chance: float) -> float:
    """How long a dispatcher waits before it claims: the fuller its host, the longer, so that an emptier one is faster.
    ``chance`` from 0 to 1 keeps equal ones apart; 0.0 where the log is not shared."""
    host = facts.get("host")
    if not state.hosts or host is None:
        return 0.0
    live = sum(attempt.kind == "dev" for attempt in state.live_on(host))
    return FIRST_WAIT_SECONDS * (live / max(facts["cap"], 1)) * (1 + JITTER * chance)


def lacking(host: Host, task: Task) -> list[str]:
    """The labels that the task needs and the host does not offer."""
    return [label for label in task.options.get("labels", ()) if label not in host.labels]


def home(state: State, task: Task) -> Host | None:
    """The host that has the task's session, while it takes part; None if any may prepare one."""
    session = state.sessions.get(task.session)
    if session is None or session.worktree is None:
        return None
    host = state.hosts.get(session.host or "")
    return host if host is not None and host.takes_part else None


def has_repository(state: State, task: Task, host: str) -> bool:
    """True if the host has the task's repository, or can clone it: only a folder of another host's is out of reach."""
    name = repository_of(task)
    source = task.repository or state.repositories.get(name)
    if source is None or not name.startswith(f"{LOCAL}/") or "url" in source:
        return True
    return source.get("host") in (None, host)


def host(state: State, task: Task, facts: ClaimFacts) -> Verdict:
    """The gate of a shared log: this host takes part, has the task's session or may prepare one, and what it needs."""
    here = state.hosts.get(facts.get("host", ""))
    if here is None:
        # Without the fact it was decided before any host had joined.
        return _closed("host", "host_not_joined") if "host" in facts else _open("host", "host_fits")
    if here.term != facts.get("term", here.term):
        return _closed("host", "host_term_over", here.changed, host=here.name, term=here.term)
    if here.state == "lost":
        return _closed("host", "host_lost", here.changed, host=here.name)
    if here.state == "left":
        return _closed("host", "host_left", here.changed, host=here.name)
    if here.state == "draining":
        return _closed("host", "host_draining", here.changed, host=here.name)
    there = home(state, task)
    if there is not None and there.id != here.id:
        rests_on = state.sessions[task.session].changed
        return _closed("host", "session_elsewhere", rests_on, host=there.name, session=task.session)
    if lacks := lacking(here, task):
        return _closed("host", "labels_lacking", here.changed, host=here.name, labels=lacks)
    if not has_repository(state, task, here.id):
        source = task.repository or state.repositories[repository_of(task)]
        other = state.hosts.get(source.get("host", ""))
        return _closed("host", "repository_elsewhere", host=other.name if other is not None else None)
    return _open("host", "host_fits")
