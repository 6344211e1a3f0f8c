"""What the scripted forge tells an intake: lists by label, who set one, rights, dependencies; labels that are changed.

Gitea's shapes are those of its published description; what is not written there is from its source: a list by labels
discards the names that the repository has not, the timeline's total is that of the page, and no page is `null`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forge.shapes import Issue, Place, Repository

Response = tuple[int, dict[str, str], Any]

_OLDER_WORDS = {"maintain": "write", "triage": "read"}
"""What GitHub's `permission` says of roles that are newer than it; Gitea has no such roles."""


@dataclass(frozen=True)
class Event:
    """Something that happened to an issue: `labeled`, `unlabeled` or `renamed`, each with the label's or old name."""

    id: int
    kind: str
    name: str
    account: str
    at: str


@dataclass
class Intake:
    """What one repository keeps beside issues and comments, by issue number where it belongs to one."""

    shared: dict[str, int] = field(default_factory=dict)
    """Those of its organisation."""
    labels: dict[str, int] = field(default_factory=dict)
    """The repository's labels with their ids."""
    events: dict[int, list[Event]] = field(default_factory=dict)
    edits: dict[int, tuple[str, str]] = field(default_factory=dict)
    """The last edit of a body: by whom, when."""
    rights: dict[str, str] = field(default_factory=dict)
    """GitHub's role names; an account that is not named may read."""
    unknown: set[str] = field(default_factory=set)
    """Accounts that are not there."""
    tells_rights: bool = True
    """Whether the token's account may ask for others' rights."""
    as_described: bool = False
    """Whether an empty page is a list, which it is by Gitea's description; its source writes `null`."""
    blockers: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    """The repository and number of each issue that one depends on."""

    def label_id(self, name: str) -> int:
        """The id of a label, made where it is missing."""
        return self.shared.get(name) or self.labels.setdefault(name, 100 + len(self.labels))


def respond(place: Place, method: str, parts: list[str], query: dict[str, str], body: Any) -> Response | None:
    """The answer to a request of an intake; None for any other."""
    gitea = place.kind == "gitea"
    match method, parts:
        case "GET", ["issues"]:
            return _issues(place, query)
        case "GET", ["collaborators", account, "permission"]:
            return _right(place, account)
        case "GET", ["labels"]:
            return place.paged([label(name, ident) for name, ident in place.repo.intake.labels.items()], query)
        case "POST", ["labels"]:
            return 201, {}, label(body["name"], place.repo.intake.label_id(body["name"]))
    if len(parts) < 3 or parts[0] != "issues" or int(parts[1]) not in place.repo.issues:
        return None
    number = int(parts[1])
    match method, parts[2:]:
        case "GET", ["timeline"] if gitea:
            return _timeline(place, number, query)
        case "GET", ["events"] if not gitea:
            return place.paged([_event(place, event) for event in place.repo.intake.events.get(number, ())], query)
        case ("GET", ["dependencies"]) | ("GET", ["dependencies", "blocked_by"]) if gitea == (len(parts) == 3):
            return _blockers(place, number, query)
        case "GET", ["labels"]:
            return 200, {}, _labels_of(place, number)
        case "POST", ["labels"]:
            return _add(place, number, body)
        case "DELETE", ["labels", named]:
            return _remove(place, number, named)
    return None


def edits(repo: Repository, number: int) -> Response:
    """GitHub's answer to the GraphQL question for an issue's edits."""
    if number not in repo.issues:
        error = {"type": "NOT_FOUND", "message": f"Could not resolve to an Issue with the number of {number}."}
        return 200, {}, {"data": {"repository": {"issue": None}}, "errors": [error]}
    account, when = repo.intake.edits.get(number, (None, None))
    renamed = [event for event in repo.intake.events.get(number, ()) if event.kind == "renamed"][-1:]
    titles = [{"createdAt": event.at, "actor": {"login": event.account}} for event in renamed]
    value = {"lastEditedAt": when, "editor": account and {"login": account}, "titles": {"nodes": titles}}
    return 200, {}, {"data": {"repository": {"issue": value}}}


def label(name: str, ident: int) -> dict[str, Any]:
    """A label, as both forges write it."""
    return {"id": ident, "name": name, "color": "ededed", "description": "", "url": ""}


def _issues(place: Place, query: dict[str, str]) -> Response:
    wanted = [name for name in query.get("labels", "").split(",") if name]
    if place.kind == "gitea":
        wanted = [name for name in wanted if name in place.repo.intake.labels]
    found = [
        issue
        for issue in place.repo.issues.values()
        if query.get("state", "open") in ("all", issue.state) and _has(place, issue, wanted)
    ]
    if query.get("type") == "issues":
        found = [issue for issue in found if issue.number not in place.repo.pulls]
    changed = query.get("sort") == "updated"
    found.sort(key=lambda issue: (issue.updated_at if changed else "", issue.number), reverse=True)
    return place.paged([place.issue(issue) for issue in found], query)


