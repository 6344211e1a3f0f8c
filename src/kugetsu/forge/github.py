"""GitHub's REST API, version 2022-11-28: github.com, and GitHub Enterprise below /api/v3."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from kugetsu.forge import github_checks
from kugetsu.forge.adapter import Adapter, is_bot, relation_of, repository_path
from kugetsu.forge.client import Call, segment
from kugetsu.forge.failures import ForgeNotFound, ForgeRefused
from kugetsu.forge.github_checks import PAGE
from kugetsu.forge.json_fields import Fields
from kugetsu.forge.protocol import (
    GHOST,
    Check,
    CheckOutput,
    Checks,
    Edit,
    LabelEvent,
    Labelled,
    Listing,
    NewPull,
    PullRequest,
    PullState,
    Remark,
    Review,
    ReviewState,
    Source,
    checks_of,
    label_key,
    open_first,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.forge.client import Query

VERSION = "2022-11-28"

_REVIEWS: dict[str, ReviewState] = {
    "APPROVED": "approved",
    "CHANGES_REQUESTED": "changes_requested",
    "COMMENTED": "commented",
    "DISMISSED": "dismissed",
    "PENDING": "pending",
}


_OF_THE_HOUSE = ("owner", "member", "collaborator")

_EDITS = """query($owner: String!, $repo: String!, $number: Int!) {
  repository(owner: $owner, name: $repo) {
    issue(number: $number) {
      lastEditedAt
      editor { login }
      titles: timelineItems(last: 1, itemTypes: [RENAMED_TITLE_EVENT]) {
        nodes { ... on RenamedTitleEvent { createdAt actor { login } } }
      }
    }
  }
}"""


class GitHub(Adapter):
    """github.com (`api` is https://api.github.com) or a GitHub Enterprise server (`https://host/api/v3`)."""

    public = "/rate_limit"  # does not count against the limit

    scheme = "Bearer"
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": VERSION}
    comment_page = {"per_page": PAGE}
    review_page = {"per_page": PAGE}
    open_query = {"state": "open", "sort": "updated", "direction": "desc", "per_page": PAGE}
    label_page = {"per_page": PAGE}
    blocked_by = "dependencies/blocked_by"

    def pulls_from(self, owner: str, repo: str, source: Source) -> tuple[PullRequest, ...]:
        """Pull requests from these branches or commits, open ones first, then the newest, `mergeable` not known.

        GitHub searches by each itself. One that is open and has such a commit below its head counts as well: somebody
        pushed more. Raises ForgeFailure, ForgeOversized past `Limits.pages` pages.
        """
        call = self._client.call(f"pull requests of {owner}/{repo}")
        path = repository_path(owner, repo)
        found: dict[int, PullRequest] = {}
        for name in ((owner,) if source.own else ()) + source.owners:
            self._add_branches(found, call, path, name, source)
        if source.own and call.moved:
            # GitHub answers for a former name, but looks for the branch at the owner that it was told.
            now = call.get(path).text("full_name").partition("/")[0]
            if now.lower() != owner.lower():
                self._add_branches(found, call, path, now, source)
        for commit in sorted(source.commits):
            with contextlib.suppress(ForgeRefused, ForgeNotFound):  # it knows no such commit
                for item in call.pages(f"{path}/commits/{segment(commit)}/pulls", {"per_page": PAGE}):
                    pull = self._pull(item)
                    if source.is_home_of(pull) and (pull.state == "open" or source.has(pull)):
                        found[pull.number] = pull
        return open_first(list(found.values()))

    def _add_branches(self, found: dict[int, PullRequest], call: Call, path: str, owner: str, source: Source) -> None:
        for branch in sorted(source.branches):
            query: dict[str, str | int] = {"head": f"{owner}:{branch}", "state": "all", "per_page": PAGE}
            pulls = [self._pull(item) for item in call.pages(f"{path}/pulls", query)]
            found.update({pull.number: pull for pull in pulls if source.has(pull)})

    def checks(self, owner: str, repo: str, sha: str) -> Checks:
        """The latest status of each context and the latest run of each check at a commit. Raises ForgeFailure."""
        call = self._client.call(f"commit {sha} in {owner}/{repo}")
        path = repository_path(owner, repo)
        found = call.pages(f"{path}/commits/{segment(sha)}/status", {"per_page": PAGE}, key="statuses")
        return checks_of((*map(github_checks.status, found), *github_checks.runs(call, path, sha)))

    def check_output(self, owner: str, repo: str, sha: str, check: Check) -> CheckOutput:
        """What is known of a check that failed. Raises ForgeFailure."""
        call = self._client.call(f"check {check.name!r} of commit {sha} in {owner}/{repo}")
        return github_checks.output(call, repository_path(owner, repo), check)

    def remarks(self, owner: str, repo: str, number: int) -> tuple[Remark, ...]:
        """The comments on lines of a pull request, the oldest first. Raises ForgeFailure."""
        call, path = self._asked("pull request", owner, repo, f"pulls/{number:d}/comments", number)
        return tuple(
            self._remark(item, _line(item), item.number("pull_request_review_id", 0))
            for item in call.pages(path, self.review_page)
        )

    def labelled(self, owner: str, repo: str, label: str, etag: str | None) -> Listing[Labelled]:
        """The open issues with a label. Raises ForgeFailure."""
        call = self._client.call(f"issues of {owner}/{repo}")
        query: Query = {"state": "open", "labels": label, "sort": "updated", "direction": "desc", "per_page": PAGE}
        found = call.changed(f"{repository_path(owner, repo)}/issues", query, etag)
        if found is None:
            return Listing(None, etag)
        issues = [self._labelled(item) for item in found[0] if item.maybe("pull_request") is None]
        return Listing(tuple(sorted(issues, key=lambda issue: issue.number)), found[1])

    def label_event(self, owner: str, repo: str, number: int, label: str) -> LabelEvent | None:
        """Who set the label last; None if it was taken off since, or renamed. Raises ForgeFailure."""
        call, path = self._asked("issue", owner, repo, f"issues/{number:d}/events", number)
        for item in call.newest_first(path, {"per_page": PAGE}):
            changed = item.maybe("label") if item.text("event", "") in ("labeled", "unlabeled") else None
            if changed is not None and label_key(changed.text("name", "")) == label_key(label):
                added = item.text("event") == "labeled"
                return LabelEvent(_login(item.maybe("actor")), item.time("created_at")) if added else None
        return None

    def last_edit(self, owner: str, repo: str, number: int) -> Edit | None:
        """The last change of the text or the title; None where it cannot be asked: without a token, or where a server
        has no GraphQL. Raises ForgeFailure."""
        if not self.authenticated:
            return None
        call = self._client.call(f"issue {owner}/{repo}#{number}")
        url = f"{self._client.api.removesuffix('/v3')}/graphql"  # GitHub Enterprise has both below /api
        try:
            found = call.graphql(url, _EDITS, {"owner": owner, "repo": repo, "number": number})
        except ForgeNotFound:
            return None
        issue = found.child("repository").child("issue")
        edits = [
            Edit(_login(item.maybe("actor")), item.time("createdAt")) for item in issue.child("titles").list("nodes")
        ]
        if issue.text("lastEditedAt", ""):
            edits.append(Edit(_login(issue.maybe("editor")), issue.time("lastEditedAt")))
        return max(edits, key=lambda edit: edit.at, default=None)

    def _as_labels(self, call: Call, owner: str, repo: str, names: Sequence[str]) -> Sequence[str]:  # noqa: ARG002
        return names  # GitHub makes those that are missing

    def _label_segment(self, label: Fields) -> str:
        return segment(label.text("name"))

    def _as_draft(self, new: NewPull) -> dict[str, str | bool]:
        return {"draft": new.draft}

    def _has_comments(self, issue: Fields) -> bool:
        return bool(issue.number("comments", 1))

    def _author(self, item: Fields) -> str:
        return _login(item.maybe("user"))

    def _pull(self, item: Fields) -> PullRequest:
        head = item.child("head")
        base = item.child("base")
        repository, target = head.maybe("repo"), base.maybe("repo")
        name = repository.text("full_name") if repository is not None else ""
        state: PullState = "closed" if item.text("state") == "closed" else "open"
        if item.flag("merged") or item.text("merged_at", ""):  # lists give only the time
            state = "merged"
        return PullRequest(
            number=item.number("number"),
            url=item.text("html_url"),
            title=item.text("title"),
            state=state,
            head_branch=head.text("ref"),
            head_repository=name,
            # A repository that is gone leaves the label `owner:branch`.
            head_owner=name.partition("/")[0] or head.text("label", "").rpartition(":")[0],
            head_sha=head.text("sha"),
            base_branch=base.text("ref"),
            base_repository=target.text("full_name", "") if target is not None else "",
            mergeable=item.flag("mergeable") if state == "open" else None,
            draft=bool(item.flag("draft")),
            updated_at=item.time("updated_at"),
            closed_at=item.time("closed_at", "") if state != "open" else "",
        )

    def _review(self, item: Fields) -> Review:
        return Review(
            id=item.number("id"),
            author=self._author(item),
            state=_REVIEWS.get(item.text("state").upper(), "commented"),
            body=item.text("body", ""),
            submitted_at=item.time("submitted_at", ""),
            commit=item.text("commit_id", ""),
            relation=relation_of(item),
            bot=is_bot(item),
            official=relation_of(item) in _OF_THE_HOUSE,
        )


def _line(remark: Fields) -> int:
    """The line that a remark is on; 0 for one that was removed, or none."""
    return remark.number("line", 0) if remark.text("side", "RIGHT") == "RIGHT" else 0


def _login(account: Fields | None) -> str:
    return account.text("login") if account is not None else GHOST
