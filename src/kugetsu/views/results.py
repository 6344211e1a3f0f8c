"""The words of results and reviews, and the command that comes next."""

from __future__ import annotations

from kugetsu.model.plural import counted
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: kind of a result (`domain.results`) → what it is called where one word must do.
NAMES = {
    "pull_request": "pull request",
    "merged": "merged",
    "pushed": "pushed",
    "push_refused": "push refused",
    "unpushed": "not pushed",
    "uncommitted": "uncommitted",
    "answered": "answered",
    "question": "question",
    "nothing": "nothing",
    "unknown": "unknown",
    "failed": "failed",
}

#: state of a review → its words.
REVIEWS = {
    "none": "-",
    "to_review": "to review",
    "changes_requested": "changes requested",
    "checks_failed": "checks failed",
    "conflicting": "conflicts",
    "approved": "approved",
    "merged": "merged",
    "closed": "closed",
}

_CHECKS = {"success": "checks ok", "failure": "checks failed", "pending": "checks pending"}


def result_words(result: dict[str, Any] | None) -> str:
    """The result in a few words: `PR #92, checks ok`, `pushed, no PR`, `2 uncommitted files`; `-` without one."""
    if result is None:
        return "-"
    kind = result["kind"]
    if kind in ("pull_request", "merged"):
        pull = result["pull"]
        parts = [f"PR #{pull['number']}{' draft' if pull.get('draft') else ''}"]
        parts.append("merged" if kind == "merged" else _CHECKS.get(pull.get("checks") or "", ""))
        return ", ".join(part for part in parts if part)
    if kind == "pushed":
        return "pushed, no PR"
    if kind == "unpushed":
        return f"{counted(result.get('commits') or 0, 'commit')} not pushed"
    if kind == "uncommitted":
        return counted(result["uncommitted"], "uncommitted file")
    return NAMES.get(kind, line(kind))


def size_words(result: dict[str, Any] | None) -> str:
    """The size of the work: `+48 −12 in 3 files`; empty if unknown or none."""
    if not result or not result.get("files"):
        return ""
    return f"+{result.get('added') or 0} −{result.get('removed') or 0} in {counted(result['files'], 'file')}"


def standing_words(standing: str) -> str:
    """Where an issue stands (`domain.standing`) in words."""
    return "asks you" if standing == "asks" else REVIEWS.get(standing, standing)


def review_words(review: str) -> str:
    """The state of a review in words."""
    return REVIEWS.get(review, line(review))


def next_command(key: str, result: dict[str, Any] | None, review: str) -> str:
    """The command that comes next for an issue whose latest run ended well."""
    kind = result["kind"] if result is not None else "nothing"
    if kind == "question" or review in ("changes_requested", "checks_failed", "conflicting"):
        return f"kugetsu continue {key} MESSAGE"
    if kind in ("pull_request", "merged"):
        return f"kugetsu open {key}"
    if kind == "answered":
        return f"kugetsu context {key}"
    if kind in ("nothing", "failed", "unknown"):
        return f"kugetsu history {key}"
    return f"kugetsu changes {key}"
