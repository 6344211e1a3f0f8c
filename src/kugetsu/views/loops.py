"""The words of the loop: feedback on a pull request, and the brakes that end it."""

from __future__ import annotations

from kugetsu.model.plural import counted
from kugetsu.model.result_words import FEEDBACK, feedback_noun
from kugetsu.views.text import cut, line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: The first word of an item's id → its kind (`events.reactions.Feedback`).
_KINDS = {"check": "checks", "review": "reviews", "remark": "reviews", "comment": "comments", "conflict": "conflicts"}
_KINDS |= {"verification": "verification"}
#: Columns of what an item says that are shown.
_BEGINS = 60


def feedback(items: Sequence[dict[str, Any]], gone: Sequence[str]) -> str:
    """What is new, and of what kinds is what is over."""
    parts = [item_words(item) for item in items]
    return "; ".join([*parts, *([f"over: {about(_kinds(gone))}"] if gone else [])]) or "nothing"


def _kinds(ids: Sequence[str]) -> dict[str, int]:
    """How many items of each kind their ids name."""
    kinds = [_KINDS.get(name.partition(":")[0], "other") for name in ids]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def item_words(item: dict[str, Any]) -> str:
    """One item: what, by whom, where, and how it begins."""
    what = feedback_noun(item)
    name = f" {line(item['name'])}" if item.get("name") else ""
    name, does = ("", name) if item["kind"] == "reviews" else (name, "")
    by = f" by {line(item['author'])}" if item.get("author") else ""
    place = f" on {line(item['path'])}" if item.get("path") else ""
    place += f":{item['line']}" if item.get("path") and item.get("line") else ""
    said = next((part for part in (item.get("text") or "").splitlines() if part.strip()), "")
    begins = f": {cut(line(said), _BEGINS)}" if said else ""
    return f"{what}{name}{by}{does}{place}{begins}" + ("" if item["counts"] else " (starts no turn)")


def about(kinds: dict[str, int]) -> str:
    """``2 failing checks, 1 review``."""
    return ", ".join(counted(number, FEEDBACK.get(kind, "item")) for kind, number in kinds.items()) or "-"


def brake(code: str) -> str:
    """A brake in a few words."""
    words = {"most_reactions": "MAX_REACTIONS", "no_change": "changed nothing", "kept": "its session stays"}
    return words.get(code, code.replace("_", " "))


def forwarded(data: dict[str, Any]) -> str:
    """Whose commits a worktree got before a run."""
    commits = counted(data["commits"], "commit")
    return f"{commits} of others on {line(data['branch'])}: {data['was'][:12]} to {data['head'][:12]}"
