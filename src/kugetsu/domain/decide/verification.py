"""Decisions on verification: what is remembered of a base commit."""

from __future__ import annotations

from kugetsu.domain.decision import decision
from kugetsu.domain.fold.sessions import base_key
from kugetsu.domain.new_event import NewEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.state import State


@decision("verification.base")
def base(
    state: State,
    repository: str,
    commit: str,
    sha: str,
    code: str,
    exit: int | None,
    seconds: float,
    attempt_id: str | None = None,
) -> list[NewEvent]:
    """Remember what VERIFY_COMMAND says of a base commit, asked by an attempt or by hand; [] if it has said so."""
    known = state.bases.get(base_key(repository, commit, sha))
    if known is not None and known["code"] == code:
        return []
    data = {
        "repository": repository,
        "commit": commit,
        "sha": sha,
        "code": code,
        "exit": exit,
        "seconds": seconds,
    }
    attempt = state.attempts.get(attempt_id) if attempt_id is not None else None
    about: dict[str, Any] = {}
    if attempt is not None:
        about = {"issue": attempt.issue, "task": attempt.task, "attempt": attempt.id, "cause": attempt.claimed}
    return [NewEvent("base.verified", data, **about)]
