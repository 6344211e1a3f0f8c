"""What both forges do alike: the client, the requests for issues, comments, pull requests and reviews; an adapter names
what differs between them, in its attributes and in how it reads the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kugetsu.forge.client import Call, Client, Limits, segment
from kugetsu.forge.credentials import Credential
from kugetsu.forge.failures import ForgeForbidden, ForgeNotFound, NoForge
from kugetsu.forge.json_fields import Fields
from kugetsu.forge.pauses import Pause
from kugetsu.forge.protocol import (
    IMPORTED,
    RELATIONS,
    Blocker,
    Comment,
    Issue,
    Labelled,
    Listing,
    NewPull,
    PullRequest,
    Remark,
    Review,
    Right,
    label_key,
)
from kugetsu.host.proxies import Network
from kugetsu.model import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.forge.client import Query


_RIGHTS: dict[str, Right] = {
    "owner": "admin",
    "admin": "admin",
    "maintain": "write",
    "write": "write",
    "triage": "triage",
    "read": "read",
    "none": "none",
}


class Adapter:
    """A forge behind a kept client; the adapters add what differs between them.

    `scheme` is the word before the token in the Authorization header, `headers` go with each request, `public` is a
    path that anyone may ask for. ``comment_page`` and ``review_page`` ask for full pages, ``open_query`` for the open
    pull requests, those that changed last first, ``blocked_by`` is where an issue's blockers are.
    """

    public = "/version"
    scheme = ""
    headers: Mapping[str, str] = {}
    blocked_by = "dependencies"
    comment_page: Query = {}
    review_page: Query = {}
    open_query: Query = {}
    label_page: Query = {}

    def __init__(
        self,
        api: str,
        *,
        host: str,
        credential: Credential,
        limits: Limits | None = None,
        network: Network | None = None,
        pause: Pause | None = None,
    ) -> None:
        self._client = Client(
            api,
            host=host,
            credential=credential,
            scheme=self.scheme,
            headers=self.headers,
            limits=limits,
            network=network,
            pause=pause,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client!r})"

    @property
    def host(self) -> str:
        """The host as references show it."""
        return self._client.host

    @property
    def access(self) -> str:
        """Whether requests carry a token, and why not."""
        return self._client.credential.summary

    @property
    def authenticated(self) -> bool:
        """Whether requests carry a token."""
        return bool(self._client.credential.reveal())

    def whoami(self) -> str | None:
        """The account of the token; None without one. Raises ForgeFailure."""
        if not self.authenticated:
            return None
        return self._client.call("account of the token").get("/user").text("login")

    def reach(self) -> None:
        """Ask the server something that needs no account. Raises ForgeFailure when it gives no answer of its kind."""
        self._client.call("version of the server").get(self.public)

    def issue(self, owner: str, repo: str, number: int) -> Issue:
        """The issue (or pull request) with all its comments. Raises ForgeFailure."""
        call, path = self._asked("issue", owner, repo, f"issues/{number:d}", number)
        found = call.get(path)
        items = call.pages(f"{path}/comments", self.comment_page) if self._has_comments(found) else ()
        return Issue(
            number=found.number("number"),
            title=found.text("title"),
            body=found.text("body", ""),
            state="closed" if found.text("state") == "closed" else "open",
            author=self._author(found),
            labels=tuple(label.text("name") for label in found.list("labels")),
            url=found.text("html_url", self._no_url),
            is_pull=found.maybe("pull_request") is not None,
            comments=tuple(map(self._comment, items)),
            closed_at=found.time("closed_at", "") if found.text("state") == "closed" else "",
        )

    def comment(self, owner: str, repo: str, number: int, body: str) -> Comment:
        """Post a comment, once. Raises ForgeFailure; `uncertain` when it may be posted all the same."""
        call, path = self._asked("issue", owner, repo, f"issues/{number:d}/comments", number)
        return self._comment(call.post(path, {"body": body}))

    def comments_after(self, owner: str, repo: str, number: int, since: str | None) -> tuple[Comment, ...]:
        """The comments created in or after the second of `since`, the oldest first. Raises ForgeFailure, BadInput."""
        call, path = self._asked("issue", owner, repo, f"issues/{number:d}/comments", number)
        start = "" if since is None else clock.from_micros(clock.parse(since))[:19] + "Z"
        # The server's `since` is about changes: it gives older comments too.
        query = {**self.comment_page, "since": start} if start else self.comment_page
        found = map(self._comment, call.pages(path, query))
        return tuple(comment for comment in found if comment.created_at >= start)

    def pull(self, owner: str, repo: str, number: int) -> PullRequest:
        """One pull request. Raises ForgeFailure."""
        call, path = self._asked("pull request", owner, repo, f"pulls/{number:d}", number)
        return self._pull(call.get(path))

    def create_pull(self, owner: str, repo: str, new: NewPull) -> PullRequest:
        """Open a pull request, once. Raises ForgeFailure; `uncertain` when it may be open all the same."""
        fork = bool(new.head_owner) and new.head_owner.lower() != owner.lower()
        head = f"{new.head_owner}:{new.head}" if fork else new.head
        call = self._client.call(f"repository {owner}/{repo}, or {head} in it")
        asked: dict[str, object] = {"title": new.title, "body": new.body, "head": head, "base": new.base}
        return self._pull(call.post(f"{repository_path(owner, repo)}/pulls", asked | self._as_draft(new)))

    def pull_commits(self, owner: str, repo: str, number: int) -> tuple[str, ...]:
        """The ids of a pull request's commits. Raises ForgeFailure."""
        call, path = self._asked("pull request", owner, repo, f"pulls/{number:d}/commits", number)
        return tuple(item.text("sha") for item in call.pages(path, self.review_page, name="sha"))

    def reviews(self, owner: str, repo: str, number: int) -> tuple[Review, ...]:
        """The reviews of a pull request, the oldest first. Raises ForgeFailure."""
        call, path = self._asked("pull request", owner, repo, f"pulls/{number:d}/reviews", number)
        found = map(self._review, call.pages(path, self.review_page))
        return tuple(review for review in found if review is not None)

    def right(self, owner: str, repo: str, account: str) -> Right | None:
        """What an account may do. Raises ForgeFailure."""
        if account.endswith(IMPORTED):
            return "none"
        call = self._client.call(f"account {account} in {owner}/{repo}")
        path = f"{repository_path(owner, repo)}/collaborators/{segment(account)}/permission"
        try:
            found = call.get(path)
        except ForgeForbidden:
            return None
        except ForgeNotFound:
            return "none"  # no such account, as it is for that of an app
        # GitHub's older word knows no triage, and a role of an organisation's own is known by the older word only.
        return _RIGHTS.get(found.text("role_name", "")) or _RIGHTS.get(found.text("permission", ""), "none")

    def blockers(self, owner: str, repo: str, number: int) -> tuple[Blocker, ...]:
        """What the issue depends on. Raises ForgeFailure."""
        call, path = self._asked("issue", owner, repo, f"issues/{number:d}/{self.blocked_by}", number)
        try:
            return tuple(map(self._blocker, call.pages(path, self.review_page)))
        except ForgeNotFound:
            return ()

    def change_labels(self, owner: str, repo: str, number: int, add: Sequence[str], remove: Sequence[str]) -> None:
        """Add and remove labels, both safe to repeat. Raises ForgeFailure."""
        call, path = self._asked("issue", owner, repo, f"issues/{number:d}/labels", number)
        present = self._labels_at(call, path)
        missing = [name for name in dict.fromkeys(add) if label_key(name) not in present]
        if missing:
            call.post(path, {"labels": self._as_labels(call, owner, repo, missing)}, repeat=True)
        kept = set(map(label_key, add))
        for key in dict.fromkeys(map(label_key, remove)):
            if key in present and key not in kept:
                self._remove_label(call, path, key, present[key])

    def _remove_label(self, call: Call, path: str, key: str, label: Fields) -> None:
        try:
            call.delete(f"{path}/{self._label_segment(label)}")
        except ForgeNotFound:
            # Somebody was faster, or the answer of an earlier try was lost; or the account may not do it.
            if key in self._labels_at(call, path):
                raise

    def _labels_at(self, call: Call, path: str) -> dict[str, Fields]:
        """The labels of an issue: no forge allows more than a page of them."""
        return {label_key(item.text("name")): item for item in call.get(path, self.label_page).list()}

    def open_pulls(self, owner: str, repo: str, etag: str | None) -> Listing[PullRequest]:
        """The open pull requests, those that changed last first. Raises ForgeFailure."""
        call = self._client.call(f"pull requests of {owner}/{repo}")
        found = call.changed(f"{repository_path(owner, repo)}/pulls", self.open_query, etag)
        if found is None:
            return Listing(None, etag)
        return Listing(tuple(map(self._pull, found[0])), found[1])

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def _asked(self, what: str, owner: str, repo: str, path: str, number: int) -> tuple[Call, str]:
        """A call about one issue or pull request, and the path to ask for."""
        call = self._client.call(f"{what} {owner}/{repo}#{number}")
        return call, f"{repository_path(owner, repo)}/{path}"

    #: What an issue's URL is where the forge gives none; None: it always gives one.
    _no_url: str | None = None

    def _has_comments(self, issue: Fields) -> bool:  # noqa: ARG002 - for adapters whose forge tells
        return True

    def _as_draft(self, new: NewPull) -> dict[str, str | bool]:
        """The fields by which a new pull request is a draft, or is none."""
        raise NotImplementedError

    def _as_labels(self, call: Call, owner: str, repo: str, names: Sequence[str]) -> Sequence[str | int]:
        """Labels as an issue is given them."""
        raise NotImplementedError

    def _label_segment(self, label: Fields) -> str:
        """A label of an issue as the last part of its path."""
        raise NotImplementedError

    def _author(self, item: Fields) -> str:
        raise NotImplementedError

    def _labelled(self, item: Fields) -> Labelled:
        return Labelled(
            number=item.number("number"),
            title=item.text("title"),
            body=item.text("body", ""),
            author=self._author(item),
            labels=tuple(label.text("name") for label in item.list("labels")),
            url=item.text("html_url", self._no_url),
            updated_at=item.time("updated_at"),
            relation=relation_of(item),
        )

    def _blocker(self, item: Fields) -> Blocker:
        # Gitea hides what the account may not see, but not that it is there: then only that is known.
        repository = item.maybe("repository")
        name = repository.text("full_name", "") if repository is not None else ""
        name = name or "/".join(item.text("repository_url", "").split("/repos/")[-1].split("/")[:2])
        return Blocker(name, item.number("number", 0), item.text("state", "open") != "closed")

    def _pull(self, item: Fields) -> PullRequest:
        raise NotImplementedError

    def _review(self, item: Fields) -> Review | None:
        raise NotImplementedError

    def _remark(self, item: Fields, line: int, review: int) -> Remark:
        """A comment on a ``line`` in a ``review``; each is 0 for none."""
        return Remark(
            id=item.number("id"),
            author=self._author(item),
            body=item.text("body", ""),
            url=item.text("html_url", ""),
            path=item.text("path", ""),
            line=line or None,
            hunk=item.text("diff_hunk", ""),
            review=review or None,
            bot=is_bot(item),
            created_at=item.time("created_at", ""),
        )

    def _comment(self, item: Fields) -> Comment:
        return Comment(
            id=item.number("id"),
            author=self._author(item),
            body=item.text("body", ""),
            url=item.text("html_url", self._no_url),
            created_at=item.time("created_at"),
            relation=relation_of(item),
            bot=is_bot(item),
        )


def relation_of(item: Fields) -> str:
    """What the author of a text is to the repository, as GitHub says it; empty where the forge does not."""
    said = item.text("author_association", "").lower()
    if said in ("mannequin", "first_timer", "first_time_contributor"):
        return "none"
    return said if said in RELATIONS else ""


def is_bot(item: Fields) -> bool:
    """Whether the author of a text is an application: GitHub says so, and ends its name in `[bot]`."""
    user = item.maybe("user")
    return user is not None and (user.text("type", "") == "Bot" or user.text("login", "").endswith("[bot]"))


def repository_path(owner: str, repo: str) -> str:
    """Where a repository lies below the API; both forges say it alike. Raises NoForge for a group within a group."""
    if "/" in owner:
        raise NoForge(
            f"{owner}/{repo} is not a repository of a forge that kugetsu can ask: its owner is a path",
            "where the server lives at a sub-path, name its whole URL: kugetsu server add HOST URL",
        )
    return f"/repos/{segment(owner)}/{segment(repo)}"
