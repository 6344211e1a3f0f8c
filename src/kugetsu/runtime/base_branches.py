"""Whether the base branch of a session's repository has its work, which without a forge nothing else tells."""

from __future__ import annotations

from dataclasses import dataclass, field

from kugetsu.domain.state import Session
from kugetsu.model.errors import KugetsuError, NotFound
from kugetsu.runtime import host_id
from kugetsu.runtime.git import fetching, merged, repositories, transport
from kugetsu.runtime.git.command import commit_of
from kugetsu.runtime.git.repositories import Repository
from kugetsu.runtime.workspace import Workspace

_ASK_TIMEOUT = 15.0  # seconds for asking a remote where its base branch is


@dataclass(frozen=True, slots=True)
class Merged:
    """The session's ``branch`` with its last ``commit``, found in ``base_branch``."""

    branch: str
    base_branch: str
    commit: str


@dataclass(slots=True)
class BaseBranches:
    """The base branches as of now: each is fetched once, when it is first needed."""

    ws: Workspace
    _fetched: dict[tuple[str, str], KugetsuError | None] = field(default_factory=dict)

    def merged(self, session: Session) -> Merged | None:
        """The session's branch, if its base branch has all its work, even squashed; None if not, or unknown without a
        repository. Raises KugetsuError if that cannot be examined."""
        session = host_id.as_seen_here(self.ws, session)
        branch, base = session.branch, session.base_branch
        if session.repository is None or session.source is None or not branch or not base or base == "HEAD":
            return None
        try:
            repository = repositories.at_path(session.repository, session.source, self.ws.config.servers())
        except NotFound:
            return None
        problem = self._fetch(repository, branch, base)
        found = merged.found_in_base(repository, session.worktree, branch, base, session.base_commit or "")
        if found is None and problem is not None:
            raise problem
        return Merged(branch, base, found[0]) if found is not None else None

    def _fetch(self, repository: Repository, branch: str, base: str) -> KugetsuError | None:
        """Fetch the base branch once; what kept it from that."""
        key = repository.common_dir, base
        if key not in self._fetched:
            self._fetched[key] = None
            try:
                _fetch(self.ws, repository, branch, base)
            except KugetsuError as problem:
                self._fetched[key] = problem
        return self._fetched[key]


def _fetch(ws: Workspace, repository: Repository, branch: str, base: str) -> None:
    """Fetch the base branch if the remote has another commit there. Raises KugetsuError when it cannot."""
    if repository.remote is None:
        return
    asked = ["ls-remote", repository.remote, f"refs/heads/{base}"]
    listed = transport.git(asked, repository.path, timeout=_ASK_TIMEOUT)
    if listed.partition("\t")[0] == commit_of(f"refs/remotes/{repository.remote}/{base}", repository.path):
        return
    with repositories.locked(ws.paths, repository.common_dir):
        fetched = fetching.fetch_base(repository, branch, base)
    if fetched.problem is not None:
        raise KugetsuError(fetched.problem)
