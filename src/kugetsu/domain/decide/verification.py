"""Decisions on verification: what is remembered of a base commit, and work that is verified after its run."""

from __future__ import annotations

from kugetsu.domain import loops, results, verification
from kugetsu.domain.decision import decision
from kugetsu.domain.fold.sessions import base_key
from kugetsu.domain.new_event import NewEvent
from kugetsu.model.clock import add_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.state import Session, State

#: What remains of one that was stopped.
_STOPPED = ("commit", "sha", "command", "tree")
_DATA = ("commit", "sha", "code", "command", "exit", "seconds", "tree", "why", "tail")


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
    """Remember what VERIFY_COMMAND says of a base commit, asked by an attempt or by hand; [] if it has said so: a
    failure counts each time, and of a time limit that was met the latest is known."""
    known = state.bases.get(base_key(repository, commit, sha))
    again = known is not None and known["code"] == code
    if again and code not in ("failed", "timed_out"):
        return []
    tries = 1 + (known["tries"] if again and known is not None else 0)
    data = {
        "repository": repository,
        "commit": commit,
        "sha": sha,
        "code": code,
        "exit": exit,
        "seconds": seconds,
        "tries": tries,
    }
    attempt = state.attempts.get(attempt_id) if attempt_id is not None else None
    about: dict[str, Any] = {}
    if attempt is not None:
        about = {"issue": attempt.issue, "task": attempt.task, "attempt": attempt.id, "cause": attempt.claimed}
    return [NewEvent("base.verified", data, **about)]


@decision("verification.begin")
def begin(state: State, key: str, commit: str, sha: str, command: str, seconds: float | None = None) -> list[NewEvent]:
    """Intent: verify the work of a session later (`domain.verification`), for at most ``seconds``; [] if that is not
    owed."""
    session = state.sessions.get(key)
    if session is None or session.verified is None or not verification.is_owed(state, session, sha, seconds):
        return []
    if session.verified["commit"] != commit or session.verified["begun"] is not None:
        return []
    tries = verification.next_try(state, session, sha)
    data = {"commit": commit, "sha": sha, "command": command, "tries": tries}
    return [NewEvent("work.verifying", data, **_about(session, session.verified["seq"]))]


def data_of(found: dict[str, Any], *, by_hand: bool) -> dict[str, Any]:
    """The data of ``work.verified`` for what a verification found (`events.attempts.Verification`)."""
    return {**{name: found.get(name) for name in _DATA}, "by_hand": by_hand}


@decision("verification.verified")
def verified(
    state: State,
    key: str,
    result: dict[str, Any],
    failed_check: dict[str, Any] | None = None,
    opening: dict[str, Any] | None = None,
    now: str | None = None,
) -> list[NewEvent]:
    """What a later verification says of a session's work (``result``: `data_of`), and what follows while that is its
    last: feedback for the next turn (``failed_check``), or the intent of the pull request (``opening``).

    The daemon's is the outcome of its intent; where somebody works in the session by then it was stopped, whatever it
    said, and is owed again when they are done. That nothing is asked for any more needs no intent. That of a person is
    [] unless it says more than is known.
    """
    session = state.sessions.get(key)
    if session is None:
        return []
    known = session.verified if session.verified is not None and session.verified["commit"] == result["commit"] else {}
    is_last = result["commit"] == session.head and session.attempt is None and session.person is None
    if result["by_hand"]:
        counts = is_last and _says_more(known, result["code"])
    elif result["code"] == results.NOT_ASKED:
        counts = is_last and known.get("code") in results.UNKNOWN and known["begun"] is None
    else:
        counts = bool(known.get("begun"))
    if not counts:
        return []
    cause = known.get("begun") or known.get("seq") or session.changed
    about = _about(session, cause)
    if result["commit"] == session.head and not is_last:
        kept = {name: result[name] for name in _STOPPED}
        result = data_of({**kept, "code": "not_run", "why": "stopped"}, by_hand=False)
    data = dict(result)
    if is_last and not result["by_hand"]:
        after = verification.said(known, result)
        pause = verification.pause(after)
        if verification.is_given_up(after):
            data["given_up"] = after["tries"]
        elif pause is not None and now is not None:
            data["not_before"] = add_seconds(now, pause)
    new_events = [NewEvent("work.verified", data, **about)]
    if not is_last:
        return new_events
    found = results.verified(session.result or {"kind": "nothing"}, result)
    about["cause"] = -1
    if opening is not None and found["kind"] == "pushed" and result["code"] not in results.NOT_TO_OPEN:
        new_events.append(NewEvent("pull.opening", dict(opening), **about))
    items = [failed_check] if failed_check is not None and found["kind"] == "checks_failed" else []
    seen = feedback(state, session, result["code"], items, session.pr, result["commit"])
    return new_events + [NewEvent("feedback.seen", one, **{**about, "cause": -len(new_events)}) for one in seen]


def feedback(
    state: State, session: Session, code: str | None, items: list[dict[str, Any]], url: str | None, head: str | None
) -> list[dict[str, Any]]:
    """The data of ``feedback.seen``, if a verification that says ``code`` says something to the loop: ``items`` that
    the daemon answers with the next turn, or that an earlier one is over."""
    if session.kind != "issue" or code is None or code in (*results.UNKNOWN, results.NOT_ASKED):
        return []
    known = loops.loop_of(state, session.key)["items"]
    present = [item["id"] for item in items]
    gone = [name for name, item in known.items() if item["kind"] == "verification" and item["open"]]
    gone = [name for name in gone if name not in present]
    return [{"url": url, "head": head, "items": items, "gone": gone}] if items or gone else []


def _says_more(known: dict[str, Any], code: str) -> bool:
    """Whether a person's verification of a session's last commit is to be recorded: what passed once stays so."""
    if code in results.UNKNOWN:
        return False
    before: str = known.get("code", "not_run")
    if before in (*results.UNKNOWN, results.NOT_ASKED):
        return True
    if code == "passed":
        return before != "passed"  # its pull request may be open with the words of what was known
    return before in results.NOT_TO_OPEN and code not in results.NOT_TO_OPEN


def _about(session: Session, cause: int) -> dict[str, Any]:
    work = {name: (session.verified or {}).get(name) for name in ("task", "attempt")}
    return {"issue": session.key, "session": session.key, "cause": cause, **work}
