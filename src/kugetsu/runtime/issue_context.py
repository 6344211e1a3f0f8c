"""The issue and its pull request as context for a run: read once from the forge, quoted to the agent, recorded in the
log.

A failing forge never fails the run: the prompt says that the text could not be read, and why.
"""

from __future__ import annotations

import hashlib
from copy import copy
from typing import Any

from kugetsu.domain.decide import sessions as decide
from kugetsu.domain.intake import RELATIONS
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Attempt, Session, State
from kugetsu.forge.failures import ForgeFailure, ForgeNotFound
from kugetsu.forge.protocol import Checks, Comment, Forge, Issue, PullRequest, Review
from kugetsu.model.plural import counted
from kugetsu.model.refs import IssueRef, parse_ref
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import pull_requests
from kugetsu.runtime.forges import Forges, one_line
from kugetsu.runtime.reactions.foreign_text import quoted, visible
from kugetsu.runtime.workspace import Workspace

#: Bytes of the whole text; of the issue's body; of one comment. A prompt of 60 kB is about 15,000 tokens.
MOST = 60_000
BODY_MOST = 16_000
COMMENT_MOST = 8_000
#: Failed or pending checks that are named.
CHECKS_NAMED = 10

#: Accounts whose relation to the repository is asked for.
RELATIONS_ASKED = 10
#: What an account is to the repository → how that is told.
RELATION_WORDS = {
    "owner": "owner of the repository",
    "member": "member of the repository",
    "collaborator": "member of the repository",
    "contributor": "contributor",
    "none": "no relation to the repository",
    "unknown": "relation to the repository unknown",
}

_STATES = {"approved": "approves", "changes_requested": "asks for changes", "dismissed": "was dismissed"}


class IssueContext:
    """What was read. ``problem``: why the issue could not be read; ``pull_problem``: the same for its pull request.

    ``authors`` are the accounts whose comments are shown, all if there are none; ``relations`` what an account is to
    the repository, where the forge does not say it with a text.
    """

    def __init__(self) -> None:
        self.issue: Issue | None = None
        self.pull: PullRequest | None = None
        self.conversation: list[Comment] = []
        self.reviews: tuple[Review, ...] = ()
        self.checks: Checks | None = None
        self.problem: str | None = None
        self.pull_problem: str | None = None
        self.authors: frozenset[str] = frozenset()
        self.relations: dict[str, str] = {}


def before_run(ws: Workspace, session: Session, attempt: Attempt) -> IssueContext | None:
    """What was read for the prompt, after appending `issue.read`; None where the forge is not contacted.

    A pull request found by the session's branch is tied to it, so that the whole prompt names the same one.
    """
    if session.kind != "issue":
        return None
    found = read(ws, session)
    if found is None:
        return None
    about: dict[str, Any] = {"issue": session.key, "session": session.key, "task": attempt.task}
    ws.log.append([NewEvent("issue.read", event_data(found), attempt=attempt.id, cause=attempt.claimed, **about)])
    if session.pr is None and found.pull is not None and found.issue is not None and not found.issue.is_pull:
        ref = parse_ref(session.key)
        url = pull_requests.url_of(ws, ref.host, (ref.owner, ref.repo), found.pull)
        ws.log.transact(lambda state: _tied(state, session.key, url))
    return found


def _tied(state: State, key: str, url: str) -> list[NewEvent]:
    """One that a user named meanwhile stays."""
    return decide.set_pr(state, key, url, "branch") if decide.find_session(state, key).pr is None else []


def read(ws: Workspace, session: Session) -> IssueContext | None:
    """The session's issue from the forge, within FORGE_TIMEOUT_SECONDS; None where it is not contacted."""
    ref = parse_ref(session.key)
    found = filled = IssueContext()
    shown = ws.config_of(session.key).text("INTAKE_AUTHORS").lower()
    filled.authors = frozenset(shown.split())
    try:
        forges = Forges(ws)
        if forges.of(ref.host) is None:
            return None
        forges.ask(ref.host, lambda forge: _fill(filled, ws, forge, ref, session))
    except Exception as problem:  # noqa: BLE001  a run never fails for what a server or an env file holds
        # The request's thread may still be filling it after the timeout; log and prompt must agree.
        found = copy(filled)
        if found.issue is None:
            found.problem = one_line(problem)
            if isinstance(problem, ForgeNotFound):
                found.problem += f" ({problem.hint})" if problem.hint else ""
        else:
            found.pull_problem = one_line(problem)
    return found


