"""What is known of the verification of work and of base commits, and which one is owed.

A verification speaks of one commit. One that was not run (its runner was killed, its time was up) is owed: the daemon
runs it later, `MOST_TRIES` times at most for a commit and what is run, with the pauses of a set-up between them; then a
person does. What a repository supplies to the set-up may have been the reason: once something else is accepted, it is
owed anew.
"""

from __future__ import annotations

from kugetsu.domain.results import COMMITTED, NOT_TO_OPEN, UNKNOWN
from kugetsu.domain.worktree_setup import PAUSES, accepted_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.state import Session, State

#: How often the daemon begins a verification that was not run, for a commit and a hash.
MOST_TRIES = len(PAUSES) + 1
#: How often a base commit must fail before that is believed.
BASE_TRIES = 2

#: What of a verification (`events.attempts.Verification`) a session keeps.
_KEPT = ("commit", "sha", "code", "exit", "seconds", "why")
#: Where what the repository supplies may be what kept it from being run.
_SET_UP = ("not_run", "base_unready")


def is_believed(known: dict[str, Any], seconds: float) -> bool:
    """Whether what is remembered of a base commit (`State.bases`) holds, where it may run for ``seconds``."""
    if known["code"] == "failed":
        return bool(known["tries"] >= BASE_TRIES)
    return known["code"] != "timed_out" or not _is_longer(seconds, known)


def _is_longer(seconds: float, known: dict[str, Any]) -> bool:
    """Whether a time limit of ``seconds`` is longer than the one that was met."""
    return bool(seconds > (known["seconds"] or 0.0) + 1.0)


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
    known = {"refused": refused, "tries": tries, "begun": None, "not_before": None}
    return {**kept, **work, **known, "seq": event["seq"], "latest": event["seq"]}


def said(known: dict[str, Any], found: dict[str, Any], seq: int = 0) -> dict[str, Any]:
    """What a session knows after a later verification of the commit, which the event ``seq`` records; one that was
    stopped from outside is no try."""
    tries = known["tries"] - (found["why"] == "stopped" and known["begun"] is not None)
    # What was accepted while it ran came too late for it.
    then = {"tries": tries, "begun": None, "not_before": found.get("not_before"), "latest": known["begun"] or seq}
    return {**known, **{name: found[name] for name in _KEPT}, **then}


def by_hand(found: dict[str, Any], seq: int) -> dict[str, Any]:
    """What a session knows after a person verified a commit of which nothing was known."""
    kept = {name: found[name] for name in _KEPT}
    known = {"task": None, "attempt": None, "refused": False, "tries": 0, "begun": None, "not_before": None}
    return {**kept, **known, "seq": seq, "latest": seq}


def closed_meanwhile(evidence: Mapping[str, Any], began: str) -> bool:
    """Whether somebody closed the pull request during a run that ``began`` then, by its evidence: they want no more of
    it, and so no other one with its work."""
    pull = evidence.get("pull") or {}
    return pull.get("state") == "closed" and (pull.get("over_at") or "") > began


def is_owed(state: State, session: Session, sha: str, seconds: float | None = None) -> bool:
    """Whether the daemon is to verify a session's work, where what is run has the hash ``sha`` and may run for
    ``seconds`` (None: as long as before)."""
    known = _unknown(session)
    if known is None:
        return False
    if known["sha"] != sha or _is_accepted_since(state, session, known):
        return True
    if known["code"] == "too_slow":
        return seconds is not None and _is_longer(seconds, known)
    return known["code"] == "not_run" and not _is_used_up(known)


def not_before(state: State, session: Session, sha: str) -> str:
    """When the daemon may begin what is owed (`is_owed`); empty for at once."""
    known = session.verified or {}
    again = known.get("sha") == sha and not _is_accepted_since(state, session, known)
    return (known["not_before"] or "") if again else ""


def pause(known: dict[str, Any]) -> float | None:
    """Seconds until the daemon's next try after one that came to ``known``; None where none follows, and where what
    stopped it decides."""
    if known["code"] != "not_run" or known["why"] == "stopped" or _is_used_up(known):
        return None
    return PAUSES[known["tries"] - 1] if known["tries"] else None


def _is_accepted_since(state: State, session: Session, known: dict[str, Any]) -> bool:
    return known["code"] in _SET_UP and accepted_at(state, session.repository or "") > known["latest"]


def next_try(state: State, session: Session, sha: str) -> int:
    """The number of the daemon's next try: it counts those of one commit and hash that came to nothing."""
    known = session.verified or {}
    again = known["sha"] == sha and known["code"] == "not_run" and not _is_accepted_since(state, session, known)
    return int(known["tries"]) + 1 if again else 1


def is_for_a_person(session: Session) -> bool:
    """Whether nobody knows what a session's work is worth before a person acts: what is run, or its limit, is changed,
    or it is verified by hand. A review that has been dealt with asks for nothing."""
    known = _unknown(session)
    return known is not None and session.review != "approved" and is_given_up(known)


def is_given_up(known: dict[str, Any]) -> bool:
    """Whether the daemon verifies it no more, as it is."""
    return known["code"] in UNKNOWN and (known["code"] != "not_run" or _is_used_up(known))


def _is_used_up(known: dict[str, Any]) -> bool:
    return bool(known["tries"] >= MOST_TRIES)


def _unknown(session: Session) -> dict[str, Any] | None:
    """What is known of the verification of a session's latest work while that says nothing of it."""
    known = session.verified
    if known is None or known["commit"] != session.head or session.kind != "issue" or known["code"] not in UNKNOWN:
        return None
    if session.attempt is not None or session.person is not None or session.destroying:
        return None
    if session.result_kind not in COMMITTED or session.review in ("merged", "closed"):
        return None
    return known


def is_withheld(session: Session) -> bool:
    """Whether the pull request that a session owes waits: its branch has work whose own verification has not passed,
    where that was asked for when the work's run ended. The next run that passes intends another one, as does a
    verification by hand."""
    known, owed = session.verified, session.owed
    if owed is None or (known is None and not owed.get("to_verify")):
        return False
    if known is not None and known["commit"] == session.head:
        return known["code"] in NOT_TO_OPEN
    return bool(session.head != owed["head"])
