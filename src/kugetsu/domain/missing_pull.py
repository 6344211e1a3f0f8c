"""Why work that was pushed has no pull request: from the state alone, and the settings that ask for one."""

from __future__ import annotations

from kugetsu.domain.intake import on_hold, pause_of
from kugetsu.domain.results import UNKNOWN
from kugetsu.domain.verification import is_withheld

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kugetsu.domain.state import Session, State

    Reason = tuple[str, dict[str, Any]]
    #: Why kugetsu would open none for an issue, by today's settings: ``never`` (OPEN_PULL_REQUEST), or ``no_forge``
    #: with "reason" and "remedy"; None if it would.
    Refusal = Callable[[str], Reason | None]


def reason(state: State, session: Session, now: str, refusal: Refusal | None = None) -> Reason | None:
    """A code and its values; None where there is one, nothing was pushed, or the log does not tell.

    ``not_verified`` (as `Session.verified`), ``later_work`` (the branch has later work whose verification has not
    passed), ``paused``, ``failed`` (the forge; it is tried again), ``owed`` (the daemon opens it), ``given_up``, or
    what ``refusal`` tells of the settings.
    """
    if (session.pull or {}).get("state") == "open":
        return None
    verified, owed, failed = session.verified, session.owed, session.unopened
    if owed is not None:
        if is_withheld(session):
            return "later_work", {"head": session.head}
        if on_hold(state, session.key, now):
            return "paused", {"of": pause_of(state, session.key, now)}
        return ("failed", {**failed, "until": owed["not_before"]}) if failed is not None else ("owed", {})
    if session.result_kind != "pushed":
        return None
    if verified is not None and verified["commit"] == session.head and verified["code"] in UNKNOWN:
        return "not_verified", verified
    if failed is not None and failed["head"] == session.head:
        return "given_up", failed
    return refusal(session.key) if refusal is not None else None