def _fill(found: IssueContext, ws: Workspace, forge: Forge, ref: IssueRef, session: Session) -> None:
    found.issue = forge.issue(ref.owner, ref.repo, ref.number)
    number = pull_requests.number_of(ws, session, ref)
    if number is None and found.issue.is_pull:
        number = (ref.owner, ref.repo, ref.number)
    if session.by_intake:
        _learn_relations(found, forge, ref, found.issue)
    try:
        number = number or pull_requests.from_branch(ws, forge, ref, session)
        if number is None:
            return
        found.pull = forge.pull(*number)
        if number != (ref.owner, ref.repo, ref.number):
            found.conversation = pull_requests.foreign(forge.issue(*number).comments)
        found.reviews = forge.reviews(*number)
        if found.pull.state == "open" and found.pull.head_sha:
            found.checks = forge.checks(number[0], number[1], found.pull.head_sha)
    except ForgeFailure as problem:
        found.pull_problem = one_line(problem)


def _learn_relations(found: IssueContext, forge: Forge, ref: IssueRef, issue: Issue) -> None:
    """Ask what the authors are to the repository that the forge tells nothing of; the latest few."""
    unknown = [comment.author for comment in reversed(issue.comments) if not comment.relation]
    for account in list(dict.fromkeys((issue.author, *unknown)))[:RELATIONS_ASKED]:
        try:
            right = forge.right(ref.owner, ref.repo, account)
        except ForgeFailure:
            return  # then it is not shown
        if right is not None:
            found.relations[account] = RELATIONS[right]


def event_data(found: IssueContext) -> dict[str, Any]:
    """`events.sessions.IssueRead`: comments on the issue and its pull request, except kugetsu's own."""
    problem = "; ".join(said for said in (found.problem, found.pull_problem) if said) or None
    issue = found.issue
    if issue is None:
        return {"title": None, "state": None, "comments": 0, "url": None, "digest": None, "problem": problem}

    return {
        "title": redact(_plain(issue.title), limit=300),
        "state": issue.state,
        "comments": len(pull_requests.foreign(issue.comments)) + len(found.conversation),
        "url": issue.url or None,
        "digest": _digest(found),
        "problem": problem,
    }


def _digest(found: IssueContext) -> str:
    """SHA-256 of all texts that were read, whole, in order."""
    issue = found.issue
    assert issue is not None
    bodies = [comment.body for comment in (*issue.comments, *found.conversation)]
    bodies += [review.body for review in found.reviews]
    whole = "\0".join((issue.title, issue.body, issue.state, *bodies))
    return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()


# --- the text ---------------------------------------------------------------------------------------------------------


def text(found: IssueContext) -> str:
    """The text for the agent, at most MOST bytes and a note. What people wrote is quoted line by line (`> `), so that
    it cannot pass for anything else; the newest comments and reviews are kept."""
    issue = found.issue
    if issue is None:
        return f"The issue could not be read: {found.problem}.\nRead it yourself before you begin, if you can.\n"
    parts = [_head(issue, found), _quoted(issue.body, BODY_MOST) or "(no text besides the title)\n"]
    if found.pull is not None:
        parts.append(_pull(found.pull, found.checks))
    if found.pull_problem is not None:
        parts.append(f"\nIts pull request could not be read (in whole): {found.pull_problem}.\n")
    left = MOST - sum(len(part.encode()) for part in parts)
    parts.append(_timeline(found, issue, left))
    return "".join(parts)


def _head(issue: Issue, found: IssueContext) -> str:
    lines = [f"Title: {_plain(issue.title)}", f"By: {_by(found, issue.author)}", f"State: {issue.state}"]
    if issue.state == "closed":
        lines[-1] += ". Someone closed it: check whether anything is left to do, and say so at the end if not"
    if issue.labels:
        lines.append(f"Labels: {', '.join(_plain(label) for label in issue.labels)}")
    if issue.url:
        lines.append(f"URL: {_plain(issue.url)}")
    return "\n".join(lines) + "\n\n"