def _has(place: Place, issue: Issue, wanted: list[str]) -> bool:
    if place.kind == "gitea":
        return all(name in issue.labels for name in wanted)
    return {name.casefold() for name in wanted} <= {name.casefold() for name in issue.labels}


def _right(place: Place, account: str) -> Response:
    intake = place.repo.intake
    if not intake.tells_rights:
        return 403, {}, {"message": "Must have push access to view collaborator permission."}
    if account in intake.unknown:
        return 404, {}, {"message": f"{account} is not a user"}
    role = "admin" if account == place.repo.name.partition("/")[0] else intake.rights.get(account, "read")
    older = _OLDER_WORDS.get(role, role)
    named = older if place.kind == "gitea" else role
    return 200, {}, {"permission": older, "role_name": named, "user": place.user(account)}


def _timeline(place: Place, number: int, query: dict[str, str]) -> Response:
    found: list[tuple[int, dict[str, Any]]] = []
    for comment in place.repo.comments.get(number, ()):
        found.append((comment.id, {**place.comment(number, comment), "type": "comment"}))
    for event in place.repo.intake.events.get(number, ()):
        value = {"id": event.id, "user": place.user(event.account), "created_at": event.at, "updated_at": event.at}
        if event.kind == "renamed":
            value |= {"type": "change_title", "body": "", "old_title": event.name, "new_title": "renamed"}
        else:
            made = label(event.name, place.repo.intake.label_id(event.name))
            value |= {"type": "label", "body": "1" if event.kind == "labeled" else "", "label": made}
        found.append((event.id, value))
    ordered = [value for _, value in sorted(found, key=lambda pair: pair[0])]
    _, _, page = place.paged(ordered, query)
    empty: list[Any] | None = [] if place.repo.intake.as_described else None
    return 200, {"X-Total-Count": str(len(page))}, page or empty


def _event(place: Place, event: Event) -> dict[str, Any]:
    url = f"{place.url}/api/v3/repos/{place.repo.name}/issues/events/{event.id}"
    value = {"id": event.id, "node_id": "x", "url": url, "actor": place.user(event.account), "event": event.kind}
    value |= {"commit_id": None, "commit_url": None, "created_at": event.at, "performed_via_github_app": None}
    if event.kind == "renamed":
        return value | {"rename": {"from": event.name, "to": "renamed"}}
    return value | {"label": {"name": event.name, "color": "ededed"}}


def _blockers(place: Place, number: int, query: dict[str, str]) -> Response:
    found: list[dict[str, Any]] = []
    for name, other in place.repo.intake.blockers.get(number, ()):
        there = place.beside(name)
        if there is not None:
            found.append(there.issue(there.repo.issues[other]))
        elif place.kind == "gitea":  # not to be seen
            found.append({"id": 0, "number": 0, "title": "", "state": "", "user": None, "repository": None})
    status, headers, page = place.paged(found, query)
    return status, {} if place.kind == "gitea" else headers, page


def _labels_of(place: Place, number: int) -> list[dict[str, Any]]:
    return [label(name, place.repo.intake.label_id(name)) for name in place.repo.issues[number].labels]


def _add(place: Place, number: int, body: Any) -> Response:
    given = body.get("labels") if isinstance(body, dict) else None
    if not isinstance(given, list) or not given:
        return 422, {}, {"message": "Validation Failed"}
    names = {ident: name for name, ident in {**place.repo.intake.shared, **place.repo.intake.labels}.items()}
    if place.kind == "gitea" and not all(item in names for item in given):
        return 404, {}, {"message": "label does not exist"}
    for item in given:
        place.repo.add_label(number, names[item] if place.kind == "gitea" else item, place.login)
    return 200, {}, _labels_of(place, number)


def _remove(place: Place, number: int, named: str) -> Response:
    issue = place.repo.issues[number]
    if place.kind == "gitea":
        names = {str(ident): name for name, ident in {**place.repo.intake.shared, **place.repo.intake.labels}.items()}
        if named not in names:
            return 422, {}, {"message": "label does not exist"}
        place.repo.remove_label(number, names[named], place.login)
        return 204, {}, None
    present = {name.casefold(): name for name in issue.labels}
    if named.casefold() not in present:
        return 404, {}, {"message": "Label does not exist"}
    place.repo.remove_label(number, present[named.casefold()], place.login)
    return 200, {}, _labels_of(place, number)
