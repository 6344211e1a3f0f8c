"""The code that came of an issue: where it is, what it changes against its base, or what the log recorded of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kugetsu.domain.results import uncommitted
from kugetsu.domain.state import ENDS, State
from kugetsu.model.errors import KugetsuError, NotFound
from kugetsu.runtime import host_id
from kugetsu.runtime.git import comparison, integrity, published, refs, repositories
from kugetsu.runtime.git.command import ask, commit_of
from kugetsu.runtime.git.comparison import ChangedFile, Comparison
from kugetsu.runtime.workspace import Workspace

#: The totals of an issue's work that an attempt's evidence has.
RECORDED = ("commits", "files", "added", "removed")


@dataclass(slots=True)
class Place:
    """Where the work of an issue is, as its session was prepared last: its clone (``source``), worktree, branch, base
    branch and base commit; ``destroyed``: the session is gone, and only the branch is left."""

    repository: str = ""
    source: str | None = None
    worktree: str | None = None
    branch: str | None = None
    base_branch: str = ""
    base_commit: str = ""
    destroyed: bool = False


@dataclass(slots=True)
class Work:
    """The work of an issue. ``where``: worktree, branch (in the clone) or recorded (in the log only, with ``totals``);
    ``folder`` is where git is asked. ``unknown``: what could not be found out, as sentences."""

    place: Place
    where: str
    branch: str | None
    folder: str | None = None
    found: Comparison | None = None
    totals: dict[str, int | None] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)
    recorded: dict[str, Any] | None = None
    unknown: list[str] = field(default_factory=list)

    @property
    def uncommitted(self) -> list[ChangedFile]:
        """The uncommitted files, where they were looked at."""
        return self.found.uncommitted if self.found is not None else []


def place_of(ws: Workspace, state: State, issue: str) -> Place:
    """Where the work of an issue is. Raises NotFound if it has none, because nothing was ever prepared for it."""
    session = state.sessions.get(issue)
    if session is not None and session.branch is not None:
        session = host_id.as_seen_here(ws, session)
        return Place(
            session.repository or issue.rpartition("#")[0],
            session.source,
            session.worktree,
            session.branch,
            session.base_branch or "",
            session.base_commit or "",
        )
    found = None
    for event in ws.log.read_key(issue):
        if event["seq"] <= state.seq and event["type"] == "session.prepared" and event["data"].get("branch"):
            found = event["data"]
    if found is None:
        raise NotFound(f"nothing was prepared for {issue} yet, so there is no branch", f"kugetsu why {issue}")
    texts = {name: found.get(name) for name in ("source", "branch")}
    base_branch, base_commit = found.get("base_branch") or "", found.get("base_commit") or ""
    repository = issue.rpartition("#")[0]
    return Place(repository, **texts, base_branch=base_branch, base_commit=base_commit, destroyed=session is None)


def present(ws: Workspace, state: State, issue: str) -> Work:
    """The work of an issue as git shows it now: in its worktree, else its branch in the clone; what the log recorded of
    it where neither is left. Raises NotFound as `place_of` does."""
    place = place_of(ws, state, issue)
    problem = ""
    try:
        work = _in_worktree(place) or _in_clone(place)
        if work is not None and work.folder is not None:
            _compare(ws, work)
            return work
        problem = _elsewhere(ws, state, issue) or f"neither its worktree nor the branch {place.branch} is left"
    except KugetsuError as error:
        problem = error.message
    work = recorded(ws, state, issue)
    work.unknown.insert(0, problem)
    return work


def _elsewhere(ws: Workspace, state: State, issue: str) -> str | None:
    """Which other host has the worktree, and the line that shows it there."""
    session = state.sessions.get(issue)
    if session is None or host_id.is_own(ws, session.host):
        return None
    there = host_id.line_there(state, session.host, f"kugetsu changes {issue}")
    return f"its worktree is on {host_id.name_of(state, session.host)}: {there}"


def _in_worktree(place: Place) -> Work | None:
    if place.worktree is None or integrity.fault(place.source, place.worktree) is not None:
        return None
    branch = refs.current_branch(place.worktree)
    work = Work(place, "worktree", branch, place.worktree)
    if branch is None:
        work.unknown.append("its worktree is on no branch (detached HEAD)")
    return work


def _in_clone(place: Place) -> Work | None:
    if place.source is None or not integrity.is_repository(place.source):
        return None
    if _tip(place.source, place.branch or "") is None:
        return None
    return Work(place, "branch", place.branch, place.source)


def _tip(clone: str, branch: str) -> str | None:
    """The last commit of a branch: the clone's own, else a remote's."""
    own = commit_of(f"refs/heads/{branch}", clone)
    if own is not None:
        return own
    answer = ask(["for-each-ref", "--count=1", "--format=%(objectname)", f"refs/remotes/**/{branch}"], clone)
    return answer.out.strip() or None


def _compare(ws: Workspace, work: Work) -> None:
    place, folder = work.place, work.folder or ""
    head = commit_of("HEAD", folder) if work.where == "worktree" else _tip(folder, place.branch or "")
    if head is None:
        raise NotFound(f"{folder} has no commit yet")
    bases = comparison.base_refs(_remote(ws, place), place.base_branch)
    base = comparison.base_of(folder, head, bases, place.base_commit)
    if work.where == "worktree" and base.commit == head:
        left = published.left_on_a_branch(folder, place.base_commit)
        if left is not None:  # it was made here, on another branch
            head, work.branch = left
            base = comparison.base_of(folder, head, bases, place.base_commit)
    work.found = comparison.compare(folder, head, base)
    if work.where == "worktree":
        work.found.uncommitted = comparison.uncommitted(folder)
    added, removed, binary = comparison.totals(work.found.files)
    work.totals = {
        "commits": len(work.found.commits) + work.found.more_commits,
        "files": len(work.found.files),
        "added": added,
        "removed": removed,
        "binary": binary,
        "uncommitted": len(work.found.uncommitted) if work.where == "worktree" else None,
    }


def _remote(ws: Workspace, place: Place) -> str | None:
    if place.source is None:
        return None
    own = ws.paths.repositories
    return repositories.at_path(place.repository, place.source, ws.config.servers(), own=own).remote


def recorded(ws: Workspace, state: State, issue: str) -> Work:
    """The work of an issue as the latest attempt that ended, or a person who left since, recorded it, up to the point
    of ``state``. Raises NotFound as `place_of` does, and where no attempt ended."""
    place = place_of(ws, state, issue)
    last = None
    for event in ws.log.read_key(issue):
        if event["seq"] > state.seq:
            break
        if event["type"] in ENDS or (event["type"] == "person.left" and event["data"]["evidence"]):
            last = event
    if last is None:
        raise NotFound(f"no run on {issue} has ended yet, so nothing is recorded of its work", f"kugetsu why {issue}")
    evidence = last["data"]["evidence"]
    totals: dict[str, int | None] = {name: evidence.get(name) for name in RECORDED}
    totals |= {"binary": None, "uncommitted": uncommitted(evidence)}
    work = Work(place, "recorded", evidence.get("branch") or place.branch, totals=totals, evidence=evidence)
    work.recorded = {"event": last["seq"], "at": last["at"], "attempt": last.get("attempt")}
    work.unknown.append("which files and lines: only the numbers are recorded")
    return work
