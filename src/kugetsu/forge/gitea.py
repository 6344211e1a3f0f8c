"""Gitea's API, version 1, which Forgejo serves too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kugetsu.forge import gitea_checks
from kugetsu.forge.adapter import Adapter, repository_path
from kugetsu.forge.client import Call, segment
from kugetsu.forge.failures import ForgeForbidden, ForgeNotFound
from kugetsu.forge.json_fields import Fields
from kugetsu.forge.protocol import (
    GHOST,
    IMPORTED,
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
    has_label,
    label_key,
    open_first,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.forge.client import Query

PAGE = 50
"""Entries asked for in one page: Gitea's own limit (setting MAX_RESPONSE_ITEMS); servers may give fewer."""
CLOSED_PAGES = 4
"""Pages of closed pull requests that are looked through for a branch: those 200 that were changed last."""

COLOUR = "#ededed"
"""Of a label that kugetsu makes: that which GitHub gives those that it makes itself."""

_DELETED_BRANCH = "refs/pull/"
_REVIEWS: dict[str, ReviewState] = {
    "APPROVED": "approved",
    "REQUEST_CHANGES": "changes_requested",
    "PENDING": "pending",
}
_NO_REMARKS = ("REQUEST_REVIEW", "PENDING")
_DRAFTS = ("WIP:", "[WIP]")  # Gitea's default prefixes, for servers that do not give `draft`


