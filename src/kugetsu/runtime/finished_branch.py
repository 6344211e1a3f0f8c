"""Whether a session's branch is finished: its pull request is merged, or the base branch has all of it.

More work on a finished branch would start from an old base, with commits in no pull request: it continues on a fresh
branch. If that is unknown, the branch stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kugetsu.domain.state import Session
from kugetsu.forge.failures import ForgeFailure
from kugetsu.forge.protocol import Forge, PullRequest
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import pull_requests
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.git import merged, refs
from kugetsu.runtime.git.refs import made_commits
from kugetsu.runtime.git.repositories import Repository
from kugetsu.runtime.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Finished:
    """A merged branch: by which pull request (`url`), if known, and how many of its commits came later (None:
    unknown)."""

    branch: str
    url: str | None
    later: int | None

    def __str__(self) -> str:
        by = f"by {self.url}" if self.url is not None else "into the base branch"
        return f"its branch {self.branch} is merged {by}"

    def as_data(self) -> dict[str, Any]:
        """`events.sessions.SessionPreparing`'s ``follows``."""
        return {"branch": self.branch, "url": self.url, "later": self.later}


def intended(session: Session) -> Finished | None:
    """The merged branch that the session's present branch was to follow, if its preparation was killed or failed."""
    data = session.follows
    return Finished(data["branch"], data["url"], data["later"]) if data is not None else None


def inspect(ws: Workspace, session: Session, repository: Repository, branch: str) -> Finished | None:
    """Whether the session's branch is finished; None if not, or unknown.

    ``branch`` is the one it would work on. Asks the forge (FORGE_TIMEOUT_SECONDS at most) if an agent worked on the
    issue before, and the remote if the base branch has the branch's commits.
    """
    branch = refs.current_branch(session.worktree) or branch
    tip = merged.tip_of(repository, session.worktree, branch)
    if session.usage.attempts < 2 and tip is None:
        return None  # nobody worked on it
    found = _by_forge(ws, session, repository, branch, tip)
    if found is not None or tip is None:
        return found
    known = session.worktree is not None and refs.current_branch(session.worktree) is not None
    setting = ws.config_of(session.key).text("KUGETSU_BASE_BRANCH")
    base = session.base_branch if known else merged.base_of(repository, branch, setting)
    if base and merged.is_merged(repository, branch, tip, base):
        return Finished(branch, None, 0)
    if base and session.review == "merged" and _is_in_base(session, repository, branch, base):
        return Finished(branch, None, 0)
    return None


def _is_in_base(session: Session, repository: Repository, branch: str, base: str) -> bool:
    """Whether the base branch still has all of a branch whose review ended with that: nobody worked on it since."""
    try:
        found = merged.found_in_base(repository, session.worktree, branch, base, session.base_commit or "")
    except KugetsuError:
        return False
    return found is not None


def _by_forge(ws: Workspace, session: Session, repository: Repository, branch: str, tip: str | None) -> Finished | None:
    if ws.config.text("KUGETSU_FORGE") == "off" or session.key.startswith("local/"):
        return None

    ref = parse_ref(session.key)
    forges = Forges(ws)
    try:
        if forges.of(ref.host) is None:
            return None
        pull = forges.ask(ref.host, lambda forge: _merged(ws, forge, session, repository, branch, tip))
    except (ForgeFailure, BadInput):
        return None  # the prompt says that the forge could not be read
    if pull is None:
        return None
    later: int | None = 0
    if tip is not None:
        later = merged.commits_after(repository.path, tip, pull.head_sha, pull.base_branch) if pull.head_sha else None
    return Finished(branch, pull_requests.url_of(ws, ref.host, (ref.owner, ref.repo), pull), later)


def _merged(
    ws: Workspace, forge: Forge, session: Session, repository: Repository, branch: str, tip: str | None
) -> PullRequest | None:
    """The merged pull request of the branch; None while another one of it is open."""
    ref = parse_ref(session.key)
    found = list(forge.pulls_from(ref.owner, ref.repo, pull_requests.source_at(ws, session, repository.path, branch)))
    number = pull_requests.number_of(ws, session, ref)
    if number is not None:
        found.append(forge.pull(*number))
    if any(pull.state == "open" for pull in found):
        return None
    mine = [pull for pull in found if pull.state == "merged" and _is_of(repository, pull, branch, tip)]
    return max(mine, key=lambda pull: pull.number, default=None)


def _is_of(repository: Repository, pull: PullRequest, branch: str, tip: str | None) -> bool:
    """Whether the pull request brought the branch, maybe under another name."""
    if pull.head_branch == branch:
        return True
    made = made_commits(repository.common_dir, f"refs/heads/{branch}")
    return bool(tip in made and pull.head_sha and merged.reaches(repository.path, tip or "", pull.head_sha))
