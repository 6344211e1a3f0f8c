"""The words of set-up and verification."""

from __future__ import annotations

from kugetsu.views import times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: code of `events.attempts.Verification` → words.
CODES = {
    "passed": "passed",
    "failed": "failed",
    "timed_out": "took longer than VERIFY_MINUTES",
    "nothing_ran": "executed nothing",
    "base_failed": "fails on the base branch too",
    "set_up_failed": "could not be prepared",
    "not_run": "not run",
}


def set_up(data: dict[str, Any]) -> str:
    """How a worktree was made ready."""
    done = "made ready" if data["code"] == "done" else f"set-up {data['code'].replace('_', ' ')}"
    return f"{done} in {times.duration(data['seconds'])}"


def base(data: dict[str, Any]) -> str:
    """What the verification says of a base commit."""
    return f"{data['repository']} at {data['commit'][:12]}: verification {CODES.get(data['code'], data['code'])}"