class Gitea(Adapter):
    """A Gitea or Forgejo server. Its API lies at `api`, `https://host/api/v1`."""

    scheme = "token"
    headers = {"Accept": "application/json"}
    review_page = {"limit": PAGE}
    open_query = {"state": "open", "sort": "recentupdate", "limit": PAGE}
    _no_url = ""

    def pulls_from(self, owner: str, repo: str, source: Source) -> tuple[PullRequest, ...]:
        """Pull requests from these branches or commits, open ones first, then the newest.

        The API searches by neither: all open pull requests are read (ForgeOversized past `Limits.pages` pages) and of
        the closed ones the CLOSED_PAGES * PAGE that were changed last. Raises ForgeFailure.
        """
        call = self._client.call(f"pull requests of {owner}/{repo}")
        path = f"{repository_path(owner, repo)}/pulls"
        found = []
        for state in ("open", "closed"):
            query = {"state": state, "sort": "recentupdate", "limit": PAGE}
            bound = CLOSED_PAGES if state == "closed" else None
            found += [self._pull(item) for item in call.pages(path, query, limit=bound, cut=bound is not None)]
        return open_first([pull for pull in found if source.has(pull)])

    def checks(self, owner: str, repo: str, sha: str) -> Checks:
        """The latest status of each context at a commit. Raises ForgeFailure."""
        call = self._client.call(f"commit {sha} in {owner}/{repo}")
        path = f"{repository_path(owner, repo)}/commits/{segment(sha)}/status"
        return checks_of(tuple(map(gitea_checks.status, call.pages(path, {"limit": PAGE}, key="statuses"))))

    def check_output(self, owner: str, repo: str, sha: str, check: Check) -> CheckOutput:
        """What is known of a check that failed. Raises ForgeFailure."""
        call = self._client.call(f"check {check.name!r} of commit {sha} in {owner}/{repo}")
        return gitea_checks.output(call, repository_path(owner, repo), sha, check)

    def remarks(self, owner: str, repo: str, number: int) -> tuple[Remark, ...]:
        """The comments on lines of a pull request, the oldest first: one request for each review that has some. Raises
        ForgeFailure."""
        call, path = self._asked("pull request", owner, repo, f"pulls/{number:d}/reviews", number)
        found = []
        for review in call.pages(path, self.review_page):
            if review.text("state", "") not in _NO_REMARKS and review.number("comments_count", 1):
                ident = review.number("id")
                # Not in pages: the API gives all of a review at once.
                for item in call.get(f"{path}/{ident:d}/comments").list():
                    # 0: on a line that was removed (`original_position`)
                    found.append(self._remark(item, item.number("position", 0), ident))
        return tuple(sorted(found, key=lambda remark: remark.id))

    def labelled(self, owner: str, repo: str, label: str, etag: str | None) -> Listing[Labelled]:  # noqa: ARG002
        """The open issues with a label; Gitea gives no ETag. Raises ForgeFailure."""
        call = self._client.call(f"issues of {owner}/{repo}")
        found = self._listed(call, owner, repo, label)
        return Listing(tuple(sorted(found, key=lambda issue: issue.number)), None)

    def _listed(self, call: Call, owner: str, repo: str, label: str) -> list[Labelled]:
        query: Query = {"state": "open", "type": "issues", "labels": label, "limit": PAGE}
        found: list[Labelled] = []
        given_all = False
        for item in call.pages(f"{repository_path(owner, repo)}/issues", query):
            issue = self._labelled(item)
            if has_label(issue.labels, label):
                found.append(issue)
            elif not found and not given_all:
                # The server ignores a label that is not one of the repository, written just so: then these are all its
                # issues.
                own = self._label_ids(call, f"{repository_path(owner, repo)}/labels")
                if label not in own and (alike := [name for name in own if label_key(name) == label_key(label)]):
                    both = [issue for name in alike for issue in self._listed(call, owner, repo, name)]
                    return list({issue.number: issue for issue in both}.values())
                shared = self._shared_labels(call, owner)
                if shared is not None and not has_label(shared, label):
                    break
                given_all = True
        return found

    def label_event(self, owner: str, repo: str, number: int, label: str) -> LabelEvent | None:
        """Who set the label last; None if it was taken off since, or renamed. Raises ForgeFailure."""
        for item in self._timeline(owner, repo, number, "label"):
            changed = item.maybe("label")
            if changed is not None and label_key(changed.text("name")) == label_key(label):
                # The body says which: "1" for added, nothing for removed.
                return LabelEvent(self._author(item), item.time("created_at")) if item.text("body", "") else None
        return None

    def last_edit(self, owner: str, repo: str, number: int) -> Edit | None:
        """The last change of the title: of the body no API tells. Raises ForgeFailure."""
        for item in self._timeline(owner, repo, number, "change_title"):
            return Edit(self._author(item), item.time("created_at"), title_only=True)
        return None

    def _timeline(self, owner: str, repo: str, number: int, kind: str) -> Iterator[Fields]:
        """The events of one kind of an issue, the newest first."""
        call, path = self._asked("issue", owner, repo, f"issues/{number:d}/timeline", number)
        return (item for item in call.newest_first(path, {"limit": PAGE}) if item.text("type", "") == kind)

    def _as_labels(self, call: Call, owner: str, repo: str, names: Sequence[str]) -> Sequence[int]:
        keys = [label_key(name) for name in names]
        known = _by_key(self._label_ids(call, f"{repository_path(owner, repo)}/labels"))
        if not known.keys() >= set(keys):
            known = {**_by_key(self._shared_labels(call, owner) or {}), **known}
        return [
            known.get(key) or self._new_label(call, owner, repo, name) for key, name in zip(keys, names, strict=True)
        ]

    def _shared_labels(self, call: Call, owner: str) -> dict[str, int] | None:
        """The labels that an organisation's repositories share; None if the token may not ask."""
        try:
            return self._label_ids(call, f"/orgs/{segment(owner)}/labels")
        except ForgeNotFound:
            return {}  # the owner is no organisation
        except ForgeForbidden:
            return None

    def _label_ids(self, call: Call, path: str) -> dict[str, int]:
        # A name may be there twice: the older one counts.
        found = sorted((item.number("id"), item.text("name")) for item in call.pages(path, {"limit": PAGE}))
        return {name: ident for ident, name in reversed(found)}

    def _new_label(self, call: Call, owner: str, repo: str, name: str) -> int:
        # Sent once: it could make two of that name.
        return call.post(f"{repository_path(owner, repo)}/labels", {"name": name, "color": COLOUR}).number("id")

    def _label_segment(self, label: Fields) -> str:
        return str(label.number("id"))

    def _as_draft(self, new: NewPull) -> dict[str, str | bool]:
        # The API has no field for it: a draft is what its title says, by default with one of these prefixes.
        return {"title": f"WIP: {new.title}"} if new.draft and not _says_draft(new.title) else {}

    def _author(self, item: Fields) -> str:
        # What was imported from elsewhere has its author's name apart, and the importing account as its user.
        if original := item.text("original_author", ""):
            return f"{original}{IMPORTED}"
        user = item.maybe("user")
        return (user.text("login", "") if user is not None else "") or GHOST

    def _pull(self, item: Fields) -> PullRequest:
        head, base, title = item.child("head"), item.child("base"), item.text("title")
        repository, target = head.maybe("repo"), base.maybe("repo")
        state: PullState = "closed" if item.text("state") == "closed" else "open"
        if item.flag("merged"):
            state = "merged"
        # A deleted branch leaves only its name, in the label; the ref is then that of the pull request itself.
        branch = head.text("ref")
        if branch.startswith(_DELETED_BRANCH):
            branch = head.text("label", branch)
        draft = item.flag("draft")
        draft = _says_draft(title) if draft is None else draft
        mergeable = item.flag("mergeable")
        if state != "open" or (draft and not mergeable):
            mergeable = None  # Gitea calls drafts not mergeable, whether they conflict or not
        name = repository.text("full_name", "") if repository is not None else ""
        return PullRequest(
            number=item.number("number"),
            url=item.text("html_url"),
            title=title,
            state=state,
            head_branch=branch,
            head_repository=name,
            head_owner=name.partition("/")[0],
            head_sha=head.text("sha", ""),
            base_branch=base.text("ref"),
            base_repository=target.text("full_name", "") if target is not None else "",
            mergeable=mergeable,
            draft=draft,
            updated_at=item.time("updated_at"),
            closed_at=item.time("closed_at", "") if state != "open" else "",
        )

    def _review(self, item: Fields) -> Review | None:
        if item.text("state", "") == "REQUEST_REVIEW":
            return None
        state = _REVIEWS.get(item.text("state"), "commented")
        return Review(
            id=item.number("id"),
            author=self._author(item),
            state="dismissed" if item.flag("dismissed") else state,
            body=item.text("body", ""),
            submitted_at=item.time("submitted_at", "") if state != "pending" else "",
            commit=item.text("commit_id", ""),
            official=bool(item.flag("official")),
        )


def _by_key(ids: dict[str, int]) -> dict[str, int]:
    """Labels by `label_key`; of several the oldest counts."""
    return {label_key(name): ident for name, ident in sorted(ids.items(), key=lambda one: one[1], reverse=True)}


def _says_draft(title: str) -> bool:
    return title.upper().startswith(_DRAFTS)
