"""What is known of the verification of work and of base commits, and which one is owed.

A verification speaks of one commit. One that was not run (its runner was killed, its time was up) is owed: the daemon
runs it later, `MOST_TRIES` times at most for a commit and what is run; then a person does.
"""

from __future__ import annotations

from kugetsu.domain.results import COMMITTED, NOT_TO_OPEN, UNKNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.state import Session

#: How often the daemon begins a verification that was not run, for a commit and a hash.
MOST_TRIES = 2
#: How often a base commit must fail before that is believed.
BASE_TRIES = 2

#: What of a verification (`events.attempts.Verification`) a session keeps.
_KEPT = ("commit", "sha", "code", "exit", "seconds", "why")


def is_believed(known: dict[str, Any], seconds: float) -> bool:
    """Whether what is remembered of a base commit (`State.bases`) holds, where it may run for ``seconds``."""
    if known["code"] == "failed":
        return bool(known["tries"] >= BASE_TRIES)
    return bool(known["code"] != "timed_out" or known["seconds"] + 1.0 >= seconds)


def of_attempt(session: Session, event: Event, began: str) -> dict[str, Any] | None:
    """What a session knows of the verification of its work after an attempt that ``began`` then ended: a new one, else
    what it knew."""
    found = event["data"]["evidence"].get("verification")
    if not found:
        return session.verified
    head = event["data"]["evidence"].get("head")
    kept = {**{name: found.get(name) for name in _KEPT}, "commit": found.get("commit") or head}
    before = session.verified or {}
    again = all(kept[name] == before.get(name) for name in ("commit", "sha"))
    work = {name: event.get(name) for name in ("task", "attempt")}
    refused = closed_meanwhile(event["data"]["evidence"], began)
    tries = before["tries"] if again else 0
    return {**kept, **work, "refused": refused, "tries": tries, "begun": None, "seq": event["seq"]}


def said(known: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What a session knows after a later verification of the commit; one that was stopped from outside is no try."""
    tries = known["tries"] - (found["why"] == "stopped" and known["begun"] is not None)
    return {**known, **{name: found[name] for name in _KEPT}, "tries": tries, "begun": None}


def by_hand(found: dict[str, Any], seq: int) -> dict[str, Any]:
    """What a session knows after a person verified a commit of which nothing was known."""
    kept = {name: found[name] for name in _KEPT}
    return {**kept, "task": None, "attempt": None, "refused": False, "tries": 0, "begun": None, "seq": seq}


def closed_meanwhile(evidence: Mapping[str, Any], began: str) -> bool:
    """Whether somebody closed the pull request during a run that ``began`` then, by its evidence: they want no more of
    it, and so no other one with its work."""
    pull = evidence.get("pull") or {}
    return pull.get("state") == "closed" and (pull.get("over_at") or "") > began


def is_owed(session: Session, sha: str, seconds: float | None = None) -> bool:
    """Whether the daemon is to verify a session's work, where what is run has the hash ``sha`` and may take
    ``seconds`` (None: as long as before)."""
    known = session.verified
    if known is None or known["commit"] != session.head or session.kind != "issue":
        return False
    if session.attempt is not None or session.person is not None or session.destroying:
        return False
    if session.result_kind not in COMMITTED or session.review in ("merged", "closed"):
        return False
    if known["sha"] != sha:
        return known["code"] in UNKNOWN
    if known["code"] == "too_slow":
        return seconds is not None and not is_believed({**known, "code": "timed_out"}, seconds)
    return bool(known["code"] == "not_run" and known["tries"] < MOST_TRIES)


def is_withheld(session: Session) -> bool:
    """Whether the pull request that a session owes waits: its branch has work whose own verification has not passed.
    The next run that passes intends another one, as does a verification by hand."""
    known, owed = session.verified, session.owed
    if known is None or owed is None:
        return False
    if known["commit"] == session.head:
        return known["code"] in NOT_TO_OPEN
    return bool(session.head != owed["head"])
