"""Prepare a session: repository, worktree, base session, the agent's fork of it; finish what a crash left half done.

Every step makes what is missing and deletes nothing. Intent and outcome are in the log (`session.preparing`,
`session.prepared`); between them nothing is assumed.
"""

from __future__ import annotations

import os

from kugetsu.agents.protocol import Agent
from kugetsu.domain import divergence
from kugetsu.domain.decide import sessions as decide
from kugetsu.domain.state import Session, Task
from kugetsu.model.errors import Diverged, GitFailed, KugetsuError
from kugetsu.model.refs import folder_name, parse_ref
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import finished_branch, host_id, log_lines
from kugetsu.runtime.finished_branch import Finished
from kugetsu.runtime.git import checkouts, integrity, merged, others_commits, repositories, worktrees
from kugetsu.runtime.git.repositories import Repository
from kugetsu.runtime.runner.worktree_end import keep_work
from kugetsu.runtime.workspace import Workspace

Claim = tuple[str | None, str | None]
"""For whom a session is prepared, in whose name each step is recorded: the id of an attempt, or the lease of a person
(`decide.require_claim`)."""

NOTE_LENGTH = 300
"""Characters of a preparation's note that its event keeps."""


def ready(agent: Agent, session: Session) -> bool:
    """Whether the session can be used as it is: prepared by this agent, with its worktree, known to the agent."""
    return (
        session.state == "idle"
        and session.agent == agent.name
        and session.agent_session is not None
        and session.worktree is not None
        and os.path.isdir(session.worktree)
        and agent.exists(session.agent_session)
    )


def prepare_issue(ws: Workspace, agent: Agent, session: Session, task: Task | None, claim: Claim) -> None:
    """Prepare an issue's session; one of another host from its branch, as far as that was pushed.

    Raises KugetsuError with what prevents it: also that the ``claim`` was given away meanwhile.
    """
    moved = not host_id.is_own(ws, session.host)
    session = host_id.as_seen_here(ws, session)
    _save_earlier_work(ws, session, claim)
    whole = _fault(session) is None
    as_it_is = whole and ready(agent, session)
    if as_it_is and session.usage.attempts < 2:
        return
    repository = _repository(ws, session, task)
    ref = parse_ref(session.key)
    pattern = ws.config_of(session.key).text("KUGETSU_BRANCH_PATTERN")
    branch = first = worktrees.branch_name(pattern, ref.owner, ref.repo, ref.number)
    if session.branch is not None and (session.worktree is not None or moved):
        branch = session.branch  # the branch it was once prepared with; until then the setting decides anew
    begun = finished_branch.intended(session)
    over = begun or finished_branch.inspect(ws, session, repository, branch)
    if over is not None:
        if session.worktree is not None and whole:
            merged.require_free(session.worktree, over.branch, str(over))
        # The name that an earlier preparation chose: it may have got as far as the branch.
        branch = (session.branch if begun is not None else None) or merged.fresh_name(repository, first)
    elif as_it_is:
        _take_in_others(ws, session, repository, task, claim)
        return
    if session.state == "idle":
        why = str(over) if as_it_is else _missing(ws, session, agent)
        ws.log.transact(lambda state: decide.broken(state, session.key, why, *claim))
    _make_ready(ws, agent, session, repository, branch, over, claim)
    if over is None and session.usage.attempts > 1:
        _take_in_others(ws, decide.find_session(ws.state(), session.key), repository, task, claim)


def _take_in_others(ws: Workspace, session: Session, repository: Repository, task: Task | None, claim: Claim) -> None:
    """Take in what others pushed to the session's branch. Raises Diverged if that cannot be done without losing
    something, unless a person asked for the run, which may be about just that, or accepted it; a remote that does not
    answer keeps nobody from working."""
    if session.worktree is None:
        return
    try:
        with repositories.locked(ws.paths, repository.common_dir):
            found = others_commits.take_in(repository, session.worktree, session.base_commit or "")
    except (Diverged, GitFailed) as problem:
        if isinstance(problem, Diverged) and task is not None and _stops(task, problem):
            raise
        log_lines.note(f"nothing was taken in, work goes on from what is here: {problem}")
        return
    if found is not None:
        what = found.branch, found.was, found.head, found.commits
        ws.log.transact(lambda state: decide.forwarded(state, session.key, *what, *claim))


def _stops(task: Task, found: Diverged) -> bool:
    """Whether a divergence stops a run: nobody asked for that, and nobody has accepted these commits."""
    commits = {name: found.evidence[name] for name in divergence.COMMITS}
    return (task.by_intake or task.reaction is not None) and task.accepted != commits


def _make_ready(
    ws: Workspace,
    agent: Agent,
    session: Session,
    repository: Repository,
    branch: str,
    over: Finished | None,
    claim: Claim,
) -> None:
    """Prepare the session on `branch`, with intent and outcome in the log; `over` is the merged branch it follows."""
    follows = {"follows": over.as_data()} if over is not None else {}
    intent = {
        "repository": session.repository,
        "source": repository.path,
        "branch": branch,
        "agent": agent.name,
        **follows,
    }
    ws.log.transact(lambda state: decide.preparing(state, session.key, intent, *claim))
    base = ensure_base(ws, agent, repository)
    tree = worktrees.ensure(
        repository,
        _worktree(ws, session),
        branch,
        ws.paths,
        base_branch=ws.config_of(session.key).text("KUGETSU_BASE_BRANCH"),
        fresh=over is not None,
    )
    anew = tree.created or over is not None
    outcome = {
        "agent": agent.name,
        "agent_session": _agent_session(agent, session, base, tree.path),
        "worktree": tree.path,
        "source": repository.path,
        "branch": tree.branch,
        "base_branch": tree.base_branch if anew else session.base_branch or tree.base_branch,
        "base_commit": (session.base_commit if over is None else None) or tree.base_commit,
        "base_session": base,
        "created": tree.created,
        "fetched": "yes" if tree.fetched else tree.why_not_fetched or "no",
        "host": host_id.own(ws),
        "notes": [redact(note, limit=NOTE_LENGTH) for note in tree.notes],
        **follows,
    }
    ws.log.transact(lambda state: decide.prepared(state, session.key, outcome, *claim))


