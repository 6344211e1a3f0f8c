"""Folds the events of reviews, of opened pull requests, and of reports."""

from __future__ import annotations

from kugetsu.domain.machines import step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.state import Session, State

#: The fields of a session's pull request as last observed.
SEEN = ("number", "url", "state", "head", "checks", "review", "mergeable", "draft")

#: Days whose reports were due that are kept.
DAYS_KEPT = 8

#: A state of a review that the world shows → the trigger that leads there.
TRIGGERS = {
    "none": "forget",
    "to_review": "await",
    "changes_requested": "request_changes",
    "checks_failed": "fail_checks",
    "conflicting": "conflict",
    "approved": "approve",
    "merged": "merge",
    "closed": "close",
}


def move_review(state: State, event: Event, session: Session, trigger: str) -> None:
    """Trigger the session's review; a refusal is a violation."""
    dest = step("review", session.review, trigger)
    if dest is None:
        state.violate(event["seq"], f"{event['type']}: a review that is {session.review} cannot {trigger}")
    elif dest != session.review or trigger == "deliver":
        session.review = dest
        session.review_at = event["at"]


def standing(pull: dict[str, Any], reviewed: str | None) -> str:
    """The state of a review as the pull request shows it; ``reviewed`` is the commit that a user has reviewed."""
    if pull["state"] != "open":
        return str(pull["state"])
    if pull["mergeable"] is False:
        return "conflicting"
    if pull["checks"] == "failure":
        return "checks_failed"
    if pull["review"] == "changes_requested":
        return "changes_requested"
    approved = pull["review"] == "approved" or (reviewed is not None and reviewed == pull["head"])
    return "approved" if approved else "to_review"


def keep(event: Event, session: Session, pull: dict[str, Any]) -> None:
    """Keep the pull request as seen, and since when it is known to be in that state."""
    known = session.pull or {}
    same = all(known.get(name) == pull.get(name) for name in ("url", "state"))
    since = known["since"] if same else event["seq"]
    session.pull = {**pull, "at": event["at"], "seq": event["seq"], "since": since}
    session.pr_state = pull["state"]


def show(state: State, event: Event, session: Session, pull: dict[str, Any]) -> None:
    """Keep the pull request as seen, and let the review follow it."""
    keep(event, session, pull)
    wanted = standing(pull, session.reviewed)
    if wanted == session.review or (wanted, session.review) == ("closed", "merged"):
        return  # what the base branch has stays merged, however its pull request was closed
    if step("review", session.review, TRIGGERS[wanted]) is None:
        move_review(state, event, session, "deliver")  # tied by hand, another one, or reopened
    if wanted != session.review:
        move_review(state, event, session, TRIGGERS[wanted])


def attempt_result(state: State, event: Event, session: Session) -> None:
    """Fold of the result of an attempt that ended: a new one to look at, and what the forge showed with it."""
    from kugetsu.domain.results import TO_REVIEW  # start-up: `status` and `queue enqueue` seldom fold an end

    data = event["data"]
    result, found = data["result"], data["evidence"].get("pull")
    session.result = result
    if result["kind"] in TO_REVIEW and session.kind == "issue":  # the PM agent's answer is read, not reviewed
        session.reviewed = None
        move_review(state, event, session, "deliver")
    if found and found.get("number") is not None:
        known = session.pull or {}
        same = known.get("url") == found.get("url")
        shown = {name: found.get(name, known.get(name) if same else None) for name in SEEN}
        if shown["review"] is not None and shown["head"] != known.get("head"):
            shown["review"] = "outdated"  # it was given for an earlier commit
        pull = {**shown, "draft": bool(shown["draft"])}
        head = data["evidence"].get("head")
        if result["kind"] in TO_REVIEW and pull["state"] != "open" and head is not None and head != pull["head"]:
            keep(event, session, pull)  # that one is over, and there is work that it does not have
        else:
            show(state, event, session, pull)


def _session(state: State, event: Event) -> Session | None:
    session = state.sessions.get(event["session"])
    if session is None:
        state.violate(event["seq"], f"{event['type']} names the session {event['session']}, which does not exist")
    return session


