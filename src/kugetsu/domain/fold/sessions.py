"""Folds the events of sessions and repositories."""

from __future__ import annotations

from kugetsu.domain.fold import reviews, usage
from kugetsu.domain.machines import step
from kugetsu.domain.state import Session, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Event

ACCEPTED_KEPT = 50
"""Accepted hashes of a repository that the state remembers: worktrees of earlier base commits have older ones."""
BASES_KEPT = 100
"""Verified base commits that the state remembers; of more, the oldest is forgotten, and verified again when asked."""


def move_session(state: State, event: Event, key: str, trigger: str) -> Session | None:
    """The session ``key`` after ``trigger``; None (and a violation) if there is none or its machine refuses."""
    session = state.sessions.get(key)
    if session is None:
        state.violate(event["seq"], f"{event['type']} names the session {key}, which does not exist")
        return None
    dest = step("session", session.state, trigger)
    if dest is None:
        state.violate(event["seq"], f"{event['type']}: a session that is {session.state} cannot {trigger}")
        return None
    session.state = dest
    session.destroying = 0
    session.changed = event["seq"]
    session.changed_at = event["at"]
    return session


def session_requested(state: State, event: Event) -> None:
    """Fold of ``session.requested``."""
    key = event["session"]
    data = event["data"]
    if key in state.sessions:
        state.violate(event["seq"], f"session.requested: {key} already exists")
        return
    session = Session(key, data["kind"])
    session.repository = data["repository"]
    session.created_at = session.changed_at = event["at"]
    session.changed = event["seq"]
    if data.get("carried"):
        usage.take_over(session, data["carried"])
    state.sessions[key] = session


def session_preparing(state: State, event: Event) -> None:
    """Fold of ``session.preparing``."""
    data = event["data"]
    source, branch, agent = data["source"], data["branch"], data["agent"]
    session = move_session(state, event, event["session"], "prepare")
    if session is not None:
        session.source = source
        session.branch = branch
        session.agent = agent
        session.follows = data.get("follows")


#: The fields of a prepared session, under the same names in the event and the record.
_PREPARED = ("agent", "agent_session", "worktree", "branch", "base_branch", "base_commit", "source")


def session_prepared(state: State, event: Event) -> None:
    """Fold of ``session.prepared``."""
    data = event["data"]
    known = [data[name] for name in _PREPARED]
    notes = data.get("notes") or []
    session = move_session(state, event, event["session"], "ready")
    if session is None:
        return
    if state.hosts:
        from kugetsu.domain.fold import hosts

        hosts.moved(state, session, data.get("host"), data["worktree"])
    for name, value in zip(_PREPARED, known, strict=True):
        setattr(session, name, value)
    session.host = data.get("host")
    session.reason = None
    session.notes = notes
    session.follows = None
    if data.get("created") or data.get("follows"):
        session.set_up = None  # a new worktree, or one with a fresh branch
    if data.get("follows"):
        # A fresh branch: the merged one's work is not its own.
        session.pr = session.pr_state = session.pushed = session.pull = session.reviewed = None
        session.commits = 0
        session.head = session.base_commit
        if state.loops:
            from kugetsu.domain.fold import loops

            loops.merged(state, session.key)
    session.head = session.head or session.base_commit


def session_broken(state: State, event: Event) -> None:
    """Fold of ``session.broken``."""
    reason = event["data"]["reason"]
    known = state.sessions.get(event["session"])
    removed_after = known.changed if known is not None and known.destroying else None
    session = move_session(state, event, event["session"], "break")
    if session is None:
        return
    session.reason = reason
    if state.hosts and removed_after is not None:
        from kugetsu.domain.fold import hosts

        hosts.removal_given_up(state, session, removed_after)


def session_rescued(state: State, event: Event) -> None:
    """Fold of ``session.rescued``."""
    session = state.sessions.get(event["session"])
    if session is None:
        state.violate(event["seq"], f"session.rescued names the session {event['session']}, which does not exist")
        return
    session.unsaved = None


def session_destroying(state: State, event: Event) -> None:
    """Fold of ``session.destroying``."""
    session = state.sessions.get(event["session"])
    if session is None:
        state.violate(event["seq"], f"session.destroying names the session {event['session']}, which does not exist")
        return
    session.destroying = event["seq"]


def session_destroyed(state: State, event: Event) -> None:
    """Fold of ``session.destroyed``."""
    session = move_session(state, event, event["session"], "destroy")
    if session is None:
        return
    del state.sessions[session.key]
    state.last_destroyed = event["seq"]
    if state.loops:
        from kugetsu.domain.fold import loops

        loops.session_destroyed(state, session)
    prior = usage.prior_usage(session)
    for task in state.tasks.values():
        if task.issue == session.key:
            task.prior_usage = prior


def session_forwarded(state: State, event: Event) -> None:
    """Fold of ``session.forwarded``: progress is counted from here."""
    head = event["data"]["head"]
    session = state.sessions.get(event["session"])
    if session is None:
        state.violate(event["seq"], f"session.forwarded names the session {event['session']}, which does not exist")
        return
    session.head = head


def issue_read(state: State, event: Event) -> None:
    """Fold of ``issue.read``: parts that could not be read stay as they were."""
    data = event["data"]
    title, comments, problem = data["title"], data["comments"], data["problem"]
    session = state.sessions.get(event["session"])
    if session is not None and problem is None:
        session.title = title
        session.comments = comments


