"""What others say of a pull request on the scripted forge: comments on lines, checks with their runs, jobs and logs,
and how Gitea, Forgejo and GitHub write these as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forge.times import at

if TYPE_CHECKING:
    from forge.shapes import Place

Step = tuple[str, str]
"""Name and conclusion of a step of a job."""
Response = tuple[int, dict[str, str], Any]

ENDED = ("queued", "in_progress", "waiting")
"""States of a run that has not ended."""
WORKFLOW = "CI"
_GITEA_STATES = {"success": "success", "skipped": "success", "queued": "pending", "in_progress": "pending"}
_GITEA_WORDS = {
    "success": "Successful in 3s",
    "skipped": "Has been skipped",
    "cancelled": "Has been cancelled",
    "queued": "Waiting to run",
    "in_progress": "Has started running",
}


@dataclass
class LineComment:
    """A review's comment on a line; `line` is None for one whose line is gone, `removed` one on a line that the pull
    request takes out."""

    id: int
    review: int
    author: str
    body: str
    path: str
    line: int | None
    hunk: str
    commit: str
    removed: bool = False


@dataclass
class Check:
    """A check of a commit; `state` is the forge's word for it. A `run` is one of GitHub's check runs; a `job` one of
    the forge's own CI, on Gitea a status with a job behind it; `held` a workflow of GitHub's that made no job."""

    id: int
    name: str
    state: str
    run: bool = False
    job: bool = False
    held: bool = False
    suite: int = 1
    """On GitHub one for each run of a workflow."""
    event: str = "pull_request"
    title: str = ""
    summary: str = ""
    text: str = ""
    description: str = ""
    annotations: tuple[tuple[str, int, str, str], ...] = ()
    """Path, line, level and message of each."""
    steps: tuple[Step, ...] = ()
    log: str | None = None
    sha: str = ""

    @property
    def app(self) -> str:
        """Which application of GitHub made it."""
        return "github-actions" if self.job else "octoapp"


@dataclass
class Feedback:
    """What a repository has of all that; comments on lines by the number of the pull request, checks by commit."""

    line_comments: dict[int, list[LineComment]] = field(default_factory=dict)
    relations: dict[str, str] = field(default_factory=dict)
    """GitHub's word for what an account is to the repository: OWNER, MEMBER, COLLABORATOR, CONTRIBUTOR, NONE."""
    flavour: str = "gitea"
    """Whose API of Actions `/api/v1` has: `gitea` (since 1.24), `forgejo` (since 16), or `none` (before)."""
    store: str = ""
    """The URL below which GitHub's logs are stored."""


def respond(place: Place, method: str, parts: list[str], query: dict[str, str]) -> Response | None:
    """Status, headers and JSON for a path below the repository; None where it is not about feedback."""
    repo, github = place.repo, place.kind == "github"
    match method, parts:
        case "GET", ["pulls", number, "comments"] if github and int(number) in repo.pulls:
            found = repo.feedback.line_comments.get(int(number), [])
            return place.paged([_on_github(place, int(number), comment) for comment in found], query)
        case "GET", ["pulls", number, "reviews", review, "comments"] if int(number) in repo.pulls:
            found = [c for c in repo.feedback.line_comments.get(int(number), []) if c.review == int(review)]
            shown = [(_on_github if github else _on_gitea)(place, int(number), comment) for comment in found]
            return place.paged(shown, query) if github else (200, {}, shown)
        case "GET", ["commits", sha, "status"]:
            found = [check for check in repo.checks.get(sha, ()) if not check.run and not (github and check.job)]
            newest = {check.name: check for check in found}
            shown = [status(place, check) for check in newest.values()]
            return place.wrapped("statuses", shown, query, {"sha": sha, "state": "pending"})
        case "GET", ["commits", sha, "check-runs"] if github:
            runs = [check for check in repo.checks.get(sha, ()) if (check.run or check.job) and not check.held]
            latest = {(check.suite, check.app, check.name): check for check in runs}
            return place.wrapped("check_runs", [_run(place, check) for check in latest.values()], query, {})
        case "GET", ["check-runs", ident] if github and (check := _find(place, ident)):
            return 200, {}, _run(place, check)
        case "GET", ["check-runs", ident, "annotations"] if github and (check := _find(place, ident)):
            return place.paged([_annotation(place, *one) for one in check.annotations], query)
        case "GET", ["actions", *rest]:
            return _actions(place, rest, query)
    return None


