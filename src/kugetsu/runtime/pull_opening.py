"""The pull request that kugetsu opens when a run's work was pushed and has none.

The intent is recorded with the attempt's end (`intent_of`); from then on the pull request is owed (`Session.owed`)
until an outcome. The runner tries it at once, the daemon's observer again while it is owed; that of another host, too,
once the one that has the session is lost. Every try looks first for one of that branch and commit, only one process of
a host tries at a time, and a forge takes one of a branch: a crash, a lost answer or a second host never makes two.
"""

from __future__ import annotations

import os
import time
from typing import Any

from kugetsu.domain import hosts
from kugetsu.domain.decide import reviews as decide
from kugetsu.domain.intake import on_hold
from kugetsu.domain.results import NOT_TO_OPEN
from kugetsu.domain.state import Session, State
from kugetsu.domain.verification import closed_meanwhile, is_withheld
from kugetsu.forge.failures import ForgeFailure, ForgeNotFound, ForgeRefused, may_pass
from kugetsu.forge.protocol import NewPull, PullRequest, Source
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError, LogDamaged, LogWriteFailed
from kugetsu.model.refs import IssueRef, parse_ref, parse_repository
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id, pull_body, pull_requests
from kugetsu.runtime.forges import Forges, as_failure, forge_for, one_line
from kugetsu.runtime.git import checkouts, comparison, merged, published, remotes
from kugetsu.runtime.git.command import git
from kugetsu.runtime.intake import permission, places
from kugetsu.runtime.intake.permission import WithdrawnError
from kugetsu.runtime.process.named_lease import OPENER
from kugetsu.runtime.runner import agent_records
from kugetsu.runtime.workspace import Workspace

PATIENCE = 60.0
"""Seconds for which a runner, whose slot is free by then, waits for other runners that open theirs."""

_STEPS = 5
"""Events from an attempt's end to the intent: a later verification's intent and its outcome may lie between."""

_OPEN_MISSING = "kugetsu config set OPEN_PULL_REQUEST missing"


class _FinalError(KugetsuError):
    """A person has decided that there is to be none: by a setting, or by closing the one of this very commit."""


def intent_of(
    ws: Workspace,
    state: State,
    session: Session | None,
    evidence: dict[str, Any],
    task_id: str | None,
    began: str = "",
) -> dict[str, Any] | None:
    """The pull request to open for the work of a task with this evidence, as `pull.opening` records it; None for none.
    The run ``began`` then.

    Nothing is sent. None too where kugetsu has no token for the forge, or cannot tell where the work was pushed.
    """
    if session is None or session.kind != "issue":
        return None
    setting = ws.config_of(session.key).text("OPEN_PULL_REQUEST")
    head, pull = evidence.get("head"), evidence.get("pull") or {}
    if setting == "never" or pull.get("state") == "open":
        return None
    if closed_meanwhile(evidence, began):
        return None
    if not (head and evidence.get("commits") and evidence.get("pushed") and session.base_branch and session.source):
        return None
    if (evidence.get("verification") or {}).get("code") in NOT_TO_OPEN:
        return None
    try:
        ref = parse_ref(session.key)
        forge = forge_for(ws, ref.host)
        place = _place(ws, session, ref, head) if forge is not None and forge.authenticated else None
    except (KugetsuError, OSError):  # the run has ended well, whatever an env file or git says now
        return None
    if place is None or "/" in ref.owner:
        return None
    task = state.tasks.get(task_id or "")
    title = pull_body.title_of(session.title or (task.title if task is not None else "")) or place[0]
    intent = {"head": head, "branch": place[0], "base": session.base_branch, "title": title}
    intent["draft"] = setting == "draft"
    return {**intent, "fork": place[1]} if place[1] else intent


def _place(ws: Workspace, session: Session, ref: IssueRef, head: str) -> tuple[str, str] | None:
    """The branch that the work was pushed to, and the owner of the fork that has it ("" for the repository itself)."""
    checkout = checkouts.find(session.source or "")
    if checkout is None:
        return None
    known = remotes.repositories(checkout, ws.config.servers(), own=ws.paths.repositories)
    # First the repository itself; then forks of it, which have its host.
    for own in (True, False):
        for remote, name in known:
            host, owner, _ = parse_repository(name)
            if remote is None or (name == ref.repository) is not own or host != ref.host:
                continue
            branches = published.branches_at(checkout.home, remote, head)
            if own:
                branches = [branch for branch in branches if branch != session.base_branch]
            if branches:
                branch = session.branch if session.branch in branches else branches[0]
                return str(branch), "" if own else owner
    return None


