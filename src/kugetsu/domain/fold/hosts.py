"""Folds the events of the hosts that share the log."""

from __future__ import annotations

from kugetsu.domain.machines import step
from kugetsu.domain.state import Host, Session, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kugetsu.domain.events import Event
    from kugetsu.domain.state import Attempt

    Handler = Callable[[State, Event], None]


def host_joined(state: State, event: Event) -> None:
    """Fold of ``host.joined``; the first host has all that was made while the log was its own."""
    data = event["data"]
    name, term, labels, cap = data["name"], data["term"], data["labels"], data["cap"]
    known = state.hosts.get(data["host"]) or Host(data["host"], name)
    if term <= known.term:
        state.violate(event["seq"], f"host.joined: term {term} of {name} is not after {known.term}")
        return
    dest = step("host", known.state, "join")
    assert dest is not None  # from everywhere
    if not state.hosts:
        _take_possession(state, known)
    known.name, known.term, known.labels, known.cap = name, term, labels, cap
    if known.drained:
        dest = step("host", dest, "drain") or dest
    known.state, known.changed, known.changed_at = dest, event["seq"], event["at"]
    state.hosts[known.id] = known


def _take_possession(state: State, first: Host) -> None:
    """What older versions made without naming the host is of the first one that shares the log."""
    host = first.id
    first.folders = {name: source["path"] for name, source in state.repositories.items() if "path" in source}
    for session in state.sessions.values():
        session.host = session.host or host
    for source in state.repositories.values():
        source.setdefault("host", host)
    for daemon in state.daemons.values():
        daemon.host = daemon.host or host
    for box in state.outbox.values():
        box.setdefault("hosts", [host])
    state.daemons = {daemon.host: daemon for daemon in state.daemons.values()}


def host_moved(trigger: str) -> Handler:
    """Fold of ``host.draining``, ``host.undrained``, ``host.left`` and ``host.lost``; ``trigger`` is the machine's."""

    def handler(state: State, event: Event) -> None:
        data = event["data"]
        term = data["term"]
        host = state.hosts.get(data["host"])
        if host is None or host.term != term:
            state.violate(
                event["seq"], f"{event['type']} names term {term} of {data['host']}, which does not take part"
            )
            return
        dest = step("host", host.state, trigger)
        if dest is None:
            state.violate(event["seq"], f"{event['type']}: a host that is {host.state} cannot {trigger}")
            return
        host.state, host.changed, host.changed_at = dest, event["seq"], event["at"]
        if trigger != "lose":
            host.drained = trigger == "drain"

    return handler


def host_returned(state: State, event: Event) -> None:
    """Fold of ``host.returned``: what is safe by now need not be kept; what could not be saved stays."""
    data = event["data"]
    unsafe = {one["worktree"] for one in data["worktrees"] if one["commits"] and one["rescue"] is None}
    safe = {one["worktree"] for one in data["worktrees"]} - unsafe
    host = state.hosts.get(data["host"])
    if host is None:
        state.violate(event["seq"], f"host.returned names {data['host']}, which never joined")
        return
    for worktree in safe:
        host.left_behind.pop(worktree, None)


def repository_registered(state: State, host: Host, name: str, path: str | None) -> None:
    """Fold of ``repository.registered`` for the folder of a host, None for none any more: the others keep theirs, and
    the URL that is for all."""
    if path is not None:
        host.folders[name] = path
    else:
        host.folders.pop(name, None)
    if "url" in state.repositories.get(name, {}):
        return
    state.repositories.pop(name, None)
    having = host if path is not None else next((one for one in state.hosts.values() if name in one.folders), None)
    if having is not None:
        state.repositories[name] = {"path": having.folders[name], "host": having.id}


def setting_shared(state: State, event: Event) -> None:
    """Fold of ``setting.shared``."""
    key, new = event["data"]["key"], event["data"]["new"]
    if new is None:
        state.shared.pop(key, None)
    else:
        state.shared[key] = new


def claimed(state: State, attempt: Attempt, event: Event) -> None:
    """A claim tells the present cap of its host."""
    facts = event.get("facts") or {}
    host = state.hosts.get(facts.get("host", ""))
    if host is not None and host.term == attempt.term:
        host.cap = facts["cap"]


def attempt_ended(state: State, attempt: Attempt, failed: bool, at: str) -> None:
    """A slot of its host is free. Note which hosts could not prepare a task's latest attempts: those that ``failed``
    before an agent ran."""
    task, host = state.tasks[attempt.task], state.hosts.get(attempt.host or "")
    if host is not None:
        host.ended_at = at
    if attempt.running_at:
        task.unprepared = []
    elif failed and attempt.host is not None and attempt.host not in task.unprepared:
        task.unprepared = [*task.unprepared, attempt.host]


def given_away(state: State, attempt: Attempt) -> None:
    """The attempt's host was lost with it: what it tells when it returns is counted (`attempt.late`)."""
    host = state.hosts.get(attempt.host or "")
    if host is not None:
        host.away[attempt.id] = {"task": attempt.task, "issue": attempt.issue, "session": attempt.session}


def removal_given_up(state: State, session: Session, changed: int) -> None:
    """A removal of the session, which began after that change of it, ended with its host: what it had saved already is
    told when that returns."""
    host = state.hosts.get(session.host or "")
    if host is not None and not host.takes_part and session.worktree is not None:
        left = {"session": session.key, "branch": session.branch, "head": session.head}
        host.left_behind[session.worktree] = {**left, "removal": changed}


def moved(state: State, session: Session, host: str | None, worktree: str | None) -> None:
    """A session is prepared on ``host`` in that ``worktree``, which is not left behind any more if it was: the one that
    it has on another host is left behind there. What a removal had saved is none of either."""
    here = state.hosts.get(host or "")
    if here is not None and worktree is not None and "removal" not in here.left_behind.get(worktree, ()):
        here.left_behind.pop(worktree, None)
    before = state.hosts.get(session.host or "")
    if before is not None and host != before.id and session.worktree is not None and session.kind == "issue":
        left = {"session": session.key, "branch": session.branch, "head": session.head}
        before.left_behind[session.worktree] = {**before.left_behind.get(session.worktree, {}), **left}


def attempt_late(state: State, event: Event) -> None:
    """Fold of ``attempt.late``: its usage counts, and nothing else changes."""
    data = event["data"]
    _ = data["tokens"], data["cost"]
    host = next((one for one in state.hosts.values() if event["attempt"] in one.away), None)
    if host is None:
        state.violate(event["seq"], f"attempt.late names {event['attempt']}, which was not given away")
        return
    gone = host.away.pop(event["attempt"])
    for record in (state.tasks.get(gone["task"]), state.sessions.get(gone["session"])):
        if record is not None:
            record.usage.count(event["type"], data)


host_draining = host_moved("drain")
host_undrained = host_moved("undrain")
host_left = host_moved("leave")
host_lost = host_moved("lose")