def _actions(place: Place, parts: list[str], query: dict[str, str]) -> Response | None:
    if place.kind == "gitea" and place.repo.feedback.flavour == "none":
        return None
    forgejo = place.kind == "gitea" and place.repo.feedback.flavour == "forgejo"
    match parts:
        case ["runs"]:
            found = [check for check in _all(place) if check.job and check.sha == query.get("head_sha", check.sha)]
            if place.kind == "github":
                found = list({check.suite: check for check in found}.values())
            found.reverse()
            return place.wrapped("workflow_runs", [_workflow_run(place, check) for check in found], query, {})
        case ["runs", ident, "jobs"] if check := _find(place, ident, offset=1000):
            value = _job(place, check)
            return 200, {}, [value] if forgejo else {"total_count": 1, "jobs": [value]}
        case ["jobs", ident] if (check := _find(place, ident)) and check.job:
            return 200, {}, _job(place, check)
        case ["jobs", ident, "logs"] if (check := _find(place, ident)) and check.job and check.log is not None:
            if place.kind == "gitea":
                return 200, {"Content-Type": "text/plain; charset=utf-8"}, check.log
            return 302, {"Location": f"{place.repo.feedback.store}/logs/{ident}?sig=a%2Bb&se=2026"}, ""
    return None


def _all(place: Place) -> list[Check]:
    return [check for checks in place.repo.checks.values() for check in checks]


def _find(place: Place, ident: str, offset: int = 0) -> Check | None:
    found = {str(check.id + offset): check for check in _all(place)}
    return found.get(ident)


def _on_github(place: Place, number: int, comment: LineComment) -> dict[str, Any]:
    return place.authored(comment.author) | {
        "id": comment.id,
        "pull_request_review_id": comment.review,
        "body": comment.body,
        "path": comment.path,
        "diff_hunk": comment.hunk,
        "line": comment.line,
        "original_line": comment.line or 1,
        "side": "LEFT" if comment.removed else "RIGHT",
        "subject_type": "line",
        "commit_id": comment.commit,
        "original_commit_id": comment.commit,
        "html_url": f"{place.html('pulls', number)}#discussion_r{comment.id}",
        "created_at": at(comment.id),
        "updated_at": at(comment.id),
    }


def _on_gitea(place: Place, number: int, comment: LineComment) -> dict[str, Any]:
    line = comment.line or 0
    return place.authored(comment.author) | {
        "id": comment.id,
        "pull_request_review_id": comment.review,
        "body": comment.body,
        "path": comment.path,
        "diff_hunk": comment.hunk,
        "position": 0 if comment.removed else line,
        "original_position": line if comment.removed else 0,
        "commit_id": comment.commit,
        "original_commit_id": "",
        "html_url": f"{place.html('pulls', number)}#issuecomment-{comment.id}",
        "pull_request_url": place.html("pulls", number),
        "created_at": at(comment.id),
        "updated_at": at(comment.id),
    }


def status(place: Place, check: Check) -> dict[str, Any]:
    """A status of a commit; on Gitea a job is one, whose URL is that of a web page."""
    value = {"id": check.id, "description": check.description or check.name, "context": check.name}
    if check.job:
        word = _GITEA_STATES.get(check.state, "failure")
        value |= {
            "context": f"{WORKFLOW} / {check.name} ({check.event})",
            "description": check.description or _GITEA_WORDS.get(check.state, "Failing after 3s"),
            "target_url": f"/{place.repo.name}/actions/runs/{check.id}/jobs/0",
        }
    else:
        word = check.state
        value["target_url"] = f"{place.url}/ci/{check.id}"
    return value | {"status" if place.kind == "gitea" else "state": word}


