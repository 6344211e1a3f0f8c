"""The pull requests of sessions: which one, and its state. An unknown state counts as open."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from kugetsu.domain.decide import sessions as decide
from kugetsu.domain.state import Session
from kugetsu.forge.choice import parse_pull_url
from kugetsu.forge.failures import ForgeFailure, ForgeNotFound
from kugetsu.forge.protocol import Comment, Forge, PullRequest, Source
from kugetsu.model import clock
from kugetsu.model.errors import BadInput, Conflict, KugetsuError
from kugetsu.model.markdown import prose
from kugetsu.model.refs import IssueRef, parse_ref, parse_repository
from kugetsu.model.servers import base_url
from kugetsu.runtime import answers, host_id
from kugetsu.runtime.forges import Forges, one_line
from kugetsu.runtime.git import checkouts, elsewhere, merged, remotes
from kugetsu.runtime.git.published import published
from kugetsu.runtime.reviews.subjects import is_looped
from kugetsu.runtime.workspace import Workspace

MARK = "<!-- kugetsu:"
"""Marks a comment that kugetsu posted: it is neither read to agents nor counted as progress (`is_marked`)."""
NOT_STARTED = "not_started"
"""The checks of a commit that has none, as long as they may only not have begun (CHECKS_SETTLE_MINUTES)."""
FORKS = 2
"""Other owners' repositories of the same name, among a clone's remotes, whose branches are searched."""


class Seen:
    """A pull request's state when it was looked up.

    ``state`` is open, closed or merged; unknown with ``why`` and a ``hint``; or none, if there is none (``url`` is
    None).
    """

    __slots__ = ("hint", "problem", "pull", "state", "url", "why")

    def __init__(self, url: str | None, pull: PullRequest | None, problem: KugetsuError | None = None) -> None:
        self.url = url
        self.pull = pull
        self.problem = problem
        self.state = pull.state if pull is not None else "unknown" if problem is not None else "none"
        self.why = one_line(problem) if problem is not None else None
        self.hint = problem.hint if problem is not None else None

    @property
    def name(self) -> str:
        """`pull request #15`, else its URL."""
        return f"pull request #{self.pull.number}" if self.pull is not None else f"pull request {self.url}"

    @property
    def may_be_open(self) -> bool:
        """Whether it is open, or nobody can tell."""
        return self.state in ("open", "unknown")

    @property
    def merged_head(self) -> list[str]:
        """The head of a merged one: what it reaches is in the base branch, maybe squashed."""
        return [self.pull.head_sha] if self.pull is not None and self.state == "merged" and self.pull.head_sha else []


def inspect(ws: Workspace, session: Session, forges: Forges) -> Seen:
    """The session's pull request: the tied one while it is open, else an open one, or the newest, from where its work
    was pushed.

    Nobody is asked about work that was never pushed, nor without a forge to contact.
    """
    tied = _inspect_url(ws, session.pr, forges) if session.pr is not None else Seen(None, None)
    if tied.may_be_open:
        return tied
    found = _search(ws, session, forges)
    return found if found.may_be_open or tied.state == "none" else tied


def _search(ws: Workspace, session: Session, forges: Forges) -> Seen:
    ref = parse_ref(session.key)
    try:
        source = source_of(ws, session) if forges.of(ref.host) is not None else None
        if source is None:
            return Seen(None, None)
        pull = forges.ask(ref.host, lambda forge: _first(forge.pulls_from(ref.owner, ref.repo, source)))
    except (ForgeFailure, BadInput) as problem:
        return Seen(None, None, problem)
    return Seen(url_of(ws, ref.host, (ref.owner, ref.repo), pull) if pull is not None else None, pull)


def _inspect_url(ws: Workspace, url: str, forges: Forges) -> Seen:
    try:
        host, owner, repo, number = parse_pull_url(url, ws.config.servers())
        return Seen(url, forges.ask(host, lambda forge: forge.pull(owner, repo, number)))
    except (ForgeFailure, BadInput) as problem:
        return Seen(url, None, problem)


def source_of(ws: Workspace, session: Session) -> Source | None:
    """The branches and commits that a pull request with the session's work may come from; None if, as far as its
    repository knows, nothing was pushed. What cannot be checked counts as pushed."""
    if not session.branch or session.source is None:
        return None
    if not host_id.is_own(ws, session.host):
        return _recorded_source(session)
    known = {session.head} - {session.base_commit, None}
    return _source(
        ws,
        session.key,
        session.source,
        session.worktree,
        session.branch,
        base_branch=session.base_branch or "",
        since=session.base_commit or "",
        made=[commit for commit in known if commit],
        pushed=bool(session.pushed and session.commits),
    )


def _recorded_source(session: Session) -> Source:
    """The session's branch with the commit that the log has of it, unless its work has yet to begin there."""
    made = frozenset(commit for commit in (session.head,) if commit and commit != session.base_commit)
    return Source(frozenset((session.branch or "",)), made=made)


