"""The words of results and reviews, and the command that comes next."""

from __future__ import annotations

from kugetsu.model.plural import counted
from kugetsu.model.result_words import lines_changed, next_verification, refusal, verification_remedy, words
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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


def result_words(result: dict[str, Any] | None) -> str:
    """The result in a few words (`model.result_words`), as one harmless line."""
    return line(words(result))


def remarks(result: dict[str, Any] | None) -> list[str]:
    """What a person must know of a result beside what it is: one sentence each."""
    if result is None:
        return []
    said = []
    if result.get("foreign"):
        said.append(f"{counted(result['foreign'], 'commit')} in the pull request not made by this session")
    if result.get("later"):
        said.append(f"{counted(result['later'], 'commit')} after the merge in no pull request")
    if result.get("elsewhere"):
        said.append(f"commits of the agent landed in {line(result['elsewhere'])}")
    if result.get("uncommitted") and result["kind"] != "uncommitted":
        said.append(counted(result["uncommitted"], "uncommitted file"))
    if result.get("unseen"):
        said.append(f"the forge could not be asked: {line(result['unseen'])}")
    return said


def size_words(result: dict[str, Any] | None) -> str:
    """The size of the work: `+48 −12 in 3 files`; empty if unknown or none."""
    if not result or not result.get("files"):
        return ""
    return f"{lines_words(result)} in {counted(result['files'], 'file')}"


def lines_words(result: dict[str, Any] | None) -> str:
    """The lines of the work: `+48 −12`; empty if unknown or none."""
    return lines_changed(result.get("added"), result.get("removed")) if result and result.get("files") else ""


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
    if kind == "push_refused" and result is not None:
        return _after_refusal(key, result)
    code = (result or {}).get("verification", {}).get("code")
    if code == "not_run" or (code is not None and verification_remedy(code, key) is not None):
        return next_verification(code, key)
    if kind in ("pull_request", "merged"):
        return f"kugetsu open {key}"
    if kind == "checks_failed":
        return f"kugetsu verify {key}"
    if kind == "set_up_failed":
        return f"kugetsu doctor --repo {key.rpartition('#')[0]}"
    if kind == "answered":
        return f"kugetsu context {key}"
    if kind in ("nothing", "failed", "unknown"):
        return f"kugetsu history {key}"
    return f"kugetsu changes {key}"


def _after_refusal(key: str, result: dict[str, Any]) -> str:
    code = (result.get("refused") or {}).get("code")
    if code == "no_right":
        return f"kugetsu env set {'GITHUB_TOKEN' if key.startswith('github.com/') else 'GITEA_TOKEN'}"
    return f'kugetsu continue {key} "{refusal(result)[2]}"'
