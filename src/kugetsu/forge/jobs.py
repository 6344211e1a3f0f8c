"""A job of a forge's own CI: which of its steps failed, and the part of its log that is theirs.

GitHub, Gitea and Forgejo write both alike: steps with their times, and one log of the job, each line behind its time.
"""

from __future__ import annotations

import re

from kugetsu.forge.client import Call
from kugetsu.forge.failures import ForgeFailure, ForgeLimited
from kugetsu.forge.json_fields import Fields

LOG = 1 << 20
"""Characters kept of one step's log: its end."""

_FAILED = ("failure", "timed_out", "startup_failure")
_NOT_EXECUTED = ("", "skipped", "cancelled")
_TIME = re.compile(r"^\ufeff?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z ?")


def executed(job: Fields) -> bool:
    """Whether a job executed a step: one that waits, was cancelled before its start or may not cost more did not."""
    return any(step.text("conclusion", "") not in _NOT_EXECUTED for step in job.list("steps"))


def log(call: Call, path: str) -> str | None:
    """The end of a job's log; None where it is gone, not to be seen, or cannot be had now: a turn is better begun
    without it than never. Raises ForgeLimited."""
    try:
        return call.log(path)
    except ForgeLimited:
        raise
    except ForgeFailure:
        return None


def failing(job: Fields, log: str | None) -> tuple[tuple[str, str | None], ...]:
    """The failing steps of a job, each with the end of its part of the log; those that were cancelled where none failed
    (the job's time limit); the job itself where its steps are not told apart."""
    steps = job.list("steps")
    found = [step for step in steps if step.text("conclusion", "") in _FAILED]
    if not found:
        found = [step for step in steps if step.text("conclusion", "") == "cancelled" and _second(step, "started_at")]
    if not found or (len(found) == len(steps) > 1):  # Gitea 1.24 gives each step the outcome of its job
        return ((job.text("name", "job"), None if log is None else _whole(log)),)
    return tuple((step.text("name", "step"), None if log is None else _part(step, log)) for step in found)


def _part(step: Fields, log: str) -> str:
    """What a log has of a step. Its times are whole seconds: some lines before and after it may come with it."""
    start, end = _second(step, "started_at"), _second(step, "completed_at")
    kept, inside = [], False
    for line in log.rstrip("\n").split("\n"):
        found = _TIME.match(line)
        if found is not None:
            inside = start <= found[1] <= end
        if inside:
            kept.append(line[found.end() :] if found is not None else line)
    return "\n".join(kept)[-LOG:] if kept and start else _whole(log)


def _whole(log: str) -> str:
    return "\n".join(_TIME.sub("", line) for line in log.rstrip("\n").split("\n"))[-LOG:]


def _second(step: Fields, name: str) -> str:
    """The second in which a step began or ended; empty if it did not: Gitea gives the year 1 for that."""
    return "" if step.text(name, "").startswith("0001-") else step.time(name, "")[:19]