# --- the act ----------------------------------------------------------------------------------------------------------


def open_owed(ws: Workspace, session: Session, *, patience: float = 0.0) -> bool:
    """Try to open the pull request that a session owes; True if it owes none afterwards.

    False also while another process opens one, for over ``patience`` seconds. Never raises for what a forge or an agent
    does. Raises LogWriteFailed, LogDamaged.
    """
    held = _take(ws, patience)
    if held is None:
        return False
    try:
        state = ws.state()
        known = state.sessions.get(session.key)
        if known is None or known.owed is None:
            return True
        if not hosts.acts_for(state, known, host_id.own(ws)):
            return False
        if not host_id.is_own(ws, known.host) and not _may_open_for_another(ws, known):
            return False  # its own host does, once it is back
        now = clock.now()
        if (known.owed["not_before"] or "") > now or on_hold(state, session.key, now) or is_withheld(known):
            return False
        _try(ws, host_id.as_seen_here(ws, known), known.owed)
        left = ws.state().sessions.get(session.key)
        return left is None or left.owed is None
    finally:
        os.close(held)


def _may_open_for_another(ws: Workspace, session: Session) -> bool:
    """Whether this host has what it takes for a session of another one: the setting and the token are each host's."""
    never = ws.config_of(session.key).text("OPEN_PULL_REQUEST") == "never"
    return not never and places.why_not(ws, parse_ref(session.key).host) is None


def _take(ws: Workspace, patience: float) -> int | None:
    give_up = time.monotonic() + patience
    while True:
        held = OPENER.take(ws.paths)
        if held is not None or time.monotonic() >= give_up:
            return held


def _try(ws: Workspace, session: Session, owed: dict[str, Any]) -> None:
    key, intent = session.key, owed["seq"]
    try:
        pull, found = _find_or_open(ws, session, owed)
        ref = parse_ref(key)
        url = pull_requests.url_of(ws, ref.host, (ref.owner, ref.repo), pull)
        ws.log.transact(lambda state: decide.opened(state, key, intent, url, pull.number, found))
        if pull.state != "open":  # it was merged meanwhile
            seen = pull_requests.as_data(url, pull)
            ws.log.transact(lambda state: decide.observe(state, key, seen) if key in state.sessions else [])
    except (LogWriteFailed, LogDamaged):
        raise
    except Exception as problem:  # noqa: BLE001  whatever a server sends: it stays owed, or ends with its reason
        _record_failure(ws, session, intent, as_failure(problem), owed)


def _record_failure(ws: Workspace, session: Session, intent: int, failure: KugetsuError, owed: dict[str, Any]) -> None:
    key, retry_at = session.key, failure.retry_at if isinstance(failure, ForgeFailure) else None
    passes, remedy = _may_pass(failure), redact(_remedy(ws, key, failure, owed))
    if isinstance(failure, ForgeFailure) and not host_id.is_own(ws, session.host):
        passes = True  # what this host's token may not do, that of the session's own host may
    now, pause = clock.now(), ws.config.number("RETRY_BACKOFF_SECONDS")
    reason = one_line(failure)
    ws.log.transact(
        lambda state: decide.failed(state, key, intent, reason, remedy, now, pause, passes, retry_at=retry_at)
    )


def _may_pass(failure: KugetsuError) -> bool:
    """Whether another try may succeed (`failures.may_pass`): not where a person has decided otherwise."""
    return may_pass(failure) and not isinstance(failure, _FinalError | WithdrawnError)


def _remedy(ws: Workspace, key: str, failure: KugetsuError, owed: dict[str, Any]) -> str:
    """The one thing that helps."""
    if owed["draft"] and isinstance(failure, ForgeRefused) and "draft" in failure.message.lower():
        return ws.config_of(key).remedy(_OPEN_MISSING)
    if failure.hint is not None:
        return failure.hint
    return "" if _may_pass(failure) else f"open it yourself, then: kugetsu set-pr {key} URL"


