"""Hosts that share a log: which of them may start a task, what all of them have agreed on, and who claims first.

While the log is one host's own there are none, and nothing here answers anything.
"""

from __future__ import annotations

from kugetsu.domain.task_options import repository_of
from kugetsu.domain.verdict import closed as _closed
from kugetsu.domain.verdict import opened as _open
from kugetsu.model.clock import add_seconds, pause_lasts
from kugetsu.model.host_words import short
from kugetsu.model.servers import LOCAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.state import Host, Session, State, Task
    from kugetsu.domain.verdict import Verdict

GLOBAL_CAP, TIME_TO_LIVE = "MAX_AGENTS", "HOST_LOST_MINUTES"
REPOSITORY_CAP, NAMED_CAPS = "MAX_AGENTS_PER_REPOSITORY", "REPOSITORY_CAPS"
"""The settings that all hosts share (`model.settings.SHARED`). Those of the last two names that a host has itself are
caps of its own agents."""
OBSERVER = "OBSERVER_HOST"
"""Kept beside them, by no person: the id of the host that asks the forges for all."""

FIRST_WAIT_SECONDS = 0.1
"""The wait before a claim of a host whose slots are all used: with 4 hosts it brought 2.5 conflicts a claim to 1.3."""
JITTER = 0.1

TURN_SECONDS = 300.0
"""For how long a task is left to a host that has a free slot: after that something keeps it from starting there of
which the log does not tell, a program that is missing, say, or memory."""
LONGEST_TURN_SECONDS = 3600.0
"""So long at most, also while its slots are full: it may start others in its place for ever."""


def name_of(state: State, host: str | None) -> str:
    """What people call a host: its name, and the first digits of its id where it never told one."""
    known = state.hosts.get(host or "")
    return known.name if known is not None else short(host or "")


def global_cap(state: State) -> int | None:
    """How many agents may work on all hosts together; None without a limit."""
    return _number(state.shared.get(GLOBAL_CAP))


def minutes_to_live(state: State) -> int | None:
    """After how many minutes of silence a host is lost; None where nobody set it."""
    return _number(state.shared.get(TIME_TO_LIVE))


def repository(state: State, name: str) -> Verdict | None:
    """The part of the gate `repository` that all hosts share: together they have fewer agents in it than allowed. None
    without a limit."""
    cap = _repository_cap(state, name)
    if not cap:
        return None
    live = state.live_in(name)
    if len(live) < cap:
        return _open("repository", "repository_free", used=len(live), cap=cap, repository=name)
    values: dict[str, Any] = {
        "used": len(live),
        "cap": cap,
        "repository": name,
        "named": state.shared.get(NAMED_CAPS, ""),
    }
    return _closed("repository", "repository_full_everywhere", live[0].claimed, **values)


def _repository_cap(state: State, name: str) -> int:
    for pair in state.shared.get(NAMED_CAPS, "").split():
        repository, _, cap = pair.rpartition("=")
        if repository == name:
            return _number(cap) or 0
    return _number(state.shared.get(REPOSITORY_CAP)) or 0


def caps(state: State) -> dict[str, dict[str, str]]:
    """What a claim records of the caps of all hosts, as they were set: the fact ``shared``, if there are any."""
    known = {key: state.shared[key] for key in (GLOBAL_CAP, REPOSITORY_CAP, NAMED_CAPS) if key in state.shared}
    return {"shared": known} if known else {}


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def observer(state: State) -> Host | None:
    """The host that looks at labelled issues, pull requests and feedback for all; None if none does: it was never
    taken up, or that host takes part no more, or its dispatcher has stopped."""
    host = state.hosts.get(state.shared.get(OBSERVER, ""))
    return host if host is not None and host.takes_part and state.daemon_of(host.id).runs else None


def acts_for(state: State, session: Session, host: str) -> bool:
    """Whether a host does what kugetsu has yet to do for a session at its forge: the one that has the session; once
    that is lost or has left, the one that asks the forges for all (`observer`), which an append has made sure of."""
    there = state.hosts.get(session.host or "")
    if there is None or there.takes_part:
        return session.host in (None, host)
    does = observer(state)
    return does is not None and does.id == host


def wait_seconds(state: State, facts: ClaimFacts, chance: float) -> float:
    """How long a dispatcher waits before it claims: the fuller its host, the longer, so that an emptier one is faster.
    ``chance`` from 0 to 1 keeps equal ones apart; 0.0 where the log is not shared."""
    host = facts.get("host")
    if not state.hosts or host is None:
        return 0.0
    live = state.live_on(host, "dev")
    return FIRST_WAIT_SECONDS * (len(live) / max(facts["cap"], 1)) * (1 + JITTER * chance)


def namesakes(state: State, host: Host) -> list[Host]:
    """The other hosts that take part under the same name: nothing but the id tells them apart."""
    return [one for one in state.hosts.values() if one.takes_part and one.id != host.id and one.name == host.name]


def lacking(host: Host, task: Task) -> list[str]:
    """The labels that the task needs and the host does not offer."""
    return [label for label in task.options.get("labels", ()) if label not in host.labels]


