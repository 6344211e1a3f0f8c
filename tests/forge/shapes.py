"""What the scripted forge keeps, and how Gitea and GitHub write it as JSON.

Gitea's shapes follow its published description (a test sends them through Prism); GitHub's have the fields of its
published examples that a client would look at.
"""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from forge import feedback, intake_shapes
from forge.feedback import Check, Feedback
from forge.intake_shapes import Event, Intake
from forge.times import at

_GITEA_REVIEWS = {"approved": "APPROVED", "changes_requested": "REQUEST_CHANGES", "commented": "COMMENT"}
_GITEA_REVIEWS |= {"dismissed": "APPROVED", "pending": "PENDING", "requested": "REQUEST_REVIEW"}


def now() -> str:
    """The time now, as forges write it."""
    from kugetsu.model import clock

    return clock.now()[:19] + "Z"


def user(login: str) -> dict[str, Any]:
    """An account, as both forges write it."""
    return {"id": 1, "login": login, "avatar_url": "", "html_url": f"https://example.com/{login}"}


def _type_of(login: str) -> str:
    return "Bot" if login.endswith("[bot]") else "User"


@dataclass
class Comment:
    id: int
    body: str
    author: str
    created_at: str
    posted: bool = False


@dataclass
class Issue:
    number: int
    title: str
    body: str | None
    state: str
    author: str
    labels: tuple[str, ...]
    updated_at: str = ""
    closed_at: str = ""


@dataclass
class Pull:
    number: int
    title: str
    branch: str
    state: str
    head_repository: str | None
    sha: str
    mergeable: bool | None
    draft: bool
    base: str = "main"
    body: str = ""
    given: bool = True
    """Whether its commit was given; else it is its branch's, while it is open."""
    branch_deleted: bool = False
    commits: tuple[str, ...] = ()
    reviews: list[tuple[int, str, str, str, str]] = field(default_factory=list)
    closed: int = 0
    """Seconds after START of its end; 0 for its last change."""
    updated: int = 0
    """Seconds after START of its last change; 0 for none: its number is that of its creation."""


@dataclass
class Repository:
    """One repository's issues, comments (by issue number), pull requests and checks (by commit)."""

    name: str
    issues: dict[int, Issue] = field(default_factory=dict)
    comments: dict[int, list[Comment]] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    checks: dict[str, list[Check]] = field(default_factory=dict)
    feedback: Feedback = field(default_factory=Feedback)
    branches: dict[str, str] = field(default_factory=dict)
    """The commit of each branch from which a pull request may be opened; a fork's is `owner:branch`."""
    git: str = ""
    """A bare repository that has the branches."""
    last_id: int = 0
    intake: Intake = field(default_factory=Intake)

    def commit_of(self, branch: str) -> str | None:
        """The last commit of a branch; None without one."""
        if branch in self.branches or not self.git:
            return self.branches.get(branch)
        asked = ["git", "-C", self.git, "rev-parse", "-q", "--verify", f"refs/heads/{branch}"]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or None

    def follow(self, pull: Pull) -> None:
        """Let a pull request have the last commit of its branch."""
        if not pull.given and pull.head_repository == self.name:
            now = self.commit_of(pull.branch) or pull.sha
            if now != pull.sha:
                pull.sha = now
                self.touch(pull.number)

    def touch(self, number: int) -> None:
        """Let an issue or pull request be the one that changed last, as comments, reviews, pushes and labels do."""
        if number in self.issues:
            self.issues[number].updated_at = at(self.last_id)
        if number in self.pulls:
            self.pulls[number].updated = 1 + max(pull.updated or pull.number for pull in self.pulls.values())

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def say(self, number: int, body: str, author: str, when: str, *, posted: bool = False) -> int:
        ident = self.next_id()
        self.comments.setdefault(number, []).append(Comment(ident, body, author, when or at(ident), posted))
        self.touch(number)
        return ident

    def happen(self, number: int, kind: str, name: str, account: str, when: str = "") -> None:
        """Note an event of an issue."""
        ident = self.next_id()
        self.intake.events.setdefault(number, []).append(Event(ident, kind, name, account, when or at(ident)))
        self.touch(number)

    def add_label(self, number: int, name: str, account: str, when: str = "") -> None:
        """Set a label; one that is set already stays as it is."""
        self.intake.label_id(name)
        if name not in self.issues[number].labels:
            self.issues[number].labels += (name,)
            self.happen(number, "labeled", name, account, when)

    def remove_label(self, number: int, name: str, account: str, when: str = "") -> None:
        """Take a label off, where it is set."""
        if name in self.issues[number].labels:
            self.issues[number].labels = tuple(label for label in self.issues[number].labels if label != name)
            self.happen(number, "unlabeled", name, account, when)


