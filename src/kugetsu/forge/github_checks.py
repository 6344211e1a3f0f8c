"""Checks as GitHub has them: statuses of a commit, runs of checks, and jobs of Actions behind some of these."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from kugetsu.forge import jobs
from kugetsu.forge.client import Call, segment
from kugetsu.forge.failures import ForgeForbidden, ForgeNotFound
from kugetsu.forge.json_fields import Fields
from kugetsu.forge.protocol import Check, CheckOutput, CheckState

PAGE = 100
"""Entries in one page: the most that GitHub gives."""

_STATUSES: dict[str, CheckState] = {
    "success": "success",
    "failure": "failure",
    "error": "failure",
    "pending": "pending",
}
_CONCLUSIONS: dict[str, CheckState] = {
    "success": "success",
    "failure": "failure",
    "timed_out": "failure",
    "cancelled": "failure",
    "action_required": "failure",
    "startup_failure": "failure",
}
_NOT_RUN = ("action_required", "startup_failure", "stale", "skipped")
"""Conclusions of what executed no step."""
_HELD = {
    "action_required": "waits for an approval",
    "startup_failure": "could not start",
    "failure": "could not start: is the workflow's file valid?",
}
"""What a workflow says without a single job."""
_ACTIONS = "github-actions"
_NO_FILE = ".github"
"""The path of an annotation that is about no file."""


def status(item: Fields) -> Check:
    """A status of a commit."""
    return Check(
        name=item.text("context", "default"),
        state=_STATUSES.get(item.text("state"), "other"),
        url=item.text("target_url", ""),
        description=item.text("description", ""),
    )


def runs(call: Call, path: str, sha: str) -> list[Check]:
    """The runs of checks of a commit in the repository at `path`, each its newest, and the workflows of Actions that
    have none: yet, because they wait for an approval, or because they could not start. Raises ForgeFailure.

    GitHub gives the newest run of each name and suite; of several suites (of a pull request that was opened again, of a
    push and its pull request) only the workflow and what triggered it tell which replaces which.
    """
    found = list(call.pages(f"{path}/commits/{segment(sha)}/check-runs", {"per_page": PAGE}, key="check_runs"))
    workflows = _workflows(call, path, sha)
    newest: dict[tuple[str, ...], Fields] = {}
    for run in found:
        workflow = workflows.get(_suite(run))
        key = (_application(run), run.text("name"), *(_trigger(workflow) if workflow is not None else ()))
        if key not in newest or run.number("id") > newest[key].number("id"):
            newest[key] = run
    suites = {_suite(run) for run in found}
    latest = {_trigger(workflow): workflow for workflow in reversed(workflows.values())}
    without = [
        _check_of(workflow) for workflow in latest.values() if workflow.number("check_suite_id", 0) not in suites
    ]
    return [*map(_check, newest.values()), *(check for check in without if check is not None)]


def output(call: Call, path: str, check: Check) -> CheckOutput:
    """What GitHub tells of a check in the repository at `path`; its log is that of the job with the same number, where
    Actions made it. Raises ForgeFailure."""
    if not check.id:
        return CheckOutput(check.ran, (), check.description)
    run = call.get(f"{path}/check-runs/{check.id:d}")
    words = "\n\n".join([*_words(run), *_annotations(call, f"{path}/check-runs/{check.id:d}/annotations")])
    ran = run.text("conclusion", "") not in _NOT_RUN
    job = _job(call, f"{path}/actions/jobs/{check.id:d}") if ran and _application(run) == _ACTIONS else None
    if job is None:
        return CheckOutput(ran, (), words)
    if not jobs.executed(job):
        return CheckOutput(False, (), words)
    return CheckOutput(True, jobs.failing(job, jobs.log(call, f"{path}/actions/jobs/{check.id:d}/logs")), words)


def _check(run: Fields) -> Check:
    output = run.maybe("output")
    conclusion = run.text("conclusion", "")
    ended = run.text("status") == "completed"
    return Check(
        name=run.text("name"),
        state=_CONCLUSIONS.get(conclusion, "other") if ended else "pending",
        url=run.text("html_url", ""),
        description=output.text("title", "") if output is not None else "",
        id=run.number("id"),
        ran=not ended or conclusion not in _NOT_RUN,
    )


def _check_of(workflow: Fields) -> Check | None:
    """A run of a workflow without any check of its own; None for one that needed none."""
    ended, conclusion = workflow.text("status") == "completed", workflow.text("conclusion", "")
    if ended and conclusion not in _HELD:
        return None
    return Check(
        name=workflow.text("name", "workflow"),
        state="failure" if ended else "pending",
        url=workflow.text("html_url", ""),
        description=_HELD.get(conclusion, ""),
        ran=not ended,
    )


def _workflows(call: Call, path: str, sha: str) -> dict[int, Fields]:
    """The runs of workflows for a commit by their suites, the newest first; none where the token may not see them."""
    with contextlib.suppress(ForgeForbidden, ForgeNotFound):
        query: Mapping[str, str | int] = {"head_sha": sha, "per_page": PAGE}
        found = call.pages(f"{path}/actions/runs", query, key="workflow_runs", limit=1, cut=True)
        return {run.number("check_suite_id", 0): run for run in found if run.text("head_sha", sha) == sha}
    return {}


def _trigger(workflow: Fields) -> tuple[str, str]:
    return str(workflow.number("workflow_id", 0)), workflow.text("event", "")


def _suite(run: Fields) -> int:
    suite = run.maybe("check_suite")
    return suite.number("id", 0) if suite is not None else 0


def _application(run: Fields) -> str:
    app = run.maybe("app")
    return app.text("slug", "") if app is not None else ""


def _words(run: Fields) -> list[str]:
    """Title, summary and text of a check's output, where they are."""
    output = run.maybe("output")
    if output is None:
        return []
    return [said for name in ("title", "summary", "text") if (said := output.text(name, "").strip())]


def _annotations(call: Call, path: str) -> list[str]:
    """What a check says about lines, as far as it failed for it, one line each: the first hundred of all it says."""
    with contextlib.suppress(ForgeForbidden, ForgeNotFound):
        found = call.get(path, {"per_page": PAGE}).list()
        said = [_annotation(item) for item in found if item.text("annotation_level", "") == "failure"]
        return ["\n".join(said)] if said else []
    return []


def _annotation(item: Fields) -> str:
    path, line = item.text("path", ""), item.number("start_line", 0)
    place = f"{path}:{line}: " if path and path != _NO_FILE else ""
    return f"{place}{item.text('message', '') or item.text('title', '')}"


def _job(call: Call, path: str) -> Fields | None:
    """A job; None where the token may not see it, or the check is one that a step of a job made."""
    with contextlib.suppress(ForgeForbidden, ForgeNotFound):
        return call.get(path)
    return None
