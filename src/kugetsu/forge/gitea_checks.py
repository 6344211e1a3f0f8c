"""Checks as Gitea and Forgejo have them: statuses of a commit, and jobs of their Actions behind some of these, which
Gitea tells since 1.24 and Forgejo since 16."""

from __future__ import annotations

import contextlib
import re

from kugetsu.forge import jobs
from kugetsu.forge.client import Call
from kugetsu.forge.failures import ForgeForbidden, ForgeNotFound
from kugetsu.forge.json_fields import Fields
from kugetsu.forge.protocol import Check, CheckOutput, CheckState

_STATES: dict[str, CheckState] = {
    "success": "success",
    "failure": "failure",
    "error": "failure",
    "pending": "pending",
}
_JOB = re.compile(r"/actions/runs/(?P<run>\d+)/jobs/(?P<job>\d+)")
_CONTEXT = re.compile(r"^.* / (?P<job>.+?)(?: \([a-z_]+\))?$")
"""What Actions call a status: `workflow / job (event)`."""
_CANCELLED = "Has been cancelled"
_NOT_RUN = ("cancelled", "skipped", "blocked", "waiting")
_RUNS = 50


def status(item: Fields) -> Check:
    """A status of a commit."""
    return Check(
        name=item.text("context", ""),
        state=_STATES.get(item.text("status"), "other"),
        url=item.text("target_url", ""),
        description=item.text("description", ""),
    )


def output(call: Call, path: str, sha: str, check: Check) -> CheckOutput:
    """What the forge tells of a check in the repository at `path`: of a status that has no job, or whose job the server
    does not tell, its description. Raises ForgeFailure."""
    job = None
    with contextlib.suppress(ForgeForbidden, ForgeNotFound):
        job = _job(call, path, sha, check)
    if job is None:
        return CheckOutput(check.description != _CANCELLED, (), check.description)
    log = jobs.log(call, f"{path}/actions/jobs/{job.number('id'):d}/logs")
    # Where no step is told, a log shows that there was one; where there is none of both, the outcome says it.
    outcome = job.text("conclusion", "") or job.text("status", "")
    ran = jobs.executed(job) if job.list("steps") else bool(log) or outcome not in _NOT_RUN
    return CheckOutput(ran, jobs.failing(job, log) if ran else (), check.description)


def _job(call: Call, path: str, sha: str, check: Check) -> Fields | None:
    """The job behind a status; None without one. The numbers in the URL of a status are those of web pages; the API has
    others, so that the run is found by its page, and the job by its page or its name."""
    found = _JOB.search(check.url)
    if found is None:
        return None
    # Forgejo gives all runs unless it is asked for a page.
    query: dict[str, str | int] = {"head_sha": sha, "page": 1, "limit": _RUNS}
    runs = call.get(f"{path}/actions/runs", query).list("workflow_runs")
    run = next((run for run in runs if _ends(run, f"/actions/runs/{found['run']}")), None)
    if run is None:
        return None
    told = call.get(f"{path}/actions/runs/{run.number('id'):d}/jobs", {"page": 1, "limit": _RUNS})
    jobs_of_run = told.list("" if told.is_list else "jobs")  # a bare list: Forgejo
    named = _CONTEXT.match(check.name)
    same = [job for job in jobs_of_run if _ends(job, f"/runs/{found['run']}/jobs/{found['job']}")]
    same = same or [job for job in jobs_of_run if named is not None and job.text("name", "") == named["job"]]
    return same[0] if len(same) == 1 else None


def _ends(item: Fields, place: str) -> bool:
    return item.text("html_url", "").rstrip("/").endswith(place)