def pull_observed(state: State, event: Event) -> None:
    """Fold of ``pull.observed``."""
    pull = {name: event["data"][name] for name in SEEN}
    session = _session(state, event)
    if session is None:
        return
    known = session.pull or {}
    if pull["state"] != "open" and all(known.get(name) == pull[name] for name in ("url", "state")):
        keep(event, session, pull)  # that it is over is no news: what is to be looked at came later
    else:
        show(state, event, session, pull)


def branch_merged(state: State, event: Event) -> None:
    """Fold of ``branch.merged``."""
    session = _session(state, event)
    if session is not None:
        move_review(state, event, session, "merge")


def review_done(state: State, event: Event) -> None:
    """Fold of ``review.done``."""
    head = event["data"]["head"]
    session = _session(state, event)
    if session is not None:
        move_review(state, event, session, "approve")
        session.reviewed = head


def review_reopened(state: State, event: Event) -> None:
    """Fold of ``review.reopened``."""
    to, head = event["data"]["to"], event["data"]["head"]
    session = _session(state, event)
    if session is not None:
        move_review(state, event, session, TRIGGERS[to])
        session.reviewed = head


def pull_opening(state: State, event: Event) -> None:
    """Fold of ``pull.opening``: from here on it is owed until its outcome."""
    intent = {name: event["data"][name] for name in ("head", "branch", "base", "title", "draft")}
    intent["fork"] = event["data"].get("fork")
    work = {name: event.get(name) for name in ("task", "attempt")}
    session = _session(state, event)
    if session is not None:
        session.unopened = None
        session.owed = {**intent, "seq": event["seq"], **work, "tries": 0, "not_before": None}


def _owing(state: State, event: Event) -> Session | None:
    """The session of an outcome whose intent is open; None (and a violation) without one."""
    session = _session(state, event)
    if session is not None and (session.owed is None or session.owed["seq"] != event.get("cause")):
        state.violate(event["seq"], f"{event['type']}: no such pull request of {session.key} was to be opened")
        return None
    return session


def pull_opened(state: State, event: Event) -> None:
    """Fold of ``pull.opened``: the task's result is a pull request now."""
    url, number, head = event["data"]["url"], event["data"]["number"], event["data"]["head"]
    session = _owing(state, event)
    if session is None or session.owed is None:
        return
    draft = session.owed["draft"]
    session.owed = session.unopened = None
    session.pr = url
    if state.loops:
        from kugetsu.domain.fold import loops

        loops.pull_known(state, session.key, url)
    pull = {"number": number, "url": url, "state": "open", "checks": None, "draft": draft}
    for one in (session, state.tasks.get(event.get("task") or "")):
        if one is not None and one.result is not None and one.result["kind"] == "pushed":
            one.result = {**one.result, "kind": "pull_request", "pull": pull}
    show(state, event, session, {**pull, "head": head, "review": None, "mergeable": None})


def pull_failed(state: State, event: Event) -> None:
    """Fold of ``pull.failed``."""
    tries, not_before, why = event["data"]["tries"], event["data"]["not_before"], event["data"]["reason"]
    session = _owing(state, event)
    if session is None or session.owed is None:
        return
    if tries <= session.owed["tries"]:
        state.violate(event["seq"], f"pull.failed: try {tries} of {session.key} has failed before")
        return
    session.unopened = {"head": session.owed["head"], "reason": why, "remedy": event["data"].get("remedy")}
    session.owed = {**session.owed, "tries": tries, "not_before": not_before} if not_before is not None else None


def report_acknowledged(state: State, event: Event) -> None:
    """Fold of ``report.acknowledged``."""
    state.reported = {"upto": event["data"]["upto"], "at": event["at"], "seq": event["seq"]}


def report_due(state: State, event: Event) -> None:
    """Fold of ``report.due``: clocks go back, so the latest days are known, not only the last."""
    day = event["data"]["day"]
    days = state.daily["days"] if state.daily is not None else []
    if day in days:
        state.violate(event["seq"], f"report.due: the report of {day} was due before")
        return
    state.daily = {"days": [*days, day][-DAYS_KEPT:], "upto": event["seq"], "at": event["at"]}


def report_unacknowledged(state: State, event: Event) -> None:
    """Fold of ``report.unacknowledged``."""
    state.reported = event["data"]["was"]