def _ended(check: Check) -> dict[str, Any]:
    ended = check.state not in ENDED
    return {"status": "completed" if ended else check.state, "conclusion": check.state if ended else None}


def _run(place: Place, check: Check) -> dict[str, Any]:
    """A run of a check, as GitHub writes it. Those of Actions have no words of their own."""
    title = None if check.job else check.title or check.name
    output = {"title": title, "summary": check.summary or None, "text": check.text or None}
    return {
        "id": check.id,
        "head_sha": check.sha,
        "name": check.name,
        **_ended(check),
        "html_url": f"{place.url}/runs/{check.id}",
        "details_url": f"{place.url}/{place.repo.name}/actions/runs/{check.suite + 1000}/job/{check.id}",
        "output": output | {"annotations_count": len(check.annotations)},
        "check_suite": {"id": check.suite},
        "app": {"id": 1, "slug": check.app},
        "started_at": at(0),
        "completed_at": at(60) if check.state not in ENDED else None,
    }


def _annotation(place: Place, path: str, line: int, level: str, message: str) -> dict[str, Any]:
    return {
        "path": path,
        "start_line": line,
        "end_line": line,
        "annotation_level": level,
        "title": None,
        "message": message,
        "raw_details": None,
    }


def _workflow_run(place: Place, check: Check) -> dict[str, Any]:
    page = f"{place.url}/{place.repo.name}/actions/runs"
    if place.kind == "github":
        ident = 1000 + check.suite
        value = {"id": ident, "html_url": f"{page}/{ident}", "workflow_id": 7, "name": WORKFLOW, **_ended(check)}
        return value | {"event": check.event, "head_sha": check.sha, "check_suite_id": check.suite}
    value = {"id": check.id + 1000, "html_url": f"{page}/{check.id}", "event": check.event}
    if place.repo.feedback.flavour == "forgejo":
        return value | {"index_in_repo": check.id, "commit_sha": check.sha, "status": check.state, "title": WORKFLOW}
    return value | {"run_number": check.id, "head_sha": check.sha, **_ended(check)}


def _job(place: Place, check: Check) -> dict[str, Any]:
    """A job; its steps take ten seconds each, the first from the time of the check's number on."""
    if place.kind == "gitea" and place.repo.feedback.flavour == "forgejo":
        return {
            "id": check.id,
            "name": check.name,
            "status": check.state,
            "html_url": None,
            "task_id": len(check.steps),
        }
    steps = []
    for number, (name, conclusion) in enumerate(check.steps):
        start, end = step_times(number)
        told = {"name": name, "number": number + 1, "status": "completed", "conclusion": conclusion}
        steps.append(told | {"started_at": start, "completed_at": end})
    page = f"{place.url}/{place.repo.name}/actions/runs/{check.id}/jobs/0"
    if place.kind == "github":
        page = f"{place.url}/{place.repo.name}/actions/runs/{check.suite + 1000}/job/{check.id}"
    return {
        "id": check.id,
        "run_id": check.id + 1000,
        "name": check.name,
        "head_sha": check.sha,
        "html_url": page,
        **_ended(check),
        "steps": steps,
    }


def step_times(number: int) -> tuple[str, str]:
    """When a job's step of that number (from 0) began and ended."""
    return at(100 + 10 * number), at(109 + 10 * number)


def log_of(*steps: str) -> str:
    """The log of a job, as the runners write it: each line behind its time, the steps one after the other."""
    lines = []
    for number, text in enumerate(steps):
        time = step_times(number)[0].removesuffix("Z")
        lines += [f"{time}.{index % 10**7:07d}Z {line}" for index, line in enumerate(text.split("\n")) if text]
    return "\ufeff" + "\n".join(lines) + "\n"
