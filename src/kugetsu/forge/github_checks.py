"""Checks as GitHub has them: statuses of a commit, runs of checks, and jobs of Actions behind some of these."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from kugetsu.forge import jobs
from kugetsu.forge.client import Call
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


def newest(runs: Iterable[Fields]) -> list[Check]:
    """The runs of checks, of those with the same name and application the newest: GitHub gives the newest of each
    suite, and a commit may have several (for a push, for its pull request, for one that was opened again)."""
    found: dict[tuple[str, str], Fields] = {}
    for run in runs:
        key = (_application(run), run.text("name"))
        if key not in found or run.number("id") > found[key].number("id"):
            found[key] = run
    return [_check(run) for run in found.values()]


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