def source_at(ws: Workspace, session: Session, clone: str, branch: str) -> Source:
    """As `source_of`, for the branch that a session would work on, pushed or not."""
    made = [session.head] if session.head is not None and session.head != session.base_commit else []
    since = session.base_commit or ""
    found = _source(ws, session.key, clone, session.worktree, branch, since=since, made=made, pushed=True)
    return found if found is not None else Source(frozenset((branch,)))


def of_worktree(
    ws: Workspace, forges: Forges, issue: str, clone: str, worktree: str, branch: str
) -> PullRequest | None:
    """The most relevant pull request with the work of a worktree of `clone`; ``issue`` is any of the repository.

    Raises ForgeFailure, BadInput.
    """
    source = _source(ws, issue, clone, worktree, branch)
    if source is None:
        return None
    ref = parse_ref(issue)
    return forges.ask(ref.host, lambda forge: _first(forge.pulls_from(ref.owner, ref.repo, source)))


def _source(
    ws: Workspace,
    issue: str,
    clone: str,
    worktree: str | None,
    branch: str,
    *,
    base_branch: str = "",
    since: str = "",
    made: Sequence[str] = (),
    pushed: bool = False,
) -> Source | None:
    """As `source_of`. ``made`` are commits known to be the worktree's; ``pushed``: a remote has them."""
    owners = tuple(_fork_owners(ws, parse_ref(issue), clone))
    if not os.path.isdir(clone):
        return Source(frozenset((branch,)), frozenset(made), owners)
    try:
        found = published(clone, worktree, branch, base_branch=base_branch, since=since, made=made)
    except KugetsuError:
        return Source(frozenset((branch,)), frozenset(made), owners)
    if not found.branches and not found.unknown and not pushed:
        return None
    return Source(frozenset((branch, *found.branches)), frozenset(found.commits), owners, made=frozenset(found.made))


def from_branch(ws: Workspace, forge: Forge, ref: IssueRef, session: Session) -> tuple[str, str, int] | None:
    """Owner, repository and number of the open pull request with a session's work. Raises ForgeFailure."""
    source = source_of(ws, session) if session.usage.attempts > 1 else None
    if source is None:
        return None  # nothing of it can be on the forge before the first run
    pull = _first(forge.pulls_from(ref.owner, ref.repo, source))
    return (ref.owner, ref.repo, pull.number) if pull is not None and pull.state == "open" else None


def _first(pulls: Sequence[PullRequest]) -> PullRequest | None:
    """The most relevant one: open, else the newest."""
    return min(pulls, key=lambda pull: (pull.state != "open", -pull.number), default=None)


def _fork_owners(ws: Workspace, ref: IssueRef, source: str | None) -> list[str]:
    """The owners of forks among the clone's remotes: a branch may have been pushed there."""
    checkout = checkouts.find(source) if source is not None and os.path.isdir(source) else None
    if checkout is None:
        return []
    named = remotes.repositories(checkout, ws.config.servers(), own=ws.paths.repositories)
    parts = [parse_repository(name) for _, name in named]
    return [owner for host, owner, _ in parts if host == ref.host and owner != ref.owner][:FORKS]


# --- by hand ----------------------------------------------------------------------------------------------------------


def tie(ws: Workspace, key: str, url: str, *, force: bool = False) -> tuple[str, int | None, Seen]:
    """Tie a pull request to a session: its URL, the event's seq (None if already tied), its state.

    Raises NotFound without the session, BadInput if it is not a pull request's URL, Conflict for another repository's
    (``force`` allows that), ForgeNotFound if the forge has none.
    """
    session = decide.find_session(ws.state(), key)
    try:
        host, owner, repo, number = parse_pull_url(url, ws.config.servers())
    except BadInput as problem:
        raise BadInput(f"not a pull request's URL: {url[:80]!r}", "write https://host/owner/repo/pulls/15") from problem
    repository, own = f"{host}/{owner}/{repo}", parse_ref(key).repository
    if repository != own and not force:
        raise Conflict(
            f"#{number} is a pull request of {repository}, and {key} belongs to {own}",
            hint=f"if it belongs to the work anyway: kugetsu set-pr --force {key} {url}",
        )
    url = url.strip().partition("#")[0].partition("?")[0].rstrip("/")
    try:
        pull = Forges(ws).ask(host, lambda forge: forge.pull(owner, repo, number))
        seen = Seen(url, pull)
        url = url_of(ws, host, (owner, repo), pull)
    except ForgeNotFound:
        raise
    except (ForgeFailure, BadInput) as problem:
        seen = Seen(url, None, problem)
    if session.pr is not None and same(ws, session.pr, url):
        return session.pr, None, seen
    events = ws.log.transact(lambda state: decide.set_pr(state, key, url, "set-pr"))
    return url, events[0]["seq"] if events else None, seen


