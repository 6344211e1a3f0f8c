"""The words of why pushed work has no pull request (`domain.missing_pull`), and the command that comes next."""

from __future__ import annotations

from kugetsu.domain.state import EVERYTHING
from kugetsu.model import result_words
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SETTLED = ("never", "no_forge")
"""The reasons that are the user's own settings: the work is looked at without a pull request."""


def words(code: str, values: dict[str, Any]) -> str:
    """The reason, in a few words."""
    if code == "not_verified":
        return f"no pull request, {line(result_words.unverified(values, values['tries']))}"
    if code in ("failed", "given_up"):
        again = "it is tried again" if code == "failed" else "not tried again"
        return f"no pull request, {line(values['reason'])}; {again}"
    if code == "no_forge":
        return f"no pull request, {line(values['reason'])}"
    return {
        "later_work": "its pull request waits: the branch has later work that has not been verified",
        "paused": f"its pull request waits: {_paused(values)} is paused",
        "never": "no pull request, OPEN_PULL_REQUEST is never",
    }.get(code, "its pull request is still to be opened")


def _paused(values: dict[str, Any]) -> str:
    return "the queue" if values.get("of") in (None, EVERYTHING) else str(values["of"])


def next_command(key: str, code: str, values: dict[str, Any]) -> str | None:
    """The command that comes next for the issue; None if none helps."""
    if code == "not_verified":
        return result_words.next_verification(values["code"], key)
    if code == "later_work":
        return f"kugetsu verify {key}"
    if code == "paused":
        return "kugetsu queue resume" if values["of"] == EVERYTHING else f"kugetsu queue resume {values['of']}"
    if code == "never":
        return f"kugetsu config set --repo {key.partition('#')[0]} OPEN_PULL_REQUEST missing"
    remedy = values.get("remedy") or ""
    return line(remedy) if remedy.startswith("kugetsu ") else None
