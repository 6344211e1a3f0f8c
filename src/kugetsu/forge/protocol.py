"""What kugetsu asks of a forge, and the values it gets: issues, comments, pull requests, reviews, checks.

Every time is UTC text, `2026-11-23T10:00:02Z`; every URL is one that a person can open. Bodies are passed on as the
forge has them: whoever shows or keeps one redacts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

Item = TypeVar("Item")

IssueState = Literal["open", "closed"]
PullState = Literal["open", "closed", "merged"]
ReviewState = Literal["approved", "changes_requested", "commented", "dismissed", "pending"]
Verdict = Literal["approved", "changes_requested", "outdated"]
CheckState = Literal["success", "failure", "pending", "other"]
ChecksState = Literal["success", "failure", "pending", "none"]

Right = Literal["admin", "write", "triage", "read", "none"]
"""What an account may do in a repository. Who has ``triage`` may set labels; who may ``write`` pushes and reviews."""

GHOST = "ghost"
"""The author of what a deleted account wrote, as GitHub and Gitea both call it."""

IMPORTED = " (imported)"
"""Ends the author of what was imported from another server: no account of this one can be called that, although one may
have the same name and be somebody else."""

RELATIONS = ("owner", "member", "collaborator", "contributor", "none")
"""What an author is to a repository, where the forge says it with the text; else it is empty (see `Forge.right`)."""


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment on an issue or pull request. ``relation`` is one of `RELATIONS` or empty; ``bot``: its author is an
    application, by the forge's own word."""

    id: int
    author: str
    body: str
    url: str
    created_at: str
    relation: str = ""
    bot: bool = False


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue, or the conversation of a pull request (`is_pull`), with all its comments, the oldest first."""

    number: int
    title: str
    body: str
    state: IssueState
    author: str
    labels: tuple[str, ...]
    url: str
    is_pull: bool
    comments: tuple[Comment, ...]
    closed_at: str = ""
    """Empty for one that is open."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """An open issue of a list by label; the text is that of `Issue`, `relation` as in `Comment`."""

    number: int
    title: str
    body: str
    author: str
    labels: tuple[str, ...]
    url: str
    updated_at: str
    relation: str = ""


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """A list that was asked for conditionally. ``items`` is None if nothing changed since the answer that gave
    ``etag``, which the next question carries; None where the forge gives none."""

    items: tuple[Item, ...] | None
    etag: str | None


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """Who set a label last, and when."""

    account: str
    at: str


@dataclass(frozen=True, slots=True)
class Edit:
    """The last edit of an issue's text: by whom, and when. ``title_only``: the forge tells nothing of the
    body."""

    account: str
    at: str
    title_only: bool = False


@dataclass(frozen=True, slots=True)
class Blocker:
    """An issue that another one depends on by the forge's own relation: ``owner/repo``, number, whether it is open."""

    repository: str
    number: int
    open: bool


@dataclass(frozen=True, slots=True)
class Remark:
    """A review's comment on a line of a pull request. ``line`` is None for one on a file or on a line that is gone;
    ``hunk`` is the part of the diff around it, ``review`` the id of its review; ``bot`` as in `Comment`; ``created_at``
    is empty where the forge does not tell."""

    id: int
    author: str
    body: str
    url: str
    path: str
    line: int | None
    hunk: str
    review: int | None
    bot: bool = False
    created_at: str = ""


@dataclass(frozen=True, slots=True)
class CheckOutput:
    """What a forge tells of a check that failed. ``ran``: it executed a step; one that waits for an approval or was
    cancelled before its start did not. ``steps`` are the failing ones with the last part of their logs (lines without
    their times, else as the CI wrote them: hostile text), None where the forge gives no log; where it tells no steps,
    the job is the only one. ``words`` is what the check itself says (title, summary, text, annotations)."""

    ran: bool
    steps: tuple[tuple[str, str | None], ...]
    words: str

    @property
    def unread(self) -> bool:
        """Whether its error is unknown: there is a log of it, which could not be read."""
        return bool(self.steps) and all(log is None for _, log in self.steps)


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request. A state that the forge gives and kugetsu does not know counts as open.

    `head_repository` is `owner/repo`, empty when it is gone. `mergeable` is None when the forge has not said (yet),
    and for pull requests that are not open. `base_repository` is where it goes to, as the forge names it now;
    `head_owner` whose repository it comes from, also when that is gone.
    """

    number: int
    url: str
    title: str
    state: PullState
    head_branch: str
    head_repository: str
    head_sha: str
    base_branch: str
    mergeable: bool | None
    draft: bool
    updated_at: str
    base_repository: str = ""
    head_owner: str = ""
    closed_at: str = ""
    """Empty for one that is open; of a merged one, when that was."""

    @property
    def from_itself(self) -> bool:
        """Whether it comes from a branch of the repository that it goes to, by the names that the forge gives both:
        the one that was asked for may be a former name."""
        head = self.head_repository or f"{self.head_owner}/{self.base_repository.rpartition('/')[2]}"
        return bool(self.head_owner) and head.lower() == self.base_repository.lower()


@dataclass(frozen=True, slots=True)
class NewPull:
    """A pull request to open: the branch `head` of the repository itself, or of `head_owner`'s fork of it, into `base`.

    `draft`: not to be merged yet, by the means that the forge has for it.
    """

    title: str
    body: str
    head: str
    base: str
    head_owner: str = ""
    draft: bool = False


@dataclass(frozen=True, slots=True)
class Review:
    """One review of a pull request; `submitted_at` is empty for one that is not sent yet, `commit` (what was reviewed)
    where the forge does not tell it; `relation` and `bot` as in `Comment`. `official`: the forge itself counts its
    author among those who may write, as far as it tells that with the review: Gitea where a review counts for a merge,
    GitHub of the owner, members of the organisation and collaborators."""

    id: int
    author: str
    state: ReviewState
    body: str
    submitted_at: str
    commit: str = ""
    relation: str = ""
    bot: bool = False
    official: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a commit: a status, or a run of a CI. `other` neither passes nor fails (skipped). ``id`` is the
    forge's number of a run, 0 for a status.

    ``ran`` is False where its state alone says that no step was executed (it waits for an approval, could not start,
    was given up): it is for a person, and starts no turn. A failure with ``ran`` may still have executed nothing
    (cancelled before its start, no money): `Forge.check_output` knows.
    """

    name: str
    state: CheckState
    url: str
    description: str
    id: int = 0
    ran: bool = True


