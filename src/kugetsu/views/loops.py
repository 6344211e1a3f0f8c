"""The words of the loop: feedback on a pull request, and the brakes that end it."""

from __future__ import annotations

from kugetsu.model.plural import counted
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: kind of feedback → one item of it.
_KINDS = {
    "checks": "failing check",
    "reviews": "review",
    "comments": "comment",
    "conflicts": "conflict",
    "verification": "failed verification",
}


def feedback(items: Sequence[dict[str, Any]], gone: Sequence[str]) -> str:
    """What is new, and how much is over."""
    parts = [_item(item) for item in items]
    return "; ".join([*parts, *([f"{counted(len(gone), 'item')} over"] if gone else [])]) or "nothing"


def _item(item: dict[str, Any]) -> str:
    what = _KINDS.get(item["kind"], item["kind"])
    by = f" by {line(item['author'])}" if item.get("author") else ""
    name = f" {line(item['name'])}" if item.get("name") else ""
    return f"{what}{name}{by}" + ("" if item["counts"] else " (starts no turn)")


def held(code: str, values: dict[str, Any]) -> str:
    """Which brake holds."""
    if code == "most_reactions":
        return (
            f"{values.get('turns')} turns have answered its feedback (MAX_REACTIONS {values.get('max')}): over to you"
        )
    if code == "issue_closed":
        return "its issue is closed: no further turn"
    if code == "kept":
        return f"merged, but its session stays: {values.get('why')}"
    return f"{values.get('task')} changed nothing of it: over to you"


def forwarded(data: dict[str, Any]) -> str:
    """Whose commits a worktree got before a run."""
    commits = counted(data["commits"], "commit")
    return f"{commits} of others on {line(data['branch'])}: {data['was'][:12]} to {data['head'][:12]}"