def _find_or_open(ws: Workspace, session: Session, owed: dict[str, Any]) -> tuple[PullRequest, bool]:
    """The pull request, and whether it was there already. Raises KugetsuError."""
    ref = parse_ref(session.key)
    forges = Forges(ws)
    settings = ws.config_of(session.key)
    if settings.text("OPEN_PULL_REQUEST") == "never":
        raise _FinalError("OPEN_PULL_REQUEST is never", settings.remedy(_OPEN_MISSING))
    # After the merge of an earlier one, commits that came later are in none.
    if session.review == "merged" and not (session.result or {}).get("later"):
        raise _FinalError(f"{owed['base']} has the work already", "")
    if (found := _look(forges, ref, owed)) is not None:
        return found, True
    body = pull_body.body_of(_work(ws, session, owed), owed["task"], _closes(forges, ref))
    new = NewPull(owed["title"], body, owed["branch"], owed["base"], owed["fork"] or "", owed["draft"])
    permission.require(ws, session.key, forges)
    try:
        return forges.ask(ref.host, lambda forge: forge.create_pull(ref.owner, ref.repo, new)), False
    except ForgeRefused:
        # One may have been opened since the look: by the agent's own tools, a person, an earlier try that came late.
        if (found := _look(forges, ref, owed)) is not None:
            return found, True
        raise


def _look(forges: Forges, ref: IssueRef, owed: dict[str, Any]) -> PullRequest | None:
    """The open pull request of the branch, else the merged one of this very commit. Raises _FinalError for a closed
    one of it, ForgeFailure, BadInput."""
    fork = owed["fork"]
    source = Source(
        frozenset((owed["branch"],)), frozenset((owed["head"],)), owners=(fork,) if fork else (), own=not fork
    )
    for pull in forges.ask(ref.host, lambda forge: forge.pulls_from(ref.owner, ref.repo, source)):
        if pull.state == "open" or (pull.state == "merged" and pull.head_sha == owed["head"]):
            return pull
        if pull.head_sha == owed["head"]:
            raise _FinalError(f"pull request #{pull.number} of this commit was closed")
    return None


def _closes(forges: Forges, ref: IssueRef) -> int | None:
    """The issue that the pull request closes; None if the repository has no such issue, or it is a pull request itself.
    Raises ForgeFailure, BadInput."""
    try:
        issue = forges.ask(ref.host, lambda forge: forge.issue(ref.owner, ref.repo, ref.number))
    except ForgeNotFound:
        return None
    return None if issue.is_pull else ref.number


# --- what it contains -------------------------------------------------------------------------------------------------


def _work(ws: Workspace, session: Session, owed: dict[str, Any]) -> pull_body.Work:
    """What git and the run's files show of the work."""
    folder = merged.folder_of(session.worktree, session.source)
    attempt, message = owed["attempt"], _message(ws, owed["seq"])
    ran_here = attempt is not None and session.agent_session is not None
    commands = agent_records.commands_of_run(ws, session, attempt) if ran_here else []
    try:
        if folder is not None:
            refs = git(["for-each-ref", "--format=%(refname)", f"refs/remotes/*/{owed['base']}"], folder).split()
            base = comparison.base_of(folder, owed["head"], refs, session.base_commit or "")
            found = comparison.compare(folder, owed["head"], base)
            subjects = [commit.subject for commit in found.commits]
            return pull_body.Work(subjects, found.files, commands, message, found.more_commits)
    except KugetsuError:
        pass  # what git cannot tell is left out
    return pull_body.Work(commands=commands, message=message)


def _message(ws: Workspace, intent: int) -> str:
    """The agent's last message, from the attempt's end that led to the intent: at once, or by a later verification."""
    at: int | None = intent
    for _ in range(_STEPS):
        if at is None:
            break
        (event,) = ws.log.read(after=at - 1, until=at)
        if "outcome" in event["data"]:
            return str((event["data"]["outcome"] or {}).get("final_text") or "")
        at = event.get("cause")
    return ""