def session_pr(state: State, event: Event) -> None:
    """Fold of ``session.pr``."""
    session = state.sessions.get(event["session"])
    if session is None:
        state.violate(event["seq"], f"session.pr names the session {event['session']}, which does not exist")
        return
    url = event["data"]["url"]
    if url != session.pr and event["data"].get("source") != "branch":
        session.pull = None
        session.pr_state = None  # that was the state of another one; that of a branch comes with the attempt's end
    session.pr = url
    if state.loops:
        from kugetsu.domain.fold import loops

        loops.pull_known(state, session.key, url)


def counters_corrected(state: State, event: Event) -> None:
    """Fold of ``counters.corrected``."""
    issue, new, _ = event["issue"], event["data"]["new"], event["data"]["old"]
    if usage.of_issue(state, issue) is None:
        state.violate(event["seq"], f"counters.corrected names {issue}, which has no counters")
        return
    usage.correct(state, issue, new)


def person_attached(state: State, event: Event) -> None:
    """Fold of ``person.attached``."""
    person = {name: event["data"][name] for name in ("lease", "holder", "user", "host")}
    session = state.sessions.get(event["session"])
    if session is None or session.attempt is not None or session.person is not None:
        state.violate(event["seq"], f"person.attached names {event['session']}, which is not free")
        return
    session.person = {**person, "seq": event["seq"], "at": event["at"]}


def person_left(state: State, event: Event) -> None:
    """Fold of ``person.left``: what the person did counts as work, and never as a run without progress."""
    evidence, result = event["data"]["evidence"], event["data"]["result"]
    session = state.sessions.get(event["session"])
    if session is None or session.person is None:
        state.violate(event["seq"], f"person.left names {event['session']}, where no person works")
        return
    session.person = None
    usage.note_end(session, False, evidence)
    if result is not None:
        reviews.attempt_result(state, event, session)


def worktree_set_up(state: State, event: Event) -> None:
    """Fold of ``worktree.set_up``."""
    from kugetsu.domain import worktree_setup

    data = event["data"]
    notes = data["notes"]
    set_up = {name: data[name] for name in ("worktree", "sha", "code")}
    session = state.sessions.get(event["session"])
    if session is None:
        state.violate(event["seq"], f"{event['type']} names the session {event['session']}, which does not exist")
        return
    supplied = {"supplied": data.get("supplied"), "lines": data.get("lines", [])}
    tries = worktree_setup.tries(session.set_up, set_up)
    session.set_up = {**set_up, **supplied, "tries": tries, "seq": event["seq"]}
    session.notes = [*session.notes, *notes]


def setup_accepted(state: State, event: Event) -> None:
    """Fold of ``setup.accepted``."""
    data = event["data"]
    repository, lines, sha = data["repository"], data["lines"], data["sha"]
    shas = {**state.accepted.get(repository, {"shas": {}})["shas"], sha: event["seq"]}
    if len(shas) > ACCEPTED_KEPT:
        del shas[min(shas, key=lambda one: int(shas[one]))]
    state.accepted[repository] = {"lines": lines, "shas": shas}


def base_verified(state: State, event: Event) -> None:
    """Fold of ``base.verified``."""
    data = event["data"]
    key, code = base_key(data["repository"], data["commit"], data["sha"]), data["code"]
    known = {"code": code, "seconds": data["seconds"], "tries": data.get("tries") or 1}
    state.bases[key] = {**known, "seq": event["seq"]}
    if len(state.bases) > BASES_KEPT:
        del state.bases[min(state.bases, key=lambda name: int(state.bases[name]["seq"]))]


def work_verifying(state: State, event: Event) -> None:
    """Fold of ``work.verifying``."""
    commit, sha, tries = event["data"]["commit"], event["data"]["sha"], event["data"]["tries"]
    session = state.sessions.get(event["session"])
    known = session.verified if session is not None else None
    if session is None or known is None or known["commit"] != commit or known["begun"] is not None:
        state.violate(event["seq"], f"work.verifying names {event['session']}, which has no such work to verify")
        return
    session.verified = {**known, "sha": sha, "tries": tries, "begun": event["seq"]}


def work_verified(state: State, event: Event) -> None:
    """Fold of ``work.verified``: it counts for the commit that it speaks of, while that is the session's last."""
    from kugetsu.domain import results, verification

    data = event["data"]
    commit, code = data["commit"], data["code"]
    session = state.sessions.get(event["session"])
    if session is None:
        state.violate(event["seq"], f"work.verified names the session {event['session']}, which does not exist")
        return
    known = session.verified
    if known is not None and known["commit"] == commit:
        if known["begun"] is None and known["code"] == code:
            state.violate(event["seq"], f"work.verified: what it says of {session.key} is known")
            return
        session.verified = verification.said(known, data, event["seq"])
    elif session.head == commit:
        session.verified = verification.by_hand(data, event["seq"])
    if session.head != commit or session.attempt is not None or session.verified is None:
        return
    for one in (session, state.tasks.get(session.verified["task"] or "")):
        if one is not None and one.result is not None:
            one.result = results.verified(one.result, data)


def base_key(repository: str, commit: str, sha: str) -> str:
    """The name of a verified base commit in ``state.bases``."""
    return f"{repository} {commit} {sha}"