def url_of(ws: Workspace, host: str, place: tuple[str, str], pull: PullRequest) -> str:
    """The pull request's URL by the forge; built from GIT_SERVERS if the server does not know its own address."""
    servers = ws.config.servers()
    try:
        told = parse_pull_url(pull.url, servers)
        if (told[0], told[3]) == (host, pull.number):
            return pull.url  # its repository may have another name by now
    except BadInput:
        pass  # it is built below
    base = base_url(host, servers)
    base = base if base.startswith(("https://", "http://")) else f"https://{host}"
    return f"{base}/{place[0]}/{place[1]}/pulls/{pull.number}"


def as_data(url: str, pull: PullRequest) -> dict[str, Any]:
    """What was seen of a pull request (`events.reviews.PullObserved`), its checks and reviews yet unknown."""
    return {
        "number": pull.number,
        "url": url,
        "state": pull.state,
        "head": pull.head_sha or None,
        "checks": None,
        "review": None,
        "mergeable": pull.mergeable,
        "draft": pull.draft,
    }


def over_at(pull: PullRequest) -> str:
    """When a pull request ended, as far as its forge tells, as the log has times."""
    return clock.add_seconds(pull.closed_at or pull.updated_at or clock.now(), 0.0)


# --- after a run ------------------------------------------------------------------------------------------------------


def evidence(ws: Workspace, session: Session | None, began: str, *, posted: bool = False) -> dict[str, Any]:
    """What the forge shows after a run: ``pull``, ``comments`` (`foreign`), ``answer_url`` (`answers.url_of`), or
    ``forge_problem``; {} if it is not contacted. The run began at ``began``; ``posted``: its commands show a comment.

    Never raises for what a forge does, and takes at most FORGE_TIMEOUT_SECONDS: the attempt's end waits for it.
    """
    if session is None or session.kind != "issue":
        return {}
    found: dict[str, Any] = {}
    ref = parse_ref(session.key)
    try:
        forges = Forges(ws)
        if forges.of(ref.host) is None:
            return {}
        forges.ask(ref.host, lambda forge: _collect(ws, forge, ref, session, found, began, posted))
    except (ForgeFailure, BadInput) as problem:
        return {**found, "forge_problem": one_line(problem)}
    except Exception as problem:  # noqa: BLE001  an attempt that has ended must be recorded, whatever a server sends
        return {**found, "forge_problem": one_line(problem)}
    return found


def _collect(
    ws: Workspace, forge: Forge, ref: IssueRef, session: Session, found: dict[str, Any], began: str, posted: bool
) -> None:
    pull, place = _current(ws, forge, ref, session)
    if pull is not None:
        url = url_of(ws, ref.host, place, pull)
        told = found["pull"] = {
            "url": session.pr if session.pr is not None and _is_tied(ws, session, ref, place, pull, url) else url,
            "number": pull.number,
            "state": pull.state,
            "head": pull.head_sha or None,
            "draft": pull.draft,
            "mergeable": pull.mergeable,
            "checks": None,
        }
        if pull.state != "open" and is_looped(ws, session.key):
            told["over_at"] = over_at(pull)
        if pull.state == "merged":
            told["later"] = later_commits(session, pull)
        if pull.state == "open" and pull.head_sha:
            if (others := _foreign_commits(forge, place, session, pull)) is not None:
                told["foreign"] = others
            told["checks"] = _checks(ws, session, pull.head_sha, forge.checks(*place, pull.head_sha).state)
    comments = foreign(forge.issue(ref.owner, ref.repo, ref.number).comments)
    if pull is not None and not (place == (ref.owner, ref.repo) and pull.number == ref.number):
        comments += foreign(forge.issue(*place, pull.number).comments)
    found["comments"] = len(comments)
    if (answer := answers.url_of(forge, comments, began, posted=posted)) is not None:
        found["answer_url"] = answer