@dataclass(frozen=True)
class Place:
    """One repository as one kind of forge shows it."""

    kind: str
    url: str
    repo: Repository
    login: str
    page: int
    forge: Mapping[str, Repository] = field(default_factory=dict)
    """All repositories that the token's account sees."""

    def beside(self, name: str) -> Place | None:
        """Another repository of the forge; None if it is not to be seen."""
        return replace(self, repo=self.forge[name]) if name in self.forge else None

    def user(self, login: str) -> dict[str, Any]:
        """An account; GitHub says whether it is an application."""
        return user(login) if self.kind == "gitea" else {**user(login), "type": _type_of(login)}

    def respond(
        self, method: str, parts: list[str], query: dict[str, str], body: Any
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON for a path below the repository."""
        match method, parts:
            case "GET", []:
                return 200, {}, {"id": 1, "full_name": self.repo.name}
            case "GET", ["issues", number] if int(number) in self.repo.issues:
                return 200, {}, self.issue(self.repo.issues[int(number)])
            case "GET", ["issues", number, "comments"] if int(number) in self.repo.issues:
                return self._comments(int(number), query)
            case "POST", ["issues", number, "comments"] if int(number) in self.repo.issues:
                if not isinstance(body, dict) or not isinstance(body.get("body"), str) or not body["body"]:
                    return 422, {}, {"message": "Validation Failed"}
                self.repo.say(int(number), body["body"], self.login, now(), posted=True)
                return 201, {}, self.comment(int(number), self.repo.comments[int(number)][-1])
            case "GET", ["pulls"]:
                return self._pulls(query)
            case "POST", ["pulls"]:
                return self._create(body)
            case "GET", ["pulls", number] if int(number) in self.repo.pulls:
                return 200, {}, self._pull(self.repo.pulls[int(number)], single=True)
            case "GET", ["pulls", number, "reviews"] if int(number) in self.repo.pulls:
                found = [self._review(*review) for review in self.repo.pulls[int(number)].reviews]
                return self.paged(found, query)
            case "GET", ["pulls", number, "commits"] if int(number) in self.repo.pulls:
                pull = self.repo.pulls[int(number)]
                return self.paged([self._commit(sha) for sha in (*pull.commits, pull.sha)], query)
            case "GET", ["commits", sha, "pulls"] if self.kind == "github":
                pulls = [pull for pull in self.repo.pulls.values() if sha in (pull.sha, *pull.commits)]
                if not pulls:
                    return 422, {}, {"message": f"No commit found for SHA: {sha}"}
                return self.paged([self._pull(pull, single=False) for pull in pulls], query)
        found_there = feedback.respond(self, method, parts, query)
        found_there = found_there or intake_shapes.respond(self, method, parts, query, body)
        return found_there or (404, {}, {"message": "Not Found"})

    def _comments(self, number: int, query: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        kept = [c for c in self.repo.comments.get(number, []) if c.created_at >= query.get("since", "")]
        found = [self.comment(number, comment) for comment in kept]
        if self.kind == "gitea":  # its description knows no pages here
            return 200, {"X-Total-Count": str(len(found))}, found
        return self.paged(found, query)

    def _pulls(self, query: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        state = query.get("state", "open")
        pulls = [p for p in self.repo.pulls.values() if state == "all" or (p.state == "open") == (state == "open")]
        if self.kind == "github" and ":" in query.get("head", ""):
            owner, _, branch = query["head"].partition(":")
            pulls = [
                p
                for p in pulls
                if p.branch == branch and (p.head_repository or "").split("/")[0].lower() == owner.lower()
            ]
        for pull in pulls:
            if pull.state == "open":
                self.repo.follow(pull)
        changed = query.get("sort") in ("recentupdate", "updated")
        pulls.sort(key=lambda pull: (pull.updated or pull.number) if changed else pull.number, reverse=True)
        return self.paged([self._pull(pull, single=False) for pull in pulls], query)

    def _create(self, body: Any) -> tuple[int, dict[str, str], Any]:
        """A new pull request, refused in each forge's own words where there is one already, or no such branch."""
        gitea = self.kind == "gitea"
        head, title = str(body.get("head")), str(body.get("title"))
        owner, _, branch = head.rpartition(":")
        repository = f"{owner}/{self.repo.name.partition('/')[2]}" if owner else self.repo.name
        known = [p for p in self.repo.pulls.values() if (p.branch, p.head_repository) == (branch, repository)]
        if any(pull.state == "open" for pull in known):
            if gitea:
                return 409, {}, {"message": "pull request already exists for these targets"}
            return self._invalid(
                f"A pull request already exists for {owner or self.repo.name.partition('/')[0]}:{branch}."
            )
        sha = self.repo.commit_of(head)
        if sha is None:
            return (404, {}, {"message": "Not Found"}) if gitea else self._invalid("head is invalid")
        number = max([0, *self.repo.issues, *self.repo.pulls]) + 1
        draft = title.upper().startswith("WIP:") if gitea else bool(body.get("draft"))
        pull = Pull(number, title, branch, "open", repository, sha, True, draft, str(body.get("base")))
        pull.body, pull.given = str(body.get("body")), False
        self.repo.pulls[number] = pull
        self.repo.issues[number] = Issue(number, title, pull.body, "open", self.login, ())
        return 201, {}, self._pull(pull, single=True)

    def _invalid(self, message: str) -> tuple[int, dict[str, str], Any]:
        """GitHub's refusal of a new pull request."""
        error = {"resource": "PullRequest", "code": "custom", "message": message}
        return 422, {}, {"message": "Validation Failed", "errors": [error]}

    def authored(self, login: str) -> dict[str, Any]:
        """The author of a text; GitHub says what he is to the repository."""
        author = {"user": self.user(login)}
        if self.kind == "gitea":
            return author
        return author | {"author_association": self.repo.feedback.relations.get(login, "NONE")}

    def paged(self, found: list[Any], query: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        """A page of a list, and the headers that tell of the next."""
        size = min(int(query.get("limit") or query.get("per_page") or 30), self.page)
        page = int(query.get("page", "1"))
        headers = {"X-Total-Count": str(len(found))} if self.kind == "gitea" else {}
        if page * size < len(found):
            # A server behind a proxy names itself wrongly; who follows this URL gets nowhere.
            wrong, last = "https://wrong.invalid/x?page=", -(-len(found) // size)
            headers["Link"] = f'<{wrong}{page + 1}>; rel="next", <{wrong}{last}>; rel="last"'
        return 200, headers, found[(page - 1) * size : page * size]

    def wrapped(
        self, key: str, found: list[Any], query: dict[str, str], rest: dict[str, Any]
    ) -> tuple[int, dict[str, str], Any]:
        """A page of a list within an object."""
        _, _, part = self.paged(found, query)
        return 200, {}, {"total_count": len(found), key: part, **rest}

    def html(self, kind: str, number: int) -> str:
        """The web page of an issue or pull request."""
        kind = "pull" if kind == "pulls" and self.kind == "github" else kind
        return f"{self.url}/{self.repo.name}/{kind}/{number}"

    def issue(self, issue: Issue) -> dict[str, Any]:
        pull = self.repo.pulls.get(issue.number)
        value = {
            "id": zlib.crc32(self.repo.name.encode()) * 1000 + issue.number,
            "number": issue.number,
            "title": issue.title,
            "body": issue.body,
            "state": issue.state,
            "user": user(issue.author),
            "labels": [intake_shapes.label(name, self.repo.intake.label_id(name)) for name in issue.labels],
            "comments": len(self.repo.comments.get(issue.number, ())),
            "html_url": self.html("pulls" if pull else "issues", issue.number),
            "created_at": at(0),
            "updated_at": issue.updated_at or at(0),
        }
        if issue.state == "closed":
            value["closed_at"] = issue.closed_at or issue.updated_at or at(0)
        if self.kind == "gitea":
            owner, _, name = self.repo.name.partition("/")
            value["repository"] = {"id": 1, "owner": owner, "name": name, "full_name": self.repo.name}
        else:
            value["repository_url"] = f"{self.url}/api/v3/repos/{self.repo.name}"
        if pull is not None:
            value["pull_request"] = {"html_url": self.html("pulls", issue.number)}
        return value

    def comment(self, number: int, comment: Comment) -> dict[str, Any]:
        return {
            **self.authored(comment.author),
            "id": comment.id,
            "body": comment.body,
            "html_url": f"{self.html('issues', number)}#issuecomment-{comment.id}",
            "created_at": comment.created_at,
            "updated_at": comment.created_at,
        }

    def _pull(self, pull: Pull, *, single: bool) -> dict[str, Any]:
        repo = None if pull.head_repository is None else {"id": 1, "full_name": pull.head_repository}
        if pull.state == "open":
            self.repo.follow(pull)
        owner = (pull.head_repository or "gone/x").split("/")[0]
        gitea, merged = self.kind == "gitea", pull.state == "merged"
        hidden = gitea and pull.branch_deleted
        value: dict[str, Any] = {
            "id": pull.number,
            "number": pull.number,
            "title": pull.title,
            "state": "open" if pull.state == "open" else "closed",
            "draft": pull.draft,
            "merged_at": at(60) if merged else None,
            "user": user("alice"),
            "html_url": self.html("pulls", pull.number),
            "head": {
                "label": pull.branch if gitea else f"{owner}:{pull.branch}",
                "ref": f"refs/pull/{pull.number}/head" if hidden else pull.branch,
                "sha": pull.sha,
                "repo": repo,
            },
            "base": {
                "label": pull.base,
                "ref": pull.base,
                "sha": "0" * 40,
                "repo": {"id": 1, "full_name": self.repo.name},
            },
            "created_at": at(0),
            "updated_at": at(pull.updated or pull.number),
            "closed_at": at(pull.closed or pull.updated or pull.number) if pull.state != "open" else None,
        }
        if gitea:
            value |= {"merged": merged, "mergeable": bool(pull.mergeable) and not pull.draft}
        elif single:
            value |= {"merged": merged, "mergeable": pull.mergeable}
        # Gitea leaves out what has no value; its description does not allow null.
        return {key: item for key, item in value.items() if item is not None or not gitea}

    def _review(self, ident: int, state: str, body: str, author: str, commit: str) -> dict[str, Any]:
        value: dict[str, Any] = {"id": ident, "body": body, "submitted_at": at(ident), "commit_id": commit}
        value |= self.authored(author)
        if self.kind == "gitea":
            told = [c for found in self.repo.feedback.line_comments.values() for c in found if c.review == ident]
            value["comments_count"] = len(told)
            official = self.repo.intake.rights.get(author) in ("write", "admin")
            return value | {"state": _GITEA_REVIEWS[state], "dismissed": state == "dismissed", "official": official}
        if state == "pending":
            del value["submitted_at"]
        return value | {"state": state.upper()}

    def _commit(self, sha: str) -> dict[str, Any]:
        url = f"{self.url}/commits/{sha}"
        value: dict[str, Any] = {"sha": sha, "url": url, "html_url": url}
        if self.kind == "gitea":
            return value
        told = {"url": url, "author": None, "committer": None, "message": "work", "comment_count": 0}
        told["tree"] = {"sha": sha, "url": url}
        rest = {"node_id": "x", "comments_url": url, "author": None, "committer": None, "parents": []}
        return value | rest | {"commit": told}
