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

#: code of a refused push (`runtime.git.refused_push`) → why, in a few words, the remedy, and what to tell the agent.
REFUSALS = {
    "protected_branch": ("protected branch", "the work belongs on a branch of its own", "push to your own branch"),
    "non_fast_forward": ("behind the remote", "the remote branch has other commits: rebase", "rebase and push again"),
    "hook": ("declined by a hook", "change what the server's hook objects to", "change what the server refused"),
    "no_right": ("no right to push", "give the agent's token or key the right to push", "push again"),
    "too_large": ("too large", "take large files out of the commits", "take large files out of the commits"),
    "other": ("by the server", "read the server's words", "push again"),
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
        return "pushed, PR unknown" if result.get("unseen") else "pushed, no PR"
    if kind == "push_refused":
        return f"push refused: {refusal(result)[0]}"
    if kind == "unpushed" and result.get("elsewhere") and not result.get("commits"):
        return f"committed in {line(result['elsewhere'])}"
    if kind == "unpushed":
        return f"{counted(result.get('ahead') or result.get('commits') or 0, 'commit')} not pushed"
    if kind == "uncommitted":
        return counted(result["uncommitted"], "uncommitted file")
    return NAMES.get(kind, line(kind))


def refusal(result: dict[str, Any]) -> tuple[str, str, str]:
    """Why a push was refused, the remedy, and what to tell the agent (`REFUSALS`)."""
    return REFUSALS.get((result.get("refused") or {}).get("code") or "", REFUSALS["other"])


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
    if kind == "push_refused" and result is not None:
        return _after_refusal(key, result)
    if kind in ("pull_request", "merged"):
        return f"kugetsu open {key}"
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