def _is_tied(
    ws: Workspace, session: Session, ref: IssueRef, place: tuple[str, str], pull: PullRequest, url: str
) -> bool:
    """Whether it is the session's known one, whatever the name of its repository is by now."""
    return number_of(ws, session, ref) == (*place, pull.number) or same(ws, session.pr or "", url)


def _checks(ws: Workspace, session: Session, head: str, state: str) -> str:
    """What the checks come to after a run: without any, whether they had the time to begin."""
    known = session.pull or {}
    begun = known.get("head") == head and known.get("checks") == "none"
    if state != "none" or begun or not ws.config_of(session.key).number("CHECKS_SETTLE_MINUTES"):
        return state
    return NOT_STARTED


def _foreign_commits(forge: Forge, place: tuple[str, str], session: Session, pull: PullRequest) -> int | None:
    """How many commits of an open pull request the session's runs did not make; None if unknown."""
    folder = merged.folder_of(session.worktree, session.source)
    if folder is None or session.source is None or session.branch is None:
        return None
    since = session.base_commit or ""
    try:
        made = elsewhere.made_here(session.source, session.worktree, session.branch, since)
        if made is None:
            return None
        commits = elsewhere.commits_of(folder, pull.head_sha, since, pull.base_branch)
        if commits is None:  # somebody pushed what this clone has not fetched
            commits = list(forge.pull_commits(*place, pull.number))
    except (KugetsuError, ForgeFailure):
        return None
    return sum(commit not in made for commit in commits)


def _current(
    ws: Workspace, forge: Forge, ref: IssueRef, session: Session
) -> tuple[PullRequest | None, tuple[str, str]]:
    """The session's pull request now, and its repository: the known one while it is open, else one of the branch."""
    known, place = None, (ref.owner, ref.repo)
    number = number_of(ws, session, ref)
    if number is not None:
        place, known = number[:2], forge.pull(*number)
        if known.state == "open":
            return known, place
    source = source_of(ws, session)
    if source is not None:
        newer = _first(forge.pulls_from(ref.owner, ref.repo, source))
    else:
        newer = _of_unpushed(forge, ref, session)
    if newer is not None and (known is None or newer.state == "open"):
        return newer, (ref.owner, ref.repo)
    return known, place


def _of_unpushed(forge: Forge, ref: IssueRef, session: Session) -> PullRequest | None:
    """The pull request of a session that pushed nothing, as far as its clone knows. A former one from a branch of that
    name is not its own; nor is one that ends where its work begins: a merge that is a fast-forward leaves that commit.
    """
    if not session.branch:
        return None
    source = _recorded_source(session)
    found = forge.pulls_from(ref.owner, ref.repo, source)
    return _first([pull for pull in found if pull.state == "open" or pull.head_sha in source.made])


def number_of(ws: Workspace, session: Session, ref: IssueRef) -> tuple[str, str, int] | None:
    """Owner, repository and number of the session's pull request, if it is known and on the issue's own forge."""
    if session.pr is None:
        return None
    try:
        host, owner, repo, number = parse_pull_url(session.pr, ws.config.servers())
    except BadInput:
        return None
    return (owner, repo, number) if host == ref.host else None


def same(ws: Workspace, one: str, other: str) -> bool:
    """Whether two URLs name one pull request."""
    servers = ws.config.servers()
    try:
        return parse_pull_url(one, servers) == parse_pull_url(other, servers)
    except BadInput:
        return one == other


def foreign(comments: tuple[Comment, ...]) -> list[Comment]:
    """The comments that kugetsu did not post."""
    return [comment for comment in comments if not is_marked(comment.body)]


def is_marked(body: str) -> bool:
    """Whether a text has kugetsu's mark itself: one in what it quotes or shows as code is that of another text."""
    if MARK not in body:
        return False
    last = body.rstrip().rpartition("\n")[2]  # a text may leave a block of code open
    return last.startswith(MARK) or any(line.startswith(MARK) for line in prose(body))


def later_commits(session: Session, pull: PullRequest) -> int | None:
    """How many commits of the session's worktree came after its merged pull request; None if unknown."""
    folder = merged.folder_of(session.worktree, session.source)
    if folder is None or not pull.head_sha:
        return None
    tip = "HEAD" if folder == session.worktree else f"refs/heads/{session.branch}"
    try:
        return merged.commits_after(folder, tip, pull.head_sha, pull.base_branch)
    except KugetsuError:
        return None