@dataclass(frozen=True, slots=True)
class Checks:
    """All checks of a commit. `state` is failure when any failed, else pending when any is, `none` without any."""

    state: ChecksState
    items: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a pull request may come from: the repository itself (`own`) and forks of these `owners`; in them, these
    `branches`, or branches with any name that end in one of these `commits`, or in one of those `made` earlier, which
    are only recognised: to search for a commit may cost a request."""

    branches: frozenset[str]
    commits: frozenset[str] = frozenset()
    owners: tuple[str, ...] = ()
    own: bool = True
    made: frozenset[str] = frozenset()

    def has(self, pull: PullRequest) -> bool:
        """Whether a pull request comes from here. A stranger's fork may have the same branch and commit; and a branch
        may have had the same name earlier: one that is not open counts by its commit, where commits are known."""
        if not self.is_home_of(pull):
            return False
        known = self.commits | self.made
        if pull.head_sha in known:
            return True
        return pull.head_branch in self.branches and (pull.state == "open" or not known)

    def is_home_of(self, pull: PullRequest) -> bool:
        """Whether a pull request comes from one of the repositories."""
        return (self.own and pull.from_itself) or pull.head_owner.lower() in {owner.lower() for owner in self.owners}


def label_key(name: str) -> str:
    """What makes a label's name the same as another one: its case does not count. GitHub has it so; Gitea may have two
    that differ in nothing else, which nobody means to tell apart."""
    return name.casefold()


def has_label(labels: Iterable[str], name: str) -> bool:
    """Whether a label is among those of an issue."""
    return label_key(name) in map(label_key, labels)


def checks_of(items: tuple[Check, ...]) -> Checks:
    """The checks with the state that they have together."""
    states = {item.state for item in items}
    if not states:
        return Checks("none", ())
    if "failure" in states:
        return Checks("failure", items)
    return Checks("pending" if "pending" in states else "success", items)


def is_verdict(review: Review) -> bool:
    """Whether a review approves, or asks for changes."""
    return review.state in ("approved", "changes_requested")


def verdict_of(reviews: Iterable[Review], head: str) -> Verdict | None:
    """What the latest verdict of each reviewer comes to: changes requested by any of them, else approved. ``outdated``
    where one that counts was given for an earlier commit than ``head``; None without any."""
    latest: dict[str, Review] = {}
    for review in reviews:
        if is_verdict(review):
            latest[review.author] = review
        elif review.state == "dismissed":
            latest.pop(review.author, None)
    present = {review.state for review in latest.values() if review.commit in ("", head)}
    if "changes_requested" in present:
        return "changes_requested"
    asked = any(review.state == "changes_requested" for review in latest.values())
    if "approved" in present and not asked:
        return "approved"
    return "outdated" if latest else None


def open_first(pulls: list[PullRequest]) -> tuple[PullRequest, ...]:
    """Pull requests in the order in which they matter: open ones first, then the newest number."""
    return tuple(sorted(pulls, key=lambda pull: (pull.state != "open", -pull.number)))


class Forge(Protocol):
    """One git server's web side. Every method may raise a ForgeFailure, and ends by its deadline (see http.Limits)."""

    @property
    def host(self) -> str:
        """The host as references show it."""
        ...

    @property
    def access(self) -> str:
        """Whether requests carry a token (`with GITEA_TOKEN`), and why not: one line without the token."""
        ...

    @property
    def authenticated(self) -> bool:
        """Whether requests carry a token."""
        ...

    def issue(self, owner: str, repo: str, number: int) -> Issue:
        """The issue (or pull request) with all its comments."""
        ...

    def comment(self, owner: str, repo: str, number: int, body: str) -> Comment:
        """Post a comment. Sent once: a failure whose `uncertain` is set may have posted it all the same."""
        ...

    def comments_after(self, owner: str, repo: str, number: int, since: str | None) -> tuple[Comment, ...]:
        """The comments created in or after the second of `since` (UTC text; None for all), the oldest first.

        Forges know seconds only: those of that very second come again, none is left out. Their ids tell them apart.
        """
        ...

    def pull(self, owner: str, repo: str, number: int) -> PullRequest:
        """One pull request."""
        ...

    def create_pull(self, owner: str, repo: str, new: NewPull) -> PullRequest:
        """Open a pull request. Sent once: a failure whose `uncertain` is set may have opened it all the same.

        ForgeRefused where the forge has one of that branch already, or no commits between the two.
        """
        ...

    def pulls_from(self, owner: str, repo: str, source: Source) -> tuple[PullRequest, ...]:
        """Pull requests from these branches or commits, also of deleted branches, in any state: open ones first, then
        the newest."""
        ...

    def pull_commits(self, owner: str, repo: str, number: int) -> tuple[str, ...]:
        """The ids of a pull request's commits; GitHub gives the first 250."""
        ...

    def reviews(self, owner: str, repo: str, number: int) -> tuple[Review, ...]:
        """The reviews of a pull request, the oldest first; reviews that were only asked for are left out."""
        ...

    def checks(self, owner: str, repo: str, sha: str) -> Checks:
        """What CI says about a commit, each check once: its newest run. On GitHub three requests: a workflow that waits
        for an approval is found by the runs of workflows only."""
        ...

    def labelled(self, owner: str, repo: str, label: str, etag: str | None) -> Listing[Labelled]:
        """The open issues (no pull requests) with a label, the oldest first; not sent again if nothing changed since
        the answer about this repository and label that gave ``etag``.

        Requests: on GitHub one for each 100 issues, which costs nothing of the rate limit while nothing changed; on
        Gitea, which has no ETag, one for each 50, and two more where the repository has no label written just so.
        """
        ...

    def label_event(self, owner: str, repo: str, number: int, label: str) -> LabelEvent | None:
        """Who set the label of an issue last; None if it was taken off since, or the forge does not tell."""
        ...

    def last_edit(self, owner: str, repo: str, number: int) -> Edit | None:
        """The last edit of an issue's text; None if there was none, or the forge does not tell."""
        ...

    def right(self, owner: str, repo: str, account: str) -> Right | None:
        """What an account may do in a repository, ``none`` if there is no such account or it is `IMPORTED`; None if the
        token may not ask: on Gitea that takes an administrator of the repository, on GitHub the right to push."""
        ...

    def blockers(self, owner: str, repo: str, number: int) -> tuple[Blocker, ...]:
        """What an issue depends on by the forge's own relation; () where the forge has none. One that Gitea hides from
        the token's account has no repository, the number 0, and counts as open."""
        ...

    def change_labels(self, owner: str, repo: str, number: int, add: Sequence[str], remove: Sequence[str]) -> None:
        """Add and remove labels of an issue; a missing label is made, one that the issue lacks is not missed. Safe to
        repeat after any failure: what is as it should be is not sent."""
        ...

    def open_pulls(self, owner: str, repo: str, etag: str | None) -> Listing[PullRequest]:
        """The open pull requests, those that changed last first; not sent again if nothing changed.

        `updated_at` moves with comments, reviews, remarks, pushes, labels, a new title and the state; it does not move
        with checks, nor with what is merged into the base (`mergeable`), nor with what is not sent yet. It is in whole
        seconds of the forge's clock: who reads on in that very second may miss what comes within it, and reads once
        more later. GitHub does not say here whether one is mergeable (`pull` does). One that is missing may be closed,
        merged, or have moved from page to page meanwhile: ask `pull`. ForgeOversized past `Limits.pages` pages.

        Requests: on GitHub one for each 100 open pull requests, which costs nothing of the rate limit while nothing
        changed; on Gitea, which has no ETag, one for each 50 (its administrator's limit).
        """
        ...

    def remarks(self, owner: str, repo: str, number: int) -> tuple[Remark, ...]:
        """The comments on lines of a pull request, the oldest first; those of a review that is not sent are left out.
        Gitea is asked once more for each review that has some."""
        ...

    def check_output(self, owner: str, repo: str, sha: str, check: Check) -> CheckOutput:
        """What is known of a check of the commit that failed, at most six requests. What the token may not see, and a
        log that is gone or cannot be had, is left out."""
        ...

    def whoami(self) -> str | None:
        """The account of the token; None without a token. Raises ForgeUnauthorised when the token is not valid."""
        ...

    def reach(self) -> None:
        """Ask the server something that needs no account. Raises ForgeFailure when it gives no answer of its kind."""
        ...

    def close(self) -> None:
        """Close the kept connections."""
        ...