def _pull(pull: PullRequest, checks: Checks | None) -> str:
    draft = ", a draft" if pull.draft else ""
    lines = [f"\nPull request #{pull.number}: {_plain(pull.title)}", f"URL: {_plain(pull.url)}"]
    lines.append(f"State: {pull.state}{draft}, from {_plain(pull.head_branch)} into {_plain(pull.base_branch)}")
    if pull.state == "open":
        said = {True: "yes", False: "no: rebase it", None: "unknown so far"}[pull.mergeable]
        lines.append(f"Mergeable: {said}")
    if checks is not None:
        lines.append(f"Checks: {checks.state}")
        telling = [check for check in checks.items if check.state in ("failure", "pending")]
        for check in telling[:CHECKS_NAMED]:
            more = " ".join(_plain(part) for part in (check.description, check.url) if part)
            lines.append(f"  {check.state}: {_plain(check.name)} {more}".rstrip()[:500])
        if len(telling) > CHECKS_NAMED:
            lines.append(f"  and {len(telling) - CHECKS_NAMED} more")
    return "\n".join(lines) + "\n"


def _timeline(found: IssueContext, issue: Issue, room: int) -> str:
    """Comments and reviews in chronological order; the oldest are omitted if there is no room."""
    number = found.pull.number if found.pull is not None else issue.number
    reviews = [review for review in found.reviews if review.body.strip() or review.state in _STATES]
    comments = pull_requests.foreign(issue.comments)
    entries = [_comment(found, comment, "") for comment in comments if _is_shown(found, comment)]
    where = f" on pull request #{number}"
    entries += [_comment(found, comment, where) for comment in found.conversation if _is_shown(found, comment)]
    entries += [_review(found, review, number) for review in reviews if _is_shown(found, review)]
    hidden = len(comments) + len(found.conversation) + len(reviews) - len(entries)
    entries.sort(key=lambda entry: entry[0])
    kept: list[str] = []
    for _, shown in reversed(entries):
        room -= len(shown.encode())
        if room < 0:
            break
        kept.append(shown)
    left_out = len(entries) - len(kept)
    others = (
        f"\n{counted(hidden, 'comment')} by accounts that INTAKE_AUTHORS does not name: not shown.\n" if hidden else ""
    )
    if not entries:
        return others or "\nThere are no comments.\n"
    note = f"\n({left_out} older ones are left out here: read them at {_plain(issue.url)})\n" if left_out else ""
    return "\nComments, the oldest first:\n" + note + "".join(reversed(kept)) + others


def _is_shown(found: IssueContext, said: Comment | Review) -> bool:
    return not found.authors or said.author.lower() in found.authors


def _by(found: IssueContext, account: str, relation: str = "") -> str:
    """An account, with what it is to the repository where that is known."""
    relation = relation or found.relations.get(account, "")
    return _plain(account) + (f" ({RELATION_WORDS[relation]})" if relation in RELATION_WORDS else "")


def _comment(found: IssueContext, comment: Comment, where: str) -> tuple[str, str]:
    head = f"\n{comment.created_at} {_by(found, comment.author, comment.relation)}{where}:\n"
    return comment.created_at, head + _quoted(comment.body, COMMENT_MOST)


def _review(found: IssueContext, review: Review, number: int) -> tuple[str, str]:
    what = _STATES.get(review.state, "reviews")
    by = _by(found, review.author, review.relation)
    head = f"\n{review.submitted_at} {by} {what} (review {review.id} of pull request #{number}):\n"
    return review.submitted_at, head + _quoted(review.body, COMMENT_MOST)


def _quoted(body: str, most: int) -> str:
    """A text with `> ` before each line, cut to so many bytes with a note."""
    head, rest = body[: 4 * most], body[4 * most :]
    raw = visible(head).strip("\n").encode("utf-8", "replace")
    cut = raw[:most].decode("utf-8", "ignore")
    if not cut:
        return ""
    left_out = max(len(raw) - most, 0) + len(rest.encode("utf-8", "replace"))
    note = f"({counted(left_out, 'more byte')} left out here)\n" if left_out else ""
    return f"{quoted(cut)}\n{note}"


def _plain(said: str) -> str:
    """A name or title as one line."""
    return " ".join(visible(said).encode("utf-8", "replace").decode().split())