def _save_earlier_work(ws: Workspace, session: Session, claim: Claim) -> None:
    """Save the work that a failed attempt could not save, before anything begins on top of it. Raises GitFailed."""
    if session.unsaved is None:
        return

    of = session.unsaved["attempt"]
    branch, why_not = keep_work(session, of)
    if why_not is not None:
        raise GitFailed(
            f"work of {of} in {session.worktree} could not be saved: {why_not}",
            "fix that, or move the work away; then: kugetsu continue REF MESSAGE",
        )
    ws.log.transact(lambda state: decide.rescued(state, session.key, branch, *claim))


def _worktree(ws: Workspace, session: Session) -> str:
    """The existing worktree (an imported one lies elsewhere), else the default folder."""
    if session.worktree is not None and os.path.isdir(session.worktree):
        return session.worktree
    return ws.paths.worktree(folder_name(parse_ref(session.key)))


def _fault(session: Session) -> str | None:
    """What is wrong with the session's worktree (`integrity.fault`)."""
    return integrity.fault(session.source, session.worktree) if session.worktree is not None else "it was never created"


def _missing(ws: Workspace, session: Session, agent: Agent) -> str:
    if not host_id.is_own(ws, session.host):
        return f"its worktree is on {host_id.name_of(ws.state(), session.host)}"
    if session.agent != agent.name:
        return f"made by {session.agent}, but the agent is {agent.name} now"
    fault = _fault(session)
    if fault is not None:
        return f"its worktree {session.worktree}: {fault}"
    return f"{agent.name} no longer knows its session {session.agent_session}"


def _agent_session(agent: Agent, session: Session, base: str, directory: str) -> str:
    known = session.agent_session
    if session.agent == agent.name and known is not None and agent.exists(known):
        return known
    return agent.fork(base, directory, session.key)


def _repository(ws: Workspace, session: Session, task: Task | None) -> Repository:
    if session.repository is None:
        raise KugetsuError(f"the session {session.key} belongs to no repository")
    registered = dict(host_id.repositories(ws, ws.state()))
    typed_in = task.repository if task is not None else None
    if typed_in is not None and host_id.is_own(ws, typed_in.get("host")):
        registered[session.repository] = typed_in
    elif session.source is not None and checkouts.at(os.path.realpath(session.source)) is not None:
        registered[session.repository] = {"path": session.source}
    return repositories.resolve(session.repository, ws.paths, registered=registered, servers=ws.config.servers())


def ensure_base(ws: Workspace, agent: Agent, repository: Repository) -> str:
    """The agent's base session of a repository, one for each (on each host): no fork of one project carries what was
    said in another."""
    key = decide.base_key(repository.repository)
    with repositories.locked(ws.paths, "base " + repository.repository):
        state = ws.state()
        session, sharer = state.sessions.get(key), host_id.sharing(ws, state)
        if sharer is not None and (session is None or session.host != sharer):
            # Not only once another host has made the general one: two may be about to, and no host is known of it then.
            key = decide.base_key(repository.repository, sharer)
            session = state.sessions.get(key)
        if session is not None and session.state == "idle" and session.agent == agent.name:
            known = session.agent_session
            if known is not None and agent.exists(known):
                return known
        return make_plain(ws, agent, key, "base", repository.repository, repository.path)


def make_plain(
    ws: Workspace,
    agent: Agent,
    key: str,
    kind: str,
    repository: str | None,
    directory: str,
    lease: str | None = None,
) -> str:
    """Make (or remake) a session without its own worktree: a base or the PM session. Returns the agent's id.

    ``lease`` is that of the attempt for which it is made, if it may be given away to another host meanwhile.
    """
    session = ws.state().sessions.get(key)
    if session is None:
        ws.log.transact(lambda state: decide.request(state, key, kind, repository))
    elif session.state == "idle":
        ws.log.transact(lambda state: decide.broken(state, key, f"{agent.name} no longer knows it", lease=lease))
    intent = {"repository": repository, "source": directory, "branch": None, "agent": agent.name}
    ws.log.transact(lambda state: decide.preparing(state, key, intent, lease=lease))
    agent_session = agent.make_session(directory, f"kugetsu {key}")
    outcome = {
        "agent": agent.name,
        "agent_session": agent_session,
        "worktree": directory,
        "source": directory,
        "branch": None,
        "base_branch": None,
        "base_commit": None,
        "base_session": None,
        "created": True,
        "fetched": "",
        "host": host_id.own(ws),
    }
    ws.log.transact(lambda state: decide.prepared(state, key, outcome, lease=lease))
    return agent_session


def prepare_pm(ws: Workspace, agent: Agent, lease: str | None = None) -> None:
    """Prepare the PM session, in its own folder below KUGETSU_DIR; for the attempt with that ``lease``, if any."""
    with repositories.locked(ws.paths, "pm session"):
        session = ws.state().sessions.get("pm")
        if session is None or not ready(agent, host_id.as_seen_here(ws, session)):
            make_plain(ws, agent, "pm", "pm", None, ws.paths.make(ws.paths.root + "/pm"), lease)