def home(state: State, task: Task) -> Host | None:
    """The host that has the task's session, while it takes part; None if any may prepare one."""
    session = state.sessions.get(task.session)
    return home_of(state, session) if session is not None else None


def home_of(state: State, session: Session) -> Host | None:
    """The host that has the session, while it takes part; None if any may prepare it."""
    host = state.hosts.get(session.host or "") if session.worktree is not None else None
    return host if host is not None and host.takes_part else None


def source_of(state: State, name: str, host: str | None) -> dict[str, str] | None:
    """Where a host has a registered repository from: its own folder, or the URL that is for all; None for neither. In a
    log of one host ``host`` is of no account."""
    known = state.repositories.get(name)
    if not state.hosts:
        return known
    here = state.hosts.get(host or "")
    if here is not None and name in here.folders:
        return {"path": here.folders[name], "host": here.id}
    return known if known is not None and "url" in known else None


def registrations(state: State, name: str) -> list[dict[str, str]]:
    """All that is registered for a repository, as `repository.registered` has it: the URL for all, folders of hosts."""
    known = state.repositories.get(name)
    folders = [{"path": one.folders[name], "host": one.id} for one in state.hosts.values() if name in one.folders]
    return [known, *folders] if known is not None and ("url" in known or not folders) else folders


def rests(state: State, host: Host) -> bool:
    """Whether the host has nothing to do that others could miss: its dispatcher was stopped in order, and nothing of it
    runs. Nobody counts it as lost for its silence; what its sessions have waits for it, or for a person's word."""
    return host.takes_part and state.daemon_of(host.id).state == "stopped" and not state.live_on(host.id)


def daemon_went_with(event: Event, data: Mapping[str, Any]) -> bool:
    """Whether a `daemon.lost` is of a host that was lost: nobody saw that daemon end, which may be cut off and live. It
    is never the first event of its transaction, which has the decision's name."""
    return "host" in data and "decision" not in event


def only_there(state: State, host: Host) -> list[dict[str, Any]]:
    """The work of sessions that may be only on a host that was lost or has left, as far as the log tells."""
    shown = ("session", "branch", "head")
    left = [{"worktree": path, **{name: known[name] for name in shown}} for path, known in host.left_behind.items()]
    if host.state in ("lost", "left"):
        left += [
            {"worktree": one.worktree, "session": one.key, "branch": one.branch, "head": one.head}
            for one in state.sessions.values()
            if one.host == host.id and one.kind == "issue" and one.worktree is not None and not one.pushed
            if one.worktree not in host.left_behind
        ]
    return left


def has_repository(state: State, task: Task, host: str) -> bool:
    """True if the host has the task's repository, or can clone it: only what are folders of other hosts is out of
    reach."""
    name = repository_of(task)
    source = task.repository
    if not name.startswith(f"{LOCAL}/") or source_of(state, name, host) is not None:
        return True
    if source is None:
        return name not in state.repositories
    return "url" in source or source.get("host") in (None, host)


def _names_with_repository(state: State, task: Task) -> str | None:
    """The hosts whose folders the task's repository is."""
    known = [one["host"] for one in registrations(state, repository_of(task)) if "host" in one]
    if task.repository is not None and "host" in task.repository:
        known.append(task.repository["host"])
    return ", ".join(state.hosts[one].name for one in dict.fromkeys(known) if one in state.hosts) or None


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
        return _closed("host", "repository_elsewhere", host=_names_with_repository(state, task))
    if here.id in task.unprepared and (others := _not_tried(state, task, facts)):
        names, until = ", ".join(other.name for other, _ in others), max(until for _, until in others)
        return _closed("host", "others_first", task.changed, until, host=here.name, others=names, task=task.id)
    return _open("host", "host_fits")


def _not_tried(state: State, task: Task, facts: ClaimFacts) -> list[tuple[Host, str]]:
    """The hosts that may prepare a task and have not failed to since it was asked for: one that cannot clone, say, has
    free slots all the time, and would use up the attempts of every task. Each with the end of its turn."""
    if home(state, task) is not None:
        return []
    others = (
        other
        for other in state.hosts.values()
        if other.state == "joined"
        and other.id not in task.unprepared
        and state.daemon_of(other.id).state == "running"
        and not lacking(other, task)
        and has_repository(state, task, other.id)
    )
    turns = ((other, _turn(state, task, other)) for other in others)
    return [(other, until) for other, (since, until) in turns if pause_lasts(until, since, facts["now"])]


def _turn(state: State, task: Task, host: Host) -> tuple[str, str]:
    """Since when a host could have started a task, and until when that is left to it."""
    asked = task.not_before or task.changed_at
    latest = add_seconds(asked, LONGEST_TURN_SECONDS)
    if task.kind == "dev" and 0 < host.cap <= len(state.live_on(host.id, "dev")):
        return asked, latest
    since = max(asked, host.changed_at, host.ended_at, state.daemon_of(host.id).changed_at)
    return since, min(add_seconds(since, TURN_SECONDS), latest)
